# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lengths of time as people write them: ``2d``, ``1d 12h``, ``90min``, ``1mo``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .errors import BadRequest

_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")
_SECONDS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1),
    **dict.fromkeys(("min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86400),
    **dict.fromkeys(("w", "week", "weeks"), 604800),
}
_MONTHS = {**dict.fromkeys(("mo", "month", "months"), 1), **dict.fromkeys(("y", "year", "years"), 12)}
_LONGEST_MONTH = 31 * 86400  # seconds


@dataclass(frozen=True)
class Span:
    """A length of time in months, which have no length of their own in seconds, and seconds; ``text`` is how it was written."""

    months: int
    seconds: float
    text: str

    @property
    def longest(self) -> float:
        """Seconds that it has at most."""
        return self.months * _LONGEST_MONTH + self.seconds


def parse_span(value: Any, field: str) -> Span:
    """A length of time above 0; raises BadRequest. ``m`` alone is none: it may be minutes or months."""
    text = str(value)
    parts = [(float(number), unit.lower()) for number, unit in _PART.findall(text)]
    known = all(unit in _SECONDS or (unit in _MONTHS and number.is_integer()) for number, unit in parts)
    if isinstance(value, bool) or not parts or not known or _PART.sub("", text):
        hint = " Write min for minutes, mo for months." if any(unit == "m" for _number, unit in parts) else ""
        raise BadRequest(f"{field} is {value!r}: write a length of time with its unit, such as 6h, 2d, '1d 12h' or 1mo.{hint}")
    span = Span(
        months=sum(int(number) * _MONTHS[unit] for number, unit in parts if unit in _MONTHS),
        seconds=sum(number * _SECONDS[unit] for number, unit in parts if unit in _SECONDS),
        text=text.strip(),
    )
    if not span.longest:
        raise BadRequest(f"{field} is {value!r}: it is more than 0, such as 2d.")
    return span
