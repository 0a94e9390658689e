# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the numbers of a coordinate of time stand for: dates in its calendar, as text, and how long ago they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..source.labels import Labels, positions
from ..text import one_line

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr


class NoDates(Exception):
    """Numbers that stand for no date; the text says why."""


@dataclass(frozen=True)
class Clock:
    """Times count in these units, such as ``days since 2020-01-01``, in this calendar."""

    units: str
    calendar: str

    def dates(self, numbers: np.ndarray) -> np.ndarray:
        """The moments, as datetime64 in microseconds, or as cftime has them for other calendars; raises NoDates."""
        from xarray.coders import CFDatetimeCoder
        from xarray.conventions import decode_cf_variable

        try:
            coder = CFDatetimeCoder(time_unit="us")  # nanoseconds end in 2262
            return decode_cf_variable("time", self.variable(numbers), decode_times=coder, decode_timedelta=False).values
        except (ValueError, OverflowError) as error:
            raise NoDates(f"do not decode as '{self.units}' ({one_line(error)})") from None

    def variable(self, numbers: np.ndarray) -> xr.Variable:
        """The numbers as a coordinate."""
        import xarray as xr

        return xr.Variable(("times",), numbers, {"units": self.units, "calendar": self.calendar})

    def texts(self, numbers: np.ndarray) -> list[str]:
        """The dates for people, as far as they say anything: ``2020-01-31``, ``2020-01-31T06:00``."""
        return [_text(date) for date in self.dates(numbers)]

    def ages(self, numbers: np.ndarray) -> np.ndarray:
        """Seconds from each moment until now; below 0 for those to come. Raises NoDates."""
        import cftime
        import numpy as np

        dates, now = self.dates(numbers), datetime.now(UTC)
        if dates.dtype.kind == "M":
            return (np.datetime64(now.replace(tzinfo=None), "us") - dates).astype("i8") / 1e6
        day = min(now.day, 30) if self.calendar == "360_day" else min(now.day, 28) if now.month == 2 else now.day
        here = cftime.datetime(now.year, now.month, day, now.hour, now.minute, now.second, calendar=self.calendar)
        return np.asarray([(here - date).total_seconds() for date in dates])

    def months(self, numbers: np.ndarray) -> np.ndarray:
        """The month of each moment, counted from that of year 0; raises NoDates."""
        import numpy as np

        dates = self.dates(numbers)
        if dates.dtype.kind == "M":
            return dates.astype("M8[M]").astype("i8") + 1970 * 12
        return np.asarray([date.year * 12 + date.month - 1 for date in dates])

    def beginnings(self, months: np.ndarray) -> np.ndarray:
        """The numbers of the first day of months, which are counted as ``months`` does."""
        import cftime
        import numpy as np

        days = [cftime.datetime(month // 12, month % 12 + 1, 1, calendar=self.calendar) for month in months.tolist()]
        return np.asarray(cftime.date2num(days, self.units, self.calendar)) if days else np.zeros(0)

    def unit(self) -> float:
        """Seconds of one unit; raises NoDates."""
        import numpy as np

        first, second = self.dates(np.asarray([0, 1]))
        return float((second - first) / np.timedelta64(1, "s")) if isinstance(first, np.datetime64) else (second - first).total_seconds()

    def among(self, numbers: np.ndarray, labels: Labels, option: str, name: str) -> np.ndarray:
        """The positions of the moments that a date, or a range of dates, means; raises BadRequest for what is no date."""
        return positions(self.variable(numbers), name, labels, option, "the store")


def _text(date: Any) -> str:
    text = str(date).replace(" ", "T") if not hasattr(date, "isoformat") else date.isoformat()
    text = text.partition(".")[0]
    return text.removesuffix("T00:00:00") if text.endswith("T00:00:00") else text.removesuffix(":00")


def age_in_words(seconds: float) -> str:
    """``3.2 days``, ``5 hours``."""
    for length, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if abs(seconds) >= 2 * length:
            return f"{seconds / length:.1f}".removesuffix(".0") + f" {unit}s"
    return f"{seconds:.0f} seconds"
