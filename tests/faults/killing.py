"""A writer that is killed when a certain request of it passes."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Any

from faults import writers
from faults.actions import call
from faults.proxy import Exchange, FaultProxy, Rule
from zarrstream.write.request import WriteRequest


def killed(
    proxy: FaultProxy, wanted: WriteRequest, method: str, pattern: str, *, first: int = 1, after: bool = False, **settings: Any
) -> bool:
    """Write, and kill the writer just before, or just after, the server does one of its requests; whether it was killed.

    When this returns the server has ended all that the writer had sent, or readers would look while it still works on that.
    """
    started: Future[writers.Writer] = Future()

    async def kill(exchange: Exchange) -> Any:
        writer = await asyncio.wrap_future(started)  # its first request may come before ``start`` has returned
        return await call(writer.kill, after=after)(exchange)

    proxy.misbehave(Rule(method, pattern, kill, first=first))
    started.set_result(writers.start(wanted, **settings))
    outcome = started.result().outcome()
    proxy.settle()
    proxy.misbehave()
    return outcome is None
