# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Times of several files, counted from one moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import SourceError
from ..metadata.units import calendar_of, units_of
from .remedies import one_count

if TYPE_CHECKING:
    import xarray as xr


# Before that day the standard calendar is the Julian one, after it the Gregorian one, as proleptic_gregorian is all the time.
_REFORM = (1582, 10, 15)


def same_units(first: xr.Dataset, other: xr.Dataset, first_path: str, other_path: str) -> xr.Dataset:
    """``other`` with its times counted from where those of ``first`` are, in its calendar: files often count each from their own first day.

    Calendars become those of the first where these dates are the same in both.
    """
    changed: dict[Any, xr.Variable] = {}
    for name, variable in other.variables.items():
        if name not in first.variables or not all(" since " in str(each.attrs.get("units")) for each in (first.variables[name], variable)):
            continue
        same = _in_calendar(first.variables[name], variable)
        if same is not None and same.attrs["units"] != first.variables[name].attrs["units"]:
            changed |= _counted_as(str(name), first, other, same, (first_path, other_path))
        elif same is not None and same is not variable:
            changed[name] = same
    return other.assign(changed) if changed else other


def _in_calendar(first: xr.Variable, other: xr.Variable) -> xr.Variable | None:
    """``other`` in the calendar of ``first``; None where its dates would be others."""
    calendars = [calendar_of(variable.attrs.get("calendar")) for variable in (first, other)]
    if calendars[0] == calendars[1]:
        return other
    if set(calendars) == {"standard", "proleptic_gregorian"} and _after_reform(other):
        return _with(other, calendar=first.attrs.get("calendar", "standard"))
    return None


def _counted_as(name: str, first: xr.Dataset, other: xr.Dataset, variable: xr.Variable, paths: tuple[str, str]) -> dict[Any, xr.Variable]:
    """``variable`` of ``other`` in the units of ``first``, with its bounds."""
    ours, theirs = first.variables[name].attrs, variable.attrs
    if _same_moment(ours, theirs):
        return {name: _with(variable, units=ours["units"])}
    changed: dict[Any, xr.Variable] = {name: _recount(name, first.variables[name], variable, paths)}
    bounds = ours.get("bounds", ours.get("climatology"))  # these have the units of their coordinate, and often none of their own
    if bounds in first.variables and bounds in other.variables and "units" not in other.variables[bounds].attrs:
        edges = [
            _with(dataset.variables[bounds], units=attrs["units"], calendar=attrs.get("calendar", "standard"))
            for dataset, attrs in ((first, ours), (other, theirs))
        ]
        changed[bounds] = _recount(str(bounds), edges[0], edges[1], paths)
        changed[bounds].attrs = dict(other.variables[bounds].attrs)
    return changed


def _with(variable: xr.Variable, **attrs: Any) -> xr.Variable:
    changed = variable.copy(deep=False)
    changed.attrs = {**variable.attrs, **attrs}
    return changed


def _after_reform(variable: xr.Variable) -> bool:
    """Whether all these times, and the moment from which they count, are the same in both calendars."""
    import cftime
    import numpy as np

    values = np.asarray(variable.values)
    try:
        zero = cftime.num2date(0, variable.attrs["units"], "standard")
    except (ValueError, OverflowError):
        return False
    return (zero.year, zero.month, zero.day) >= _REFORM and values.dtype.kind in "iuf" and bool((values >= 0).all())


def _same_moment(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two times count the same unit from the same moment, in other words."""
    import cftime

    texts = [str(attrs["units"]) for attrs in (one, other)]
    calendar = calendar_of(one.get("calendar"))
    try:
        return bool(
            units_of(texts[0].partition(" since ")[0]) == units_of(texts[1].partition(" since ")[0])
            and cftime.num2date(0, texts[0], calendar) == cftime.num2date(0, texts[1], calendar)
        )
    except (ValueError, OverflowError):
        return False


def _recount(name: str, first: xr.Variable, other: xr.Variable, paths: tuple[str, str]) -> xr.Variable:
    import cftime
    import numpy as np

    refusal = SourceError(
        f"'{name}' counts '{first.attrs['units']}' in {paths[0]} but '{other.attrs['units']}' in {paths[1]}, and its times have no exact "
        f"{first.dtype} in the first. {one_count(name, first.attrs)}.",
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
