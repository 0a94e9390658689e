# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ctrl-C, heard even while the main thread waits in a library that hears nothing.

Python raises KeyboardInterrupt when its main thread comes back to it, and whoever tidies up then waits for threads that wait for
a server. So the signal also wakes a thread up, which a moment later lets go all who wait.
"""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

GRACE = 1.0  # seconds for requests under way to end, and for what says that a writer has gone
LAST = 2.5  # seconds after which a command ends however it stands: as a kill would end it, which every next run bears

_CALLS: list[tuple[float, Callable[[], None]]] = []
_LOCK = threading.Lock()


@contextmanager
def on_interrupt(seconds: float, call: Callable[[], None]) -> Iterator[None]:
    """While it lasts, ``call`` is called (by another thread) so many seconds after SIGINT.

    Only where the main thread asks for it, and nobody else handles the signal.
    """
    entry = (seconds, call)
    with _listening():
        _CALLS.append(entry)
        try:
            yield
        finally:
            with _LOCK:
                _CALLS.remove(entry)


@contextmanager
def _listening() -> Iterator[None]:
    if _CALLS or threading.current_thread() is not threading.main_thread():
        yield
        return
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    ear, mouth = socket.socketpair()
    mouth.setblocking(False)
    before = signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
    if before != -1:  # an event loop's
        signal.set_wakeup_fd(before)
    else:
        threading.Thread(target=_listen, args=(ear,), name="zarrstream-interrupt", daemon=True).start()
    try:
        yield
    finally:
        if before == -1:
            signal.set_wakeup_fd(-1)
        mouth.close()


def _listen(ear: socket.socket) -> None:
    with ear:
        while numbers := ear.recv(1):
            if numbers[0] == signal.SIGINT:
                threading.Thread(target=_call_all, name="zarrstream-interrupted", daemon=True).start()


def _call_all() -> None:
    began = time.monotonic()
    with _LOCK:
        waiting = list(_CALLS)  # what begins later was not interrupted
    while waiting:
        time.sleep(0.05)
        with _LOCK:
            waiting = [entry for entry in waiting if entry in _CALLS]
        due = [entry for entry in waiting if time.monotonic() - began >= entry[0]]
        waiting = [entry for entry in waiting if entry not in due]
        for _unused, call in due:
            call()
