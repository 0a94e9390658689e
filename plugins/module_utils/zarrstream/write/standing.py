# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A store that stands, and what plans that change it have in common: its arrays, its values, its documents with other lengths."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from ..encoding.codecs import Encoding, encodings_of
from ..encoding.encoder import Encoder
from ..encoding.lossy import same_bits, through_codecs
from ..encoding.resolve import check_names, resolve
from ..errors import BadRequest, SourceError
from ..metadata.layout import ArrayLayout
from ..planning.chunking import Region, chunk_count, tiles, whole
from ..planning.plan import ArrayPlan
from ..sidecar.manifest import Manifest, Stored
from ..source.alike import apart
from ..source.dataset import Source
from ..source.merging import Merging
from ..source.part import coordinate_like
from ..storage.objects import Objects
from .changed_documents import described, grown_template, updated_at, with_attributes
from .executor import Executor
from .growth import array_documents, check_compatible, count_from, stored_arrays, stored_attributes
from .patch import Patch, PatchingEncoder
from .plans import StorePlan, unstamped
from .publish import Publication, locate, publish
from .request import WriteRequest
from .result import Situation
from .rows import Rows
from .staging import ReadBack, open_staged
from .steps import owners_of, steps_by_file
from .template import make_template

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Old:
    """The store that is continued. ``rewritten`` has the MD5s of each version of an object that an append has put over its own."""

    objects: Objects
    manifest: Manifest
    arrays: Mapping[str, ArrayLayout]
    zarr_format: Literal[2, 3]
    rewritten: dict[str, list[str]]
    is_text: Callable[[str], bool]  # whether a variable, by its name, holds text

    @property
    def url(self) -> str:
        """Its place, for people."""
        return self.objects.place.url

    @cached_property
    def documents(self) -> dict[str, bytes]:
        """Its arrays' own documents, by key."""
        return array_documents(self.arrays, self.zarr_format)

    @cached_property
    def _staged(self) -> ReadBack:
        return ReadBack(self.documents, self.objects, lambda key: locate(self.objects, key, ()), self._proved)

    def read(self, name: str, region: Region) -> np.ndarray:
        """Values of it; raises WriteError for an object that is not the one that was written."""
        import numpy as np

        array = open_staged(self._staged, name, self.zarr_format)
        values = np.asarray(array[tuple(slice(start, stop) for start, stop in region)])
        return values.astype(object) if self.is_text(name) else values

    def _proved(self, key: str, stored: Stored) -> bool:
        return self.manifest.objects.get(key) == stored or stored.md5 in self.rewritten.get(key, ())


def old_store(request: WriteRequest, situation: Situation, source: Source) -> Old:
    state = situation.state
    if state.manifest is None:
        raise AssertionError("else it is refused")
    rewritten = dict((state.lock or {}).get("rewritten") or {})
    return Old(situation.objects, state.manifest, stored_arrays(state.roots), request.zarr_format, rewritten, source.is_text)


def check_dimension(dim: str, old: Old) -> None:
    if dim not in old.arrays or old.arrays[dim].dims != (dim,):
        known = ", ".join(sorted(name for name, array in old.arrays.items() if array.dims == (name,)))
        raise BadRequest(f"append_dim is '{dim}', which has no coordinate in store '{old.url}'. It has: {known or 'none'}.", dimension=dim)


def check_source(source: Source, dim: str) -> None:
    if source.groups:
        raise SourceError(f"{source.place} has groups: append adds to stores without any. Write all as one source, mode replace.")
    if dim not in source.variables:
        raise SourceError(f"{source.place} has no coordinate '{dim}', so nobody can tell where it continues the store.")


def whole_of(array: Any) -> Region:
    return tuple((0, size) for size in array.shape)


def laid_out(array: ArrayPlan, there: ArrayLayout | None) -> ArrayPlan:
    """The array with the chunks of the store."""
    if there is None or len(there.shape) != len(array.shape):
        return array  # refused in a moment
    inner, unit = there.inner_chunks, there.chunks
    laid = replace(array, chunks=inner or unit, shards=unit if inner else None, objects=chunk_count(array.shape, unit))
    return replace(laid, block=whole(array.block, unit))


def told(stored: Mapping[str, Any], wanted: Mapping[str, Any], url: str, place: str) -> list[str]:
    """What is worth saying of attributes that differ: those of the store stay."""
    merging = Merging("tells how far the store reached before: it stays")
    merging.add(stored, f"store '{url}'")
    merging.add(wanted, place)
    return merging.notes()


@dataclass(frozen=True)
class Meeting:
    """A store and a source that changes it along ``dim``: the coordinates of both, in the numbers of the store."""

    request: WriteRequest
    situation: Situation
    old: Old
    source: Source
    dim: str
    encodings: Mapping[str, Encoding]
    before: np.ndarray
    after: np.ndarray


def meet(request: WriteRequest, situation: Situation, source: Source) -> Meeting:
    """Look at both; raises BadRequest and SourceError for those that have no such dimension."""
    dim, zarr_format = str(request.append_dim), request.zarr_format
    old = old_store(request, situation, source)
    check_dimension(dim, old)
    source.select(old.manifest.request["variables"])
    check_source(source, dim)
    count_from(source, old.arrays, old.url)
    asked = encodings_of(old.manifest.request["encoding"])
    check_names(asked, source)
    encodings = resolve(source, asked, zarr_format, old.arrays, as_stored=True).encodings
    after = Encoder(source, encodings).values(dim, whole_of(source.variables[dim]))
    return Meeting(request, situation, old, source, dim, encodings, old.read(dim, whole_of(old.arrays[dim])), after)


@dataclass(frozen=True)
class Recorded:
    """What the manifest says of the files: entries of its ``source``, and the steps of each, where they are known."""

    source: list[dict[str, Any]]
    steps: dict[str, list[Any]]


@dataclass(frozen=True)
class PlannedChange:
    """What changes of a store, before it is compared and refused: ``arrays`` are all that the source has."""

    meeting: Meeting
    extent: Patch
    encoder: PatchingEncoder
    arrays: tuple[ArrayPlan, ...]
    recorded: Recorded

    def plan(self, mode: Literal["append", "update"]) -> StorePlan:
        """The plan of it."""
        situation, old = self.meeting.situation, self.meeting.old
        template = grown_template(self.extent, old.arrays, old.zarr_format, situation.state.roots)
        return StorePlan(
            mode,
            self.extent,
            self.encoder,
            with_attributes(template) if mode == "update" else template,
            replace(
                old.manifest,
                fingerprint=situation.fingerprint,
                request=situation.normal,
                source=self.recorded.source,
                steps=self.recorded.steps,
                objects={},
                plan=described(old.manifest.plan, self.extent.arrays),
            ),
            before=frozenset(old.manifest.objects),
            inherited=old.manifest.objects,
            rewritten=old.rewritten,
            publish=publish_grown,
            stamp=updated_at if mode == "update" else unstamped,
            roots=situation.state.roots,
        )


def planned_change(meeting: Meeting, rows: Rows, executor: Executor, recorded: Recorded) -> PlannedChange:
    """The store with these rows; raises SourceError for a source that is stored in another way, or means something else."""
    old, source, request, situation = meeting.old, meeting.source, meeting.request, meeting.situation
    encoder = PatchingEncoder(source, meeting.encodings, old.read, rows)
    planned = executor.lay_out(encoder.arrays(), None, None)
    arrays = tuple(laid_out(array, old.arrays.get(array.name)) for array in planned.arrays)
    portable = bool(old.manifest.request.get("portable"))
    layout = replace(planned, arrays=arrays)
    wanted = make_template(encoder, layout, zarr_format=request.zarr_format, consolidated=True, portable=portable)
    differing = situation.reading.combine.differing
    check_compatible(old.arrays, stored_arrays(wanted.root), meeting.dim, source.place, old.url, differing)
    source.notes += told(stored_attributes(situation.state.roots), stored_attributes(wanted.root), old.url, source.place)
    changing = tuple(array for array in arrays if meeting.dim in array.dims and array.name in old.arrays)
    return PlannedChange(meeting, Patch(replace(planned, arrays=changing), rows), encoder, arrays, recorded)


def compare_static(change: PlannedChange) -> None:
    """Raises SourceError where a field that does not change is another one in the source, but for what ``combine`` lets differ."""
    combine, dim = change.meeting.situation.reading.combine, change.meeting.dim
    near = coordinate_like(change.meeting.source.variables)
    for array in change.arrays:
        if dim in array.dims or (array.dims != (array.name,) and (combine.static == "first" or array.name in combine.differing)):
            continue
        for region in tiles(array.shape, array.block):
            if same_values(change, array, region, region):
                continue
            distance = math.inf
            if array.name in near:
                distance = apart(change.encoder.source_values(array.name, region), change.meeting.old.read(array.name, region))
            if distance > combine.tolerance:
                raise contradicts(array, region, change, distance)


def same_values(change: PlannedChange, array: ArrayPlan, region: Region, there: Region) -> bool:
    """Whether a region of the source has the values that the store has ``there``, after lossy codecs."""
    encoder, old = change.encoder, change.meeting.old
    ours = encoder.source_values(array.name, region)
    if encoder.encodings[array.name].lossy(ours.dtype):
        ours = through_codecs(old.documents, array.task(there), ours, old.zarr_format)
    return same_bits(ours, old.read(array.name, there))


def contradicts(array: ArrayPlan, there: Region, change: PlannedChange, distance: float) -> SourceError:
    """The error for values of the source that are others in the store."""
    dim = change.meeting.dim
    where = f" at [{', '.join(f'{start}:{stop}' for start, stop in there)}]" if there else ""
    if dim in array.dims:
        out = (
            f"Leave these steps of '{dim}' out; or, if the later file corrects the earlier, write all files anew with mode replace and "
            "combine.overlap last."
        )
    elif array.dims == (array.name,):
        out = "Put the source on the grid of the store, or write another store."
        out += f" It is apart by up to {distance:.2g}: if that is rounding, allow it with combine.tolerance." if distance < math.inf else ""
    else:
        out = f"Correct the source; name '{array.name}' in combine.differing to keep that of the store; or 'drop' it in prepare."
    text = f"'{array.name}' has other values in {change.meeting.source.place} than in store '{change.meeting.old.url}'{where}"
    text += f": appending changes nothing that is there. {out}"
    return SourceError(text, variable=array.name)


def with_more(situation: Situation, rows: Rows, meeting: Meeting) -> Recorded:
    """The record of the store with the files that are new."""
    manifest = meeting.old.manifest
    entries = len(manifest.source)
    owners = owners_of(manifest, rows.dim)
    files = meeting.source.files_along(rows.dim)
    source = [*manifest.source, *(stat.to_dict() for stat in situation.stats)]
    if owners is None or files is None:
        return Recorded(source, {})
    return Recorded(source, steps_by_file(rows, owners, files + entries, len(source)))


def publish_grown(publication: Publication) -> None:
    """Let all arrays change; readers of consolidated metadata see their new lengths in one moment."""
    grown = publication
    publish(grown.objects, grown.template, grown.manifest, grown.lock, read_back=grown.read_back, over=True)
