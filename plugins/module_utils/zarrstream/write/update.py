# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A store that becomes what its sources say now: new steps at its end, and revised ones in their place.

Only chunks that hold a step of a new or a revised file are written, and of the sources those files alone are read: all else is in
the store, and its record says which file gave which steps. Chunks that readers know are written anew one after the other, each
old or new as a whole, after the lock has said what they will be. Where steps get another place, because one comes before or between
those that are there, or is gone, all chunks after it would hold other steps: that is a replacement, from all files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ..encoding.lossy import same_bits
from ..errors import Conflict, SourceError
from ..planning.chunking import tiles
from ..source.dataset import Source
from ..text import many, shortened
from .changes import Changes
from .executor import Executor
from .fingerprint import EXPLICIT, LEFT_OUT, fingerprint
from .growth import sorted_axes
from .patch import with_rows
from .plans import StorePlan
from .request import WriteRequest
from .result import Situation
from .rows import Origin, OtherPlaces, Rows, rows_of
from .standing import Meeting, PlannedChange, Recorded, compare_static, meet, planned_change
from .steps import NOBODY, owners_of, steps_by_file

_NAMED = 3  # files that a message names


@dataclass(frozen=True)
class Placement:
    """The rows of the store to be; ``overwritten`` counts steps of the store that are given anew.

    ``twice`` has a step of the store and a row of the source for each that a new file has too.
    """

    rows: Rows
    overwritten: int
    twice: tuple[tuple[int, int], ...]  # step of the store, row of the source


def plan_update(request: WriteRequest, situation: Situation, source: Source, executor: Executor) -> StorePlan:
    """The plan of what has changed; raises OtherPlaces where that is a replacement, and errors as ``append`` does."""
    changes = situation.changes
    if changes is None:
        raise AssertionError("the decision was made from it")
    meeting = meet(request, situation, source)
    placement = _place(meeting, changes)
    _guard(request, meeting.before.size, placement.overwritten, placement.rows.size)
    change = planned_change(meeting, placement.rows, executor, _recorded(meeting, changes, placement.rows))
    compare_static(change)
    _compare_twice(change, placement.twice)
    if shards := [array.name for array in change.extent.arrays.arrays if array.shards and _in_place(change, array.name)]:
        text = f"'{shards[0]}' has shards, which readers take in several requests: they are not changed under them"
        raise OtherPlaces(text, placement.overwritten, placement.rows.size)
    return change.plan("update")


def _in_place(change: PlannedChange, name: str) -> bool:
    return any(block.array == name for block in change.extent.last())


def instead(request: WriteRequest, situation: Situation, other: OtherPlaces) -> Situation:
    """The situation of the replacement that an update has to be.

    Raises Conflict where it would lose steps, for those of files that are gone are in the store alone, or change more than it may.
    """
    changes, manifest, url = situation.changes, situation.state.manifest, situation.place.url
    if changes is None or manifest is None:
        raise AssertionError("the decision was made from them")
    why = f"store '{url}' has to be written anew from all its files ({other})"
    if gone := changes.named("gone"):
        text = (
            f"{why}, and {_few(gone)} gone: steps that the store alone has would be lost. Bring the files back, or leave them out for good"
        )
        raise Conflict(f"{text} with mode replace.", store=url, files=gone)
    normal = request.identity(keeps=EXPLICIT in manifest.request)
    if other_keys := [key for key in LEFT_OUT if key != "combine" and normal[key] != manifest.request[key]]:
        key = other_keys[0]
        text = f"{why}, and was written with {key} {manifest.request[key]}, which this request leaves out. Say so in '{key}'."
        raise Conflict(text, store=url, differing=other_keys)
    old = next(array["shape"][0] for array in manifest.plan["arrays"] if array["name"] == request.append_dim)
    _guard(request, old, other.changed, other.size)
    digests = [stat.digest for stat in changes.stats]
    return replace(
        situation, action="replace", items=changes.items, stats=changes.stats, fingerprint=fingerprint(situation.normal, digests)
    )


def _guard(request: WriteRequest, old: int, changed: int, size: int) -> None:
    """Raises Conflict where more would change, or go, than may without a word of a person's."""
    again = "If the sources are right, set max_revised to"
    if changed > request.max_revised * old:
        text = f"{changed} of {many(old, 'step')} of store '{request.store}' would change or go, more than max_revised allows"
        share = min(1.0, math.ceil(100 * changed / old) / 100)
        raise Conflict(f"{text} ({request.max_revised:.0%}). {again} {share:g} for this run.", store=request.store, changed=changed)
    if size < old and request.max_revised < 1:
        raise Conflict(
            f"store '{request.store}' has {many(old, 'step')}, and would have {size}. {again} 1 for this run.", store=request.store
        )


def _few(names: list[str]) -> str:
    shown = ", ".join(shortened(name) for name in names[:_NAMED])
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{shown}{more} {'is' if len(names) == 1 else 'are'}"


def _place(meeting: Meeting, changes: Changes) -> Placement:
    """Where the steps of the source go; raises OtherPlaces, and SourceError for coordinates that cannot be told apart."""
    import numpy as np

    there, ours = sorted_axes(meeting.dim, meeting.before, meeting.after, meeting.source.place, meeting.old.url)
    files = meeting.source.files_along(meeting.dim)
    owners = owners_of(meeting.old.manifest, meeting.dim)
    if files is None:
        raise OtherPlaces("its files are joined along several dimensions", 0, there.size)
    if owners is None and changes.named("revised"):
        raise OtherPlaces("which file gave which steps is not recorded", 0, there.size)
    owners = np.full(there.size, NOBODY) if owners is None else owners
    places = np.searchsorted(there, ours)
    beyond = places == there.size
    same = ~beyond & (there[np.where(beyond, 0, places)] == ours) if there.size else ~beyond
    read = changes.to_read
    entries = np.asarray([_number(change.entry) for change in read])[files]
    owner = np.where(same, owners[np.where(same, places, 0)], NOBODY) if there.size else np.full(ours.size, NOBODY)
    own = same & (owner != NOBODY) & (owner == entries)
    revised = [change.entry for change in read if change.fate == "revised"]
    lost = np.setdiff1d(np.flatnonzero(np.isin(owners, revised)), places[own])
    size = there.size - lost.size + int((~same).sum())
    if lost.size:
        text = f"{many(lost.size, 'step')} that revised files gave {'is' if lost.size == 1 else 'are'} not in them any more"
        raise OtherPlaces(text, int(own.sum()) + lost.size, size)
    between = int((~same & ~beyond).sum())
    if between:
        raise OtherPlaces(f"{many(between, 'new step')} before the end of the store", int(own.sum()), size)
    overlap = meeting.situation.reading.combine.overlap_of(meeting.dim)
    items = np.asarray([*(_number(change.item) for change in changes.files), NOBODY])[owner]  # of nobody: the last one
    mine = np.asarray([_number(change.item) for change in read])[files]
    wins = same & ~own & {"refuse": False, "first": (items != NOBODY) & (mine < items), "last": mine > items}[overlap]
    taken = own | wins
    origins: list[tuple[Origin, int]] = [("store", place) for place in range(there.size)]
    for row in np.flatnonzero(taken).tolist():
        origins[int(places[row])] = ("source", row)
    origins += [("source", row) for row in np.flatnonzero(beyond).tolist()]
    compared = np.flatnonzero(same & ~own).tolist() if overlap == "refuse" else []
    pairs = tuple((int(places[row]), row) for row in compared)
    return Placement(rows_of(meeting.dim, there.size, origins), int(taken.sum()), pairs)


def _number(place: int | None) -> int:
    return NOBODY if place is None else place


def _recorded(meeting: Meeting, changes: Changes, rows: Rows) -> Recorded:
    import numpy as np

    source = changes.source(meeting.old.manifest.source)
    owners, files = owners_of(meeting.old.manifest, rows.dim), meeting.source.files_along(rows.dim)
    if owners is None or files is None:
        return Recorded(source, {})
    numbers = {id(change): number for number, change in enumerate(changes.files)}
    entries = np.asarray([numbers[id(change)] for change in changes.to_read])
    return Recorded(source, steps_by_file(rows, owners, entries[files], len(source)))


def _compare_twice(change: PlannedChange, twice: tuple[tuple[int, int], ...]) -> None:
    """Raises SourceError for steps of new files that another file gave with other values."""
    encoder, old, dim = change.encoder, change.meeting.old, change.meeting.dim
    for array in change.arrays:
        if dim not in array.dims or not twice:
            continue
        axis = array.dims.index(dim)
        for place, row in twice:
            for region in tiles((*array.shape[:axis], 1, *array.shape[axis + 1 :]), array.block):
                ours = encoder.source_values(array.name, with_rows(region, axis, (row, row + 1)))
                if not same_bits(ours, old.read(array.name, with_rows(region, axis, (place, place + 1)))):
                    text = f"'{array.name}' has other values in {change.meeting.source.place} than in store '{old.url}' at step {place} of"
                    text += f" '{dim}', which another file gave. If the later file corrects the earlier, say combine.overlap: last."
                    raise SourceError(text, variable=array.name)
