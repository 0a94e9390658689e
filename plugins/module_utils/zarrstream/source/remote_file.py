# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A file on a web server or in a bucket: read by ranges, or taken as a whole into memory or a folder."""

from __future__ import annotations

import mmap
import os
import weakref
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..storage.remote import RemoteObject
from .blocks import Blocks, Held, Stream, few
from .fetching import BLOCK, Fetching, memory_file
from .hdf5_links import refuse_leads
from .input_file import IN_MEMORY, Place
from .netcdf3 import MAGIC

_SMALL = 2**20  # bytes beside the head: what is smaller is taken as a whole
_HEADER = 512  # bytes of what HDF5 reads first of an object


def remote_file(remote: RemoteObject, fetching: Fetching) -> RemoteFile | WholeFile:
    """The file as it is read best; what is read of it first is fetched now. Raises SourceError."""
    size, head = remote.version.size, remote.head
    if not remote.ranges and size != len(head):
        return RemoteFile(remote, fetching).whole("its server sends no ranges")
    if size - len(head) <= _SMALL and (size == len(head) or fetching.take(size)):
        data = head if size == len(head) else head + remote.read(len(head), size)
        held = WholeFile(remote.version.url, data, -1)
        if size != len(head):
            weakref.finalize(held, fetching.give_back, size)
        return held
    file = RemoteFile(remote, fetching)
    if head[:4] not in MAGIC:
        file.blocks.prefetch((number * BLOCK, 1) for number in fetching.usual or (0,))
    return file


class WholeFile:
    """The bytes of a file in memory (``data``), or those behind a descriptor, which is closed with it."""

    complete = affordable = True

    def __init__(self, path: str, data: bytes, file: int) -> None:
        self.path, self._data, self._file = path, data, file
        self._size = len(data) if file < 0 else os.fstat(file).st_size
        if file >= 0:
            weakref.finalize(self, os.close, file)

    def head(self, size: int) -> bytes:
        """Its first bytes."""
        return self._take(0, size)

    def fetch(self, places: Sequence[Place]) -> Generator[tuple[int, bytes]]:
        """The bytes of each place, in their order."""
        for number, (offset, size) in enumerate(places):
            yield number, self._take(offset, size)

    def searched(self) -> WholeFile:
        """The file; raises SourceError where it leads to others."""
        refuse_leads(self)
        return self

    def netcdf(self) -> Any:
        """It as the NetCDF library opens it."""
        import netCDF4

        return netCDF4.Dataset(IN_MEMORY, "r", memory=self._data if self._file < 0 else mmap.mmap(self._file, 0, prot=mmap.PROT_READ))

    @contextmanager
    def hdf5(self, places: Sequence[Place] = ()) -> Iterator[Any]:  # noqa: ARG002 - all is there
        """It as h5py opens it."""
        import h5py

        with h5py.File(Stream(self._size, self._take), "r") as file:
            yield file

    def _take(self, offset: int, size: int) -> bytes:
        return self._data[offset : offset + size] if self._file < 0 else os.pread(self._file, size, offset)

    def whole(self, why: str) -> WholeFile:  # noqa: ARG002 - it needs no reason
        """It is."""
        return self


class RemoteFile:
    """A file that is read by ranges. What the NetCDF library opens has its description and no values: a *skeleton* in memory."""

    complete = False

    def __init__(self, remote: RemoteObject, fetching: Fetching) -> None:
        self.remote, self.fetching, self.path = remote, fetching, remote.version.url
        self.blocks = Blocks(remote, fetching)
        self._described = False
        self._skeleton: list[int] = []  # the blocks that were read when the NetCDF library first opened it

    @property
    def affordable(self) -> bool:
        """Whether there is memory for all of it."""
        return self.fetching.fits(self.blocks.size)

    def head(self, size: int) -> bytes:
        """Its first bytes."""
        return self.blocks.read(0, size)

    def fetch(self, places: Sequence[Place]) -> Generator[tuple[int, bytes]]:
        """The bytes of each place; those of a few small ones by the blocks in which they lie."""
        if few(places):
            self.blocks.prefetch(places)
            for number, (offset, size) in enumerate(places):
                yield number, self.blocks.read(offset, offset + size)
            return
        yield from self.fetching.stream(self.remote, self._within(places))

    def _within(self, places: Sequence[Place]) -> list[Place]:
        """A damaged file names places beyond its end, which no server has."""
        size = self.blocks.size
        return [(min(offset, size), max(0, min(length, size - offset))) for offset, length in places]

    def searched(self) -> RemoteFile:
        """The file; raises SourceError where it leads to others."""
        refuse_leads(self)
        return self

    def netcdf(self) -> Any:
        """The skeleton: what was read of the description so far, and nothing where anything else would be."""
        import netCDF4

        self._skeleton = self._skeleton or sorted(self.blocks.touched)
        file = memory_file()
        try:
            os.ftruncate(file, self.blocks.size)
            for number, data in self.blocks.blocks(self._skeleton).items():
                os.pwrite(file, data, number * BLOCK)
            return netCDF4.Dataset(IN_MEMORY, "r", memory=mmap.mmap(file, 0, prot=mmap.PROT_READ))
        finally:
            os.close(file)

    @contextmanager
    def hdf5(self, places: Sequence[Place] = ()) -> Iterator[Any]:
        """It as h5py opens it, over what is fetched as it is asked for. An error of the object is raised as it is."""
        import h5py

        stream = Stream(self.blocks.size, Held(self.blocks, places).take)
        try:
            with h5py.File(stream, "r") as file:
                self._describe(file)
                yield file
        except BaseException:
            if stream.error is None:
                raise
            raise stream.raised() from None  # type: ignore[misc]
        if stream.error is not None:
            raise stream.raised()  # type: ignore[misc]

    def _describe(self, file: Any) -> None:
        """Fetch where all objects begin, at once: they would be looked at one after the other."""
        if self._described:
            return
        self._described = True
        import h5py

        places: list[Place] = []
        hard = h5py.h5l.TYPE_HARD
        file.id.links.visit(lambda _name, info: places.append((info.u, _HEADER)) if info.type == hard else None, info=True)
        self.blocks.prefetch(places)

    def whole(self, why: str) -> WholeFile:
        """All of it, in memory or in a folder; raises SourceError where there is no room."""
        file, taken = self.fetching.whole(self.remote, why)
        whole = WholeFile(self.path, b"", file)
        weakref.finalize(whole, self.fetching.give_back, taken)
        return whole
