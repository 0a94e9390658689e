# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where labels lie along a coordinate: one value or both ends of a range, by what the coordinate's numbers mean."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import BadRequest, SourceError
from ..text import one_line

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

Label: TypeAlias = "str | int | float"
Labels: TypeAlias = "Label | tuple[Label | None, Label | None]"  # one, or both ends of a range, of which None is open

_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d)(?::(\d\d)(?::(\d\d)(?:\.\d+)?)?)?)?)?)?Z?")


def parse_labels(value: Any, field: str) -> Labels:
    """A label, or a range as a tuple; raises BadRequest."""
    if not isinstance(value, list | tuple):
        return _label(value, field)
    if len(value) != 2 or all(end is None for end in value):
        raise BadRequest(f"{field} is {value!r}: a range is a list of its two ends, such as [40, 60] or ['2020-01', null].")
    low, high = (None if end is None else _label(end, field) for end in value)
    if low is not None and high is not None and isinstance(low, str) != isinstance(high, str):
        raise BadRequest(f"{field} is {value!r}: its ends are of two kinds. Give two numbers, or two dates as text.")
    if low is not None and high is not None and low > high:  # type: ignore[operator]
        raise BadRequest(f"{field} is {value!r}: it begins after its end. Give the lower end first, however the coordinate is sorted.")
    return low, high


def positions(variable: xr.Variable, name: str, labels: Labels, field: str, path: str) -> np.ndarray:
    """The positions of the labels along a coordinate of one dimension, in its order; none is no error.

    Raises BadRequest for labels of another kind than the coordinate's, SourceError for times that no calendar has.
    """
    import numpy as np

    ends = labels if isinstance(labels, tuple) else (labels, labels)
    if " since " in str(variable.attrs.get("units")) and variable.dtype.kind in "iuf":
        inside = _among_times(variable, name, ends, field, path)
    elif variable.dtype.kind in "OSTU":
        if isinstance(labels, tuple) or not isinstance(labels, str):
            text = f"{field} is {_shown(labels)}, and the labels of '{name}' in {path} are text such as {str(_texts(variable)[:1])[1:-1]}"
            raise BadRequest(f"{text}: name one, in quotes.", variable=name)
        inside = np.asarray([text == labels for text in _texts(variable)], bool)
    else:
        inside = _among_numbers(variable, name, ends, field, path)
    return np.flatnonzero(inside)


def _label(value: Any, field: str) -> Label:
    if hasattr(value, "isoformat"):  # YAML makes dates of what looks like one
        return str(value.isoformat())
    if (
        isinstance(value, bool)
        or not isinstance(value, str | int | float)
        or value == ""
        or (isinstance(value, float) and not math.isfinite(value))
    ):
        raise BadRequest(f"{field} is {value!r}: a label is a number, a date such as 2020-12-31, or a text.")
    return value


def _texts(variable: xr.Variable) -> list[str]:
    return [text.decode(errors="replace") if isinstance(text, bytes) else str(text) for text in variable.values.reshape(-1)]


def _among_numbers(variable: xr.Variable, name: str, ends: tuple[Label | None, Label | None], field: str, path: str) -> np.ndarray:
    import numpy as np
    from xarray.conventions import decode_cf_variable

    if any(isinstance(end, str) for end in ends):
        text = f"{field} is {_shown(ends)}, and the labels of '{name}' in {path} are numbers: name numbers, without quotes; for dates, set"
        text += " units such as 'days since 2020-01-01' before, with attrs."
        raise BadRequest(text, variable=name)
    values = decode_cf_variable(name, variable, decode_times=False, decode_timedelta=False).values
    inside = ~np.isnan(values) if values.dtype.kind == "f" else np.ones(values.shape, bool)
    low, high = ends
    if low is not None:
        inside &= values >= low - _rounding(values)  # type: ignore[operator]
    if high is not None:
        inside &= values <= high + _rounding(values)  # type: ignore[operator]
    return inside


def _rounding(values: np.ndarray) -> float:
    """What floats may be beside the number that they stand for: 0.1 of float32 is more than that of float64, 0.1 × 3 more than 0.3."""
    import numpy as np

    if values.dtype.kind != "f" or not np.isfinite(values).any():
        return 0.0
    return 4 * float(np.finfo(values.dtype).eps) * float(np.abs(values[np.isfinite(values)]).max())


def _among_times(variable: xr.Variable, name: str, ends: tuple[Label | None, Label | None], field: str, path: str) -> np.ndarray:
    import numpy as np
    from xarray.coders import CFDatetimeCoder
    from xarray.conventions import decode_cf_variable

    if any(not isinstance(end, str | None) or (isinstance(end, str) and not _DATE.fullmatch(end)) for end in ends):
        raise BadRequest(f"{field} is {_shown(ends)}, and '{name}' in {path} is a time: name dates such as 2020-12-31 or '2020-12-31T06'.")
    try:
        coder = CFDatetimeCoder(time_unit="us")  # nanoseconds end in 2262
        times = decode_cf_variable(name, variable.to_base_variable(), decode_times=coder, decode_timedelta=False).values
    except (ValueError, OverflowError) as error:
        text = f"{field}: the times of '{name}' in {path} cannot be decoded ({one_line(error)}). Give them other units before, with repack."
        raise SourceError(text, variable=name) from None
    inside = np.ones(times.shape, bool) if times.dtype.kind == "O" else ~np.isnat(times)
    low, high = ends
    if low is not None:
        inside &= times >= _bounds(str(low), times, variable, field)[0]
    if high is not None:
        inside &= times < _bounds(str(high), times, variable, field)[1]
    return inside


def _bounds(text: str, times: np.ndarray, variable: xr.Variable, field: str) -> tuple[Any, Any]:
    """The first moment of a date or of a part of one, and the first one after it."""
    import cftime
    import numpy as np

    text = text.rstrip("Z")
    try:
        if times.dtype.kind == "M":
            begin = np.datetime64(text)
            return begin, begin + np.timedelta64(1, np.datetime_data(begin.dtype)[0])  # type: ignore[call-overload]
        given = [int(part) for part in _DATE.fullmatch(text).groups() if part is not None]  # type: ignore[union-attr]
        calendar = str(variable.attrs.get("calendar", "standard")).lower()
        whole = [*given, *(1, 1, 1, 0, 0, 0)[len(given) :]]
        begin = cftime.datetime(*whole, calendar=calendar)
        if len(given) > 2:
            step = {3: timedelta(days=1), 4: timedelta(hours=1), 5: timedelta(minutes=1), 6: timedelta(seconds=1)}[len(given)]
            return begin, begin + step
        months = whole[0] * 12 + whole[1] - 1 + (12 if len(given) == 1 else 1)
        return begin, cftime.datetime(months // 12, months % 12 + 1, 1, calendar=calendar)
    except ValueError as error:
        raise BadRequest(f"{field} has the label '{text}', which is no date of this calendar ({one_line(error)}).") from None


def _shown(labels: Any) -> str:
    return (
        repr(list(labels))
        if isinstance(labels, tuple) and labels[0] != labels[1]
        else repr(labels[0] if isinstance(labels, tuple) else labels)
    )
