"""What may go wrong with a request: the actions of the proxy's rules."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from faults.proxy import Action, Answer, Exchange

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'


def refused(status: int, code: str, **headers: str) -> Action:
    """An error as S3 words it; the request goes no further."""
    body = f"{_XML}<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()

    async def act(_: Exchange) -> Answer:
        return Answer(status, body, {"Content-Type": "application/xml", **headers})

    return act


async def reset(_: Exchange) -> None:
    """The connection breaks before the server hears of the request."""


async def lost_answer(exchange: Exchange) -> None:
    """The server does it, and the connection breaks before the answer."""
    await exchange.forward()


def hang(seconds: float = 60) -> Action:
    """Nothing at all, for longer than anybody waits."""

    async def act(_: Exchange) -> None:
        await asyncio.sleep(seconds)

    return act


def once(condition: Callable[[], bool], action: Action = Exchange.forward, seconds: float = 25) -> Action:
    """The request waits until something else has happened."""

    async def act(exchange: Exchange) -> Answer | None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.02)
        return await action(exchange)

    return act


def call(function: Callable[[], Any], *, after: bool = False) -> Action:
    """Something else happens just before, or just after, the server does it."""

    async def act(exchange: Exchange) -> Answer:
        if after:
            answer = await exchange.forward()
            await asyncio.to_thread(function)
            return answer
        await asyncio.to_thread(function)
        return await exchange.forward()

    return act


async def interrupted(exchange: Exchange) -> None:
    """Half of the answer comes, and the connection ends."""
    answer = await exchange.forward()
    response = web.StreamResponse(status=answer.status, headers={**answer.headers, "Content-Length": str(len(answer.body))})
    await response.prepare(exchange.request)
    await response.write(answer.body[: len(answer.body) // 2])
    await asyncio.sleep(0.05)  # or the reset that follows would take away what was sent


async def shortened(exchange: Exchange) -> Answer:
    """Half of the object comes as if it were all of it."""
    answer = await exchange.forward()
    return replace(answer, body=answer.body[: len(answer.body) // 2], headers=_without(answer.headers, "content-length"))


async def flipped_up(exchange: Exchange) -> Answer:
    """A bit changes on the way to the server."""
    exchange.body = flip(exchange.body)
    return await exchange.forward()


async def flipped_down(exchange: Exchange) -> Answer:
    """A bit changes on the way from the server."""
    answer = await exchange.forward()
    return replace(answer, body=flip(answer.body))


async def acknowledged_only(exchange: Exchange) -> Answer:
    """The server says that it stored the object, and did not."""
    return Answer(200, headers={"ETag": f'"{hashlib.md5(exchange.body).hexdigest()}"'})


def not_deleted(code: str = "AccessDenied") -> Action:
    """DeleteObjects answers 200, and says of every key that it stays."""

    async def act(exchange: Exchange) -> Answer:
        keys = re.findall(r"<Key>(.*?)</Key>", exchange.body.decode())
        errors = "".join(f"<Error><Key>{key}</Key><Code>{code}</Code><Message>{code}</Message></Error>" for key in keys)
        return Answer(200, f"{_XML}<DeleteResult>{errors}</DeleteResult>".encode(), {"Content-Type": "application/xml"})

    return act


async def empty_listing(exchange: Exchange) -> Answer:
    """A listing that knows of nothing yet."""
    answer = await exchange.forward()
    body = re.sub(rb"<Contents>.*</Contents>", b"", answer.body, flags=re.DOTALL)
    return replace(answer, body=body, headers=_without(answer.headers, "content-length"))


def unconditional(put: Callable[[str, bytes], Any]) -> Action:
    """A server that does not know If-None-Match, and overwrites. The header is signed: ``put`` (of a key and its bytes) does it."""

    async def act(exchange: Exchange) -> Answer:
        answer = await exchange.forward()
        if answer.status != 412:
            return answer
        await asyncio.to_thread(put, unquote(exchange.request.path).split("/", 2)[2], exchange.body)
        return await acknowledged_only(exchange)

    return act


missing = refused(404, "NoSuchKey")


def flip(data: bytes) -> bytes:
    """The bytes with one bit in their middle changed."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :] if data else data


def _without(headers: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key.lower() != name}
