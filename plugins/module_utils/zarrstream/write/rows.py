# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where each step of a store to be is from: the store that is there, or the source. Plain values: no file, no server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Origin = Literal["store", "source"]


@dataclass(frozen=True)
class Run:
    """Steps from ``start`` to before ``stop``, which are one after the other where they are from, beginning with ``row`` there."""

    start: int
    stop: int
    origin: Origin
    row: int


@dataclass(frozen=True)
class Rows:
    """All steps along ``dim``, in order; ``old`` is the length of the store that is there."""

    dim: str
    old: int
    runs: tuple[Run, ...]

    @property
    def size(self) -> int:
        """How many there will be."""
        return self.runs[-1].stop if self.runs else 0

    @property
    def new(self) -> int:
        """Steps that the store lacks."""
        return self.size - self.old

    @property
    def shifted(self) -> bool:
        """Whether steps of the store get another place, or are gone: then its chunks hold other steps than before."""
        return self.size < self.old or any(run.origin == "store" and run.row != run.start for run in self.runs)

    @property
    def changed(self) -> bool:
        """Whether the store is not what it will be."""
        return self.shifted or any(run.origin == "source" for run in self.runs)

    def between(self, start: int, stop: int) -> Iterator[Run]:
        """The runs of some steps, cut to them."""
        for run in self.runs:
            low, high = max(start, run.start), min(stop, run.stop)
            if low < high:
                yield Run(low, high, run.origin, run.row + low - run.start)

    def touched(self, unit: int, begin: int, end: int) -> Iterator[tuple[int, int]]:
        """The ranges of whole units of that length, within steps that are a multiple of it, of which a step is from the source."""
        last: tuple[int, int] | None = None
        for run in self.runs:
            if run.origin != "source":
                continue
            start, stop = max(run.start // unit * unit, begin), min(-(-run.stop // unit) * unit, self.size, end)
            if start >= stop:
                continue
            if last and start <= last[1]:
                last = (last[0], max(stop, last[1]))
                continue
            if last:
                yield last
            last = (start, stop)
        if last:
            yield last


class OtherPlaces(Exception):
    """Steps of the store would get another place, or go: it is to be written anew from all files. The text says which and why.

    ``changed`` steps of the store are not there any more, or have another value; there are ``size`` then.
    """

    def __init__(self, text: str, changed: int, size: int) -> None:
        super().__init__(text)
        self.changed, self.size = changed, size


def rows_of(dim: str, old: int, origins: list[tuple[Origin, int]]) -> Rows:
    """The rows for the origin of each step and its row there."""
    runs: list[Run] = []
    for place, (origin, row) in enumerate(origins):
        last = runs[-1] if runs else None
        if last and last.origin == origin and last.row + (place - last.start) == row:
            runs[-1] = Run(last.start, place + 1, origin, last.row)
        else:
            runs.append(Run(place, place + 1, origin, row))
    return Rows(dim, old, tuple(runs))
