# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What runs on a worker. Values that come and go are plain ones: classes of this package have another name on the host.

A job belongs to one write or one check, and opens source and store when it is first needed: by the look before the work, or on a
worker that came later. Credentials are those of the profile on this worker's host; none travel.
"""

from __future__ import annotations

import glob
import importlib
import importlib.metadata
import os
import pickle
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import BadRequest, SourceError, ZarrstreamError
from ..libraries import STORED, missing_libraries_named
from ..scheduler import Scheduler
from ..source.items import Item, Stat, find_source, stat_items, take_digests
from ..source.urls import secrets_of
from ..storage.access import Access
from ..storage.location import StoreUrl
from ..storage.remote_urls import S3
from ..storage.source_access import SourceReach, check_here, from_plain

ENDING = 25.0  # seconds that a job's tasks may take to end
_SHARED = "Workers read the source themselves: put it where all of them see the same, on a shared file system or in a bucket."
_JOBS: dict[tuple[str, str], Job] = {}
_OPENING = threading.Lock()  # the library that reads NetCDF does not bear several threads that open files


def begin(job: str, spec: bytes, worker: str) -> None:
    """Take a job."""
    wanted = pickle.loads(spec)  # noqa: S301 - from the host, which may run any code here
    module, kind = wanted["kind"]
    _JOBS[job, worker] = getattr(importlib.import_module(f"{__package__}.{module}"), kind)(wanted, worker)


def name_of(kind: type[Job]) -> tuple[str, str]:
    """How a kind of job is called by a host whose package has another name than that of a worker: module and class."""
    return kind.__module__.rpartition(".")[2], kind.__name__


def end(job: str, worker: str) -> None:
    """Give a job up, when its tasks have ended."""
    if found := _JOBS.pop((job, worker), None):
        found.close()


def call(job: str, verb: str, arguments: Sequence[Any]) -> dict[str, Any]:
    """Do one thing of a job."""
    from distributed import get_worker

    found = _JOBS.get((job, get_worker().address))
    if found is None:
        raise RuntimeError("this job has ended")
    return found.call(verb, arguments)


def versions() -> dict[str, str | None]:
    """The libraries that have a part in what is stored."""
    return {name: _version(name) for name in STORED}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


class Job(SourceReach):
    """What writing and checking have in common: opened once, used by several threads, ended as a whole."""

    def __init__(self, spec: Mapping[str, Any], worker: str) -> None:
        self.spec, self.worker = spec, worker
        self.access = Access(**spec["access"])
        self.source_access = from_plain(spec["source_access"])
        self._began, self._closed = time.process_time(), False
        self._running, self._used = 0, 0
        self._turn = threading.Condition()
        self._opened = False

    def call(self, verb: str, arguments: Sequence[Any]) -> dict[str, Any]:
        """The answer to a task; an error of ours is an answer too."""
        with self._turn:
            if self._closed:
                raise RuntimeError("this job has ended")
            self._running += 1
        answer: dict[str, Any] = {"worker": self.worker, "host": socket.gethostname(), "pid": os.getpid()}
        try:
            with missing_libraries_named():
                self.open()
                answer["value"] = getattr(self, verb)(*arguments)
        except ZarrstreamError as error:
            details = {key: value for key, value in error.details.items() if isinstance(value, str | int | float | None)}
            answer["error"] = (_kind(error), str(error), details)
        finally:
            with self._turn:
                self._running -= 1
                self._turn.notify_all()
        return {
            **answer,
            "cpu": time.process_time() - self._began,
            "retries": self.transport.retries,
            **self.traffic(self.endpoint).figures(),
        }

    def close(self) -> None:
        """Let nothing more begin, and wait for what is under way."""
        with self._turn:
            self._closed = True
        SourceReach.close(self)
        with self._turn:
            self._turn.wait_for(lambda: not self._running, ENDING)
        if self._opened:
            self.release()

    def open(self) -> None:
        """Compare libraries, find source and store; once."""
        with _OPENING:
            if not self._opened:
                self._compare_versions()
                self.prepare()
                self._opened = True

    @property
    def endpoint(self) -> str:
        """Where the store is; '' until it was opened."""
        raise NotImplementedError

    def look(self) -> None:
        """Nothing more than to open all."""

    def prepare(self) -> None:
        """Open what the tasks need."""
        raise NotImplementedError

    def release(self) -> None:
        """Close what was opened."""

    @property
    def memory(self) -> int:
        """Bytes that tasks may take together."""
        return int(self.spec["memory"])

    @contextmanager
    def room(self, size: int) -> Iterator[None]:
        """Wait until ``size`` bytes fit beside what other threads hold; one block alone may take more."""
        with self._turn:
            self._turn.wait_for(lambda: not self._used or self._used + size <= self.memory)
            self._used += size
        try:
            yield
        finally:
            with self._turn:
                self._used -= size
                self._turn.notify_all()

    def find_items(self) -> tuple[Item, ...]:
        """The source as this worker sees it; raises SourceError where it is not the one that the host has."""
        try:
            check_here(self.source_access)
            items = find_source(self.spec["source"], self, self.spec["follow"])
        except SourceError as error:
            more = "" if all("://" in name for name in self.spec["source"]) else f" {_SHARED}"
            raise SourceError(f"{error}{more}", **error.details) from None
        self.check_source(items)
        return items

    def check_source(self, items: Sequence[Item], *, again: bool = False) -> None:
        """Raises SourceError for a source that is not the host's: same bytes, by size and time, or by digest where times differ.

        ``again`` after the work: of what is not on this host all see the same, and each answer said that it is still that.
        """
        wanted = [Stat(**stat) for stat in self.spec["stats"]]
        found = stat_items(items)
        differing = [
            (item, stat, other)
            for item, stat, other in zip(items, found, wanted, strict=True)
            if (stat.size != other.size or not stat.mtime_ns or stat.mtime_ns != other.mtime_ns) and not (again and item.remote)
        ]
        for item, stat, other in differing:
            if stat.size != other.size or take_digests([item], [stat])[0].digest != other.digest:
                text = (
                    f"source '{item.place}' is another one here ({stat.size} bytes) than on the host that "
                    f"plans ({other.size} bytes), or it has changed meanwhile."
                )
                text = f"{text} Run again when it is complete." if item.url else f"{text} {_SHARED}"
                raise SourceError(text, source=item.place)

    def _compare_versions(self) -> None:
        ours = versions()
        for library, version in self.spec["versions"].items():
            if ours.get(library) != version:
                text = f"has {library} {ours.get(library) or 'not at all'}, the host that plans has {version or 'none'}"
                raise BadRequest(
                    f"{text}: what they write could differ. Give both the same environment (role zarr_stack).", library=library
                )


def _kind(error: ZarrstreamError) -> str:
    """The class that the host knows it by."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == ZarrstreamError.__module__)


def place_of(spec: Mapping[str, Any]) -> StoreUrl:
    """A place from plain values."""
    return StoreUrl(spec["url"], spec["bucket"], Path(spec["parent"]) if spec["parent"] else None, spec["key"])


def plain_place(place: StoreUrl) -> dict[str, Any]:
    """A place as plain values."""
    return {"url": place.url, "bucket": place.bucket, "parent": str(place.parent) if place.parent else None, "key": place.key}


def follow_of(request: Any) -> list[str]:
    """The folders that the source may lead to, as workers in other folders find them."""
    return [str(Path(folder).expanduser().absolute()) for folder in request.follow]


def urls_of(items: Sequence[Item], scheduler: Scheduler) -> list[str]:
    """Where workers find the source; raises BadRequest for a URL with a query, which may be a key, where others could read along."""
    secret = next((item for item in items if secrets_of(item.url)), None)
    if secret is not None and not scheduler.encrypted:
        text = (
            f"source '{secret.place}' has a query, which may hold a signature, and workers would get it by {scheduler.address}, which is "
            "not encrypted. Name a tls:// scheduler, or let each worker use credentials of its own (source_profile, source_token_file)."
        )
        raise BadRequest(text, source=secret.place)
    return [_letter_by_letter(item.url) if item.url else item.place for item in items]


def _letter_by_letter(url: str) -> str:
    """A key as a pattern for itself."""
    return f"{S3}{glob.escape(url.removeprefix(S3))}" if url.startswith(S3) else url
