# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks of a data set that keeps growing: not stale, no more missing than usual, no impossible values.

They are made where their option says what to expect, and read coordinates and the newest chunks alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..findings import CheckResult, Findings, found, passed, skipped
from ..metadata.chunks import ChunkReader
from ..text import many
from .axes import Axis
from .expectations import ALL, Fresh
from .moments import NoDates, age_in_words
from .newest import Newest, read_newest
from .registry import CHECKS
from .snapshot import Snapshot

if TYPE_CHECKING:
    import numpy as np

_FURTHER = 2**20  # steps back in which a value is looked for, as far as chunks are read
_FENCE = 3.0  # distances between quartiles beyond which a share is unusual, Tukey's "far out"
_LEAST = 0.05  # of all values: what more may be missing in any case
_COMMON = (
    0.25  # of the other steps that end with the value that one step has alone: zeros of rain are usual, those of a temperature are not
)
_FEW = 16  # values of a step that may be the same by chance


@CHECKS.check("fresh", "store", "root", "axes", "newest", place=106)
def check_fresh(shot: Snapshot, reader: ChunkReader, axes: list[Axis], newest: list[Newest]) -> CheckResult:
    """The last step that has a value is not older than it may be, by the coordinate of time and not by the times of files."""
    expected = shot.request.expectations.fresh
    if expected is None:
        return skipped("not asked for: set fresh to how old the last step may be")
    chosen = [each for each in newest if expected.variables is None or each.name in expected.variables]
    if not chosen:
        return skipped("no variable goes along a coordinate of time")
    empty = [each.name for each in chosen if not each.problem and bool((each.missing >= 1).all())]
    if empty:
        further = {each.name: each for each in read_newest(shot, reader, axes, at_least=dict.fromkeys(empty, _FURTHER))}
        chosen = [further.get(each.name, each) for each in chosen]
    ages: dict[str, float] = {}
    problems = {each.name: each.problem or _stale(each, expected, ages) for each in chosen}
    wrong = Findings.of({"array": name, "problem": problem} for name, problem in problems.items() if problem)
    if wrong:
        return found(wrong, f"{wrong.count} of {many(len(chosen), 'variable')} stale", ages=ages)
    return passed(f"the last step with a value is {age_in_words(max(ages.values()))} old, of {expected.max_age.text} at most", ages=ages)


def _stale(newest: Newest, expected: Fresh, ages: dict[str, float]) -> str:
    """Why a variable is stale, '' where it is not; the age of its last step in seconds is added to ``ages``."""
    import numpy as np

    numbers = newest.numbers()
    timed = ~np.isnan(numbers)
    there = timed & (newest.missing < 1)
    if not timed.any():
        return "its newest steps have no time"
    try:
        if not there.any():
            return f"has no value from {newest.axis.clock.texts(numbers[timed][:1])[0]} on"
        last = numbers[there][-1:]
        age, when = float(newest.axis.clock.ages(last)[0]), newest.axis.clock.texts(last)[0]
    except NoDates as error:
        return f"its times {error}"
    ages[newest.name] = round(age)
    if age <= expected.max_age.longest:
        return ""
    later = int(numbers.size - 1 - np.flatnonzero(there)[-1])
    holes = f", and {many(later, 'later step')} without one" if later else ""
    return f"its last step with a value is {when}, {age_in_words(age)} ago and more than {expected.max_age.text}{holes}"


@CHECKS.check("nan_share", "store", "newest", place=107)
def check_nan_share(shot: Snapshot, newest: list[Newest]) -> CheckResult:
    """In none of the newest steps more is missing than may be, or than in the others."""
    expected = shot.request.expectations.nan_share
    if expected is None:
        return skipped("not asked for: set nan_share to the share that may be missing, or to history")
    chosen = [each for each in newest if each.name in expected or ALL in expected]
    wrong, few = Findings(), []
    for each in chosen:
        most = expected.get(each.name, expected.get(ALL))
        if each.problem:
            wrong.add({"array": each.name, "problem": each.problem})
        elif most is None and not each.usual:
            few.append(each.name)
        else:
            limit = _fence(each.missing) if most is None else most
            usual = f" usual among these {each.places.size} steps" if most is None else ""
            _add_steps(
                wrong,
                each,
                each.missing > limit,
                _share_of(each),
                f"at most {limit:.1%} is{usual}" if usual else f"at most {limit:.1%} may be",
            )
    if wrong:
        return found(wrong, f"{many(wrong.count, 'variable')} with steps of which too much is missing")
    note = f"; of {', '.join(few)} there are too few steps to tell what is usual" if few else ""
    return passed(
        f"no more missing than may be in the newest steps of {many(len(chosen) - len(few), 'variable')}{note}", read=_read_of(chosen)
    )


def _share_of(newest: Newest) -> Callable[[int], str]:
    return lambda place: f"{newest.missing[place]:.1%} of it missing"


def _fence(shares: np.ndarray) -> float:
    """The largest share that is usual, given all of them."""
    import numpy as np

    lower, upper = np.quantile(shares, [0.25, 0.75])
    return float(upper + max(_LEAST, _FENCE * (upper - lower)))


@CHECKS.check("range", "store", "newest", place=108)
def check_range(shot: Snapshot, newest: list[Newest]) -> CheckResult:
    """Values of the newest steps lie where they may, and no step is one value where the others vary."""
    expected = shot.request.expectations.range
    if expected is None:
        return skipped("not asked for: set range to the least and the largest value of variables")
    chosen = [each for each in newest if each.name in expected or ALL in expected]
    wrong = Findings()
    for each in chosen:
        low, high = expected.get(each.name) or expected[ALL]
        if each.problem:
            wrong.add({"array": each.name, "problem": each.problem})
            continue
        if low is not None:
            _add_steps(wrong, each, each.low < low, _value_of(each.low, "a value of"), f"{low:g} is the least")
        if high is not None:
            _add_steps(wrong, each, each.high > high, _value_of(each.high, "a value of"), f"{high:g} is the largest")
        _add_steps(wrong, each, _constant(each), _value_of(each.low, "nothing but"), "the other steps vary")
    if wrong:
        return found(wrong, f"{many(wrong.count, 'range')} of values that cannot be")
    return passed(f"values that may be in the newest steps of {many(len(chosen), 'variable')}", read=_read_of(chosen))


def _value_of(values: np.ndarray, words: str) -> Callable[[int], str]:
    return lambda place: f"{words} {values[place]:g}"


def _constant(newest: Newest) -> np.ndarray:
    """The steps that are one value, where most others vary and few of them have it at an end of their range."""
    import numpy as np

    values = newest.count * (1 - newest.missing)
    same = (newest.low == newest.high) & (values >= _FEW)
    others = ~same & ~np.isnan(newest.low)
    if not newest.usual or others.sum() <= newest.places.size / 2:
        return np.zeros(same.shape, bool)
    for place in np.flatnonzero(same):
        ends = (newest.low[others] == newest.low[place]) | (newest.high[others] == newest.low[place])
        same[place] = ends.mean() < _COMMON
    return same


def _add_steps(wrong: Findings, newest: Newest, bad: np.ndarray, words: Callable[[int], str], limit: str) -> None:
    """Note the steps of a variable that are bad, as one finding with the last of them, which matters most."""
    import numpy as np

    places = np.flatnonzero(bad)
    if not places.size:
        return
    last = int(places[-1])
    more = f", and so {many(places.size - 1, 'step')} before it" if places.size > 1 else ""
    text = f"{words(last)} {_when(newest, last)}, where {limit}{more}"
    wrong.add({"array": newest.name, "index": [int(newest.places[last])], "count": int(places.size), "problem": text})


def _when(newest: Newest, place: int) -> str:
    number = newest.numbers()[place : place + 1]
    try:
        return f"at {newest.axis.clock.texts(number)[0]}" if not math.isnan(number[0]) else f"in step {newest.places[place]}"
    except NoDates:
        return f"in step {newest.places[place]}"


def _read_of(newest: Sequence[Newest]) -> dict[str, Any]:
    """What was read of each variable, by name."""
    return {each.name: {"steps": int(each.places.size), "chunks": each.sampled, "of": each.chunks} for each in newest if not each.problem}
