# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From what is declared and what is found to what is to be done: pure, and the same for check mode, --diff and the run."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from ..errors import Conflict, NotFound, ZarrstreamError
from .marks import server_group_name
from .rules import RuleChange, as_declared, as_surplus, rule_change
from .totals import totals, totals_line
from .wanted import Wanted, WantedServer

_ONE_OF_EACH = ("keypair", "network", "subnet", "router", "security_group")


@dataclass(frozen=True)
class ClusterPlan:
    """``make`` names kinds of which one is missing, ``servers`` are those to be made, ``remove`` those that are declared no more.

    ``updates`` are servers whose metadata differ, ``floating`` those that lack an address, with a free one of the cluster's.
    """

    make: tuple[str, ...]
    servers: tuple[dict[str, Any], ...]
    server_groups: tuple[dict[str, str], ...]
    volumes: tuple[dict[str, Any], ...]
    attach: tuple[dict[str, str], ...]
    remove: tuple[dict[str, Any], ...]
    updates: tuple[dict[str, Any], ...]
    floating: tuple[dict[str, str], ...]
    rules: RuleChange
    declared_rules: tuple[dict[str, Any], ...]
    surplus_rules: tuple[dict[str, Any], ...]
    network_id: str
    external_network_id: str
    metadata: dict[str, str]
    description: str
    public_key: str
    totals: dict[str, Any]
    lines: tuple[str, ...] = field(default=())

    @property
    def changes(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.lines)


@dataclass(frozen=True)
class Found:
    """What `cluster_info` returned: the cluster's things by kind, and what the cloud offers."""

    resources: list[dict[str, Any]]
    taken: Mapping[str, list[str]]
    flavors: list[dict[str, Any]]
    images: list[dict[str, Any]]
    networks: Mapping[str, str]

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """The cluster's things of one kind, by name; two of one name are an error."""
        entries = [each for each in self.resources if each["kind"] == kind]
        by_name = {each["name"]: each for each in entries}
        if len(by_name) < len(entries):
            names = [each["name"] for each in entries]
            name = next(each for each in names if names.count(each) > 1)
            ids = ", ".join(each["id"] for each in entries if each["name"] == name)
            raise Conflict(
                f"there are two of the kind {kind.replace('_', ' ')} with the name {name} and this cluster's mark ({ids}): "
                "two runs made them at once. Remove one of them by its id, then run again."
            )
        return by_name


def plan(wanted: Wanted, found: Found, prices: Mapping[str, float], unit: str, replace_broken: bool) -> ClusterPlan:
    """What is to be done. Raises an error that names the variable and the remedy where it cannot be done."""
    existing = found.of("server")
    declared = {each.name: each for each in wanted.servers}
    broken = {name for name, each in existing.items() if name in declared and each["status"] == "ERROR"}
    if broken and not replace_broken:
        raise ZarrstreamError(_broken_message([existing[name] for name in sorted(broken)]))
    _refuse_foreign(wanted, found, set(declared) - set(existing))
    _refuse_another_key(wanted, found)
    flavors, images = _by_name("flavor", wanted, found.flavors), _by_name("image", wanted, found.images)

    new = [each for name, each in declared.items() if name not in existing or name in broken]
    gone = [each for name, each in existing.items() if name not in declared or name in broken]
    volumes = found.of("volume")
    rules = rule_change(wanted, found.of("security_group").get(wanted.name))
    make = tuple(kind for kind in _kinds(wanted) if not found.of(kind))
    parts = {
        "make": make,
        "servers": tuple(_server(each, wanted, flavors, images) for each in new),
        "server_groups": tuple(_server_groups(wanted, found)),
        "volumes": tuple({"name": each.name, "size": each.volume} for each in wanted.servers if each.volume and each.name not in volumes),
        "attach": tuple(
            {"name": each.name}
            for each in wanted.servers
            if each.volume and (each in new or existing[each.name]["id"] not in volumes.get(each.name, {"attached_to": []})["attached_to"])
        ),
        "remove": tuple(gone),
        "updates": tuple(_updates(wanted, existing, declared, broken)),
        "floating": tuple(_floating(wanted, found, existing)),
        "rules": rules,
    }
    offered = totals(wanted, flavors, prices, unit)
    result = ClusterPlan(
        **parts,  # type: ignore[arg-type]
        declared_rules=tuple(as_declared(wanted)),
        surplus_rules=tuple(as_surplus(rules, wanted)),
        network_id=_network_id(wanted, found),
        external_network_id=_external_network_id(wanted, found, "router" in make or any(each.reachable for each in wanted.servers)),
        metadata=wanted.mark.metadata(),
        description=wanted.mark.description(),
        public_key=wanted.mark.public_key(wanted.public_key),
        totals=offered,
    )
    return ClusterPlan(**{**_shallow(result), "lines": tuple(_lines(wanted, result))})


def _shallow(value: ClusterPlan) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def _kinds(wanted: Wanted) -> tuple[str, ...]:
    return tuple(kind for kind in _ONE_OF_EACH if not wanted.network or kind not in ("network", "subnet", "router"))


def _server(each: WantedServer, wanted: Wanted, flavors: Mapping[str, Any], images: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": each.name,
        "flavor": each.flavor,
        "flavor_id": flavors[each.flavor]["id"],
        "image": each.image,
        "image_id": images[each.image]["id"],
        "server_group": server_group_name(wanted.name, each.group) if each.policy else "",
        "metadata": {**wanted.mark.metadata(), "zarrstream_group": each.group},
    }


def _server_groups(wanted: Wanted, found: Found) -> Iterable[dict[str, str]]:
    policies = {server_group_name(wanted.name, each.group): each.policy for each in wanted.servers if each.policy}
    return [{"name": name, "policy": policy} for name, policy in policies.items() if name not in found.of("server_group")]


def _updates(wanted: Wanted, existing: Mapping[str, Any], declared: Mapping[str, WantedServer], broken: set[str]) -> list[dict[str, Any]]:
    """Servers whose expiry is another one now. The owner stays who made the server."""
    expires = wanted.mark.expires
    return [
        {"id": each["id"], "name": name, "expires": expires}
        for name, each in existing.items()
        if name in declared and name not in broken and each["expires"] != expires
    ]


def _floating(wanted: Wanted, found: Found, existing: Mapping[str, Any]) -> list[dict[str, str]]:
    """Servers without the address that they should have; one that a broken run left over is used first."""
    free = [each["id"] for each in found.resources if each["kind"] == "floating_ip" and not each["port_id"]]
    lacking = [each.name for each in wanted.servers if each.reachable and not existing.get(each.name, {}).get("floating_ip")]
    return [{"name": name, "port_id": existing.get(name, {}).get("port_id", ""), "reuse": free.pop() if free else ""} for name in lacking]


def _network_id(wanted: Wanted, found: Found) -> str:
    if not wanted.network:
        return str(found.of("network").get(wanted.name, {}).get("id", ""))
    if wanted.network not in found.networks:
        raise NotFound(
            f"vm_network is '{wanted.network}': the project sees no network of this name. Correct it, or leave it empty for a network of "
            "the cluster's own. On Jetstream2, 'openstack network auto allocated topology create --or-show' makes auto_allocated_network."
        )
    return found.networks[wanted.network]


def _external_network_id(wanted: Wanted, found: Found, needed: bool) -> str:
    if needed and wanted.external_network not in found.networks:
        raise NotFound(
            f"vm_external_network is '{wanted.external_network}': the project sees no network of this name. "
            "'openstack network list --external' shows what there is."
        )
    return found.networks.get(wanted.external_network, "")


def _by_name(what: str, wanted: Wanted, offered: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What the cloud offers, by name, after a look that all that is declared is there."""
    by_name: dict[str, dict[str, Any]] = {}
    for each in offered:
        by_name.setdefault(each["name"], each)
    for server in wanted.servers:
        name = getattr(server, what)
        if name not in by_name:
            raise NotFound(missing_message(what, name, by_name, f"vm_servers.{server.group}"))
    return by_name


def missing_message(what: str, name: str, offered: Iterable[str], where: str) -> str:
    """A name that the cloud does not have, and those that come near."""
    near = difflib.get_close_matches(name, offered, n=3, cutoff=0.5) or sorted(offered)[:5]
    there = f"Near it: {', '.join(near)}." if near else f"It offers no {what} at all."
    return f"{where} wants the {what} '{name}', which the cloud does not offer. {there}"


def _refuse_foreign(wanted: Wanted, found: Found, new: set[str]) -> None:
    """What has our names and not our mark was made by somebody else, and would be taken over or taken down with the cluster."""
    names = {
        "server": new,
        "volume": {each.name for each in wanted.servers if each.volume},
        "keypair": {wanted.keypair},
        **{kind: {wanted.name} for kind in ("network", "subnet", "router", "security_group")},
    }
    for kind in ("server", "volume", *_kinds(wanted)):
        taken = sorted(names[kind] & set(found.taken.get(kind, [])))
        if taken:
            raise Conflict(
                f"the project has a {kind.replace('_', ' ')} '{taken[0]}' that does not carry the mark of cluster '{wanted.name}'. "
                "Give vm_cluster another name, or remove or rename that one."
            )


def _refuse_another_key(wanted: Wanted, found: Found) -> None:
    """A key pair keeps its key, and so do the servers made with it. Comments behind the key do not count."""
    held = found.of("keypair").get(wanted.keypair)
    if held and held["public_key"].split()[:2] != wanted.public_key.split()[:2]:
        raise Conflict(
            f"the key pair {wanted.keypair} in the cloud holds another key than vm_ssh_public_key_file; its servers know that one. "
            f"Name the file of that key; or, where no server needs it, 'openstack keypair delete {wanted.keypair}' and run again."
        )


def _broken_message(broken: list[dict[str, Any]]) -> str:
    said = "; ".join(f"{each['name']}: {each['fault'] or 'Nova gives no reason'}" for each in broken)
    return f"in status ERROR: {said}. Set vm_replace_broken=true to remove and make them again, or vm_state=absent to remove the cluster."


def _lines(wanted: Wanted, result: ClusterPlan) -> Iterable[str]:
    yield from (f"make {kind.replace('_', ' ')} {wanted.keypair if kind == 'keypair' else wanted.name}" for kind in result.make)
    yield from (f"make server group {each['name']}, {each['policy']}" for each in result.server_groups)
    yield from (f"remove server {each['name']}" for each in result.remove)
    yield from (f"make server {each['name']}, {each['flavor']}, {each['image']}" for each in result.servers)
    yield from (f"make volume {each['name']}, {each['size']} GiB" for each in result.volumes)
    yield from (f"attach volume {each['name']}" for each in result.attach)
    yield from (f"mark {each['name']} as expiring {each['expires'] or 'never'}" for each in result.updates)
    yield from (f"give {each['name']} a floating address" for each in result.floating)
    yield from result.rules.lines()


def shown(result: ClusterPlan) -> dict[str, Any]:
    """As the filter returns it, in lists and dictionaries alone."""
    return {**_plain(result), "changes": result.changes, "summary": totals_line(result.totals)}


def _plain(value: Any) -> Any:
    """Not dataclasses.asdict, which makes containers of the class it finds: Ansible's lazy ones refuse to be made."""
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
