# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The keys of a bucket, whatever its server answers: a listing that does not come on, or goes around in circles, is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..abandon import Late
from ..errors import ZarrstreamError
from .retry import LATER, GaveUp, Lane

PAGE = 1000  # keys that a server gives at a time


def list_pages(begin: Callable[[str | None], Any], lane: Lane, prefix: str, where: str) -> Iterator[Sequence[Any]]:
    """What obstore says of all keys below the folder ``prefix``, a page of PAGE keys at a time.

    ``begin`` gives its stream of pages behind a key. Each page has the time of a request, however many answers it is made of.
    ``where`` names the server and the bucket, for messages. Raises what obstore raises, and ZarrstreamError.
    """
    last: str | None = None
    stream: Any = None

    # Not as a coroutine, which could be cancelled: obstore's threads come back to Python after its last page, and abort a process that
    # ends just then, one in twenty. So the thread of a listing without end asks on until its process ends; nobody waits for it.
    def next_page() -> Sequence[Any]:
        nonlocal stream
        try:
            stream = stream or iter(begin(last))
            page: Sequence[Any] = next(stream, ())
        except BaseException:
            stream = None  # a listing that was interrupted goes on behind the last key
            raise
        return page

    def in_its_time() -> Sequence[Any]:
        try:
            return lane.call(next_page, lane.timeout + LATER)
        except (Late, GaveUp) as error:
            if isinstance(error, GaveUp) and not isinstance(error.cause, Late):
                raise
            raise _endless(where, lane.timeout) from None

    while page := in_its_time():
        _check(page, last, prefix, where)
        last = page[-1]["path"]
        yield page


async def in_time(keys: Any, lane: Lane, where: str) -> list[str]:
    """All of what an asynchronous listing gives, in the time of a request; raises ZarrstreamError."""
    try:
        async with asyncio.timeout(lane.timeout + LATER):
            return [key async for key in keys]
    except TimeoutError:
        raise _endless(where, lane.timeout) from None


def _check(page: Sequence[Any], last: str | None, prefix: str, where: str) -> None:
    """Raises ZarrstreamError for a page that goes back, or holds what was not asked for."""
    for meta in page:
        key = meta["path"]
        # What consoles make for a folder, "air.zarr/", obstore gives without its slash.
        if key != prefix and not key.startswith(f"{prefix}/"):
            raise ZarrstreamError(f"{where} lists '{key}', which does not lie below '{prefix}/'. Ask the cloud; nothing was done.", key=key)
        if last is not None and (key == last or f"{key}/".encode() <= last.encode()):
            text = f"{where} lists '{key}' after '{last}': again, or out of order. A listing that goes around in circles has no end."
            raise ZarrstreamError(f"{text} Try again; if it stays, ask the cloud.", key=key)
        last = key


def _endless(where: str, seconds: float) -> ZarrstreamError:
    return ZarrstreamError(
        f"{where} was asked for its keys, and within {seconds:.0f} s came neither {PAGE} of them nor their end: it is very slow, or the "
        "listing has none (empty pages, or one page again and again). Raise timeout for a slow server; else ask the cloud.",
        timeout=seconds,
    )
