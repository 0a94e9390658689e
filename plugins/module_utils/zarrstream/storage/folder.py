# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A local folder in the role of a bucket: its objects are regular files, and no link below it is ever followed.

Files are replaced by renaming, never written in place: a hard link keeps its bytes. Half-written files lie in a folder of the
sidecar, where nothing of anybody else's can be. obstore's LocalStore does none of these.
"""

from __future__ import annotations

import errno
import fcntl
import getpass
import os
import re
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import AccessRefused, Conflict, NotFound, ZarrstreamError
from .location import ObjectInfo, StoreUrl
from .nofollow import ABSENT, CREATE, FOLDER, READ, NoFollow
from .objects import Objects

if TYPE_CHECKING:
    from zarr.abc.buffer import Buffer, BufferPrototype
    from zarr.abc.store import ByteRequest, Store

PARTS = "parts"  # of the sidecar: half-written files
_PART = re.compile(r"[0-9a-f]{32}")


class FolderObjects(Objects):
    """The objects below ``parent``, of which ``place`` names the store. Keys are paths relative to it."""

    def __init__(self, place: StoreUrl, parent: Path) -> None:
        super().__init__(place, endpoint=str(parent))
        self._files = NoFollow(parent)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every file below a folder, with links and what else is no regular file, whose ``kind`` says so."""
        try:
            yield from self._files.listed(prefix)
        except ABSENT:
            return
        except OSError as error:
            raise self.translate(error, "list", prefix) from None

    def names(self, folder: str) -> Collection[str]:
        """The names of files and folders directly in a folder."""
        try:
            with self._files.opened(folder, FOLDER) as handle, os.scandir(handle) as entries:
                return [entry.name for entry in entries]
        except ABSENT:
            return []
        except OSError as error:
            raise self.translate(error, "list", folder) from None

    def get(self, key: str) -> bytes | None:
        """The bytes of a file, or None where there is none."""
        return self.get_range(key, None)

    def get_range(self, key: str, part: Callable[[int], tuple[int, int]] | None) -> bytes | None:
        """The bytes from start to stop, which ``part`` tells for a file of a size; all of them without it."""
        try:
            with self._files.opened(key, READ) as handle:
                size = self._files.regular(handle, key).st_size
                start, stop = part(size) if part else (0, size)
                return _read(handle, start, min(stop, size))
        except ABSENT:
            return None
        except OSError as error:
            raise self.translate(error, "read", key) from None

    def get_part(self, key: str, start: int, stop: int) -> bytes | None:
        """The bytes of a file from ``start`` to before ``stop``, as far as it has them; None where there is none."""
        return self.get_range(key, lambda size: (min(start, size), stop))

    def head(self, key: str) -> dict[str, Any] | None:
        """Size and ``last_modified`` of a file; None where there is none."""
        try:
            with self._files.opened(key, READ) as handle:
                found = self._files.regular(handle, key)
        except ABSENT:
            return None
        except OSError as error:
            raise self.translate(error, "read", key) from None
        return {"path": key, "size": found.st_size, "e_tag": None, "last_modified": datetime.fromtimestamp(found.st_mtime, UTC)}

    def put(self, key: str, data: bytes | memoryview, *, create: bool = False) -> None:
        """Write a file, which appears whole; ``create`` raises Conflict where something is already."""
        self._send(key, data, create)

    async def put_async(self, key: str, data: bytes | memoryview) -> None:
        """As ``put``. Where it is cancelled the file is written all the same: when this ends, nothing goes on."""
        import asyncio

        sending = asyncio.ensure_future(asyncio.to_thread(self._send, key, data, create=False))
        try:
            await asyncio.shield(sending)
        except asyncio.CancelledError:
            await asyncio.wait([sending])
            raise

    def copy(self, key: str, to: str) -> None:
        """Copy a file, over what is there."""
        data = self.get(key)
        if data is None:
            raise NotFound(f"cannot copy {self._files.path(key)}: there is no such file.", key=key)
        self.put(to, data)

    def delete(self, keys: Iterable[str], done: Callable[[int], None] | None = None) -> None:
        """Delete files, those already gone included, and the folders that become empty so; calls ``done`` for each."""
        folders: set[str] = set()
        for key in keys:
            around, _unused, name = key.rpartition("/")
            try:
                with suppress(*ABSENT), self._files.opened(around, FOLDER) as folder:
                    os.unlink(name, dir_fd=folder)
                    folders.add(around)
            except OSError as error:
                raise self.translate(error, "delete", key) from None
            if done:
                done(1)
        self._files.prune(folders)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Alone among the writers of this host while it lasts."""
        handle = None
        # A place that cannot be written to says so at the first object; some network disks have no locks.
        with suppress(OSError):
            handle = self._files.enter(self.place.sidecar.split("/"), make=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if handle is not None:
                os.close(handle)

    def sweep(self) -> None:
        """Remove what a killed write left half-written."""
        parts = f"{self.place.sidecar}/{PARTS}"
        self.delete([info.key for info in self.list(parts) if not info.kind and _PART.fullmatch(info.key.removeprefix(f"{parts}/"))])

    def tidy(self, ours: Callable[[str], bool]) -> None:
        """Remove the empty folders of the sidecar, and those of the store that ``ours`` knows, by path below the store."""
        place = self.place
        self._files.tidy(place.sidecar, lambda path: path == PARTS)
        self._files.tidy(place.key, ours)

    def remove_folders(self) -> None:
        """Remove store and sidecar where they are empty."""
        self._files.tidy(self.place.sidecar, lambda path: path == PARTS)
        with suppress(OSError), self._files.opened("", FOLDER) as parent:
            for name in (self.place.sidecar, self.place.key):
                with suppress(OSError):
                    os.rmdir(name, dir_fd=parent)

    def zarr_store(self) -> Store:
        """The Zarr store at ``place`` for zarr-python, to read: zarr's own LocalStore follows links."""
        import asyncio

        from ..compat import as_buffer
        from .zarr_store import part_of, reading_store

        objects, root = self, self.place.key

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

    def translate(self, error: Exception, verb: str, key: str) -> ZarrstreamError:
        """An OSError as one of ours."""
        path = self._files.path(key)
        if isinstance(error, ZarrstreamError):
            return error
        if not isinstance(error, OSError):
            return ZarrstreamError(f"cannot {verb} {path}: {error}", key=key)
        what = f"cannot {verb} {path}: {error.strerror}"
        if isinstance(error, PermissionError):
            return AccessRefused(f"{what} (user {_user()}). Check its owner and mode, and those of the folders around it.", key=key)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return AccessRefused(f"{what}. Free some room there, or name another place.", key=key)
        if error.errno == errno.EISDIR:
            return Conflict(f"{path} is a folder, where a file of the store belongs. Move it elsewhere, or name another store.", key=key)
        if error.errno == errno.EXDEV:
            return Conflict(f"{what}: another file system is mounted below '{self.place.url}'. Unmount it, or name another store.", key=key)
        return ZarrstreamError(f"{what}. Name another place, or put this one in order.", key=key)

    def _send(self, key: str, data: bytes | memoryview, create: bool) -> None:
        for attempt in range(3):
            try:
                return self._put(key, data, create)
            except FileExistsError:
                raise Conflict(f"cannot write {self._files.path(key)}: it exists already.", key=key) from None
            except FileNotFoundError as error:  # another writer has just removed an empty folder
                if attempt == 2:
                    raise self.translate(error, "write", key) from None
            except OSError as error:
                raise self.translate(error, "write", key) from None
        return None

    def _put(self, key: str, data: bytes | memoryview, create: bool) -> None:
        around, _unused, name = key.rpartition("/")
        part = secrets.token_hex(16)
        parts = self._files.enter([self.place.sidecar, PARTS], make=True)
        try:
            _write(os.open(part, CREATE, 0o666, dir_fd=parts), data)
            try:
                folder = self._files.enter(around.split("/"), make=True)
                try:
                    if create:
                        os.link(part, name, src_dir_fd=parts, dst_dir_fd=folder, follow_symlinks=False)
                    else:
                        os.rename(part, name, src_dir_fd=parts, dst_dir_fd=folder)
                finally:
                    os.close(folder)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(part, dir_fd=parts)
        finally:
            os.close(parts)


def make_parent(place: StoreUrl) -> None:
    """Make the folder that is to hold a store; raises AccessRefused where that fails."""
    folder = place.parent
    if folder is None:
        raise AssertionError("it is a place in a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        text = f"{place.url}: the folder {folder} cannot be made: {error.strerror}. Name another place, or put this one in order."
        raise AccessRefused(text, store=place.url) from None


def _read(handle: int, start: int, stop: int) -> bytes:
    if start >= stop:
        return b""
    pieces = []
    while start < stop and (piece := os.pread(handle, stop - start, start)):
        pieces.append(piece)
        start += len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _write(handle: int, data: bytes | memoryview) -> None:
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(handle, rest) :]
    finally:
        os.close(handle)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.geteuid())
