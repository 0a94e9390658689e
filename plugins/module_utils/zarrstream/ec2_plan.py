# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What to do about the EC2 credentials of a project: one pure decision for check mode, diff mode and the real run."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from .errors import BadRequest, Conflict, ZarrstreamError


class Action(StrEnum):
    """What happens to the pair, in the words of the module's result."""

    REUSED = "reused"  # the pair of the profile works
    LISTED = "listed"  # a pair that Keystone has for this project works
    CREATED = "created"
    SUPPLIED = "supplied"  # the caller brought the pair
    ROTATED = "rotated"
    REVOKED = "revoked"
    NONE = "none"


@dataclass(frozen=True)
class Pair:
    """An access key and its secret. The secret stays out of ``repr``."""

    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True)
class Wanted:
    """The request: for this project, a pair in the profile (or none), a new one, or the one that is brought."""

    project_id: str
    profile: str = "default"
    present: bool = True
    rotate: bool = False
    supplied: Pair | None = None


@dataclass(frozen=True)
class Found:
    """What was seen. Whatever cannot be decided (a dead endpoint, a wrong clock) has raised an error before.

    ``held``: the pair in the profile. ``held_works``: what a signed request said. ``held_project``: the project that Keystone
    says it is for; None where Keystone does not say. ``listed``: the pairs of this project in Keystone, None where it
    refuses to list them. ``proven``: the one of them that a signed request proved.
    """

    held: Pair | None = None
    held_works: bool = False
    held_project: str | None = None
    listed: tuple[Pair, ...] | None = None
    proven: Pair | None = None


@dataclass(frozen=True)
class Ec2Plan:
    """The decision: ``pair`` goes into the profile (None: one that is still to be made, or none), then ``revoke`` dies."""

    action: Action
    pair: Pair | None = None
    create: bool = False
    revoke: str | None = None


def check(wanted: Wanted) -> None:
    """Raises BadRequest for a request that contradicts itself."""
    if wanted.supplied and wanted.rotate:
        raise BadRequest("rotate and access_key exclude each other: a supplied pair replaces the old one by itself. Remove one of them.")
    if wanted.supplied and not wanted.present:
        raise BadRequest("access_key has no meaning with state absent: the pair in the profile is revoked. Remove it.")
    if wanted.rotate and not wanted.present:
        raise BadRequest("rotate has no meaning with state absent. Remove one of them.")


def plan(wanted: Wanted, found: Found) -> Ec2Plan:
    """Never makes a pair while one works, and revokes none but the profile's own."""
    _check_project(wanted, found)
    if not wanted.present:
        return Ec2Plan(Action.REVOKED, revoke=found.held.access_key) if found.held else Ec2Plan(Action.NONE)
    if wanted.supplied:
        return Ec2Plan(Action.REUSED if wanted.supplied == found.held else Action.SUPPLIED, pair=wanted.supplied)
    if wanted.rotate:
        if found.held is None:
            return Ec2Plan(Action.CREATED, create=True)
        return Ec2Plan(Action.ROTATED, create=True, revoke=found.held.access_key)
    if found.held_works:
        return Ec2Plan(Action.REUSED, pair=found.held)
    if found.proven:
        return Ec2Plan(Action.LISTED, pair=found.proven)
    if found.listed:
        raise ZarrstreamError(
            f"Keystone lists {len(found.listed)} EC2 credential(s) for project {wanted.project_id}, and the S3 endpoint refuses each: "
            "a further one would be refused too. Check that endpoint_url belongs to this cloud; rotate: true makes a new one all the same.",
            access_keys=[pair.access_key for pair in found.listed],
        )
    return Ec2Plan(Action.CREATED, create=True)


def _check_project(wanted: Wanted, found: Found) -> None:
    if wanted.supplied or found.held is None or found.held_project in (None, wanted.project_id):
        return
    raise Conflict(
        f"profile '{wanted.profile}' holds access key {found.held.access_key} of project {found.held_project}, "
        f"but this login is for project {wanted.project_id}. Name another 'profile' for this project.",
        access_key=found.held.access_key,
        project_id=wanted.project_id,
    )
