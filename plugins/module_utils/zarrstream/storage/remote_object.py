# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An object on a web server or in a bucket that is read by ranges, each of which is checked to be of the same version."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from ..errors import SourceError
from .obstore_errors import Failed, interrupted
from .remote import UNKNOWN, Version
from .remote_errors import GONE, About, bytes_of
from .remote_http import Reply
from .remote_requests import Requests, Target

T = TypeVar("T")

HEAD = 16_384  # bytes that are asked for at first
WHOLE = 2**20  # bytes: so much is taken of a server that has no ranges
MOST = 2**27  # bytes a request
PIECE = 2**20  # bytes that read_all hands over at a time
LARGEST = 2**40  # bytes that may come of what nobody knows the size of
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_EMPTY = re.compile(r"bytes \*/0+")
_PAGE = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<(!doctype\s+html|html|head|body)[\s>]", re.IGNORECASE | re.DOTALL
)
_STRONG = re.compile(r'"[^"]*"')
_IN_RANGES, _AS_A_WHOLE = frozenset({200, 206, 412, 416}), frozenset({200, 412})


def open_object(requests: Requests, target: Target) -> WebObject:
    """Ask for the beginning of an object, and find out what it is. Raises SourceError."""
    about = target.about

    def take(reply: Reply) -> tuple[Version, bool, bytes]:
        if reply.status == 416:
            return _nothing(reply, about)
        _check_plain(reply, about)
        found = _first_range(reply, about) if reply.status == 206 else _first_whole(reply, about)
        requests.fetched.add(len(found[2]), 0.0, requests=0)
        _check_file(reply, found[2], about)
        return found

    (version, ranges, head), there = requests.get(target, {"Range": f"bytes=0-{HEAD - 1}"}, take, WHOLE, frozenset({200, 206, 416}))
    return WebObject(requests, target, there, version, ranges, head)


def _nothing(reply: Reply, about: About) -> tuple[Version, bool, bytes]:
    if not _EMPTY.fullmatch(reply.headers.get("content-range", "bytes */0")):
        raise about.error(f"its server refuses to send its beginning (416, {reply.headers['content-range']}). Ask whoever runs it.")
    return _version(reply, about, 0), True, b""


def _first_range(reply: Reply, about: About) -> tuple[Version, bool, bytes]:
    start, stop, total = _content_range(reply, about)
    if start or total == UNKNOWN or stop != min(HEAD, total):
        raise _wrong_range(reply, about, 0, HEAD)
    return _version(reply, about, total), True, _body(reply, stop, about)


def _first_whole(reply: Reply, about: About) -> tuple[Version, bool, bytes]:
    """An answer that does not care for the range: all of it where that is little, else its beginning."""
    if not reply.ends:
        _check_file(reply, reply.read(HEAD), about)
        raise about.error(
            "its server sends no ranges, and does not say how long it is: nobody could tell whether all of it came. Download it."
        )
    size = UNKNOWN if reply.length is None else reply.length
    most = WHOLE if size == UNKNOWN else size if size <= WHOLE else HEAD
    head = reply.read(most)
    if size == UNKNOWN and len(head) < WHOLE:
        size = len(head)
    if len(head) < min(most, size):
        raise Failed(interrupted("the answer was interrupted"))
    return _version(reply, about, size), False, head


def _version(reply: Reply, about: About, size: int) -> Version:
    return Version(about.shown, size, reply.headers.get("etag", ""), reply.headers.get("last-modified", ""))


class WebObject:
    """A RemoteObject. ``first`` is the place that the user named, ``there`` the one that it led to."""

    def __init__(self, requests: Requests, first: Target, there: Target, version: Version, ranges: bool, head: bytes) -> None:
        self._requests, self._first, self._there = requests, first, there
        self._version, self._ranges, self._head = version, ranges, head
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"WebObject({self._version.url!r}, {self._version.size})"

    @property
    def version(self) -> Version:
        """The object as it was when it was found."""
        return self._version

    @property
    def ranges(self) -> bool:
        """Whether its server sends ranges; else there is only ``read_all``."""
        return self._ranges

    @property
    def head(self) -> bytes:
        """Its first bytes, which came with the first answer."""
        return self._head

    def read(self, start: int, stop: int) -> bytes:
        """Exactly the bytes from ``start`` to before ``stop``, in one request for each 128 MiB."""
        if not 0 <= start <= stop <= self._version.size:
            raise self._first.about.of(bytes_of(start, stop)).error(
                f"it has {self._version.size} bytes. It is damaged, or was not uploaded whole."
            )
        if not self._ranges:
            raise AssertionError("a server without ranges is read as a whole")
        if start == stop:
            return b""
        if stop <= len(self._head):
            return self._head[start:stop]
        if stop - start <= MOST:
            return self._range(start, stop)
        return b"".join(self._range(at, min(at + MOST, stop)) for at in range(start, stop, MOST))

    def read_all(self, take: Callable[[bytes], object]) -> None:
        """All bytes from the first one, in pieces of at most a MiB, each handed to ``take``; after ``take(b"")`` from the beginning."""
        if self._ranges or self._version.size == len(self._head):
            for start in range(0, self._version.size, PIECE):
                data = self._head[start : start + PIECE]
                take(data if len(self._head) == self._version.size else self.read(start, min(start + PIECE, self._version.size)))
            return
        self._whole(take)

    def _range(self, start: int, stop: int) -> bytes:
        headers = {"Range": f"bytes={start}-{stop - 1}", **self._conditions()}
        return self._get(
            headers, lambda reply, about: self._checked(reply, about, start, stop), stop - start, _IN_RANGES, bytes_of(start, stop)
        )

    def _whole(self, take: Callable[[bytes], object]) -> None:
        fence, attempts = threading.Lock(), [0]

        def give(attempt: int, data: bytes) -> None:
            with fence:  # an attempt that nobody waits for any longer may still read
                if attempts[0] != attempt:
                    raise Failed(interrupted())
                take(data)

        def everything(reply: Reply, about: About) -> int:
            with fence:
                attempts[0] += 1
                attempt = attempts[0]
            if attempt > 1:
                give(attempt, b"")
            self._check_version(reply, about)
            _check_plain(reply, about)
            if not reply.ends or (reply.length not in (None, self._version.size) and self._version.size != UNKNOWN):
                raise about.changed(
                    f"it had {self._version.size} bytes, and now has {reply.headers.get('content-length', 'as many as come')}"
                )
            size = 0
            try:
                while data := reply.read(PIECE):
                    size += len(data)
                    self._requests.fetched.add(len(data), 0.0, requests=0)
                    give(attempt, data)
                if self._version.size not in (size, UNKNOWN) or reply.length not in (size, None):
                    raise Failed(interrupted("the answer was interrupted"))
            except Failed as error:
                raise Failed(replace(error.answer, moved=size >= PIECE)) from None
            return size

        try:
            size = self._get(
                self._conditions(), everything, LARGEST if self._version.size == UNKNOWN else self._version.size, _AS_A_WHOLE, "all bytes"
            )
        finally:
            with fence:
                attempts[0] += 1
        self._version = replace(self._version, size=size)

    def _get(self, headers: Mapping[str, str], take: Callable[[Reply, About], T], size: int, usual: frozenset[int], part: str) -> T:
        with self._lock:
            there = self._there
        about = self._first.about.of(part)

        def ask(target: Target) -> tuple[T, Target]:
            return self._requests.get(target, headers, lambda reply: take(reply, about), size, usual, part)

        try:
            found, there = ask(there)
        except SourceError as error:
            if there.url == self._first.url or error.details.get("status") not in GONE:
                raise
            found, there = ask(self._first)  # where it led to is valid for a time
        with self._lock:
            self._there = there
        return found

    def _conditions(self) -> dict[str, str]:
        if _STRONG.fullmatch(self._version.etag):
            return {"If-Match": self._version.etag}
        return {"If-Unmodified-Since": self._version.last_modified} if self._version.last_modified else {}

    def _checked(self, reply: Reply, about: About, start: int, stop: int) -> bytes:
        if reply.status == 200:
            self._check_version(reply, about)
            raise about.error("its server sent ranges before, and now all of it. Run again; if it stays, ask whoever runs it.")
        if reply.status == 416:
            raise about.changed(f"it had {self._version.size} bytes, and its server says that it ends before these (416)")
        self._check_version(reply, about)
        _check_plain(reply, about)
        begin, end, total = _content_range(reply, about)
        if total not in (self._version.size, UNKNOWN):
            raise about.changed(f"it had {self._version.size} bytes, and now has {total}")
        if (begin, end) != (start, stop):
            raise _wrong_range(reply, about, start, stop)
        data = _body(reply, stop - start, about)
        self._requests.fetched.add(len(data), 0.0, requests=0)
        return data

    def _check_version(self, reply: Reply, about: About) -> None:
        """Raises SourceChanged unless the answer says that it is of the same version, where that can be told at all."""
        if reply.status == 412:
            raise about.changed("its server has another version now (412)")
        was = self._version
        known = {
            "ETag": (was.etag, reply.headers.get("etag", "")),
            "Last-Modified": (was.last_modified, reply.headers.get("last-modified", "")),
        }
        for name, (before, now) in known.items():
            if before and now and before != now:
                raise about.changed(f"{name} was {before}, and is {now}")
        if was.known and not any(before and now for before, now in known.values()):
            raise about.changed("its server no longer says which version it sends")


def _check_plain(reply: Reply, about: About) -> None:
    """Refuse what is compressed for the way: its bytes are not those of the object."""
    encoding = reply.headers.get("content-encoding", "identity").lower()
    if encoding not in ("", "identity", "aws-chunked"):  # the last is how it was sent to the bucket; some servers repeat it
        text = f"its server sends it compressed ({encoding}), though it was asked not to, and the bytes of the file cannot be addressed"
        raise about.error(f"{text}. Ask whoever runs it to switch that off for this file, or download and unpack it.")


def _check_file(reply: Reply, head: bytes, about: About) -> None:
    """Refuse a web page, which servers send in place of a file to who has not logged in."""
    if _PAGE.match(head[:4096]) is None:
        return
    text = f"a web page came instead of a file ({reply.headers.get('content-type') or 'HTML'}, with {about.login.who})"
    raise about.error(f"{text}: its server wants a login there, or the URL is that of a page about the file. {about.login.remedy}")


def _content_range(reply: Reply, about: About) -> tuple[int, int, int]:
    """First byte, byte behind the last one, and size of the object, UNKNOWN where the server does not say."""
    text = reply.headers.get("content-range", "")
    found = _RANGE.fullmatch(text)
    if not found:
        kind = reply.headers.get("content-type", "")
        raise about.error(f"its server answers 206 without saying which bytes these are ({text or kind or 'no Content-Range'}).")
    return int(found[1]), int(found[2]) + 1, UNKNOWN if found[3] == "*" else int(found[3])


def _wrong_range(reply: Reply, about: About, start: int, stop: int) -> SourceError:
    text = f"its server was asked for {bytes_of(start, stop)} and sent others ({reply.headers['content-range']})"
    return about.error(f"{text}: it, or a cache in between, is faulty. Try again; if it stays, ask whoever runs it.")


def _body(reply: Reply, size: int, about: About) -> bytes:
    """Exactly so many bytes."""
    if reply.length not in (None, size):
        raise about.error(f"its server announces {size} bytes (Content-Range) and sends {reply.length} (Content-Length): it is faulty.")
    data = reply.read(size)
    if len(data) < size:
        raise Failed(interrupted("the answer was interrupted"))
    if reply.length is None and reply.read(1):
        raise about.error(f"its server sends more than the {size} bytes that it announces: it is faulty.")
    return data
