# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The compute cloud is what it says: guests are real enough to provision, limits limit, faults come as they do elsewhere."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
import seed
import services
from openstack import exceptions
from project import Machine, Project, eventually

TWO_BUSY_PROGRAMS = """
import resource, subprocess
busy = ["timeout", "5", "sh", "-c", "while :; do :; done"]
for program in [subprocess.Popen(busy) for _ in range(2)]:
    program.wait()
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime)
"""
# Written when the guest's systemd starts.
WHEN_BOOTED = "stat -c %Y /run/systemd/container"


def left_of(server: Any) -> list[str]:
    """What this machine still has of a server: folder, namespace, ports, control groups, processes."""
    found = [str(path) for path in (services.layout.INSTANCES / server.id,) if path.exists()]
    found += [
        line
        for line in subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout.splitlines()
        if server.id in line
    ]
    found += [str(procs) for procs in services.Group(server.id).procs if procs.exists()]
    ports = services.network.vsctl("--bare", "--columns=name", "find", "Interface", f"external_ids:vm-uuid={server.id}").split()
    return found + ports


def test_a_guest_gets_what_was_asked_for(machine: Machine) -> None:
    assert machine.run("cloud-init status --wait").stdout.strip() == "status: done"
    assert machine.run("hostname; cat /etc/asked; sudo -n id -u").stdout.split("\n")[:2] == [machine.server.name, "by user-data0"]
    assert machine.run("systemctl is-system-running --wait").stdout.strip() == "running"


def test_a_guest_reaches_the_cloud_and_the_world(machine: Machine) -> None:
    endpoints = [machine.project.cloud.session.get_endpoint(service_type=name) for name in ("identity", "compute", "s3")]
    urls = [*endpoints, "https://pypi.org/simple/six/"]
    for url in urls:
        said = machine.run(f"python3 -c 'import urllib.request; urllib.request.urlopen(\"{url}\", timeout=60)'", check=False)
        assert said.returncode == 0 or "HTTP Error 40" in said.stderr, (url, said.stderr)


def test_memory_and_cpu_are_the_flavors(machine: Machine) -> None:
    assert machine.run("python3 -c 'x = bytearray(2 * 2**30); print(len(x))'; echo $?").stdout.strip() == "137", "killed for want of memory"
    assert machine.run("python3 -c 'x = bytearray(2**29); print(len(x))'").stdout.strip() == str(2**29)
    # Two programs, five seconds, one virtual CPU: a busy machine gives less, but nothing gives more.
    spent = machine.run(f"python3 -c '{TWO_BUSY_PROGRAMS}'").stdout
    assert 0 < float(spent) < 6.5, spent


def test_security_groups_hold(project: Project, machine: Machine) -> None:
    machine.run("sudo systemd-run --quiet --unit=web python3 -m http.server 8080")
    eventually("The server in the guest", lambda: machine.run("ss -ltn | grep -q 8080", check=False).returncode == 0)
    assert not machine.answers(8080)
    project.open_port(8080)
    eventually("The opened port", lambda: machine.answers(8080), 30)
    machine.run("sudo systemctl stop web")


def test_a_guest_outlives_nova_compute(machine: Machine) -> None:
    before = machine.run(WHEN_BOOTED).stdout
    services.stop("nova-compute")
    assert machine.run(WHEN_BOOTED).stdout == before
    restarted = datetime.now(UTC).isoformat()
    services.start("nova-compute")
    # A request that comes earlier would be carried out twice: from its message, and because Nova goes on with what it finds begun.
    eventually("nova-compute reports", lambda: next(seed.connect().compute.services(binary="nova-compute")).updated_at > restarted)
    assert machine.run(WHEN_BOOTED).stdout == before
    machine.project.cloud.compute.stop_server(machine.server)
    machine.await_status("SHUTOFF")
    assert not machine.answers(22)


def test_it_comes_back_as_it_was(machine: Machine) -> None:
    machine.project.cloud.compute.start_server(machine.server)
    machine.await_status("ACTIVE")
    machine.await_ssh()
    machine.run("echo kept > kept && sync")
    for kind in ("SOFT", "HARD"):
        before = machine.run(WHEN_BOOTED).stdout
        machine.project.cloud.compute.reboot_server(machine.server, kind)
        eventually(f"{kind} reboot", lambda: machine.run(WHEN_BOOTED, check=False).stdout not in ("", before))  # noqa: B023 - called here
        machine.await_status("ACTIVE")
        assert machine.run("cat kept").stdout.strip() == "kept"


def test_a_shelved_server_leaves_the_machine_and_comes_back(machine: Machine) -> None:
    machine.run("echo kept > kept && sync")
    machine.project.cloud.compute.shelve_server(machine.server)
    machine.await_status("SHELVED_OFFLOADED")
    assert left_of(machine.server) == []
    machine.project.cloud.compute.unshelve_server(machine.server)
    machine.await_status("ACTIVE")
    machine.await_ssh()
    assert machine.run("cat kept").stdout.strip() == "kept"


def test_a_server_that_breaks_says_why(project: Project) -> None:
    server = project.boot("fault.spawn", wait=False)
    with pytest.raises(exceptions.ResourceFailure):
        project.cloud.compute.wait_for_server(server, wait=120, interval=1)
    broken = project.cloud.compute.get_server(server.id)
    assert broken.status == "ERROR"
    assert "container:fault" in broken.fault["message"]
    project.delete(server)
    assert left_of(server) == []


def test_a_mute_server_never_answers(project: Project) -> None:
    machine = project.machine("fault.mute")
    assert not machine.answers(22)
    project.delete(machine.server)
    assert left_of(machine.server) == []


def test_quotas_are_quotas(project: Project) -> None:
    administrator = seed.connect()
    identity = project.cloud.current_project_id
    administrator.compute.update_quota_set(identity, instances=len(list(project.cloud.compute.servers())))
    try:
        with pytest.raises(exceptions.HttpException, match="Quota exceeded for instances"):
            project.boot("m3.tiny", wait=False)
    finally:
        administrator.compute.revert_quota_set(identity)


def test_object_storage_takes_the_same_users(project: Project) -> None:
    session = project.cloud.session
    body = {"tenant_id": project.cloud.current_project_id}
    url = f"{session.auth.auth_url}/users/{session.get_user_id()}/credentials/OS-EC2"
    key = session.post(url, json=body).json()["credential"]
    s3 = boto3.client(
        "s3",
        endpoint_url=session.get_endpoint(service_type="s3"),
        region_name=project.cloud.config.region_name,
        aws_access_key_id=key["access"],
        aws_secret_access_key=key["secret"],
    )
    s3.create_bucket(Bucket=project.name)
    s3.put_object(Bucket=project.name, Key="a", Body=b"b")
    assert s3.get_object(Bucket=project.name, Key="a")["Body"].read() == b"b"
    s3.delete_object(Bucket=project.name, Key="a")
    s3.delete_bucket(Bucket=project.name)
    session.delete(f"{url}/{key['access']}")


def test_nothing_is_left_of_a_deleted_server(project: Project, machine: Machine) -> None:
    project.delete(machine.server)
    assert left_of(machine.server) == []
