# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Chunks on their way: stores whose metadata come from a template, and whose chunks are sent and recorded, or read back."""

from __future__ import annotations

import asyncio
import itertools
import threading
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ..compat import as_buffer, fused_pipeline, wait_for
from ..encoding.zstd import zstd_setting
from ..metadata.hierarchy import is_document
from ..parallel import MAKERS
from ..planning.chunking import Region
from ..sidecar.manifest import Stored, damaged, md5_of
from ..storage.objects import Objects
from ..storage.zarr_store import part_of, reading_store

if TYPE_CHECKING:
    import numpy as np
    import zarr
    from zarr.abc.buffer import Buffer, BufferPrototype
    from zarr.abc.store import ByteRequest

_SETTINGS = threading.Lock()
Data: TypeAlias = "bytes | memoryview"
_HASH_IN_THREAD = 2**18  # bytes above which a digest would hold up the other requests


class Staged:
    """The objects of a store that is not published: metadata documents from a template, by key below the store, and no chunk."""

    writes = False

    def __init__(self, documents: Mapping[str, bytes]) -> None:
        self.documents = documents

    def read(self, key: str) -> bytes | None:
        """The bytes of an object; None where there is none."""
        return self.documents.get(key)

    def write(self, key: str, data: Data) -> None:
        """Take an encoded chunk."""
        raise NotImplementedError

    def send(self, keys: Iterable[str]) -> None:
        """Send chunks that were taken."""
        raise NotImplementedError


class Outgoing(Staged):
    """Chunks to be sent: each is held until ``send``, and recorded with its MD5 when it has arrived.

    None is read, because every block covers whole chunks. ``put`` sends one, ``on_stored`` is called with its key and record,
    ``ready`` before any. What is in ``kept`` with the same bytes is not sent.
    """

    writes = True

    def __init__(
        self,
        documents: Mapping[str, bytes],
        put: Callable[[str, Data], Awaitable[None]],
        on_stored: Callable[[str, Stored], None],
        *,
        kept: Mapping[str, Stored] | None = None,
        ready: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(documents)
        self._put, self._on_stored, self._kept, self._ready = put, on_stored, {} if kept is None else kept, ready
        self._held: dict[str, tuple[Data, Stored]] = {}

    def write(self, key: str, data: Data) -> None:
        """Take an encoded chunk, and hold it."""
        self._held[key] = (data, md5_of(data))

    def send(self, keys: Iterable[str]) -> None:
        """Send these of the chunks that are held, and wait until they have arrived; raises the first error."""
        waiting = {key: self._held.pop(key) for key in keys if key in self._held}
        self._ready()
        wait_for(self._send_all(waiting))

    async def _send_all(self, waiting: Mapping[str, tuple[Data, Stored]]) -> None:
        sending = [asyncio.ensure_future(self._send_one(key, data, stored)) for key, (data, stored) in waiting.items()]
        try:
            await asyncio.gather(*sending)
        except BaseException:
            # The others would go on, and write into a store whose write has ended.
            for each in sending:
                each.cancel()
            await asyncio.gather(*sending, return_exceptions=True)
            raise

    async def _send_one(self, key: str, data: Data, stored: Stored) -> None:
        if self._kept.get(key) != stored:
            await self._put(key, data)
        self._on_stored(key, stored)


class ReadBack(Staged):
    """Chunks as they lie at the server, each read whole; ``where`` gives the place of one by its key."""

    def __init__(
        self, documents: Mapping[str, bytes], objects: Objects, where: Callable[[str], str], proved: Callable[[str, Stored], bool]
    ) -> None:
        super().__init__(documents)
        self._objects, self._where, self._proved = objects, where, proved
        self._read_whole = lru_cache(MAKERS)(self._fetch)  # a shard at the edge of its array is read in parts, one after the other

    def read(self, key: str) -> bytes | None:
        """The bytes of an object; raises WriteError where they are not ``proved``."""
        data = super().read(key)
        return self._read_whole(key) if data is None and not is_document(key) else data

    def _fetch(self, key: str) -> bytes:
        place = self._where(key)
        data = self._objects.get(place)
        if data is None or not self._proved(key, md5_of(data)):
            raise damaged(self._objects, place, "is missing" if data is None else "has other bytes than were sent")
        return data


class _Shown:
    """A ``Staged`` as Zarr wants to see it: with the class that Zarr has for stores, which takes long to import, it is one."""

    staged: Staged
    supports_listing = False

    @property
    def supports_writes(self) -> bool:
        return self.staged.writes

    async def get(self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None) -> Buffer | None:
        if self.staged.writes or key in self.staged.documents:
            return self.get_sync(key, prototype=prototype, byte_range=byte_range)
        return await asyncio.to_thread(self.get_sync, key, prototype=prototype, byte_range=byte_range)

    def get_sync(self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None) -> Buffer | None:
        data = self.staged.read(key)
        return None if data is None else as_buffer(data[slice(*part_of(byte_range, len(data)))], prototype)

    async def set(self, key: str, value: Buffer) -> None:
        if len(value) > _HASH_IN_THREAD:
            await asyncio.to_thread(self.set_sync, key, value)
        else:
            self.set_sync(key, value)

    def set_sync(self, key: str, value: Buffer) -> None:
        self.staged.write(key, memoryview(value.as_numpy_array().view("B")))  # as it is: a copy would cost time and memory

    def delete_sync(self, key: str) -> None:
        raise NotImplementedError

    async def exists(self, key: str) -> bool:
        return key in self.staged.documents

    async def list(self) -> AsyncIterator[str]:
        for key in self.staged.documents:
            yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        for key in self.staged.documents:
            if key.startswith(prefix):
                yield key.removeprefix(prefix).split("/")[0]


@lru_cache(1)
def _store_class() -> Any:
    return type("StagedStore", (_Shown, reading_store()), {})


class StagedArray:
    """An array of a staged store, of which whole objects are read and written, by several threads at once."""

    def __init__(self, array: zarr.Array, name: str, staged: Staged) -> None:
        self.array, self.name, self.staged = array, name, staged
        self.chunks, self.shards, self.metadata = array.chunks, array.shards, array.metadata

    def __getitem__(self, region: tuple[slice, ...]) -> Any:
        return self.array[region]

    def encode(self, region: Region, values: np.ndarray) -> None:
        """Encode these values. The objects wait for ``send``; the values are needed no longer."""
        self.array[tuple(slice(start, stop) for start, stop in region)] = values

    def send(self, region: Region) -> None:
        """Send the objects of a region; when it returns they have arrived."""
        self.staged.send(block_keys(self, self.name, region))


def open_staged(staged: Staged, name: str, zarr_format: Literal[2, 3]) -> StagedArray:
    """An array of a staged store. Every chunk of it gets written, so that a missing object is always a fault."""
    import zarr

    # zarr 3.1 takes the first from its settings alone when an array is opened, not from open_array's own argument.
    settings = {"array.write_empty_chunks": True, **fused_pipeline(), **(zstd_setting() if staged.writes else {})}
    # Settings are the process's: two threads at once would leave them changed.
    with _SETTINGS, warnings.catch_warnings(), zarr.config.set(settings):
        warnings.simplefilter("ignore")  # as in template
        mode: Literal["r", "r+"] = "r+" if staged.writes else "r"
        store = _store_class()(read_only=not staged.writes)
        store.staged = staged
        return StagedArray(zarr.open_array(store, path=name, mode=mode, zarr_format=zarr_format), name, staged)


def block_keys(array: StagedArray, name: str, region: Region) -> Iterator[str]:
    """The keys of the objects in a region of whole objects (chunks, or shards), as the array's metadata spells them."""
    unit = array.shards or array.chunks
    ranges = [range(start // step, -(-stop // step)) for (start, stop), step in zip(region, unit, strict=True)]
    for position in itertools.product(*ranges):
        yield f"{name}/{array.metadata.encode_chunk_key(position)}"
