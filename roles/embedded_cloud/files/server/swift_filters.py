# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Paste filters that let stock Swift run as one process, without memcached and with passwords in files."""

# ruff: noqa: ARG001, ARG002 - Swift and Paste give these arguments by name

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from keystonemiddleware import auth_token
from swift.common.middleware.s3api import s3token

Filter = Callable[[Any], Any]
_HANDLER = logging.StreamHandler(sys.stderr)
_HANDLER.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
_MOST_ENTRIES = 50_000


def log_to_stderr(conf: dict[str, str], name: str, console: bool, route: str, fmt: str, logger: logging.Logger, adapted: Any) -> None:
    """Send a Swift logger to stderr, where the supervisor keeps it (log_custom_handlers; Swift knows only syslog)."""
    if _HANDLER not in logger.handlers:
        logger.addHandler(_HANDLER)


def _with_password(conf: dict[str, str]) -> dict[str, str]:
    """Replace the option password_file by the password that the file holds."""
    rest = {key: value for key, value in conf.items() if key != "password_file"}
    return {**rest, "password": Path(conf["password_file"]).read_text().strip()}


def authtoken(global_conf: dict[str, str], **conf: str) -> Filter:
    """Keystone's token filter, with the service user's password from a file."""
    made: Filter = auth_token.filter_factory(global_conf, **_with_password(conf))
    return made


def s3_token(global_conf: dict[str, str], **conf: str) -> Filter:
    """Swift's filter that lets Keystone check S3 signatures, with the service user's password from a file."""
    made: Filter = s3token.filter_factory(global_conf, **_with_password(conf))
    return made


class Cache:
    """The part of MemcacheRing's interface that Swift uses, on a dictionary. Right while the proxy is one process.

    Values are kept as JSON, since callers get what would come back from memcached: copies, lists for tuples.
    """

    def __init__(self) -> None:
        self._entries: dict[str, tuple[str, float]] = {}

    def get(self, key: str, raise_on_error: bool = False) -> Any:
        """Return the value, or None when there is none or its time is over."""
        text, until = self._entries.get(key, ("null", 0.0))
        if until and until < time.time():
            self._entries.pop(key, None)
            return None
        return json.loads(text)

    def set(
        self,
        key: str,
        value: Any,
        serialize: bool = True,
        time: float = 0,
        min_compress_len: int = 0,
        raise_on_error: bool = False,
    ) -> None:
        """Keep value for time seconds; 0 means for ever."""
        if len(self._entries) >= _MOST_ENTRIES:
            self._entries.clear()
        text = value.decode() if isinstance(value, bytes) else value
        self._entries[key] = (json.dumps(text), _after(time))

    def incr(self, key: str, delta: int = 1, time: float = 0) -> int:
        """Add delta to a number, which never falls below 0; return the new one."""
        number = max(0, int(self.get(key) or 0) + int(delta))
        self.set(key, number, time=time)
        return number

    def decr(self, key: str, delta: int = 1, time: float = 0) -> int:
        """Subtract delta from a number."""
        return self.incr(key, -int(delta), time)

    def delete(self, key: str, server_key: str | None = None) -> None:
        """Forget a value."""
        self._entries.pop(key, None)

    def set_multi(
        self,
        mapping: dict[str, Any],
        server_key: str,
        serialize: bool = True,
        time: float = 0,
        min_compress_len: int = 0,
    ) -> None:
        """Keep several values."""
        for key, value in mapping.items():
            self.set(key, value, time=time)

    def get_multi(self, keys: Iterable[str], server_key: str) -> list[Any]:
        """Return several values, None for each that is missing."""
        return [self.get(key) for key in keys]


def _after(seconds: float) -> float:
    return time.time() + seconds if seconds else 0.0


def cache(global_conf: dict[str, str], **conf: str) -> Filter:
    """A filter that offers a Cache where Swift's middleware looks for memcached."""
    shared = Cache()

    def make(app: Any) -> Any:
        def serve(environ: dict[str, Any], start_response: Any) -> Any:
            environ["swift.cache"] = shared
            return app(environ, start_response)

        return serve

    return make
