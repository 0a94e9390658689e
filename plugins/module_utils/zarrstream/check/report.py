# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a check found: small values that print, compare and turn into JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from ..text import shown

ITEMS = 20  # findings named one by one; the rest is counted

CHECKS = (
    "open",
    "metadata",
    "consolidated",
    "complete",
    "strays",
    "sizes",
    "manifest",
    "codecs",
    "decode",
    "fill_value",
    "roundtrip",
    "values",
    "anonymous",
    "chunk_size",
)


@dataclass
class Findings:
    """Findings of one check while it runs: all are counted, the first ones kept, so that memory stays bounded."""

    count: int = 0
    items: list[Any] = field(default_factory=list)

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


def passed(check: str, message: str, severity: str = "error", **evidence: Any) -> CheckResult:
    """A check without a finding."""
    return CheckResult(check, "passed", severity, message, evidence)


def skipped(check: str, reason: str, severity: str = "error") -> CheckResult:
    """A check that was not made, and why."""
    return CheckResult(check, "skipped", severity, reason)


def found(check: str, findings: Findings, message: str, severity: str = "error", **evidence: Any) -> CheckResult:
    """A check with findings; the first of them is told in the message."""
    status = "failed" if severity == "error" else "warning"
    text = f"{message}: {findings.first}" if findings.count == 1 else f"{message}, first {findings.first}"
    return CheckResult(check, status, severity, text, {**findings.evidence(), **evidence})


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


@dataclass(frozen=True)
class Report:
    """All results of one run over one store. ``checked`` is the time in ISO 8601, UTC; ``seconds`` the wall time.

    ``listing`` tells the state of the store that was checked from any other.
    """

    store: str
    checks: tuple[CheckResult, ...]
    fail_on: str
    checked: str
    seconds: float
    listing: str | None = None
    retries: int = 0  # requests that were sent again
    workers: list[dict[str, Any]] = field(default_factory=list)  # what each worker of a cluster did

    @property
    def ok(self) -> bool:
        """Whether :func:`acceptable` has no objection."""
        return acceptable(self.checks, self.fail_on)

    @property
    def summary(self) -> dict[str, Any]:
        """What :func:`summary_of` says."""
        return summary_of(self.store, self.checks)

    def as_result(self) -> dict[str, Any]:
        """The report as the module returns it."""
        checks = [result.as_dict() for result in self.checks]
        found = {"store": self.store, "ok": self.ok, "checks": checks, "summary": self.summary}
        return {**found, "retries": self.retries, "seconds": self.seconds, "workers": self.workers}

    def as_document(self) -> dict[str, Any]:
        """The report as it is written to a file."""
        return {**self.as_result(), "fail_on": self.fail_on, "checked": self.checked, "listing": self.listing}
