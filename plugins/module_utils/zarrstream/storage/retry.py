# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one layer that repeats requests, counts that, and decides how many are in flight. obstore's own is off.

A request is repeated while its failure may pass (``answer``), after waits that double and are random, so that many clients
do not come back at the same moment. The clock ends that, not a number of attempts: a server that answers quickly that it
has too much to do may be asked often, one that does not answer at all only once or twice.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from ..abandon import Runner
from ..errors import ZarrstreamError
from ..text import many
from .limiter import MOST, Limiter
from .obstore_errors import read_answer
from .timeouts import TIMEOUT

T = TypeVar("T")

ABSENT = 20.0  # seconds in which a server may come back that takes no connections
CLOSING = 2.0  # seconds for requests that are cancelled
LONG = 3  # attempts of a request whose answer alone takes longer than its time
LATER = 1.0  # seconds: a time-out of the library, which says more, comes first
FIRST_WAIT, LONGEST_WAIT = 0.2, 2.0  # seconds


class GaveUp(Exception):
    """A request that was repeated until its time was up. ``dead`` if meanwhile no other one succeeded either."""

    def __init__(self, cause: BaseException, attempts: int, seconds: float, *, dead: bool) -> None:
        super().__init__(str(cause))
        self.cause, self.attempts, self.seconds, self.dead = cause, attempts, seconds, dead

    @property
    def tried(self) -> str:
        """How often and how long, for messages."""
        return f" ({many(self.attempts, 'attempt')} in {self.seconds:.0f} s)"


@dataclass
class _Request:
    """One request on its way. ``began`` with its first attempt: waiting for a place takes none of its time."""

    failure: GaveUp | None  # what the lane knew when this one came
    answers: int
    attempts: int = 0
    began: float = 0.0


class Transport:
    """The requests of one write, or one check. ``timeout`` is in seconds.

    Every server has a ``Lane``, which all that goes there shares.
    """

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self.timeout = timeout
        self._lanes: dict[str, Lane] = {}
        self._lock = threading.Lock()

    def lane(self, endpoint: str, most: int = MOST) -> Lane:
        """The way to a server; the first one who asks for it says how many requests may be in flight at ``most``."""
        with self._lock:
            if endpoint not in self._lanes:
                self._lanes[endpoint] = Lane(self.timeout, most)
            return self._lanes[endpoint]

    def close(self) -> None:
        """No request of an event loop any more: Zarr leaves those of a failed operation behind, which would go on trying."""
        with self._lock:
            lanes = list(self._lanes.values())
        for lane in lanes:
            lane.close()

    def abandon(self) -> None:
        """Let everybody who waits for a request go, with KeyboardInterrupt; no further one begins."""
        with self._lock:
            lanes = list(self._lanes.values())
        for lane in lanes:
            lane.abandon()

    def seconds(self, endpoint: str) -> float:
        """What requests to a server took so far, added up."""
        with self._lock:
            return self._lanes[endpoint].seconds if endpoint in self._lanes else 0.0

    @property
    def retries(self) -> int:
        """Requests that were sent again, so far."""
        with self._lock:
            return sum(lane.retries for lane in self._lanes.values())


class Lane:
    """The way to one server. A request goes by ``call`` from a thread, by ``call_async`` from an event loop."""

    def __init__(self, timeout: float, most: int = MOST) -> None:
        self.timeout = timeout
        self.retries = 0
        self.seconds = 0.0  # that attempts took, added up
        self.limiter = Limiter(most)
        self._rested = 0.0  # when the server may be asked again, where it wanted to be left alone; as time.monotonic() says
        self._lock = threading.Lock()
        self._answers = 0
        self._failure: GaveUp | None = None  # of the last request that found the server dead
        self._closed = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._idle = threading.Condition(self._lock)
        self._runner, self._abandoned = Runner(), threading.Event()

    def call(self, send: Callable[[], T], seconds: float | None = None) -> T:
        """The result of ``send``, which is called again while that is worth it; raises what it raised, or GaveUp.

        Each time it may take so many ``seconds``, or those that it allows itself; without them only the library bounds it.
        """
        request, wait = _Request(self._failure, self._answers), 0.0
        while True:
            place = self.limiter.enter(again=request.attempts > 0).result()
            self._rest()
            try:
                with self._attempt(request, place):
                    return self._runner.run(send, seconds)
            except Exception as error:  # noqa: BLE001 - raised again, but for what passes
                wait = self._wait(request, error)
            if self._abandoned.wait(wait):
                raise KeyboardInterrupt

    async def call_async(self, send: Callable[[], Awaitable[T]]) -> T:
        """As ``call``, for an event loop."""
        request, wait = _Request(self._failure, self._answers), 0.0
        with self._known():
            while True:
                place = await self._enter_async(request)
                try:
                    with self._attempt(request, place):
                        return await send()
                except Exception as error:  # noqa: BLE001 - raised again, but for what passes
                    wait = self._wait(request, error)
                await asyncio.sleep(wait)

    def _rest(self) -> None:
        """Leave the server alone for as long as it has asked."""
        left = self._rested and self._rested - time.monotonic()
        if left > 0 and self._abandoned.wait(left):
            raise KeyboardInterrupt

    def abandon(self) -> None:
        """Let everybody who waits here go, with KeyboardInterrupt; no further request begins."""
        self._abandoned.set()
        self._runner.abandon()
        self.limiter.abandon()
        self._cancel()

    def _cancel(self) -> None:
        with self._lock:
            self._closed = True
            tasks = list(self._tasks)
        for task in tasks:
            with suppress(RuntimeError):  # its loop is closed
                task.get_loop().call_soon_threadsafe(task.cancel)

    def close(self) -> None:
        """Let no further request of an event loop begin, and cancel those that are under way."""
        self._cancel()
        with self._idle:
            self._idle.wait_for(lambda: not self._tasks, CLOSING)

    @contextmanager
    def _known(self) -> Iterator[None]:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("coroutines run in tasks")
        with self._lock:
            if self._closed:
                raise ZarrstreamError("this write or check has ended.")
            self._tasks.add(task)
        try:
            yield
        finally:
            with self._idle:
                self._tasks.discard(task)
                self._idle.notify_all()

    async def _enter_async(self, request: _Request) -> int:
        place = self.limiter.enter(again=request.attempts > 0)
        try:
            return await asyncio.wrap_future(place)
        except asyncio.CancelledError:
            if not place.cancelled():  # it came at the same moment
                self.limiter.leave(place.result(), overloaded=False)
            raise

    @contextmanager
    def _attempt(self, request: _Request, place: int) -> Iterator[None]:
        overloaded, entered = False, time.monotonic()
        try:
            if self._failure is not request.failure and self._failure is not None:
                raise self._failure  # the others need not find out again, each in its own time, that the server is dead
            request.attempts += 1
            request.began = request.began or time.monotonic()
            yield
            self._alive()
        except Exception as error:
            answer = read_answer(error)
            overloaded = answer.overloaded
            if not answer.passing:  # a refusal is an answer too
                self._alive()
            raise
        finally:
            self.limiter.leave(place, overloaded=overloaded)
            with self._lock:
                self.seconds += time.monotonic() - entered

    def _alive(self) -> None:
        with self._lock:
            self._answers += 1

    def _wait(self, request: _Request, error: Exception) -> float:
        """Seconds until the next attempt; raises the error where none is worth it, GaveUp where the time is up."""
        answer = read_answer(error)
        if not answer.passing or isinstance(error, GaveUp):
            raise error
        if answer.moved and request.attempts < LONG:
            request.began = time.monotonic()
        seconds = time.monotonic() - request.began
        wait = random.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2 ** (request.attempts - 1)))  # noqa: S311 - no secret
        wait = max(wait, answer.wait)
        if seconds + wait > (min(ABSENT, self.timeout) if answer.absent else self.timeout):
            failure = GaveUp(error, request.attempts, seconds, dead=self._answers == request.answers)
            if failure.dead:
                self._failure = failure
            raise failure from error
        with self._lock:
            self.retries += 1
            if answer.wait:
                self._rested = max(self._rested, time.monotonic() + answer.wait)
        return wait
