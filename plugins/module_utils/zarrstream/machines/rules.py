# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rules of a cluster's security group: SSH from where it is told, everything between its members, everything outwards."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .wanted import Wanted

_SELF = "the cluster itself"
_OTHER = "group "


@dataclass(frozen=True, order=True)
class Rule:
    """``source`` is a network for SSH, the cluster itself, or empty for anybody."""

    direction: str
    ethertype: str
    protocol: str = ""
    ports: str = ""
    source: str = ""

    def shown(self) -> str:
        """In a line."""
        words = [self.direction, self.ethertype, self.protocol or "everything", self.ports, f"from {self.source}" if self.source else ""]
        return " ".join(filter(None, words))


@dataclass(frozen=True)
class RuleChange:
    """Rules that are missing, and rules that somebody else put there."""

    add: tuple[Rule, ...] = ()
    remove: tuple[Rule, ...] = ()

    def lines(self) -> list[str]:
        """As in a diff."""
        return [f"- rule {each.shown()}" for each in self.remove] + [f"+ rule {each.shown()}" for each in self.add]


def wanted_rules(wanted: Wanted) -> list[Rule]:
    """What is declared."""
    ssh = [Rule("ingress", f"IPv{ipaddress.ip_network(each).version}", "tcp", "22-22", each) for each in wanted.ssh_from]
    families = ("IPv4", "IPv6")
    return [*ssh, *(Rule("ingress", each, source=_SELF) for each in families), *(Rule("egress", each) for each in families)]


def as_declared(wanted: Wanted) -> list[dict[str, Any]]:
    """The same in the words of C(openstack.cloud.security_group)."""
    return [_entry(each, wanted.name) for each in wanted_rules(wanted)]


def as_surplus(change: RuleChange, wanted: Wanted) -> list[dict[str, Any]]:
    """Rules for C(openstack.cloud.security_group_rule) to remove.

    C(openstack.cloud.security_group) (2.6.0) removes what it is not given, but stumbles over a rule that says more than one of ours: a
    protocol, where ours says everything. Those have to go before.
    """
    return [_entry(each, wanted.name) for each in change.remove if each.protocol]


def _entry(rule: Rule, cluster: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"direction": rule.direction, "ether_type": rule.ethertype}
    if rule.protocol:
        entry["protocol"] = rule.protocol
    if rule.ports:
        entry["port_range_min"], entry["port_range_max"] = map(int, rule.ports.split("-"))
    if rule.source == _SELF:
        entry["remote_group"] = cluster
    elif rule.source.startswith(_OTHER):
        entry["remote_group"] = rule.source.removeprefix(_OTHER)
    elif rule.source:
        entry["remote_ip_prefix"] = rule.source
    return entry


def rule_change(wanted: Wanted, group: Mapping[str, Any] | None) -> RuleChange:
    """What differs; nothing for a group that is still to be made."""
    if group is None:
        return RuleChange()
    declared, found = set(wanted_rules(wanted)), list(_found(group))
    return RuleChange(tuple(sorted(declared - set(found))), tuple(sorted(each for each in found if each not in declared)))


def _found(group: Mapping[str, Any]) -> Iterable[Rule]:
    for each in group["rules"]:
        ports = "" if each["port_range_min"] is None else f"{each['port_range_min']}-{each['port_range_max']}"
        other = each["remote_group_id"] and (_SELF if each["remote_group_id"] == group["id"] else f"{_OTHER}{each['remote_group_id']}")
        yield Rule(each["direction"], each["ethertype"], each["protocol"] or "", ports, other or each["remote_ip_prefix"] or "")
