# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A Zarr store in a bucket or on a web server for zarr-python, whose requests go the way of all others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from ..abandon import Late
from ..errors import ZarrstreamError
from ..metadata.decoded import LARGEST
from .clients import SLOWEST
from .listing import in_time
from .retry import LATER

if TYPE_CHECKING:
    from zarr.abc.buffer import Buffer, BufferPrototype
    from zarr.abc.store import ByteRequest, Store

    from .retry import Lane

T = TypeVar("T")


def zarr_reader(client: Any, lane: Lane, translate: Callable[[Exception, str, str], ZarrstreamError]) -> Store:
    """The store at which ``client`` (of obstore) is rooted, to read. What fails is raised as ``translate`` says it."""
    from zarr.storage import ObjectStore

    async def carry(send: Callable[[], Awaitable[T]], verb: str, key: str) -> T:
        try:
            return await lane.call_async(send)
        except ZarrstreamError:
            raise
        except Exception as error:
            raise translate(error, verb, key) from error

    class ZarrReader(ObjectStore[Any]):
        most: Callable[[str], int] = staticmethod(lambda _key: LARGEST)  # bytes that an object may have

        async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
            if byte_range is None:
                return await carry(lambda: _whole(client, key, prototype, self.most(key), lane.timeout + LATER), "read", key)
            seconds = lane.timeout + LATER + _length(byte_range) / SLOWEST
            return await carry(lambda: _before(seconds, ObjectStore.get(self, key, prototype, byte_range)), "read", key)

        async def exists(self, key: str) -> bool:
            return await carry(lambda: _before(lane.timeout + LATER, ObjectStore.exists(self, key)), "read", key)

        async def list_dir(self, prefix: str) -> AsyncGenerator[str, None]:
            where = f"a server with '{prefix}'"
            for key in await carry(lambda: in_time(ObjectStore.list_dir(self, prefix), lane, where), "list", prefix):
                yield key

    return ZarrReader(client, read_only=True)


async def _whole(client: Any, key: str, prototype: BufferPrototype, most: int, seconds: float) -> Buffer | None:
    """An object whose size is looked at before its bytes come; both in time."""
    import obstore

    try:
        answer = await _before(seconds, obstore.get_async(client, key))
    except FileNotFoundError:
        return None
    size = answer.meta["size"]
    if size > most:
        raise too_large(key, size, most)
    data: Any = await _before(seconds + size / SLOWEST, answer.bytes_async())
    return prototype.buffer.from_bytes(data)


async def _before(seconds: float, answer: Awaitable[T]) -> T:
    """An answer; raises Late where it takes longer. Nobody waits for it then."""
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except TimeoutError:
        raise Late from None


def _length(wanted: ByteRequest) -> int:
    """Bytes of a part of an object, as far as they are known."""
    start, end = getattr(wanted, "start", 0), getattr(wanted, "end", None)
    return getattr(wanted, "suffix", LARGEST if end is None else end - start)


def part_of(wanted: ByteRequest | None, size: int) -> tuple[int, int]:
    """Begin and end of what Zarr asks for of an object of this size; all of it for None."""
    if wanted is None:
        return 0, size
    from zarr.abc.store import OffsetByteRequest, RangeByteRequest

    if isinstance(wanted, RangeByteRequest):
        return min(wanted.start, size), min(wanted.end, size)
    return (min(wanted.offset, size) if isinstance(wanted, OffsetByteRequest) else max(0, size - wanted.suffix)), size


def too_large(place: str, size: int, most: int) -> ZarrstreamError:
    """The error for an object that is not read."""
    return ZarrstreamError(f"'{place}' has {size} bytes, and no more than {most} are possible: it is not read.", key=place)


@lru_cache(1)
def reading_store() -> type[Store]:
    """What stores that are read alone have in common: ``get``, ``exists``, ``list`` and ``list_dir`` are left to make.

    Whatever Zarr reads goes through ``get``, by this class' own means to read several parts too.
    """
    from zarr.abc.store import Store

    class ReadingStore(Store):
        supports_writes = supports_deletes = supports_partial_writes = False
        supports_listing = True

        def __eq__(self, other: object) -> bool:
            return self is other

        __hash__ = object.__hash__

        async def get_partial_values(
            self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
        ) -> list[Buffer | None]:
            return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

        async def set(self, key: str, value: Buffer) -> None:
            raise NotImplementedError

        async def delete(self, key: str) -> None:
            raise NotImplementedError

        async def list_prefix(self, prefix: str) -> AsyncGenerator[str, None]:
            async for key in self.list():
                if key.startswith(prefix):
                    yield key

    return ReadingStore
