# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The checks of a cluster, in tables: what is found in facts, and how bad it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from zarrstream import __version__
from zarrstream.dask.state import checks, network
from zarrstream.dask.state.collect import InfoRequest
from zarrstream.dask.state.facts import MIB, BucketAttempt, Facts, Link, Process, SchedulerState, Worker
from zarrstream.dask.state.info import ClusterReport, all_checks, request_from
from zarrstream.dask.state.junit import junit_xml, write_junit
from zarrstream.errors import BadRequest
from zarrstream.findings import Check, CheckResult

NOW, DAY, GIB = 1_800_000_000.0, 86400, 2**30
VERSIONS = {"python": "3.13.1.final.0", "dask": "2026.8.0", "toolz": "1.2.0", "numpy": "2.5.0", "lz4": None}
STEPS = tuple({"name": name, "ok": True, "message": "", "seconds": 0.1} for name in ("endpoint", "put", "get", "delete"))


def process(**changes: Any) -> Process:
    fields: dict[str, Any] = {
        "hostname": "one",
        "home": "/home/dask",
        "pid": 7,
        "zarrstream": __version__,
        "packages": {"zarr": "3.1.6"},
        "failures": {},
        "dashboard": ("127.0.0.1:8787",),
        "memory": 16 * GIB,
        "spill": "/var/spill",
        "spill_free": 99 * GIB,
    }
    return Process(**{**fields, **changes})


def worker(name: str = "one-0", host: str = "one", number: int = 5, **changes: Any) -> Worker:
    own = {name: changes.pop(name) for name in list(changes) if name in Process.__dataclass_fields__}
    made = Worker(name, f"tls://10.0.0.{number}:4000", 2, 4 * GIB, VERSIONS, NOW + 80 * DAY, process(hostname=host, **own))
    return replace(made, **changes)


SCHEDULER = SchedulerState(
    "tls://10.0.0.1:8786", {**VERSIONS, "numpy": None}, "TLS_AES_256_GCM_SHA384 TLSv1.3", NOW + 80 * DAY, process(hostname="zero")
)
LINKS = (Link("scheduler", "one-0", 0.001, 100.0, 0.0), Link("scheduler", "two-0", 0.002, 90.0, 0.1))
BOTH = (worker(), worker("two-0", "two", 6))
GOOD = Facts(SCHEDULER, BOTH, VERSIONS, NOW, LINKS)


def with_worker(**changes: Any) -> Facts:
    return replace(GOOD, workers=(BOTH[0], worker("two-0", "two", 6, **changes)))


def with_scheduler(**changes: Any) -> Facts:
    return replace(GOOD, scheduler=replace(SCHEDULER, **changes))


def test_a_good_cluster_passes_everything() -> None:
    facts = replace(GOOD, workers=tuple(replace(each, access=BucketAttempt(STEPS, clock_skew=0, size=4 * MIB)) for each in BOTH))
    request = InfoRequest(workers=("one", "two"), bucket="b")
    results = all_checks(facts, request)
    assert {result.status for result in results} == {"passed"}, results
    assert len({result.id for result in results}) == len(results)


ONE = (worker(),)
JOINED: list[tuple[str, tuple[Worker, ...], Any, str, str]] = [
    ("none asked for", BOTH, None, "passed", "2 workers with 4 threads"),
    ("as many", BOTH, 2, "passed", "2 workers"),
    ("by name and address", BOTH, ("one.example.org", "10.0.0.6"), "passed", "2 workers"),
    ("too few", BOTH, 3, "failed", "worker 3 of 3: has not joined"),
    ("too many", BOTH, 1, "warning", "1 worker beyond 1: has joined, but is not expected"),
    ("a host", ONE, ("one", "two"), "failed", "port 8786 of the scheduler): two: has not joined"),
    ("an anonymous client", BOTH, ("one",), "warning", "two-0: has joined, but is not expected"),
    ("nobody", (), None, "failed", "worker 1 of 1: has not joined"),
    ("by address where it is silent", (replace(ONE[0], process=None),), ("10.0.0.5",), "passed", ""),
]


@pytest.mark.parametrize(("workers", "expected", "status", "words"), [row[1:] for row in JOINED], ids=[row[0] for row in JOINED])
def test_joined(workers: tuple[Worker, ...], expected: Any, status: str, words: str) -> None:
    result = checks.check_joined(replace(GOOD, workers=workers), expected)
    assert (result.status, words in result.message) == (status, True), result


@pytest.mark.parametrize(
    ("expected", "name", "host", "missing"),
    [
        (("node1",), "node10", "node10", ["node1"]),
        (("web", "web-1"), "web-1", "web-1", ["web"]),
        (("web", "web-1"), "web-1", "vm7", ["web"]),
        (("web",), "web-1", "vm7", []),
        (("web.example.org",), "web.example.org-1", "vm7", []),
        (("web.example.org",), "0", "web", []),
        (("10.0.0.9",), "10", "vm7", ["10.0.0.9"]),
    ],
)
def test_a_host_is_not_taken_for_another_with_a_similar_name(expected: tuple[str, ...], name: str, host: str, missing: list[str]) -> None:
    assert checks.absent(expected, (worker(name, host),)) == missing


OTHER = {**VERSIONS, "toolz": "0.1", "python": "3.12.1.final.0"}
TABLE: list[tuple[Check, Facts, str, str]] = [
    (checks.check_answers, with_worker(process=None, silence="no answer"), "failed", "1 of 3 processes tell nothing of themselves: two-0"),
    (checks.check_versions, with_worker(versions=OTHER), "failed", "2 packages in several versions"),
    (
        checks.check_versions,
        with_worker(versions={**VERSIONS, "toolz": "0.1"}),
        "failed",
        "toolz: 0.1 on two-0; 1.2.0 on this client, scheduler, one-0",
    ),
    (checks.check_versions, with_worker(packages={"zarr": "3.0"}), "failed", "zarr: 3.0 on two-0; 3.1.6 on one-0"),
    (checks.check_versions, with_scheduler(versions={**VERSIONS, "dask": "2026.1.0"}), "failed", "dask: 2026.1.0 on scheduler"),
    (checks.check_versions, with_scheduler(versions={**VERSIONS, "numpy": "1.0"}), "passed", ""),
    (
        checks.check_versions,
        replace(GOOD, client={**VERSIONS, "numpy": None}),
        "failed",
        "numpy: 2.5.0 on one-0, two-0; missing on this client",
    ),
    (checks.check_packages, with_worker(failures={"zarr": "ImportError: no"}), "failed", "two-0: zarr does not import (ImportError: no)"),
    (checks.check_packages, replace(GOOD, workers=()), "skipped", ""),
    (checks.check_zarrstream, with_worker(zarrstream=None), "warning", "two-0: has none"),
    (checks.check_zarrstream, with_worker(zarrstream="0.0.1"), "warning", "two-0: has zarrstream 0.0.1"),
    (
        checks.check_tls,
        with_scheduler(address="tcp://10.0.0.1:8786"),
        "failed",
        "scheduler: tcp://10.0.0.1:8786 takes connections without TLS",
    ),
    (checks.check_tls, with_worker(address="tcp://10.0.0.6:1"), "failed", "two-0"),
    (checks.check_certificates, with_worker(certificate_ends=NOW - DAY), "failed", "two-0: has expired"),
    (checks.check_certificates, with_scheduler(certificate_ends=NOW + 5.5 * DAY), "warning", "scheduler: ends in 5 days"),
    (checks.check_dashboard, with_worker(dashboard=("0.0.0.0:80",)), "failed", "two-0: listens at 0.0.0.0:80"),
    (checks.check_dashboard, with_worker(dashboard=(":::80",)), "failed", "two-0"),
    (checks.check_dashboard, with_worker(dashboard=("8.8.8.8:80",)), "failed", "two-0"),
    (checks.check_dashboard, with_worker(dashboard=("10.0.0.6:80",)), "warning", "two-0: listens at 10.0.0.6:80"),
    (checks.check_dashboard, with_worker(dashboard=("::1:80", "127.0.0.1:1")), "passed", ""),
    (checks.check_memory, with_worker(memory_limit=0), "warning", "two: a worker has no limit"),
    (checks.check_memory, with_worker(memory=4 * GIB), "warning", "two: limits sum up to 4.0 GiB of 4.0 GiB"),
    (checks.check_memory, replace(GOOD, workers=tuple(worker(f"one-{n}") for n in range(4))), "warning", "16.0 GiB of 16.0 GiB"),
    (checks.check_memory, replace(GOOD, workers=tuple(worker(f"one-{n}") for n in range(3))), "passed", "12.0 GiB"),
    (
        checks.check_spill,
        with_worker(spill_problem="Permission denied"),
        "failed",
        "two-0: /var/spill cannot be written (Permission denied)",
    ),
    (checks.check_spill, with_worker(spill_free=GIB), "warning", "1.0 GiB free, less than the 4.0 GiB"),
    (
        network.check_clock,
        replace(GOOD, links=(Link("scheduler", "two-0", 0.001, None, -9.0),)),
        "warning",
        "two-0 against scheduler: 9 s behind",
    ),
    (network.check_clock, replace(GOOD, links=(Link("scheduler", "two-0", 20.0, None, 9.0),)), "passed", ""),
    (network.check_clock, with_worker(access=BucketAttempt(STEPS, clock_skew=70)), "warning", "two against the store: 70 s ahead"),
    (network.check_clock, replace(GOOD, links=()), "skipped", ""),
    (network.check_latency, replace(GOOD, links=(Link("a", "b", 0.5),)), "warning", "a to b: 500 ms"),
    (
        network.check_latency,
        replace(GOOD, links=(*LINKS, Link("a", "b", problem="no route"))),
        "failed",
        "b: cannot be reached from a: no route",
    ),
    (network.check_bandwidth, replace(GOOD, links=(Link("a", "b", 0.5, 1.5),)), "warning", "a to b: 1.5 MiB/s"),
    (network.check_bandwidth, with_worker(access=BucketAttempt(STEPS, size=MIB // 4)), "passed", "at least 90 MiB/s"),
    (network.check_bandwidth, with_worker(access=BucketAttempt(STEPS, size=4 * MIB)), "passed", "at least 40 MiB/s (two to the store)"),
    (network.check_bandwidth, replace(GOOD, links=()), "skipped", ""),
    (
        network.check_bucket,
        with_worker(access=BucketAttempt(problem="profile 'zarr' is not in x")),
        "failed",
        "two-0: profile 'zarr'",
    ),
    (
        network.check_bucket,
        with_worker(access=BucketAttempt(STEPS)),
        "passed",
        "every host can list, put, get, delete in b",
    ),
    (network.check_bucket, GOOD, "skipped", "no worker could be asked"),
]


@pytest.mark.parametrize(
    ("check", "facts", "status", "words"), TABLE, ids=[f"{number}-{row[2]}-{row[3][:40]}" for number, row in enumerate(TABLE)]
)
def test_check(check: Check, facts: Facts, status: str, words: str) -> None:
    result = next(result for result in all_checks(facts, InfoRequest(bucket="b")) if result.id == check.id)
    assert (result.status, words in result.message) == (status, True), result
    assert (result.severity == "error") == (status == "failed") or status in ("passed", "skipped")


def test_no_bucket_is_tried_that_was_not_named() -> None:
    assert all_checks(GOOD, InfoRequest())[-1] == CheckResult("bucket", "skipped", "error", "not asked for: set bucket")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": 0}, "workers is 0: give the number"),
        ({"workers": "many"}, "workers is 'many'"),
        ({"workers": []}, "workers is []"),
        ({"workers": [1]}, "workers is [1]"),
        ({"bandwidth": 65}, "bandwidth is 65"),
        ({"timeout": 0.0}, "timeout is 0"),
    ],
)
def test_refuses_options_without_sense(options: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequest) as refused:
        request_from(options)
    assert words in str(refused.value)


def test_reads_options_as_ansible_gives_them() -> None:
    request = request_from({"workers": "3", "packages": None, "junit": None})
    assert request.workers == 3
    assert "zarr" in request.packages
    assert request_from({"workers": ["a", "b"], "packages": []}) == replace(request, workers=("a", "b"), packages=())


def test_the_table_has_a_line_for_each_process_and_each_check() -> None:
    facts = with_worker(access=BucketAttempt(problem="no"), process=None, silence="it has left", certificate_ends=NOW - 1)
    report = ClusterReport(facts, all_checks(facts, InfoRequest(bucket="b")), "error")
    lines = report.as_result()["table"]
    cells = {line.split()[0]: line.split() for line in lines if line}
    silent, good = cells["two-0"], cells["one-0"]
    assert silent[1:] == ["10.0.0.6", "tls://10.0.0.6:4000", "2", "4.0", "GiB", "2026.8.0", "?", "EXPIRED", "?", "-", "FAILED"]
    assert good[6:] == ["2026.8.0", __version__, "80", "days", "1.0", "ms", "100", "-"]
    assert list(cells)[1:] == ["scheduler", "one-0", "two-0", *(result.id for result in report.checks)]
    assert cells["certificates"][1] == "FAILED"


@pytest.mark.parametrize(("fail_on", "failures"), [("error", 1), ("warning", 2), ("never", 1)])
def test_junit(tmp_path: Any, fail_on: str, failures: int) -> None:
    results = [
        CheckResult("one", "passed", "error", "took 3.1 s"),
        CheckResult("two", "failed", "error", 'a "<b>" & c'),
        CheckResult("three", "warning", "warning", "slow"),
        CheckResult("four", "skipped", "error", "not asked for"),
    ]
    text = junit_xml("tls://a:1", results, fail_on)
    assert "3.1" not in text
    suite = Xml.fromstring(text)
    assert [suite.get(name) for name in ("tests", "failures", "skipped", "errors")] == ["4", str(failures), "1", "0"]
    assert [(case.get("name"), [each.tag for each in case]) for case in suite][1] == ("two", ["failure"])
    assert suite.find("testcase/failure").get("message") == 'a "<b>" & c'  # type: ignore[union-attr]
    path = tmp_path / "x" / "junit.xml"
    assert write_junit(str(path), text, dry_run=True)
    assert not path.exists()
    assert [write_junit(str(path), text), write_junit(str(path), text)] == [True, False]
    with pytest.raises(BadRequest, match="junit is"):
        write_junit(str(path / "below"), text)
