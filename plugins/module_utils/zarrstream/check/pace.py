# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How fast objects came: noted while a check reads them, by several threads at once."""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Pace:
    """One entry for each object read: seconds since the first began, how long it took, and its bytes."""

    began: float = field(default_factory=time.monotonic)
    starts: array[float] = field(default_factory=lambda: array("d"))
    seconds: array[float] = field(default_factory=lambda: array("d"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def note(self, started: float, size: int) -> None:
        """An object of ``size`` bytes is here, asked for at ``started`` of the monotonic clock."""
        with self._lock:
            self.starts.append(started - self.began)
            self.seconds.append(time.monotonic() - started)
            self.sizes.append(size)

    def take(self) -> list[tuple[float, float, int]]:
        """All entries, which are gone then: when each began by the clock of the wall, how long it took, its bytes."""
        with self._lock:
            shift = time.time() - (time.monotonic() - self.began)
            entries = [(start + shift, took, size) for start, took, size in zip(self.starts, self.seconds, self.sizes, strict=True)]
            del self.starts[:], self.seconds[:], self.sizes[:]
        return entries

    def add(self, entries: Iterable[tuple[float, float, int]]) -> None:
        """Entries that were taken elsewhere."""
        with self._lock:
            shift = time.time() - (time.monotonic() - self.began)
            for start, took, size in entries:
                self.starts.append(start - shift)
                self.seconds.append(took)
                self.sizes.append(size)

    @property
    def span(self) -> float:
        """Seconds from the first request to the last byte."""
        ends = (start + took for start, took in zip(self.starts, self.seconds, strict=True))
        return max(ends, default=0.0) - min(self.starts, default=0.0)

    def percentile(self, share: float) -> float:
        """The time that this share of the requests did not exceed, in seconds."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def buckets(self, number: int) -> list[float]:
        """Bytes a second in ``number`` equal parts of the span; those of an object count in the part in which it arrived."""
        first, width = min(self.starts, default=0.0), self.span / number
        rates = [0.0] * number
        for start, took, size in zip(self.starts, self.seconds, self.sizes, strict=True):
            if width:
                rates[min(number - 1, int((start + took - first) / width))] += size / width
        return rates
