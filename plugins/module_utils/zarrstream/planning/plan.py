# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a write will do, worked out before the first byte moves: chunks, shards, tasks, objects. Pure: no file, no server.

Chunks and shards follow from the source and the request alone, so that every machine gives the same store; memory decides
only how much of it one task takes at a time. A plan that would take more memory than there is is refused, and so is one
that no codec, no server or no reader could live with; the nearest legal one is named.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ..errors import BadRequest, PlanError
from ..text import human_bytes
from .chunking import ArraySource, Region, Shape, auto_chunks, auto_shards, block_shape, chunk_count, divisor, tiles, whole

CHUNK_TARGET = 16 * 2**20  # bytes of one chunk, not compressed; smaller ones are worth a shard
SHARD_TARGET = 64 * 2**20  # bytes of one shard, not compressed
SHARD_AROUND_SOURCE = 96 * 2**20  # bytes up to which a shard is widened to hold whole chunks of the source
SOURCE_CHUNK_LIMIT = 256 * 2**20  # a source chunk above this is split: nobody can read such an object with ease
CHUNK_LIMIT = 2**31 - 1  # bytes: codecs take no more
OBJECT_LIMIT = 5 * 10**9  # bytes: a server takes no more in one request
OBJECTS_LIMIT = 10**6  # of a store: each is a line of the manifest, and a request
BLOCK_TARGET = 16 * 2**20  # bytes that one task holds, not compressed
TASKS = 4  # that share the memory
COPIES = 4  # of a block in the making: as read, as decompressed, as encoded, as sent
TEXT_ITEM = 32  # bytes that a string of variable length counts for

Decision = Literal["create", "continue", "nothing", "refuse"]


@dataclass(frozen=True)
class ArrayPlan:
    """One array of the store: its chunks and shards (None: none), the number of its objects, its bytes before compression.

    ``block`` is what one task writes, ``memory`` the bytes that this takes for each of its elements, ``overhead`` those on top.
    """

    name: str
    dims: tuple[str, ...]
    shape: Shape
    dtype: str
    chunks: Shape
    shards: Shape | None
    objects: int
    bytes: int
    block: Shape
    memory: int
    overhead: int

    @property
    def unit(self) -> Shape:
        """What one object holds: a shard, or a chunk."""
        return self.shards or self.chunks

    def task(self, region: Region) -> Block:
        """The task for a region of whole objects."""
        elements = math.prod(stop - start for start, stop in region)
        return Block(self.name, region, elements * self.memory + self.overhead)


@dataclass(frozen=True)
class Block:
    """The work of one task: whole objects of one array, from start to stop in each dimension, and the bytes of memory it takes."""

    array: str
    region: Region
    memory: int


@dataclass(frozen=True)
class WritePlan:
    """All arrays of a store in the order in which they are written; tasks at work together take at most ``memory`` bytes."""

    arrays: tuple[ArrayPlan, ...]
    memory: int

    @property
    def objects(self) -> int:
        """Objects of all arrays; metadata documents come on top."""
        return sum(array.objects for array in self.arrays)

    @property
    def bytes(self) -> int:
        """Bytes of all arrays before compression."""
        return sum(array.bytes for array in self.arrays)

    def blocks(self) -> Iterator[Block]:
        """The tasks: together they cover every object of every array once, and none splits an object."""
        for array in self.arrays:
            for region in tiles(array.shape, array.block):
                yield array.task(region)

    def to_dict(self, documents: int) -> dict[str, Any]:
        """Plain values for results and the manifest; ``documents`` of metadata count as objects too."""
        hidden = ("block", "memory", "overhead")  # of this machine, not of the store
        arrays = [
            {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(array).items() if key not in hidden}
            for array in self.arrays
        ]
        return {
            "arrays": arrays,
            "chunks": sum(chunk_count(array.shape, array.chunks) for array in self.arrays),
            "shards": sum(array.objects for array in self.arrays if array.shards),
            "objects": self.objects + documents,
            "bytes": self.bytes,
        }


@dataclass(frozen=True)
class Found:
    """What lies at the destination: a root document, the fingerprint of a manifest, the lock of a write, one object."""

    root: bool = False
    fingerprint: str | None = None
    lock: bool = False
    example: str | None = None


def decide(wanted: str, found: Found) -> Decision:
    """What ``mode: create`` does about what it found, for the request and source with the fingerprint ``wanted``."""
    if found.root:
        return "nothing" if found.fingerprint == wanted else "refuse"
    if found.lock:
        return "continue"
    return "refuse" if found.example else "create"


def make_plan(
    arrays: Sequence[ArraySource],
    chunks: Mapping[str, int] | None,
    shards: Mapping[str, int] | None = None,
    *,
    memory: int,
    block: int | None = None,
) -> WritePlan:
    """The plan for these arrays; ``chunks`` by dimension, None for automatic ones; ``memory`` in bytes, and those of one ``block``.

    ``shards`` by dimension too, empty for automatic ones, None for none. Raises BadRequest for illegal lengths, and
    PlanError for what is legal and would not go well; both name what would.
    """
    wanted = dict(chunks or {})
    check_lengths("chunks", arrays, wanted)
    check_lengths("shards", arrays, shards or {})
    planned = tuple(_plan_array(array, wanted, shards, memory, BLOCK_TARGET if block is None else block) for array in arrays)
    _check_count(planned, sharded=shards is not None)
    return WritePlan(planned, memory)


def _plan_array(array: ArraySource, wanted: Mapping[str, int], shards: Mapping[str, int] | None, memory: int, block: int) -> ArrayPlan:
    if array.lengths:
        wanted, shards = array.lengths.chunks, array.lengths.shards
    elif array.dims == (array.name.rpartition("/")[2],):
        # A coordinate of its own dimension is read whole by every reader that opens the store: few objects serve it best.
        wanted, shards = {}, None if shards is None else {}
    lengths = dict(zip(array.dims, array.shape, strict=True))
    if not (array.lengths and array.lengths.kept):
        wanted = {dim: min(chunk, max(1, lengths.get(dim, chunk))) for dim, chunk in wanted.items()}  # a group may have a shorter one
    chunks = _chunks(array, wanted, shards or {})
    shard = None if shards is None else _shard(array, chunks, shards)
    unit = shard or chunks
    _check_size(array, chunks, unit)
    cost, overhead = _memory(array)
    _check_memory(array, chunks, unit, memory)
    # Two tasks at a time at least: one reads while the other encodes.
    most = max(0, memory // 2 - overhead) // cost
    share = min(block // array.itemsize, max(0, memory // TASKS - overhead) // cost)
    return ArrayPlan(
        name=array.name,
        dims=array.dims,
        shape=array.shape,
        dtype=array.dtype,
        chunks=chunks,
        shards=shard,
        objects=chunk_count(array.shape, unit),
        bytes=math.prod(array.shape) * array.itemsize,
        block=block_shape(array, unit, share, max(share, most)),
        memory=cost,
        overhead=overhead,
    )


def _chunks(array: ArraySource, fixed: Mapping[str, int], shards: Mapping[str, int]) -> Shape:
    chunks = auto_chunks(array, fixed, CHUNK_TARGET // array.itemsize, SOURCE_CHUNK_LIMIT // array.itemsize)
    # A shard of a given length is cut into whole chunks.
    return tuple(
        divisor(shards[dim], chunk) if dim in shards and dim not in fixed else chunk for dim, chunk in zip(array.dims, chunks, strict=True)
    )


def _shard(array: ArraySource, chunks: Shape, fixed: Mapping[str, int]) -> Shape | None:
    asked = any(dim in fixed for dim in array.dims)
    if not asked and (math.prod(chunks) * array.itemsize >= CHUNK_TARGET or chunk_count(array.shape, chunks) <= 1):
        return None
    most = whole(array.shape, chunks)
    for dim, chunk, longest in zip(array.dims, chunks, most, strict=True):
        shard, where = fixed.get(dim, longest), f"{_where(array)}shards.{dim}"
        if shard % chunk:
            near = sorted({max(chunk, shard // chunk * chunk), min(longest, -(-shard // chunk) * chunk)})
            raise BadRequest(
                f"{where} is {shard}: a shard of '{array.name}' holds whole chunks of {chunk}. Use {' or '.join(map(str, near))}.",
                dimension=dim,
            )
        if shard > longest and not (array.lengths and array.lengths.kept):
            raise BadRequest(
                f"{where} is {shard}: '{array.name}' has {longest // chunk} chunks of {chunk} along '{dim}'. Use {longest} or less.",
                dimension=dim,
            )
    return auto_shards(array, chunks, fixed, SHARD_TARGET // array.itemsize, SHARD_AROUND_SOURCE // array.itemsize)


def _memory(array: ArraySource) -> tuple[int, int]:
    """Bytes that a task takes for each element, and beside them: a source chunk is decompressed whole, whatever part is wanted."""
    own = tuple(min(chunk, size) for chunk, size in zip(array.source_chunks or (), array.shape, strict=False))
    return COPIES * array.itemsize + array.scratch, 2 * math.prod(own) * array.itemsize if own else 0


def check_lengths(option: str, arrays: Sequence[ArraySource], wanted: Mapping[str, int]) -> None:
    """Raises BadRequest, which names ``option``, for lengths of chunks or shards that none of the arrays can have."""
    sizes: dict[str, int] = {}
    for array in arrays:
        sizes |= {dim: max(size, sizes.get(dim, 0)) for dim, size in zip(array.dims, array.shape, strict=True)}
    for dim, length in wanted.items():
        if dim not in sizes:
            raise BadRequest(f"{option} names the dimension '{dim}', which is not in the source. It has: {_listed(sizes)}.", dimension=dim)
        size, what = sizes[dim], option.rpartition(".")[2].removesuffix("s")
        if size == 0:
            raise BadRequest(f"{option}.{dim} is {length}: the dimension '{dim}' has length 0. Leave it out of '{option}'.", dimension=dim)
        if length < 1 or (length > size and what == "chunk"):  # the last shard may reach beyond the array
            remedy = f"Use {size}" if length > size else f"Use {size} for one {what}, or less"
            raise BadRequest(f"{option}.{dim} is {length}: a {what} is from 1 to {size}, the length of '{dim}'. {remedy}.", dimension=dim)


def _check_size(array: ArraySource, chunks: Shape, unit: Shape) -> None:
    for option, shape, limit, who in (("chunks", chunks, CHUNK_LIMIT, "codecs take"), ("shards", unit, OBJECT_LIMIT, "a server takes")):
        size = math.prod(shape) * array.itemsize
        if size > limit:
            raise PlanError(
                f"one of the {option} of '{array.name}' would have {human_bytes(size)}: {who} less than {human_bytes(limit)}. "
                f"{_shorter(array, option, shape, chunks, limit // array.itemsize)}.",
                variable=array.name,
                chunks=list(chunks),
            )


def _check_memory(array: ArraySource, chunks: Shape, unit: Shape, memory: int) -> None:
    cost, overhead = _memory(array)
    needed = math.prod(min(size, step) for size, step in zip(array.shape, unit, strict=True)) * cost + overhead
    if needed <= memory:
        return
    option = "chunks" if unit == chunks else "shards"
    takes = f"takes {human_bytes(needed)} of memory to write, {human_bytes(memory)} are to be used"
    shorter = _shorter(array, option, unit, chunks, max(0, memory - overhead) // cost)
    remedy = f"{shorter}, or memory" if shorter else "Set memory"
    text = f"one of the {option} of '{array.name}' {list(unit)} {takes}. {remedy} to {-(-needed // 2**20)}MiB or more."
    raise PlanError(text, variable=array.name, chunks=list(chunks))


def _check_count(arrays: Sequence[ArrayPlan], *, sharded: bool) -> None:
    total = sum(array.objects for array in arrays)
    if total <= OBJECTS_LIMIT:
        return
    most = max(arrays, key=lambda array: array.objects)
    axis = max(range(len(most.shape)), key=lambda number: most.shape[number] / most.unit[number])
    larger = min(most.shape[axis], most.unit[axis] * -(-total // OBJECTS_LIMIT))
    dim, option = most.dims[axis], "shards" if most.shards else "chunks"
    remedy = f"Set {option}.{dim} to {larger} or more" + ("" if sharded else ", or shards to auto")
    raise PlanError(f"the store would have {total} objects, most of them of '{most.name}': {OBJECTS_LIMIT} are too many. {remedy}.")


def _shorter(array: ArraySource, option: str, shape: Shape, chunks: Shape, room: int) -> str:
    """The nearest request for objects of at most ``room`` elements; empty where not even the smallest has so few."""
    steps = chunks if option == "shards" else (1,) * len(shape)
    legal = list(shape)
    if math.prod(steps) > room:
        return ""
    while math.prod(legal) > room:
        axis = max(range(len(legal)), key=lambda number: legal[number] // steps[number])
        legal[axis] = max(1, room // (math.prod(legal) // legal[axis]) // steps[axis]) * steps[axis]
    changed = [(dim, new) for dim, new, old in zip(array.dims, legal, shape, strict=True) if new != old]
    return "Set " + " and ".join(f"{_where(array)}{option}.{dim} to {new} or less" for dim, new in changed)


def _where(array: ArraySource) -> str:
    """How a request names the lengths of an array, before ``chunks`` and ``shards``."""
    return array.lengths.where if array.lengths else ""


def _listed(names: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({size})" for name, size in sorted(names.items())) or "none"
