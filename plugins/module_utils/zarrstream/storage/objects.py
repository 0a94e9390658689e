# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The objects around a store: one interface to a folder and to a bucket.

obstore carries every request, with time-outs and conditional creation; ``transport`` repeats those that fail in passing.
"""

from __future__ import annotations

import itertools
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ..abandon import allow
from ..errors import Conflict, NotFound, Unreachable, ZarrstreamError
from ..metadata.decoded import LARGEST_DOCUMENT
from ..metadata.hierarchy import is_document
from .clients import SLOWEST, Clients
from .listing import PAGE, list_pages
from .location import ObjectInfo, StoreUrl
from .obstore_errors import read_answer
from .redirects import Redirect
from .retry import LATER, GaveUp, Lane
from .s3_errors import S3Failure, s3_error
from .zarr_store import too_large

if TYPE_CHECKING:
    from zarr.abc.store import Store

T = TypeVar("T")


DELETED_AT_FIRST, DELETED_AT_MOST = 100, 1000  # objects a request
DELETED_WITHIN = 2.0  # seconds of a request, after which the next one asks for less: it must not come near its time-out
_ODD_KEY = re.compile(r'object with invalid path: Path "(.*?)" contained')  # obstore's paths have none


class ReadableObjects(ABC):
    """The objects of one bucket or folder, to read. Every failure is a ZarrstreamError that names the place and the key."""

    def __init__(
        self, place: StoreUrl, endpoint: str, who: str = "this user", clock: Callable[[], datetime | None] = lambda: datetime.now(UTC)
    ) -> None:
        self.clock = clock  # the time there: in a folder this host's, as that of its files is; None where a server does not tell
        self.place = place
        self.endpoint = endpoint
        self.who = who

    @abstractmethod
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object below the folder ``prefix`` (a whole key segment, without trailing slash)."""

    @abstractmethod
    def get(self, key: str) -> bytes | None:
        """The bytes of an object, or None where there is none; a missing bucket is an error, not an absence."""

    @abstractmethod
    def head(self, key: str) -> dict[str, Any] | None:
        """Size, ``e_tag`` and ``last_modified`` of an object, as obstore names them; None where there is none."""

    @abstractmethod
    def zarr_store(self) -> Store:
        """The Zarr store at ``place`` for zarr-python, to read."""


class Objects(ReadableObjects):
    """The same, to write as well."""

    @abstractmethod
    def get_part(self, key: str, start: int, stop: int) -> bytes | None:
        """The bytes of an object from ``start`` to before ``stop``, as far as it has them; None where there is none."""

    @abstractmethod
    def put(self, key: str, data: bytes | memoryview, *, create: bool = False) -> None:
        """Write an object; ``create`` raises Conflict where it exists already."""

    @abstractmethod
    async def put_async(self, key: str, data: bytes | memoryview) -> None:
        """As ``put``, for many at a time."""

    @abstractmethod
    def copy(self, key: str, to: str) -> None:
        """Copy an object within the bucket or folder, over what is there."""

    @abstractmethod
    def delete(self, keys: Iterable[str], done: Callable[[int], None] | None = None) -> None:
        """Delete objects, those already gone included; ``done`` is called with the number of those that went since."""

    @abstractmethod
    def translate(self, error: Exception, verb: str, key: str) -> ZarrstreamError:
        """What a library raised, as one of ours."""

    # A folder has more than its objects. A bucket has nothing of the following.

    def exclusive(self) -> AbstractContextManager[None]:
        """Alone among the writers of this host while it lasts."""
        return nullcontext()

    def sweep(self) -> None:
        """Remove what a killed write left half-written."""

    def tidy(self, ours: Callable[[str], bool]) -> None:
        """Remove the empty folders of the sidecar, and those of the store that ``ours`` knows, by path below the store."""

    def remove_folders(self) -> None:
        """Remove store and sidecar where they are empty."""


class BucketObjects(Objects):
    """The objects of one bucket, or below a web server. Requests go through ``lane``, which repeats those that fail in passing."""

    def __init__(
        self,
        clients: Clients,
        place: StoreUrl,
        endpoint: str,
        lane: Lane,
        who: str = "this user",
        clocks: Callable[[], str] | None = None,
        redirect: Callable[[str], Redirect | None] | None = None,
        clock: Callable[[], datetime | None] = lambda: None,
    ) -> None:
        super().__init__(place, endpoint, who, clock)
        self._clients = clients
        self._lane = lane
        self._redirect = redirect  # asks the server whether it sends requests for a key on
        self._clocks = clocks  # asks the server for its time, for messages

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object below the folder ``prefix`` (a whole key segment, without trailing slash), about 1000 a request."""
        for meta in itertools.chain.from_iterable(self._pages(prefix)):
            etag = meta["e_tag"]
            yield ObjectInfo(meta["path"], meta["size"], etag.strip('"') if etag else None)

    def _pages(self, prefix: str) -> Iterator[Any]:
        import obstore

        def begin(offset: str | None) -> Any:
            return obstore.list(self._clients.reader(), prefix=prefix, offset=offset, chunk_size=PAGE)

        try:
            yield from list_pages(begin, self._lane, prefix, f"bucket '{self.place.bucket}' at {self.endpoint}")
        except ZarrstreamError:
            raise
        except Exception as error:
            raise self.translate(error, "list", prefix) from error

    def get(self, key: str) -> bytes | None:
        """The bytes of an object, or None where there is none; a missing bucket is an error, not an absence."""
        import obstore

        def read() -> bytes:
            answer = obstore.get(self._clients.reader(), key)
            if answer.meta["size"] > LARGEST_DOCUMENT and is_document(key):
                raise too_large(f"{self.place.bucket or self.place.parent}/{key}", answer.meta["size"], LARGEST_DOCUMENT)
            allow(self._time_for(answer.meta["size"]))
            if not self._clients.reads(answer.meta["size"]):
                answer = obstore.get(self._clients.reader(answer.meta["size"]), key)
            return bytes(answer.bytes())

        return self._unless_absent(read, key)

    def get_part(self, key: str, start: int, stop: int) -> bytes | None:
        """The bytes of an object from ``start`` to before ``stop``, as far as it has them; None where there is none."""
        import obstore

        def read() -> bytes:
            allow(self._time_for(stop - start))
            return bytes(obstore.get_range(self._clients.reader(stop - start), key, start=start, end=stop))

        return self._unless_absent(read, key)

    def head(self, key: str) -> dict[str, Any] | None:
        """Size, ``e_tag`` and ``last_modified`` of an object, as obstore names them; None where there is none."""
        import obstore

        return self._unless_absent(lambda: dict(obstore.head(self._clients.reader(), key)), key)

    def put(self, key: str, data: bytes | memoryview, *, create: bool = False) -> None:
        """Write an object in one request, so that its ETag is its MD5; ``create`` raises Conflict where it exists already."""
        import obstore

        client = self._clients.sender(len(data))
        mode: Literal["create", "overwrite"] = "create" if create else "overwrite"
        self._send(lambda: obstore.put(client, key, data, use_multipart=False, mode=mode), "write", key)

    def copy(self, key: str, to: str) -> None:
        """Copy an object within the bucket or folder, over what is there."""
        import obstore

        self._send(lambda: obstore.copy(self._clients.reader(), key, to), "copy", key)

    async def put_async(self, key: str, data: bytes | memoryview) -> None:
        """As ``put``, for many requests at a time."""
        import obstore

        client = self._clients.sender(len(data))

        async def send() -> None:
            await obstore.put_async(client, key, data, use_multipart=False)

        try:
            await self._lane.call_async(send)
        except Exception as error:
            raise self.translate(error, "write", key) from error

    def delete(self, keys: Iterable[str], done: Callable[[int], None] | None = None) -> None:
        """Delete objects, those already gone included: up to 1000 a request, as many as the server takes in a moment."""
        import obstore

        def delete(some: Sequence[str]) -> None:
            with suppress(FileNotFoundError):
                obstore.delete(self._clients.reader(), some)

        waiting, together = iter(keys), DELETED_AT_FIRST
        while some := tuple(islice(waiting, together)):
            began = time.monotonic()
            self._send(partial(delete, some), "delete", some[0])
            if done:
                done(len(some))
            # S3 and RGW take a thousand at once; Swift deletes them one after the other before it answers.
            together = min(DELETED_AT_MOST, together * 2) if time.monotonic() - began < DELETED_WITHIN else max(1, together // 2)

    def _time_for(self, size: int) -> float:
        """Seconds that an answer of so many bytes may take."""
        return self._lane.timeout + LATER + size / SLOWEST

    def _send(self, send: Callable[[], T], verb: str, key: str, seconds: float | None = None) -> T:
        try:
            return self._lane.call(send, seconds)
        except ZarrstreamError:
            raise
        except Exception as error:
            raise self.translate(error, verb, key) from error

    def _unless_absent(self, send: Callable[[], T], key: str) -> T | None:
        try:
            return self._send(send, "read", key, self._time_for(0))
        except NotFound as error:
            if error.details["code"] == "NoSuchBucket":
                raise
            return None

    def zarr_store(self) -> Store:
        """The Zarr store at ``place`` for zarr-python, to read."""
        from .zarr_store import zarr_reader

        return zarr_reader(self._clients.rooted(), self._lane, self.translate)

    def translate(self, error: Exception, verb: str, key: str) -> ZarrstreamError:
        """What obstore raised, as one of ours."""
        gave_up = error if isinstance(error, GaveUp) else None
        odd = _ODD_KEY.search(str(error))
        if odd:
            text = f"bucket '{self.place.bucket}' holds an object with the key '{odd.group(1)}', which has an empty part, '.' or '..' in it"
            return Conflict(f"{text}: no client can list what lies around it. Rename it, or name another store.", key=odd.group(1))
        answer = read_answer(gave_up.cause if gave_up else error)
        sent_on = self._redirect(key) if self._redirect and (answer.redirected or (answer.absent and not answer.code)) else None
        translated = s3_error(
            S3Failure(
                code=answer.code,
                status=answer.status,
                reason=answer.reason,
                verb=verb,
                endpoint=self.endpoint,
                bucket=self.place.bucket or "",
                key=key,
                who=self.who,
                evidence=self._clocks() if self._clocks and answer.code == "RequestTimeTooSkewed" else "",
                tried=gave_up.tried if gave_up else "",
                redirect=sent_on or (Redirect(answer.status, "") if answer.redirected else None),
            )
        )
        # Of a server that served nobody all that time nothing more should be asked.
        return Unreachable(str(translated), **translated.details) if gave_up and gave_up.dead else translated
