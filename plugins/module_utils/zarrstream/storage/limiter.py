# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How many requests a server gets at a time: more while it keeps up, half as many when it does not."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future

START, MOST = 8, 64  # requests in flight


class Limiter:
    """Places for requests, whose number adapts as TCP's window does: it grows by addition, up to ``most``, and shrinks by halves.

    Safe for threads and event loops: a place is a future, which threads wait for and loops await.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._waiting: deque[Future[int]] = deque()
        self._limit, self._busy = float(min(START, most)), 0
        self._given, self._cut_at = 0, 0  # places given so far; how many it had been when the limit was last cut

    @property
    def limit(self) -> int:
        """How many requests may be in flight."""
        return int(self._limit)

    def enter(self, *, again: bool = False) -> Future[int]:
        """A place, as soon as there is one; one who comes ``again`` has waited before. Its result goes to ``leave``."""
        place: Future[int] = Future()
        with self._lock:
            if again:
                self._waiting.appendleft(place)
            else:
                self._waiting.append(place)
        self._admit()
        return place

    def abandon(self) -> None:
        """Let all who wait in threads for a place go, with KeyboardInterrupt."""
        with self._lock:
            waiting, self._waiting = list(self._waiting), deque()
        for place in waiting:
            if place.set_running_or_notify_cancel():
                place.set_exception(KeyboardInterrupt())

    def leave(self, place: int, *, overloaded: bool) -> None:
        """Give a place back. ``overloaded`` if the server said, or showed, that it had too much to do."""
        with self._lock:
            if not overloaded:
                if self._busy >= self.limit:  # a limit that nobody reached has proved nothing
                    self._limit = min(self._most, self._limit + (1 / self._limit if self._cut_at else 1))
            elif place > self._cut_at:  # those that were in flight at the last cut tell nothing new
                self._limit = max(1.0, self._limit / 2)
                self._cut_at = self._given
            self._busy -= 1
        self._admit()

    def _admit(self) -> None:
        admitted = []
        with self._lock:
            while self._waiting and self._busy < self.limit:
                place = self._waiting.popleft()
                if place.set_running_or_notify_cancel():
                    self._busy += 1
                    self._given += 1
                    admitted.append((place, self._given))
        for place, number in admitted:  # not under the lock: it wakes others up
            place.set_result(number)
