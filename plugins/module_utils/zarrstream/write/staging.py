# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Chunks on their way: a Zarr store that takes its metadata from a template, sends chunks and records each one's MD5."""

from __future__ import annotations

import asyncio
import itertools
import threading
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ..encoding.zstd import zstd_setting
from ..metadata.hierarchy import is_document
from ..parallel import MAKERS
from ..planning.chunking import Region
from ..sidecar.manifest import Stored, damaged, md5_of
from ..storage.objects import Objects

if TYPE_CHECKING:
    import numpy as np
    import zarr
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

_SETTINGS = threading.Lock()
_FUSED = "FusedCodecPipeline"
Data: TypeAlias = "bytes | memoryview"
_HASH_IN_THREAD = 2**18  # bytes above which a digest would hold up the other requests


def staged_store(  # noqa: C901 - one class of a dozen short methods, whose base must not be imported earlier
    objects: Objects,
    documents: Mapping[str, bytes],
    *,
    where: Callable[[str], str] | None = None,
    on_stored: Callable[[str, Stored], None] | None = None,
    kept: Mapping[str, Stored] | None = None,
    send: Callable[[str, Data], Awaitable[None]] | None = None,
    ready: Callable[[], None] | None = None,
    proved: Callable[[str, Stored], bool] | None = None,
) -> Any:
    """A Zarr store over chunks that are not published: metadata from ``documents``, chunks to or from ``objects``.

    ``where`` gives the place of an object by its key, below the store if it is left out.

    With ``on_stored`` it writes, and calls it with every object's key and record; it reads no chunk, because every block
    covers whole chunks. An encoded chunk is held until ``send_held`` sends it, after ``ready`` has returned. What is in
    ``kept`` with the same bytes is not sent; ``send`` sends the others, to ``objects`` if it is left out. With ``proved`` it
    reads, and raises WriteError for an object of which that is not true.
    """
    from zarr.abc.store import Store
    from zarr.core.buffer import default_buffer_prototype

    place = where or (lambda key: f"{objects.place.key}/{key}")
    put = send or (lambda key, data: objects.put_async(place(key), data))
    held: dict[str, tuple[Data, Stored]] = {}

    @lru_cache(MAKERS)  # a shard at the edge of its array is read in parts, one after the other
    def read_back(key: str) -> bytes:
        data = objects.get(place(key))
        if proved is None:
            raise AssertionError("see above")
        if data is None or not proved(key, md5_of(data)):
            raise damaged(objects, place(key), "is missing" if data is None else "has other bytes than were sent")
        return data

    class StagedStore(Store):
        supports_writes = on_stored is not None
        supports_deletes = False
        supports_partial_writes = False
        supports_listing = False

        def __eq__(self, other: object) -> bool:
            return self is other

        __hash__ = object.__hash__

        async def get(self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None) -> Buffer | None:
            if key in documents or proved is None:
                return self.get_sync(key, prototype=prototype, byte_range=byte_range)
            return await asyncio.to_thread(self.get_sync, key, prototype=prototype, byte_range=byte_range)

        def get_sync(self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None) -> Buffer | None:
            data = documents.get(key)
            if data is None and proved is not None and not is_document(key):
                data = read_back(key)
            if data is None:
                return None
            return (prototype or default_buffer_prototype()).buffer.from_bytes(_part(data, byte_range))

        async def set(self, key: str, value: Buffer) -> None:
            if len(value) > _HASH_IN_THREAD:
                await asyncio.to_thread(self.set_sync, key, value)
            else:
                self.set_sync(key, value)

        def set_sync(self, key: str, value: Buffer) -> None:
            data = memoryview(value.as_numpy_array().view("B"))  # as it is: a copy would cost time and memory
            held[key] = (data, md5_of(data))

        def delete_sync(self, key: str) -> None:
            raise NotImplementedError

        def send_held(self, keys: Iterable[str]) -> None:
            """Send these objects, and wait until they have arrived; raises the first error."""
            from zarr.core.sync import sync

            waiting = {key: held.pop(key) for key in keys if key in held}
            if ready is not None:
                ready()
            sync(self._send(waiting))

        async def _send(self, waiting: Mapping[str, tuple[Data, Stored]]) -> None:
            await asyncio.gather(*(self._send_one(key, data, stored) for key, (data, stored) in waiting.items()))

        async def _send_one(self, key: str, data: Data, stored: Stored) -> None:
            if on_stored is None:
                raise AssertionError("see above")
            if kept is None or kept.get(key) != stored:
                await put(key, data)
            on_stored(key, stored)

        async def exists(self, key: str) -> bool:
            return key in documents

        async def get_partial_values(
            self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
        ) -> list[Buffer | None]:
            return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

        async def set_partial_values(self, key_start_values: Iterable[tuple[str, int, Any]]) -> None:
            raise NotImplementedError

        async def delete(self, key: str) -> None:
            raise NotImplementedError

        async def list(self) -> AsyncIterator[str]:
            for key in documents:
                yield key

        async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
            for key in documents:
                if key.startswith(prefix):
                    yield key

        async def list_dir(self, prefix: str) -> AsyncIterator[str]:
            for key in documents:
                if key.startswith(prefix):
                    yield key.removeprefix(prefix).split("/")[0]

    return StagedStore(read_only=on_stored is None)


class StagedArray:
    """An array of a staged store, of which whole objects are read and written, by several threads at once."""

    def __init__(self, array: zarr.Array, name: str) -> None:
        self.array, self.name = array, name
        self.chunks, self.shards, self.metadata = array.chunks, array.shards, array.metadata

    def __getitem__(self, region: tuple[slice, ...]) -> Any:
        return self.array[region]

    def encode(self, region: Region, values: np.ndarray) -> None:
        """Encode these values. The objects wait for ``send``; the values are needed no longer."""
        self.array[tuple(slice(start, stop) for start, stop in region)] = values

    def send(self, region: Region) -> None:
        """Send the objects of a region; when it returns they have arrived."""
        self.array.store.send_held(block_keys(self, self.name, region))  # type: ignore[attr-defined]


def open_staged(store: Any, name: str, zarr_format: Literal[2, 3]) -> StagedArray:
    """An array of a staged store. Every chunk of it gets written, so that a missing object is always a fault."""
    import zarr

    # zarr 3.1 takes the first from its settings alone when an array is opened, not from open_array's own argument.
    settings = {"array.write_empty_chunks": True, **_synchronous(), **({} if store.read_only else zstd_setting())}
    # Settings are the process's: two threads at once would leave them changed.
    with _SETTINGS, warnings.catch_warnings(), zarr.config.set(settings):
        warnings.simplefilter("ignore")  # as in template
        mode: Literal["r", "r+"] = "r" if store.read_only else "r+"
        return StagedArray(zarr.open_array(store, path=name, mode=mode, zarr_format=zarr_format), name)


def _synchronous() -> dict[str, Any]:
    """The setting for zarr's pipeline without a coroutine for each codec of each chunk, which zarr has since 3.4."""
    import zarr.core.codec_pipeline as pipelines

    return {"codec_pipeline.path": f"{pipelines.__name__}.{_FUSED}"} if hasattr(pipelines, _FUSED) else {}


def block_keys(array: StagedArray, name: str, region: Region) -> Iterator[str]:
    """The keys of the objects in a region of whole objects (chunks, or shards), as the array's metadata spells them."""
    unit = array.shards or array.chunks
    ranges = [range(start // step, -(-stop // step)) for (start, stop), step in zip(region, unit, strict=True)]
    for position in itertools.product(*ranges):
        yield f"{name}/{array.metadata.encode_chunk_key(position)}"


def _part(data: bytes, wanted: ByteRequest | None) -> bytes:
    """The part of an object that Zarr asks for."""
    from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest

    if isinstance(wanted, RangeByteRequest):
        return data[wanted.start : wanted.end]
    if isinstance(wanted, OffsetByteRequest):
        return data[wanted.offset :]
    return data[-wanted.suffix :] if isinstance(wanted, SuffixByteRequest) else data
