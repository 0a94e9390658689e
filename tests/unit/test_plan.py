"""The planner: tables for its decisions, properties for its tiles. No file, no server."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zarrstream import plan
from zarrstream.errors import BadRequest, PlanError
from zarrstream.plan import ArraySource, Found, block_shape, chunk_count, decide, make_plan, tiles

AIR = ArraySource("air", ("time", "lat", "lon"), (2920, 25, 53), "int16", 2, (100, 25, 53))
TIME = ArraySource("time", ("time",), (2920,), "int64", 8, (1024,))


def array(shape: tuple[int, ...], itemsize: int = 4, source_chunks: tuple[int, ...] | None = None) -> ArraySource:
    return ArraySource("a", tuple("xyzuvw"[: len(shape)]), shape, "float32", itemsize, source_chunks)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Found(), "create"),
        (Found(root=True, fingerprint="ours"), "nothing"),
        (Found(root=True, fingerprint="ours", marker=True), "nothing"),
        (Found(root=True, fingerprint="another"), "refuse"),
        (Found(root=True, fingerprint=None), "refuse"),
        (Found(root=True, fingerprint=None, marker=True), "refuse"),
        (Found(marker=True), "continue"),
        (Found(marker=True, example="air.zarr/air/c/0"), "continue"),
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
    ],
)
def test_automatic_chunks(source: ArraySource, expected: tuple[int, ...]) -> None:
    assert make_plan([source], None).arrays[0].chunks == expected


def test_chunks_hold_for_every_variable_but_not_for_the_coordinate_of_a_dimension() -> None:
    plan = make_plan([AIR, TIME], {"time": 240})
    air, time = plan.arrays
    assert (air.chunks, air.objects) == ((240, 25, 53), 13)
    assert (time.chunks, time.objects) == ((2920,), 1)
    assert plan.chunks == 14
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


def test_blocks_gather_small_chunks_and_whole_source_chunks() -> None:
    source = array((1000, 100, 100), 4, (100, 100, 100))
    assert block_shape(source, (10, 100, 100)) == (1000, 100, 100)  # 40 MB: all at once
    assert block_shape(array((1000, 1000, 1000), 4, (1, 1000, 1000)), (1, 1000, 1000)) == (16, 1000, 1000)
    huge = array((10, 10**9), 4)
    assert block_shape(huge, (1, 5 * 10**8)) == (1, 5 * 10**8)  # never less than a chunk


shapes = st.lists(st.integers(0, 40), max_size=4).map(tuple)


@settings(max_examples=300)
@given(shape=shapes, data=st.data(), itemsize=st.sampled_from([1, 2, 8]), target=st.integers(1, 4000))
def test_every_chunk_is_in_exactly_one_block_and_whole(shape: tuple[int, ...], data: st.DataObject, itemsize: int, target: int) -> None:
    dims = tuple(f"d{axis}" for axis in range(len(shape)))
    own = data.draw(st.none() | st.tuples(*(st.integers(1, 50) for _ in shape)))
    wanted = {dim: data.draw(st.integers(1, size)) for dim, size in zip(dims, shape, strict=True) if size and data.draw(st.booleans())}
    before, plan.BLOCK_TARGET = plan.BLOCK_TARGET, target
    try:
        made = make_plan([ArraySource("a", dims, shape, "x", itemsize, own)], wanted)
    finally:
        plan.BLOCK_TARGET = before
    planned = made.arrays[0]
    assert all(planned.chunks[dims.index(dim)] == length for dim, length in wanted.items())
    seen: list[tuple[int, ...]] = []
    for block in made.blocks():
        axes = []
        for (start, stop), chunk, size in zip(block.region, planned.chunks, shape, strict=True):
            assert start % chunk == 0
            assert stop % chunk == 0 or stop == size
            axes.append(range(start // chunk, -(-stop // chunk)))
        seen.extend(itertools.product(*axes))
    grid = [range(-(-size // chunk)) for size, chunk in zip(shape, planned.chunks, strict=True)]
    assert sorted(seen) == sorted(itertools.product(*grid))
    assert len(seen) == planned.objects == chunk_count(shape, planned.chunks)


@settings(max_examples=200)
@given(shape=st.lists(st.integers(1, 10**5), min_size=1, max_size=4).map(tuple), data=st.data(), itemsize=st.sampled_from([1, 4, 8]))
def test_automatic_chunks_are_multiples_of_the_source_and_bounded(shape: tuple[int, ...], data: st.DataObject, itemsize: int) -> None:
    own = data.draw(st.none() | st.tuples(*(st.integers(1, size) for size in shape)))
    chunks = plan.auto_chunks(array(shape, itemsize, own), {})
    size, own_size = math.prod(chunks) * itemsize, math.prod(own or ()) * itemsize
    kept = own is not None and own_size <= plan.SOURCE_CHUNK_LIMIT
    assert size <= max(plan.CHUNK_TARGET, own_size if kept else 0)
    if kept:
        assert all(chunk % unit == 0 or chunk == length for chunk, unit, length in zip(chunks, own, shape, strict=True))


@given(shape=shapes, data=st.data())
def test_tiles_cover_a_shape_once(shape: tuple[int, ...], data: st.DataObject) -> None:
    tile = tuple(data.draw(st.integers(1, 50)) for _ in shape)
    regions = list(tiles(shape, tile))
    assert sum(math.prod(stop - start for start, stop in region) for region in regions) == math.prod(shape)
    assert len(set(regions)) == len(regions)
