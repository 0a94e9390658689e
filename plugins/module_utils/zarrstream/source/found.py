# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a URL leads to: a file that is read by ranges, or a Zarr store. Found with one request for a file, and for most stores."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

from ..errors import SourceError, ZarrstreamError
from ..metadata.hierarchy import ROOTS
from ..storage.location import parse_store, web_place
from ..storage.objects import Objects
from ..storage.remote import UNKNOWN, RemoteObject
from ..storage.remote_urls import shown_url
from ..storage.source_access import SourceReach
from .netcdf3 import MAGIC, size_by_header
from .urls import WEB

HDF5 = b"\x89HDF\r\n\x1a\n"
_AHEAD = 2**16  # bytes that are fetched at least
_NO_FILE = (None, 401, 403, 404, 405)  # the status that a folder has, as which a store may look; None for a page with a list


@dataclass(frozen=True)
class Found:
    """One of them is there."""

    remote: RemoteObject | None = None
    objects: Objects | None = None


def find_url(url: str, reach: SourceReach) -> Found:
    """What is at a URL; raises SourceError where it is neither NetCDF nor HDF5 nor a Zarr store."""
    place, path = shown_url(url), shown_url(url).rstrip("/")
    named_as_store = path.endswith(".zarr") or place.endswith("/")
    if named_as_store and (objects := _zarr(url, reach)):
        return Found(objects=objects)
    try:
        found = reach.remote.open(url)
    except ZarrstreamError as error:
        if named_as_store:
            raise SourceError(f"source '{place}' is not a Zarr store, as it has no {_roots()}, nor a file: {error}", source=place) from None
        if error.details.get("status") not in _NO_FILE or "?" in url:
            raise
        if objects := _zarr_or_none(url, reach):
            return Found(objects=objects)
        raise
    check_file(found, place)
    return Found(remote=found)


def _roots() -> str:
    return f"{ROOTS[0]} or {ROOTS[1]}"


def _zarr(url: str, reach: SourceReach) -> Objects | None:
    """The objects of the store that is at a URL; None where there is none."""
    scheme = url.partition("://")[0]
    objects = reach.open_source(web_place(url) if scheme in WEB else parse_store(url, "source"))
    key = objects.place.key
    return objects if any(objects.get(f"{key}/{root}") is not None for root in ROOTS) else None


def _zarr_or_none(url: str, reach: SourceReach) -> Objects | None:
    try:
        return _zarr(url, reach)
    except ZarrstreamError:  # the error for the file says what is wrong
        return None


def check_file(found: RemoteObject, place: str) -> None:
    """Raises SourceError for what is no NetCDF or HDF5, and for a classic file that is shorter than its header says."""
    head, version = found.head, found.version
    if head[:4] in MAGIC:
        if found.ranges or len(head) == version.size:  # else when all of it is there
            with io.BufferedReader(_Raw(found), _AHEAD) as file:
                needed = size_by_header(file, place)
            if version.size < needed:
                text = f"source '{place}' is truncated: {version.size} bytes, its header promises {needed}. It has to be put there again."
                raise SourceError(text, source=place)
    elif not head.startswith(HDF5) and not _has_user_block(found):
        raise SourceError(f"source '{place}' is neither NetCDF nor HDF5: it begins with {head[:8]!r}.", source=place)


def _has_user_block(found: RemoteObject) -> bool:
    # HDF5 may begin after a block of the user's own, at 512, 1024, 2048 … bytes.
    head = found.head
    size = len(head) if found.version.size == UNKNOWN else found.version.size
    for place in (2**power for power in range(9, 20)):
        if place + 8 > size:
            return False
        if place + 8 <= len(head):
            magic = head[place : place + 8]
        elif found.ranges:
            magic = found.read(place, place + 8)
        else:
            return False
        if magic == HDF5:
            return True
    return False


class _Raw(io.RawIOBase):
    """The bytes of an object one after the other; those of its head are there."""

    def __init__(self, found: RemoteObject) -> None:
        self._found, self._place = found, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = offset + (0, self._place, self._found.version.size)[whence]
        return self._place

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        start, size = self._place, self._found.version.size
        stop = min(start + len(buffer), size)
        if start >= stop:
            return 0
        head = self._found.head
        data = head[start:stop] if start < len(head) else self._found.read(start, stop)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


def digest_of(found: RemoteObject) -> str:
    """What identifies the contents: what the server says of them; where that is nothing, all of their bytes."""
    version = found.version
    if version.known:
        text = f"{version.size}\0{version.etag}\0{version.last_modified}"
        return hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=20).hexdigest()
    digest = [hashlib.blake2b(digest_size=20)]

    def take(data: bytes) -> None:
        if data:
            digest[0].update(data)
        else:  # from the beginning
            digest[0] = hashlib.blake2b(digest_size=20)

    found.read_all(take)
    return digest[0].hexdigest()
