# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The checks of what lies between the nodes, and between them and the store: each a pure function of the facts, with one result."""

from __future__ import annotations

from collections.abc import Iterator

from ...findings import CheckResult, Findings, found, passed, skipped
from .checks import CHECKS
from .facts import BucketAttempt, Facts, Link, Worker

# Within one cloud a round trip takes a millisecond and a link carries a hundred MiB/s: these mean that something is wrong.
ROUND_TRIP = 0.1  # seconds
RATE = 5.0  # MiB/s
SKEW = 5.0  # seconds; signatures are refused from 900 on
_NO_LINK = "no worker could be reached from another process"


@CHECKS.check("clock", "facts", severity="warning")
def check_clock(facts: Facts) -> CheckResult:
    """The clocks of the nodes and of the store agree."""
    skews: dict[str, float] = {}
    for link in facts.links:
        if link.clock is not None:
            # The middle of a round trip is only as good as half of it.
            skews[f"{link.target} against {link.source}"] = max(abs(link.clock) - link.round_trip / 2, 0) * (1 if link.clock > 0 else -1)
    for worker, access in _accesses(facts):
        if access.clock_skew is not None:
            skews[f"{worker.host} against the store"] = float(access.clock_skew)
    if not skews:
        return skipped("no clock could be compared")
    wrong = [(pair, skew) for pair, skew in skews.items() if abs(skew) >= SKEW]
    findings = Findings.of({"key": pair, "problem": f"{abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}"} for pair, skew in wrong)
    if findings:
        return found(findings, "set the clocks (chrony)")
    return passed(f"all agree within {max(map(abs, skews.values())):.1f} s")


@CHECKS.check("latency", "facts", severity="warning")
def check_latency(facts: Facts) -> CheckResult:
    """Round trips between nodes, and first answers of the store, are short."""
    findings = Findings()
    for link in facts.links:
        if link.problem:
            problem = f"cannot be reached from {link.source}: {link.problem}. Let the nodes reach each other's ports"
            findings.add({"key": link.target, "problem": problem})
        elif link.round_trip > ROUND_TRIP:
            findings.add({"key": f"{link.source} to {link.target}", "problem": f"{link.round_trip * 1000:.0f} ms"})
    measured = [link.round_trip for link in facts.links if not link.problem]
    broken = any(link.problem for link in facts.links)
    if findings:
        return found(findings, "nodes are far from each other", "error" if broken else "warning", links=_plain(facts.links))
    if not measured:
        return skipped(_NO_LINK)
    text = f"round trips take {min(measured) * 1000:.1f} to {max(measured) * 1000:.1f} ms"
    answers = [seconds for _unused, access in _accesses(facts) if (seconds := access.seconds("endpoint"))]
    text += f"; the store answers within {max(answers) * 1000:.0f} ms" if answers else ""
    return passed(text, links=_plain(facts.links))


@CHECKS.check("bandwidth", "facts", severity="warning")
def check_bandwidth(facts: Facts) -> CheckResult:
    """Nodes and store carry data at a rate with which work is possible."""
    rates = {f"{link.source} to {link.target}": link.mib_per_second for link in facts.links if link.mib_per_second}
    for worker, access in _accesses(facts):
        # What is read is read twice: by boto3 and by s3fs.
        for way, rate in (("to the store", access.rate("put")), ("from the store", access.rate("get", 2))):
            if rate:
                rates[f"{worker.host} {way}"] = rate
    if not rates:
        return skipped("not measured")
    findings = Findings.of({"key": way, "problem": f"{rate:.1f} MiB/s"} for way, rate in rates.items() if rate < RATE)
    rounded = {way: round(rate, 1) for way, rate in rates.items()}
    if findings:
        return found(findings, f"less than {RATE:g} MiB/s", mib_per_second=rounded)
    slowest = min(rates, key=lambda way: rates[way])
    return passed(f"at least {rates[slowest]:.0f} MiB/s ({slowest})", mib_per_second=rounded)


@CHECKS.check("bucket", "facts", "bucket")
def check_bucket(facts: Facts, bucket: str) -> CheckResult:
    """A worker on each host can list, put, get and delete in the bucket, with the profile of that host."""
    tried = list(_accesses(facts))
    if not tried:
        return skipped("no worker could be asked")
    findings = Findings.of({"key": worker.label, "problem": access.problem} for worker, access in tried if access.problem)
    if findings:
        return found(findings, f"{findings.count} of {len(tried)} hosts cannot use {bucket}")
    steps = ["list", *(step["name"] for step in tried[0][1].steps if step["name"] in ("put", "get", "delete"))]
    return passed(f"every host can {', '.join(steps)} in {bucket}", hosts=[worker.host for worker, _unused in tried])


def _accesses(facts: Facts) -> Iterator[tuple[Worker, BucketAttempt]]:
    return ((worker, worker.access) for worker in facts.workers if worker.access)


def _plain(links: tuple[Link, ...]) -> list[dict[str, object]]:
    return [{"from": it.source, "to": it.target, "milliseconds": round(it.round_trip * 1000, 2), "problem": it.problem} for it in links]
