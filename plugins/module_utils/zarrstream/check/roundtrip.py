# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Check of the round trip: what xarray sees in the store is what it sees in the source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..findings import CheckResult, Findings, found, passed
from ..metadata.attributes import EXTENT, UPDATED
from ..metadata.chunks import ChunkReader
from ..text import many, one_line, shortened
from .compare import EncodedValues, alike, decode, is_time, packing, type_name
from .reference import Reference, plain
from .registry import CHECKS
from .snapshot import Snapshot

if TYPE_CHECKING:
    import numpy as np

_BY_XARRAY = ("coordinates", "_ARRAY_DIMENSIONS")  # attributes that xarray moves between variables and data set
_HIDDEN = "_nc"  # xarray shows no attribute of a Zarr store that begins so, such as _NCProperties, but shows that of a NetCDF-3 file
# A store that grew keeps those of the file with which it began; of files that are joined they are left out.
_NO_DIFFERENCE = (*_BY_XARRAY, *EXTENT)


@CHECKS.check("roundtrip", "store", "root", "source", place=110)
def check_roundtrip(shot: Snapshot, reader: ChunkReader, reference: Reference) -> CheckResult:
    """Variables, dimensions, shapes, types, attributes and decoded times are the source's."""
    wrong, repacked = Findings(), []
    if reference.problem:
        return found(Findings.of([f"xarray does not open the store: {reference.problem}"]), "the store cannot be compared with its source")
    stored, source = reference.stored.keys(), reference.source.variables.keys()
    for names, problem in ((source - stored, "in the source, not in the store"), (stored - source, "in the store, not in the source")):
        wrong.add_many(len(names), ({"array": name, "problem": problem} for name in sorted(names)))
    for name in reference.common:
        problems, packed = _compare_variable(reference, name)
        repacked += [name] * packed
        for problem in problems or _compare_times(shot, reader, reference, name):
            wrong.add({"array": name, "problem": problem})
    for path, problem in _compare_groups(reference):
        wrong.add({"array": path or "/", "problem": problem})
    if wrong:
        return found(wrong, f"{many(wrong.count, 'difference')} from the source", repacked=repacked)
    note = f"; packed otherwise than there: {', '.join(repacked)}" if repacked else ""
    text = f"dtype, shape, dimensions, attributes and times of {len(reference.common)} variables are those of the source{note}"
    return passed(text, repacked=repacked)


def _compare_groups(reference: Reference) -> Iterator[tuple[str, str]]:
    groups = {"": reference.source.attrs, **reference.source.groups}
    for path, attributes in sorted(reference.groups.items()):
        ignore = (*(_NO_DIFFERENCE if len(reference.items) > 1 else _BY_XARRAY), UPDATED)
        for problem in _attributes(attributes, groups.get(path, {}), ignore=ignore):
            yield path, problem
    for path in sorted(groups.keys() - reference.groups.keys()):
        yield path, "a group of the source, not in the store"


def _compare_variable(reference: Reference, name: str) -> tuple[list[str], bool]:
    """What differs, and whether the variable is packed otherwise than in the source (which is no difference)."""
    stored, source = reference.stored[name], reference.source.variables[name]
    problems = []
    if stored.dims != source.dims:
        problems.append(f"dimensions {list(stored.dims)}, in the source {list(source.dims)}")
    if stored.shape != source.shape:
        problems.append(f"shape {list(stored.shape)}, in the source {list(source.shape)}")
    left, right = reference.empty_blocks(name)
    packed = reference.repacked(name)
    if packed:
        problems += _compare_decoded(left, right)
    elif type_name(left) != type_name(right):
        problems.append(f"dtype {left.values.dtype}, in the source {right.values.dtype}")
    ignore = _NO_DIFFERENCE if len(reference.items) > 1 else _BY_XARRAY
    ignore = (*ignore, *packing(left.attributes), *packing(right.attributes)) if packed else ignore
    problems += _attributes(stored.attrs, source.attrs, ignore=ignore, nan_fill=left.values.dtype.kind == "f")
    if _names(stored.attrs.get("coordinates")) != _names(source.attrs.get("coordinates")):
        problems.append(f"coordinates {stored.attrs.get('coordinates')!r}, in the source {source.attrs.get('coordinates')!r}")
    return problems, packed


def _compare_decoded(left: EncodedValues, right: EncodedValues) -> list[str]:
    times = [is_time(block.attributes) for block in (left, right)]
    if any(times):  # xarray decodes no empty block of times; ``_compare_times`` takes real ones
        return [] if all(times) else ["counts time in units of 'since' on one side only"]
    one, other = _decoded(left), _decoded(right)
    if isinstance(one, str):
        return [] if isinstance(other, str) else [f"xarray cannot decode it, other than the source's: {one}"]
    if isinstance(other, str):
        return []  # the store says more than its source, which xarray cannot decode
    same = type_name(EncodedValues(one, {}))[0] == type_name(EncodedValues(other, {}))[0]  # packing decides between float32 and float64
    return [] if same else [f"decodes to {one.dtype}, in the source to {other.dtype}"]


def _decoded(block: EncodedValues) -> np.ndarray | str:
    """The values as dates and numbers; the reason in words where xarray does not decode them."""
    try:
        return decode(block)
    except Exception as error:  # noqa: BLE001 - xarray raises anything for attributes that contradict each other, and no calendar knows all units
        return one_line(error)


def _attributes(stored: Mapping[str, Any], source: Mapping[str, Any], ignore: tuple[str, ...], nan_fill: bool = False) -> list[str]:
    problems = []
    for name in sorted((stored.keys() | source.keys()) - set(ignore), key=str):
        one, other = plain(stored.get(name)), plain(source.get(name))
        if one == other or (name == "_FillValue" and nan_fill and other is None and one == "NaN"):
            continue  # xarray declares NaN, which is what readers take for missing in any case
        if name not in stored and str(name).lower().startswith(_HIDDEN):
            continue
        if name not in stored:
            problems.append(f"attribute '{name}' of the source is missing")
        elif name not in source:
            problems.append(f"attribute '{name}' is not in the source")
        else:
            problems.append(f"attribute '{name}' is {shortened(str(one))}, in the source {shortened(str(other))}")
    return problems


def _names(value: Any) -> set[str]:
    return set(value.split()) if isinstance(value, str) else set()


def _compare_times(shot: Snapshot, reader: ChunkReader, reference: Reference, name: str) -> list[str]:
    """First and last time of a variable in dates, decoded from what is stored."""
    layout = reader.tree.arrays.get(name)
    if not is_time(reference.stored[name].attrs) or layout is None or not layout.count or reader.array_problem(layout):
        return []
    for number in sorted({0, layout.count - 1}):
        place = layout.coordinates(number)
        data = shot.fetch(layout.key(place))
        if data is None:
            continue  # 'complete' and 'decode' tell
        try:
            stored = EncodedValues(reader.decode(layout, place, data), reference.stored[name].attrs)
        except Exception as error:  # noqa: BLE001 - damaged bytes
            return [f"its times do not decode: {one_line(error)}"]
        source = reference.source_block(name, layout.region(place))
        problem = "" if alike(stored, source) else _other_dates(stored, source)
        if problem:
            return [problem]
    return []


def _other_dates(stored: EncodedValues, source: EncodedValues) -> str:
    """What tells the dates of two blocks apart, or ''; for the checks of values and attributes, where neither has any."""
    one, other = _decoded(stored), _decoded(source)
    if isinstance(one, str) and isinstance(other, str):
        return ""
    if isinstance(one, str):
        return f"its times do not decode, other than the source's: {one}"
    if isinstance(other, str):
        return f"times decode to {_dates(one)[0]} …, and those of the source do not: {other}"
    if one.shape != other.shape or _dates(one) != _dates(other):
        return f"times decode to {_dates(one)[0]} …, in the source to {_dates(other)[0]} …"
    return ""


def _dates(values: Any) -> list[str]:
    """The first and the last date of a block as text, the same for NumPy's and for cftime's dates."""
    flat = values.reshape(-1)
    return [str(flat[index]) for index in (0, -1)]
