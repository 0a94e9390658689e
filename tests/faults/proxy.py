"""A proxy in front of a real S3 server that lets chosen requests go wrong, and keeps a log of all.

Which requests, and how, is said by rules: ``Rule("PUT", r"/c/0$", refused(503, "SlowDown"), first=2, count=3)`` lets the second to
fourth PUT of such a key fail. The first rule that is due decides. Requests pass as they came, the ``Host`` header included: it
is signed, so that clients are simply given the proxy's address as their endpoint.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web
from yarl import URL

EVER = 10**9
_OF_THE_CONNECTION = frozenset({"connection", "keep-alive", "transfer-encoding", "content-encoding", "server"})


@dataclass(frozen=True)
class Answer:
    """What the server, or an action in its place, answers."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Exchange:
    """A request on its way. An action may change it, ``forward`` it once, never or twice, and returns the answer for the client."""

    proxy: FaultProxy
    request: web.Request
    body: bytes
    headers: dict[str, str]

    async def forward(self) -> Answer:
        """Send the request on, and read the whole answer: as on a real way, nobody takes back what has left when the client is gone."""
        sending = asyncio.create_task(self._send())
        self.proxy.passing.add(sending)
        sending.add_done_callback(self.proxy.passing.discard)
        return await asyncio.shield(sending)

    async def _send(self) -> Answer:
        url = URL(f"{self.proxy.server}{self.request.raw_path}", encoded=True)
        sending = self.proxy.session.request(
            self.request.method,
            url,
            headers=self.headers,
            data=self.body or None,
            allow_redirects=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )
        async with sending as answer:
            headers = {name: value for name, value in answer.headers.items() if name.lower() not in _OF_THE_CONNECTION}
            return Answer(answer.status, await answer.read(), headers)

    def reset(self) -> None:
        """Break the client's connection off."""
        transport = self.request.transport
        if transport is not None:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()


Action = Callable[[Exchange], Awaitable[Answer | None]]  # None where the connection was interrupted


@dataclass
class Rule:
    """Which requests suffer what: by method and by a pattern in the decoded path and query, from the ``first`` on, ``count`` of them."""

    method: str
    pattern: str
    action: Action
    first: int = 1
    count: int = 1
    matched: int = 0

    @property
    def suffered(self) -> int:
        """How many requests it has hit so far."""
        return max(0, min(self.matched - self.first + 1, self.count))

    def is_due(self, method: str, target: str) -> bool:
        """Whether this request suffers; counts it."""
        if not re.fullmatch(self.method, method) or not re.search(self.pattern, target):
            return False
        self.matched += 1
        return self.first <= self.matched < self.first + self.count


@dataclass
class Seen:
    """A request in the log; ``status`` is 0 where the client got no answer, or none yet."""

    method: str
    target: str
    status: int = 0


class FaultProxy:
    """Listens on a port of loopback, in a thread of its own. ``server`` is an address without path, ``http://127.0.0.1:8080``."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.rules: list[Rule] = []
        self.log: list[Seen] = []
        self.passing: set[asyncio.Task[Any]] = set()  # what has not come to its end yet, here or at the server
        self.session: ClientSession
        self.port = 0
        self._runner: web.AppRunner
        self._known: set[Any] = set()  # the connections that were there when the rules began
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._stop = asyncio.Event()

    @property
    def endpoint(self) -> str:
        """What clients are told as endpoint."""
        return f"http://127.0.0.1:{self.port}"

    def misbehave(self, *rules: Rule) -> None:
        """Follow these rules instead of those before, and begin the log anew."""
        with self._lock:
            self.rules, self.log = list(rules), []
            self._known = self._connections()

    def count(self, method: str, pattern: str = "") -> int:
        """The requests in the log with this method (a pattern) and target."""
        with self._lock:
            return sum(bool(re.fullmatch(method, seen.method) and re.search(pattern, seen.target)) for seen in self.log)

    def settle(self, seconds: float = 60) -> None:
        """Wait until the server has ended all that was sent on, for clients too that came since the rules began and are gone by now."""

        async def ended() -> None:
            async with asyncio.timeout(seconds):
                await self._accept()
                while self._connections() - self._known:  # one ends here when all that its client has sent was read
                    await asyncio.sleep(0.005)
                while self.passing:
                    await asyncio.wait(self.passing)

        asyncio.run_coroutine_threadsafe(ended(), self._loop).result()

    async def _accept(self) -> None:
        """Wait until all connections that clients have opened are known here: they are accepted in turn, and this one is the last."""
        _, last = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            ours = last.get_extra_info("sockname")
            while not any(known.transport and known.transport.get_extra_info("peername") == ours for known in self._connections()):
                await asyncio.sleep(0.005)
        finally:
            last.close()

    def _connections(self) -> set[Any]:
        server = self._runner.server
        return set(server.connections) if server else set()

    @contextmanager
    def running(self) -> Iterator[FaultProxy]:
        """Serve while it lasts."""
        self._thread.start()
        self._ready.wait(30)
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(30)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        application = web.Application(client_max_size=2**28)
        application.router.add_route("*", "/{path:.*}", self._handle)
        # Hanging requests end with their clients.
        runner = self._runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        async with ClientSession(timeout=ClientTimeout(60), connector=TCPConnector(limit=0), auto_decompress=False) as self.session:
            await site.start()
            self.port = runner.addresses[0][1]
            self._ready.set()
            await self._stop.wait()
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        handling = asyncio.current_task()
        assert handling is not None
        self.passing.add(handling)
        try:
            return await self._answer(request)
        finally:
            self.passing.discard(handling)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        seen = Seen(request.method, unquote(request.raw_path))
        with self._lock:
            self.log.append(seen)
            due = [rule for rule in self.rules if rule.is_due(seen.method, seen.target)]
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OF_THE_CONNECTION - {"content-encoding"}}
        exchange = Exchange(self, request, await request.read(), headers)
        answer = await (due[0].action(exchange) if due else exchange.forward())
        if answer is None:
            exchange.reset()
            return web.Response()
        seen.status = answer.status
        return web.Response(status=answer.status, body=None if request.method == "HEAD" else answer.body, headers=answer.headers)
