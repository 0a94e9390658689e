# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a write will do, worked out before the first byte moves: chunks, tasks, objects. Pure: no file, no server.

Chunks chosen here (``auto``, and every dimension that the request leaves out) are whole multiples of the source's own
chunks, so that each of those is read and decompressed once, grown from the last dimension to the first up to
CHUNK_TARGET bytes. A source without chunks counts as rows of its last dimension.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from .errors import BadRequest, PlanError

CHUNK_TARGET = 16 * 2**20  # bytes of one chunk, not compressed
SOURCE_CHUNK_LIMIT = 256 * 2**20  # a source chunk above this is split: nobody can read such an object with ease
CHUNK_LIMIT = 2**31 - 1  # bytes: codecs take no more
BLOCK_TARGET = 64 * 2**20  # bytes that one task holds, not compressed
TEXT_ITEM = 32  # bytes that a string of variable length counts for

Region = tuple[tuple[int, int], ...]
Decision = Literal["create", "continue", "nothing", "refuse"]


@dataclass(frozen=True)
class ArraySource:
    """An array as it will be stored: ``itemsize`` in bytes, ``source_chunks`` as the source has them (None: it has none)."""

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    itemsize: int
    source_chunks: tuple[int, ...] | None = None


@dataclass(frozen=True)
class ArrayPlan:
    """One array of the store: its chunks, the number of its chunk objects, and its bytes before compression."""

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    chunks: tuple[int, ...]
    block: tuple[int, ...]
    objects: int
    bytes: int


@dataclass(frozen=True)
class Block:
    """The work of one task: whole chunks of one array, from start to stop in each dimension."""

    array: str
    region: Region


@dataclass(frozen=True)
class WritePlan:
    """All arrays of a store in the order in which they are written."""

    arrays: tuple[ArrayPlan, ...]

    @property
    def chunks(self) -> int:
        """Chunk objects of all arrays; metadata documents come on top."""
        return sum(array.objects for array in self.arrays)

    @property
    def bytes(self) -> int:
        """Bytes of all arrays before compression."""
        return sum(array.bytes for array in self.arrays)

    def blocks(self) -> Iterator[Block]:
        """The tasks: together they cover every chunk of every array once, and none splits a chunk."""
        for array in self.arrays:
            for region in tiles(array.shape, array.block):
                yield Block(array.name, region)

    def to_dict(self, documents: int) -> dict[str, Any]:
        """Plain values for results and the manifest; ``documents`` of metadata count as objects too."""
        arrays = [
            {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(array).items() if key != "block"}
            for array in self.arrays
        ]
        return {"arrays": arrays, "chunks": self.chunks, "shards": 0, "objects": self.chunks + documents, "bytes": self.bytes}


@dataclass(frozen=True)
class Found:
    """What lies at the destination: a root document, the fingerprint of a manifest, the marker of a write, one object."""

    root: bool = False
    fingerprint: str | None = None
    marker: bool = False
    example: str | None = None


def decide(wanted: str, found: Found) -> Decision:
    """What ``mode: create`` does about what it found, for the request and source with the fingerprint ``wanted``."""
    if found.root:
        return "nothing" if found.fingerprint == wanted else "refuse"
    if found.marker:
        return "continue"
    return "refuse" if found.example else "create"


def make_plan(arrays: Sequence[ArraySource], chunks: Mapping[str, int] | None) -> WritePlan:
    """The plan for these arrays; ``chunks`` by dimension, None for automatic ones. Raises BadRequest for illegal ones."""
    wanted = dict(chunks or {})
    _check_chunks(arrays, wanted)
    return WritePlan(tuple(_plan_array(array, wanted) for array in arrays))


def tiles(shape: Sequence[int], tile: Sequence[int]) -> Iterator[Region]:
    """The regions of a regular grid over ``shape``; one empty region for no dimension, none where one has length 0."""
    axes = [[(start, min(start + step, size)) for start in range(0, size, step)] for size, step in zip(shape, tile, strict=True)]
    yield from itertools.product(*axes)


def chunk_count(shape: Sequence[int], chunks: Sequence[int]) -> int:
    """Chunks in an array of this shape."""
    return math.prod(-(-size // chunk) for size, chunk in zip(shape, chunks, strict=True))


def auto_chunks(array: ArraySource, fixed: Mapping[str, int]) -> tuple[int, ...]:
    """Chunks by the rule above; dimensions in ``fixed`` are left as they are."""
    base = list(_base_chunks(array))
    for axis, dim in enumerate(array.dims):
        base[axis] = fixed.get(dim, base[axis])
    growable = [dim not in fixed for dim in array.dims]
    return _grow(base, array.shape, array.itemsize, CHUNK_TARGET, growable)


def block_shape(array: ArraySource, chunks: tuple[int, ...]) -> tuple[int, ...]:
    """What one task reads and writes: whole chunks, up to BLOCK_TARGET bytes, around whole chunks of the source where it fits."""
    block = list(chunks)
    for axis, own in enumerate(array.source_chunks or ()):
        wanted = min(own, max(array.shape[axis], 1))
        wider = [*block[:axis], -(-wanted // chunks[axis]) * chunks[axis], *block[axis + 1 :]]
        if _size(wider, array.itemsize) <= BLOCK_TARGET:
            block = wider
    return _grow(block, array.shape, array.itemsize, BLOCK_TARGET, [True] * len(block))


def _plan_array(array: ArraySource, wanted: Mapping[str, int]) -> ArrayPlan:
    # A coordinate of its own dimension is read whole by every reader that opens the store: few objects serve it best.
    fixed = {} if array.dims == (array.name,) else wanted
    chunks = auto_chunks(array, fixed)
    _check_size(array, chunks)
    return ArrayPlan(
        name=array.name,
        dims=array.dims,
        shape=array.shape,
        dtype=array.dtype,
        chunks=chunks,
        block=block_shape(array, chunks),
        objects=chunk_count(array.shape, chunks),
        bytes=math.prod(array.shape) * array.itemsize,
    )


def _base_chunks(array: ArraySource) -> tuple[int, ...]:
    own = array.source_chunks
    if own is not None:
        own = tuple(max(1, min(chunk, size)) for chunk, size in zip(own, array.shape, strict=True))
        if _size(own, array.itemsize) <= SOURCE_CHUNK_LIMIT:
            return own
    return tuple(1 for _ in array.shape)


def _grow(base: Sequence[int], shape: Sequence[int], itemsize: int, target: int, growable: Sequence[bool]) -> tuple[int, ...]:
    """``base`` times whole numbers, last dimension first, as long as it stays below ``target`` bytes.

    A dimension grows to its full length or stays a multiple; the next one grows only when this one is full, so that what
    is written together lies together.
    """
    grown = list(base)
    for axis in reversed(range(len(grown))):
        if not growable[axis]:
            continue
        room = target // max(1, _size(grown, itemsize))
        full = -(-shape[axis] // grown[axis])
        factor = max(1, min(room, full))
        grown[axis] = shape[axis] if factor >= full and shape[axis] else grown[axis] * factor
        if factor < full:
            break
    return tuple(grown)


def _size(shape: Sequence[int], itemsize: int) -> int:
    return math.prod(shape) * itemsize


def _check_chunks(arrays: Sequence[ArraySource], wanted: Mapping[str, int]) -> None:
    sizes = {dim: size for array in arrays for dim, size in zip(array.dims, array.shape, strict=True)}
    for dim, chunk in wanted.items():
        if dim not in sizes:
            raise BadRequest(f"chunks names the dimension '{dim}', which is not in the source. It has: {_listed(sizes)}.", dimension=dim)
        size = sizes[dim]
        if size == 0:
            raise BadRequest(f"chunks.{dim} is {chunk}: the dimension '{dim}' has length 0. Leave it out of 'chunks'.", dimension=dim)
        if not 1 <= chunk <= size:
            remedy = f"Use {size}" if chunk > size else f"Use {size} for one chunk, or less"
            raise BadRequest(f"chunks.{dim} is {chunk}: a chunk is from 1 to {size}, the length of '{dim}'. {remedy}.", dimension=dim)


def _check_size(array: ArraySource, chunks: tuple[int, ...]) -> None:
    size = _size(chunks, array.itemsize)
    if size <= CHUNK_LIMIT:
        return
    axis = max(range(len(chunks)), key=lambda number: chunks[number])
    legal = max(1, chunks[axis] * CHUNK_LIMIT // size)
    raise PlanError(
        f"a chunk of '{array.name}' would have {size / 2**30:.1f} GiB: codecs take less than 2 GiB. "
        f"Set chunks.{array.dims[axis]} to {legal} or less.",
        variable=array.name,
        chunks=list(chunks),
    )


def _listed(names: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({size})" for name, size in sorted(names.items())) or "none"
