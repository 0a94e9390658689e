# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keeps an error of one TLS connection of distributed from ending the others of its process.

Python reads OpenSSL's list of errors without emptying it first (github.com/python/cpython/issues/148594). After a peer had gone
without waiting for an answer, the next read of any other connection of that thread failed, and a scheduler lost workers and clients
with whom all was well. Imports nothing of this package: a service of Dask and a person's ``Client()`` load it as a file of its own.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any

OPERATIONS = ("read_from_fd", "write_to_fd", "_do_ssl_handshake")


def dask_setup(_server: Any) -> None:
    """What distributed calls in a scheduler, a nanny, a worker or a client that preloads this file."""
    keep_errors_apart()


def keep_errors_apart() -> None:
    """Let each operation of a TLS connection of this process begin with OpenSSL's list of errors empty, as OpenSSL wants it."""
    from tornado.iostream import SSLIOStream

    for name in OPERATIONS:
        operation = getattr(SSLIOStream, name)
        if not hasattr(operation, "__wrapped__"):  # each nanny and each client of a process asks for it
            setattr(SSLIOStream, name, _with_no_old_errors(operation))


def _with_no_old_errors(operation: Callable[..., Any]) -> Callable[..., Any]:
    no_cipher = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    @wraps(operation)
    def begin(stream: Any, *arguments: Any) -> Any:
        with suppress(ssl.SSLError):
            no_cipher.set_ciphers("NONE")  # Python empties the list before it says that there is no such thing; ten microseconds
        return operation(stream, *arguments)

    return begin
