# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the pictures of a report show, gathered from a snapshot and from what its checks read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ...compat import date_of
from ...metadata.chunks import ChunkReader
from ...metadata.layout import ArrayLayout
from ...sidecar.manifest import Manifest
from ...storage.location import ObjectInfo
from ..census import SizeRule, size_rule
from ..contents import Tally
from ..pace import Pace
from ..snapshot import Snapshot
from ..structure import other_than
from .look import Look, look_at

# The states of an object in a grid, the worst last.
UNKNOWN, PRESENT, READ, ALLOWED, MISSING, BAD = range(6)
CELLS = 2_000_000  # objects of an array up to which its grid is drawn
LOOKS = 40  # arrays that are looked at


@dataclass(frozen=True)
class ArrayPortrait:
    """One array: the state of each object in the order of the grid, and a look at its values; None where there is none."""

    layout: ArrayLayout
    cells: bytearray | None
    look: Look | None

    @property
    def counts(self) -> Counter[int]:
        """Objects by state."""
        return Counter(self.cells or b"")


@dataclass(frozen=True)
class Axis:
    """A dimension of a picture: its name, its ends in words, and whether values grow from the first to the last."""

    name: str
    first: str
    last: str
    growing: bool = False


@dataclass(frozen=True)
class Portrait:
    """A store: its arrays, the sizes of its objects in powers of two (floor of log2, -1 for empty ones), how fast they came."""

    arrays: tuple[ArrayPortrait, ...]
    edges: dict[str, Axis]  # coordinates, by the path of their arrays
    sizes: Counter[int] = field(default_factory=Counter)
    pace: Pace = field(default_factory=Pace)


def portray(shot: Snapshot, reader: ChunkReader | None, tally: Tally | None) -> Portrait:
    """Gather it. Objects are read for looks only where the checks read some too."""
    # Those of several dimensions first: they are what a store is about.
    layouts = sorted(reader.tree.arrays.values(), key=lambda layout: (-len(layout.shape), layout.path)) if reader else []
    cells = _all_cells(shot, layouts, tally)
    looks: dict[str, Look | None] = {}
    if reader is not None and tally is not None:
        looks = {layout.path: look_at(shot, reader, layout) for layout in layouts[:LOOKS]}
    sizes = Counter(info.size.bit_length() - 1 for info in (shot.listing or {}).values())
    arrays = tuple(ArrayPortrait(layout, cells[layout.path], looks.get(layout.path)) for layout in layouts)
    return Portrait(arrays, _edges(arrays), sizes, shot.pace)


def _all_cells(shot: Snapshot, layouts: list[ArrayLayout], tally: Tally | None) -> dict[str, bytearray | None]:
    start = UNKNOWN if shot.listing is None else MISSING
    cells = {layout.path: bytearray([start]) * layout.count if layout.count <= CELLS else None for layout in layouts}
    rules = {layout.path: size_rule(layout) for layout in layouts}
    if shot.tree is None and layouts:
        raise AssertionError("arrays are found in a tree")
    for key, info in (shot.listing or {}).items():
        owner = shot.tree.owner(key) if shot.tree else None
        if owner is not None:
            _set(cells, owner, key, BAD if _is_bad(key, info, rules[owner.path], shot.manifest) else PRESENT)
    for key, problem in tally.seen.items() if tally else ():
        owner = shot.tree.owner(key) if shot.tree else None
        if owner is not None:
            _set(cells, owner, key, BAD if problem else READ)
    for layout in layouts:
        _excuse(shot, layout, cells[layout.path])
    return cells


def _set(cells: dict[str, bytearray | None], layout: ArrayLayout, key: str, state: int) -> None:
    mine, place = cells[layout.path], layout.coordinates_of(key)
    if mine is None or place is None:
        return
    number = 0
    for index, size in zip(place, layout.grid, strict=True):
        number = number * size + index
    if mine[number] != BAD:
        mine[number] = state


def _is_bad(key: str, info: ObjectInfo, rule: SizeRule, manifest: Manifest | None) -> bool:
    stored = manifest.objects.get(key) if manifest else None
    other_size = info.size != rule.exact if rule.exact is not None else info.size < rule.least
    return other_size or (stored is not None and bool(other_than(stored, info)))


def _excuse(shot: Snapshot, layout: ArrayLayout, cells: bytearray | None) -> None:
    """Mark what may be missing by the request's policy."""
    if cells is None or shot.request.missing == "error" or shot.listing is None:
        return
    number = cells.find(MISSING)
    while number >= 0:
        if shot.may_be_missing(layout.key(layout.coordinates(number))):
            cells[number] = ALLOWED
        number = cells.find(MISSING, number + 1)


def _edges(arrays: tuple[ArrayPortrait, ...]) -> dict[str, Axis]:
    found: dict[str, Axis] = {}
    for array in arrays:
        layout, look = array.layout, array.look
        if look is None or len(layout.shape) != 1 or look.values.shape != layout.shape or look.text:
            continue
        first, last = float(look.values[0]), float(look.values[-1])
        name = layout.path.rpartition("/")[2]
        found[layout.path] = Axis(name, _in_words(first, layout), _in_words(last, layout), last > first)
    return found


def _in_words(value: float, layout: ArrayLayout) -> str:
    """A value of a coordinate, times as dates."""
    units, calendar = layout.attributes.get("units"), layout.attributes.get("calendar", "standard")
    if isinstance(units, str) and " since " in units and isinstance(calendar, str):
        try:
            return str(date_of(value, units, calendar)).partition(".")[0].replace("T00:00:00", "").removesuffix(" 00:00:00")
        except Exception:  # noqa: BLE001 - attributes may say anything
            return f"{value:.6g}"
    return f"{value:.6g}"
