# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files of this host as objects that are read by ranges: they count what is asked for, and fail where a test says so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from zarrstream.errors import SourceError
from zarrstream.source.items import Item
from zarrstream.storage.remote import Version

HEAD = 1024  # bytes: little, so that small files have more than that


@dataclass
class LocalObject:
    """A RemoteObject. ``fails`` says of a range whether it fails; ``ranges`` whether the server sends any; ``delay`` is in seconds."""

    path: Path
    ranges: bool = True
    delay: float = 0.0
    size: int | None = None  # what the server says; None is for the truth
    fails: Callable[[int, int], bool] = lambda _start, _stop: False
    asked: list[tuple[int, int]] = field(default_factory=list)
    most: int = 0  # requests at once
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def version(self) -> Version:
        size = self.path.stat().st_size if self.size is None else self.size
        return Version(f"https://data.example/{self.path.name}", size, '"1"')

    @property
    def head(self) -> bytes:
        with self.path.open("rb") as file:
            return file.read(HEAD)

    @property
    def fetched(self) -> int:
        """Bytes."""
        return len(self.head) + sum(stop - start for start, stop in self.asked)

    def read(self, start: int, stop: int) -> bytes:
        assert self.ranges
        with self._lock:
            self.asked.append((start, stop))
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            time.sleep(self.delay)
            if self.fails(start, stop):
                raise SourceError(f"source '{self.version.url}', bytes {start} to {stop}: interrupted.", source=self.version.url)
            with self.path.open("rb") as file:
                file.seek(start)
                data = file.read(stop - start)
            assert len(data) == stop - start, "beyond the end, which a server does not send"
            return data
        finally:
            with self._lock:
                self._now -= 1

    def read_all(self, take: Callable[[bytes], object]) -> None:
        data = self.path.read_bytes()
        if self.fails(0, len(data)):
            raise SourceError(f"source '{self.version.url}': interrupted.", source=self.version.url)
        self.asked.append((0, len(data)))
        take(data[:100])  # of an attempt that is repeated
        take(b"")
        for start in range(0, len(data), 2**20):
            take(data[start : start + 2**20])


def item(path: Path | str, **how: object) -> Item:
    """A file as an item of a source that is not on this host."""
    remote = LocalObject(Path(path), **how)  # type: ignore[arg-type]
    return Item("netcdf", remote.version.url, remote=remote)
