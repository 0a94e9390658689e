# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""No step of time is left out: by the step that is declared, with the dates that are accepted, or by the usual one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..durations import Span
from ..findings import CheckResult, Findings, found, skipped
from ..text import many
from .axes import Axis, fine, gaps_by_usual_step, usual_step
from .expectations import Gaps
from .moments import NoDates
from .registry import CHECKS
from .snapshot import Snapshot

if TYPE_CHECKING:
    import numpy as np

_NAMED = 5  # dates of steps that are left out which are named
_MOST = 2**24  # steps between the first and the last
_NEAR = 0.01  # of a step by which a time may lie beside its place


@CHECKS.check("gaps", "store", "axes", severity="warning", place=104)
def check_gaps(shot: Snapshot, axes: list[Axis]) -> CheckResult:
    """No step of time is left out: of those that gaps declares, else where most steps are of one length."""
    expected = shot.request.expectations.gaps
    if expected is None or (expected.step is None and not expected.accept):
        return gaps_by_usual_step(axes)
    times = [axis for axis in axes if axis.time]
    if not times:
        return skipped("no dimension has a coordinate of time")
    wrong = Findings()
    for axis in times:
        problem = axis.problem or _left_out(axis, expected)
        if problem:
            wrong.add({"array": axis.name, "problem": problem})
    if wrong:
        return found(wrong, f"{many(wrong.count, 'coordinate')} of time with steps left out", "error")
    return fine(times, "without a gap", times)


def _left_out(axis: Axis, expected: Gaps) -> str:
    """Which steps are not there, or why nobody can say; '' for none."""
    import numpy as np

    values = np.unique(axis.values)
    if values.size < 2:
        return ""
    try:
        absent = _absent(axis, values, expected.step)
        if isinstance(absent, str):
            return absent
        for number, labels in enumerate(expected.accept):
            absent = np.delete(absent, axis.clock.among(absent, labels, f"gaps.accept[{number}]", axis.name))
        named = ", ".join(axis.clock.texts(absent[:_NAMED]))
    except NoDates as error:
        return f"its times {error}: steps cannot be counted"
    if not absent.size:
        return ""
    more = f" and {absent.size - _NAMED} more" if absent.size > _NAMED else ""
    return f"{many(absent.size, 'step')} left out: {named}{more}"


def _absent(axis: Axis, values: np.ndarray, step: Span | None) -> np.ndarray | str:
    """The numbers of the steps between the first and the last that are not there, or why they cannot be told."""
    import numpy as np

    if step is not None and step.months:
        if step.seconds:
            return f"gaps.step '{step.text}' is of months and days at once: steps of both are not counted"
        months = axis.clock.months(values)
        wanted = np.arange(months[0], months[-1] + 1, step.months)
        if strange := np.setdiff1d(months, wanted).size:
            return f"{many(strange, 'time')} not a whole number of steps of {step.text} after {axis.clock.texts(values[:1])[0]}"
        return axis.clock.beginnings(np.setdiff1d(wanted, months))
    length = usual_step(values) if step is None else step.seconds / axis.clock.unit()
    if length is None:
        return "its steps have no usual length: declare gaps.step"
    numbers = (values - values[0]) / length
    if numbers[-1] > _MOST:
        return f"more than {_MOST} steps of {step.text if step else length} between its first and last time"
    whole = np.rint(numbers)
    beside = np.flatnonzero(np.abs(numbers - whole) > _NEAR) if step else np.zeros(0, int)
    if beside.size and step:
        one, first = axis.clock.texts(values[[beside[0], 0]])
        return f"{one} is not a whole number of steps of {step.text} after {first}, nor are {beside.size - 1} others"
    return values[0] + np.setdiff1d(np.arange(whole[-1] + 1), whole) * length
