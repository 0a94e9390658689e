# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which pair of EC2 credentials a profile has, which there are, and which of them work: all that is asked before it is decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from ..errors import AccessRefused
from .ec2_note import NOTHING, Note, Noted, Stage
from .ec2_plan import Found, Pair, Seen, Wanted, check
from .keystone import Ec2Keys, Login, project_of_owner
from .signed_request import SignedRequest, reach


def find(wanted: Wanted, place: Place, keys: Ec2Keys, proof: SignedRequest, who: Login) -> Found:
    """Ask only what the decision needs. Raises an error where the endpoint cannot be asked: then nothing may be made."""
    check(wanted)
    found = Found(held=place.held, note=place.note, elsewhere=place.elsewhere)
    if wanted.supplied:
        _prove_supplied(wanted.supplied, proof)
        return found
    looked = _look(wanted, found, keys)
    found = _with_noted(wanted, found, looked, keys)
    if not wanted.present:
        return _with_held(found, keys)
    if found.held and _has_to_work(wanted, found) and proof.works(found.held) and not _is_revoked(wanted, found, keys):
        project = project_of_owner(proof.owner, who) or _noted_project(found)
        return replace(_with_held(found, keys) if project is None else replace(found, held_project=project), held_works=True)
    if wanted.finishes:
        return found
    reach(proof)
    found = _with_held(found, keys)
    found = replace(found, recovered=next((pair for pair in _recoverable(wanted, looked) if proof.works(pair)), None))
    if wanted.rotate or found.recovered:
        return found
    listed = _usable(wanted, found, keys.list())
    return replace(found, listed=listed, proven=next((pair for pair in listed or () if proof.works(pair)), None))


@dataclass(frozen=True)
class Place:
    """What lies on the controller: the pair in the profile, the note beside the file, and who else there holds the pairs that it names."""

    held: Pair | None = None
    note: Note = NOTHING
    elsewhere: Mapping[str, str] = field(default_factory=dict)


def _has_to_work(wanted: Wanted, found: Found) -> bool:
    """A rotation asks for the pair in the profile only where it may be the new one."""
    if not wanted.rotate:
        return True
    return wanted.finishes or any(each.stage is Stage.REPLACED for each in found.note.of(wanted.owner))


def _is_revoked(wanted: Wanted, found: Found, keys: Ec2Keys) -> bool:
    """Whether the pair in the profile, which we made, is gone: Ceph RGW accepts a revoked one for five minutes more."""
    noted = found.note.find(found.held.access_key) if found.held else None
    if not (noted and noted.access_key and noted.ours and noted.is_of(wanted.owner)):
        return False  # Keystone shows a user no pair of another one
    return keys.look(noted.access_key).exists is False


def _look(wanted: Wanted, found: Found, keys: Ec2Keys) -> dict[Noted, Seen]:
    """What Keystone says of the noted pairs that the profile does not hold; of those that were replaced, where they may have to go."""
    held = found.held.access_key if found.held else None
    mine = [each for each in found.note.of(wanted.owner) if each.access_key and each.access_key != held]
    asked = mine if wanted.rotate or not wanted.present else [each for each in mine if each.stage is not Stage.REPLACED]
    return {each: keys.look(each.access_key) for each in asked if each.access_key}


def _with_noted(wanted: Wanted, found: Found, looked: Mapping[Noted, Seen], keys: Ec2Keys) -> Found:
    """What has become of the pairs that runs before this one noted."""
    now = datetime.now(UTC)
    gone = [each for each, seen in looked.items() if seen.exists is False]
    lost = tuple(str(each.access_key) for each in gone if each.stage is not Stage.CREATING or not each.may_be_on_its_way(now))
    unused = tuple(str(each.access_key) for each in looked if each.stage is Stage.CREATING and each not in gone)
    nameless = [each for each in found.note.of(wanted.owner) if each.access_key is None]
    listed = keys.list() if nameless else None
    uncertain = {
        pair.access_key: None
        for pair in listed or ()
        for each in nameless
        if each.known is not None and pair.access_key not in each.known and not found.note.find(pair.access_key)
    }
    over = listed is not None and not uncertain and not any(each.may_be_on_its_way(now) for each in nameless)
    return replace(found, gone=lost, unused=unused, uncertain=tuple(uncertain), nameless_gone=bool(nameless) and over)


def _recoverable(wanted: Wanted, looked: Mapping[Noted, Seen]) -> list[Pair]:
    """Noted pairs with which a run can go on: those that nobody has been given, and those that got lost from the profile."""
    stages = (Stage.CREATING,) if wanted.rotate else (Stage.CREATING, Stage.WRITTEN)
    return [seen.pair for each, seen in looked.items() if each.stage in stages and seen.pair]


def _usable(wanted: Wanted, found: Found, listed: tuple[Pair, ...] | None) -> tuple[Pair, ...] | None:
    """Of the pairs that Keystone lists: the profile's own, whose secret may have been damaged, and those that no note has for somebody."""
    if listed is None:
        return None
    held = found.held.access_key if found.held else None
    return tuple(pair for pair in listed if pair.access_key == held or (wanted.adopt and not found.note.find(pair.access_key)))


def _with_held(found: Found, keys: Ec2Keys) -> Found:
    """What Keystone says of the pair in the profile."""
    if not found.held:
        return found
    seen = keys.look(found.held.access_key)
    gone = (*found.gone, found.held.access_key) if seen.exists is False else found.gone
    return replace(found, held_project=seen.project or _noted_project(found), gone=gone)


def _noted_project(found: Found) -> str | None:
    noted = found.note.find(found.held.access_key) if found.held else None
    return noted.project_id if noted else None


def _prove_supplied(pair: Pair, proof: SignedRequest) -> None:
    if not proof.works(pair):
        raise AccessRefused(
            f"the object store refuses the supplied access_key {pair.access_key} with its secret_key. The pair is wrong, revoked, or "
            "of another cloud. Correct it; nothing was written.",
            access_key=pair.access_key,
        )
