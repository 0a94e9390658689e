# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Find what a project holds, by the SDK's connection: one listing a kind, however many things there are."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from . import marks
from .host_keys import host_keys
from .marks import Mark, lease_name
from .resources import Resource

# Between two looks, at first and at most: what takes long is asked for less often.
_PAUSE, _LONGEST_PAUSE, _GROWTH = 2.0, 10.0, 1.3


class Finder:
    """Listings of one project. Whatever it returns carries the kit's mark, except for `taken`, the names of the rest."""

    def __init__(self, conn: Any) -> None:
        self._conn = conn
        self._ports: dict[str, str] = {}
        self.taken: dict[str, list[str]] = {}

    def resources(self, cluster: str | None = None) -> list[Resource]:
        """All that is marked, of one cluster or of all."""
        project: str = self._conn.current_project_id
        found = [*self._of_neutron(project), *self._servers(), *self._of_nova(), *self._volumes()]
        return [each for each in _with_addresses(found) if cluster in (None, each.cluster)]

    def moving(self, cluster: str) -> list[str]:
        """Servers of a cluster that are being built or deleted, by one request."""
        servers = ((each.name, each.status, marks.of_metadata(each.metadata)) for each in self._conn.compute.servers())
        return [name for name, status, mark in servers if mark and mark.cluster == cluster and status in _MOVING]

    def flavors(self) -> list[dict[str, Any]]:
        """Name, id, vcpus, ram (MiB) and disk (GiB) of each flavor."""
        names = ("name", "id", "vcpus", "ram", "disk")
        return [{name: getattr(each, name) for name in names} for each in self._conn.compute.flavors()]

    def images(self, wanted: Iterable[str]) -> list[dict[str, Any]]:
        """Images that can be started from: those that are wanted, or all where one of them is missing. The newest of a name first."""
        asked = set(wanted)
        found = [each for name in sorted(asked) for each in self._conn.image.images(name=name, status="active")]
        if {each.name for each in found} != asked:
            found = list(self._conn.image.images(status="active"))
        found.sort(key=lambda each: str(each.created_at), reverse=True)
        return [{"name": each.name, "id": each.id} for each in found]

    def networks(self, names: Iterable[str]) -> dict[str, str]:
        """Ids of the networks of these names that there are, also those that another project shares."""
        return {each.name: each.id for name in sorted(set(names)) for each in self._conn.network.networks(name=name)}

    def unmarked(self, cluster: str | None) -> dict[str, list[str]]:
        """Of the names that are ``taken``, those that concern a cluster, or that look like the kit's."""
        return {
            kind: [name for name in names if (cluster in name if cluster else name.startswith(marks.KIT))]
            for kind, names in self.taken.items()
        }

    def _marked(self, kind: str, entries: Iterable[Any], mark_of: Callable[[Any], Mark | None]) -> Iterator[tuple[Any, Mark]]:
        for entry in entries:
            mark = mark_of(entry)
            if mark:
                yield entry, mark
            else:
                self.taken.setdefault(kind, []).append(entry.name or "")

    def _of_neutron(self, project: str) -> Iterator[Resource]:
        network = self._conn.network
        listings = {
            "network": network.networks, "subnet": network.subnets, "router": network.routers, "port": network.ports,
            "security_group": network.security_groups, "floating_ip": network.ips,
        }  # fmt: skip
        for kind, listing in listings.items():
            entries = [each for each in listing(project_id=project) if each.project_id == project]
            if kind == "port":
                self._ports = {each.device_id: each.id for each in entries if str(each.device_owner).startswith("compute:")}
            for entry, mark in self._marked(kind, entries, lambda each: marks.of_description(each.description)):
                of_lease = kind == "security_group" and entry.name == lease_name(mark.cluster)
                details = {} if of_lease else _NEUTRON_DETAILS.get(kind, lambda _unused: {})(entry)
                yield _resource("lease" if of_lease else kind, entry, mark, details)

    def _servers(self) -> Iterator[Resource]:
        for entry, mark in self._marked("server", self._conn.compute.servers(), lambda each: marks.of_metadata(each.metadata)):
            addresses = [each for network in (entry.addresses or {}).values() for each in network]
            details = {
                "group": mark.group,
                "status": entry.status,
                "fault": (entry.fault or {}).get("message", ""),
                "flavor": (entry.flavor or {}).get("original_name", ""),
                "fixed_ip": next(
                    (each["addr"] for each in addresses if each.get("OS-EXT-IPS:type") == "fixed" and each["version"] == 4), ""
                ),
                "port_id": self._ports.get(entry.id, ""),
            }
            yield _resource("server", entry, mark, details)

    def _of_nova(self) -> Iterator[Resource]:
        compute = self._conn.compute
        for entry, mark in self._marked("keypair", compute.keypairs(), lambda each: marks.of_public_key(each.public_key)):
            # Key pairs are addressed by their names.
            yield Resource("keypair", entry.name, entry.name, mark.cluster, mark.owner, details={"public_key": entry.public_key})
        for entry, mark in self._marked("server_group", compute.server_groups(), lambda each: marks.of_description(each.name)):
            yield Resource("server_group", entry.id, entry.name, mark.cluster)

    def _volumes(self) -> Iterator[Resource]:
        if not self._conn.has_service("block-storage"):
            return
        for entry, mark in self._marked("volume", self._conn.block_storage.volumes(), lambda each: marks.of_metadata(each.metadata)):
            attached = [each["server_id"] for each in entry.attachments or []]
            yield _resource("volume", entry, mark, {"size": entry.size, "attached_to": attached})


_NEUTRON_DETAILS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "floating_ip": lambda entry: {"address": entry.floating_ip_address, "port_id": entry.port_id or ""},
    "port": lambda entry: {"device_id": entry.device_id or ""},
    "subnet": lambda entry: {"cidr": entry.cidr, "network_id": entry.network_id},
    "router": lambda entry: {"external_network_id": (entry.external_gateway_info or {}).get("network_id", "")},
    "security_group": lambda entry: {"rules": [_rule(each) for each in entry.security_group_rules or []]},
}


def _rule(entry: dict[str, Any]) -> dict[str, Any]:
    names = ("direction", "ethertype", "protocol", "port_range_min", "port_range_max", "remote_ip_prefix", "remote_group_id")
    return {name: entry.get(name) for name in names}


def _resource(kind: str, entry: Any, mark: Mark, details: dict[str, Any]) -> Resource:
    name = entry.floating_ip_address if kind == "floating_ip" else entry.name
    return Resource(kind, entry.id, name, mark.cluster, mark.owner, mark.expires, str(entry.created_at or ""), details)


def _with_addresses(resources: list[Resource]) -> list[Resource]:
    """Servers know their floating address, also those of Nova's listing that are a moment behind Neutron's."""
    by_port = {each.details["port_id"]: each.details["address"] for each in resources if each.kind == "floating_ip"}
    for each in resources:
        if each.kind == "server":
            each.details["floating_ip"] = by_port.get(each.details["port_id"], "")
    return resources


def settled(finder: Finder, cluster: str, seconds: float) -> list[Resource]:
    """The cluster's things when no server of it is being built or deleted any more, or when the time is over."""
    if seconds:
        _until(lambda: finder.moving(cluster), lambda moving: not moving, seconds)
    return finder.resources(cluster)


def servers_to_ask(found: Iterable[Resource], ids: Collection[str], known_hosts: str | None) -> list[Resource]:
    """Servers whose host keys are wanted: those of the ids, and all that ``known_hosts``, the text of a file, does not name."""
    running = [each for each in found if each.kind == "server" and each.details["status"] == "ACTIVE"]
    return [each for each in running if each.id in ids or (known_hosts is not None and each.id not in known_hosts)]


def console_keys(conn: Any, servers: Iterable[Resource], seconds: float) -> dict[str, list[str]]:
    """SSH host keys by the server's id, as soon as all consoles show them; what is missing at the end has an empty list."""
    wanted = [each.id for each in servers]
    found: dict[str, list[str]] = {each: [] for each in wanted}

    def look() -> dict[str, list[str]]:
        for each in wanted:
            if not found[each]:
                found[each] = host_keys(str((conn.compute.get_server_console_output(each) or {}).get("output") or ""))
        return found

    return _until(look, lambda keys: all(keys.values()), seconds)


_MOVING = ("BUILD", "DELETED", "REBUILD", "RESIZE", "UNKNOWN")


def _until(look: Callable[[], Any], enough: Callable[[Any], bool], seconds: float) -> Any:
    end, pause = time.monotonic() + seconds, _PAUSE
    while True:
        found = look()
        if enough(found) or time.monotonic() >= end:
            return found
        time.sleep(min(pause, max(0.0, end - time.monotonic())))
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)
