# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""obstore's clients of one bucket or server. Time-outs belong to a client, so that objects of other sizes need other ones."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from .timeouts import CONNECT_TIMEOUT, READ_TIMEOUT

SLOWEST = 2**19  # bytes a second that a connection has to carry at least
_SIZES = (2**20, 2**24, 2**27, 2**30, 2**33)  # bytes
_READ_SIZE = 2**27  # bytes: what is larger is read by a client of its own

# obstore repeats nothing: ``transport`` does.
NO_RETRIES = {"max_retries": 0, "retry_timeout": timedelta(seconds=1)}


class Clients:
    """``make`` makes a client of the bucket from obstore's client options, ``rooted`` one of the store itself, for Zarr.

    ``timeout`` is the transport's, in seconds: no attempt takes longer, but for what its size needs.
    """

    def __init__(self, make: Callable[[dict[str, Any]], Any], rooted: Callable[[dict[str, Any]], Any], timeout: float) -> None:
        self._make, self._make_rooted = make, rooted
        self._patience = min(READ_TIMEOUT, timeout)
        self._made: dict[tuple[str, int], Any] = {}
        self._lock = threading.Lock()

    def reader(self, size: int = 0) -> Any:
        """A client for what has a short request: reading objects of about ``size`` bytes, listing, deleting."""
        # The time until the first byte of the answer, and then without one.
        return self._client("reader", self._make, max(size, _READ_SIZE), {"read_timeout": timedelta(seconds=self._patience)})

    def reads(self, size: int) -> bool:
        """Whether ``reader()`` has time for so many bytes."""
        return size <= _READ_SIZE

    def rooted(self) -> Any:
        """As ``reader``, with keys below the store."""
        options = {"read_timeout": timedelta(seconds=self._patience)}
        return self._client("rooted", self._make_rooted, _SIZES[-1], options)

    def sender(self, size: int) -> Any:
        """A client that sends objects of ``size`` bytes: obstore's read time-out would count the time that sending takes."""
        return self._client("sender", self._make, size, {})

    def _client(self, kind: str, make: Callable[[dict[str, Any]], Any], size: int, options: dict[str, Any]) -> Any:
        fitting = next((limit for limit in _SIZES if size <= limit), size)
        with self._lock:
            if (kind, fitting) not in self._made:
                whole = timedelta(seconds=self._patience + fitting / SLOWEST)
                connect = timedelta(seconds=min(CONNECT_TIMEOUT, self._patience))
                self._made[kind, fitting] = make({**options, "timeout": whole, "connect_timeout": connect})
            return self._made[kind, fitting]
