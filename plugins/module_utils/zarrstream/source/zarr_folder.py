# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A Zarr store in a folder, as a source: links in it are followed within what was declared, and only regular files are read."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..compat import as_buffer
from ..errors import SourceError
from ..metadata.decoded import LARGEST_DOCUMENT
from ..metadata.hierarchy import is_document
from ..storage.location import ObjectInfo, StoreUrl
from ..storage.objects import ReadableObjects
from ..storage.zarr_store import part_of, reading_store
from .declared import Declared, NotRegular, Outside, outside

if TYPE_CHECKING:
    from zarr.abc.buffer import Buffer, BufferPrototype
    from zarr.abc.store import ByteRequest, Store

_MOST_LINKS = 10_000  # to folders: links to links multiply
_NAMES = 4096  # bytes of a path


class SourceFolder(ReadableObjects):
    """The objects of a folder, to read. ``folder`` is its real path; keys begin with that of ``place``."""

    def __init__(self, place: StoreUrl, folder: str, declared: Declared) -> None:
        super().__init__(place, endpoint=str(place.parent))
        self.folder, self.declared = folder, declared

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All files; ``prefix`` is the key of the store. Raises SourceError for a link that leads out, and for what is no file."""
        for key, path in self.files():
            yield ObjectInfo(f"{prefix}/{key}", os.stat(path).st_size, None)  # noqa: PTH116 - as text

    def get(self, key: str) -> bytes | None:
        """The bytes of a file, None where there is none; no more of them than it has when it is opened."""
        return self.read(key.removeprefix(f"{self.place.key}/"))

    def head(self, key: str) -> dict[str, Any] | None:
        """Its size."""
        file = self._open(key.removeprefix(f"{self.place.key}/"))
        if file is None:
            return None
        try:
            return {"size": os.fstat(file).st_size}
        finally:
            os.close(file)

    def read(self, key: str, wanted: ByteRequest | None = None) -> bytes | None:
        """The part of a file that Zarr asks for, by its key below the store; all of it if none is named."""
        file = self._open(key)
        if file is None:
            return None
        try:
            size = os.fstat(file).st_size
            if size > LARGEST_DOCUMENT and is_document(key):
                text = f"source '{self.folder}/{key}' has {size} bytes: a metadata document has no more than {LARGEST_DOCUMENT}."
                raise SourceError(text, source=f"{self.folder}/{key}")
            return b"".join(_pieces(file, *part_of(wanted, size)))
        except OSError as error:
            raise SourceError(f"source '{self.folder}/{key}' cannot be read: {error.strerror}.", source=f"{self.folder}/{key}") from None
        finally:
            os.close(file)

    def files(self) -> Iterator[tuple[str, str]]:
        """Key below the store and path of every file, sorted by folder."""
        waiting: deque[tuple[str, tuple[str, ...]]] = deque([("", (os.path.realpath(self.folder),))])
        links = 0
        while waiting:
            key, above = waiting.pop()
            below: deque[tuple[str, tuple[str, ...]]] = deque()
            for name, entry in self._entries(key):
                inner = f"{key}/{name}" if key else name
                if not entry.is_dir():
                    if not entry.is_file(follow_symlinks=False):
                        self._check(inner)
                    yield inner, entry.path
                    continue
                real = os.path.realpath(entry.path) if entry.is_symlink() else f"{above[-1]}/{name}"
                if entry.is_symlink():
                    links += 1
                    self._check_folder(inner, real, above, links)
                below.appendleft((inner, (*above, real)))
            waiting.extend(below)

    def zarr_store(self) -> Store:
        """The store for zarr-python, to read."""
        return folder_store(self)

    def names(self, key: str) -> Sequence[str]:
        """What lies directly in a folder of the store."""
        try:
            return [name for name, _unused in self._entries(key)]
        except SourceError:
            return []

    def _entries(self, key: str) -> Sequence[tuple[str, os.DirEntry[str]]]:
        path = f"{self.folder}/{key}" if key else self.folder
        try:
            with os.scandir(path) as found:
                return sorted((entry.name, entry) for entry in found)
        except OSError as error:
            raise SourceError(f"source '{path}' cannot be read: {error.strerror}.", source=path) from None

    def _check(self, key: str) -> None:
        file = self._open(key)
        if file is not None:
            os.close(file)

    def _check_folder(self, key: str, real: str, above: tuple[str, ...], links: int) -> None:
        place = f"{self.folder}/{key}"
        if not self.declared.holds(real):
            raise outside(place, real)
        if real in above or links > _MOST_LINKS:
            raise SourceError(
                f"source '{place}' is a link that leads around in a circle, to '{real}'. Remove it.", source=place, target=real
            )

    def _open(self, key: str) -> int | None:
        place = f"{self.folder}/{key}"
        try:
            return self.declared.open(place) if len(place) <= _NAMES and "\0" not in place else None
        except (FileNotFoundError, NotADirectoryError):
            if os.path.islink(place):  # noqa: PTH114 - as text
                text = f"source '{place}' is a link to '{os.readlink(place)}', which is not there. Copy the store with it."  # noqa: PTH115
                raise SourceError(text, source=place) from None
            return None
        except Outside as error:
            raise outside(place, str(error)) from None
        except NotRegular as error:
            if str(error) == "a folder":
                return None
            raise SourceError(f"source '{place}' is {error}: only regular files are read. Remove it.", source=place) from None
        except OSError as error:
            raise SourceError(f"source '{place}' cannot be read: {error.strerror}.", source=place) from None


def _pieces(file: int, start: int, stop: int) -> Iterator[bytes]:
    while start < stop and (piece := os.pread(file, min(stop - start, 2**30), start)):
        yield piece
        start += len(piece)


def folder_store(folder: SourceFolder) -> Store:
    """A folder as a store of zarr-python, to read."""
    import asyncio

    class FolderStore(reading_store()):  # type: ignore[misc]
        async def get(self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None) -> Buffer | None:
            data = await asyncio.to_thread(folder.read, key, byte_range)
            return None if data is None else as_buffer(data, prototype)

        async def exists(self, key: str) -> bool:
            return await asyncio.to_thread(folder.head, key) is not None

        async def list(self) -> AsyncIterator[str]:
            for key, _unused in folder.files():
                yield key

        async def list_dir(self, prefix: str) -> AsyncIterator[str]:
            for name in folder.names(prefix.strip("/")):
                yield name

    return FolderStore(read_only=True)


def local_folder(place: StoreUrl, follow: tuple[str, ...] = ()) -> SourceFolder:
    """The Zarr store in a folder, with folders that its links may lead to."""
    if place.parent is None:
        raise AssertionError("the place is a folder")
    real = os.path.realpath(Path(place.parent, place.key))
    return SourceFolder(place, real, Declared((real, *follow)))
