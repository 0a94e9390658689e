# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is known of an object on a web server or in a bucket that is read by ranges, and of how such objects are reached."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from .timeouts import TIMEOUT

UNKNOWN = -1  # a size that the server does not say
CONCURRENCY = 16  # requests to one host at a time, where ``source_concurrency`` is not given


@dataclass(frozen=True)
class SourceAccess:
    """How sources are reached: names and paths on this host, no secrets; None is for what the access of the store says.

    ``hosts`` are those that a redirect may lead to, beside the host itself. ``token_file`` holds a bearer token, for URLs of the
    web; without it ~/.netrc is asked. ``spool`` is a folder for what cannot be read by ranges and is too large for memory.
    """

    profile: str | None = None
    endpoint_url: str | None = field(default=None, repr=False)  # keys do not belong there, and are refused when it is used
    anonymous: bool = False
    ca_bundle: str | None = None
    token_file: str | None = None
    hosts: tuple[str, ...] = ()
    concurrency: int = CONCURRENCY
    spool: str | None = None
    timeout: float = TIMEOUT


@dataclass(frozen=True)
class Version:
    """Which object it is: what the server says of it, '' for what it does not.

    ``url`` is as it may be shown, without query. ``size`` is in bytes; UNKNOWN until all is read, from servers without ranges only.
    """

    url: str
    size: int
    etag: str = ""
    last_modified: str = ""

    @property
    def known(self) -> bool:
        """Whether a later request can tell that the object has changed, without reading it."""
        return bool(self.etag or self.last_modified)


@dataclass
class Fetched:
    """What was fetched from sources so far: bytes of bodies, requests with repetitions, seconds that threads waited for them."""

    size: int = 0
    requests: int = 0
    seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, size: int, seconds: float, requests: int = 1) -> None:
        """Count a request; safe from several threads."""
        with self._lock:
            self.size, self.requests, self.seconds = self.size + size, self.requests + requests, self.seconds + seconds


class RemoteObject(Protocol):
    """An object that is read by ranges, several at a time from several threads. Raises SourceError that names URL and bytes.

    No byte of another version is ever returned: what changed in between is an error.
    """

    @property
    def version(self) -> Version:
        """The object as it was when it was found."""

    @property
    def ranges(self) -> bool:
        """Whether its server sends ranges; else there is only ``read_all``."""

    @property
    def head(self) -> bytes:
        """Its first bytes, which came with the first answer; the whole object where it is small."""

    def read(self, start: int, stop: int) -> bytes:
        """Exactly the bytes from ``start`` to before ``stop``, in one request."""

    def read_all(self, take: Callable[[bytes], object]) -> None:
        """All bytes from the first one, in pieces of at most a MiB, each handed to ``take``; from the beginning in each attempt.

        An attempt that is repeated calls ``take(b"")`` first, upon which what was taken is forgotten.
        """
