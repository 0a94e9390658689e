# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Calls into libraries that nothing interrupts, made so that whoever waits for them can go: a thread makes them, others wait.

A thread whose caller has gone ends with its call, as the time-outs of the library have it, and nobody hears of the result.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
_Work = tuple["Future[Any]", Callable[[], Any]]


class Runner:
    """Threads that are used again, as many as there are calls at a time. They keep no process alive."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[SimpleQueue[_Work]] = []
        self._waiting: set[Future[Any]] = set()
        self._ended = False

    def run(self, call: Callable[[], T]) -> T:
        """What ``call`` returns or raises; KeyboardInterrupt when all are abandoned, or the main thread is interrupted."""
        result: Future[T] = Future()
        with self._lock:
            if self._ended:
                raise KeyboardInterrupt
            self._waiting.add(result)
            work = self._idle.pop() if self._idle else None
        if work is None:
            work = SimpleQueue()
            threading.Thread(target=self._serve, args=(work,), name="zarrstream-request", daemon=True).start()
        work.put((result, call))
        try:
            return result.result()
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
            result, call = work.get()
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
