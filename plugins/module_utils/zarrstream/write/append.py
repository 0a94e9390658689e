# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""New steps at the end of a store that is read meanwhile.

What the source has beyond the last step of the store is written as objects that no reader knows of yet. Where the last
objects of the store are not full they are written anew with more rows: an object of Zarr has always the size of a whole
chunk, so that readers of the old shape find in it what they found before. That is done when all else is there, and the
marker says beforehand what they will be, so that a later run can tell its own objects from damaged ones. At last come the
arrays' metadata, the manifest, and the consolidated metadata, which lets all arrays grow in one request.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import BadRequest, PlanError, SourceError, WriteError
from ..metadata.hierarchy import CONSOLIDATED
from ..metadata.layout import ArrayLayout
from ..planning.chunking import Region, chunk_count, tiles, whole
from ..planning.plan import ArrayPlan, Block, WritePlan
from ..sidecar.lock import Marker, update
from ..sidecar.manifest import Manifest, Stored, md5_of
from .growth import GrowingEncoder, array_documents, check_compatible, count_from, encodings_of, find_growth, stored_arrays
from .publish import publish
from .replace import change_arrays
from .session import Work
from .template import Template

if TYPE_CHECKING:
    import numpy as np

    from .recording import Copying


class Append(Work):
    """Writes what is new in the source to the end of a store."""

    mode = "append"

    def prepare(self) -> None:
        """Find what is new; raises for what does not continue the store, or contradicts it."""
        from ..encoding.encoder import check_encodings
        from .template import make_template

        situation, request, dim = self.situation, self.request, str(self.request.append_dim)
        url, manifest = situation.place.url, situation.state.manifest
        if manifest is None:
            raise AssertionError("else it is refused")
        self.old, self.before = manifest, frozenset(manifest.objects)
        self.rewritten: dict[str, list[str]] = dict((situation.state.marker or {}).get("rewritten") or {})
        self.stored = stored_arrays(situation.state.roots)
        if dim not in self.stored or self.stored[dim].dims != (dim,):
            known = ", ".join(sorted(name for name, array in self.stored.items() if array.dims == (name,)))
            raise BadRequest(f"append_dim is '{dim}', which has no coordinate in store '{url}'. It has: {known or 'none'}.", dimension=dim)
        self.source.select(manifest.request["variables"])
        if self.source.groups:
            raise SourceError(f"{self.source.place} has groups: append adds to stores without any. Write all as one source, mode replace.")
        if dim not in self.source.variables:
            raise SourceError(f"{self.source.place} has no coordinate '{dim}', so nobody can tell where it continues the store.")
        count_from(self.source, self.stored, url)
        encodings = encodings_of(manifest.request["encoding"])
        self.encoder: GrowingEncoder = GrowingEncoder(self.source, encodings, self._reader())
        check_encodings(self.encoder, encodings, request.zarr_format)
        self._find_new(dim)
        planned = self.lay_out(None)
        self.plan = WritePlan(tuple(self._laid_out(array) for array in planned.arrays), planned.memory)
        template = make_template(self.encoder, self.plan, zarr_format=request.zarr_format, consolidated=True)
        check_compatible(self.stored, stored_arrays(template.root), dim, self.source.place, url)
        self._compare_known()
        self.template = self._grown_template(dim)
        self._refuse_cut_shards()

    @property
    def anything(self) -> bool:
        """Whether the source has steps that the store has not."""
        return self.growth.new > 0

    def blocks(self) -> Iterator[Block]:
        """All that is written: new objects, and those that are written anew."""
        yield from self.free_blocks()
        yield from self._cut_blocks()

    def free_blocks(self) -> Iterator[Block]:
        """Objects that no reader knows of."""
        for array in self.plan.arrays:
            axis, unit = self._axis(array)
            yield from self._tiles(array, -(-self.growth.old // unit) * unit, array.shape[axis])

    @property
    def encodings(self) -> dict[str, Any]:
        """How the store was written."""
        return self.old.request["encoding"]

    def source_region(self, block: Block) -> Region | None:
        """The rows of the source; None for an object that has rows of the store too."""
        array = next(array for array in self.plan.arrays if array.name == block.array)
        axis, _unused = self._axis(array)
        start, stop = block.region[axis]
        if start < self.growth.old:
            return None
        shift = self.growth.known - self.growth.old
        return (*block.region[:axis], (start + shift, stop + shift), *block.region[axis + 1 :])

    def sample(self) -> list[Block]:
        """Some blocks of each array, the same for the same store."""
        from .verify import SAMPLE

        chooser = random.Random(self.situation.fingerprint)  # noqa: S311 - a choice that can be repeated is wanted
        chosen: list[Block] = []
        for array in self.plan.arrays:
            own = [block for block in self.blocks() if block.array == array.name]
            chosen.extend(chooser.sample(own, min(SAMPLE, len(own))))
        return chosen

    def publish(self, marker: Marker) -> None:
        """Let all arrays grow; readers of consolidated metadata see that in one moment."""
        publish(self.objects, self.template, self.manifest(), marker, read_back=self.request.verify != "none", over=True)

    def manifest(self) -> Manifest:
        """The record of the old store, and what has come to it."""
        source = [*self.old.source, *(stat.to_dict() for stat in self.situation.stats)]
        return replace(super().manifest(), request=self.old.request, source=source)

    def describe(self) -> dict[str, Any]:
        """The plan of the whole store."""
        grown = self.plan.to_dict(0)
        names = {array["name"]: array for array in grown["arrays"]}
        old = {array["name"]: array for array in self.old.plan["arrays"]}
        arrays = [names.get(name, array) for name, array in old.items()]
        documents = self.old.plan["objects"] - sum(array["objects"] for array in old.values())
        return {
            "arrays": arrays,
            "chunks": sum(chunk_count(array["shape"], array["chunks"]) for array in arrays),
            "shards": sum(array["objects"] for array in arrays if array.get("shards")),
            "objects": sum(array["objects"] for array in arrays) + documents,
            "bytes": sum(array["bytes"] for array in arrays),
        }

    def copy_rest(self, copying: Copying) -> None:
        """Write the objects anew in which the store ends, one block after the other."""
        from .staging import Data, Outgoing

        held: dict[str, Data] = {}
        records: dict[str, Stored] = {}

        async def hold(key: str, data: Data) -> None:
            held[key] = data

        arrays = self.open_arrays(Outgoing(self.template.documents, hold, records.__setitem__))
        for block in self._cut_blocks():
            if not copying.missing(block):
                continue
            values = copying.read(block)
            copying.alone.check()
            self.check_block(block, values)
            self._check_old_rows(block, values)
            arrays[block.array].encode(block.region, values)
            arrays[block.array].send(block.region)
            for key, stored in records.items():
                self.rewritten.setdefault(key, []).append(stored.md5)
            update(self.objects, replace(copying.marker, rewritten=self.rewritten))
            for key, data in held.items():
                self.objects.put(self.where(key), data)
                copying.done(key, records[key])
            held.clear()
            records.clear()

    def complete(self) -> None:
        """The records of the whole store."""
        sent, planned = len(self.records), sum(1 for _unused in self.keys())
        if sent != planned:
            raise WriteError(f"{sent} objects were sent where {planned} were planned: this is a fault of Zarrstream.")
        self.records = {**self.old.objects, **self.records, **{key: md5_of(data) for key, data in self.template.documents.items()}}

    def _find_new(self, dim: str) -> None:
        (old,) = self.stored[dim].shape
        (size,) = self.source.variables[dim].shape
        before, after = self._reader()(dim, ((0, old),)), self.encoder.source_values(dim, ((0, size),))
        self.growth = find_growth(dim, before, after, self.source.place, self.situation.place.url)
        self.encoder.growth = self.growth

    def _reader(self) -> Callable[[str, Region], np.ndarray]:
        """Reads values of the store; raises WriteError for an object that is not the one that was written."""
        import numpy as np

        from .staging import ReadBack, open_staged

        zarr_format, objects = self.request.zarr_format, self.situation.objects
        staged = ReadBack(array_documents(self.stored, zarr_format), objects, lambda key: f"{objects.place.key}/{key}", self._proved)

        def read(name: str, region: Region) -> np.ndarray:
            array = open_staged(staged, name, zarr_format)
            values = np.asarray(array[tuple(slice(start, stop) for start, stop in region)])
            return values.astype(object) if self.source.is_text(name) else values

        return read

    def _proved(self, key: str, stored: Stored) -> bool:
        return self.old.objects.get(key) == stored or stored.md5 in self.rewritten.get(key, ())

    def _laid_out(self, array: ArrayPlan) -> ArrayPlan:
        """The array with the chunks of the store."""
        there: ArrayLayout | None = self.stored.get(array.name)
        if there is None or len(there.shape) != len(array.shape):
            return array  # refused in a moment
        inner = there.inner_chunks
        laid = replace(
            array, chunks=inner or there.chunks, shards=there.chunks if inner else None, objects=chunk_count(array.shape, there.chunks)
        )
        return replace(laid, block=whole(array.block, there.chunks))

    def _axis(self, array: ArrayPlan) -> tuple[int, int]:
        axis = array.dims.index(self.growth.dim)
        return axis, array.unit[axis]

    def _cut_blocks(self) -> Iterator[Block]:
        """Objects of the store that have room for more rows."""
        for array in self.plan.arrays:
            axis, unit = self._axis(array)
            if self.growth.old % unit and self.growth.new:
                start = self.growth.old // unit * unit
                yield from self._tiles(array, start, min(start + unit, array.shape[axis]))

    def _tiles(self, array: ArrayPlan, start: int, stop: int) -> Iterator[Block]:
        axis, _unused = self._axis(array)
        shape = (*array.shape[:axis], max(0, stop - start), *array.shape[axis + 1 :])
        for region in tiles(shape, array.block):
            low, high = region[axis]
            yield array.task((*region[:axis], (low + start, high + start), *region[axis + 1 :]))

    def _grown_template(self, dim: str) -> Template:
        grown = {name: array for name, array in self.stored.items() if dim in array.dims}
        self.plan = replace(self.plan, arrays=tuple(array for array in self.plan.arrays if array.name in grown))
        shapes = {array.name: list(array.shape) for array in self.plan.arrays}
        switch = CONSOLIDATED[self.request.zarr_format]
        old = Template(arrays=array_documents(grown, self.request.zarr_format), root={switch: self.situation.state.roots[switch]})
        return change_arrays(old, lambda name, array: {**array, "shape": shapes.get(name, array["shape"])})

    def _compare_known(self) -> None:
        """Raises SourceError where the source contradicts what is in the store already."""
        from ..encoding.lossy import through_codecs
        from .verify import same_bits

        growth, read = self.growth, self._reader()
        documents = array_documents(self.stored, self.request.zarr_format)
        for array in self.plan.arrays:
            axis = array.dims.index(growth.dim) if growth.dim in array.dims else None
            shape = array.shape if axis is None else (*array.shape[:axis], growth.known, *array.shape[axis + 1 :])
            for region in tiles(shape, array.block):
                there = region
                if axis is not None:
                    there = (*region[:axis], (region[axis][0] + growth.begin, region[axis][1] + growth.begin), *region[axis + 1 :])
                ours = self.encoder.source_values(array.name, region)
                if self.encoder.encodings[array.name].lossy(ours.dtype):
                    ours = through_codecs(documents, array.task(there), ours, self.request.zarr_format)
                if not same_bits(ours, read(array.name, there)):
                    where = ", ".join(f"{start}:{stop}" for start, stop in there)
                    raise SourceError(
                        f"'{array.name}' has other values in {self.source.place} than in store '{self.situation.place.url}' at [{where}]: "
                        "appending changes nothing that is there. Leave these steps out, or use mode replace.",
                        variable=array.name,
                    )

    def _check_old_rows(self, block: Block, values: np.ndarray) -> None:
        """Raises PlanError where lossy codecs would change what readers have read before."""
        if not self.encoder.encodings[block.array].lossy(values.dtype):
            return
        from ..encoding.lossy import through_codecs
        from .verify import same_bits

        array = next(array for array in self.plan.arrays if array.name == block.array)
        axis, unit = self._axis(array)
        rows = (slice(None),) * axis + (slice(0, self.growth.old % unit),)
        if not same_bits(through_codecs(self.template.arrays, block, values, self.request.zarr_format)[rows], values[rows]):
            raise PlanError(
                f"the last chunk of '{block.array}' cannot take more rows: its filters are lossy, and would change those that are in it. "
                f"Append when the store ends at a whole chunk ({unit} steps of '{self.growth.dim}'), or use mode replace.",
                variable=block.array,
            )

    def _refuse_cut_shards(self) -> None:
        for block in self._cut_blocks():
            array = next(array for array in self.plan.arrays if array.name == block.array)
            if array.shards:
                _unused, unit = self._axis(array)
                raise PlanError(
                    f"the last shard of '{array.name}' holds {self.growth.old % unit} of {unit} steps of '{self.growth.dim}': readers take "
                    "a shard in several requests, so that it cannot be changed under them. Append to stores that end at a whole shard, "
                    "or use mode replace.",
                    variable=array.name,
                )
