# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module dask_info against a real cluster with TLS, each worker a process, whose workers use a bucket of real Swift."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
import yaml
from clusters import Certificates, make_certificates
from integration.forking import ForkedDaemons
from ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
BUCKET = "dask-info"
ON_LOOPBACK = "--dashboard-address=127.0.0.1:0"
GOOD = {"joined", "answers", "versions", "packages", "zarrstream", "tls", "certificates", "dashboard", "memory"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dask-info")


@pytest.fixture(scope="module")
def certificates(folder: Path) -> Certificates:
    return make_certificates(folder / "ca", days=60)


@pytest.fixture(scope="module")
def module(modules: Any) -> Callable[..., dict[str, Any]]:
    """A function that runs dask_info."""
    return lambda check=False, **arguments: modules("dask_info", arguments, check).result


@pytest.fixture(scope="module")
def profile(cloud: Any, folder: Path) -> Iterator[Path]:
    """A home with a profile, and the bucket."""
    access, secret = cloud.new_ec2_key()
    file = folder / "home" / ".aws" / "config"
    file.parent.mkdir(parents=True)
    file.touch(0o600)
    file.write_text(
        f"[profile zarr]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\nregion = {cloud.region}\n"
        f"endpoint_url = {cloud.s3_endpoint}\nca_bundle = {cloud.ca_bundle}\n"
        "request_checksum_calculation = when_required\nresponse_checksum_validation = when_required\n"
    )
    with cloud.connect() as connection:
        connection.object_store.create_container(BUCKET)
        yield file
        connection.object_store.delete_container(BUCKET)
        connection.identity.delete(f"/users/{connection.current_user_id}/credentials/OS-EC2/{access}")


def start_worker(cluster: ForkedDaemons, name: str, **environment: str) -> None:
    cluster.start(name, ON_LOOPBACK, "--memory-limit=600MB", **environment)


@pytest.fixture(scope="module")
def cluster(folder: Path, certificates: Certificates, profile: Path) -> Iterator[ForkedDaemons]:
    """Three workers: a good one, one without a profile, and one with another toolz and without the package zarrstream."""
    old = folder / "old" / "toolz-0.0.1.dist-info"
    old.mkdir(parents=True)
    (old / "METADATA").write_text("Metadata-Version: 2.1\nName: toolz\nVersion: 0.0.1\n")
    package = str(ROOT / "plugins" / "module_utils")
    cluster = ForkedDaemons(certificates, folder)
    try:
        cluster.start("scheduler", ON_LOOPBACK)
        cluster.wait_for("scheduler", "Scheduler at:")
        start_worker(cluster, "good-0", PYTHONPATH=package, HOME=str(profile.parents[1]))
        start_worker(cluster, "bare-0", PYTHONPATH=package, HOME=str(folder / "nobody"))
        start_worker(cluster, "stale-0", PYTHONPATH=str(old.parent), HOME=str(folder))
        yield cluster
    finally:
        cluster.stop()


def checks_of(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    assert "checks" in result, result
    return {check["id"]: check for check in result["checks"]}


def test_names_each_worker_that_is_not_as_it_should_be(module: Any, cluster: ForkedDaemons, certificates: Certificates) -> None:
    wanted = {"scheduler": cluster.address, "scheduler_tls": certificates.files}
    result = module(**wanted, bucket=BUCKET, profile="zarr", workers=3, bandwidth=1, timeout=240)
    checks = checks_of(result)
    assert result["failed"], result
    assert not result["ok"]
    assert checks["joined"]["status"] == "passed"
    assert checks["versions"]["evidence"]["versions"]["toolz"]["0.0.1"] == [f"stale-0 on {socket.gethostname()}"]
    assert "toolz: 0.0.1 on stale-0" in checks["versions"]["message"]
    assert [found["key"].split()[0] for found in checks["zarrstream"]["evidence"]["findings"]] == ["stale-0"]
    access = {found["key"].split()[0]: found["problem"] for found in checks["bucket"]["evidence"]["findings"]}
    assert access.keys() == {"bare-0", "stale-0"}
    assert "profile 'zarr' is not in" in access["bare-0"]
    assert "the package zarrstream is missing" in access["stale-0"]
    assert [worker["name"] for worker in result["workers"]] == ["bare-0", "good-0", "stale-0"]
    assert result["summary"]["line"] in result["msg"]
    assert all(line in result["msg"] for line in result["table"])

    hosts = ["good", "bare", "lost.example.org"]
    joined = checks_of(module(**wanted, workers=hosts, bandwidth=0, packages=[], timeout=10))["joined"]
    assert [found["key"].split()[0] for found in joined["evidence"]["findings"]] == ["lost.example.org", "stale-0"]
    assert "lost.example.org: has not joined" in joined["message"]


def test_proves_a_good_cluster_and_leaves_nothing(
    module: Any, cluster: ForkedDaemons, certificates: Certificates, cloud: Any, tmp_path: Path
) -> None:
    cluster.kill("bare-0")
    cluster.kill("stale-0")
    junit = tmp_path / "new" / "dask.xml"
    wanted = {
        "scheduler": cluster.address,
        "scheduler_tls": certificates.files,
        "bucket": BUCKET,
        "profile": "zarr",
        "junit": str(junit),
    }

    predicted = module(check=True, **wanted, bandwidth=0)
    assert (predicted["changed"], junit.exists()) == (True, False)
    assert "put" not in checks_of(predicted)["bucket"]["message"]

    result = module(**wanted, workers=1, timeout=240)
    checks = checks_of(result)
    assert result["ok"], result
    assert {name for name in GOOD if checks[name]["status"] != "passed"} == set(), result["table"]
    assert checks["bucket"]["message"] == f"every host can list, put, get, delete in {BUCKET}"
    assert {"to the store", "from the store"} <= {" ".join(way.split()[-3:]) for way in checks["bandwidth"]["evidence"]["mib_per_second"]}
    (worker,) = result["workers"]
    assert worker["pid"] == cluster.processes["good-0"].pid
    assert (worker["nthreads"], worker["memory_limit"], worker["certificate_days_left"]) == (1, 600_000_000, 59)
    assert result["scheduler"]["tls"]
    assert result["scheduler"]["dashboard"].startswith("http://127.0.0.1:")
    with cloud.connect() as connection:
        assert list(connection.object_store.objects(BUCKET)) == []

    suite = Xml.parse(junit).getroot()
    assert (suite.tag, suite.get("tests"), suite.get("failures")) == ("testsuite", str(len(checks)), "0")
    assert [case.get("name") for case in suite] == list(checks)
    before = junit.read_bytes()
    again = module(**wanted)
    assert (result["changed"], again["changed"]) == (True, junit.read_bytes() != before)


def test_a_worker_that_is_stuck_hides_no_other(module: Any, cluster: ForkedDaemons, certificates: Certificates, folder: Path) -> None:
    import signal

    start_worker(cluster, "stuck-0", HOME=str(folder))
    wanted = {"scheduler": cluster.address, "scheduler_tls": certificates.files, "bandwidth": 0}
    assert checks_of(module(**wanted, workers=2, timeout=240))["joined"]["status"] == "passed"
    cluster.processes["stuck-0"].send_signal(signal.SIGSTOP)
    try:
        found = module(**wanted, timeout=15, packages=[])
        assert "stuck-0 on 127.0.0.1: no answer within 15 s" in checks_of(found)["answers"]["message"]
        assert {worker["name"]: worker["pid"] is None for worker in found["workers"]} == {"good-0": False, "stuck-0": True}
    finally:
        cluster.processes["stuck-0"].send_signal(signal.SIGCONT)
        cluster.kill("stuck-0")


def test_a_cluster_without_a_worker_fails_clean(module: Any, cluster: ForkedDaemons, certificates: Certificates) -> None:
    cluster.kill("good-0")
    found = module(scheduler=cluster.address, scheduler_tls=certificates.files, timeout=2, bandwidth=0, bucket=BUCKET)
    checks = checks_of(found)
    assert (found["failed"], found["workers"]) == (True, [])
    assert "worker 1 of 1: has not joined" in checks["joined"]["message"]
    assert {name for name, check in checks.items() if check["status"] == "failed"} == {"joined"}


@pytest.fixture
def expired_scheduler(certificates: Certificates, tmp_path: Path) -> Iterator[str]:
    """The address of one whose certificate ended yesterday."""
    daemons = ForkedDaemons(certificates, tmp_path)
    try:
        daemons.start("scheduler", ON_LOOPBACK, "--tls-cert", certificates.named("expired")["cert"])
        daemons.wait_for("scheduler", "Scheduler at:")
        yield daemons.address
    finally:
        daemons.stop()


def test_says_why_there_is_no_contact(
    module: Any, cluster: ForkedDaemons, certificates: Certificates, folder: Path, expired_scheduler: str
) -> None:
    foreign = make_certificates(folder / "anonymous clients").files

    def refused(scheduler: str | None, tls: dict[str, str] | None = None) -> str:
        options = {"scheduler": scheduler, "scheduler_tls": tls}
        return module(timeout=5, **{name: value for name, value in options.items() if value})["msg"]

    good = certificates.files
    assert "no Dask scheduler answers at tls://127.0.0.1:" in refused(f"tls://127.0.0.1:{free_ports(1)[0]}", good)
    assert "scheduler_tls.ca_file does not verify" in refused(cluster.address, {**good, "ca_file": foreign["ca_file"]})
    assert "refuses this host's certificate: unknown ca" in refused(cluster.address, {**foreign, "ca_file": good["ca_file"]})
    assert "refuses this host's certificate: certificate expired" in refused(cluster.address, certificates.named("expired"))
    assert "certificate has expired. Name the CA of its cluster, or renew its certificate" in refused(expired_scheduler, good)
    assert "If it speaks TLS, write tls://" in refused(cluster.address.replace("tls", "tcp"))
    assert "scheduler is '10.0.0.5': write tls://host:port" in refused("10.0.0.5")
    assert "scheduler is not set, and the configuration of Dask on this host names none" in refused(None)


@pytest.fixture
def in_the_clear(profile: Path, tmp_path: Path) -> Iterator[ForkedDaemons]:
    """A scheduler and a worker without TLS."""
    daemons = ForkedDaemons(None, tmp_path)
    try:
        daemons.start("scheduler", ON_LOOPBACK)
        start_worker(daemons, "here-0", PYTHONPATH=str(ROOT / "plugins" / "module_utils"), HOME=str(profile.parents[1]))
        yield daemons
    finally:
        daemons.stop()


def test_the_gate_without_tls_and_with_a_host_whose_workers_were_taken_away(
    run_playbook: Any, in_the_clear: ForkedDaemons, tmp_path: Path
) -> None:
    """Who has chosen to do without TLS sees that it is missing and goes on; nobody waits for workers of a host that has none any more."""
    (play,) = (play for play in yaml.safe_load((ROOT / "playbooks" / "dask.yml").read_text()) if play["name"] == "The proof")
    del play["vars"]
    play["tasks"][0]["ansible.builtin.include_tasks"] = str(ROOT / "playbooks" / "tasks" / "prove_cluster.yml")
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    (tmp_path / "group_vars").symlink_to(ROOT / "playbooks" / "group_vars")
    (tmp_path / "current").symlink_to(sys.prefix)
    site = {
        "ansible_connection": "local",
        "ansible_python_interpreter": run_playbook.python,
        "zarr_stack_path": str(tmp_path),
        "dask_insecure_tcp_without_encryption": True,
        "dask_address": "127.0.0.1",
        "dask_scheduler_port": in_the_clear.port,
        "zarr_buckets": [{"name": BUCKET}],
        "zarr_profile": "zarr",
    }
    workers = {"here": {}, "gone": {"dask_worker_state": "absent"}}
    groups = {"dask_scheduler": {"hosts": {"head": {}}}, "dask_workers": {"hosts": workers}}
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps({"all": {"vars": site, "children": groups}}))
    done = run_playbook(tmp_path / "play.yml", inventory=inventory)
    assert re.search(r"^ *-? *'?tls +FAILED", done.stdout, re.MULTILINE), done.output
    assert re.search(r"joined +ok +1 worker", done.stdout), done.output
