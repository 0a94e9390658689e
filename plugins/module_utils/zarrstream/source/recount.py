# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Times in other units, of another dtype or of a calendar of another name: the same dates, or an error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import BadRequest, SourceError
from ..metadata.units import calendar_of
from ..text import one_line

if TYPE_CHECKING:
    import numpy as np

_MODERN = ("standard", "proleptic_gregorian")  # the same since 15 October 1582
_CALENDAR_UNITS = re.compile(r"\s*(month|year)s?\s+since\s+(.*)", re.IGNORECASE)
_PACKED = ("scale_factor", "add_offset")


class Recount:
    """How the numbers of one variable become those of other units. ``attrs`` are its own, ``packing`` is what is wanted."""

    def __init__(self, name: str, attrs: Mapping[str, Any], packing: Mapping[str, Any], field: str) -> None:
        self.name, self.field, self.attrs, self.packing = name, field, attrs, packing
        self.old_units = str(attrs["units"])
        self.old_calendar = calendar_of(attrs.get("calendar"))
        self.units = str(packing.get("units", self.old_units))
        self.calendar = calendar_of(packing.get("calendar", self.old_calendar))
        if any(key in packing for key in _PACKED):
            raise BadRequest(f"{field} has scale_factor or add_offset, and '{name}' is a time: give it units and a dtype that need none.")
        if self.calendar != self.old_calendar and not (self.calendar in _MODERN and self.old_calendar in _MODERN):
            text = f"{field}.calendar is '{packing.get('calendar')}', and '{name}' has calendar '{attrs.get('calendar', 'standard')}'"
            raise BadRequest(f"{text}: dates of the one are not those of the other. Leave it out.", variable=name)
        self._check_units()

    def dtype_for(self, own: np.dtype) -> np.dtype:
        """What is stored; of numbers with a scale the decoded kind, unless a dtype is asked for."""
        import numpy as np

        default = np.dtype("f8") if any(key in self.attrs for key in _PACKED) else own.newbyteorder("=")
        dtype = np.dtype(self.packing.get("dtype") or default)
        if dtype.kind not in "iuf":
            raise BadRequest(f"{self.field}.dtype is '{self.packing['dtype']}', and '{self.name}' is a time: use int64 or float64.")
        return dtype

    def attrs_for(self, attrs: Mapping[Any, Any], dtype: np.dtype) -> dict[Any, Any]:
        """The attributes of what is stored."""
        made = {key: value for key, value in attrs.items() if key not in (*_PACKED, "_FillValue", "missing_value", "_Unsigned")}
        if "units" in self.packing:
            made["units"] = self.units
        if "calendar" in self.packing:
            made["calendar"] = self.packing["calendar"]
        fill = self._fill(dtype)
        return made if fill is None else {**made, "_FillValue": fill}

    def counted(self, values: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """The numbers of a block in the new units. Raises SourceError for a time that has none."""
        import cftime
        import numpy as np

        numbers, missing = self._decoded(values)
        made = np.zeros(values.shape, dtype)
        present = numbers[~missing]
        if present.size:
            dates = self._dates(present)
            try:
                exact = np.asarray(cftime.date2num(dates, self.units, self.calendar))
                rounded = exact.astype(dtype)
                again = cftime.num2date(rounded, self.units, self.calendar)
            except (ValueError, OverflowError) as error:
                raise SourceError(f"'{self.name}' cannot be counted in '{self.units}': {one_line(error)}.", variable=self.name) from None
            lost = np.flatnonzero(again != dates)
            if lost.size or bool((rounded != exact).any() and dtype.kind != "f"):
                first = dates[lost[0]] if lost.size else dates[0]
                raise SourceError(
                    f"'{self.name}' has the time {first}, which is no {dtype} in '{self.units}'. Set finer units in {self.field}, such as "
                    f"'{_finer(self.units)}', or dtype float64.",
                    variable=self.name,
                )
            made[~missing] = rounded
        if missing.any():
            fill = self._fill(dtype)
            if fill is None:
                text = f"'{self.name}' has missing times, but {self.field} has no _FillValue to store them as. Set one."
                raise SourceError(text, variable=self.name)
            made[missing] = fill
        return made

    def _check_units(self) -> None:
        import cftime

        try:
            cftime.date2num(cftime.num2date(0, self.units, self.calendar), self.units, self.calendar)
        except (ValueError, TypeError) as error:
            if self.units == self.old_units:  # of months, say, of which only the dtype is to be another
                text = (
                    f"'{self.name}' has units '{self.units}', which cannot be counted in ({one_line(error)}). Set others in {self.field}."
                )
            else:
                text = f"{self.field}.units is '{self.units}', which is no unit of time ({one_line(error)}). Use 'hours since 1970-01-01'."
            raise BadRequest(text, variable=self.name) from None

    def _fill(self, dtype: np.dtype) -> Any:
        """What stands for a missing time, as wanted, or as the file has it where it fits."""
        import numpy as np

        fill = self.packing.get("_FillValue", self.attrs.get("_FillValue", self.attrs.get("missing_value")))
        if fill is None:
            return None
        fill = np.asarray(fill).reshape(-1)[0]
        if fill != fill and dtype.kind == "f":  # pylint: disable=comparison-with-itself
            return dtype.type(np.nan)
        try:
            fits = not isinstance(fill, str) and fill == dtype.type(fill)
        except (ValueError, TypeError, OverflowError):
            fits = False
        if not fits:
            raise BadRequest(
                f"{self.field}: the _FillValue {fill!r} of '{self.name}' is no {dtype}. Set another _FillValue.", variable=self.name
            )
        return dtype.type(fill)

    def _decoded(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import numpy as np

        missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)
        for key in ("_FillValue", "missing_value"):
            if key in self.attrs:
                missing = missing | np.isin(values, np.asarray(self.attrs[key]).astype(values.dtype))
        if any(key in self.attrs for key in _PACKED):
            return values * float(self.attrs.get("scale_factor", 1)) + float(self.attrs.get("add_offset", 0)), missing
        return values, missing

    def _dates(self, numbers: np.ndarray) -> np.ndarray:
        import cftime
        import numpy as np

        calendar_units = _CALENDAR_UNITS.fullmatch(self.old_units)
        try:
            if calendar_units and self.old_calendar != "360_day":
                months = numbers * (12 if calendar_units[1].lower() == "year" else 1)
                dates = _months_after(calendar_units[2], self.old_calendar, months)
            else:
                dates = np.asarray(cftime.num2date(numbers, self.old_units, self.old_calendar))
        except (ValueError, OverflowError) as error:
            text = f"'{self.name}' counts '{self.old_units}', and its times are no dates ({one_line(error)})."
            raise SourceError(f"{text} Correct the units with attrs before, or leave it out.", variable=self.name) from None
        if self.calendar != self.old_calendar:
            if min(dates).timetuple()[:3] < (1582, 10, 15):
                text = (
                    f"'{self.name}' begins at {min(dates)}, before the calendars '{self.old_calendar}' and '{self.calendar}' are the same"
                )
                raise SourceError(f"{text}. Leave calendar out of {self.field}.", variable=self.name)
            dates = np.asarray([cftime.datetime(*_fields(date), calendar=self.calendar) for date in dates])
        return dates


def _fields(date: Any) -> tuple[int, ...]:
    return date.year, date.month, date.day, date.hour, date.minute, date.second, date.microsecond


def _months_after(reference: str, calendar: str, numbers: np.ndarray) -> np.ndarray:
    """Dates so many months of the calendar later; a part of a month is no time, for months differ in length."""
    import cftime
    import numpy as np

    begin = cftime.num2date(0, f"days since {reference}", calendar)
    whole = np.rint(numbers).astype("i8")
    if not np.allclose(numbers, whole, rtol=0, atol=1e-6):
        raise ValueError("a part of a month, or of a year that is no whole month, is no time of a calendar")
    dates = []
    for number in whole.tolist():
        months = begin.year * 12 + begin.month - 1 + number
        dates.append(cftime.datetime(months // 12, months % 12 + 1, *_fields(begin)[2:], calendar=calendar))
    return np.asarray(dates)


def _finer(units: str) -> str:
    return f"seconds since {units.partition(' since ')[2]}"
