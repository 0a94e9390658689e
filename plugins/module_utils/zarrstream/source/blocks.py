# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A file that is read by ranges, beside its values: by blocks that stay for a while, and as libraries read files."""

from __future__ import annotations

import gc
import io
import itertools
import struct
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..storage.remote import RemoteObject
from .fetching import BLOCK, Fetching
from .input_file import Place

_AHEAD = 16  # blocks that are read ahead at most
_FEW = 8  # places
_NODE = b"TREE"  # of the trees that say where chunks, and members of old groups, lie
_ENTRIES = 64  # of such a node, where it is of chunks
_FRONT = 24  # bytes before its entries
_SYMBOLS = 328  # bytes of what lies below it, where it is of groups
_NUMBERS = itertools.count()


def few(places: Sequence[Place]) -> bool:
    """Whether places are read by the blocks in which they lie, which may hold more that is wanted soon."""
    return len(places) <= _FEW and sum(size for _unused, size in places) <= BLOCK


class Blocks:
    """The bytes of one object in blocks. Safe from several threads, which fetch one after the other."""

    def __init__(self, remote: RemoteObject, fetching: Fetching) -> None:
        self.remote, self.fetching, self.size = remote, fetching, remote.version.size
        self.touched: set[int] = set()  # the blocks that anybody has read so far
        self._number, self._next, self._ahead = next(_NUMBERS), 0, 0
        self._lock = threading.Lock()

    def read(self, start: int, stop: int) -> bytes:
        """These bytes; fewer where the file ends. Raises SourceError."""
        start, stop = min(start, self.size), min(stop, self.size)
        if stop <= len(self.remote.head):
            self.touched.add(0)
            return self.remote.head[start:stop]
        first, last = start // BLOCK, -(-stop // BLOCK)
        data = b"".join(self.blocks(range(first, last)).values())
        return data[start - first * BLOCK : stop - first * BLOCK]

    def blocks(self, wanted: Sequence[int]) -> dict[int, bytes]:
        """Whole blocks, by their numbers."""
        self.touched.update(wanted)
        found = {number: self.fetching.get((self._number, number)) for number in wanted}
        if any(data is None for data in found.values()):
            with self._lock:
                found = {number: self.fetching.get((self._number, number)) for number in wanted}
                lacking = [number for number, data in found.items() if data is None]
                if lacking:
                    fetched = self._fetch(self._with_more(lacking))
                    found |= {number: fetched[number] for number in lacking}
        return {number: data for number, data in found.items() if data is not None}

    def prefetch(self, places: Iterable[Place]) -> None:
        """Fetch the blocks of places that are not there, all at once."""
        wanted = {number for offset, size in places for number in range(offset // BLOCK, -(-(offset + size) // BLOCK))}
        with self._lock:
            self._fetch([number for number in sorted(wanted) if number * BLOCK < self.size and not self._there(number)])

    def has(self, offset: int, size: int) -> bool:
        """Whether these bytes are there already."""
        inside = offset + size <= len(self.remote.head)
        return inside or all(self._there(number) for number in range(offset // BLOCK, -(-(offset + size) // BLOCK)))

    def _there(self, number: int) -> bool:
        return self.fetching.get((self._number, number)) is not None

    def _with_more(self, lacking: list[int]) -> list[int]:
        """With those behind, the more the longer somebody reads on and on."""
        self._ahead = min(max(1, 2 * self._ahead), _AHEAD) if lacking[0] == self._next else 0
        more = itertools.takewhile(
            lambda number: number * BLOCK < self.size and not self._there(number), range(lacking[-1] + 1, lacking[-1] + 1 + self._ahead)
        )
        found = [*lacking, *more]
        self._next = found[-1] + 1
        return found

    def _fetch(self, numbers: Sequence[int]) -> dict[int, bytes]:
        begun = {number: self.remote.head[number * BLOCK : (number + 1) * BLOCK] for number in numbers}
        places = []
        for number, data in begun.items():
            start = number * BLOCK + len(data)
            places.append((start, min((number + 1) * BLOCK, self.size) - start))
        lacking = [(number, place) for number, place in zip(numbers, places, strict=True) if place[1]]
        for position, data in self.fetching.stream(self.remote, [place for _unused, place in lacking]):
            begun[lacking[position][0]] += data
        for number, data in begun.items():
            self.fetching.put((self._number, number), data)
        return begun


class Stream(io.RawIOBase):
    """A file for h5py, of ``size`` bytes, which ``take`` gives by offset and size.

    What is raised while it is read is kept in ``error``: libraries may make another error of it.
    """

    def __init__(self, size: int, take: Callable[[int, int], bytes | memoryview]) -> None:
        self.size, self.take = size, take
        self.error: BaseException | None = None
        self._at = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As files do."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        return self._at

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """As files do; raises SourceError."""
        view = memoryview(buffer).cast("B")
        try:
            if self.error is not None:
                raise self.error
            with _uncollected():
                data = self.take(self._at, len(view))
        except BaseException as error:
            self.error = error
            raise
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def raised(self) -> BaseException | None:
        """What was raised, which is then forgotten: with it the stream would be in a circle of references, and files of h5py too."""
        error, self.error = self.error, None
        return error


@contextmanager
def _uncollected() -> Iterator[None]:
    """h5py holds its lock while it reads. A thread that is waited for must not have to free a file of h5py, which takes that lock."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Held:
    """Bytes of an object for one look at it: those of ``places`` at once, others by blocks."""

    def __init__(self, blocks: Blocks, places: Sequence[Place] = ()) -> None:
        self._blocks = blocks
        self._held: dict[Place, bytes] = {}
        self._fetch(places)
        self._starts = sorted(self._held)

    def take(self, start: int, size: int) -> bytes | memoryview:
        """These bytes; fewer where the file ends. Raises SourceError."""
        data = self._held.get((start, size)) or self._within(start, size) or self._blocks.read(start, start + size)
        if data[:4] == _NODE:
            self._fetch(_below(bytes(data)))
        return data

    def _fetch(self, places: Sequence[Place]) -> None:
        inside = [place for place in places if place not in self._held and sum(place) <= self._blocks.size]
        wanted = [place for place in inside if not self._blocks.has(*place)]
        if few(wanted):
            self._blocks.prefetch(wanted)
            return
        for number, data in self._blocks.fetching.stream(self._blocks.remote, wanted):
            self._held[wanted[number]] = data

    def _within(self, start: int, size: int) -> memoryview | None:
        """Of a larger place that is held."""
        position = bisect_right(self._starts, (start, 2**64)) - 1
        if position < 0:
            return None
        offset, length = self._starts[position]
        if start + size > offset + length:
            return None
        return memoryview(self._held[(offset, length)])[start - offset : start - offset + size]


def _below(node: bytes) -> list[Place]:
    """What lies below a node of a tree: it is fetched at once, where HDF5 would read one after the other."""
    kind, level, count = struct.unpack_from("<BBH", node, 4)
    key, rest, size = 8, 0, len(node) if level else _SYMBOLS
    if kind:
        key, rest = divmod(len(node) - _FRONT - 8 * _ENTRIES, _ENTRIES + 1)
    if rest or (kind and not level) or _FRONT + count * (key + 8) > len(node):
        return []
    found = [struct.unpack_from("<Q", node, _FRONT + number * (key + 8) + key)[0] for number in range(count)]
    return [(offset, size) for offset in found] if count > 1 else []
