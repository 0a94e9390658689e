# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a Zarr store lies, in a bucket, in a folder or on a web server; and what a listing says of an object there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..errors import BadRequest

SIDECAR = ".zarrstream"  # added to the name of a store
_BUCKET = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$")


@dataclass(frozen=True)
class StoreUrl:
    """A place for a Zarr store: ``bucket`` and ``key`` for S3, else the folder ``key`` under ``parent``."""

    url: str
    bucket: str | None
    parent: Path | None
    key: str

    @property
    def sidecar(self) -> str:
        """Prefix of what the kit keeps beside the store: the manifest, and the lock of a write under way."""
        return f"{self.key}{SIDECAR}"


@dataclass(frozen=True)
class ObjectInfo:
    """An object of a listing: its key below the bucket or folder, its size in bytes, its ETag without quotes.

    ``kind`` is None but for what lies in a folder and is no regular file, such as a symbolic link.
    """

    key: str
    size: int
    etag: str | None
    kind: str | None = None


def parse_store(text: str, field: str = "store") -> StoreUrl:
    """``s3://bucket/key``, ``file:///folder`` or a path; raises BadRequest for anything that is not one store."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "file", str(Path(text).expanduser())
    if scheme not in ("s3", "file"):
        raise BadRequest(f"{field} is '{text}': the scheme '{scheme}' is unknown. Use s3://bucket/name.zarr or a path.", store=text)
    segments = rest.strip("/").split("/")
    if ".." in segments or "." in segments or "" in segments[1:]:
        raise BadRequest(f"{field} is '{text}': '.', '..' and empty parts are not allowed in it. Write the place out.", store=text)
    if scheme == "s3":
        return _parse_s3(text, rest, field)
    if not rest.strip("/"):
        raise BadRequest(f"{field} is '{text}': name a folder such as /data/air.zarr.", store=text)
    path = Path("/" + rest.lstrip("/")) if "://" in text else Path(rest).absolute()
    return StoreUrl(url=text, bucket=None, parent=path.parent, key=path.name)


def _parse_s3(text: str, rest: str, field: str) -> StoreUrl:
    bucket, _unused, key = rest.partition("/")
    key = key.strip("/")
    if not bucket:
        raise BadRequest(f"{field} is '{text}': it names no bucket. Write s3://bucket/name.zarr.", store=text)
    if not _BUCKET.match(bucket):
        raise BadRequest(f"{field} is '{text}': '{bucket}' is not a bucket's name. Write s3://bucket/name.zarr.", store=text)
    if not key:
        raise BadRequest(f"{field} is '{text}': a store needs a name below its bucket. Write s3://{bucket}/name.zarr.", store=text)
    return StoreUrl(url=text, bucket=bucket, parent=None, key=key)


def web_place(text: str) -> StoreUrl:
    """The place that a URL of a web server names; ``bucket`` is the server. Raises BadRequest for one that names no store."""
    url = urlsplit(text)
    key = unquote(url.path).strip("/")
    if not url.hostname or not key or url.query or url.fragment or url.username or {"..", ".", ""} & set(key.split("/")):
        shown = f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"  # without a password
        raise BadRequest(f"source is '{shown}': write https://host/folder/name.zarr, without credentials, query or '..'.", source=shown)
    return StoreUrl(url=text, bucket=url.netloc, parent=None, key=key)
