# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""New steps at the end of a store that is read meanwhile.

What the source has beyond the last step of the store is written as objects that no reader knows of yet. Where the last
objects of the store are not full they are written anew with more rows: an object of Zarr has always the size of a whole
chunk, so that readers of the old shape find in it what they found before. That is done when all else is there, and the
lock says beforehand what they will be, so that a later run can tell its own objects from damaged ones. At last come the
arrays' metadata, the manifest, and the consolidated metadata, which lets all arrays grow in one request.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from ..encoding.codecs import encodings_of
from ..encoding.encoder import Encoder
from ..encoding.lossy import same_bits, through_codecs
from ..encoding.resolve import check_names, resolve
from ..errors import BadRequest, PlanError, SourceError
from ..metadata.hierarchy import CONSOLIDATED
from ..metadata.layout import ArrayLayout
from ..planning.chunking import Region, chunk_count, tiles, whole
from ..planning.plan import ArrayPlan, WritePlan
from ..sidecar.manifest import Manifest, Stored
from ..source.alike import apart
from ..source.dataset import Source
from ..source.joins import Combine
from ..source.merging import Merging
from ..source.part import coordinate_like
from ..storage.objects import Objects
from .executor import Executor
from .extent import Extension
from .growth import GrowingEncoder, array_documents, check_compatible, count_from, find_growth, stored_arrays, stored_attributes
from .plans import StorePlan
from .publish import Publication, locate, publish
from .replace import change_arrays
from .request import WriteRequest
from .result import Situation
from .staging import ReadBack, open_staged
from .template import Template, make_template

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


def plan_append(request: WriteRequest, situation: Situation, source: Source, executor: Executor) -> StorePlan:
    """The plan of what is new in the source; raises for what does not continue the store, or contradicts it."""
    dim, zarr_format = str(request.append_dim), request.zarr_format
    old = _old(request, situation, source)
    _check_dimension(dim, old)
    source.select(old.manifest.request["variables"])
    _check_source(source, dim)
    count_from(source, old.arrays, old.url)
    asked = encodings_of(old.manifest.request["encoding"])
    check_names(asked, source)
    encodings = resolve(source, asked, zarr_format, old.arrays, as_stored=True).encodings
    plain = Encoder(source, encodings)
    before, after = old.read(dim, _all(old.arrays[dim])), plain.values(dim, _all(source.variables[dim]))
    growth = find_growth(dim, before, after, source.place, old.url)
    encoder = GrowingEncoder(source, encodings, old.read, growth)
    planned = executor.lay_out(encoder.arrays(), None, None)
    arrays = tuple(_laid_out(array, old.arrays.get(array.name)) for array in planned.arrays)
    portable = bool(old.manifest.request.get("portable"))
    wanted = make_template(encoder, replace(planned, arrays=arrays), zarr_format=zarr_format, consolidated=True, portable=portable)
    combine = situation.reading.combine
    check_compatible(old.arrays, stored_arrays(wanted.root), dim, source.place, old.url, combine.differing)
    source.notes += _told(stored_attributes(situation.state.roots), stored_attributes(wanted.root), old.url, source.place)
    _compare_known(encoder, arrays, old, combine)
    growing = tuple(array for array in arrays if dim in array.dims and array.name in old.arrays)
    extent = Extension(replace(planned, arrays=growing), growth)
    _refuse_cut_shards(extent)
    return StorePlan(
        "append",
        extent,
        encoder,
        _grown_template(extent, old, situation.state.roots),
        replace(
            old.manifest,
            fingerprint=situation.fingerprint,
            request=situation.normal,
            source=[*old.manifest.source, *(stat.to_dict() for stat in situation.stats)],
            objects={},
            plan=_described(old.manifest.plan, extent.arrays),
        ),
        before=frozenset(old.manifest.objects),
        inherited=old.manifest.objects,
        rewritten=old.rewritten,
        publish=publish_grown,
        roots=situation.state.roots,
    )


def publish_grown(publication: Publication) -> None:
    """Let all arrays grow; readers of consolidated metadata see that in one moment."""
    grown = publication
    publish(grown.objects, grown.template, grown.manifest, grown.lock, read_back=grown.read_back, over=True)


def _old(request: WriteRequest, situation: Situation, source: Source) -> Old:
    state = situation.state
    if state.manifest is None:
        raise AssertionError("else it is refused")
    rewritten = dict((state.lock or {}).get("rewritten") or {})
    return Old(situation.objects, state.manifest, stored_arrays(state.roots), request.zarr_format, rewritten, source.is_text)


def _check_dimension(dim: str, old: Old) -> None:
    if dim not in old.arrays or old.arrays[dim].dims != (dim,):
        known = ", ".join(sorted(name for name, array in old.arrays.items() if array.dims == (name,)))
        raise BadRequest(f"append_dim is '{dim}', which has no coordinate in store '{old.url}'. It has: {known or 'none'}.", dimension=dim)


def _check_source(source: Source, dim: str) -> None:
    if source.groups:
        raise SourceError(f"{source.place} has groups: append adds to stores without any. Write all as one source, mode replace.")
    if dim not in source.variables:
        raise SourceError(f"{source.place} has no coordinate '{dim}', so nobody can tell where it continues the store.")


def _all(array: Any) -> Region:
    return tuple((0, size) for size in array.shape)


def _laid_out(array: ArrayPlan, there: ArrayLayout | None) -> ArrayPlan:
    """The array with the chunks of the store."""
    if there is None or len(there.shape) != len(array.shape):
        return array  # refused in a moment
    inner, unit = there.inner_chunks, there.chunks
    laid = replace(array, chunks=inner or unit, shards=unit if inner else None, objects=chunk_count(array.shape, unit))
    return replace(laid, block=whole(array.block, unit))


def _grown_template(extent: Extension, old: Old, roots: Mapping[str, bytes]) -> Template:
    grown = {name: array for name, array in old.arrays.items() if extent.growth.dim in array.dims}
    shapes = {array.name: list(array.shape) for array in extent.arrays.arrays}
    switch = CONSOLIDATED[old.zarr_format]
    template = Template(arrays=array_documents(grown, old.zarr_format), root={switch: roots[switch]})
    return change_arrays(template, lambda name, array: {**array, "shape": shapes.get(name, array["shape"])})


def _described(old: Mapping[str, Any], arrays: WritePlan) -> dict[str, Any]:
    """The plan of the whole store, as plain values."""
    names = {array["name"]: array for array in arrays.to_dict(0)["arrays"]}
    there = {array["name"]: array for array in old["arrays"]}
    described = [names.get(name, array) for name, array in there.items()]
    documents = old["objects"] - sum(array["objects"] for array in there.values())
    return {
        "arrays": described,
        "chunks": sum(chunk_count(array["shape"], array["chunks"]) for array in described),
        "shards": sum(array["objects"] for array in described if array.get("shards")),
        "objects": sum(array["objects"] for array in described) + documents,
        "bytes": sum(array["bytes"] for array in described),
    }


def _told(stored: Mapping[str, Any], wanted: Mapping[str, Any], url: str, place: str) -> list[str]:
    """What is worth saying of attributes that differ: those of the store stay."""
    merging = Merging("tells how far the store reached before: it stays")
    merging.add(stored, f"store '{url}'")
    merging.add(wanted, place)
    return merging.notes()


def _compare_known(encoder: GrowingEncoder, arrays: tuple[ArrayPlan, ...], old: Old, combine: Combine) -> None:
    """Raises SourceError where the source contradicts what is in the store already, but for what ``combine`` lets differ."""
    dim = encoder.growth.dim
    near = coordinate_like(encoder.source.variables)
    for array in sorted(arrays, key=lambda array: dim in array.dims):  # a static field that differs is why others do
        static = dim not in array.dims
        if static and array.dims != (array.name,) and (combine.static == "first" or array.name in combine.differing):
            continue
        for region, there in _known_regions(encoder, array):
            ours, stored = encoder.source_values(array.name, region), old.read(array.name, there)
            if encoder.encodings[array.name].lossy(ours.dtype):
                ours = through_codecs(old.documents, array.task(there), ours, old.zarr_format)
            if same_bits(ours, stored) or (static and array.name in near and apart(ours, stored) <= combine.tolerance):
                continue
            distance = apart(ours, stored) if static and array.name in near else math.inf
            raise _contradicts(array, there, (encoder.source.place, old.url), dim, distance)


def _contradicts(array: ArrayPlan, there: Region, places: tuple[str, str], dim: str, distance: float) -> SourceError:
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
    text = (
        f"'{array.name}' has other values in {places[0]} than in store '{places[1]}'{where}: appending changes nothing that is there. {out}"
    )
    return SourceError(text, variable=array.name)


def _known_regions(encoder: GrowingEncoder, array: ArrayPlan) -> Iterator[tuple[Region, Region]]:
    """The regions of an array that source and store have both, as each counts them."""
    growth = encoder.growth
    axis = array.dims.index(growth.dim) if growth.dim in array.dims else None
    shape = array.shape if axis is None else (*array.shape[:axis], growth.known, *array.shape[axis + 1 :])
    for region in tiles(shape, array.block):
        there = region
        if axis is not None:
            there = (*region[:axis], (region[axis][0] + growth.begin, region[axis][1] + growth.begin), *region[axis + 1 :])
        yield region, there


def _refuse_cut_shards(extent: Extension) -> None:
    growth = extent.growth
    for block in extent.last():
        array = extent.array(block.array)
        if array.shards:
            _unused, unit = extent.axis(array)
            raise PlanError(
                f"the last shard of '{array.name}' holds {growth.old % unit} of {unit} steps of '{growth.dim}': readers take "
                "a shard in several requests, so that it cannot be changed under them. Append to stores that end at a whole shard, "
                "or use mode replace.",
                variable=array.name,
            )
