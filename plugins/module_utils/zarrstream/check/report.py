# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all checks of one store found, as a value that prints, compares and turns into JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..findings import CheckResult, acceptable, summary_of
from ..storage.traffic import Traffic


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
    traffic: Traffic = field(default_factory=Traffic)
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
        return {**found, "retries": self.retries, **self.traffic.figures(), "seconds": self.seconds, "workers": self.workers}

    def as_document(self) -> dict[str, Any]:
        """The report as it is written to a file."""
        return {**self.as_result(), "fail_on": self.fail_on, "checked": self.checked, "listing": self.listing}
