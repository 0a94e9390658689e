# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Shapes: how large a chunk, a shard and the block of one task are. Pure arithmetic; sizes are counts of elements.

All three are whole multiples of one another, and where it can be of the source's own chunks, so that each of those is read
and decompressed once. They grow from the last dimension to the first, so that what is written together lies together, and
are evened out at the end, so that no last chunk holds a sliver and padding.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

PADDING = 1.1  # how many elements all chunks together may have for each one of the array, where their lengths are chosen here
REREAD = 1.25  # how often the source may be read over before a task takes more than its share of memory to read it less often

Shape = tuple[int, ...]
Region = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class ArrayLengths:
    """Lengths by dimension for one array, in the place of those for all; no ``shards`` are none, and empty ones automatic.

    ``where`` is how a request says them of this array, before ``chunks.time``; ``kept`` ones, of a Zarr source, may reach beyond the array.
    """

    chunks: Mapping[str, int]
    shards: Mapping[str, int] | None
    where: str = ""
    kept: bool = False


@dataclass(frozen=True)
class ArraySource:
    """An array as it will be stored: ``itemsize`` in bytes, ``source_chunks`` as the source has them (None: it has none).

    ``scratch`` is the bytes an element takes while it is made, beside the copies that every write needs: for new packing.
    ``lengths`` are those of its own, if it has any.
    """

    name: str
    dims: tuple[str, ...]
    shape: Shape
    dtype: str
    itemsize: int
    source_chunks: Shape | None = None
    scratch: int = 0
    lengths: ArrayLengths | None = None


def tiles(shape: Sequence[int], tile: Sequence[int]) -> Iterator[Region]:
    """The regions of a regular grid over ``shape``; one empty region for no dimension, none where one has length 0."""
    axes = [[(start, min(start + step, size)) for start in range(0, size, step)] for size, step in zip(shape, tile, strict=True)]
    yield from itertools.product(*axes)


def chunk_count(shape: Sequence[int], chunks: Sequence[int]) -> int:
    """Chunks in an array of this shape."""
    return math.prod(-(-size // chunk) for size, chunk in zip(shape, chunks, strict=True))


def whole(shape: Sequence[int], unit: Sequence[int]) -> Shape:
    """``shape``, rounded up to whole multiples of ``unit``; at least one."""
    return tuple(max(1, -(-size // step)) * step for size, step in zip(shape, unit, strict=True))


def base_chunks(array: ArraySource, limit: int) -> Shape:
    """The source's own chunks, cut at the array; single elements for a source without, or with chunks above ``limit``."""
    own = array.source_chunks
    if own is not None:
        own = tuple(max(1, min(chunk, size)) for chunk, size in zip(own, array.shape, strict=True))
        if math.prod(own) <= limit:
            return own
    return (1,) * len(array.shape)


def grow(base: Sequence[int], shape: Sequence[int], target: int, growable: Sequence[bool]) -> Shape:
    """``base`` times whole numbers, last dimension first, as long as it stays within ``target``.

    A dimension grows to its full length or stays a multiple; the next one grows only when this one is full.
    """
    grown = list(base)
    for axis in reversed(range(len(grown))):
        if not growable[axis]:
            continue
        room = target // max(1, math.prod(grown))
        full = -(-shape[axis] // grown[axis])
        factor = max(1, min(room, full))
        grown[axis] = shape[axis] if factor >= full and shape[axis] else grown[axis] * factor
        if factor < full:
            break
    return tuple(grown)


def auto_chunks(array: ArraySource, fixed: Mapping[str, int], target: int, source_limit: int) -> Shape:
    """Whole multiples of the source's chunks up to ``target``; dimensions in ``fixed`` are left as they are."""
    base = base_chunks(array, source_limit)
    free = [dim not in fixed for dim in array.dims]
    grown = grow([fixed.get(dim, chunk) for dim, chunk in zip(array.dims, base, strict=True)], array.shape, target, free)
    return evened(grown, array.shape, [(own, 1) for own in base], free)


def evened(grown: Shape, shape: Sequence[int], units: Sequence[tuple[int, ...]], free: Sequence[bool], least: int = 0) -> Shape:
    """``grown``, shorter where its last pieces along the ``free`` dimensions would reach far beyond ``shape``: by PADDING at most.

    Lengths stay multiples of the first of a dimension's ``units`` with which that goes; the next one is finer. None becomes so short
    that fewer than ``least`` elements are left.
    """
    lengths = list(grown)

    def padding(axis: int) -> float:
        return -(-shape[axis] // lengths[axis]) * lengths[axis] / shape[axis] if free[axis] and lengths[axis] < shape[axis] else 1.0

    def all_but(left_out: int | None) -> float:
        return math.prod(padding(axis) for axis in range(len(lengths)) if axis != left_out)

    odd = sorted((axis for axis in range(len(lengths)) if padding(axis) > 1), key=padding, reverse=True)
    for axis in odd:
        if all_but(None) <= PADDING:
            break
        even = _even(lengths[axis], shape[axis], units[axis], max(PADDING / all_but(axis), PADDING ** (1 / len(odd))))
        if math.prod(lengths) // lengths[axis] * even >= least:
            lengths[axis] = even
    return tuple(lengths)


def _even(longest: int, size: int, units: Sequence[int], most: float) -> int:
    """The first length that pads ``size`` to no more than ``most`` times it: by the first unit, unless it becomes much shorter so."""
    least = -(-longest // (4 if units[-1] == 1 else 2))
    for unit in units:
        for count in range(-(-size // longest), -(-size // unit) + 1):
            step = -(-size // (count * unit)) * unit
            if step < least:
                break
            if step <= longest and -(-size // step) * step <= most * size:
                return step
    steps = range(longest, 0 if units[-1] == 1 else least - 1, -units[-1])  # a shard stores nothing of what lies beyond the array
    return min(steps, key=lambda step: -(-size // step) * step)


def auto_shards(array: ArraySource, chunks: Shape, fixed: Mapping[str, int], target: int, limit: int) -> Shape:
    """Whole multiples of ``chunks`` up to ``target``, around whole chunks of the source where these fit into ``limit``."""
    most = whole(array.shape, chunks)
    shard = [fixed.get(dim, chunk) for dim, chunk in zip(array.dims, chunks, strict=True)]
    free = [dim not in fixed for dim in array.dims]
    for axis in reversed(range(len(shard))):
        if free[axis] and array.source_chunks:
            wider = [*shard[:axis], min(math.lcm(chunks[axis], array.source_chunks[axis]), most[axis]), *shard[axis + 1 :]]
            shard = wider if math.prod(wider) <= limit else shard
    return evened(grow(shard, most, target, free), most, list(zip(shard, chunks, strict=True)), free, target // 4)


def divisor(number: int, most: int) -> int:
    """The largest divisor of ``number`` that is not above ``most``."""
    small = [part for part in range(1, math.isqrt(number) + 1) if number % part == 0]
    return max(part for low in small for part in (low, number // low) if part <= most)


def block_shape(array: ArraySource, unit: Shape, share: int, most: int) -> Shape:
    """What one task reads and writes: whole objects of the shape ``unit``, around whole chunks of the source where that fits.

    It grows to ``share``, and up to ``most`` where the source would else be read over and over. Never less than ``unit``.
    """
    block = unit
    for limit in (share, most):
        block = _around_source(array, unit, block, limit)
        if rereads(array, block) <= REREAD:
            break
    return grow(block, array.shape, share, [True] * len(block))


def rereads(array: ArraySource, block: Sequence[int]) -> float:
    """How often an element of the source is decompressed on average, when blocks of this shape are read one by one."""
    if not array.source_chunks:
        return 1.0
    times = [
        (step + own - math.gcd(step, own)) / step
        for size, own, step in zip(array.shape, array.source_chunks, block, strict=True)
        if step < size
    ]
    return math.prod(times)


def _around_source(array: ArraySource, unit: Shape, block: Shape, limit: int) -> Shape:
    grown, most = list(block), whole(array.shape, unit)
    for axis, own in reversed(list(enumerate(array.source_chunks or ()))):
        wanted = min(math.lcm(unit[axis], own), most[axis])
        room = limit // (math.prod(grown) // grown[axis]) // unit[axis] * unit[axis]
        grown[axis] = max(grown[axis], min(wanted, room))
    return tuple(grown)
