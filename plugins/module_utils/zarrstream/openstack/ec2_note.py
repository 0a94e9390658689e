# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The note beside an AWS configuration file: which EC2 credentials the kit has made for its profiles. No secret is in it.

Keystone keeps neither a name nor a date of a pair, so this is the only record. A pair is noted before Keystone is asked for it, and
revoked only where the note names it.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from ..errors import ProfileError
from ..profiles import safe_file

_SUFFIX = ".zarrstream.json"
_FORMAT = 1
_MODE = 0o600
_OTHERS_WRITE = 0o022
_KEY = re.compile(r"^[\w.-]{1,128}$")
_LATE = timedelta(minutes=10)  # a request that was sent is answered, or lost, by then


class Stage(StrEnum):
    """How far a pair has come."""

    CREATING = "creating"  # asked for, or about to be; nobody has been given it
    WRITTEN = "written"  # it is, or was, in the profile
    REPLACED = "replaced"  # another one is in the profile; hosts may still use it


@dataclass(frozen=True)
class Owner:
    """For which profile, by which login: what tells one's own pairs from those that another login made for the same file."""

    profile: str
    cloud: str
    auth_url: str
    user_id: str
    project_id: str


@dataclass(frozen=True)
class Noted:
    """One pair. ``access_key``: None where Keystone was to choose it, and its answer did not arrive.

    ``replaces``: the access key whose place it takes in the profile. ``known``: the access keys that Keystone listed before it was
    asked, None where it lists none. ``ours``: False for a pair that was found, and that a rotation has replaced.
    """

    access_key: str | None
    profile: str
    cloud: str
    auth_url: str
    user_id: str
    project_id: str
    made: str
    stage: Stage
    replaces: str | None = None
    known: tuple[str, ...] | None = None
    ours: bool = True

    def is_of(self, owner: Owner) -> bool:
        """Whether this login made it for this profile. The address of a Keystone may be spelled in several ways; ids are unique."""
        return (self.profile, self.user_id, self.project_id) == (owner.profile, owner.user_id, owner.project_id)

    def may_be_on_its_way(self, now: datetime) -> bool:
        """Whether the request for it may still be answered."""
        return now - datetime.fromisoformat(self.made) < _LATE


@dataclass(frozen=True)
class Note:
    """All pairs that were made for the profiles of one file."""

    pairs: tuple[Noted, ...] = ()

    def of(self, owner: Owner) -> tuple[Noted, ...]:
        """The pairs of one profile and login, in the order in which they were made."""
        return tuple(pair for pair in self.pairs if pair.is_of(owner))

    def find(self, access_key: str | None) -> Noted | None:
        """What is noted of this pair, whoever made it."""
        return next((pair for pair in self.pairs if access_key and pair.access_key == access_key), None)

    def add(self, pair: Noted) -> Note:
        """The note with this pair, in the place of what it said of it."""
        return Note((*self.without(pair.access_key).pairs, pair))

    def without(self, *access_keys: str | None) -> Note:
        """The note without these pairs. One without an access key is taken out by ``without_nameless``."""
        gone = {key for key in access_keys if key}
        return Note(tuple(pair for pair in self.pairs if pair.access_key not in gone))

    def without_nameless(self, owner: Owner) -> Note:
        """The note without the requests of this login that named no access key."""
        return Note(tuple(pair for pair in self.pairs if pair.access_key or not pair.is_of(owner)))

    def moved(self, access_key: str | None, stage: Stage) -> Note:
        """The note with this pair at another stage; as it is where it does not name the pair."""
        found = self.find(access_key)
        return self.add(replace(found, stage=stage)) if found else self


NOTHING = Note()


def new_pair(owner: Owner, access_key: str | None, stage: Stage, **more: Any) -> Noted:
    """The entry of a pair as of now."""
    return Noted(access_key, made=datetime.now(UTC).isoformat(timespec="seconds"), stage=stage, **asdict(owner), **more)


def settled(note: Note, owner: Owner, held: str | None) -> Note:
    """The note as it is once the profile holds this access key: a run may have ended after it wrote the profile, and before this."""
    found = note.find(held)
    if found is None or not found.is_of(owner) or found.stage is not Stage.CREATING:
        return note
    return replaced(note.moved(held, Stage.WRITTEN), owner, found.replaces)


def replaced(note: Note, owner: Owner, access_key: str | None) -> Note:
    """The note with this pair as one whose place another has taken; one that the kit did not make is noted as such."""
    found = note.find(access_key)
    if found is None:
        return note.add(new_pair(owner, access_key, Stage.REPLACED, ours=False)) if access_key else note
    return note.moved(access_key, Stage.REPLACED) if found.is_of(owner) else note


@dataclass
class NoteFile:
    """The note on disk. ``save`` replaces it in one step and is done when it is on the disk."""

    path: Path
    note: Note

    def save(self, note: Note) -> None:
        """Raises ProfileError where the note cannot be written: then no pair may be made."""
        if note == self.note:
            return
        try:
            if note.pairs:
                safe_file.write(self.path, dump(note).encode(), _MODE)
            else:
                safe_file.remove(self.path)
        except OSError as error:
            raise ProfileError(
                f"cannot write {self.path}, the note of the EC2 credentials that were made: {error.strerror or error}. "
                "Check the owner, the free space and the mount of its folder.",
                note=str(self.path),
            ) from None
        self.note = note


def note_path(config_file: Path) -> Path:
    """Where the note of a configuration file lies."""
    return config_file.with_name(config_file.name + _SUFFIX)


def read(config_file: Path) -> NoteFile:
    """The note of a configuration file; an empty one where there is none. Raises ProfileError for what is no note."""
    path = note_path(config_file)
    found = safe_file.read(path)
    if found.data is None:
        return NoteFile(path, NOTHING)
    if (found.mode or 0) & _OTHERS_WRITE:
        raise _unreadable(path, f"others may write it: its mode is {found.mode:04o}")
    return NoteFile(path, parse(found.data, path))


def dump(note: Note) -> str:
    """The text of the note."""
    told = "EC2 credentials that Zarrstream made for the profiles of the file beside it; without this note it revokes none of them"
    return json.dumps({"about": told, "format": _FORMAT, "pairs": [asdict(pair) for pair in note.pairs]}, indent=2) + "\n"


def parse(data: bytes, path: Path) -> Note:
    """The note in this text. Raises ProfileError, with the way out."""
    try:
        said = json.loads(data)
        if said["format"] != _FORMAT:
            raise _unreadable(path, f"its format is {said['format']!r}, and this version knows {_FORMAT}")
        return Note(tuple(_entry(each) for each in said["pairs"]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}") from None


def _entry(said: dict[str, Any]) -> Noted:
    known = said.get("known")
    values = {each.name: said[each.name] for each in fields(Noted) if each.name in said}
    entry = Noted(**values | {"stage": Stage(said["stage"]), "known": None if known is None else tuple(known)})
    for key in (entry.access_key, entry.replaces, *(entry.known or ())):
        if key is not None and not _KEY.match(key):
            raise ValueError(f"{key!r} is no access key")
    if datetime.fromisoformat(entry.made).tzinfo is None:
        raise ValueError(f"{entry.made!r} has no time zone")
    return entry


def _unreadable(path: Path, why: str) -> ProfileError:
    return ProfileError(
        f"{path} is no note of EC2 credentials ({why}). Put back the one that was there, or move it away: "
        "pairs that no note names are used, and never revoked.",
        note=str(path),
    )
