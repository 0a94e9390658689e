# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Times of several files, counted from one moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import SourceError

if TYPE_CHECKING:
    import xarray as xr


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
