# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a Zarr store lies, and the objects there: one interface to a folder and to a bucket.

obstore carries every request: one retry layer with a deadline, time-outs, and conditional creation, the same for both.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .endpoint import anonymous_endpoint
from .errors import AccessRefused, BadRequest, NotFound, ZarrstreamError
from .profile import ca_file, read_profile
from .s3_errors import S3Failure, s3_error

if TYPE_CHECKING:
    from zarr.abc.store import Store

CONNECT_TIMEOUT = timedelta(seconds=5)
READ_TIMEOUT = timedelta(seconds=30)
DEADLINE = timedelta(seconds=20)  # for one request and all its retries; a dead endpoint is named within 30 s
_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"status code: (\d{3})")
_CODE_OF_CLASS = {
    "FileNotFoundError": "NoSuchKey",
    "NotFoundError": "NoSuchKey",
    "AlreadyExistsError": "PreconditionFailed",
    "PreconditionError": "PreconditionFailed",
    "PermissionDeniedError": "AccessDenied",
    "UnauthenticatedError": "AccessDenied",
}
_CAUSES = {  # what obstore tells only in the details of its errors
    "InvalidCertificate": "its certificate is not trusted",
    "ConnectionRefused": "connection refused",
    "dns error": "no address is known for this name",
    "TimedOut": "no answer in time",
}
_STAGED = re.compile(r"#\d+$")
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
        """Prefix of what the kit keeps beside the store: the manifest, and the marker of a write under way."""
        return f"{self.key}.zarrstream"


@dataclass(frozen=True)
class ObjectInfo:
    """An object of a listing: its key below the bucket or folder, its size in bytes, its ETag without quotes."""

    key: str
    size: int
    etag: str | None


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
    bucket, _, key = rest.partition("/")
    key = key.strip("/")
    if not bucket:
        raise BadRequest(f"{field} is '{text}': it names no bucket. Write s3://bucket/name.zarr.", store=text)
    if not _BUCKET.match(bucket):
        raise BadRequest(f"{field} is '{text}': '{bucket}' is not a bucket's name. Write s3://bucket/name.zarr.", store=text)
    if not key:
        raise BadRequest(f"{field} is '{text}': a store needs a name below its bucket. Write s3://{bucket}/name.zarr.", store=text)
    return StoreUrl(url=text, bucket=bucket, parent=None, key=key)


def open_objects(
    place: StoreUrl,
    *,
    profile: str | None = None,
    endpoint_url: str | None = None,
    config_file: str | None = None,
    anonymous: bool = False,
    ca_bundle: str | None = None,
    make_folders: bool = False,
) -> Objects:
    """The objects around ``place``: its bucket, or the folder that holds it. Sends no request.

    ``make_folders`` makes a missing local folder; reading never does.
    """
    from obstore.store import S3Store

    if place.bucket is None:
        return _local_objects(place, make_folders)
    if place.url.startswith(("http://", "https://")):
        from .web import open_web

        return open_web(place, ca_bundle)
    if anonymous:
        if not endpoint_url:
            raise BadRequest("endpoint_url is not set: a read without credentials takes no profile and must be told where to go.")
        endpoint, region = anonymous_endpoint(endpoint_url), "RegionOne"
        keys: dict[str, Any] = {"skip_signature": True}
        who = "no credentials"
    else:
        found = read_profile(profile, config_file, endpoint_url)
        endpoint, region, ca_bundle = found.endpoint_url, found.region, ca_bundle or found.ca_bundle
        keys = {"access_key_id": found.access_key, "secret_access_key": found.secret_key}
        who = found.label
    client: dict[str, Any] = {
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": CONNECT_TIMEOUT,
        "read_timeout": READ_TIMEOUT,
        "timeout": timedelta(minutes=10),
    }
    if ca_bundle:
        client["root_certificate"] = ca_file(ca_bundle).read_bytes()
    options: dict[str, Any] = {
        "endpoint": endpoint,
        "region": region,
        "virtual_hosted_style_request": False,
        "client_options": client,
        "retry_config": {"max_retries": 6, "retry_timeout": DEADLINE},
        **keys,
    }
    rooted = S3Store(place.bucket, prefix=place.key, **options)
    return Objects(S3Store(place.bucket, **options), rooted, place, endpoint=endpoint, who=who)


def _local_objects(place: StoreUrl, make_folders: bool) -> Objects:
    from obstore.store import LocalStore, MemoryStore

    def at(folder: Path) -> Any:
        if make_folders:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                text = f"{place.url}: the folder {folder} cannot be made: {error.strerror}. Name another place, or mend this one."
                raise AccessRefused(text, store=place.url) from None
        return LocalStore(prefix=folder) if folder.is_dir() else MemoryStore()

    parent = place.parent
    assert parent is not None  # noqa: S101 - a place without bucket has a parent folder
    return Objects(at(parent), at(parent / place.key), place, endpoint=str(parent))


class Objects:
    """The objects of one bucket or folder. Every failure is a ZarrstreamError that names endpoint, bucket and key."""

    def __init__(self, raw: Any, rooted: Any, place: StoreUrl, endpoint: str, who: str = "this user") -> None:
        self.raw = raw  # obstore at the bucket or folder
        self.rooted = rooted  # obstore at the store itself
        self.place = place
        self.endpoint = endpoint
        self.who = who

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object below the folder ``prefix`` (a whole key segment, without trailing slash), about 1000 a request."""
        import obstore

        try:
            for page in obstore.list(self.raw, prefix=prefix, chunk_size=1000):
                for meta in page:
                    etag = meta["e_tag"]
                    yield ObjectInfo(meta["path"], meta["size"], etag.strip('"') if etag and self.place.bucket else None)
        except Exception as error:
            raise self.translate(error, "list", prefix) from error

    def get(self, key: str) -> bytes | None:
        """The bytes of an object, or None where there is none; a missing bucket is an error, not an absence."""
        import obstore

        try:
            return bytes(obstore.get(self.raw, key).bytes())
        except Exception as error:
            translated = self.translate(error, "read", key)
            if isinstance(translated, NotFound) and translated.details["code"] != "NoSuchBucket":
                return None
            raise translated from error

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        """Write an object in one request, so that its ETag is its MD5; ``create`` raises Conflict where it exists already."""
        import obstore

        try:
            obstore.put(self.raw, key, data, use_multipart=False, mode="create" if create else "overwrite")
        except Exception as error:
            raise self.translate(error, "write", key) from error

    def copy(self, key: str, to: str) -> None:
        """Copy an object within the bucket or folder, over what is there."""
        import obstore

        try:
            obstore.copy(self.raw, key, to)
        except Exception as error:
            raise self.translate(error, "copy", key) from error

    async def put_async(self, key: str, data: bytes) -> None:
        """As ``put``, for many requests at a time."""
        import obstore

        try:
            await obstore.put_async(self.raw, key, data, use_multipart=False)
        except Exception as error:
            raise self.translate(error, "write", key) from error

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects, those already gone included."""
        import obstore

        for key in keys:
            try:
                obstore.delete(self.raw, key)
            except FileNotFoundError:
                continue
            except Exception as error:
                raise self.translate(error, "delete", key) from error

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Alone among the writers of this host while it lasts, in a folder; a bucket has nothing of the kind."""
        handle = None
        if self.place.parent is not None:
            folder = self.place.parent / self.place.sidecar
            with suppress(OSError):  # a place that cannot be written to says so at the first object; some network disks have no locks
                folder.mkdir(parents=True, exist_ok=True)
                handle = os.open(folder, os.O_RDONLY)
                fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if handle is not None:
                os.close(handle)

    def sweep(self) -> None:
        """Remove what a killed write left of half-written files; a bucket never shows any."""
        if self.place.parent is None:
            return
        for folder in (self.place.parent / self.place.key, self.place.parent / self.place.sidecar):
            for path in folder.rglob("*#*"):  # obstore writes "name#1" and renames it; such names are in no listing
                if _STAGED.search(path.name) and path.is_file():
                    path.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove folders that have become empty; a bucket has none."""
        if self.place.parent is None:
            return
        for folder in (self.place.parent / self.place.key, self.place.parent / self.place.sidecar):
            for path in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
                with suppress(OSError):  # it holds something
                    path.rmdir()

    def zarr_store(self, *, read_only: bool = True) -> Store:
        """The Zarr store at ``place`` for zarr-python; a reading one unless told otherwise."""
        from zarr.storage import ObjectStore

        return ObjectStore(self.rooted, read_only=read_only)

    def translate(self, error: Exception, verb: str, key: str) -> ZarrstreamError:
        """What obstore raised, as one of ours."""
        text = str(error)
        code, status = _CODE.search(text), _STATUS.search(text)
        return s3_error(
            S3Failure(
                code=code.group(1) if code else _CODE_OF_CLASS.get(type(error).__name__, ""),
                status=int(status.group(1)) if status else 0,
                reason=next((words for sign, words in _CAUSES.items() if sign in text), text.partition("\n")[0]),
                verb=verb,
                endpoint=self.endpoint,
                bucket=self.place.bucket or "",
                key=key,
                who=self.who,
            )
        )
