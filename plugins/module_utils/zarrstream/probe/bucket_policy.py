# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What of a bucket's policy and S3 ACL lets in whoever comes: pure.

Read here, since the servers' own word does not tell: Ceph RGW calls a policy public that names one project, and one private that opens to
everybody from certain addresses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_EVERYBODY = {
    "http://acs.amazonaws.com/groups/global/AllUsers": "everybody",
    "http://acs.amazonaws.com/groups/global/AuthenticatedUsers": "each user of the cloud",
}
_READING = ("s3:get", "s3:list", "s3:describe")


@dataclass(frozen=True)
class Opening:
    """One thing that lets everybody in. ``conditional``: only under a condition, so that who really comes in cannot be told."""

    where: str
    what: str
    writes: bool
    conditional: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.what}{', under a condition' if self.conditional else ''}"


def open_statements(policy: Mapping[str, Any] | None) -> list[Opening]:
    """The statements of a policy that allow something to everybody."""
    return [_opening(number, each) for number, each in enumerate(_statements(policy), 1) if _is_open(each)]


def closed_policy(policy: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The policy without what opens to everybody unconditionally; None where nothing is left. All else stays as it was written."""
    kept = [each for each in _statements(policy) if not _is_open(each) or each.get("Condition")]
    return {**(policy or {}), "Statement": kept} if kept else None


def open_grants(grants: Sequence[Mapping[str, Any]]) -> list[Opening]:
    """The grants of an S3 ACL, as boto3 gives them, that are for everybody, or for each user of the cloud."""
    return [
        Opening("S3 ACL", f"{each['Permission']} for {_EVERYBODY[_group(each)]}", each["Permission"] not in ("READ", "READ_ACP"))
        for each in grants
        if _group(each) in _EVERYBODY
    ]


def closed_grants(grants: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The grants that are for somebody by name."""
    return [each for each in grants if _group(each) not in _EVERYBODY]


def named_grants(grants: Sequence[Mapping[str, Any]], owner: str) -> list[str]:
    """Who else is let in by the S3 ACL by name, each as ``READ for <id>``."""
    return [
        f"{each['Permission']} for {each['Grantee']['ID']}"
        for each in grants
        if each.get("Grantee", {}).get("ID") and each["Grantee"]["ID"] != owner
    ]


def _statements(policy: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    found = (policy or {}).get("Statement", [])
    return [found] if isinstance(found, Mapping) else list(found)


def _is_open(statement: Mapping[str, Any]) -> bool:
    if statement.get("Effect") != "Allow":
        return False
    principal = statement.get("Principal")
    named = [each for value in principal.values() for each in _listed(value)] if isinstance(principal, Mapping) else _listed(principal)
    return "NotPrincipal" in statement or "*" in named


def _opening(number: int, statement: Mapping[str, Any]) -> Opening:
    name = f"statement {number}" + (f" '{statement['Sid']}'" if statement.get("Sid") else "")
    if "NotAction" in statement:
        actions = ["everything but " + ", ".join(map(str, _listed(statement["NotAction"])))]
    else:
        actions = [str(each) for each in _listed(statement.get("Action"))]
    on = ", ".join(str(each).removeprefix("arn:aws:s3:::") for each in _listed(statement.get("Resource"))) or "all but some"
    writes = not all(each.lower().startswith(_READING) for each in actions)
    return Opening(f"{name} of the bucket policy", f"{', '.join(actions)} on {on}", writes, bool(statement.get("Condition")))


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _group(grant: Mapping[str, Any]) -> str:
    return str(grant.get("Grantee", {}).get("URI", ""))
