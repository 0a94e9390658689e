# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Coordinates, which alone are read: in order, nothing twice, no step of time left out that most others would have between them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..findings import CheckResult, Findings, found, passed, skipped
from ..metadata.chunks import ChunkReader
from ..metadata.decoded import most_stored
from ..metadata.hierarchy import folder_of
from ..metadata.layout import ArrayLayout, item_bytes
from ..parallel import each
from ..text import many
from .compare import is_time
from .moments import Clock
from .registry import CHECKS
from .snapshot import Snapshot

if TYPE_CHECKING:
    import numpy as np

LONGEST = 2**24  # values of a coordinate that is read
LIKE_STEP = 0.15  # of a step by which another may differ and be as long: a month has 28 to 31 days
GAP = 1.5  # steps from which on one is left out
REGULAR = 0.5  # the share of the steps that have to be alike, for others to be gaps

_DATETIME_UNITS = {
    "D": "days",
    "h": "hours",
    "m": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
}
# Coordinates that are a place or a time, and not the number of a member or a station.
_ORDERED = {
    "time",
    "latitude",
    "longitude",
    "grid_latitude",
    "grid_longitude",
    "projection_x_coordinate",
    "projection_y_coordinate",
    "height",
    "altitude",
    "depth",
    "air_pressure",
}


@dataclass(frozen=True)
class Axis:
    """The coordinate of a dimension: its values as they are stored, without missing ones, and the place of each; or why not."""

    name: str
    values: np.ndarray
    places: np.ndarray
    missing: int
    time: bool
    clock: Clock
    problem: str = ""

    @property
    def units(self) -> str:
        """What its numbers count."""
        return self.clock.units


def read_axes(shot: Snapshot, reader: ChunkReader) -> list[Axis]:
    """The coordinates that ought to be in order."""
    layouts = [layout for _path, layout in sorted(reader.tree.arrays.items()) if _is_axis(layout)]
    usable = [layout for layout in layouts if not reader.missing_codecs(layout) and not reader.array_problem(layout)]
    return [_read(shot, reader, layout) for layout in usable]


def _is_axis(layout: ArrayLayout) -> bool:
    name = layout.path[len(folder_of(layout.path)) :].strip("/")
    if layout.dims != (name,) or _dtype(layout)[:1] not in "iufM":
        return False
    return _is_time(layout) or "axis" in layout.attributes or layout.attributes.get("standard_name") in _ORDERED


def _dtype(layout: ArrayLayout) -> str:
    """The kind of the values as NumPy names it, as far as these checks know any."""
    if layout.zarr_format == 2:
        return str(layout.document.get("dtype"))[1:]
    kind = layout.document.get("data_type")
    if isinstance(kind, Mapping):
        return "M" if kind.get("name") == "numpy.datetime64" else "?"
    return {"int": "i", "uint": "u", "float": "f"}.get(str(kind).rstrip("0123456789"), "?")


def _is_time(layout: ArrayLayout) -> bool:
    attributes = layout.attributes
    return is_time(attributes) or attributes.get("standard_name") == "time" or attributes.get("axis") == "T" or _dtype(layout)[:1] == "M"


def _read(shot: Snapshot, reader: ChunkReader, layout: ArrayLayout) -> Axis:
    import numpy as np

    none = np.zeros(0)
    axis = Axis(layout.path, none, none, 0, _is_time(layout), _clock(layout))
    if layout.shape[0] > LONGEST:
        return _with_problem(axis, f"has {layout.shape[0]} values, more than are read")

    def part(number: int) -> np.ndarray | str:
        return _decoded(shot, reader, layout, (number,))

    parts: list[np.ndarray] = []
    for values in each(part, range(layout.count)):
        if isinstance(values, str):
            return _with_problem(axis, values)
        parts.append(values)
    return _without_missing(axis, np.concatenate(parts) if parts else none, layout)


def _clock(layout: ArrayLayout) -> Clock:
    units, calendar = str(layout.attributes.get("units", "")), str(layout.attributes.get("calendar", "standard"))
    if _dtype(layout)[:1] != "M":
        return Clock(units, calendar)
    # NumPy's own dates, which have no units but in their type.
    kind = layout.document.get("dtype" if layout.zarr_format == 2 else "data_type")
    unit = re.search(r"\[(\w+)\]", kind) if isinstance(kind, str) else None
    name = unit[1] if unit else str((kind.get("configuration") or {}).get("unit")) if isinstance(kind, Mapping) else ""
    return Clock(f"{_DATETIME_UNITS.get(name, name)} since 1970-01-01", "proleptic_gregorian")


def _with_problem(axis: Axis, problem: str) -> Axis:
    return Axis(axis.name, axis.values, axis.places, 0, axis.time, axis.clock, problem)


def _decoded(shot: Snapshot, reader: ChunkReader, layout: ArrayLayout, place: tuple[int, ...]) -> np.ndarray | str:
    key = layout.key(place)
    size = shot.listing[key].size if shot.listing is not None and key in shot.listing else 0
    if size > most_stored(layout, item_bytes(layout)):
        return f"'{key}' is larger than its array announces"
    data = shot.fetch(key)
    if data is None:
        return f"'{key}' is missing"
    try:
        return reader.decode(layout, place, data)
    except Exception:  # noqa: BLE001 - codecs raise anything for damaged bytes, of which 'decode' tells
        return f"'{key}' does not decode"


def _without_missing(axis: Axis, values: np.ndarray, layout: ArrayLayout) -> Axis:
    import numpy as np

    there = np.ones(values.shape, bool)
    other_than_zero = layout.document.get("fill_value") if layout.zarr_format == 2 else None
    for absent in (layout.attributes.get("_FillValue"), layout.attributes.get("missing_value"), other_than_zero or None):
        if isinstance(absent, (int, float)) and not isinstance(absent, bool):
            there &= values != absent
    if values.dtype.kind in "fM":
        there &= values == values  # NaN and NaT are not equal to themselves; pylint: disable=comparison-with-itself
    numbers = values.view("i8") if values.dtype.kind == "M" else values
    exact = numbers.astype("f8" if numbers.dtype.kind == "f" else "i8", copy=False)
    return Axis(axis.name, exact[there], np.flatnonzero(there), int((~there).sum()), axis.time, axis.clock)


@CHECKS.check("order", "axes", severity="warning", place=102)
def check_order(axes: list[Axis]) -> CheckResult:
    """Coordinates of time and place rise or fall at each step: else neither a slice nor a nearest value can be asked for."""
    wrong = Findings()
    for axis in axes:
        _find_disorder(axis, wrong)
    if wrong:
        return found(wrong, f"{many(wrong.count, 'coordinate')} of time or place not in order")
    return fine([axis for axis in axes if not axis.problem], "in order", axes)


def _find_disorder(axis: Axis, wrong: Findings) -> None:
    import numpy as np

    if axis.missing and not axis.problem:
        wrong.add({"array": axis.name, "problem": f"{axis.missing} of {axis.missing + axis.values.size} values are missing ones"})
    if axis.values.size < 2:
        return
    steps = np.diff(axis.values)
    ups, downs = int((steps > 0).sum()), int((steps < 0).sum())
    against = np.flatnonzero(steps < 0 if ups >= downs else steps > 0)
    if _wraps(axis, against):
        against = against[:0]
    same = np.flatnonzero(steps == 0)
    for places, words in ((same, "twice"), (against, "not in order")):
        if places.size:
            first = int(places[0])
            index, one, two = int(axis.places[first + 1]), axis.values[first], axis.values[first + 1]
            text = f"{two} follows {one}{_in(axis)}: {words}, at {places.size} of {axis.values.size} values"
            wrong.add({"array": axis.name, "index": [index], "count": int(places.size), "problem": text})
    _find_twice(axis, wrong, bool(same.size), bool(against.size))


def _find_twice(axis: Axis, wrong: Findings, told: bool, unsorted: bool) -> None:
    """Values that are there twice, but not one after the other."""
    import numpy as np

    if told or not unsorted:
        return
    values, counts = np.unique(axis.values, return_counts=True)
    twice = values[counts > 1]
    if twice.size:
        text = (
            f"{twice[0]}{_in(axis)} and {twice.size - 1} others are there twice"
            if twice.size > 1
            else f"{twice[0]}{_in(axis)} is there twice"
        )
        wrong.add({"array": axis.name, "count": int(twice.size), "problem": text})


def _wraps(axis: Axis, against: np.ndarray) -> bool:
    """Whether longitudes only begin anew, once, on their way around the globe."""
    east = axis.units.lower().replace("_", "").startswith(("degreeseast", "degreeeast", "degreese", "degreee"))
    return east and against.size == 1 and abs(float(axis.values[-1]) - float(axis.values[0])) < 360


def gaps_by_usual_step(axes: list[Axis]) -> CheckResult:
    """No step of time is left out, where most steps are of one length."""
    wrong, times = Findings(), [axis for axis in axes if axis.time and not axis.problem]
    irregular = 0
    for axis in times:
        step = usual_step(axis.values)
        irregular += step is None and axis.values.size > 2
        if step is not None:
            _find_gaps(axis, step, wrong)
    if wrong:
        return found(wrong, f"{many(wrong.count, 'coordinate')} of time with steps left out")
    note = f", {irregular} of which have no usual step" if irregular else ""
    return fine(times, f"without a gap{note}", [axis for axis in axes if axis.time])


def usual_step(values: np.ndarray) -> float | None:
    """The step that most others are like; None where fewer than two steps, or fewer than half, are alike."""
    import numpy as np

    steps = np.diff(np.unique(values))
    if steps.size < 2:
        return None
    ordered = np.sort(steps.astype("f8"))
    until = np.searchsorted(ordered, ordered * (1 + LIKE_STEP), side="right")
    counts = until - np.arange(ordered.size)
    best = int(np.argmax(counts))
    if counts[best] <= REGULAR * ordered.size:
        return None
    alike, times = np.unique(ordered[best : until[best]], return_counts=True)
    return float(alike[np.argmax(times)])


def _find_gaps(axis: Axis, step: float, wrong: Findings) -> None:
    import numpy as np

    values, first_at = np.unique(axis.values, return_index=True)
    steps = np.diff(values).astype("f8")
    gaps = np.flatnonzero(steps > GAP * step)
    if not gaps.size:
        return
    first = int(gaps[0])
    left_out = int(np.maximum(np.rint(steps[gaps] / step) - 1, 1).sum())
    between = f"nothing between {values[first]} and {values[first + 1]}{_in(axis)}"
    text = f"{between}, where steps are of {step:g}; {many(left_out, 'step')} left out"
    places = f" in {gaps.size} places" if gaps.size > 1 else ""
    index = int(axis.places[first_at[first + 1]])
    wrong.add({"array": axis.name, "index": [index], "count": int(gaps.size), "problem": f"{text}{places}"})


def _in(axis: Axis) -> str:
    return f" {axis.units}" if axis.units else ""


def fine(read: list[Axis], what: str, axes: list[Axis]) -> CheckResult:
    """The result for coordinates without a finding, of which ``read`` could be read."""
    unread = [axis for axis in axes if axis.problem]
    if not axes:
        return skipped("no dimension has a coordinate of time or place")
    if not read:
        return skipped(f"not to be read: {unread[0].name}: {unread[0].problem}")
    note = f"; not to be read: {', '.join(axis.name for axis in unread)}" if unread else ""
    return passed(f"{many(len(read), 'coordinate')} {what}{note}", coordinates=[axis.name for axis in read])
