# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Chunks of a store that get other steps: those that lie beyond it, and those that are in it and are written anew.

``append`` has the simplest case: steps of the source after those of the store.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from ..encoding.codecs import Encoding
from ..encoding.encoder import Encoder
from ..planning.chunking import ArraySource, Region, tiles
from ..planning.plan import ArrayPlan, Block, WritePlan
from ..source.dataset import Source
from .extent import SAMPLE, OldRows
from .rows import Rows

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Patch:
    """What of a store changes along one dimension; ``arrays`` are those that have it, and get values."""

    arrays: WritePlan
    rows: Rows

    @property
    def objects(self) -> int:
        """Objects that are new, and those that are written anew."""
        return sum(_objects(self.array(block.array), block.region) for block in chain(self.free(), self.last()))

    @property
    def anything(self) -> bool:
        """Whether there is anything to write."""
        return self.rows.changed

    def free(self) -> Iterator[Block]:
        """Objects that no reader knows of."""
        for array in self.arrays.arrays:
            _axis, unit = self.axis(array)
            for start, stop in self.rows.touched(unit, -(-self.rows.old // unit) * unit, self.rows.size):
                yield from self._tiles(array, start, stop)

    def last(self) -> Iterator[Block]:
        """Objects of the store that get other rows, or more."""
        for array in self.arrays.arrays:
            _axis, unit = self.axis(array)
            for start, stop in self.rows.touched(unit, 0, -(-self.rows.old // unit) * unit):
                yield from self._tiles(array, start, stop)

    def sample(self, seed: str) -> Iterator[Block]:
        """Some blocks of each array."""
        chooser = random.Random(seed)  # noqa: S311 - a choice that can be repeated is wanted
        for array in self.arrays.arrays:
            own = [block for block in chain(self.free(), self.last()) if block.array == array.name]
            yield from chooser.sample(own, min(SAMPLE, len(own)))

    def source_region(self, block: Block) -> Region | None:
        """The rows of the source; None for a block that has rows of the store too, or of several places of the source."""
        axis, _unused = self.axis(self.array(block.array))
        start, stop = block.region[axis]
        runs = list(self.rows.between(start, stop))
        if len(runs) != 1 or runs[0].origin != "source":
            return None
        return with_rows(block.region, axis, (runs[0].row, runs[0].row + stop - start))

    def old_rows(self, block: Block) -> OldRows | None:
        """Those that are from the store, for a block that has some."""
        axis, unit = self.axis(self.array(block.array))
        start, stop = block.region[axis]
        kept = [place - start for run in self.rows.between(start, stop) if run.origin == "store" for place in range(run.start, run.stop)]
        return OldRows((*(slice(None),) * axis, kept), unit, self.rows.dim) if kept else None

    def array(self, name: str) -> ArrayPlan:
        """One of the arrays."""
        return next(array for array in self.arrays.arrays if array.name == name)

    def axis(self, array: ArrayPlan) -> tuple[int, int]:
        """The axis along which an array changes, and the length of an object along it."""
        axis = array.dims.index(self.rows.dim)
        return axis, array.unit[axis]

    def _tiles(self, array: ArrayPlan, start: int, stop: int) -> Iterator[Block]:
        axis, _unused = self.axis(array)
        shape = (*array.shape[:axis], stop - start, *array.shape[axis + 1 :])
        for region in tiles(shape, array.block):
            low, high = region[axis]
            yield array.task(with_rows(region, axis, (low + start, high + start)))


class PatchingEncoder(Encoder):
    """Encodes a store that is there with rows of the source in it."""

    def __init__(self, source: Source, encodings: Mapping[str, Encoding], stored: Callable[[str, Region], np.ndarray], rows: Rows) -> None:
        super().__init__(source, encodings)
        self._stored, self.rows = stored, rows

    def source_values(self, name: str, region: Region) -> np.ndarray:
        """Values of the source, by its own rows."""
        return super().values(name, region)

    def values(self, name: str, region: Region) -> np.ndarray:
        """Values of the store to be; those that are there already are read from it."""
        import numpy as np

        dims = self.source.variables[name].dims
        if self.rows.dim not in dims:
            return self.source_values(name, region)
        axis = dims.index(self.rows.dim)
        read = {"store": self._stored, "source": self.source_values}
        pieces = [
            read[run.origin](name, with_rows(region, axis, (run.row, run.row + run.stop - run.start)))
            for run in self.rows.between(*region[axis])
        ]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=axis)

    def arrays(self) -> list[ArraySource]:
        """The arrays of the store to be."""
        return [replace(array, shape=self._patched(array.dims, array.shape)) for array in super().arrays()]

    def _patched(self, dims: tuple[str, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(self.rows.size if dim == self.rows.dim else size for dim, size in zip(dims, shape, strict=True))


def with_rows(region: Region, axis: int, rows: tuple[int, int]) -> Region:
    """The region with other rows along an axis."""
    return (*region[:axis], rows, *region[axis + 1 :])


def _objects(array: ArrayPlan, region: Region) -> int:
    return math.prod(-(-stop // step) - start // step for (start, stop), step in zip(region, array.unit, strict=True))
