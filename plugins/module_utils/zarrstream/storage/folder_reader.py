# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A Zarr store in a folder for zarr-python, to read: zarr's own LocalStore follows links."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from ..compat import as_buffer
from .location import ObjectInfo, StoreUrl
from .zarr_store import part_of, reading_store

if TYPE_CHECKING:
    from zarr.abc.buffer import Buffer, BufferPrototype
    from zarr.abc.store import ByteRequest, Store


class Folder(Protocol):
    """What is read of a folder in the role of a bucket."""

    place: StoreUrl

    def list(self, prefix: str) -> Iterator[ObjectInfo]: ...

    def names(self, folder: str) -> Collection[str]: ...

    def get_range(self, key: str, part: Callable[[int], tuple[int, int]] | None) -> bytes | None: ...

    def head(self, key: str) -> dict[str, Any] | None: ...


def folder_reader(objects: Folder) -> Store:
    """The store at the place of ``objects``."""
    root = objects.place.key

    class FolderReader(reading_store()):  # type: ignore[misc]
        async def get(self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None) -> Buffer | None:
            data = await asyncio.to_thread(objects.get_range, f"{root}/{key}", partial(part_of, byte_range))
            return None if data is None else as_buffer(data, prototype)

        async def exists(self, key: str) -> bool:
            return await asyncio.to_thread(objects.head, f"{root}/{key}") is not None

        async def list(self) -> AsyncIterator[str]:
            for info in objects.list(root):
                if not info.kind:
                    yield info.key.removeprefix(f"{root}/")

        async def list_dir(self, prefix: str) -> AsyncIterator[str]:
            for name in await asyncio.to_thread(objects.names, f"{root}/{prefix.strip('/')}".rstrip("/")):
                yield name

    return FolderReader(read_only=True)
