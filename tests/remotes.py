# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files of this host as objects that are read by ranges: they count what is asked for, and fail where a test says so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from zarrstream.errors import SourceError
from zarrstream.source.dataset import Source
from zarrstream.source.fetching import MEANS, Means
from zarrstream.source.items import Item
from zarrstream.source.open import open_items
from zarrstream.source.proof import another_reader
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
    meet: int = 0  # requests that wait for each other until so many have been there at once
    most: int = 0  # requests at once
    _now: int = 0
    _lock: threading.Condition = field(default_factory=threading.Condition)

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
            self._lock.notify_all()
            self._lock.wait_for(lambda: self.most >= self.meet, 60)
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


def item(path: Path | str, **how: Any) -> Item:
    """A file as an item of a source that is not on this host."""
    remote = LocalObject(Path(path), **how)
    return Item("netcdf", remote.version.url, remote=remote)


def values(source: Source) -> dict[str, np.ndarray]:
    """All values of a source."""
    regions = {name: tuple((0, size) for size in variable.shape) for name, variable in source.variables.items()}
    return {name: source.block(name, region).values for name, region in regions.items()}


def bits(array: np.ndarray) -> Any:
    """An array as it is compared: with its type, and bit by bit."""
    return array.dtype, array.shape, array.tolist() if array.dtype.kind == "O" else array.tobytes()


def differences(path: Path, there: Item, means: Means = MEANS) -> tuple[list[str], list[str]]:
    """What is not the same of a file here and of itself there, also in a proof by another reader; and the notes."""
    with closing(open_items([Item("netcdf", str(path))])) as here, closing(open_items([there], means=means)) as far:
        mine, theirs = _described(here), _described(far)
        found = [
            f"{name}: {mine.get(name)} is {theirs.get(name)}" for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name)
        ]
        expected = {name: bits(each) for name, each in values(here).items()}
        found += [f"the values of {name}" for name, each in values(far).items() if bits(each) != expected[name]]
        with another_reader():
            found += [f"the proof of {name}" for name, each in values(far).items() if bits(each) != expected[name]]
        return found, far.notes


def _described(source: Source) -> dict[str, str]:
    """All but values, as text, which tells types and NaN."""
    found = {
        name: f"{variable.dims} {variable.shape} {variable.dtype} {variable.attrs} {_encoding(variable.encoding)}"
        for name, variable in source.variables.items()
    }
    encodings = {f"encoding of /{path}": _encoding(dict(each)) for path, each in source.encodings.items()}
    return {**found, **encodings, "groups": repr(source.groups), "attributes": repr(source.attrs)}


def _encoding(found: dict[Any, Any]) -> str:
    return repr({key: value for key, value in found.items() if key not in ("source", "scratch")})
