# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Calls into libraries that nothing interrupts, made so that whoever waits for them can go: a thread makes them, others wait.

A thread whose caller has gone ends with its call, as the time-outs of the library have it, and nobody hears of the result.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError, wait
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class Late(Exception):
    """A call that took too long, and goes on unheard."""


@dataclass
class _Ends:
    """When nobody waits for a call any longer; None for never."""

    at: float | None


_Work = tuple["Future[Any]", Callable[[], Any], _Ends]
_HERE = threading.local()


def allow(seconds: float) -> None:
    """Called by a call that has found out how long it may take: so long from now."""
    if getattr(_HERE, "ends", None) is not None and _HERE.ends.at is not None:
        _HERE.ends.at = time.monotonic() + seconds


def _waited(result: Future[T], ends: _Ends) -> T:
    while ends.at is not None and not result.done():
        left = ends.at - time.monotonic()
        if left <= 0:
            raise Late
        wait([result], left)
    return result.result()


class Runner:
    """Threads that are used again, as many as there are calls at a time. They keep no process alive."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[SimpleQueue[_Work]] = []
        self._waiting: set[Future[Any]] = set()
        self._ended = False

    def run(self, call: Callable[[], T], seconds: float | None = None) -> T:
        """What ``call`` returns or raises; KeyboardInterrupt when all are abandoned, or the main thread is interrupted.

        Raises Late after ``seconds``, or those that the call has allowed itself (``allow``).
        """
        result: Future[T] = Future()
        ends = _Ends(time.monotonic() + seconds if seconds is not None else None)
        with self._lock:
            if self._ended:
                raise KeyboardInterrupt
            self._waiting.add(result)
            work = self._idle.pop() if self._idle else None
        if work is None:
            work = SimpleQueue()
            threading.Thread(target=self._serve, args=(work,), name="zarrstream-request", daemon=True).start()
        work.put((result, call, ends))
        try:
            return _waited(result, ends)
        finally:
            with self._lock:
                self._waiting.discard(result)

    def abandon(self) -> None:
        """Let everybody who waits go now, and begin nothing more."""
        with self._lock:
            self._ended = True
            waiting = list(self._waiting)
        for result in waiting:
            with suppress(InvalidStateError):
                result.set_exception(KeyboardInterrupt())

    @property
    def ended(self) -> bool:
        """Whether all was abandoned."""
        return self._ended

    def _serve(self, work: SimpleQueue[_Work]) -> None:
        while True:
            result, call, _HERE.ends = work.get()
            with suppress(InvalidStateError):  # its caller has gone
                try:
                    value = call()
                except BaseException as error:  # noqa: BLE001 - the caller's
                    result.set_exception(error)
                    del error
                else:
                    result.set_result(value)
                    del value
            del result, call  # what they hold takes memory
            with self._lock:
                self._idle.append(work)
