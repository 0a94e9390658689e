# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who may read and write a bucket, by its Swift ACLs: what is declared, what is found, and what has to change. Pure.

Private means that anonymous clients may do nothing. Grants to projects and users by name stay, unless the declaration lists them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..errors import BadRequest

ANONYMOUS_READ = (".r:*", ".rlistings")
_EVERYONE = ("*:*", "*")
# A project, or a user of it. Swift would take a word alone for the name of a role.
_NAMED = re.compile(r"^[^\s,.:][^\s,:]*(:[^\s,:]+)?$")


@dataclass(frozen=True)
class GrantPlan:
    """The ACLs as they should be, as Swift spells them. ``lines`` tell what stays, goes and comes, where anything changes."""

    read: str
    write: str
    lines: tuple[str, ...]

    @property
    def changes(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.lines)


def plan(found_read: str, found_write: str, public: bool, read: Sequence[str] | None, write: Sequence[str] | None) -> GrantPlan:
    """What is to be done. ``read`` and ``write`` None: named grants stay. Raises BadRequest for an entry that is no project or user."""
    wanted_read = _wanted(found_read, ANONYMOUS_READ if public else (), _declared("bucket_read", read))
    wanted_write = _wanted(found_write, (), _declared("bucket_write", write))
    lines = [*_lines("read", found_read, wanted_read), *_lines("write", found_write, wanted_write)]
    return GrantPlan(
        _spelled(found_read, wanted_read),
        _spelled(found_write, wanted_write),
        tuple(lines) if any(not line.startswith(" ") for line in lines) else (),
    )


def _declared(variable: str, entries: Sequence[str] | None) -> list[str] | None:
    if entries is None:
        return None
    for each in entries:
        if not _NAMED.match(str(each)):
            raise BadRequest(
                f"{variable} has '{each}': write the id of a project, or project:user, or project:* for all of its users. "
                "Anonymous clients are let in by bucket_public: true alone."
            )
    return [each if ":" in each else f"{each}:*" for each in map(str, entries)]


def _wanted(found: str, anonymous: Iterable[str], declared: list[str] | None) -> list[str]:
    named = [each for each in _entries(found) if is_named(each)] if declared is None else declared
    return list(dict.fromkeys([*anonymous, *named]))


def is_named(entry: str) -> bool:
    """Whether an entry of a Swift ACL is for somebody by name: not for anonymous clients, nor for each user of the cloud."""
    return not entry.startswith(".") and entry not in _EVERYONE


def _entries(acl: str) -> list[str]:
    return [each for each in (part.strip() for part in acl.split(",")) if each.strip(".")]


def _spelled(found: str, wanted: list[str]) -> str:
    """The ACL that is there where it says the same, in whatever order."""
    return found if set(_entries(found)) == set(wanted) else ",".join(wanted)


def _lines(what: str, found: str, wanted: list[str]) -> list[str]:
    there = _entries(found)
    gone = [each for each in there if each not in wanted]
    return [
        *(f"- {what} {each}" for each in gone),
        *(f"  {what} {each}" for each in there if each in wanted),
        *(f"+ {what} {each}" for each in wanted if each not in there),
    ]
