# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Several NetCDF files as one data set: xarray joins them, and what it would join wrongly or in silence is refused first."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import SourceError, ZarrstreamError
from ..metadata.attributes import MEANING
from .declared import Declared
from .netcdf import open_file

if TYPE_CHECKING:
    import xarray as xr


def combine_files(paths: Sequence[str], declared: Declared | None = None) -> xr.Dataset:
    """The files in encoded form, joined along their coordinates; attributes are those of the first file.

    Raises SourceError, naming two files and a variable, for other dtypes or packing, missing variables, coordinates that
    overlap or contradict each other, and times whose units cannot be converted exactly.
    """
    import xarray as xr

    datasets: list[xr.Dataset] = []
    try:
        for path in paths:
            opened = open_file(path, lazy_arrays=True, declared=declared)
            datasets.append(same_units(datasets[0], opened, paths[0], path) if datasets else opened)
        for path, dataset in zip(paths[1:], datasets[1:], strict=True):
            _compare(datasets[0], dataset, paths[0], path)
        _check_order(datasets, paths)
        combined = xr.combine_by_coords(
            datasets, compat="equals", data_vars="minimal", coords="minimal", join="exact", combine_attrs="override"
        )
        if not isinstance(combined, xr.Dataset):
            raise AssertionError("data sets give a data set")  # noqa: TRY004 - no caller's doing
        _check_indexes(combined)
    except (ZarrstreamError, ImportError):
        _close(datasets)
        raise
    except Exception as error:  # noqa: BLE001 - xarray has no exception of its own for "these do not fit together"
        _close(datasets)
        raise _misfit(datasets, paths, error) from None
    combined.set_close(lambda: _close(datasets))
    _describe_as(combined, datasets)
    return combined


def _close(datasets: Sequence[xr.Dataset]) -> None:
    for dataset in datasets:
        dataset.close()


def _describe_as(combined: xr.Dataset, datasets: Sequence[xr.Dataset]) -> None:
    """Attributes and chunking of the file that was named first, wherever it lies among the others."""
    combined.attrs = dict(datasets[0].attrs)
    for name, variable in combined.variables.items():
        first = next(dataset.variables[name] for dataset in datasets if name in dataset.variables)
        variable.attrs = dict(first.attrs)
        variable.encoding = dict(first.encoding)


def _compare(first: xr.Dataset, other: xr.Dataset, first_path: str, other_path: str) -> None:
    shared = set(first.variables) & set(other.variables)
    if set(first.data_vars) & set(other.data_vars):  # files of the same kind: a variable that one lacks would be filled up
        for name in sorted(set(first.variables) ^ set(other.variables), key=str):
            has, lacks = (first_path, other_path) if name in first.variables else (other_path, first_path)
            text = f"'{name}' is in {has} but not in {lacks}: files of one data set hold the same variables. Correct one, or name others."
            raise SourceError(text, variable=str(name), files=[first_path, other_path])
    for name in sorted(shared, key=str):
        one, two = first.variables[name], other.variables[name]
        for what, ours, theirs in [("dtype", _type(one), _type(two)), ("dimensions", one.dims, two.dims), *_meanings(one, two)]:
            if not _equal(ours, theirs):
                raise SourceError(
                    f"'{name}' has {what} {_shown(ours)} in {first_path} but {_shown(theirs)} in {other_path}: joined, the numbers of "
                    "one would mean something else. Convert one of the files, or write two stores.",
                    variable=str(name),
                    files=[first_path, other_path],
                )


def _type(variable: xr.Variable) -> str:
    return "text" if variable.dtype.kind in "OTU" else str(variable.dtype.newbyteorder("="))


def _meanings(one: xr.Variable, two: xr.Variable) -> list[tuple[str, Any, Any]]:
    return [(key, one.attrs.get(key), two.attrs.get(key)) for key in MEANING]


def _equal(one: Any, two: Any) -> bool:
    import numpy as np

    if isinstance(one, np.generic | np.ndarray | float) and isinstance(two, np.generic | np.ndarray | float):
        ours, theirs = np.asarray(one), np.asarray(two)
        floats = ours.dtype.kind == theirs.dtype.kind == "f"
        return bool(np.array_equal(ours, theirs, equal_nan=floats))
    return bool(one == two)


def _shown(value: Any) -> str:
    return "none" if value is None else f"'{value}'"


def same_units(first: xr.Dataset, other: xr.Dataset, first_path: str, other_path: str) -> xr.Dataset:
    """``other`` with its times counted from where those of ``first`` are: files often count each from their own first day."""
    changed = {}
    for name, variable in other.variables.items():
        if name not in first.variables:
            continue
        ours, theirs = first.variables[name].attrs, variable.attrs
        units = [str(attrs.get("units", "")) for attrs in (ours, theirs)]
        same_calendar = str(ours.get("calendar", "standard")) == str(theirs.get("calendar", "standard"))
        if units[0] == units[1] or not all(" since " in text for text in units) or not same_calendar:
            continue
        changed[name] = _recount(str(name), first.variables[name], variable, (first_path, other_path))
        bounds = ours.get("bounds", ours.get("climatology"))  # these have the units of their coordinate, and often none of their own
        if bounds in first.variables and bounds in other.variables and "units" not in other.variables[bounds].attrs:
            edges = [dataset.variables[bounds].copy(deep=False) for dataset in (first, other)]
            for edge, attrs in zip(edges, (ours, theirs), strict=True):
                edge.attrs = {**edge.attrs, "units": attrs["units"], "calendar": attrs.get("calendar", "standard")}
            changed[bounds] = _recount(str(bounds), edges[0], edges[1], (first_path, other_path))
            changed[bounds].attrs = dict(other.variables[bounds].attrs)
    return other.assign(changed) if changed else other


def _recount(name: str, first: xr.Variable, other: xr.Variable, paths: tuple[str, str]) -> xr.Variable:
    import cftime
    import numpy as np

    refusal = SourceError(
        f"'{name}' counts '{first.attrs['units']}' in {paths[0]} but '{other.attrs['units']}' in {paths[1]}, and its times have no exact "
        f"{first.dtype} in the first. Give the files the same units.",
        variable=name,
        files=list(paths),
    )
    if any(key in variable.attrs for variable in (first, other) for key in ("scale_factor", "add_offset", "_FillValue", "missing_value")):
        raise refusal
    calendar = str(first.attrs.get("calendar", "standard"))
    values = np.asarray(other.values)
    try:
        dates = cftime.num2date(values, other.attrs["units"], calendar)
        counted = np.asarray(cftime.date2num(dates, first.attrs["units"], calendar))
        recounted = counted.astype(first.dtype)
        again = cftime.num2date(recounted, first.attrs["units"], calendar)
    except (ValueError, OverflowError):
        raise refusal from None
    if not (np.array_equal(recounted, counted) and np.array_equal(again, dates)):
        raise refusal
    attrs = {**other.attrs, "units": first.attrs["units"]}
    return type(other)(other.dims, recounted, attrs, encoding=other.encoding)


def _check_order(datasets: Sequence[xr.Dataset], paths: Sequence[str]) -> None:
    """Two files with the same stretch of a coordinate: xarray joins them where they only touch, and doubles values."""
    kinds: dict[frozenset, list[int]] = {}
    for index, dataset in enumerate(datasets):
        kinds.setdefault(frozenset(dataset.data_vars), []).append(index)
    for members in kinds.values():
        differing = _differing(datasets, members)
        if len(members) > 1 and not differing:
            files = [paths[members[0]], paths[members[1]]]
            raise SourceError(f"{files[0]} and {files[1]} hold the same variables at the same coordinates. Name only one.", files=files)
        if len(differing) == 1:
            _check_overlap(datasets, paths, members, differing[0])
        elif differing:
            _check_tiles(datasets, paths, members, differing)


def _differing(datasets: Sequence[xr.Dataset], members: Sequence[int]) -> list[str]:
    first = datasets[members[0]]
    return [
        str(dim)
        for dim in first.dims
        if dim in first.indexes
        and any(dim not in datasets[index].indexes or not first.indexes[dim].equals(datasets[index].indexes[dim]) for index in members[1:])
    ]


def _check_overlap(datasets: Sequence[xr.Dataset], paths: Sequence[str], members: Sequence[int], dim: str) -> None:
    spans = []
    for index in members:
        axis = datasets[index].indexes.get(dim)
        if axis is None:
            raise SourceError(f"{paths[index]} has no coordinate '{dim}', so its place among the files is unknown.", files=[paths[index]])
        if len(axis):
            spans.append((axis.min(), axis.max(), paths[index]))
    spans.sort(key=lambda span: span[:2])
    for (_unused, end, one), (begin, _unused, two) in itertools.pairwise(spans):
        if begin <= end:
            raise SourceError(
                f"the coordinate '{dim}' overlaps in {one} (up to {end}) and {two} (from {begin}): values would be there twice. "
                "Leave one of the files out, or cut it.",
                variable=dim,
                files=[one, two],
            )


def _check_tiles(datasets: Sequence[xr.Dataset], paths: Sequence[str], members: Sequence[int], dims: Sequence[str]) -> None:
    """Files that differ in several coordinates have to be all the tiles of one area; else one coordinate contradicts the other."""
    corners = [tuple(tuple(datasets[index].indexes[dim]) for dim in dims) for index in members]
    expected = math.prod(len({corner[axis] for corner in corners}) for axis in range(len(dims)))
    if len(corners) != expected:
        files = [paths[members[0]], paths[members[1]]]
        raise SourceError(
            f"{files[0]} and {files[1]} differ in the coordinates {' and '.join(dims)}, and the files are not the {expected} tiles of one "
            "area: they do not lie on one grid. Leave the odd file out, or put it on the grid of the others.",
            variable=dims[-1],
            files=files,
        )


def _check_indexes(combined: xr.Dataset) -> None:
    for name, index in combined.indexes.items():
        if not index.is_unique:
            raise SourceError(f"the coordinate '{name}' has a value twice after joining the files: they overlap.", variable=str(name))


def _misfit(datasets: Sequence[xr.Dataset], paths: Sequence[str], error: Exception) -> SourceError:
    """The refusal of xarray, with the two files and the variable that it leaves out."""
    reason = " ".join(str(error).split())
    first = datasets[0]
    for path, dataset in zip(paths[1:], datasets[1:], strict=False):
        for name in sorted(set(first.variables) & set(dataset.variables), key=str):
            one, two = first.variables[name], dataset.variables[name]
            if one.dims == two.dims and one.shape == two.shape and f"'{name}'" in reason and not one.equals(two):  # type: ignore[no-untyped-call]
                text = f"'{name}' differs between {paths[0]} and {path}, and the files do not lie beside each other along it. ({reason})"
                return SourceError(text, variable=str(name), files=[paths[0], path])
    files = [paths[0], paths[-1]]
    return SourceError(f"{files[0]} and {files[1]} (of {len(paths)} files) do not fit together: {reason}", files=files)
