# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A store goes as it came: by its records, and in the order in which no reader ever finds less than all of it.

1. Lock. From here on a removal is under way, which the next run finishes after any interruption.
2. The documents by which the store opens: readers find none any more. Then the other metadata, then chunks.
3. What lies beside the store, the manifest last but for the lock: until then it says what is left to remove.

Only what a record names goes. What else lies there stays, and is named.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..errors import Conflict
from ..interrupt import GRACE, on_interrupt
from ..libraries import missing_libraries_named
from ..metadata.hierarchy import ROOTS, is_document
from ..sidecar.lock import Lock, acquire, check_held, check_unlocked, release
from ..sidecar.manifest import MANIFEST, WRITING
from ..sidecar.records import Records
from ..storage.access import BY_DEFAULT, Access, access_from
from ..storage.location import parse_store
from ..storage.objects import Objects
from ..storage.open import Reach
from .destination import State, check_name, look, records_of
from .progress import Progress, ProgressReporter, check_path

SHOWN = 1000  # keys in a result


@dataclass(frozen=True)
class RemoveRequest(Reach):
    """One store to remove."""

    store: str
    access: Access = BY_DEFAULT
    progress_path: str | None = None


def request_from(options: Mapping[str, Any]) -> RemoveRequest:
    """The request in the options of the module or the command."""
    return RemoveRequest(options["store"], access_from(options), options.get("progress_path"))


@dataclass(frozen=True)
class RemoveResult:
    """What went, or in a preview would. ``foreign`` are the keys of objects that stay, because no record names them.

    Both lists have the first thousand keys, relative to the bucket or folder that holds the store; the counts are of all.
    """

    changed: bool
    action: str
    resumed: bool
    store: str
    objects_removed: int
    bytes_removed: int
    foreign: list[str]
    foreign_count: int
    seconds: float
    retries: int
    removed_keys: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def diff(self) -> dict[str, str]:
        """The objects before and after."""
        more = f"and {self.objects_removed - len(self.removed_keys)} more" if self.objects_removed > len(self.removed_keys) else ""
        stays = self.foreign if not self.changed or self.foreign else []
        lines = [*self.removed_keys, *([more] if more else [])]
        return {"before": "".join(f"{line}\n" for line in [*lines, *stays]), "after": "".join(f"{line}\n" for line in stays)}


@dataclass(frozen=True)
class _Found:
    objects: Objects
    state: State
    records: Records
    sizes: dict[str, int | None]  # of the objects of ours, by key in the order in which they go; None where no listing shows one
    foreign: list[str]

    @property
    def anything(self) -> bool:
        return self.state.record is not None or self.state.lock is not None


def preview_removal(request: RemoveRequest) -> RemoveResult:
    """What ``remove_store`` would remove; changes nothing, and raises what it would raise before its first change."""
    began = time.monotonic()
    with missing_libraries_named(), closing(request.transport), on_interrupt(GRACE, request.transport.abandon):
        found = _gather(request)
        if found.state.lock is not None:
            check_unlocked(found.objects, found.state.lock)
        return _result(request, found, began)


def remove_store(request: RemoveRequest, progress: Callable[[Progress], None] | None = None) -> RemoveResult:
    """Remove what the records of a store name. ``progress`` is called about once a second. Raises a ZarrstreamError."""
    began = time.monotonic()
    path = check_path(request.progress_path)
    with missing_libraries_named(), closing(request.transport), on_interrupt(GRACE, request.transport.abandon):
        found = _gather(request)
        if found.anything:
            with ProgressReporter(path, progress, retries=lambda: request.transport.retries, store=request.store) as reporter:
                _remove(found, reporter)
        return _result(request, found, began)


def _gather(request: RemoveRequest) -> _Found:
    place = parse_store(request.store)
    check_name(place)
    objects = request.open_place(place)
    state = look(objects)
    if state.lock is not None and state.lock.get("zarrstream_writing") != 1:
        text = f"{place.url}.zarrstream/{WRITING} is not a lock of Zarrstream, which removes only what it wrote. Remove both by hand."
        raise Conflict(text, store=place.url)
    if state.found.root and state.record is None and state.lock is None:
        text = f"store '{place.url}' is a Zarr store without a manifest of Zarrstream, which removes only what it wrote. Remove it by hand."
        raise Conflict(text, store=place.url)
    if state.found.root and state.found.fingerprint is None:
        text = f"store '{place.url}' has a root document that is not the one of its manifest: somebody wrote or changed it since."
        raise Conflict(f"{text} Write it again with mode replace first, or remove it by hand.", store=place.url)
    records = records_of(objects, state)
    sizes: dict[str, int | None] = {f"{place.key}/{key}": None for key in records.keys}
    foreign = []
    for info in objects.list(place.key):
        if info.kind or not records.owns(info.key.removeprefix(f"{place.key}/")):
            foreign.append(info.key)
            sizes.pop(info.key, None)
        else:
            sizes[info.key] = info.size
    return _Found(objects, state, records, dict(sorted(sizes.items(), key=lambda item: _turn(item[0], place.key))), foreign)


def _turn(key: str, store: str) -> tuple[int, str]:
    """When an object goes: the documents that open the store first."""
    if key.removeprefix(f"{store}/") in ROOTS:
        return 0, key
    return (1 if is_document(key) else 2), key


def _remove(found: _Found, reporter: ProgressReporter) -> None:
    objects, place = found.objects, found.objects.place
    known = found.state.lock or {}
    started = datetime.now(UTC).isoformat(timespec="seconds")
    lock = Lock(uuid.uuid4().hex, "", started, mode="remove", plans=known.get("plans") or [])
    reporter.begin("removing", len(found.sizes))
    failure: BaseException | None = None
    try:
        acquire(objects, lock, again=found.state.lock is not None)
        if objects.get(f"{place.sidecar}/{MANIFEST}") != found.state.record:
            raise Conflict(f"another writer published '{place.url}' just now. Run again if that is to be removed too.", store=place.url)
        objects.sweep()
        opening = [key for key in found.sizes if _turn(key, place.key)[0] == 0]
        objects.delete(opening, reporter.removed)
        objects.delete(list(found.sizes)[len(opening) :], reporter.removed)
        check_held(objects, lock)
        objects.delete([info.key for info in objects.list(place.sidecar) if _goes(found.records, info.key, place.sidecar)])
        objects.delete([f"{place.sidecar}/{MANIFEST}"])
        objects.tidy(found.records.holds)
        objects.delete([f"{place.sidecar}/{WRITING}"])
        objects.remove_folders()
    except BaseException as error:
        failure = error
        raise
    finally:
        release(lock, failure)


def _goes(records: Records, key: str, sidecar: str) -> bool:
    return records.leftover(key.removeprefix(f"{sidecar}/"))


def _result(request: RemoveRequest, found: _Found, began: float) -> RemoveResult:
    listed = {key: size for key, size in found.sizes.items() if size is not None}
    return RemoveResult(
        changed=found.anything,
        action="remove" if found.anything else "nothing",
        resumed=(found.state.lock or {}).get("mode") == "remove",
        store=found.objects.place.url,
        objects_removed=len(listed),
        bytes_removed=sum(filter(None, listed.values())),
        foreign=sorted(found.foreign)[:SHOWN],
        foreign_count=len(found.foreign),
        seconds=round(time.monotonic() - began, 3),
        retries=request.transport.retries,
        removed_keys=list(listed)[:SHOWN],
    )
