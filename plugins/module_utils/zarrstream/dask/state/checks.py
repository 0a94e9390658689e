# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The checks of a cluster's processes: each a pure function of the facts, with one result."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from ...findings import CheckResult, Findings, Registry, found, passed, skipped
from ...text import human_bytes, many
from .facts import SCHEDULER, Facts, Process, Worker, days_left

RENEW_DAYS = 14  # below, the role that renews has not run for a while
# What has to be the same where the scheduler runs, too. As distributed.versions has it.
_SCHEDULERS = {"python", "dask", "distributed", "cloudpickle", "tornado", "toolz", "lz4"}

CHECKS = Registry()  # of a cluster, here and in ``network``

Expected: TypeAlias = "int | tuple[str, ...] | None"  # a number of workers, their hosts, or any


def absent(expected: Expected, workers: tuple[Worker, ...]) -> list[str]:
    """What is missing of the expected workers: hosts, or numbers of what has no name."""
    if isinstance(expected, tuple):
        present = {worker.place_in(expected) for worker in workers}
        return [host for host in expected if host not in present]
    wanted = 1 if expected is None else expected
    return [f"worker {number} of {wanted}" for number in range(len(workers) + 1, wanted + 1)]


@CHECKS.check("joined", "facts", "expected")
def check_joined(facts: Facts, expected: Expected) -> CheckResult:
    """Everybody who is expected has joined, and nobody else."""
    missing = absent(expected, facts.workers)
    findings = Findings.of({"key": host, "problem": "has not joined"} for host in missing)
    for unexpected in _unexpected(facts.workers, expected):
        findings.add({"key": unexpected, "problem": "has joined, but is not expected"})
    threads = sum(worker.nthreads for worker in facts.workers)
    numbers = f"{many(len(facts.workers), 'worker')} with {many(threads, 'thread')}"
    if not findings:
        return passed(numbers, workers=len(facts.workers))
    where = facts.scheduler.address.rpartition(":")[2]
    remedy = f" (look at the journal of the worker there, and whether it may reach port {where} of the scheduler)" if missing else ""
    return found(findings, numbers + remedy, "error" if missing else "warning", workers=len(facts.workers))


def _unexpected(workers: tuple[Worker, ...], expected: Expected) -> list[str]:
    if isinstance(expected, tuple):
        return [worker.label for worker in workers if worker.place_in(expected) is None]
    surplus = 0 if expected is None else len(workers) - expected
    return [many(surplus, "worker") + f" beyond {expected}"] if surplus > 0 else []


@CHECKS.check("answers", "facts")
def check_answers(facts: Facts) -> CheckResult:
    """Every process tells of itself; what does not is left out of the other checks."""
    findings = Findings.of({"key": name, "problem": node.silence} for name, node in facts.nodes if node.silence)
    if findings:
        return found(findings, f"{findings.count} of {1 + len(facts.workers)} processes tell nothing of themselves")
    return passed("every process tells of itself")


@CHECKS.check("versions", "facts")
def check_versions(facts: Facts) -> CheckResult:
    """Python, Dask and what both sides exchange data with have one version everywhere."""
    table: dict[str, dict[str, list[str]]] = {}
    for node, versions in _versions(facts):
        for package, version in versions.items():
            if node != SCHEDULER or package in _SCHEDULERS:
                table.setdefault(package, {}).setdefault(version or "missing", []).append(node)
    differing = {package: nodes for package, nodes in sorted(table.items()) if len(nodes) > 1}
    findings = Findings.of(
        {"key": package, "problem": "; ".join(f"{version} on {_names(names)}" for version, names in sorted(nodes.items()))}
        for package, nodes in differing.items()
    )
    if findings:
        remedy = "install the same lock everywhere (role zarr_stack) and restart the workers"
        return found(findings, f"{many(findings.count, 'package')} in several versions, {remedy}", versions=differing)
    dask = facts.scheduler.versions.get("dask")
    return passed(f"{len(table)} packages have one version everywhere, Dask {dask}")


def _versions(facts: Facts) -> Iterator[tuple[str, Mapping[str, str | None]]]:
    """The versions by node: those that Dask compares, and of those that were asked for what imports."""
    yield "this client", facts.client
    yield SCHEDULER, facts.scheduler.versions
    for worker in facts.workers:
        packages = worker.process.packages if worker.process else {}
        yield worker.label, {**{name: version for name, version in packages.items() if version}, **worker.versions}


@CHECKS.check("packages", "asked")
def check_packages(facts: Facts) -> CheckResult:
    """Every worker imports every package."""
    findings = Findings.of(
        {"key": worker.label, "problem": f"{package} does not import ({cause})", "package": package}
        for worker, process in facts.asked
        for package, cause in process.failures.items()
    )
    if findings:
        return found(findings, "workers cannot run all tasks, install the lock there (role zarr_stack)")
    return passed(f"every worker imports {', '.join(facts.asked[0][1].packages) or 'what was asked for, which is nothing'}")


@CHECKS.check("zarrstream", "asked", "version", severity="warning")
def check_zarrstream(facts: Facts, version: str) -> CheckResult:
    """Every worker has the package behind the modules, in this version."""
    others = [(worker, process.zarrstream) for worker, process in facts.asked if process.zarrstream != version]
    findings = Findings.of({"key": worker.label, "problem": f"has zarrstream {own}" if own else "has none"} for worker, own in others)
    if findings:
        remedy = f"zarrstream {version} is not on every worker, install it there (module zarrstream_command) and restart the workers"
        return found(findings, remedy)
    return passed(f"version {version} on every worker")


@CHECKS.check("tls", "facts")
def check_tls(facts: Facts) -> CheckResult:
    """Nobody speaks in the clear, or without showing a certificate."""
    clear = [(name, node.address) for name, node in facts.nodes if not node.address.startswith("tls://")]
    problem = "takes connections without TLS: whoever reaches it runs code there"
    findings = Findings.of({"key": name, "problem": f"{address} {problem}"} for name, address in clear)
    if findings:
        return found(findings, "set up TLS (role dask_tls)")
    return passed(f"every connection is encrypted, {facts.scheduler.cipher}")


@CHECKS.check("certificates", "facts", severity="warning")
def check_certificates(facts: Facts) -> CheckResult:
    """No certificate ends soon."""
    left = {name: days for name, node in facts.nodes if (days := days_left(node.certificate_ends, facts.now)) is not None}
    if not left:
        return skipped("no certificate was shown")
    findings = Findings.of(
        {"key": name, "problem": f"ends in {many(days, 'day')}" if days >= 0 else "has expired: it cannot connect again"}
        for name, days in left.items()
        if days < RENEW_DAYS
    )
    first = min(left.values())
    if findings:
        return found(findings, "run the role dask_tls, bring the files to the hosts and restart", "error" if first < 0 else "")
    return passed(f"the first ends in {many(first, 'day')}")


@CHECKS.check("dashboard", "facts")
def check_dashboard(facts: Facts) -> CheckResult:
    """Dashboards, which ask nobody who he is, listen on loopback only."""
    processes = [(name, node.process) for name, node in facts.nodes if node.process]
    if not processes:
        return skipped("no process could be asked")
    open_to_all, findings = False, Findings()
    for name, process in processes:
        for address in process.dashboard:
            host = ipaddress.ip_address(address.rpartition(":")[0].strip("[]"))
            if not host.is_loopback:
                open_to_all |= host.is_unspecified or not host.is_private
                findings.add({"key": name, "problem": f"listens at {address}"})
    if findings:
        remedy = "the dashboard asks for no password, start with --dashboard-address 127.0.0.1:<port> and use an SSH tunnel"
        return found(findings, remedy, "error" if open_to_all else "warning")
    return passed("dashboards listen on loopback, or not at all")


@CHECKS.check("memory", "asked", severity="warning")
def check_memory(facts: Facts) -> CheckResult:
    """The limits of a host's workers sum up to less than its memory."""
    hosts: dict[str, list[tuple[Worker, Process]]] = {}
    for worker, process in facts.asked:
        hosts.setdefault(process.hostname, []).append((worker, process))
    findings = Findings()
    for host, group in hosts.items():
        limits, memory = [worker.memory_limit for worker, _unused in group], group[0][1].memory
        if not all(limits):
            findings.add({"key": host, "problem": "a worker has no limit"})
        elif sum(limits) >= memory:
            findings.add({"key": host, "problem": f"limits sum up to {human_bytes(sum(limits))} of {human_bytes(memory)}"})
    if findings:
        return found(findings, "the kernel may kill workers before Dask spills, lower --memory-limit")
    total = sum(worker.memory_limit for worker, _unused in facts.asked)
    return passed(f"limits sum up to {human_bytes(total)}, less than each host has")


@CHECKS.check("spill", "asked")
def check_spill(facts: Facts) -> CheckResult:
    """Every worker can write where it spills, as much as it may hold in memory."""
    findings, broken = Findings(), False
    for worker, process in facts.asked:
        if process.spill_problem:
            broken = True
            findings.add({"key": worker.label, "problem": f"{process.spill} cannot be written ({process.spill_problem})"})
        elif process.spill_free < worker.memory_limit:
            free, memory = human_bytes(process.spill_free), human_bytes(worker.memory_limit)
            findings.add({"key": worker.label, "problem": f"{process.spill} has {free} free, less than the {memory} of memory"})
    if findings:
        return found(findings, "name another folder with --local-directory, or make room", "error" if broken else "warning")
    least = min(process.spill_free for _unused, process in facts.asked)
    return passed(f"every worker can spill; the least free space is {human_bytes(least)}")


def _names(nodes: list[str]) -> str:
    return ", ".join(nodes[:5]) + (f" and {len(nodes) - 5} more" if len(nodes) > 5 else "")
