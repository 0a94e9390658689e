# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What to do about the EC2 credentials of a project: one pure decision for check mode, diff mode and the real run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from ..errors import BadRequest, Conflict, ZarrstreamError
from .ec2_note import NOTHING, Note, Noted, Owner, Stage


class Action(StrEnum):
    """What happens to the pair, in the words of the module's result."""

    REUSED = "reused"  # the pair of the profile works
    LISTED = "listed"  # a pair that Keystone has for this project works
    RECOVERED = "recovered"  # the note names a pair that never got into the profile, or got lost from it
    CREATED = "created"
    SUPPLIED = "supplied"  # the caller brought the pair
    ROTATED = "rotated"
    REVOKED = "revoked"
    REMOVED = "removed"  # the profile goes, its pair stays
    NONE = "none"


class Phase(StrEnum):
    """How far a rotation goes in one run."""

    ALL = "all"
    BEGIN = "begin"  # until the profile holds the new pair; the old one stays valid
    FINISH = "finish"  # the old one is revoked


@dataclass(frozen=True)
class Pair:
    """An access key and its secret. The secret stays out of ``repr``."""

    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True)
class Seen:
    """What Keystone says of a pair: ``exists`` and ``project`` None where it does not say."""

    exists: bool | None = None
    project: str | None = None
    pair: Pair | None = None


@dataclass(frozen=True)
class Wanted:
    """The request: for this owner, a pair in the profile (or none), a new one, or the one that is brought.

    ``adopt``: a pair that only Keystone's list shows may be used. ``revoke_adopted``: one that the kit did not make may be revoked.
    """

    owner: Owner
    present: bool = True
    rotate: bool = False
    phase: Phase = Phase.ALL
    supplied: Pair | None = None
    adopt: bool = True
    revoke_adopted: bool = False

    @property
    def finishes(self) -> bool:
        """Whether nothing is asked for but the end of a rotation."""
        return self.rotate and self.phase is Phase.FINISH


@dataclass(frozen=True)
class Found:
    """What was seen. Whatever cannot be decided (a dead endpoint, a wrong clock) has raised an error before.

    ``held``: the pair in the profile. ``held_works``: what a signed request said. ``held_project``: the project that Keystone
    says it is for; None where nobody says. ``listed``: the pairs of this project in Keystone that the profile may take, None where
    they were not asked for, or it refuses to list them. ``proven``: the one of them that a signed request proved.

    ``note``: all that was noted beside the file. ``gone``: pairs, held or noted, that Keystone does not have, and will not have.
    ``unused``: noted pairs that nobody has been given. ``recovered``: a noted pair that is not in the profile, and that a signed
    request proved. ``uncertain``: pairs of which an interrupted request may have made one, and others may have made them as well.
    ``nameless_gone``: nothing has come of such a request. ``elsewhere``: for access keys, the places on this controller that hold
    them too.
    """

    held: Pair | None = None
    held_works: bool = False
    held_project: str | None = None
    listed: tuple[Pair, ...] | None = None
    proven: Pair | None = None
    note: Note = NOTHING
    gone: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    recovered: Pair | None = None
    uncertain: tuple[str, ...] = ()
    nameless_gone: bool = False
    elsewhere: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Left:
    """A pair that stays valid, and why."""

    access_key: str
    why: str


@dataclass(frozen=True)
class Ec2Plan:
    """The decision: ``pair`` goes into the profile (None: one that is still to be made, or none), then those of ``revoke`` die.

    ``replaced``: stay valid until the rotation is finished. ``left``: stay valid. ``forget``: the note need not name them any more.
    ``ours``: whether the pair in the profile is one that the note names; None where there is none.
    """

    action: Action
    pair: Pair | None = None
    create: bool = False
    revoke: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    left: tuple[Left, ...] = ()
    forget: tuple[str, ...] = ()
    forget_nameless: bool = False
    ours: bool | None = None


def check(wanted: Wanted) -> None:
    """Raises BadRequest for a request that contradicts itself."""
    if wanted.supplied and wanted.rotate:
        raise BadRequest("rotate and access_key exclude each other: a supplied pair replaces the old one by itself. Remove one of them.")
    if wanted.supplied and not wanted.present:
        raise BadRequest("access_key has no meaning with state absent: the pair in the profile is revoked. Remove it.")
    if wanted.rotate and not wanted.present:
        raise BadRequest("rotate has no meaning with state absent. Remove one of them.")
    if wanted.phase is not Phase.ALL and not wanted.rotate:
        raise BadRequest(f"phase is '{wanted.phase}', and has a meaning with rotate: true alone. Set that, or remove phase.")


def plan(wanted: Wanted, found: Found) -> Ec2Plan:
    """Never makes a pair while one works, and revokes none but those that the note names, or that it was told to."""
    _check_project(wanted, found)
    if not wanted.present:
        decided = _absent(wanted, found)
    elif wanted.supplied:
        decided = _supplied(wanted, found)
    elif wanted.rotate:
        decided = _finish(wanted, found) if wanted.finishes else _rotate(wanted, found)
    else:
        decided = _present(wanted, found)
    named = {*decided.revoke, *(each.access_key for each in decided.left)}
    uncertain = tuple(Left(key, _UNCERTAIN) for key in found.uncertain if key not in named and key != _key(decided.pair))
    return replace(decided, left=decided.left + uncertain, forget=found.gone, forget_nameless=found.nameless_gone)


_ADOPTED = "this controller has no note of having made it; revoke_adopted: true revokes it all the same"
_UNCERTAIN = (
    "a request that was interrupted may have made it, and so may somebody else, which cannot be told; "
    "state: absent with revoke and its access key revokes it"
)


def _absent(wanted: Wanted, found: Found) -> Ec2Plan:
    noted = (each for each in found.note.of(wanted.owner) if each.stage is not Stage.CREATING or each.access_key in found.unused)
    keys = _distinct(_key(found.held), *(each.access_key for each in noted))
    revoke, left = _judged(wanted, found, tuple(key for key in keys if key not in found.gone))
    nothing = Action.REMOVED if found.held else Action.NONE
    return Ec2Plan(Action.REVOKED if revoke else nothing, revoke=revoke, left=left)


def _supplied(wanted: Wanted, found: Found) -> Ec2Plan:
    pair, old = wanted.supplied, found.held
    ours = _is_ours(wanted, found, _key(pair))
    if pair == old:
        return Ec2Plan(Action.REUSED, pair, replaced=_replaced(wanted, found, pair), ours=ours)
    retired = (old.access_key,) if old and old.access_key != _key(pair) and _is_ours(wanted, found, old.access_key) else ()
    return Ec2Plan(Action.SUPPLIED, pair, replaced=_distinct(*_replaced(wanted, found, pair), *retired), ours=ours)


def _present(wanted: Wanted, found: Found) -> Ec2Plan:
    if found.held_works:
        held = found.held
        ours = _is_ours(wanted, found, _key(held))
        return Ec2Plan(Action.REUSED, held, revoke=found.unused, replaced=_replaced(wanted, found, held), ours=ours)
    if found.recovered:
        return _instead(Action.RECOVERED, wanted, found, found.recovered)
    if found.proven:
        return _instead(Action.LISTED, wanted, found, found.proven)
    if found.listed:
        raise ZarrstreamError(
            f"Keystone lists {len(found.listed)} EC2 credential(s) for project {wanted.owner.project_id}, and the S3 endpoint "
            "refuses each: a further one would be refused too. Check that endpoint_url belongs to this cloud; rotate: true makes a new "
            "one all the same.",
            access_keys=[pair.access_key for pair in found.listed],
        )
    return _instead(Action.CREATED, wanted, found, None)


def _rotate(wanted: Wanted, found: Found) -> Ec2Plan:
    """A rotation that has begun is gone on with: there is no third pair."""
    begun = _replaced(wanted, found, found.held)
    if found.held_works and begun:
        decided = Ec2Plan(Action.ROTATED, found.held, revoke=found.unused, replaced=begun, ours=_is_ours(wanted, found, _key(found.held)))
    else:
        decided = _instead(Action.ROTATED if found.held else Action.CREATED, wanted, found, found.recovered)
    revoke, left = _judged(wanted, found, decided.replaced)
    if wanted.phase is Phase.BEGIN:
        return replace(decided, left=left)
    return replace(decided, revoke=decided.revoke + revoke, replaced=(), left=left)


def _finish(wanted: Wanted, found: Found) -> Ec2Plan:
    old = _replaced(wanted, found, found.held)
    ours = _is_ours(wanted, found, _key(found.held)) if found.held else None
    if old and not found.held_works:
        raise ZarrstreamError(
            f"profile '{wanted.owner.profile}' holds no pair that works, so that the one before it, {', '.join(old)}, was not revoked. "
            "Run with rotate: true and phase: begin first.",
            access_keys=list(old),
        )
    revoke, left = _judged(wanted, found, old)
    kept = tuple(each.access_key for each in left if each.access_key in found.elsewhere)  # until nothing here holds it
    return Ec2Plan(Action.REVOKED if revoke else Action.NONE, found.held, revoke=revoke, replaced=kept, left=left, ours=ours)


def _instead(action: Action, wanted: Wanted, found: Found, pair: Pair | None) -> Ec2Plan:
    """A pair (None: a new one) in the place of the one that is held."""
    old = _key(found.held)
    stays = old not in (None, _key(pair), *found.gone) and (wanted.rotate or _is_ours(wanted, found, old))
    replaced = _distinct(*_replaced(wanted, found, pair), old if stays else None)
    return Ec2Plan(
        action,
        pair,
        create=pair is None,
        revoke=tuple(key for key in found.unused if key != _key(pair)),
        replaced=replaced,
        ours=pair is None or _is_ours(wanted, found, pair.access_key),
    )


def _replaced(wanted: Wanted, found: Found, pair: Pair | None) -> tuple[str, ...]:
    """The pairs whose place another one has taken, and that hosts may still use."""
    old = (each.access_key for each in found.note.of(wanted.owner) if each.stage is Stage.REPLACED)
    return tuple(key for key in _distinct(*old) if key not in (*found.gone, _key(pair)))


def _judged(wanted: Wanted, found: Found, keys: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[Left, ...]]:
    """Which of these pairs may be revoked, and why the others stay."""
    revoke, left = [], []
    for key in keys:
        noted = found.note.find(key)
        if key in found.elsewhere:
            left.append(Left(key, f"{found.elsewhere[key]} holds it too"))
        elif _is_ours(wanted, found, key) or wanted.revoke_adopted:
            revoke.append(key)
        elif noted and noted.ours:
            left.append(Left(key, f"it was made for profile '{noted.profile}' by user {noted.user_id} in project {noted.project_id}"))
        else:
            left.append(Left(key, _ADOPTED))
    return tuple(revoke), tuple(left)


def _is_ours(wanted: Wanted, found: Found, access_key: str | None) -> bool:
    noted: Noted | None = found.note.find(access_key)
    return bool(noted and noted.ours and noted.is_of(wanted.owner))


def _key(pair: Pair | None) -> str | None:
    return pair.access_key if pair else None


def _distinct(*keys: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key for key in keys if key))


def _check_project(wanted: Wanted, found: Found) -> None:
    if wanted.supplied or found.held is None or found.held_project in (None, wanted.owner.project_id):
        return
    raise Conflict(
        f"profile '{wanted.owner.profile}' holds access key {found.held.access_key} of project {found.held_project}, "
        f"but this login is for project {wanted.owner.project_id}. Name another 'profile' for this project.",
        access_key=found.held.access_key,
        project_id=wanted.owner.project_id,
    )
