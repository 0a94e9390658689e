# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is declared for a cluster: its servers by group, its network, who may reach it."""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import BadRequest
from .marks import Mark

_CLUSTER = re.compile(r"^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$")
_GROUP = re.compile(r"^[a-z][a-z0-9_]{0,30}$")
_GROUP_FIELDS = {"count": int, "flavor": str, "image": str, "volume": int, "anti_affinity": str}
_POLICIES = ("anti-affinity", "soft-anti-affinity")


@dataclass(frozen=True)
class WantedServer:
    """``volume`` in GiB, 0 for none; ``policy`` of its server group, empty for none; ``reachable`` with a floating address."""

    name: str
    group: str
    flavor: str
    image: str
    volume: int = 0
    policy: str = ""
    reachable: bool = False


@dataclass(frozen=True)
class Wanted:
    """A declared cluster. ``network`` names one that is there already; empty for one of its own with ``cidr``."""

    mark: Mark
    servers: tuple[WantedServer, ...]
    network: str
    external_network: str
    cidr: str
    ssh_from: tuple[str, ...]
    public_key: str

    @property
    def name(self) -> str:
        """The cluster's name, also that of its network, subnet, router and security group."""
        return self.mark.cluster

    @property
    def keypair(self) -> str:
        """Name of its key pair."""
        return f"zarrstream-{self.name}"


def wanted_from(params: Mapping[str, Any]) -> Wanted:
    """The declaration as checked values; raises BadRequest that names the variable, the value and the remedy."""
    cluster = str(params["cluster"])
    if not _CLUSTER.match(cluster):
        raise BadRequest(f"vm_cluster is '{cluster}': up to 32 lower case letters, digits and dashes, a letter first. Choose such a name.")
    return Wanted(
        mark=Mark(cluster, str(params["owner"]).replace(" ", "_"), _date(str(params["expires"]))),
        servers=_servers(cluster, params),
        network=params["network"],
        external_network=params["external_network"],
        cidr=_cidr("vm_subnet_cidr", params["subnet_cidr"]),
        ssh_from=tuple(_cidr("vm_ssh_from", each) for each in params["ssh_from"]),
        public_key=params["public_key"],
    )


def _servers(cluster: str, params: Mapping[str, Any]) -> tuple[WantedServer, ...]:
    servers: list[WantedServer] = []
    for group, entry in params["servers"].items():
        fields = _group(group, entry, params["image"])
        for number in range(1, fields["count"] + 1):
            name = f"{cluster}-{group.replace('_', '-')}-{number}"
            reachable = params["floating_ips"] == "all" or (params["floating_ips"] == "jump" and not servers)
            servers.append(
                WantedServer(name, group, fields["flavor"], fields["image"], fields["volume"], fields["anti_affinity"], reachable)
            )
    names = [each.name for each in servers]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadRequest(f"vm_servers gives two servers the name {twice[0]}: rename one of the groups.")
    return tuple(servers)


def _group(group: str, entry: Any, image: str) -> dict[str, Any]:
    where = f"vm_servers.{group}"
    if not _GROUP.match(group):
        raise BadRequest(f"{where}: the name of a group has lower case letters, digits and underscores, a letter first. Rename it.")
    if not isinstance(entry, dict) or not entry.get("flavor"):
        raise BadRequest(f"{where} is '{entry}': write it as {{count: 1, flavor: m3.small}}.")
    unknown = sorted(set(entry) - set(_GROUP_FIELDS))
    if unknown:
        raise BadRequest(f"{where} has '{unknown[0]}', which there is not. There are: {', '.join(_GROUP_FIELDS)}.")
    fields = {"count": 1, "image": image, "volume": 0, "anti_affinity": "", **entry}
    for name, kind in _GROUP_FIELDS.items():
        if not isinstance(fields[name], kind) or isinstance(fields[name], bool) or (kind is int and fields[name] < 0):
            raise BadRequest(f"{where}.{name} is '{fields[name]}': {'a whole number, 0 or more' if kind is int else 'a text'} is wanted.")
    if not fields["image"]:
        raise BadRequest(f"{where} has no image. Set vm_image, or image in this group.")
    if fields["anti_affinity"] not in ("", *_POLICIES):
        raise BadRequest(f"{where}.anti_affinity is '{fields['anti_affinity']}': write one of {', '.join(_POLICIES)}, or leave it out.")
    return fields


def _cidr(variable: str, text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise BadRequest(f"{variable} has '{text}', which is no network: {error}. Write it as 203.0.113.7/32 or 10.77.0.0/24.") from None


def _date(text: str) -> str:
    try:
        return datetime.date.fromisoformat(text).isoformat() if text else ""
    except ValueError:
        raise BadRequest(f"vm_expires is '{text}': write a date as 2026-12-31, or nothing.") from None
