# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which blocks a write consists of: all of a store; ``patch`` has what changes one. Plain values: no file, no server."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from ..planning.chunking import Region
from ..planning.plan import ArrayPlan, Block, WritePlan

SAMPLE = 16  # objects of each array, the first and the last among them


@dataclass(frozen=True)
class OldRows:
    """The part of a block that readers have and keep: its index in the block, and along which dimension objects have how many rows."""

    index: tuple[slice | list[int], ...]
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


def _object(array: ArrayPlan, index: int) -> Block:
    counts = [-(-size // step) for size, step in zip(array.shape, array.unit, strict=True)]
    region = []
    for axis, (size, step) in enumerate(zip(array.shape, array.unit, strict=True)):
        position = index // math.prod(counts[axis + 1 :]) % counts[axis]
        region.append((position * step, min((position + 1) * step, size)))
    return array.task(tuple(region))
