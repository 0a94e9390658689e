# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The newest steps of the variables of a store, summed up step by step: how much is missing, the least and the largest value.

Nothing else is read: of each variable the chunks at the end of its time, and of these only some where they are many.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import Unreachable
from ..metadata.chunks import ChunkReader
from ..metadata.hierarchy import folder_of, join
from ..parallel import each
from ..source.zarr_source import bounded_store
from ..text import one_line
from .axes import Axis
from .opening import open_lazily
from .snapshot import Snapshot

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

WINDOW = 10  # steps that are read at least, where there are as many: those before the newest tell what is usual
MOST_BLOCKS = 32  # of chunks one after the other along the time
MOST_BYTES = 2**30  # of decoded values that are read of all variables together
_NAMES_OTHERS = ("bounds", "climatology")


@dataclass(frozen=True)
class Newest:
    """The newest steps of a variable by their positions, in the order of time; or why they cannot be read.

    ``count`` is the number of values that were read of each step, ``missing`` the share of missing ones, ``low`` and ``high`` are its
    least and largest value, NaN for none.
    ``sampled`` of ``chunks`` places of chunks beside the time were read.
    """

    name: str
    axis: Axis
    places: np.ndarray
    count: np.ndarray
    missing: np.ndarray
    low: np.ndarray
    high: np.ndarray
    sampled: int = 0
    chunks: int = 0
    problem: str = ""

    @property
    def usual(self) -> bool:
        """Whether there are enough steps to say what is usual."""
        return not self.problem and self.places.size >= WINDOW - 2

    def numbers(self) -> np.ndarray:
        """The numbers of the steps along the coordinate; NaN for a step without a time."""
        import numpy as np

        known = dict(zip(self.axis.places.tolist(), self.axis.values.tolist(), strict=True))
        return np.asarray([known.get(place, math.nan) for place in self.places.tolist()])


@dataclass(frozen=True)
class _Grid:
    """What is read of a variable: the blocks of steps, newest first, and the places of chunks along the other dimensions."""

    along: int
    blocks: Sequence[tuple[int, int]]
    others: Sequence[tuple[slice, ...]]
    chunks: int

    def regions(self) -> Iterator[tuple[int, tuple[slice, ...]]]:
        for number, (start, stop) in enumerate(self.blocks):
            for place in self.others:
                yield number, (*place[: self.along], slice(start, stop), *place[self.along :])


def read_newest(shot: Snapshot, reader: ChunkReader, axes: Sequence[Axis], *, at_least: Mapping[str, int] | None = None) -> list[Newest]:
    """The newest steps of all variables of numbers along a time; ``at_least`` has more steps than usual, by variable.

    Raises Unreachable; whatever else goes wrong is the problem of a variable.
    """
    times = {axis.name: axis for axis in axes if axis.time and not axis.problem and axis.values.size}
    store = bounded_store(shot.objects.zarr_store(), reader.tree.arrays, shot.place.url, "store")
    variables = open_lazily(reader.tree, store.get) if times else {}
    along = {name: axis for name, variable in variables.items() if (axis := _time_of(name, variable, times, variables))}
    wanted = {name: axis for name, axis in along.items() if at_least is None or name in at_least}
    share = MOST_BYTES // max(1, len(wanted))
    return [_read(name, variables[name], axis, share, (at_least or {}).get(name, WINDOW)) for name, axis in sorted(wanted.items())]


def _time_of(name: str, variable: xr.Variable, times: Mapping[str, Axis], variables: Mapping[str, xr.Variable]) -> Axis | None:
    """The time along which a variable of numbers goes; None for coordinates and bounds."""
    folder = folder_of(name)
    short = name.rpartition("/")[2]
    if variable.dtype.kind not in "iuf" or short in variable.dims or 0 in variable.shape:
        return None
    beside = [other for path, other in variables.items() if folder_of(path) == folder]
    if any(short == other.attrs.get(key) or short == other.encoding.get(key) for other in beside for key in _NAMES_OTHERS):
        return None
    return next((times[path] for dim in variable.dims if (path := join(folder, str(dim))) in times), None)


def _read(name: str, variable: xr.Variable, axis: Axis, share: int, steps: int) -> Newest:
    import numpy as np

    grid = _grid(variable, axis, share, steps)
    found: dict[int, list[_Sum]] = {}
    try:
        for number, part in each(lambda region: (region[0], _summed(variable, grid.along, region[1])), grid.regions()):
            found.setdefault(number, []).append(part)
    except Unreachable:
        raise
    except Exception as error:  # noqa: BLE001 - codecs raise anything for damaged bytes, of which 'decode' tells
        none = np.zeros(0)
        return Newest(name, axis, none, none, none, none, none, problem=f"its newest chunks cannot be read: {one_line(error)}")
    sums = [_together(parts) for _number, parts in sorted(found.items())]
    places = np.concatenate([np.arange(start, stop) for start, stop in grid.blocks])
    order = np.argsort(places) if _rises(axis) else np.argsort(-places)
    count, missing, low, high = (np.concatenate([getattr(each_sum, key) for each_sum in sums])[order] for key in _Sum.__slots__)
    shares = np.divide(missing, count, out=np.zeros(count.shape), where=count > 0)
    return Newest(name, axis, places[order], count, shares, low, high, len(grid.others), grid.chunks)


def _rises(axis: Axis) -> bool:
    return bool(axis.values[-1] >= axis.values[0])


def _grid(variable: xr.Variable, axis: Axis, share: int, steps: int) -> _Grid:
    dims = [str(dim) for dim in variable.dims]
    along = dims.index(axis.name.rpartition("/")[2])
    lengths = variable.encoding.get("chunks") or variable.shape
    size, step = variable.shape[along], lengths[along]
    starts = range(0, size, step)
    blocks: list[tuple[int, int]] = []
    for start in reversed(starts) if _rises(axis) else starts:
        if blocks and (sum(stop - begin for begin, stop in blocks) >= steps or len(blocks) == MOST_BLOCKS):
            break
        blocks.append((start, min(start + step, size)))
    others = [
        [slice(start, min(start + length, whole)) for start in range(0, whole, length)]
        for number, (length, whole) in enumerate(zip(lengths, variable.shape, strict=True))
        if number != along
    ]
    count = math.prod(map(len, others))
    most = max(1, share // max(1, math.prod(lengths) * max(8, variable.dtype.itemsize) * len(blocks)))
    taken = range(count) if count <= most else [number * count // most for number in range(most)]
    return _Grid(along, blocks, [_place(others, number) for number in taken], count)


def _place(others: Sequence[Sequence[slice]], number: int) -> tuple[slice, ...]:
    place: list[slice] = []
    for slices in reversed(others):
        number, rest = divmod(number, len(slices))
        place.append(slices[rest])
    return tuple(reversed(place))


@dataclass(frozen=True, slots=True)
class _Sum:
    """Of each step of some chunks: how many values there are, how many are missing, the least and the largest."""

    count: np.ndarray
    missing: np.ndarray
    low: np.ndarray
    high: np.ndarray


def _summed(variable: xr.Variable, along: int, region: tuple[slice, ...]) -> _Sum:
    import numpy as np

    values = np.moveaxis(np.asarray(variable[region].values), along, 0)
    flat = values.reshape(values.shape[0], -1)
    count = np.full(flat.shape[0], flat.shape[1])
    if flat.dtype.kind != "f":
        return _Sum(count, np.zeros(count.shape), flat.min(axis=1).astype("f8"), flat.max(axis=1).astype("f8"))
    valid = ~np.isnan(flat)
    low = np.min(flat, axis=1, where=valid, initial=np.inf).astype("f8")
    high = np.max(flat, axis=1, where=valid, initial=-np.inf).astype("f8")
    none = ~valid.any(axis=1)
    low[none] = high[none] = np.nan
    return _Sum(count, count - valid.sum(axis=1), low, high)


def _together(parts: Sequence[_Sum]) -> _Sum:
    import numpy as np

    count, missing = (np.sum([getattr(part, key) for part in parts], axis=0) for key in ("count", "missing"))
    low, high = parts[0].low, parts[0].high
    for part in parts[1:]:
        low, high = np.fmin(low, part.low), np.fmax(high, part.high)
    return _Sum(count, missing, low, high)
