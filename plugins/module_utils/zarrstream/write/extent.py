# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which blocks a write consists of: all of a store, or what continues one. Plain values: no file, no server."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from ..planning.chunking import Region, tiles
from ..planning.plan import ArrayPlan, Block, WritePlan
from .growth import Growth

SAMPLE = 16  # objects of each array, the first and the last among them


@dataclass(frozen=True)
class OldRows:
    """The part of a block that readers have: its index in the block, and along which dimension objects have how many rows."""

    index: tuple[slice, ...]
    unit: int
    dim: str


class Extent(Protocol):
    """The blocks of a write, of which none splits an object."""

    @property
    def arrays(self) -> WritePlan:
        """The arrays as they will be, and the memory that blocks may take together."""

    @property
    def objects(self) -> int:
        """Objects in all blocks."""

    @property
    def anything(self) -> bool:
        """Whether there is anything to write."""

    def free(self) -> Iterable[Block]:
        """Blocks that can be written at any time, several at once."""

    def last(self) -> Iterable[Block]:
        """Blocks to be written one after the other when all else is there: readers know their objects."""

    def sample(self, seed: str) -> Iterable[Block]:
        """Some of the blocks, or of their objects, of each array; the same for the same seed."""

    def source_region(self, block: Block) -> Region | None:
        """Where the values of a block are in the source; None where some are in the store."""

    def old_rows(self, block: Block) -> OldRows | None:
        """What of a block is in the store already; None where nothing is."""


@dataclass(frozen=True)
class Whole:
    """All of a store."""

    arrays: WritePlan
    anything = True

    @property
    def objects(self) -> int:
        """Objects of all arrays."""
        return self.arrays.objects

    def free(self) -> Iterable[Block]:
        """All blocks."""
        return self.arrays.blocks()

    def last(self) -> Iterable[Block]:
        """None."""
        return ()

    def sample(self, seed: str) -> Iterator[Block]:
        """Some chunks, or shards, of every array."""
        chooser = random.Random(seed)  # noqa: S311 - a choice that can be repeated is wanted
        for array in self.arrays.arrays:
            count = array.objects
            chosen = {0, count - 1} | set(chooser.sample(range(count), min(count, SAMPLE - 2))) if count else set()
            yield from (_object(array, index) for index in sorted(chosen))

    def source_region(self, block: Block) -> Region | None:
        """The same as in the store."""
        return block.region

    def old_rows(self, _block: Block) -> OldRows | None:
        """None."""
        return None


@dataclass(frozen=True)
class Extension:
    """What continues a store along one dimension; ``arrays`` are those that grow."""

    arrays: WritePlan
    growth: Growth

    @property
    def objects(self) -> int:
        """Objects that are new, and those that are written anew."""
        return sum(_objects(self.array(block.array), block.region) for block in chain(self.free(), self.last()))

    @property
    def anything(self) -> bool:
        """Whether the source has steps that the store has not."""
        return self.growth.new > 0

    def free(self) -> Iterator[Block]:
        """Objects that no reader knows of."""
        for array in self.arrays.arrays:
            axis, unit = self.axis(array)
            yield from self._tiles(array, -(-self.growth.old // unit) * unit, array.shape[axis])

    def last(self) -> Iterator[Block]:
        """Objects of the store that have room for more rows."""
        for array in self.arrays.arrays:
            axis, unit = self.axis(array)
            if self.growth.old % unit and self.growth.new:
                start = self.growth.old // unit * unit
                yield from self._tiles(array, start, min(start + unit, array.shape[axis]))

    def sample(self, seed: str) -> Iterator[Block]:
        """Some blocks of each array."""
        chooser = random.Random(seed)  # noqa: S311 - a choice that can be repeated is wanted
        for array in self.arrays.arrays:
            own = [block for block in chain(self.free(), self.last()) if block.array == array.name]
            yield from chooser.sample(own, min(SAMPLE, len(own)))

    def source_region(self, block: Block) -> Region | None:
        """The rows of the source; None for an object that has rows of the store too."""
        axis, _unused = self.axis(self.array(block.array))
        start, stop = block.region[axis]
        if start < self.growth.old:
            return None
        shift = self.growth.known - self.growth.old
        return (*block.region[:axis], (start + shift, stop + shift), *block.region[axis + 1 :])

    def old_rows(self, block: Block) -> OldRows | None:
        """Those before the first new one, for a block that begins with them."""
        axis, unit = self.axis(self.array(block.array))
        start, _stop = block.region[axis]
        if start >= self.growth.old:
            return None
        return OldRows((slice(None),) * axis + (slice(0, self.growth.old % unit),), unit, self.growth.dim)

    def array(self, name: str) -> ArrayPlan:
        """One of the arrays."""
        return next(array for array in self.arrays.arrays if array.name == name)

    def axis(self, array: ArrayPlan) -> tuple[int, int]:
        """The axis along which an array grows, and the length of an object along it."""
        axis = array.dims.index(self.growth.dim)
        return axis, array.unit[axis]

    def _tiles(self, array: ArrayPlan, start: int, stop: int) -> Iterator[Block]:
        axis, _unused = self.axis(array)
        shape = (*array.shape[:axis], max(0, stop - start), *array.shape[axis + 1 :])
        for region in tiles(shape, array.block):
            low, high = region[axis]
            yield array.task((*region[:axis], (low + start, high + start), *region[axis + 1 :]))


def _objects(array: ArrayPlan, region: Region) -> int:
    return math.prod(-(-stop // step) - start // step for (start, stop), step in zip(region, array.unit, strict=True))


def _object(array: ArrayPlan, index: int) -> Block:
    counts = [-(-size // step) for size, step in zip(array.shape, array.unit, strict=True)]
    region = []
    for axis, (size, step) in enumerate(zip(array.shape, array.unit, strict=True)):
        position = index // math.prod(counts[axis + 1 :]) % counts[axis]
        region.append((position * step, min((position + 1) * step, size)))
    return array.task(tuple(region))
