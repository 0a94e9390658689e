"""What reap.yml picks, by a table: clusters that are over, what leads nowhere, and what is left alone."""

from __future__ import annotations

import datetime
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from zarrstream.machines.find import Finder, servers_to_ask
from zarrstream.machines.lease import Leases
from zarrstream.machines.marks import Mark, lease_name, server_group_name
from zarrstream.machines.reap import reapable
from zarrstream.machines.resources import Resource
from zarrstream.machines.servers import request_for

NOW = datetime.datetime(2026, 11, 24, 12, tzinfo=datetime.UTC)


def thing(kind: str, *, expires: str = "", created: str = "2026-11-20T08:00:00Z", **details: Any) -> dict[str, Any]:
    return Resource(kind, kind, kind, "demo", "ana", expires, created, {"port_id": "p", "device_id": "server", **details}).shown()


SERVER, NETWORK = thing("server"), thing("network")
EXPIRED = dict.fromkeys(("server", "network"), "expired on 2026-11-24")
# The cloud tells neither age nor expiry of a key pair.
KEYPAIR = thing("keypair", created="")


@pytest.mark.parametrize(
    ("resources", "reasons"),
    [
        pytest.param([SERVER, NETWORK, KEYPAIR], {}, id="at work"),
        pytest.param([], {}, id="nothing"),
        pytest.param([thing("server", expires="2026-11-24"), NETWORK], EXPIRED, id="over"),
        pytest.param([thing("server", expires="2026-11-25"), NETWORK], {}, id="not yet"),
        pytest.param([SERVER, thing("network", expires="2026-11-01")], {}, id="prolonged: the server's day counts"),
        pytest.param([NETWORK, KEYPAIR], dict.fromkeys(("network", "keypair"), "its cluster has no server"), id="no server"),
        pytest.param([KEYPAIR], {"keypair": "its cluster has no server"}, id="a key pair alone"),
        pytest.param([thing("network", created="2026-11-24T11:30:00Z"), KEYPAIR], {}, id="a run is at work"),
        pytest.param([SERVER, thing("floating_ip", port_id="")], {"floating_ip": "leads to no server"}, id="an address"),
        pytest.param([SERVER, thing("floating_ip", port_id="", created="2026-11-24T11:59:00")], {}, id="a young address"),
        pytest.param([SERVER, thing("port", device_id="gone")], {"port": "belongs to no server"}, id="a port"),
        pytest.param([SERVER, thing("floating_ip"), thing("port")], {}, id="in use"),
        pytest.param([SERVER, thing("lease")], {"lease": "its run is long over"}, id="the lease of a run that was killed"),
        pytest.param([SERVER, thing("lease", created="2026-11-24T11:59:00Z")], {}, id="the lease of a run that is at work"),
        pytest.param([thing("volume")], {"volume": "its cluster has no server"}, id="a volume"),
    ],
)
def test_what_may_go(resources: list[dict[str, Any]], reasons: dict[str, str]) -> None:
    assert {each["kind"]: each["reason"] for each in reapable(resources, NOW, 2)} == reasons


def test_clusters_are_told_apart() -> None:
    other = {**thing("network"), "cluster": "other"}
    assert [each["cluster"] for each in reapable([SERVER, NETWORK, other], NOW, 2)] == ["other"]


MARK = Mark("laptop", "ana")
# What a cluster calls its things, and what is there under such names: of the kit's with the mark, of somebody else's without.
NAMES = {
    "server": "laptop-dask-workers-1",
    "volume": "laptop-dask-workers-1",
    **dict.fromkeys(("network", "subnet", "router", "security_group", "port"), "laptop"),
    "floating_ip": "172.31.0.9",
    "keypair": "zarrstream-laptop",
    "server_group": "zarrstream-laptop.dask_workers",
}


class Project:
    """The listings of a project by the SDK's connection; each kind has one thing."""

    current_project_id = "lab"

    def __init__(self, *, marked: bool) -> None:
        listings = {kind: partial(self._list, entry(kind, marked=marked)) for kind in NAMES}
        self.compute = SimpleNamespace(servers=listings["server"], keypairs=listings["keypair"], server_groups=listings["server_group"])
        self.block_storage = SimpleNamespace(volumes=listings["volume"])
        self.network = SimpleNamespace(
            **{f"{kind}s": listings[kind] for kind in ("network", "subnet", "router", "port", "security_group")},
            ips=listings["floating_ip"],
        )
        self.network.delete_security_group = lambda *_args, **_options: pytest.fail("somebody's security group is deleted")

    def has_service(self, _service: str) -> bool:
        return True

    def _list(self, thing: SimpleNamespace, **_query: str) -> list[SimpleNamespace]:
        return [thing]


def entry(kind: str, *, marked: bool) -> SimpleNamespace:
    return SimpleNamespace(
        **dict.fromkeys(("addresses", "fault", "flavor", "attachments", "security_group_rules", "external_gateway_info")),
        **dict.fromkeys(("id", "status", "size", "cidr", "network_id", "port_id", "device_id", "device_owner"), "x"),
        created_at="2026-11-20T08:00:00Z",
        project_id="lab",
        name=server_group_name("laptop", "dask_workers") if kind == "server_group" and marked else NAMES[kind],
        floating_ip_address=NAMES["floating_ip"],
        metadata=MARK.metadata() if marked else {"zarrstream": "laptop", "cluster": "laptop"},
        description=MARK.description() if marked else "zarrstream-laptop, the network of my laptop",
        public_key=MARK.public_key("ssh-ed25519 AAAA") if marked else "ssh-ed25519 AAAA zarrstream-laptop",
    )


def test_what_is_called_as_the_kit_calls_its_things_is_not_the_kits() -> None:
    ours, theirs = Finder(Project(marked=True)), Finder(Project(marked=False))
    assert {each.kind for each in ours.resources()} == set(NAMES)
    assert {each.cluster for each in ours.resources()} == {"laptop"}
    assert theirs.resources() == []
    assert theirs.taken == {kind: [name] for kind, name in NAMES.items()}
    assert theirs.unmarked("laptop") == {kind: [name] if "laptop" in name else [] for kind, name in NAMES.items()}
    assert theirs.unmarked(None) == {kind: [name] if name.startswith("zarrstream") else [] for kind, name in NAMES.items()}


@pytest.mark.parametrize(
    ("ids", "known_hosts", "asked"), [([], None, ""), (["b"], None, "b"), (["b"], "a ssh-ed25519", "b"), ([], "b", "a"), ([], "", "ab")]
)
def test_running_servers_whose_keys_are_wanted_are_asked(ids: list[str], known_hosts: str | None, asked: str) -> None:
    found = [Resource("server", each, each, "laptop", details={"status": "ERROR" if each == "c" else "ACTIVE"}) for each in "abc"]
    assert [each.id for each in servers_to_ask([*found, Resource("volume", "a", "a", "laptop")], ids, known_hosts)] == list(asked)


def test_request_for_a_server_says_what_all_have_in_common() -> None:
    common = {"user_data": "", "server_groups": {"apart": "7"}} | {
        "key_name": "key",
        "network": "n",
        "security_group": "s",
        "config_drive": True,
        "user_data": "",
        "server_groups": {"apart": "7"},
    }
    server = {"name": "a", "flavor_id": "f", "image_id": "i", "metadata": {"zarrstream": "laptop"}}
    plain = {**server, "key_name": "key", "networks": [{"uuid": "n"}], "security_groups": [{"name": "s"}], "config_drive": True}
    assert request_for(server, common) == plain
    full = request_for({**server, "server_group": "apart"}, {**common, "user_data": "#cloud-config"})
    assert full == {**plain, "user_data": "I2Nsb3VkLWNvbmZpZw==", "scheduler_hints": {"group": "7"}}


def test_somebody_elses_group_is_no_lease() -> None:
    project = Project(marked=False)
    group = entry("security_group", marked=False)
    project.network.security_groups = lambda **_query: [SimpleNamespace(**{**vars(group), "name": lease_name("laptop")}), made]
    made = SimpleNamespace(id="mine", project_id="lab", description=MARK.description(), created_at="")
    project.network.create_security_group = lambda **_fields: made
    run = SimpleNamespace(words=lambda: "host=h")
    assert Leases(project, MARK).take(run, by_force=True) == ("mine", [])  # type: ignore[arg-type]
