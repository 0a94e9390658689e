# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A Zarr store in a folder for zarr-python, to read: zarr's own LocalStore follows links."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

    from .folder import FolderObjects


def folder_reader(objects: FolderObjects) -> Store:
    """The store at the place of ``objects``."""
    return _FolderReader(objects)


class _FolderReader(Store):
    supports_writes = False
    supports_deletes = False
    supports_partial_writes = False
    supports_listing = True

    def __init__(self, objects: FolderObjects) -> None:
        super().__init__(read_only=True)
        self._objects, self._root = objects, objects.place.key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _FolderReader) and other._objects is self._objects

    __hash__ = object.__hash__

    def get_sync(self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None) -> Buffer | None:
        data = self._objects.get_range(f"{self._root}/{key}", _part(byte_range))
        return None if data is None else (prototype or default_buffer_prototype()).buffer.from_bytes(data)

    async def get(self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None) -> Buffer | None:
        return await asyncio.to_thread(self.get_sync, key, prototype=prototype, byte_range=byte_range)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        return list(await asyncio.gather(*(self.get(key, prototype, byte_range) for key, byte_range in key_ranges)))

    async def exists(self, key: str) -> bool:
        return await asyncio.to_thread(self._objects.head, f"{self._root}/{key}") is not None

    async def set(self, key: str, value: Buffer) -> None:
        raise NotImplementedError

    async def delete(self, key: str) -> None:
        raise NotImplementedError

    async def set_partial_values(self, key_start_values: Iterable[tuple[str, int, Any]]) -> None:
        raise NotImplementedError

    async def list(self) -> AsyncIterator[str]:
        for key in await asyncio.to_thread(self._keys, ""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        for key in await asyncio.to_thread(self._keys, ""):
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        inside = prefix.strip("/")
        for name in await asyncio.to_thread(self._objects.names, f"{self._root}/{inside}".rstrip("/")):
            yield name

    def _keys(self, prefix: str) -> Collection[str]:
        folder = f"{self._root}/{prefix}".rstrip("/")
        return [info.key.removeprefix(f"{self._root}/") for info in self._objects.list(folder) if not info.kind]


def _part(wanted: ByteRequest | None) -> Callable[[int], tuple[int, int]] | None:
    """The bytes that Zarr asks for, by the size of the object."""
    if isinstance(wanted, RangeByteRequest):
        start, end = wanted.start, wanted.end
        return lambda size: (min(start, size), end)
    if isinstance(wanted, OffsetByteRequest):
        offset = wanted.offset
        return lambda size: (min(offset, size), size)
    if isinstance(wanted, SuffixByteRequest):
        suffix = wanted.suffix
        return lambda size: (max(0, size - suffix), size)
    return None
