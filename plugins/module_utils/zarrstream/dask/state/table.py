# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A cluster in a table for people: a line for each process, then one for each check."""

from __future__ import annotations

from collections.abc import Sequence

from ...findings import CheckResult
from ...text import aligned, human_bytes
from .facts import SCHEDULER, BucketAttempt, Facts, Worker, days_left

_HEAD = ("", "host", "address", "threads", "memory", "Dask", "zarrstream", "certificate", "round trip", "MiB/s", "bucket")
_MARKS = {"passed": "ok", "failed": "FAILED", "warning": "warning", "skipped": "-"}


def table(facts: Facts, checks: Sequence[CheckResult]) -> list[str]:
    """The lines."""
    rows = [_HEAD, _scheduler(facts), *(_worker(facts, worker) for worker in facts.workers)]
    return [*aligned(rows), "", *aligned((check.id, _MARKS[check.status], check.message) for check in checks)]


def _scheduler(facts: Facts) -> tuple[str, ...]:
    it, process = facts.scheduler, facts.scheduler.process
    host, own = (process.hostname, process.zarrstream or "-") if process else ("?", "?")
    dask, days = it.versions.get("dask") or "?", _days(it.certificate_ends, facts.now)
    return (SCHEDULER, host, it.address, "", "", dask, own, days, "", "", "")


def _worker(facts: Facts, it: Worker) -> tuple[str, ...]:
    link = next((link for link in facts.links if (link.source, link.target) == (SCHEDULER, it.label) and not link.problem), None)
    return (
        it.name,
        it.host,
        it.address,
        str(it.nthreads),
        human_bytes(it.memory_limit) if it.memory_limit else "no limit",
        it.versions.get("dask") or "?",
        (it.process.zarrstream or "-") if it.process else "?",
        _days(it.certificate_ends, facts.now),
        f"{link.round_trip * 1000:.1f} ms" if link else "?",
        f"{link.mib_per_second:.0f}" if link and link.mib_per_second else "-",
        _bucket(it.access),
    )


def _bucket(access: BucketAttempt | None) -> str:
    if access is None:
        return "-"
    return "FAILED" if access.problem else "ok"


def _days(ends: float | None, now: float) -> str:
    days = days_left(ends, now)
    return "-" if days is None else f"{days} days" if days >= 0 else "EXPIRED"
