# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What files that are not on this host are read with, all of one source together: threads for requests, memory, a folder for the rest."""

from __future__ import annotations

import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property

from ..errors import SourceError
from ..planning.memory import usable_memory
from ..storage.remote import CONCURRENCY, UNKNOWN, RemoteObject, SourceAccess
from .input_file import Place

BLOCK = 2**16  # bytes of what is read of a file beside values: several objects of a file's description lie in one
_KEPT = 2**26  # bytes of such blocks, of all files together, where there is memory
_SHARE = 4  # so much of the memory is for files that are read as a whole: the fourth part
_SHARE_OF_BLOCKS = 16
_REQUEST = 2**21  # bytes: what lies side by side is asked for at once as far as that goes
WINDOW = 2**23  # bytes that are asked for and not yet used, by each thread
_GAP = 2**14  # bytes that are read for nothing rather than that there is one more request


@dataclass(frozen=True)
class Means:
    """``memory`` is what the request may take, in bytes (None for half of what is free); ``spool`` a folder for files that take more."""

    concurrency: int = CONCURRENCY
    memory: int | None = None
    spool: str | None = None


MEANS = Means()


def means_of(access: SourceAccess, memory: int | None = None) -> Means:
    """What the options of a request say of it."""
    return Means(access.concurrency, memory, access.spool)


@dataclass
class Fetching:
    """The threads that fetch, what was fetched and may be needed again, and what whole files take. Safe from several threads."""

    means: Means = field(default_factory=Means)
    notes: list[str] = field(default_factory=list)
    usual: tuple[int, ...] = ()  # the blocks that the files before took, which the next ones take as well
    _kept: OrderedDict[tuple[int, int], bytes] = field(default_factory=OrderedDict)
    _size: int = 0
    _taken: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def pool(self) -> ThreadPoolExecutor:
        """For requests and nothing else: what runs in it waits for none of it."""
        return ThreadPoolExecutor(self.means.concurrency, thread_name_prefix="zarrstream-fetch")

    @cached_property
    def room(self) -> int:
        """Bytes that whole files may take in memory."""
        return self._memory // _SHARE

    @cached_property
    def _most_kept(self) -> int:
        return min(_KEPT, self._memory // _SHARE_OF_BLOCKS)

    @cached_property
    def _memory(self) -> int:
        return self.means.memory or 2 * usable_memory()

    @property
    def held(self) -> int:
        """Bytes of memory that whole files take now, and that blocks may take."""
        return self._taken + (self._most_kept if self._kept else 0)

    def close(self) -> None:
        """End the threads; what was asked for and not begun is not asked for any more."""
        if "pool" in self.__dict__:
            self.pool.shutdown(wait=False, cancel_futures=True)

    def get(self, key: tuple[int, int]) -> bytes | None:
        """A block that is still there."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: tuple[int, int], data: bytes) -> None:
        """Keep a block, until others have taken its place."""
        with self._lock:
            self._size += len(data) - len(self._kept.pop(key, b""))
            self._kept[key] = data
            while self._size > self._most_kept and len(self._kept) > 1:
                self._size -= len(self._kept.popitem(last=False)[1])

    def fits(self, size: int) -> bool:
        """Whether there is memory for a whole file."""
        return self._taken + size <= self.room

    def take(self, size: int) -> bool:
        """Whether memory is left for a whole file, which it then has until ``give_back``."""
        with self._lock:
            fits = self._taken + size <= self.room
            self._taken += size if fits else 0
            return fits

    def give_back(self, size: int) -> None:
        """A file has gone."""
        with self._lock:
            self._taken -= size

    def stream(self, remote: RemoteObject, places: Sequence[Place]) -> Generator[tuple[int, bytes]]:
        """The bytes of places of an object with their numbers, as they arrive: neighbours by one request, several requests at once."""
        groups = joined(places)
        waiting: dict[Future[bytes], tuple[int, int, list[int]]] = {}
        try:
            position = flying = 0
            while position < len(groups) or waiting:
                while position < len(groups) and (not waiting or flying + groups[position][1] - groups[position][0] <= WINDOW):
                    start, stop, _numbers = groups[position]
                    waiting[self.pool.submit(remote.read, start, stop)] = groups[position]
                    flying, position = flying + stop - start, position + 1
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    start, stop, numbers = waiting.pop(future)
                    data = future.result()
                    flying -= stop - start
                    for number in numbers:
                        offset, size = places[number]
                        yield number, data[offset - start : offset - start + size] if size != len(data) else data
        finally:
            for flying_still in waiting:
                flying_still.cancel()
            waiting.clear()
            future = Future()  # else an error that it has would hold it in a circle, with all that the callers have

    def whole(self, remote: RemoteObject, why: str) -> tuple[int, int]:
        """A descriptor of all bytes of an object, and how many of them are in memory: it has to be given back, or is in a folder.

        Raises SourceError where there is no room.
        """
        room = _Room(self, remote)
        with ExitStack() as stack:
            stack.callback(room.leave)
            try:
                file = room.open()
                stack.callback(os.close, file)
                (_in_ranges if remote.ranges else _in_one)(room, file)
            except OSError as error:
                text = f"source '{remote.version.url}' cannot be kept in {room.name}: {error.strerror}."
                raise SourceError(text, source=remote.version.url) from None
            stack.pop_all()
        self.notes.append(f"{remote.version.url} was read as a whole, into {room.name}: {why}.")
        return file, room.taken


class _Room:
    """Where a whole file goes, and the memory that it has taken so far."""

    def __init__(self, fetching: Fetching, remote: RemoteObject) -> None:
        self.fetching, self.remote, self.taken = fetching, remote, 0
        self._known = remote.version.size != UNKNOWN
        self._in_memory = fetching.fits(remote.version.size) if self._known else fetching.means.spool is None

    @property
    def name(self) -> str:
        """For a message."""
        return "memory" if self._in_memory else f"the folder {self.fetching.means.spool}"

    def open(self) -> int:
        """A descriptor of an empty file there; raises SourceError where there is no place."""
        if self._in_memory:
            self.grow(self.remote.version.size if self._known else 0)
            return memory_file()
        if self.fetching.means.spool is None:
            raise self._none()
        with tempfile.TemporaryFile(dir=self.fetching.means.spool, prefix="zarrstream-") as file:
            return os.dup(file.fileno())

    def grow(self, size: int) -> None:
        """Have memory for so many bytes; raises SourceError where there is none left."""
        if self._in_memory and size > self.taken:
            if not self.fetching.take(size - self.taken):
                raise self._none()
            self.taken = size

    def leave(self) -> None:
        """Give the memory back."""
        self.fetching.give_back(self.taken)

    def _none(self) -> SourceError:
        url, size = self.remote.version.url, self.remote.version.size
        return SourceError(
            f"source '{url}' has to be read as a whole, and has {f'{size} bytes' if self._known else 'more bytes than its server tells'}. "
            f"Files such as this one may take {self.fetching.room} bytes of memory together. Name a folder for them: 'spool: FOLDER'.",
            source=url,
        )


def joined(places: Sequence[Place]) -> list[tuple[int, int, list[int]]]:
    """Places as requests: first byte, byte behind the last one, and the numbers of the places within. In the order of the file."""
    groups: list[tuple[int, int, list[int]]] = []
    start = stop = 0
    numbers: list[int] = []
    for number in sorted(range(len(places)), key=lambda number: places[number]):
        offset, size = places[number]
        if numbers and offset - stop <= _GAP and max(stop, offset + size) - start <= _REQUEST:
            stop = max(stop, offset + size)
            numbers.append(number)
            groups[-1] = (start, stop, numbers)
        else:
            start, stop, numbers = offset, offset + size, [number]
            groups.append((start, stop, numbers))
    return groups


def memory_file() -> int:
    """A descriptor of an empty file in memory."""
    return os.memfd_create("zarrstream", os.MFD_CLOEXEC)


def _in_ranges(room: _Room, file: int) -> None:
    size, head = room.remote.version.size, room.remote.head
    _write(file, head, 0)
    places = [(start, min(_REQUEST, size - start)) for start in range(len(head), size, _REQUEST)]
    for number, data in room.fetching.stream(room.remote, places):
        _write(file, data, places[number][0])


def _in_one(room: _Room, file: int) -> None:
    end = 0

    def take(data: bytes) -> None:
        nonlocal end
        if not data:
            os.ftruncate(file, 0)
            end = 0
            return
        room.grow(end + len(data))
        _write(file, data, end)
        end += len(data)

    room.remote.read_all(take)


def _write(file: int, data: bytes, offset: int) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(file, rest, offset)
        rest, offset = rest[written:], offset + written
