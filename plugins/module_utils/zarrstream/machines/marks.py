# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The mark on everything that the kit makes in a project: which cluster it belongs to, whose it is and when it may go.

It is set by the request that makes the thing, so that a run that is killed leaves nothing unmarked: as metadata of servers and
volumes, as the description of what Neutron holds, as the comment behind a key pair's public key. Server groups have room for nothing
but a name: theirs is the whole mark. What is only called as the kit calls its things is somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

KIT = "zarrstream"
_DESCRIPTION = re.compile(rf"^{KIT}((?: [a-z]+=\S+)+)$")


@dataclass(frozen=True)
class Mark:
    """``expires`` is a date, ``group`` the servers' group in the inventory; empty where there is none."""

    cluster: str
    owner: str = ""
    expires: str = ""
    group: str = ""

    def metadata(self) -> dict[str, str]:
        """Metadata of a server or a volume."""
        return {f"{KIT}_{name}": value for name, value in asdict(self).items() if value}

    def description(self) -> str:
        """Description of what Neutron holds."""
        return " ".join([KIT, *(f"{name}={value}" for name, value in asdict(self).items() if value)])

    def public_key(self, text: str) -> str:
        """A public key in OpenSSH's form with the mark as its comment, for a key pair. The cloud keeps it as it is."""
        return " ".join([*text.split()[:2], self.description()])


def lease_name(cluster: str) -> str:
    """The name of the security group that says who is changing a cluster."""
    return f"{KIT}-{cluster}.lease"


def of_metadata(metadata: Mapping[str, str] | None) -> Mark | None:
    """The mark of a server or a volume; None on what the kit did not make."""
    return _mark({key.removeprefix(f"{KIT}_"): str(value) for key, value in (metadata or {}).items() if key.startswith(f"{KIT}_")})


def of_description(description: str | None) -> Mark | None:
    """The mark of what Neutron holds; None on what the kit did not make."""
    return _mark(fields_of_description(description))


def fields_of_description(description: str | None) -> dict[str, str]:
    """All that a description of ours says; nothing for one of somebody else's."""
    found = _DESCRIPTION.match(description or "")
    return dict(each.split("=", 1) for each in found[1].split()) if found else {}


def of_public_key(text: str | None) -> Mark | None:
    """The mark of a key pair, by its public key; None on what the kit did not make."""
    return of_description(" ".join((text or "").split()[2:]))


def server_group_name(cluster: str, group: str) -> str:
    """The name of a server group, which is its mark: `of_description` reads it."""
    return Mark(cluster, group=group).description()


def _mark(fields: Mapping[str, str]) -> Mark | None:
    if not fields.get("cluster"):
        return None
    return Mark(**{name: fields.get(name, "") for name in ("cluster", "owner", "expires", "group")})
