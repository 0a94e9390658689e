# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The way in: collect the facts of a cluster, check them, give a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ... import __version__
from ...errors import BadRequest
from ...findings import CheckResult, acceptable, summary_of
from ...libraries import TASKS, missing_libraries_named
from . import network  # noqa: F401 - where checks are entered; pylint: disable=unused-import
from .checks import CHECKS, Expected
from .collect import InfoRequest, collect
from .facts import SCHEDULER, Facts, Worker, days_left
from .table import table

MOST_BANDWIDTH = 64  # MiB; a probe is no benchmark


@dataclass(frozen=True)
class ClusterReport:
    """The facts, and a result for each check."""

    facts: Facts
    checks: tuple[CheckResult, ...]
    fail_on: str

    @property
    def ok(self) -> bool:
        """Nothing found that ``fail_on`` names."""
        return acceptable(self.checks, self.fail_on)

    @property
    def summary(self) -> dict[str, Any]:
        """Counts by status, and one line for people."""
        return summary_of(self.facts.scheduler.address, self.checks)

    def as_result(self) -> dict[str, Any]:
        """The report as the module returns it."""
        return {
            "ok": self.ok,
            "scheduler": _scheduler(self.facts),
            "workers": [_worker(worker, self.facts.now) for worker in self.facts.workers],
            "checks": [result.as_dict() for result in self.checks],
            "table": table(self.facts, self.checks),
            "summary": self.summary,
        }


def request_from(options: Mapping[str, Any]) -> InfoRequest:
    """The request in options as people write them. Raises BadRequest for values without sense."""
    known = {item.name for item in fields(InfoRequest)} - {"workers", "packages"}
    named = {name: value for name, value in options.items() if name in known}
    packages = options.get("packages")
    request = InfoRequest(workers=_workers(options.get("workers")), packages=TASKS if packages is None else tuple(packages), **named)
    if not 0 <= request.bandwidth <= MOST_BANDWIDTH:
        raise BadRequest(f"bandwidth is {request.bandwidth}: give the MiB of each probe, 0 (no probe) to {MOST_BANDWIDTH}.")
    if request.timeout <= 0:
        raise BadRequest(f"timeout is {request.timeout:g}: give the seconds to wait, more than 0.")
    return request


def _workers(value: Any) -> Expected:
    if value is None:
        return None
    if isinstance(value, list) and value and all(isinstance(host, str) and host for host in value):
        return tuple(value)
    if str(value).isdecimal() and int(value) > 0:
        return int(value)
    raise BadRequest(f"workers is {value!r}: give the number of workers that are expected, 1 or more, or a list of their hosts.")


def look_at(request: InfoRequest) -> ClusterReport:
    """Look at a cluster. Findings are in the report; raises ZarrstreamError where the scheduler cannot be talked to."""
    with missing_libraries_named():
        import distributed  # noqa: F401 - named here rather than in the middle

        facts = collect(request)
    return ClusterReport(facts, all_checks(facts, request), request.fail_on)


def all_checks(facts: Facts, request: InfoRequest) -> tuple[CheckResult, ...]:
    """The results of all checks, in their order."""
    there = {
        "facts": (facts, ""),
        "asked": (facts if facts.asked else None, "no worker could be asked"),
        "expected": (request.workers, ""),
        "version": (__version__, ""),
        "bucket": (request.bucket or None, "not asked for: set bucket"),
    }
    return tuple(check.of(there) for check in CHECKS)


def _scheduler(facts: Facts) -> dict[str, Any]:
    it = facts.scheduler
    served = it.process.dashboard if it.process else ()
    return {
        "name": SCHEDULER,
        "address": it.address,
        "host": it.process.hostname if it.process else None,
        "version": it.versions.get("distributed"),
        "dashboard": f"http://{served[0]}/status" if served else None,
        "tls": it.encrypted,
        "cipher": it.cipher or None,
        "certificate_days_left": days_left(it.certificate_ends, facts.now),
    }


def _worker(it: Worker, now: float) -> dict[str, Any]:
    return {
        "name": it.name,
        "host": it.host,
        "address": it.address,
        "nthreads": it.nthreads,
        "memory_limit": it.memory_limit,
        "pid": it.process.pid if it.process else None,
        "versions": {**(it.process.packages if it.process else {}), **it.versions},
        "zarrstream": it.process.zarrstream if it.process else None,
        "certificate_days_left": days_left(it.certificate_ends, now),
    }
