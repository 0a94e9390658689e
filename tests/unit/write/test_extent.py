# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which blocks a write consists of: each new value once, no object split, and what readers have told apart from what is new."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from zarrstream.planning.plan import ArrayPlan, Block, WritePlan
from zarrstream.write.extent import Whole
from zarrstream.write.growth import Growth
from zarrstream.write.patch import Patch


def plan(rows: int, chunk: int, block: int) -> WritePlan:
    array = ArrayPlan(
        name="air",
        dims=("time", "lat"),
        shape=(rows, 5),
        dtype="float32",
        chunks=(chunk, 2),
        shards=None,
        objects=-(-rows // chunk) * 3,
        bytes=rows * 20,
        block=(block * chunk, 2),
        memory=1,
        overhead=0,
    )
    return WritePlan((array,), memory=1000)


def written(extent: Whole | Patch) -> np.ndarray:
    """How often each value is written."""
    count = np.zeros(extent.arrays.arrays[0].shape, int)
    for block in chain(extent.free(), extent.last()):
        count[tuple(slice(*ends) for ends in block.region)] += 1
    return count


@pytest.mark.parametrize("old", [0, 1, 7, 8, 9, 12])
@pytest.mark.parametrize("new", [1, 3, 4, 11])
@pytest.mark.parametrize("block", [1, 2])
def test_an_extension_writes_each_new_row_once_and_old_ones_only_with_their_object(old: int, new: int, block: int) -> None:
    extent = Patch(plan(old + new, 4, block), Growth("time", old, begin=0, known=2, new=new).rows)
    count, cut = written(extent), old // 4 * 4
    assert (count[:cut] == 0).all()
    assert (count[cut:] == 1).all()
    assert extent.objects == 3 * (-(-(old + new) // 4) - cut // 4)
    assert all(extent.old_rows(each) is None and each.region[0][0] >= old for each in extent.free())
    for each in extent.last():
        rows = extent.old_rows(each)
        assert rows is not None
        assert np.arange(*each.region[0])[rows.index[0]].tolist() == list(range(cut, old))
        assert extent.source_region(each) is None


def test_new_rows_are_where_the_source_has_them() -> None:
    """The store has 8 rows, of which the source begins with the last 3."""
    extent = Patch(plan(12, 4, 1), Growth("time", 8, begin=5, known=3, new=4).rows)
    assert [extent.source_region(block) for block in extent.free()] == [((3, 7), (0, 2)), ((3, 7), (2, 4)), ((3, 7), (4, 5))]
    assert list(extent.last()) == []


def test_without_new_rows_there_is_nothing_to_write() -> None:
    extent = Patch(plan(7, 4, 1), Growth("time", 7, begin=0, known=7, new=0).rows)
    assert (extent.anything, extent.objects, list(extent.free()), list(extent.last())) == (False, 0, [], [])


def test_a_whole_store_is_written_from_where_it_is_in_the_source() -> None:
    extent = Whole(plan(10, 4, 1))
    assert (written(extent) == 1).all()
    assert extent.objects == 9
    block = Block("air", ((4, 8), (0, 2)), 8)
    assert extent.source_region(block) == block.region
    assert list(extent.sample("seed")) == list(extent.sample("seed"))
