# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which file gave which steps of a store, as the manifest keeps it: for each dimension, by file, the ranges of its steps."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ..sidecar.manifest import Manifest
from ..source.dataset import Source
from .rows import Rows

if TYPE_CHECKING:
    import numpy as np

NOBODY = -1


def steps_of(source: Source, files: int) -> dict[str, list[Any]]:
    """Those of a store that is made of a source of so many files, along each dimension along which they are joined."""
    return {dim: _ranges(owners, files) for dim in source.joined if (owners := source.files_along(dim)) is not None}


def owners_of(manifest: Manifest, dim: str) -> np.ndarray | None:
    """The place of the file among the sources of the manifest that gave each step; None where that is not known."""
    import numpy as np

    length = next((array["shape"][0] for array in manifest.plan["arrays"] if array["name"] == dim), 0)
    if len(manifest.source) == 1:
        return np.zeros(length, int)
    ranges = manifest.steps.get(dim)
    if ranges is None or len(ranges) != len(manifest.source):
        return None
    owners = np.full(length, NOBODY)
    for file, own in enumerate(ranges):
        for start, stop in own:
            owners[start:stop] = file
    return owners


def steps_by_file(rows: Rows, owners: np.ndarray, files: np.ndarray, count: int) -> dict[str, list[Any]]:
    """Those of a store with these rows: ``owners`` by step of the store that is there, ``files`` by step of the source."""
    import numpy as np

    found = np.full(rows.size, NOBODY)
    for run in rows.runs:
        known = owners if run.origin == "store" else files
        found[run.start : run.stop] = known[run.row : run.row + run.stop - run.start]
    return {rows.dim: _ranges(found, count)}


def _ranges(owners: np.ndarray, count: int) -> list[list[list[int]]]:
    import numpy as np

    ranges: list[list[list[int]]] = [[] for _file in range(count)]
    edges = [0, *(np.flatnonzero(np.diff(owners)) + 1).tolist(), len(owners)]
    for start, stop in pairwise(edges):
        if stop > start and owners[start] != NOBODY:
            ranges[int(owners[start])].append([start, stop])
    return ranges
