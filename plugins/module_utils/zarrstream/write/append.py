# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""New steps at the end of a store that is read meanwhile.

What the source has beyond the last step of the store is written as objects that no reader knows of yet. Where the last
objects of the store are not full they are written anew with more rows: an object of Zarr has always the size of a whole
chunk, so that readers of the old shape find in it what they found before. That is done when all else is there, and the
lock says beforehand what they will be, so that a later run can tell its own objects from damaged ones. At last come the
arrays' metadata, the manifest, and the consolidated metadata, which lets all arrays grow in one request.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..errors import PlanError
from ..planning.chunking import Region, tiles
from ..planning.plan import ArrayPlan
from ..source.dataset import Source
from .executor import Executor
from .growth import Growth, find_growth
from .patch import Patch, with_rows
from .plans import StorePlan
from .request import WriteRequest
from .result import Situation
from .standing import PlannedChange, compare_static, contradicts, meet, planned_change, same_values, with_more


def plan_append(request: WriteRequest, situation: Situation, source: Source, executor: Executor) -> StorePlan:
    """The plan of what is new in the source; raises for what does not continue the store, or contradicts it."""
    meeting = meet(request, situation, source)
    growth = find_growth(meeting.dim, meeting.before, meeting.after, source.place, meeting.old.url)
    change = planned_change(meeting, growth.rows, executor, with_more(situation, growth.rows, meeting))
    compare_static(change)  # a field that differs is why others do
    _compare_known(change, growth)
    _refuse_cut_shards(change.extent)
    return change.plan("append")


def _compare_known(change: PlannedChange, growth: Growth) -> None:
    """Raises SourceError where the source contradicts what is in the store already."""
    for array in change.arrays:
        for region, there in _known_regions(growth, array) if growth.dim in array.dims else ():
            if not same_values(change, array, region, there):
                raise contradicts(array, there, change, math.inf)


def _known_regions(growth: Growth, array: ArrayPlan) -> Iterator[tuple[Region, Region]]:
    """The regions of an array that source and store have both, as each counts them."""
    axis = array.dims.index(growth.dim)
    for region in tiles((*array.shape[:axis], growth.known, *array.shape[axis + 1 :]), array.block):
        start, stop = region[axis]
        yield region, with_rows(region, axis, (start + growth.begin, stop + growth.begin))


def _refuse_cut_shards(extent: Patch) -> None:
    rows = extent.rows
    for block in extent.last():
        array = extent.array(block.array)
        if array.shards:
            _unused, unit = extent.axis(array)
            raise PlanError(
                f"the last shard of '{array.name}' holds {rows.old % unit} of {unit} steps of '{rows.dim}': readers take "
                "a shard in several requests, so that it cannot be changed under them. Append to stores that end at a whole shard, "
                "or use mode replace.",
                variable=array.name,
            )
