# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""EC2 credentials from Keystone into an AWS profile: find what works, decide once, note, make, prove and revoke in the safe order."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from ..errors import AccessRefused, ZarrstreamError
from ..profiles import profile_file
from ..profiles.profile import DEFAULT_REGION, Profile
from ..profiles.profile_file import FilePlan, FoundFile
from ..profiles.profile_text import NEW, ProfileSettings
from ..signals import held_back
from ..storage.boto import expected_region, s3_client, translate
from ..storage.timeouts import PATIENCE
from . import ec2_note
from .ec2_note import NOTHING, Note, Noted, NoteFile, Owner, Stage
from .ec2_plan import Ec2Plan, Found, Left, Pair, Seen, Wanted, check
from .keystone import Login, project_of_owner

_REFUSED = ("InvalidAccessKeyId", "SignatureDoesNotMatch")  # all others leave open whether the pair works
_PROPAGATION = 15.0  # seconds until a new pair must be known to the object store


class Keys(Protocol):
    """What is asked of Keystone; ``keystone.Ec2Keys`` is the real one."""

    @property
    def chooses(self) -> bool: ...
    def list(self) -> tuple[Pair, ...] | None: ...
    def look(self, access_key: str) -> Seen: ...
    def create_as(self, pair: Pair) -> bool: ...
    def create(self) -> Pair: ...
    def delete(self, access_key: str) -> bool: ...


class Proof(Protocol):
    """What is asked of the object store; ``SignedRequest`` is the real one."""

    @property
    def region(self) -> str: ...
    @property
    def owner(self) -> str | None: ...
    def works(self, pair: Pair) -> bool: ...


class SignedRequest:
    """Proves a pair by listing the buckets with it. ``region`` is the one given, or what the server asks for."""

    def __init__(self, profile: str, endpoint_url: str, region: str | None, ca_bundle: str | None, held_region: str | None = None) -> None:
        self._asked = region is None
        self._owner: str | None = None
        self._probe = Profile(profile, endpoint_url, region or held_region or DEFAULT_REGION, "", "", ca_bundle)

    @property
    def region(self) -> str:
        return self._probe.region

    @property
    def owner(self) -> str | None:
        """Whom the server named as the owner of the buckets, for the pair that worked last."""
        return self._owner

    def works(self, pair: Pair) -> bool:
        """True or False where the server knows; every other answer is an error that says why nothing can be decided."""
        from botocore.exceptions import BotoCoreError, ClientError

        signed = replace(self._probe, access_key=pair.access_key, secret_key=pair.secret_key)
        try:
            self._owner = s3_client(signed, read_timeout=PATIENCE).list_buckets().get("Owner", {}).get("ID")
        except (ClientError, BotoCoreError) as error:
            region = expected_region(error)
            if region and region != self.region and self._asked:
                self._probe = replace(self._probe, region=region)
                return self.works(pair)
            if isinstance(error, ClientError) and error.response["Error"]["Code"] in _REFUSED:
                return False
            raise translate(error, "list the buckets of", signed) from None
        return True


def find(wanted: Wanted, place: Place, keys: Keys, proof: Proof, who: Login) -> Found:
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


def _is_revoked(wanted: Wanted, found: Found, keys: Keys) -> bool:
    """Whether the pair in the profile, which we made, is gone: Ceph RGW accepts a revoked one for five minutes more."""
    noted = found.note.find(found.held.access_key) if found.held else None
    if not (noted and noted.access_key and noted.ours and noted.is_of(wanted.owner)):
        return False  # Keystone shows a user no pair of another one
    return keys.look(noted.access_key).exists is False


def _look(wanted: Wanted, found: Found, keys: Keys) -> dict[Noted, Seen]:
    """What Keystone says of the noted pairs that the profile does not hold; of those that were replaced, where they may have to go."""
    held = found.held.access_key if found.held else None
    mine = [each for each in found.note.of(wanted.owner) if each.access_key and each.access_key != held]
    asked = mine if wanted.rotate or not wanted.present else [each for each in mine if each.stage is not Stage.REPLACED]
    return {each: keys.look(each.access_key) for each in asked if each.access_key}


def _with_noted(wanted: Wanted, found: Found, looked: Mapping[Noted, Seen], keys: Keys) -> Found:
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


def _with_held(found: Found, keys: Keys) -> Found:
    """What Keystone says of the pair in the profile."""
    if not found.held:
        return found
    seen = keys.look(found.held.access_key)
    gone = (*found.gone, found.held.access_key) if seen.exists is False else found.gone
    return replace(found, held_project=seen.project or _noted_project(found), gone=gone)


def _noted_project(found: Found) -> str | None:
    noted = found.note.find(found.held.access_key) if found.held else None
    return noted.project_id if noted else None


def reach(proof: Proof) -> None:
    """Show by a pair that nobody knows that the endpoint answers, this host's clock is right, and which region it wants."""
    try:
        proof.works(Pair(secrets.token_hex(16), secrets.token_hex(16)))
    except AccessRefused as error:
        if error.details.get("code") != "AccessDenied":  # how some servers say that they do not know a key
            raise


def _prove_supplied(pair: Pair, proof: Proof) -> None:
    if not proof.works(pair):
        raise AccessRefused(
            f"the object store refuses the supplied access_key {pair.access_key} with its secret_key. The pair is wrong, revoked, or "
            "of another cloud. Correct it; nothing was written.",
            access_key=pair.access_key,
        )


@dataclass(frozen=True)
class Outcome:
    """What was done: the pair that the profile now holds, the access keys that were revoked, and the pairs that stay."""

    pair: Pair | None
    revoked: tuple[str, ...] = ()
    left: tuple[Left, ...] = ()


@dataclass(frozen=True)
class Change:
    """The decision together with the file it ends in, and the note beside that: as it should be now, and as it is on the disk."""

    decision: Ec2Plan
    settings: Callable[[Pair], ProfileSettings]
    found: FoundFile
    owner: Owner
    note: Note
    notes: NoteFile
    present: bool = True

    def file_plan(self, pair: Pair | None) -> FilePlan:
        """The file with this pair in it; without the profile for None."""
        if pair is None:
            return profile_file.plan_absent(self.owner.profile, self.found)
        return profile_file.plan_present(self.settings(pair), self.found)

    def preview(self) -> FilePlan:
        """The file as check mode shows it: a pair that is still to be made has a placeholder."""
        return self.final(Pair(NEW, NEW) if self.decision.create else self.decision.pair)

    def final(self, pair: Pair | None) -> FilePlan:
        """The file at the end. Without a pair the profile goes, but at the end of a rotation: that writes none, and removes none."""
        if self.present and pair is None:
            return FilePlan(self.owner.profile, self.found, self.found.text, correct_modes=False)
        return self.file_plan(pair)

    def foreseen(self) -> Outcome:
        """What ``apply`` would do, as far as it can be said; a revoked pair may turn out to be gone already."""
        return Outcome(self.decision.pair, self.decision.revoke, self.decision.left)

    def apply(self, keys: Keys, proof: Proof, propagation: float = _PROPAGATION, grace: float = 0) -> Outcome:
        """Note, create, prove, write, revoke, in this order: whatever fails, a working pair stays and the note says which keys exist.

        ``grace``: seconds between the writing and the revoking of the pair that was replaced, for whoever has just read the old one.
        """
        preview = self.preview()  # a file that cannot hold the profile is found before a pair is made
        self._forget()
        if not self.present:
            revoked, left = self._revoke(keys)
            preview.apply()
            return Outcome(None, revoked, left)
        pair = self._create(keys, proof, propagation) if self.decision.create else self.decision.pair
        if not self.decision.create:
            preview.apply()
        if pair:
            self._note_written(pair)
        if self._was_used(self.decision.revoke):
            time.sleep(grace)
        return Outcome(pair, *self._revoke(keys))

    def _forget(self) -> None:
        note = self.note.without(*self.decision.forget)
        self.notes.save(note.without_nameless(self.owner) if self.decision.forget_nameless else note)

    def _was_used(self, access_keys: tuple[str, ...]) -> bool:
        """Whether somebody may have been given one of these pairs."""
        noted = [self.notes.note.find(key) for key in access_keys]
        return any(each is None or each.stage is not Stage.CREATING for each in noted)

    def _create(self, keys: Keys, proof: Proof, propagation: float) -> Pair:
        pair = self._make(keys)
        try:
            _await(pair, proof, propagation)
            self.file_plan(pair).apply()
        except BaseException as error:
            if not self._is_written(pair):
                self._undo(pair.access_key, keys, error)
            raise
        return pair

    def _is_written(self, pair: Pair) -> bool:
        """Whether the profile holds the pair by now, whatever was interrupted after that."""
        found = profile_file.find(str(self.found.path))
        return profile_file.values(self.owner.profile, found).get("aws_access_key_id") == pair.access_key

    def _make(self, keys: Keys) -> Pair:
        """A new pair, noted before Keystone is asked for it: by its access key where we may choose that, else by those that there are."""
        if keys.chooses:
            pair = Pair(secrets.token_hex(16), secrets.token_hex(16))
            self._note_intent(pair.access_key)
            try:
                if keys.create_as(pair):
                    return pair
            except BaseException as error:  # the answer may have got lost
                self._undo(pair.access_key, keys, error)
                raise
            self.notes.save(self.notes.note.without(pair.access_key))
        listed = keys.list()
        before = self.notes.note
        self._note_intent(None, known=None if listed is None else tuple(each.access_key for each in listed))
        with held_back():
            try:
                pair = keys.create()
            except AccessRefused:  # an answer, and it says that there is none
                self.notes.save(before)
                raise
            self.notes.save(before.add(self._noted(pair.access_key, Stage.CREATING)))
        return pair

    def _noted(self, access_key: str | None, stage: Stage, known: tuple[str, ...] | None = None) -> Noted:
        replaces = next(reversed(self._replaced()), None)
        return ec2_note.new_pair(self.owner, access_key, stage, replaces=replaces, known=known)

    def _note_intent(self, access_key: str | None, known: tuple[str, ...] | None = None) -> None:
        self.notes.save(self.notes.note.add(self._noted(access_key, Stage.CREATING, known)))

    def _note_written(self, pair: Pair) -> None:
        """The profile holds this pair, and those whose place it has taken are noted as replaced, until the rotation is finished."""
        note = self.notes.note.moved(pair.access_key, Stage.WRITTEN)
        kept = self._replaced()
        for key in kept:
            note = ec2_note.replaced(note, self.owner, key)
        over = [each.access_key for each in note.of(self.owner) if not each.ours and each.access_key not in kept]
        self.notes.save(note.without(*over))

    def _replaced(self) -> tuple[str, ...]:
        """The pairs whose place another one takes, the one that the profile holds last."""
        return (*self.decision.replaced, *(key for key in self.decision.revoke if self._was_used((key,))))

    def _revoke(self, keys: Keys) -> tuple[tuple[str, ...], tuple[Left, ...]]:
        """Revoke what was decided, each noted at once; in a profile that works, one that cannot be revoked is no failure of the run."""
        revoked, left = [], list(self.decision.left)
        for key in self.decision.revoke:
            unused = not self._was_used((key,))
            try:
                if keys.delete(key):
                    revoked.append(key)
            except ZarrstreamError as error:
                if not (self.present and unused):
                    raise self._still_there(key, error) from None
                left.append(Left(key, str(error)))
                continue
            self.notes.save(self.notes.note.without(key))
        return tuple(revoked), tuple(left)

    def _still_there(self, access_key: str, error: ZarrstreamError) -> ZarrstreamError:
        if not self.present:
            return error
        return type(error)(
            f"profile '{self.owner.profile}' holds the new access key, which works, but the old one, {access_key}, still exists: {error} "
            "Run with rotate: true and phase: finish once this is fixed.",
            **{**error.details, "not_revoked": access_key},
        )

    def _undo(self, access_key: str, keys: Keys, error: BaseException) -> None:
        """Delete what was just made; where that fails too, the error in flight names the pair that is left."""
        try:
            deleted = keys.delete(access_key)
        except ZarrstreamError as second:
            if isinstance(error, ZarrstreamError):
                raise type(error)(
                    f"{error} And access key {access_key}, just made, could not be deleted: {second} "
                    f"The next run revokes it; so does 'openstack ec2 credentials delete {access_key}'.",
                    **{**error.details, "not_revoked": access_key},
                ) from None
            return
        if deleted:  # else the request may still be on its way
            self.notes.save(self.notes.note.without(access_key))


def _await(pair: Pair, proof: Proof, seconds: float) -> None:
    """Wait until the object store knows the new pair."""
    deadline = time.monotonic() + seconds
    while not proof.works(pair):
        if time.monotonic() > deadline:
            raise AccessRefused(
                f"Keystone made access key {pair.access_key}, but the object store refused it for {seconds:.0f} s. "
                "Check that endpoint_url belongs to this cloud."
            )
        time.sleep(0.5)
