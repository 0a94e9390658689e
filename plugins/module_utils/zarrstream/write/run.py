# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""NetCDF or Zarr in, Zarr out: found, planned, copied, proved, and only then published (``publish`` says in which order).

What only a real write needs (zarr, xarray, Dask) is imported when one begins: the second run of a request stays quick.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import Conflict, ZarrstreamError
from ..interrupt import GRACE, on_interrupt
from ..libraries import missing_libraries_named
from ..planning.memory import tune_allocator, usable_memory
from ..planning.plan import decide
from ..sidecar.lock import Lock, check_unlocked
from ..sidecar.manifest import Manifest
from ..source.items import Item, Stat, check_apart, find_source, stat_items, take_digests
from ..source.joins import parse_combine
from ..storage.location import parse_store
from ..storage.objects import Objects
from ..storage.source_access import check_here
from .changes import find_changes
from .destination import State, check_name, foreign_objects, look, refusal, refuse_foreign_sidecar
from .fingerprint import EXPLICIT, LEFT_OUT, fingerprint, respelled, same_request
from .progress import Progress, ProgressReporter, check_path
from .publish import finish_published
from .request import WriteRequest
from .result import Action, Situation, WriteResult, files_of, gone_notes

if TYPE_CHECKING:
    from .executor import MakeExecutor
    from .session import Session


def preview(request: WriteRequest, make_executor: MakeExecutor) -> WriteResult:
    """What ``write_dataset`` would do; changes nothing, and raises what it would raise before its first change."""
    check_path(request.progress_path)
    request = replace(request)  # with a transport of its own
    with missing_libraries_named(), closing(request), on_interrupt(GRACE, request.transport.abandon):
        situation = _look_around(request)
        if situation.action == "nothing":
            return _unchanged(request, situation)
        with _open(request, situation, make_executor) as session:
            if not session.plan.extent.anything:
                return _unchanged(request, situation)
            if situation.state.lock is not None:
                check_unlocked(situation.objects, situation.state.lock)
            return session.preview()


def write_dataset(request: WriteRequest, make_executor: MakeExecutor, progress: Callable[[Progress], None] | None = None) -> WriteResult:
    """Write the data set, or find that it is written already. ``progress`` is called about once a second.

    ``make_executor`` is called where there may be something to write. Raises a ZarrstreamError; after the first change its message
    says that nothing was published, or what was.

    One at a time in a process: the library that reads NetCDF does not bear several threads that open files.
    """
    path = check_path(request.progress_path)
    request = replace(request)  # with a transport of its own
    with missing_libraries_named(), closing(request), on_interrupt(GRACE, request.transport.abandon):
        # Before the first thread, which would have an arena of its own for good: an executor comes too late for it.
        if not request.scheduler:
            tune_allocator(request.memory or usable_memory())
        situation = _look_around(request)
        state = situation.state
        if situation.action == "nothing":
            if state.lock is not None and not state.interrupted:  # killed after it had published
                plans = state.lock.get("plans") or []
                finish_published(situation.objects, state, Lock(uuid.uuid4().hex, situation.fingerprint, "", plans=plans))
            return _unchanged(request, situation)
        with _open(request, situation, make_executor) as session:
            if not session.plan.extent.anything:
                return _unchanged(request, situation)
            with ProgressReporter(
                path, progress, retries=lambda: session.retries, store=request.store, traffic=lambda: session.traffic
            ) as reporter:
                return session.run(reporter)


def _open(request: WriteRequest, situation: Situation, make_executor: MakeExecutor) -> AbstractContextManager[Session]:
    from .session import open_session

    return open_session(request, situation, make_executor)


def _look_around(request: WriteRequest) -> Situation:
    began = time.monotonic()
    place = parse_store(request.store)
    check_name(place)
    check_here(request.source_access, place)
    objects = request.open_place(place)
    items = find_source(request.source, request, request.follow)
    check_apart(items, place, objects.endpoint)
    state = look(objects)
    refuse_foreign_sidecar(objects, state)
    normal = compared = request.identity(keeps=items[0].kind == "zarr")
    written = state.manifest.source if state.manifest else []
    noted = (state.lock or {}).get("source") or []
    stats = take_digests(items, stat_items(items), [Stat(**entry) for entry in [*written, *noted]])
    digests = [stat.digest for stat in stats]
    wanted = fingerprint(normal, digests)
    if state.manifest:
        before = replace(state.manifest, request=respelled(state.manifest.request))
        compared = request.identity(keeps=EXPLICIT in before.request)  # a store has not changed by that Zarr sources are kept as they are
        if (
            same_request(before.request, compared, _dimensions(state.manifest.plan))
            and fingerprint(state.manifest.request, digests) == state.found.fingerprint
        ):
            wanted = before.fingerprint
        state = replace(state, manifest=before)
    action, refused = _choose(request, objects, state, compared, wanted)
    situation = Situation(
        place=place,
        objects=objects,
        items=items,
        stats=stats,
        normal=normal,
        fingerprint=wanted,
        action=action,
        state=state,
        refusal=refused,
        began=began,
    )
    if action == "append":
        return _appending(request, situation)
    return _updating(request, situation) if action == "update" else situation


def _appending(request: WriteRequest, situation: Situation) -> Situation:
    """The situation with the files that the store has not got yet."""
    manifest = _manifest(situation)
    known = {entry["digest"] for entry in manifest.source}
    items, stats = _not_in(known, situation.items, situation.stats)
    digests = [entry["digest"] for entry in manifest.source] + [stat.digest for stat in stats]
    return _growing(request, replace(situation, items=items, stats=stats), digests)


def _updating(request: WriteRequest, situation: Situation) -> Situation:
    """The situation with the files that are new or revised."""
    recorded = _manifest(situation).source
    changes = find_changes(recorded, situation.items, situation.stats, unfinished=_unfinished(situation.state))
    places = [change.item for change in changes.to_read if change.item is not None]
    changed = replace(
        situation,
        items=tuple(changes.items[place] for place in places),
        stats=tuple(changes.stats[place] for place in places),
        changes=changes,
    )
    return _growing(request, changed, [entry["digest"] for entry in changes.source(recorded)])


def _growing(request: WriteRequest, situation: Situation, digests: Sequence[str]) -> Situation:
    """The situation for a store that stays as it was asked for, with files of these digests."""
    there = _manifest(situation).request
    combine = parse_combine(there["combine"]).allowing(request.reading.combine)
    normal = {**there, "combine": combine.normal()}
    action = situation.action if situation.items else "nothing"
    return replace(situation, action=action, normal=normal, fingerprint=fingerprint(normal, digests))


def _manifest(situation: Situation) -> Manifest:
    if situation.state.manifest is None:
        raise AssertionError("else it is refused")
    return situation.state.manifest


def _half_changed(state: State) -> bool:
    """Whether chunks of the store that readers see may have been written over by an update that was interrupted, whatever came after it."""
    lock = state.lock or {}
    return state.found.root and state.interrupted and lock.get("mode") in ("update", "replace") and bool(lock.get("rewritten"))


def _unfinished(state: State) -> frozenset[str]:
    """The names of the files of which such chunks may hold another revision, also where the file is by now what the record has."""
    return frozenset(str(entry["name"]) for entry in (state.lock or {}).get("source") or ()) if _half_changed(state) else frozenset()


def _dimensions(plan: Mapping[str, Any]) -> dict[str, list[str]]:
    return {array["name"]: array["dims"] for array in plan.get("arrays", ())}


def _choose(
    request: WriteRequest, objects: Objects, state: State, normal: Mapping[str, Any], wanted: str
) -> tuple[Action, ZarrstreamError | None]:
    """What to do about what lies there, and why not if nothing can be done."""
    decision = decide(wanted, state.found)
    url = objects.place.url
    if request.mode not in ("replace", "update") and state.replacing:
        text = f"a replacement of '{url}' was interrupted when the old store was gone and the new one not yet there. Run it again first."
        return "refuse", Conflict(text, store=url)
    unfinished = _half_changed(state)
    if unfinished and request.mode not in ("replace", "update"):
        text = f"an update of '{url}' was interrupted, and some of its steps may be changed already. Run it again first, with mode update."
        return "refuse", Conflict(text, store=url)
    if decision != "refuse" and not unfinished:
        return decision, None
    strange = foreign_objects(objects, state)
    if strange or request.mode == "create":
        return "refuse", refusal(objects, state, normal)
    if request.mode == "replace":
        return "replace", None
    unfit = _unfit(url, state, normal)
    if unfit:
        return "refuse", unfit
    return "update" if request.mode == "update" else "append", None


def _unfit(url: str, state: State, normal: Mapping[str, Any]) -> Conflict | None:
    """Why nothing can be appended to this store with this request: what a request leaves out is as the store has it."""
    manifest = state.manifest
    if state.found.fingerprint is None or manifest is None:
        text = f"store '{url}' has a root document that is not the one of its manifest: somebody wrote or changed it since."
        return Conflict(f"{text} Write it again with mode replace.", store=url)
    if not manifest.request.get("consolidated"):
        text = f"store '{url}' has no consolidated metadata, without which its arrays cannot all grow at one moment."
        return Conflict(f"{text} Write it again with mode replace and consolidated true.", store=url)
    # What may differ is said anew for each file; the store remembers all of it.
    normal, there = ({**each, "combine": parse_combine(each["combine"]).strict().normal()} for each in (normal, manifest.request))
    left_out = {**LEFT_OUT, EXPLICIT: []}
    differing = [key for key, value in normal.items() if value != there.get(key) and (key not in left_out or value != left_out[key])]
    if not differing:
        return None
    key = differing[0]
    text = f"store '{url}' was written with other {key}, which appending cannot change. Set '{key}' to what it is there ({there.get(key)})"
    return Conflict(f"{text}{', leave it out,' if key in LEFT_OUT else ''} or use mode replace.", store=url, differing=differing)


def _not_in(known: set[str], items: Sequence[Item], stats: Sequence[Stat]) -> tuple[tuple[Item, ...], tuple[Stat, ...]]:
    new = [(item, stat) for item, stat in zip(items, stats, strict=True) if stat.digest not in known]
    return tuple(item for item, _unused in new), tuple(stat for _unused, stat in new)


def _unchanged(request: WriteRequest, situation: Situation) -> WriteResult:
    manifest = _manifest(situation)
    traffic = request.traffic(situation.objects.endpoint)
    return WriteResult(
        changed=False,
        action="nothing",
        resumed=False,
        store=situation.place.url,
        fingerprint=manifest.fingerprint,
        manifest=situation.manifest_url,
        plan=manifest.plan,
        objects=len(manifest.objects),
        objects_written=0,
        objects_kept=len(manifest.objects),
        bytes_read=0,
        bytes_stored=manifest.bytes_stored,
        seconds=round(time.monotonic() - situation.began, 3),
        mib_per_second=0.0,
        retries=request.transport.retries,
        fetched=traffic.fetched_figures(),
        waited=traffic.waited_figures(),
        verification={"level": "none"},
        before={},
        notes=gone_notes(situation),
        files=files_of(situation, manifest.steps),
    )
