"""The machines of a cluster: marks, declarations, plans, sums, rules and host keys, by tables and without a cloud."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from zarrstream.errors import ZarrstreamError
from zarrstream.machines import marks
from zarrstream.machines.host_keys import host_keys
from zarrstream.machines.marks import Mark
from zarrstream.machines.plan import ClusterPlan, Found, plan, shown
from zarrstream.machines.resources import REMOVAL_ORDER, Resource, in_removal_order
from zarrstream.machines.rules import as_declared, wanted_rules
from zarrstream.machines.totals import totals_line
from zarrstream.machines.wanted import wanted_from

DECLARED: dict[str, Any] = {
    "cluster": "demo",
    "servers": {"dask_scheduler": {"flavor": "m3.small"}, "dask_workers": {"count": 2, "flavor": "m3.quad"}},
    "owner": "ana",
    "expires": "",
    "image": "Featured-Ubuntu24",
    "network": "",
    "external_network": "public",
    "subnet_cidr": "10.77.0.0/24",
    "ssh_from": ["203.0.113.7/32"],
    "public_key": "ssh-ed25519 AAAA ana@laptop\n",
    "floating_ips": "jump",
}
FLAVORS = [
    {"name": "m3.small", "id": "f1", "vcpus": 2, "ram": 6144, "disk": 20},
    {"name": "m3.quad", "id": "f2", "vcpus": 4, "ram": 15360, "disk": 20},
]
IMAGES = [{"name": "Featured-Ubuntu24", "id": "new"}, {"name": "Featured-Ubuntu24", "id": "old"}, {"name": "Featured-Rocky9", "id": "r"}]
NAMES = ("demo-dask-scheduler-1", "demo-dask-workers-1", "demo-dask-workers-2")


def thing(kind: str, name: str = "demo", **details: Any) -> dict[str, Any]:
    return Resource(kind, f"{kind}-{name}", name, "demo", "ana", details=details).shown()


def server(name: str, **details: Any) -> dict[str, Any]:
    found = {"status": "ACTIVE", "fault": "", "floating_ip": "", "port_id": f"port-{name}", **details}
    return thing("server", name, **found)


def rule(**values: Any) -> dict[str, Any]:
    names = ("id", "direction", "ethertype", "protocol", "port_range_min", "port_range_max", "remote_ip_prefix", "remote_group_id")
    return dict.fromkeys(names) | {"ethertype": "IPv4", "id": "a rule"} | values


RULES = [
    rule(direction="ingress", protocol="tcp", port_range_min=22, port_range_max=22, remote_ip_prefix="203.0.113.7/32"),
    *(rule(direction="ingress", ethertype=each, remote_group_id="security_group-demo") for each in ("IPv4", "IPv6")),
    *(rule(direction="egress", ethertype=each) for each in ("IPv4", "IPv6")),
]
BASE = [
    *(thing(kind) for kind in ("network", "subnet", "router")),
    thing("keypair", "zarrstream-demo", public_key="ssh-ed25519 AAAA"),
    thing("security_group", rules=RULES),
]
ADDRESS = thing("floating_ip", "172.31.0.9", address="172.31.0.9", port_id=f"port-{NAMES[0]}")
WHOLE = [*BASE, server(NAMES[0], floating_ip="172.31.0.9"), server(NAMES[1]), server(NAMES[2]), ADDRESS]


def planned(
    found: list[dict[str, Any]], *, replace_broken: bool = False, prices: Any = None, taken: Any = None, **declared: Any
) -> ClusterPlan:
    cloud = Found(found, taken or {}, FLAVORS, IMAGES, {"public": "ext", "auto": "net"})
    return plan(wanted_from({**DECLARED, **declared}), cloud, prices or {}, "SU", replace_broken)


def without(*kinds: str) -> list[dict[str, Any]]:
    return [each for each in WHOLE if each["kind"] not in kinds]


WORKERS = {"flavor": "m3.quad"}
BROKEN = [*BASE, server(NAMES[0], status="ERROR", fault="No valid host was found", floating_ip="x"), *WHOLE[6:8]]
FOREIGN_RULE = rule(direction="ingress", protocol="tcp", port_range_min=80, port_range_max=80, remote_ip_prefix="0.0.0.0/0", id="foreign")
SCALED = {"dask_scheduler": {"flavor": "m3.small"}, "dask_workers": {"count": 1, "flavor": "m3.quad"}}
STRAY = thing("floating_ip", "172.31.0.10", address="172.31.0.10", port_id="")


@pytest.mark.parametrize(
    ("found", "declared", "lines"),
    [
        pytest.param([], {}, ["make keypair zarrstream-demo", "make network demo", "make subnet demo", "make router demo",
            "make security group demo", f"make server {NAMES[0]}, m3.small, Featured-Ubuntu24",
            f"make server {NAMES[1]}, m3.quad, Featured-Ubuntu24", f"make server {NAMES[2]}, m3.quad, Featured-Ubuntu24",
            f"give {NAMES[0]} a floating address"], id="an empty project"),
        pytest.param(WHOLE, {}, [], id="all is there"),
        pytest.param(WHOLE, {"owner": "ben"}, [], id="run by somebody else"),
        pytest.param(without("router", "subnet"), {}, ["make subnet demo", "make router demo"], id="killed after the network"),
        pytest.param(without("network", "subnet", "router"), {"network": "auto"}, [], id="a network that is there already"),
        pytest.param([each for each in WHOLE if each["name"] != NAMES[2]], {},
            [f"make server {NAMES[2]}, m3.quad, Featured-Ubuntu24"], id="deleted by hand"),
        pytest.param(WHOLE, {"servers": SCALED}, [f"remove server {NAMES[2]}"], id="one worker less"),
        pytest.param(WHOLE, {"expires": "2026-12-31"}, [f"mark {name} as expiring 2026-12-31" for name in NAMES], id="expires"),
        pytest.param([*BASE, server(NAMES[0]), *WHOLE[6:8]], {}, [f"give {NAMES[0]} a floating address"], id="killed before the address"),
        pytest.param(WHOLE, {"ssh_from": ["198.51.100.0/24"]},
            ["- rule ingress IPv4 tcp 22-22 from 203.0.113.7/32", "+ rule ingress IPv4 tcp 22-22 from 198.51.100.0/24"], id="SSH"),
        pytest.param([*without("security_group"), thing("security_group", rules=[*RULES[1:], FOREIGN_RULE])], {},
            ["- rule ingress IPv4 tcp 80-80 from 0.0.0.0/0", "+ rule ingress IPv4 tcp 22-22 from 203.0.113.7/32"], id="edited by hand"),
        pytest.param(WHOLE, {"servers": {**DECLARED["servers"], "dask_workers": {"count": 2, **WORKERS, "volume": 50}}},
            [f"make volume {NAMES[1]}, 50 GiB", f"make volume {NAMES[2]}, 50 GiB", f"attach volume {NAMES[1]}",
             f"attach volume {NAMES[2]}"], id="volumes"),
        pytest.param(WHOLE, {"servers": {**DECLARED["servers"], "dask_workers": {"count": 2, **WORKERS, "anti_affinity": "anti-affinity"}}},
            ["make server group zarrstream cluster=demo group=dask_workers, anti-affinity"], id="server groups"),
    ],
)  # fmt: skip
def test_what_is_to_be_done(found: list[dict[str, Any]], declared: dict[str, Any], lines: list[str]) -> None:
    result = planned(found, **declared)
    assert list(result.lines) == lines
    assert result.changes is bool(lines)


def test_rules_that_say_more_than_ours_are_removed_one_by_one() -> None:
    rules = [*RULES, FOREIGN_RULE, rule(direction="egress", remote_group_id="another"), rule(direction="ingress", protocol="icmp")]
    result = planned([*without("security_group"), thing("security_group", rules=rules)])
    assert len(result.rules.remove) == 3
    assert result.surplus_rules == (
        {"direction": "ingress", "ether_type": "IPv4", "protocol": "icmp"},
        {"direction": "ingress", "ether_type": "IPv4", "protocol": "tcp", "port_range_min": 80, "port_range_max": 80,
         "remote_ip_prefix": "0.0.0.0/0"},
    )  # fmt: skip


class Lazy(dict):
    """Like Ansible's containers: nobody but Ansible makes one."""

    def __init__(self, *_: Any) -> None:
        raise NotImplementedError


def test_a_plan_is_shown_whatever_containers_it_was_made_from() -> None:
    found = []
    for each in WHOLE:
        found.append(Lazy.__new__(Lazy))
        found[-1].update(each)
    result = shown(planned(found, servers=SCALED))
    assert [(type(each), each["name"]) for each in result["remove"]] == [(dict, NAMES[2])]
    assert result["changes"]


def test_a_left_over_address_is_used_first() -> None:
    assert planned([*BASE, server(NAMES[0]), *WHOLE[6:8], STRAY]).floating[0] == {
        "name": NAMES[0], "port_id": f"port-{NAMES[0]}", "reuse": "floating_ip-172.31.0.10",
    }  # fmt: skip


def test_a_server_has_what_the_cloud_needs_to_make_it() -> None:
    first = planned([]).servers[0]
    assert (first["flavor_id"], first["image_id"]) == ("f1", "new")
    assert first["metadata"] == {"zarrstream_cluster": "demo", "zarrstream_owner": "ana", "zarrstream_group": "dask_scheduler"}


def test_broken_servers_are_reported_or_replaced() -> None:
    with pytest.raises(ZarrstreamError, match=r"demo-dask-scheduler-1: No valid host was found\. Set vm_replace_broken"):
        planned(BROKEN)
    assert list(planned(BROKEN, replace_broken=True).lines)[:2] == [
        f"remove server {NAMES[0]}", f"make server {NAMES[0]}, m3.small, Featured-Ubuntu24",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("declared", "taken", "found", "message"),
    [
        ({"image": "Featured-Ubuntu22"}, {}, [], r"vm_servers.dask_scheduler wants the image 'Featured-Ubuntu22'.*Featured-Ubuntu24"),
        ({"servers": {"w": {"flavor": "m3.qaud"}}}, {}, [], r"wants the flavor 'm3.qaud'.*Near it: m3.quad"),
        ({"servers": {"w": {"flavor": "zz"}}}, {}, [], r"wants the flavor 'zz'.*Near it: m3.quad, m3.small"),
        ({"network": "auto_allocated"}, {}, [], r"vm_network is 'auto_allocated': the project sees no network"),
        ({"external_network": "ext"}, {}, [], r"vm_external_network is 'ext'"),
        ({}, {"server": [NAMES[1]]}, [], r"has a server 'demo-dask-workers-1' that does not carry the mark of cluster 'demo'"),
        ({"servers": {"w": {**WORKERS, "volume": 5}}}, {"volume": ["demo-w-1"]}, [], r"has a volume 'demo-w-1' that does not carry"),
        ({}, {"keypair": ["zarrstream-demo"]}, [], r"has a keypair 'zarrstream-demo' that does not carry the mark"),
        ({}, {"security_group": ["demo"]}, [], r"has a security group 'demo' that does not carry"),
        ({}, {}, [*WHOLE, {**server(NAMES[1]), "id": "other"}], r"two of the kind server with the name demo-dask-workers-1.*other"),
        ({"public_key": "ssh-ed25519 BBBB"}, {}, WHOLE, r"zarrstream-demo in the cloud holds another key than vm_ssh_public_key_file"),
        ({"cluster": "Demo"}, {}, [], r"vm_cluster is 'Demo'"),
        ({"expires": "tomorrow"}, {}, [], r"vm_expires is 'tomorrow'"),
        ({"ssh_from": ["203.0.113.7/24"]}, {}, [], r"vm_ssh_from has '203.0.113.7/24'.*host bits"),
        ({"servers": {"w": {"flavor": "m3.quad", "count": "two"}}}, {}, [], r"vm_servers.w.count is 'two': a whole number"),
        ({"servers": {"w": {"flavor": "m3.quad", "cuont": 2}}}, {}, [], r"vm_servers.w has 'cuont', which there is not. There are: count"),
        ({"servers": {"w": "m3.quad"}}, {}, [], r"vm_servers.w is 'm3.quad': write it as"),
        ({"servers": {"w": {"flavor": "m3.quad", "anti_affinity": "affinity"}}}, {}, [], r"anti_affinity is 'affinity'"),
        ({"image": ""}, {}, [], r"has no image. Set vm_image"),
        ({"servers": {"a_b": WORKERS, "a-b": WORKERS}}, {}, [], r"vm_servers.a-b: the name of a group"),
        ({"servers": {"W": WORKERS}}, {}, [], r"vm_servers.W: the name of a group"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_before_anything_is_touched(
    declared: dict[str, Any], taken: dict[str, list[str]], found: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(ZarrstreamError, match=message):
        planned(found, taken=taken, **declared)


@pytest.mark.parametrize(("choice", "count"), [("jump", 1), ("all", 3), ("none", 0)])
def test_floating_addresses(choice: str, count: int) -> None:
    assert len(planned([], floating_ips=choice).floating) == count


def test_sums_and_prices() -> None:
    result = planned([], prices={"m3.small": 2, "m3.quad": 4})
    assert totals_line(result.totals) == "3 servers (1 × m3.small, 2 × m3.quad): 10 vCPUs, 36 GiB RAM, 240 SU a day"
    assert "a day" not in totals_line(planned([]).totals)
    with pytest.raises(ZarrstreamError, match=r"vm_prices has no price for flavor 'm3.quad'"):
        planned([], prices={"m3.small": 2})


def test_the_two_forms_of_the_rules_agree() -> None:
    wanted = wanted_from({**DECLARED, "ssh_from": ["203.0.113.7", "2001:db8::/32"]})
    assert len(as_declared(wanted)) == len(wanted_rules(wanted)) == 6
    ssh = [each for each in as_declared(wanted) if "protocol" in each]
    assert [(each["ether_type"], each["remote_ip_prefix"]) for each in ssh] == [("IPv4", "203.0.113.7/32"), ("IPv6", "2001:db8::/32")]
    assert {(each["port_range_min"], each["port_range_max"]) for each in ssh} == {(22, 22)}
    assert all(each.get("remote_group") == "demo" for each in as_declared(wanted) if each["direction"] == "ingress" and each not in ssh)


@pytest.mark.parametrize("mark", [Mark("demo"), Mark("demo", "ana", "2026-12-31"), Mark("a-b", "ana@example.org", "", "dask_workers")])
def test_marks_survive_the_cloud(mark: Mark) -> None:
    assert marks.of_metadata(mark.metadata()) == mark
    assert marks.of_description(mark.description()) == mark


@pytest.mark.parametrize("text", [None, "", "zarrstream", "zarrstream is a kit", "my zarrstream cluster=demo", "zarrstream owner=ana"])
def test_what_carries_no_mark(text: str | None) -> None:
    assert marks.of_description(text) is None


def test_the_mark_of_a_key_pair_is_its_comment() -> None:
    mark = Mark("demo", "ana", "2026-12-31")
    marked = mark.public_key("ssh-ed25519 AAAA ana@laptop\n")
    assert marked == "ssh-ed25519 AAAA zarrstream cluster=demo owner=ana expires=2026-12-31"
    assert marks.of_public_key(marked) == mark
    assert planned([]).public_key == "ssh-ed25519 AAAA zarrstream cluster=demo owner=ana"


@pytest.mark.parametrize("key", [None, "", "ssh-ed25519 AAAA", "ssh-ed25519 AAAA ana@laptop", "ssh-ed25519 AAAA zarrstream-laptop"])
def test_a_key_pair_without_the_mark(key: str | None) -> None:
    assert marks.of_public_key(key) is None


def test_the_order_of_removal() -> None:
    things = [Resource(kind, "1", "demo", "demo") for kind in sorted(REMOVAL_ORDER)]
    kinds = [each.kind for each in in_removal_order(things)]
    for before, after in (
        ("server", "security_group"),
        ("server", "volume"),
        ("router", "subnet"),
        ("subnet", "network"),
        ("port", "subnet"),
    ):
        assert kinds.index(before) < kinds.index(after)


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHkq0jc3kqS0w5gq8YcSm0Ib9wWm1mX6Q6P3yX8o0f0a"
BLOCK = f"-----BEGIN SSH HOST KEY KEYS-----\r\n{KEY} root@demo\r\n-----END SSH HOST KEY KEYS-----\r\n"


@pytest.mark.parametrize(
    ("console", "keys"),
    [
        ("", []),
        (BLOCK, [KEY]),
        (BLOCK.partition("-----END")[0], []),
        ("\n".join(f"[   12.3] cloud-init[411]: {line}" for line in BLOCK.splitlines()), [KEY]),
        (BLOCK.replace("HkqO", "xxxx").replace("0f0a", "OLD0") + "reboot\n" + BLOCK, [KEY]),
        (f"login as {KEY}\n", []),
    ],
)
def test_host_keys_on_the_console(console: str, keys: list[str]) -> None:
    assert host_keys(console) == keys


def test_a_mark_is_a_value() -> None:
    assert replace(Mark("demo"), owner="ana").metadata() == {"zarrstream_cluster": "demo", "zarrstream_owner": "ana"}
