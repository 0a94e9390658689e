# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Work on many objects at once with bounded memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")
B = TypeVar("B", bound="Block")

REQUESTS = 16  # requests in flight: they wait for the server, not for this machine
MAKERS = (os.cpu_count() or 1) + 1  # blocks that are read and encoded at a time: more would only take memory
BLOCKS = MAKERS + 5  # blocks at work, as far as memory allows: some are sent, or wait for that, while others are made
EARLY = 24  # more of them while none may be sent yet, so that processors have work until then: 384 MiB of values, held encoded


class Block(Protocol):
    """A piece of work that takes this much memory, in bytes."""

    @property
    def memory(self) -> int: ...


def each(function: Callable[[T], R], items: Iterable[T], workers: int = REQUESTS) -> Iterator[R]:
    """The results of ``function`` in the order of ``items``, of which no more than twice ``workers`` are under way.

    The first exception is raised; what has not begun by then never does.
    """
    pool = ThreadPoolExecutor(max_workers=workers)
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            if len(waiting) >= 2 * workers:
                yield waiting.popleft().result()
            waiting.append(pool.submit(function, item))
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def copy_blocks(
    blocks: Iterable[B],
    make: Callable[[B], T],
    send: Callable[[B, T], None],
    memory: int,
    workers: int = BLOCKS,
    early: Callable[[], int] = lambda: 0,
) -> None:
    """Make and send every block; the first error ends it.

    At most ``workers`` blocks are at work, and as many more as ``early`` says at the moment; of them only as many as take
    ``memory`` bytes together; one alone may take more.
    What is made takes memory, of which the C library keeps some for each thread: a few threads make, others send.
    """
    makers = ThreadPoolExecutor(min(MAKERS, workers), thread_name_prefix="zarrstream-make")
    senders = ThreadPoolExecutor(workers, thread_name_prefix="zarrstream-send")

    def work(block: B) -> Future[None]:
        return senders.submit(send, block, make(block))

    try:
        running: dict[Future[Any], int] = {}
        for block in blocks:
            while running and (len(running) >= workers + early() or sum(running.values()) + block.memory > memory):
                _settle(running)
            running[makers.submit(work, block)] = block.memory
        while running:
            _settle(running)
    finally:
        makers.shutdown(wait=True, cancel_futures=True)
        senders.shutdown(wait=True, cancel_futures=True)


def _settle(running: dict[Future[Any], int]) -> None:
    done, _unused = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        memory = running.pop(future)
        sending = future.result()
        if isinstance(sending, Future):  # it is made now
            running[sending] = memory
