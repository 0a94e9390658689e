# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks and what they found, of a store or a cluster: small values that print, compare and turn into JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from .text import shown

ITEMS = 20  # findings named one by one; the rest is counted


@dataclass
class Findings:
    """Findings of one check while it runs: all are counted, the first ones kept, so that memory stays bounded."""

    count: int = 0
    items: list[Any] = field(default_factory=list)

    @classmethod
    def of(cls, items: Iterable[Any]) -> Findings:
        """All of these."""
        findings = cls()
        for item in items:
            findings.add(item)
        return findings

    def add(self, item: Any) -> None:
        """Note one finding: a string, or a dict of plain values."""
        self.count += 1
        if len(self.items) < ITEMS:
            self.items.append(item)

    def add_many(self, count: int, items: Iterable[Any]) -> None:
        """Note ``count`` findings, which ``items`` names; it is not read further than needed."""
        self.count += count
        self.items.extend(islice(items, min(count, ITEMS - len(self.items))))

    def __bool__(self) -> bool:
        return self.count > 0

    @property
    def first(self) -> str:
        """The first finding in a few words, for a message."""
        return describe(self.items[0]) if self.items else ""

    def evidence(self) -> dict[str, Any]:
        """The findings as a result carries them."""
        return {"count": self.count, "findings": list(self.items)}


def describe(item: Any) -> str:
    """A finding as text: ``key: problem``, or its fields one after the other."""
    if not isinstance(item, dict):
        return shown(str(item))
    rest = dict(item)
    place = rest.pop("key", None) or rest.pop("array", None)
    problem = rest.pop("problem", None) or ", ".join(f"{name} {value}" for name, value in rest.items())
    return shown(f"{place}: {problem}" if place else str(problem))


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check. ``severity`` says how bad a finding of it is, whether or not there was one.

    ``status`` is ``passed``, ``failed`` (a finding of severity ``error``), ``warning`` (a finding of severity ``warning`` or
    ``info``), or ``skipped``, and then ``message`` gives the reason.
    """

    id: str
    status: str
    severity: str
    message: str
    evidence: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", shown(self.message))  # it names what others have named

    def as_dict(self) -> dict[str, Any]:
        """The result as a module returns it."""
        return {"id": self.id, "status": self.status, "severity": self.severity, "message": self.message, "evidence": self.evidence}


def passed(message: str, **evidence: Any) -> CheckResult:
    """What a check says without a finding."""
    return CheckResult("", "passed", "", message, evidence)


def skipped(reason: str) -> CheckResult:
    """What a check says that was not made."""
    return CheckResult("", "skipped", "", reason)


def found(findings: Findings, message: str, severity: str = "", **evidence: Any) -> CheckResult:
    """What a check says of its findings, of which the message tells the first; ``severity`` where it is not the check's own."""
    text = f"{message}: {findings.first}" if findings.count == 1 else f"{message}, first {findings.first}"
    return CheckResult("", "found", severity, text, {**findings.evidence(), **evidence})


@dataclass(frozen=True)
class Check:
    """A check, its severity, and by name what it looks at; ``place`` is that of its result among the others."""

    id: str
    needs: tuple[str, ...]
    severity: str
    place: int
    function: Callable[..., CheckResult]

    def __call__(self, *needs: Any) -> CheckResult:
        """The result for what it needs."""
        return self._named(self.function(*needs))

    def of(self, there: Mapping[str, tuple[Any, str]]) -> CheckResult:
        """The result for what is there, by name. What is None has the reason why a check that needs it is skipped, or '' if none is."""
        needs = [there[name] for name in self.needs]
        why = next((why for value, why in needs if value is None and why), "")
        return self._named(skipped(why)) if why else self(*(value for value, _unused in needs))

    def _named(self, result: CheckResult) -> CheckResult:
        severity = result.severity or self.severity
        status = ("failed" if severity == "error" else "warning") if result.status == "found" else result.status
        return replace(result, id=self.id, status=status, severity=severity)


class Registry(list[Check]):
    """Checks of one kind of thing in the order of their results, each entered where it is defined."""

    def check(self, name: str, *needs: str, severity: str = "error", place: int = 0) -> Callable[[Callable[..., CheckResult]], Check]:
        """Decorate a function that gives ``passed``, ``found`` or ``skipped`` for what it needs, in this order."""

        def enter(function: Callable[..., CheckResult]) -> Check:
            made = Check(name, needs, severity, place, function)
            self.append(made)
            self.sort(key=lambda check: check.place)
            return made

        return enter


def acceptable(checks: Iterable[CheckResult], fail_on: str) -> bool:
    """Nothing found that ``fail_on`` names; errors count as such for ``never`` too, which only keeps a caller going."""
    bad = {"error", "warning"} if fail_on == "warning" else {"error"}
    return not any(result.status in ("failed", "warning") and result.severity in bad for result in checks)


def summary_of(what: str, checks: Sequence[CheckResult]) -> dict[str, Any]:
    """Counts by status, and one line for people that begins with ``what`` was checked."""
    counts = Counter(result.status for result in checks)
    numbers = {status: counts[status] for status in ("passed", "failed", "warning", "skipped")}
    worst = next((result for result in checks if result.status == "failed"), None)
    worst = worst or next((result for result in checks if result.status == "warning"), None)
    words = f"{numbers['passed']} passed, {numbers['failed']} failed, {numbers['warning']} warnings, {numbers['skipped']} skipped"
    line = f"{shown(what)}: {words}"
    return {**numbers, "line": f"{line}. {worst.id}: {worst.message}" if worst else line}
