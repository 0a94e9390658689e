"""What may go wrong with a request for a part of a source on the web: more actions of the proxy's rules."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from aiohttp import web
from faults.proxy import Action, Answer, Exchange


def answered(status: int, body: bytes = b"", **headers: str) -> Action:
    """The proxy answers, and the request goes no further; ``_`` in names of headers is ``-``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def act(_: Exchange) -> Answer:
        return Answer(status, body, {"Content-Type": "text/html", **named})

    return act


def cut(share: float) -> Action:
    """The connection breaks after this share of the body."""

    async def act(exchange: Exchange) -> None:
        answer, response = await _begun(exchange)
        await response.write(answer.body[: int(share * len(answer.body))])
        await asyncio.sleep(0.05)  # or the reset that follows would take away what was sent

    return act


def dripping(pause: float = 0.3) -> Action:
    """A byte now and then."""

    async def act(exchange: Exchange) -> None:
        answer, response = await _begun(exchange)
        for number in range(len(answer.body)):
            await response.write(answer.body[number : number + 1])
            await asyncio.sleep(pause)

    return act


async def stalled(exchange: Exchange) -> None:
    """Half of it, and then nothing, for longer than anybody waits."""
    answer, response = await _begun(exchange)
    await response.write(answer.body[: len(answer.body) // 2])
    await asyncio.sleep(60)


async def _begun(exchange: Exchange) -> tuple[Answer, web.StreamResponse]:
    answer = await exchange.forward()
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    await response.prepare(exchange.request)
    return answer, response


async def too_short(exchange: Exchange) -> Answer:
    """Half of the range, with a Content-Length that fits and a Content-Range that does not."""
    return _bytes(await exchange.forward(), slice(None, -8))


async def other_range(exchange: Exchange) -> Answer:
    """Other bytes than were asked for, and it is said."""
    first, last = _wanted(exchange)
    exchange.headers["Range"] = f"bytes={first}-{last - 8}"
    return await exchange.forward()


async def no_word_of_ranges(exchange: Exchange) -> Answer:
    """206 without Content-Range."""
    return without(await exchange.forward(), "content-range")


async def no_ranges(exchange: Exchange) -> Answer:
    """All of it, whatever was asked for."""
    exchange.headers.pop("Range", None)
    return without(await exchange.forward(), "accept-ranges")


async def no_conditions(exchange: Exchange) -> Answer:
    """A server that does not know If-Match and If-Unmodified-Since."""
    unconditional(exchange)
    return await exchange.forward()


def unconditional(exchange: Exchange) -> None:
    """Take the conditions off a request."""
    for name in [name for name in exchange.headers if name.lower().startswith("if-")]:
        del exchange.headers[name]


async def no_etag(exchange: Exchange) -> Answer:
    """Only Last-Modified says which version it is."""
    return without(await exchange.forward(), "etag")


async def no_version(exchange: Exchange) -> Answer:
    """Nothing says which version it is."""
    return without(await exchange.forward(), "etag", "last-modified")


def without(answer: Answer, *names: str) -> Answer:
    """The answer without these headers, given in small letters."""
    return replace(answer, headers={name: value for name, value in answer.headers.items() if name.lower() not in names})


def _bytes(answer: Answer, part: slice) -> Answer:
    return replace(without(answer, "content-length"), body=answer.body[part])


def _wanted(exchange: Exchange) -> tuple[int, int]:
    first, _, last = exchange.headers["Range"].removeprefix("bytes=").partition("-")
    return int(first), int(last)
