# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Signals that end a program, held back while an answer that is on its way is written down."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE = 2.0  # seconds: who presses Ctrl-C waits no longer


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP act when the block has ended, or after two seconds. In the main thread only: others get no signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def hold(number: int, _frame: object) -> None:
        if not came:
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
        came.append(number)

    def end(*_unused: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (*_ENDING, signal.SIGALRM)}
    for number in _ENDING:
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, hold)
    signal.signal(signal.SIGALRM, end)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if came:
            signal.raise_signal(came[0])  # to this thread: sent to the process, another thread may get it a moment later
