# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Requests for sources, with redirects: each through the lane of its server, which repeats it and bounds how many there are."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

from .clients import SLOWEST
from .obstore_errors import Failed
from .redirects import CODES, Redirect
from .remote import Fetched
from .remote_errors import About, explain
from .remote_http import Connections, Reply
from .remote_login import Anonymous, Login
from .remote_urls import origin_of, sent_url, shown_url
from .retry import LATER, GaveUp, Lane, Transport

T = TypeVar("T")

MOST_REDIRECTS = 5


@dataclass(frozen=True)
class Target:
    """Where an object is asked for. ``endpoint``, of a bucket, follows nowhere: its answers are explained as S3's."""

    url: str = field(repr=False)  # its query may be a signature
    login: Login
    verify: str | bool
    about: About

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port."""
        return origin_of(self.url)


@dataclass(frozen=True)
class _Hop:
    """The answer is elsewhere."""

    status: int
    location: str = field(repr=False)


class _Going:
    """The answer that is being read. Its thread may go on when nobody waits any longer: then it is stopped."""

    def __init__(self) -> None:
        self.reply: Reply | None = None

    def stop(self) -> None:
        reply, self.reply = self.reply, None
        if reply:
            reply.stop()


class Requests:
    """What all objects share: connections, lanes, the hosts that redirects may lead to, and the counters."""

    def __init__(self, transport: Transport, concurrency: int, hosts: tuple[str, ...], fetched: Fetched) -> None:
        self._transport, self._concurrency = transport, concurrency
        self._hosts = {host.lower() for host in hosts}
        self.fetched = fetched
        self._connections = Connections(concurrency, transport.timeout)

    def lane(self, target: Target) -> Lane:
        """The way to its server: of sources alone, so that what is read takes no places from what is written."""
        return self._transport.lane("source {}://{}:{}".format(*target.origin), self._concurrency)

    def get(
        self, target: Target, headers: Mapping[str, str], take: Callable[[Reply], T], size: int, usual: frozenset[int], part: str = ""
    ) -> tuple[T, Target]:
        """What ``take`` makes of an answer with a ``usual`` status, and where it came from. Raises SourceError.

        ``size`` is what is expected in bytes, and says how long it may take. ``take`` is called in another thread, again where the
        answer was interrupted, which it says by Failed. ``part`` names what is asked for, in messages.
        """
        first, places = target, [target.about.shown]
        while True:
            try:
                outcome = self._once(target, headers, take, size, usual)
            except (Failed, GaveUp) as error:
                raise explain(error, target.about.of(part), self._transport.timeout) from None
            if not isinstance(outcome, _Hop):
                return outcome, target
            target = self._follow(first, target, outcome)
            places.append(shown_url(target.url))
            if len(places) > MOST_REDIRECTS + 1:
                raise first.about.error(f"it sends from one place to the next: {' → '.join(places)}. Ask whoever runs it.")

    def close(self) -> None:
        """Close connections that nobody uses."""
        self._connections.close()

    def _once(self, target: Target, headers: Mapping[str, str], take: Callable[[Reply], T], size: int, usual: frozenset[int]) -> T | _Hop:
        lane, going, began = self.lane(target), _Going(), time.monotonic()
        try:
            send = partial(self._send, going, target, headers, take, usual)
            return lane.call(send, lane.timeout + LATER + size / SLOWEST)
        finally:
            going.stop()
            self.fetched.add(0, time.monotonic() - began, requests=0)

    def _send(
        self, going: _Going, target: Target, headers: Mapping[str, str], take: Callable[[Reply], T], usual: frozenset[int]
    ) -> T | _Hop:
        going.stop()  # the attempt before
        self.fetched.add(0, 0.0)
        reply = self._connections.get(target.url, target.login.headers(target.url, dict(headers)), target.verify)
        going.reply = reply
        if reply.status in usual:
            return take(reply)
        refusal = reply.refusal()
        if reply.status in CODES:
            return _Hop(reply.status, reply.headers.get("location") or (refusal.endpoint if target.about.endpoint else ""))
        raise refusal

    def _follow(self, first: Target, target: Target, hop: _Hop) -> Target:
        """The next place; raises SourceError where it is none that may be asked."""
        where = urljoin(target.url, hop.location)
        shown = shown_url(where)
        about = first.about
        if about.endpoint:
            raise about.error(Redirect(hop.status, shown if hop.location else "").explain(about.endpoint))
        if not hop.location or not _on_the_web(where):
            raise about.error(f"its server answers {hop.status} and sends on, but to no place on the web ('{shown}'). Ask whoever runs it.")
        (scheme, host, port), (_unused, own, _its) = origin_of(where), first.origin
        if target.origin[0] == "https" and scheme == "http":
            raise about.error(f"it sends from https on to {shown}, where others can read and change what is sent: that is not followed.")
        same = origin_of(where) == first.origin or (host == own and first.origin[0] == "http" and scheme == "https")
        if not same and not self._hosts & {host, f"{host}:{port}"}:
            text = f"it sends on to another host, {host}:{port} ({shown}), which is followed only where source_hosts has it"
            raise about.error(f"{text}. If that host has the file, add '{host}' to source_hosts; if it asks people to log in, use a token.")
        login = first.login if origin_of(where) == first.origin else Anonymous(_ELSEWHERE)
        return replace(target, url=sent_url(where), login=login, about=replace(about, login=login))


def _on_the_web(url: str) -> bool:
    """Whether a URL is one, and without credentials."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        return False


_ELSEWHERE = "The first server sent on to there, and credentials are not sent along. Name the place itself, or get a signed URL."
