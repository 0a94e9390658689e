# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""GETs to servers of sources, over connections that are kept: one attempt each, without redirects. ``remote_requests`` does the rest."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPException
from time import time
from typing import Any

from .. import __version__
from .obstore_errors import Answer, Failed, answered, interrupted
from .remote_urls import origin_of
from .timeouts import CONNECT_TIMEOUT, READ_TIMEOUT

AGENT = f"zarrstream/{__version__} (+https://github.com/zarrstream/platform)"
WORDS = 2**16  # bytes of an error's body that are read
_CODE, _REGION = re.compile(rb"<Code>\s*(\w+)\s*</Code>"), re.compile(rb"<Region>\s*([\w-]+)\s*</Region>")
_ENDPOINT = re.compile(rb"<Endpoint>\s*([^<\s]+)\s*</Endpoint>")
_EXPIRED = re.compile(rb"expired", re.IGNORECASE)
_NO_NAME = ("Name or service not known", "nodename nor servname", "No address associated")
_VERIFY = re.compile(r"certificate verify failed: ([^(\"']+?)\s*\(")
_HOPELESS = ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER", "RECORD_LAYER", "UNSUPPORTED_PROTOCOL", "ALERT")


class Refused(Failed):
    """An answer that is none to what was asked, with what it says about the cause."""

    def __init__(self, answer: Answer, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(answer)
        region, endpoint = _REGION.search(body), _ENDPOINT.search(body)
        self.headers = dict(headers)
        self.region = region.group(1).decode() if region else ""
        self.endpoint = f"https://{endpoint.group(1).decode(errors='replace')}" if endpoint else ""
        self.expired = (
            bool(_EXPIRED.search(body) or "expired" in headers.get("www-authenticate", "").lower()) or answer.code == "ExpiredToken"
        )


class Reply:
    """The head of an answer, whose body is still to be read. ``headers`` have lower-case names."""

    def __init__(self, response: Any) -> None:
        self._raw, self._reading = response.raw, False
        self.headers = {name.lower(): value.strip() for name, value in response.raw.headers.items()}
        status = int(response.status_code)
        # rclone serve s3 sends ranges with 200: what is said of its bytes counts, or a part would pass for the whole.
        self.status = 206 if status == 200 and self.headers.get("content-range", "").startswith("bytes ") else status

    @property
    def length(self) -> int | None:
        """Bytes of the body as the server says; None where it does not."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isdecimal() and text.isascii() else None

    @property
    def ends(self) -> bool:
        """Whether the end of the body can be told from that of the connection."""
        return self.length is not None or "chunked" in self.headers.get("transfer-encoding", "").lower()

    def read(self, most: int) -> bytes:
        """So many bytes of the body, fewer only at its end. Raises Failed."""
        from urllib3.exceptions import HTTPError

        self._reading = True
        try:
            data: bytes = self._raw.read(most)
        except (HTTPError, HTTPException, OSError, ValueError, AttributeError) as error:
            # The two last: it was stopped by another thread.
            raise Failed(interrupted("the answer was interrupted", silent="Timeout" in type(error).__name__)) from None
        finally:
            self._reading = False
        return data

    def refusal(self) -> Refused:
        """What this answer says, where it is none to what was asked."""
        body = b""
        with suppress(Failed):
            body = self.read(WORDS)
        found = _CODE.search(body)
        phrase = HTTPStatus(self.status).phrase if self.status in HTTPStatus.__members__.values() else ""
        code = found.group(1).decode() if found else ""
        return Refused(answered(self.status, code, phrase, retry_after(self.headers)), self.headers, body)

    def stop(self) -> None:
        """End it, from whichever thread: a connection whose body was read to its end is kept, another one is closed."""
        try:
            self._raw.shutdown()  # wakes a thread that reads
        except AttributeError:  # urllib3 before 2.3: to close it would wait for that thread, which ends with its time-outs
            if self._reading:
                return
        except (OSError, RuntimeError, ValueError):
            pass  # it has ended already
        with suppress(Exception):
            self._raw.close()


class Connections:
    """To each server as many as there are ``concurrency``, kept as long as it does. Safe from several threads."""

    def __init__(self, concurrency: int, timeout: float) -> None:
        self._concurrency, self._patience = concurrency, min(READ_TIMEOUT, timeout)
        self._sessions: dict[tuple[Any, ...], Any] = {}
        self._lock = threading.Lock()

    def get(self, url: str, headers: Mapping[str, str], verify: str | bool) -> Reply:
        """The answer to a GET. Raises Failed; no exception has the URL, in which there may be a signature."""
        from botocore.awsrequest import AWSPreparedRequest
        from botocore.exceptions import BotoCoreError, HTTPClientError

        all_headers = {**headers, "User-Agent": AGENT, "Accept-Encoding": "identity"}
        request = AWSPreparedRequest("GET", url, all_headers, None, stream_output=True)
        try:
            return Reply(self._session(url, verify).send(request))
        except (HTTPClientError, BotoCoreError) as error:
            raise Failed(lost(error)) from None

    def close(self) -> None:
        """Close those that nobody uses; a further request opens new ones."""
        with self._lock:
            sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            session.close()

    def _session(self, url: str, verify: str | bool) -> Any:
        from botocore.httpsession import URLLib3Session
        from botocore.utils import get_environ_proxies

        key = (*origin_of(url), verify)
        with self._lock:
            if key not in self._sessions:
                self._sessions[key] = URLLib3Session(
                    verify=verify,
                    proxies=get_environ_proxies(url),
                    timeout=(min(CONNECT_TIMEOUT, self._patience), self._patience),
                    max_pool_connections=self._concurrency,
                )
            return self._sessions[key]


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that the server asks to wait, given as such or as a date; 0 where it does not ask."""
    text = headers.get("retry-after", "")
    if text.isdecimal() and text.isascii():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time()) if text else 0.0
    except (ValueError, OverflowError):
        return 0.0


def lost(error: Exception) -> Answer:
    """What botocore says about a request that got no answer."""
    from botocore import exceptions as kinds

    cause = getattr(error, "kwargs", {}).get("error")
    text = str(cause)  # that of the error itself has the URL
    if isinstance(error, kinds.ProxyConnectionError):
        return interrupted("the proxy that the environment names does not answer", absent=True)
    if isinstance(error, kinds.SSLError):
        return _handshake(text)
    if isinstance(error, kinds.ConnectTimeoutError):
        return interrupted(silent=True, absent=True)
    if isinstance(error, kinds.ReadTimeoutError):
        return interrupted(silent=True)
    if isinstance(error, kinds.EndpointConnectionError):
        known = not any(sign in text for sign in _NO_NAME)
        named = "resolve" in text or not known
        reason = "no address is known for this name" if named else "connection refused" if "refused" in text else "no connection"
        return Answer("", 0, reason, passing=known, overloaded=False, absent=True)
    if isinstance(error, kinds.ConnectionClosedError):
        return interrupted()
    passing = isinstance(cause, OSError | HTTPException)
    return Answer("", 0, f"no request came about ({type(cause or error).__name__})", passing, overloaded=False, absent=False)


def _handshake(text: str) -> Answer:
    found = _VERIFY.search(text)
    if found or "CERTIFICATE_VERIFY_FAILED" in text:
        why = f" ({found.group(1).strip()})" if found else ""
        return Answer("", 0, f"its certificate is not trusted{why}", passing=False, overloaded=False, absent=False)
    if any(sign in text for sign in _HOPELESS):
        word = next(sign for sign in _HOPELESS if sign in text).replace("_", " ").lower()
        return Answer("", 0, f"no TLS connection came about ({word})", passing=False, overloaded=False, absent=False)
    return interrupted()
