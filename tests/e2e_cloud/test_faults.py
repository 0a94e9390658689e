# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What goes wrong while machines are made, on real Nova and Neutron: each ends with a message that helps, or with the next run.

The tests are in order: each finds the cluster as the one before has left it, which is as it is declared. What comes of a fault is printed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openstack
import pytest
import yaml
from e2e_cloud.site import CLOUD, Site, clouds_file, connect, listing, say
from faults.actions import hang
from faults.proxy import EVER, Action, Answer, Exchange, FaultProxy, Rule

CLUSTER = "flt"
SCHEDULER, WORKER, SECOND = f"{CLUSTER}-dask-scheduler-1", f"{CLUSTER}-dask-workers-1", f"{CLUSTER}-dask-workers-2"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A scheduler and a worker; nothing is left of it, nor of what went wrong."""
    made = Site(tmp_path_factory.mktemp("faults"), CLUSTER, 1, b"nothing")
    before = listing()
    try:
        yield made
    finally:
        made.play("teardown.yml")
    assert listing() == before


def eventually(what: str, ask: Callable[[], Any], seconds: float = 300) -> Any:
    end = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < end, f"{what}: not after {seconds} s"
        time.sleep(0.3)
    return answer


def assert_whole(site: Site, *names: str) -> None:
    """The servers are there once each, with a port each, one floating address, no lease, nothing besides; a run would change nothing."""
    kinds = listing()
    assert sorted(each.split()[0] for each in kinds["servers"]) == sorted(names)
    with connect() as cloud:
        ports = [
            each.device_id for each in cloud.network.ports(project_id=cloud.current_project_id) if each.device_owner.startswith("compute:")
        ]
        assert sorted(ports) == sorted(each.id for each in cloud.compute.servers())
    counts = {kind: len(kinds[kind]) for kind in ("networks", "subnets", "routers", "ips", "security_groups", "keypairs")}
    # Among the security groups is the project's own, default.
    assert counts == {"networks": 1, "subnets": 1, "routers": 1, "ips": 1, "security_groups": 2, "keypairs": 1}
    assert site.play("vms.yml").changed == 0


def kill_when(site: Site, what: str, ask: Callable[[Any], Any]) -> None:
    """Begin a run, and kill it with signal 9 as soon as something is there."""
    with connect() as cloud:
        started = site.start("vms.yml")
        eventually(what, lambda: ask(cloud) or started.poll() is not None)
        assert started.poll() is None, f"the run was over before it could be killed: {started.communicate()[0]}"
        started.kill()
        started.communicate()


def test_runs_that_are_killed_in_the_middle(site: Site) -> None:
    kill_when(site, "a network", lambda cloud: any(each.name == CLUSTER for each in cloud.network.networks()))
    kill_when(site, "a server's port", lambda cloud: any(each.device_owner.startswith("compute:") for each in cloud.network.ports()))
    kill_when(site, "a floating address", lambda cloud: list(cloud.network.ips(project_id=cloud.current_project_id)))
    last = site.play("vms.yml")
    assert "was left over, and is taken over: process" in last.said
    assert_whole(site, SCHEDULER, WORKER)
    say("killed after the network, after a server's port, after the floating address: the next run goes on, nothing is there twice")


def test_a_server_that_is_deleted_by_hand(site: Site) -> None:
    with connect() as cloud:
        server = cloud.compute.find_server(WORKER)
        cloud.compute.delete_server(server)
        cloud.compute.wait_for_delete(server, wait=120, interval=1)
    run = site.play("vms.yml")
    assert f"make server {WORKER}, m3.tiny, debian-12" in run.output
    assert_whole(site, SCHEDULER, WORKER)
    say("a server deleted by hand: made again, its new host key pinned, SSH answers")


def test_a_security_group_that_is_edited_by_hand(site: Site) -> None:
    with connect() as cloud:
        group = cloud.network.find_security_group(CLUSTER)
        web = {"direction": "ingress", "protocol": "tcp", "port_range_min": 80, "port_range_max": 80, "remote_ip_prefix": "0.0.0.0/0"}
        cloud.network.create_security_group_rule(security_group_id=group.id, **web)
    assert "- rule ingress IPv4 tcp 80-80 from 0.0.0.0/0" in site.play("vms.yml", "--diff").output
    with connect() as cloud:
        assert not [each for each in cloud.network.security_group_rules(security_group_id=group.id) if each.port_range_min == 80]
    assert_whole(site, SCHEDULER, WORKER)
    say("a rule added by hand: shown and removed")


def busy_for(seconds: float) -> Action:
    """503 for so long after the first request, as a load balancer answers when nobody is behind it."""
    end = 0.0

    async def act(exchange: Exchange) -> Answer:
        nonlocal end
        end = end or time.monotonic() + seconds
        return (
            Answer(503, b"No server is available", {"Content-Type": "text/plain"}) if time.monotonic() < end else await exchange.forward()
        )

    return act


@pytest.mark.parametrize("fault", [Rule(".*", "", busy_for(60), count=EVER), Rule(".*", "", hang(30), count=2)], ids=["503", "no answer"])
def test_a_nova_that_is_away_for_a_minute(site: Site, tmp_path: Path, fault: Rule) -> None:
    site.declare(2)
    with connect() as cloud:
        nova = urlsplit(cloud.compute.get_endpoint())
    clouds = yaml.safe_load(clouds_file().read_text())
    with FaultProxy(f"{nova.scheme}://{nova.netloc}").running() as proxy:
        clouds["clouds"][CLOUD]["compute_endpoint_override"] = proxy.endpoint + nova.path
        (tmp_path / "clouds.yaml").write_text(yaml.safe_dump(clouds))
        proxy.misbehave(fault)
        began = time.monotonic()
        run = site.play("vms.yml", check=False, environment={"OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml")})
        took = time.monotonic() - began
        assert fault.suffered > 0
    if run.failed:
        assert any(word in run.said for word in ("503", "imed out", "Unable to establish connection")), run.output
        site.play("vms.yml")
    assert_whole(site, SCHEDULER, WORKER, SECOND)
    site.declare(1)
    site.play("vms.yml")
    outcome = (
        "ends with an error that says so, the next run makes the server"
        if run.failed
        else f"waits for it, and has made the server after {took:.0f} s"
    )
    say(f"Nova away: a run {outcome}")


def test_two_runs_at_once(site: Site) -> None:
    site.declare(2)
    both = [site.start("vms.yml") for _ in range(2)]
    runs = [site.ended(each, each.communicate(timeout=1200)[0]) for each in both]
    lost = [run for run in runs if run.failed]
    assert len(lost) == 1, [run.output for run in runs]
    winner = both[0 if runs[1].failed else 1].pid
    assert f"cluster '{CLUSTER}' is being changed by another run: process {winner} on " in lost[0].said
    assert_whole(site, SCHEDULER, WORKER, SECOND)
    site.declare(1)
    site.play("vms.yml")
    assert_whole(site, SCHEDULER, WORKER)
    say("two runs at once: one makes the servers, the other ends and names the first one's process, machine and user")


def test_a_server_that_goes_to_error(site: Site) -> None:
    broken = {"dask_scheduler": {"flavor": "m3.tiny"}, "dask_workers": {"flavor": "m3.tiny"}, "zarr_clients": {"flavor": "fault.spawn"}}
    site.declare(1, vm_servers=broken)
    run = site.play("vms.yml", check=False)
    said = run.said
    assert run.failed
    assert f"in status ERROR: {CLUSTER}-zarr-clients-1: " in said
    assert "container:fault" in said
    site.declare(1, vm_servers={**broken, "zarr_clients": {"flavor": "m3.tiny"}})
    again = site.play("vms.yml", check=False)
    assert again.failed
    assert "Set vm_replace_broken=true" in again.said
    assert site.play("vms.yml", vm_replace_broken=True).changed
    assert_whole(site, SCHEDULER, WORKER, f"{CLUSTER}-zarr-clients-1")
    site.declare(1)
    site.play("vms.yml")
    say("a server in status ERROR: named with Nova's reason, by the next run too; made again with vm_replace_broken=true")


def test_a_server_that_never_answers(site: Site) -> None:
    mute = {"dask_scheduler": {"flavor": "m3.tiny"}, "dask_workers": {"flavor": "m3.tiny"}, "zarr_clients": {"flavor": "fault.mute"}}
    site.declare(1, vm_servers=mute, vm_boot_timeout=45)
    run = site.play("vms.yml", check=False)
    said = run.said
    assert run.failed
    assert f"{CLUSTER}-zarr-clients-1 (ACTIVE, 10.77.0." in said, run.output
    assert f"'openstack console log show {CLUSTER}-zarr-clients-1' what the machine says" in said
    site.declare(1, vm_boot_timeout=300)
    site.play("vms.yml")
    assert_whole(site, SCHEDULER, WORKER)
    say(
        "a server that never answers SSH: named with its address and where to look; taken out of the inventory's declaration, it is removed"
    )


def test_a_quota_that_ends_half_way(site: Site) -> None:
    config = openstack.config.OpenStackConfig(config_files=[str(clouds_file())])
    with connect() as cloud, openstack.connection.Connection(config=config.get_one("embedded-admin")) as administrator:
        project = cloud.current_project_id
        administrator.compute.update_quota_set(project, instances=3)
        try:
            site.declare(3)
            run = site.play("vms.yml", check=False)
        finally:
            administrator.compute.revert_quota_set(project)
    assert run.failed
    said = run.said
    # Nova counts twice: at the request, and again when it builds, where one of two that came together ends in ERROR.
    assert "1 of 2 servers were refused" in said or f"in status ERROR: {CLUSTER}-dask-workers-" in said, run.output
    assert "Quota exceeded for instances" in said
    assert site.play("vms.yml", vm_replace_broken=True).changed
    assert_whole(site, SCHEDULER, WORKER, SECOND, f"{CLUSTER}-dask-workers-3")
    say("a quota that ends half-way: the server that is one too many is named, the other one kept; the next run goes on from there")


def test_reap_lists_and_removes_what_has_expired(site: Site) -> None:
    site.declare(1, vm_expires="2026-01-01")
    site.play("vms.yml")
    with connect() as cloud:
        network = cloud.network.find_network(CLUSTER)
        cloud.network.create_port(network_id=network.id, name="stray", description=network.description)
        keys = f"/users/{cloud.current_user_id}/credentials/OS-EC2"
        stray = cloud.identity.post(keys, json={"tenant_id": cloud.current_project_id}, log=False).json()["credential"]["access"]
        # Called as the kit calls its things, and without its mark.
        cloud.compute.create_keypair(name="zarrstream-laptop")
        cloud.network.create_security_group(name=f"{CLUSTER}-mine")
    there = listing()
    young = site.play("reap.yml")
    assert "would go with -e zarr_reap=true: nothing" in young.said, young.output
    wanted = {"zarr_reap_grace_hours": 0}
    shown = site.play("reap.yml", **wanted)
    said = shown.said
    for each in (f"server {SCHEDULER}", f"server {WORKER}", "port stray", f"network {CLUSTER}", f"key pair zarrstream-{CLUSTER}"):
        assert f"{each} of cluster {CLUSTER}: expired on 2026-01-01" in said.replace("keypair", "key pair"), shown.output
    assert f"EC2 credential {stray}" in said
    assert "key pair zarrstream-laptop: does not carry the kit's mark" in said.replace("keypair", "key pair"), shown.output
    assert shown.changed == 0
    assert listing() == there
    kept = site.play("reap.yml", zarr_reap=True, **wanted)
    assert kept.changed
    after = listing()
    assert after["ec2_credentials"] == there["ec2_credentials"]
    assert not any(after[kind] for kind in ("servers", "ports", "ips", "networks", "subnets", "routers"))
    assert after["keypairs"] == ["zarrstream-laptop"]
    assert f"{CLUSTER}-mine" in " ".join(after["security_groups"])
    assert site.play("reap.yml", zarr_reap=True, zarr_reap_credentials=True, **wanted).changed == 1
    assert stray not in listing()["ec2_credentials"]
    assert site.play("reap.yml", zarr_reap=True, zarr_reap_credentials=True, **wanted).changed == 0
    with connect() as cloud:
        cloud.compute.delete_keypair("zarrstream-laptop")
        cloud.network.delete_security_group(cloud.network.find_security_group(f"{CLUSTER}-mine"))
    say("reap: lists at first, leaves a young cluster, removes an expired one with a stray port; EC2 credentials when told")
