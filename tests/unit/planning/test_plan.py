"""The planner: tables for its decisions, properties for its tiles. No file, no server."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import THOROUGH
from zarrstream.errors import BadRequest, PlanError
from zarrstream.planning import plan
from zarrstream.planning.chunking import PADDING, REREAD, ArraySource, auto_chunks, block_shape, chunk_count, divisor, rereads, tiles
from zarrstream.planning.plan import Found, WritePlan, decide

AIR = ArraySource("air", ("time", "lat", "lon"), (2920, 25, 53), "int16", 2, (100, 25, 53))
TIME = ArraySource("time", ("time",), (2920,), "int64", 8, (1024,))


def array(shape: tuple[int, ...], itemsize: int = 4, source_chunks: tuple[int, ...] | None = None) -> ArraySource:
    return ArraySource("a", tuple("xyzuvw"[: len(shape)]), shape, "float32", itemsize, source_chunks)


def make_plan(
    arrays: list[ArraySource], chunks: dict[str, int] | None = None, shards: dict[str, int] | None = None, memory: int = 2**34
) -> WritePlan:
    return plan.make_plan(arrays, chunks, shards, memory=memory)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Found(), "create"),
        (Found(root=True, fingerprint="ours"), "nothing"),
        (Found(root=True, fingerprint="ours", lock=True), "nothing"),
        (Found(root=True, fingerprint="another"), "refuse"),
        (Found(root=True, fingerprint=None), "refuse"),
        (Found(root=True, fingerprint=None, lock=True), "refuse"),
        (Found(lock=True), "continue"),
        (Found(lock=True, example="air.zarr/air/c/0"), "continue"),
        (Found(example="air.zarr/readme.txt"), "refuse"),
    ],
)
def test_create_overwrites_nothing_but_its_own_broken_writes(found: Found, expected: str) -> None:
    assert decide("ours", found) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (array((2920, 25, 53), 2, (100, 25, 53)), (2920, 25, 53)),  # all of it is small
        (array((8760, 721, 1440), 4, (1, 721, 1440)), (4, 721, 1440)),  # 4 MiB each: four to a chunk
        (array((8760, 721, 1440), 4, (10, 721, 1440)), (10, 721, 1440)),  # larger than the target: as it is
        (array((100, 4000, 4000), 4, (1, 500, 500)), (1, 1000, 4000)),  # the last dimension first, then the one before
        (array((8760, 721, 1440), 4), (4, 721, 1440)),  # not chunked
        (array((10**6, 3), 4, (10**5, 3)), (10**6, 3)),
        (array((100, 10**9), 4, (100, 10**9)), (1, 2**22)),  # one chunk of 400 GB: split
        (array(()), ()),
        (array((0, 53)), (1, 53)),
        (array((5,), 4, (1024,)), (5,)),  # an unlimited dimension has chunks longer than itself
        (array((0,), 4, (1024,)), (1,)),
        # no slivers: evenly, by whole chunks of the source if that goes
        (array((1024, 96, 128)), (256, 96, 128)),  # 341 would fit
        (array((1024, 96, 128), 4, (64, 96, 128)), (256, 96, 128)),  # 320
        (array((8760, 721, 1440), 4, (24, 150, 150)), (24, 150, 750)),  # 1050 of 1440
        (array((5, 10**6)), (1, 10**6)),  # 4 of 5
        (array((1025, 64, 128), 4, (512, 64, 128)), (342, 64, 128)),  # a third chunk of the source for one row
    ],
)
def test_automatic_chunks(source: ArraySource, expected: tuple[int, ...]) -> None:
    assert make_plan([source], memory=2**45).arrays[0].chunks == expected


def test_chunks_hold_for_every_variable_but_not_for_the_coordinate_of_a_dimension() -> None:
    plan = make_plan([AIR, TIME], {"time": 240})
    air, time = plan.arrays
    assert (air.chunks, air.objects) == ((240, 25, 53), 13)
    assert (time.chunks, time.objects) == ((2920,), 1)
    assert plan.objects == plan.to_dict(0)["chunks"] == 14
    assert (plan.to_dict(5)["objects"], plan.to_dict(5)["shards"]) == (19, 0)
    assert plan.bytes == 2920 * 25 * 53 * 2 + 2920 * 8


@pytest.mark.parametrize(
    ("chunks", "words"),
    [
        ({"tme": 10}, ["chunks", "'tme'", "time (2920)", "lat (25)", "lon (53)"]),
        ({"time": 0}, ["chunks.time is 0", "1 to 2920"]),
        ({"time": -5}, ["chunks.time is -5", "1 to 2920"]),
        ({"lat": 26}, ["chunks.lat is 26", "1 to 25", "Use 25"]),
        ({"none": 1}, ["chunks.none", "length 0"]),
    ],
)
def test_illegal_chunks_are_named(chunks: dict[str, int], words: list[str]) -> None:
    with pytest.raises(BadRequest) as error:
        make_plan([AIR, TIME, ArraySource("e", ("none",), (0,), "int8", 1)], chunks)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_chunk_that_no_codec_takes_is_refused_with_a_legal_one() -> None:
    source = ArraySource("a", ("x", "y"), (40_000, 40_000), "float64", 8)
    with pytest.raises(PlanError, match=r"'a' would have 11\.9 GiB.*Set chunks\.x to (\d+) or less") as error:
        make_plan([source], {"x": 40_000, "y": 40_000})
    legal = int(str(error.value).rpartition("to ")[2].split()[0])
    assert make_plan([source], {"x": legal, "y": 40_000}).arrays[0].chunks == (legal, 40_000)
    with pytest.raises(PlanError):
        make_plan([source], {"x": legal + 1, "y": 40_000})


MIB = 2**20


@pytest.mark.parametrize(
    ("source", "chunks", "shards", "expected"),
    [
        # small chunks are gathered into 48 to 64 MiB
        (array((8760, 721, 1440), 4), {"x": 1}, {}, ((1, 721, 1440), (16, 721, 1440))),
        (array((8760, 100, 100), 4), {"x": 24}, {}, ((24, 100, 100), (1464, 100, 100))),  # and evenly
        # and around whole chunks of the source, where that stays below 96 MiB
        (array((8760, 721, 1440), 4, (20, 721, 1440)), {"x": 1}, {}, ((1, 721, 1440), (20, 721, 1440))),
        (array((8760, 721, 1440), 4, (40, 721, 1440)), {"x": 1}, {}, ((1, 721, 1440), (16, 721, 1440))),
        # what is one object already, or has large chunks, needs none
        (array((100, 10), 4), {"x": 100}, {}, ((100, 10), None)),
        (array((100, 1000, 1000), 4), {"x": 5, "y": 1000, "z": 1000}, {}, ((5, 1000, 1000), None)),
        (array(()), None, {}, ((), None)),
        (array((0, 10)), None, {}, ((1, 10), None)),
        # lengths that are asked for, with the array's edge rounded up to whole chunks
        (array((100, 10), 4), {"x": 7}, {"x": 35}, ((7, 10), (35, 10))),
        (array((100, 10), 4), {"x": 7}, {"x": 105}, ((7, 10), (105, 10))),
        (array((100, 10), 4), {"x": 7, "y": 2}, {"y": 4}, ((7, 2), (105, 4))),
        # automatic chunks divide the shards that are asked for
        (array((2920, 50), 4, (100, 50)), None, {"x": 240}, ((240, 50), (240, 50))),
        (array((10**6, 1000), 4, (10, 1000)), None, {"x": 9000}, ((3000, 1000), (9000, 1000))),
    ],
)
def test_shards(source: ArraySource, chunks: dict[str, int] | None, shards: dict[str, int], expected: Any) -> None:
    made = make_plan([source], chunks, shards)
    planned = made.arrays[0]
    assert (planned.chunks, planned.shards) == expected
    assert planned.objects == chunk_count(source.shape, planned.shards or planned.chunks)
    told = made.to_dict(0)
    assert told["chunks"] == chunk_count(source.shape, planned.chunks)
    assert told["shards"] == (planned.objects if planned.shards else 0)
    assert told["arrays"][0]["shards"] == (list(planned.shards) if planned.shards else None)


def test_the_coordinate_of_a_dimension_keeps_few_objects() -> None:
    air, time = make_plan([AIR, TIME], {"time": 10}, {"time": 100}).arrays
    assert (air.shards, time.chunks, time.shards) == ((100, 25, 53), (2920,), None)


@pytest.mark.parametrize(
    ("chunks", "shards", "words"),
    [
        ({"time": 240}, {"time": 500}, ["shards.time is 500", "whole chunks of 240", "Use 480 or 720"]),
        ({"time": 240}, {"time": 100}, ["shards.time is 100", "Use 240"]),
        ({"time": 240}, {"time": 3360}, ["shards.time is 3360", "13 chunks of 240", "Use 3120 or less"]),
        ({"time": 240}, {"time": 0}, ["shards.time is 0"]),
        ({"time": 240}, {"tme": 240}, ["shards names the dimension 'tme'", "time (2920)"]),
    ],
)
def test_illegal_shards_are_named_with_legal_ones(chunks: dict[str, int], shards: dict[str, int], words: list[str]) -> None:
    with pytest.raises(BadRequest) as error:
        make_plan([AIR, TIME], chunks, shards)
    assert all(word in str(error.value) for word in words), str(error.value)


def proposals(error: PlanError, option: str) -> dict[str, int]:
    return {dim: int(length) for dim, length in re.findall(rf"{option}\.(\w+) to (\d+) or less", str(error))}


@pytest.mark.parametrize(
    ("source", "chunks", "shards", "memory", "option"),
    [
        (array((1000, 1000, 1000), 4), {"x": 1000, "y": 1000, "z": 100}, None, 2**28, "chunks"),
        (array((4, 30_000, 30_000), 4), {"x": 4, "y": 10_000, "z": 10_000}, None, 2**26, "chunks"),
        (array((1000, 1000, 1000), 4), {"x": 10, "y": 100, "z": 1000}, {"x": 1000, "y": 1000}, 2**28, "shards"),
        (array((1000, 1000, 1000), 4), {"x": 1}, {}, 2**27, "shards"),
    ],
)
def test_what_memory_does_not_hold_is_refused_with_what_it_does(
    source: ArraySource, chunks: dict[str, int], shards: dict[str, int] | None, memory: int, option: str
) -> None:
    with pytest.raises(PlanError, match=r"of memory to write") as error:
        make_plan([source], chunks, shards, memory=memory)
    legal = proposals(error.value, option)
    assert legal
    changed = {"chunks": chunks, "shards": shards} | {option: {**((shards if option == "shards" else chunks) or {}), **legal}}
    assert make_plan([source], **changed, memory=memory).arrays[0].unit < (source.shape)
    more = int(re.search(r"memory to (\d+)MiB or more", str(error.value))[1])  # type: ignore[index]
    make_plan([source], chunks, shards, memory=more * MIB)


def test_a_source_chunk_that_memory_does_not_hold_asks_for_more() -> None:
    source = array((10, 4000, 4000), 4, (1, 4000, 4000))
    with pytest.raises(PlanError, match=r"Set memory to (\d+)MiB or more") as error:
        make_plan([source], {"y": 10, "z": 10}, memory=100 * MIB)
    assert "chunks." not in str(error.value)


def test_more_objects_than_anybody_could_list_are_refused() -> None:
    with pytest.raises(PlanError, match=r"10000000 objects.*Set chunks.x to (\d+) or more, or shards to auto") as error:
        make_plan([array((10**7,))], {"x": 1})
    legal = int(re.search(r"to (\d+) or more", str(error.value))[1])  # type: ignore[index]
    assert make_plan([array((10**7,))], {"x": legal}).objects <= plan.OBJECTS_LIMIT
    assert make_plan([array((10**7,))], {"x": 1}, {}).objects == 1


def test_a_server_takes_no_shard_above_its_limit() -> None:
    with pytest.raises(PlanError, match=r"a server takes less than 4\.7 GiB\. Set shards\.x to (\d+) or less") as error:
        make_plan([array((10**6, 10**4), 4)], {"x": 1000, "y": 10**4}, {"x": 200_000}, memory=2**40)
    make_plan([array((10**6, 10**4), 4)], {"x": 1000, "y": 10**4}, proposals(error.value, "shards"), memory=2**40)


@pytest.mark.parametrize(("number", "most", "expected"), [(240, 100, 80), (97, 50, 1), (97, 97, 97), (36, 6, 6), (1, 9, 1), (10**12, 7, 5)])
def test_divisors(number: int, most: int, expected: int) -> None:
    assert divisor(number, most) == expected


@pytest.mark.parametrize(
    ("source", "unit", "share", "most", "expected"),
    [
        (array((1000, 100, 100), 4, (100, 100, 100)), (10, 100, 100), 10**7, 10**7, (1000, 100, 100)),  # all at once
        (array((1000, 1000, 1000), 4, (1, 1000, 1000)), (1, 1000, 1000), 16 * 10**6, 10**8, (16, 1000, 1000)),
        (array((10, 10**9), 4), (1, 5 * 10**8), 10**6, 10**6, (1, 5 * 10**8)),  # never less than an object
        (array((1200, 10), 4, (50, 10)), (240, 10), 2400, 12_000, (240, 10)),  # a sixth twice: not worth the memory
        (array((1200, 10), 4, (100, 10)), (240, 10), 12_000, 12_000, (1200, 10)),  # whole chunks of the source
        (array((1200, 10), 4, (100, 10)), (20, 10), 500, 4000, (100, 10)),  # above its share, not to read it five times
        (array((100, 100, 100), 4, (1, 100, 100)), (100, 10, 10), 10**4, 10**5, (100, 10, 100)),  # as few readings as fit
    ],
)
def test_blocks_lie_around_whole_chunks_of_the_source(
    source: ArraySource, unit: tuple[int, ...], share: int, most: int, expected: tuple[int, ...]
) -> None:
    assert block_shape(source, unit, share, most) == expected


def decompressed(made: WritePlan, source: ArraySource) -> float:
    """How often an element of the source is read, counted block by block."""
    own = source.source_chunks or (1,) * len(source.shape)
    read = 0
    for block in made.blocks():
        sides = zip(block.region, own, source.shape, strict=True)
        read += math.prod(min(-(-stop // step) * step, size) - start // step * step for (start, stop), step, size in sides)
    return read / math.prod(source.shape)


@pytest.mark.parametrize(
    ("chunks", "shards"), [(None, None), (None, {}), ({"x": 7}, None), ({"x": 50, "z": 33}, {}), ({"x": 24}, {"x": 48})]
)
@pytest.mark.parametrize("own", [(1, 200, 300), (10, 50, 60), (13, 7, 300), None])
def test_a_source_is_read_once(chunks: dict[str, int] | None, shards: dict[str, int] | None, own: tuple[int, ...] | None) -> None:
    source = array((365, 200, 300), 4, own)
    times = decompressed(make_plan([source], chunks, shards, memory=2**32), source)
    assert times == 1.0 if chunks is None or own is None else 1.0 <= times <= REREAD


@pytest.mark.parametrize(("own", "block"), [((10,), (10,)), ((10,), (15,)), ((10,), (25,)), ((7,), (3,)), ((4,), (1000,))])
def test_rereads_are_counted_right(own: tuple[int, ...], block: tuple[int, ...]) -> None:
    source = array((2100,), 4, own)
    counted = sum(-(-stop // own[0]) * own[0] - start // own[0] * own[0] for ((start, stop),) in tiles((2100,), block)) / 2100
    assert rereads(source, block) == pytest.approx(counted, rel=0.01)


shapes = st.lists(st.integers(0, 40), max_size=4).map(tuple)


@st.composite
def requests(draw: st.DrawFn) -> tuple[ArraySource, dict[str, int], dict[str, int] | None, int]:
    shape = draw(shapes)
    dims = tuple(f"d{axis}" for axis in range(len(shape)))
    own = draw(st.none() | st.tuples(*(st.integers(1, 50) for _ in shape)))
    chunks = {dim: draw(st.integers(1, size)) for dim, size in zip(dims, shape, strict=True) if size and draw(st.booleans())}
    shards = None
    if draw(st.booleans()):
        counts = {dim: -(-size // chunks[dim]) for dim, size in zip(dims, shape, strict=True) if dim in chunks}
        shards = {dim: chunks[dim] * draw(st.integers(1, count)) for dim, count in counts.items() if draw(st.booleans())}
    itemsize = draw(st.sampled_from([1, 2, 8]))
    source = ArraySource("a", dims, shape, "x", itemsize, own, draw(st.sampled_from([0, 40])))
    return source, chunks, shards, draw(st.integers(1, 10**6))


@pytest.fixture
def small_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in {"CHUNK_TARGET": 500, "SHARD_TARGET": 2000, "SHARD_AROUND_SOURCE": 3000, "BLOCK_TARGET": 4000}.items():
        monkeypatch.setattr(plan, name, size)


def objects_of(made: WritePlan) -> Iterator[tuple[int, ...]]:
    """The grid places of the objects that each block writes; asserts that none is cut."""
    planned = made.arrays[0]
    for block in made.blocks():
        axes = []
        for (start, stop), step, size in zip(block.region, planned.unit, planned.shape, strict=True):
            assert start % step == 0
            assert stop % step == 0 or stop == size
            axes.append(range(start // step, -(-stop // step)))
        yield from itertools.product(*axes)


@settings(max_examples=500 if THOROUGH else 60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=requests())
def test_every_object_is_written_once_by_one_task_within_memory(wanted: Any, small_targets: None) -> None:
    source, chunks, shards, memory = wanted
    try:
        made = make_plan([source], chunks, shards, memory=memory)
    except PlanError as error:
        assert "of memory to write" in str(error)  # noqa: PT017
        more = int(re.search(r"memory to (\d+)MiB", str(error))[1])  # type: ignore[index]
        made = make_plan([source], chunks, shards, memory=more * MIB)
    planned = made.arrays[0]
    by_dim = dict(zip(source.dims, zip(planned.chunks, planned.unit, strict=True), strict=True))
    assert all(by_dim[dim][0] == length for dim, length in chunks.items())
    assert all(by_dim[dim][1] == length for dim, length in (shards or {}).items())
    assert all(outer % inner == 0 for inner, outer in by_dim.values())
    grid = [range(-(-size // step)) for size, step in zip(source.shape, planned.unit, strict=True)]
    written = list(objects_of(made))
    assert sorted(written) == sorted(itertools.product(*grid))
    assert len(written) == planned.objects
    elements = sum(math.prod(stop - start for start, stop in block.region) for block in made.blocks())
    assert elements == math.prod(source.shape)
    assert all(block.memory <= made.memory for block in made.blocks())


def padding(chunks: tuple[int, ...], shape: tuple[int, ...]) -> float:
    """Elements of all chunks for each one of the array; what a single chunk takes beyond it is not counted."""
    return math.prod(-(-size // chunk) * chunk / size for size, chunk in zip(shape, chunks, strict=True) if chunk < size)


@settings(max_examples=200 if THOROUGH else 40)
@given(count=st.integers(1, 10**5), chunk=st.integers(1, 24), own=st.none() | st.integers(1, 200))
def test_automatic_shards_have_no_slivers(count: int, chunk: int, own: int | None) -> None:
    source = array((count, 96, 128), 4, (own, 96, 128) if own else None)
    planned = make_plan([source], {"x": min(chunk, count)}, {}).arrays[0]
    chunks = -(-count // planned.chunks[0])
    whole = (chunks * planned.chunks[0], 96, 128)
    assert planned.shards is None or padding(planned.shards, whole) <= PADDING or chunks < 10


@settings(max_examples=200 if THOROUGH else 40)
@given(shape=st.lists(st.integers(1, 10**5), min_size=1, max_size=4).map(tuple), data=st.data(), itemsize=st.sampled_from([1, 4, 8]))
def test_automatic_chunks_are_multiples_of_the_source_and_bounded(shape: tuple[int, ...], data: st.DataObject, itemsize: int) -> None:
    own = data.draw(st.none() | st.tuples(*(st.integers(1, size) for size in shape)))
    chunks = auto_chunks(array(shape, itemsize, own), {}, plan.CHUNK_TARGET // itemsize, plan.SOURCE_CHUNK_LIMIT // itemsize)
    assert padding(chunks, shape) <= PADDING
    size, own_size = math.prod(chunks) * itemsize, math.prod(own or ()) * itemsize
    kept = own is not None and own_size <= plan.SOURCE_CHUNK_LIMIT
    assert size <= max(plan.CHUNK_TARGET, own_size if kept else 0)
    if own is not None and kept and padding(own, shape) == 1:
        assert all(
            chunk % unit == 0 or chunk == length or length < 10 * unit for chunk, unit, length in zip(chunks, own, shape, strict=True)
        )


def test_shards_that_are_evened_along_two_dimensions_do_not_become_small() -> None:
    planned = make_plan([array((115, 189, 349), 4, (114, 3, 87))], {"x": 1, "y": 94, "z": 2}, {}, memory=2**40).arrays[0]
    assert 16 * MIB <= math.prod(planned.unit) * 4 <= 96 * MIB


@settings(max_examples=200 if THOROUGH else 40)
@given(shape=st.lists(st.integers(1, 10**4), min_size=1, max_size=3).map(tuple), data=st.data())
def test_automatic_shards_have_16_to_96_mib(shape: tuple[int, ...], data: st.DataObject) -> None:
    chunks = {dim: data.draw(st.integers(1, min(size, 500))) for dim, size in zip("xyz", shape, strict=False)}
    source = array(shape, 4, data.draw(st.none() | st.tuples(*(st.integers(1, size) for size in shape))))
    try:
        planned = make_plan([source], chunks, {}, memory=2**40).arrays[0]
    except PlanError:
        return  # a chunk or a count beyond all bounds
    size, whole = math.prod(planned.unit) * 4, math.prod(shape) * 4
    if planned.shards:
        assert size <= 96 * MIB
        assert size >= 16 * MIB or all(unit >= length for unit, length in zip(planned.unit, shape, strict=True)) or whole < 16 * MIB
    else:
        assert size >= 16 * MIB or planned.objects <= 1


@given(shape=shapes, data=st.data())
def test_tiles_cover_a_shape_once(shape: tuple[int, ...], data: st.DataObject) -> None:
    tile = tuple(data.draw(st.integers(1, 50)) for _ in shape)
    regions = list(tiles(shape, tile))
    assert sum(math.prod(stop - start for start, stop in region) for region in regions) == math.prod(shape)
    assert len(set(regions)) == len(regions)
