# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a project holds of the kit's, as plain values, and the order in which it can be removed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# A router goes before the subnet it serves; a security group after the servers that use it; a lease when all is done.
REMOVAL_ORDER = (
    "server", "floating_ip", "port", "volume", "server_group", "router", "subnet", "network", "security_group", "keypair", "lease",
)  # fmt: skip


@dataclass(frozen=True)
class Resource:
    """One thing in a project. ``created`` is the cloud's time stamp (ISO 8601, UTC), empty where the cloud does not say.

    ``details`` by kind: server (group, status, fault, flavor, fixed_ip, floating_ip, port_id, locked), floating_ip (address, port_id),
    port (device_id), volume (size, attached_to), security_group (rules), subnet (cidr, network_id).
    """

    kind: str
    id: str
    name: str
    cluster: str
    owner: str = ""
    expires: str = ""
    created: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        """As a module returns it."""
        plain = {name: getattr(self, name) for name in ("kind", "id", "name", "cluster", "owner", "expires", "created")}
        return {**plain, **self.details}


def in_removal_order(resources: list[Resource]) -> list[Resource]:
    """Sorted so that each can be removed when those before it are gone."""
    return sorted(resources, key=lambda each: (REMOVAL_ORDER.index(each.kind), each.name, each.id))
