# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Swift's s3api with one addition: unsigned S3 requests, as Ceph RGW answers them.

Stock s3api hands an unsigned request on as a Swift request, which fails. Here it is served as nobody's: the
bucket is looked for in every account, since an anonymous reader names none, and the containers' read ACLs
decide as ever. Signed requests and Swift's own paths are untouched.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from swift.common.middleware.acl import parse_acl, referrer_allowed
from swift.common.middleware.s3api import s3api
from swift.common.middleware.s3api.s3request import S3Request
from swift.common.middleware.s3api.s3response import (
    AccessDenied,
    ErrorResponse,
    NoSuchBucket,
    SignatureDoesNotMatch,
)
from swift.proxy.controllers.base import get_container_info

_SWIFT_PATHS = ("/v1/", "/v1.0/", "/info/", "/healthcheck/")
_SIGNED_BY_QUERY = ("Signature=", "AWSAccessKeyId=", "X-Amz-Credential=", "temp_url_sig=")
_ACCOUNTS_SECONDS = 1.0


def is_unsigned_s3(environ: dict[str, Any]) -> bool:
    """Tell whether a request names a bucket by its path and carries no proof of identity at all."""
    path = environ.get("PATH_INFO", "/")
    return (
        path.strip("/") != ""
        and not f"{path}/".startswith(_SWIFT_PATHS)
        and environ["REQUEST_METHOD"] != "OPTIONS"
        and not any(header in environ for header in ("HTTP_AUTHORIZATION", "HTTP_X_AUTH_TOKEN"))
        and not any(mark in environ.get("QUERY_STRING", "") for mark in _SIGNED_BY_QUERY)
    )


class AnonymousRequest(S3Request):
    """An S3 request of nobody: there is no signature to look for."""

    _is_header_auth = True  # otherwise the parent looks for a signature in the query

    def __init__(self, environ: dict[str, Any], app: Any, conf: Any) -> None:
        super().__init__(environ, app, conf)
        del self.environ["s3api.auth_details"]  # without them s3token lets the request through as it is
        self.user_id = "anonymous"

    def _parse_auth_info(self) -> tuple[str, str]:
        return "anonymous", ""


class Accounts:
    """The names of all accounts, from the account databases on this machine; read at most once a second."""

    def __init__(self, devices: Path) -> None:
        self._devices = devices
        self._names: list[str] = []
        self._read_at = 0.0

    def names(self) -> list[str]:
        """Return the names of the accounts, without Swift's own, which begin with a dot."""
        if time.monotonic() - self._read_at > _ACCOUNTS_SECONDS:
            databases = sorted(self._devices.glob("*/accounts/*/*/*/*.db"))
            self._names = [name for name in map(_account_of, databases) if name and not name.startswith(".")]
            self._read_at = time.monotonic()
        return self._names


def _account_of(database: Path) -> str | None:
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            row = connection.execute("SELECT account FROM account_stat").fetchone()
    except sqlite3.Error:  # just being created
        return None
    return str(row[0]) if row else None


class S3WithAnonymousRead(s3api.S3ApiMiddleware):
    """Swift's middleware for S3, which also serves requests without a signature."""

    def __init__(self, app: Any, conf: dict[str, str]) -> None:
        super().__init__(app, conf)
        self._accounts = Accounts(Path(conf["devices"]))

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serve a request; errors are S3's, so that clients understand them."""
        if not is_unsigned_s3(environ):
            served: Iterable[bytes] = super().__call__(environ, start_response)
            return served
        try:
            response = self._serve_anonymous(environ)
        except SignatureDoesNotMatch:  # what s3api makes of "not allowed": nothing was signed here
            response = AccessDenied(reason="anonymous")
        except ErrorResponse as error:
            response = error
        answer: Iterable[bytes] = response(environ, start_response)
        return answer

    def _serve_anonymous(self, environ: dict[str, Any]) -> Any:
        request = AnonymousRequest(environ, self.app, self.conf)
        request.account = self._owner(environ, request.container_name)
        return self.handle_request(request)

    def _owner(self, environ: dict[str, Any], bucket: str) -> str:
        """Return the account that holds the bucket; of several, one whose bucket anyone may read."""
        found = None
        for account in self._accounts.names():
            probe = {**environ, "PATH_INFO": f"/v1/{account}/{bucket}", "REQUEST_METHOD": "HEAD"}
            info = get_container_info(probe, self.app, swift_source="S3")
            if info["status"] // 100 != 2:
                continue
            referrers, _groups = parse_acl(info["read_acl"])
            if referrer_allowed(environ.get("HTTP_REFERER"), referrers):
                return account
            found = found or account
        if found is None:
            raise NoSuchBucket(bucket)
        return found


def filter_factory(global_conf: dict[str, str], **conf: str) -> Any:
    """Paste's way to make the filter; the option devices names the folder of Swift's devices."""
    s3api.filter_factory(global_conf, **conf)  # registers what /info says about S3
    merged = {**global_conf, **conf}
    return lambda app: S3WithAnonymousRead(s3api.ListingEtagMiddleware(app), merged)
