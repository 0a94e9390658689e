# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a data set that keeps growing should be like: the options ``fresh``, ``gaps``, ``nan_share`` and ``range`` as values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..durations import Span, parse_span
from ..errors import BadRequest
from ..source.labels import Labels, parse_labels
from ..text import meant

ALL = "*"  # in the place of a variable's name: all that are not named
HISTORY = "history"


@dataclass(frozen=True)
class Fresh:
    """How old the last step with a value may be, for these ``variables``; None for all along the time."""

    max_age: Span
    variables: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Gaps:
    """The ``step`` from each time to the next, None for the usual one, and absent times that are none."""

    step: Span | None = None
    accept: tuple[Labels, ...] = ()


@dataclass(frozen=True)
class Expectations:
    """None is for what was not asked. ``nan_share`` has the largest share of missing values, by variable; None is by their history.

    ``range`` has the least and the largest value, by variable, None for none.
    """

    fresh: Fresh | None = None
    gaps: Gaps | None = None
    nan_share: Mapping[str, float | None] | None = None
    range: Mapping[str, tuple[float | None, float | None]] | None = None

    @property
    def named(self) -> dict[str, tuple[str, ...]]:
        """The variables that the options name, by option."""
        named = {"fresh.variables": (self.fresh.variables or ()) if self.fresh else (), "nan_share": self.nan_share, "range": self.range}
        return {option: tuple(name for name in names or () if name != ALL) for option, names in named.items()}


NOTHING_EXPECTED = Expectations()


def parse_expectations(options: Mapping[str, Any]) -> Expectations:
    """The expectations in the options of a module; raises BadRequest."""
    return Expectations(
        fresh=_fresh(options.get("fresh")),
        gaps=_gaps(options.get("gaps")),
        nan_share=_shares(options.get("nan_share")),
        range=_ranges(options.get("range")),
    )


def _fresh(value: Any) -> Fresh | None:
    if value is None:
        return None
    options = _options("fresh", value if isinstance(value, Mapping) else {"max_age": value}, ("max_age", "variables"))
    if options.get("max_age") is None:
        raise BadRequest("fresh has no max_age: say how old the last step may be, such as fresh: {max_age: 2d}.")
    variables = options.get("variables")
    if variables is not None and (not isinstance(variables, list) or not variables):
        raise BadRequest(f"fresh.variables is {variables!r}: it is a list of names of variables. Leave it out for all.")
    return Fresh(parse_span(options["max_age"], "fresh.max_age"), tuple(map(str, variables)) if variables else None)


def _gaps(value: Any) -> Gaps | None:
    if value is None:
        return None
    options = _options("gaps", value if isinstance(value, Mapping) else {"step": value}, ("step", "accept"))
    accept = options.get("accept") or []
    if not isinstance(accept, list):
        raise BadRequest(f"gaps.accept is {accept!r}: it is a list of dates, such as ['2020-02-30', ['2021-03-01', '2021-03-09']].")
    labels = tuple(parse_labels(entry, f"gaps.accept[{number}]") for number, entry in enumerate(accept))
    step = options.get("step")
    return Gaps(None if step is None else parse_span(step, "gaps.step"), labels)


def _shares(value: Any) -> dict[str, float | None] | None:
    if value is None:
        return None
    shares = value if isinstance(value, Mapping) else {ALL: value}
    return {str(name): _share(share, "nan_share" if value is share else f"nan_share.{name}") for name, share in shares.items()}


def _share(value: Any, option: str) -> float | None:
    if value == HISTORY:
        return None
    number = _number(value)
    if number is None or not 0 <= number <= 1:
        raise BadRequest(f"{option} is {value!r}: it is a share from 0 to 1, such as 0.3, or '{HISTORY}' for what the other steps have.")
    return number


def _ranges(value: Any) -> dict[str, tuple[float | None, float | None]] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise BadRequest(f"range is {value!r}: it has the ends by variable, such as {{sst: [-5, 45]}}.")
    return {str(name): _ends(ends, f"range.{name}") for name, ends in value.items()}


def _ends(value: Any, option: str) -> tuple[float | None, float | None]:
    ends = [_number(end) for end in value] if isinstance(value, list | tuple) else []
    wrong = len(ends) != 2 or any(end is None and given is not None for end, given in zip(ends, value, strict=True))
    if wrong or ends == [None, None]:
        raise BadRequest(f"{option} is {value!r}: it is a list of the least and the largest value, such as [-5, 45] or [0, null].")
    low, high = ends
    if low is not None and high is not None and low > high:
        raise BadRequest(f"{option} is {value!r}: it begins after its end. Give the least value first.")
    return low, high


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return None if isinstance(value, bool) or not math.isfinite(number) else number


def _options(field_name: str, value: Mapping[str, Any], known: tuple[str, ...]) -> Mapping[str, Any]:
    for name in value:
        if name not in known:
            raise BadRequest(
                f"{field_name} has '{name}', which is none of its options.{meant(str(name), known)} It has: {', '.join(known)}."
            )
    return value
