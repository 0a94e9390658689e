# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""EC2 credentials into an AWS profile: note, make, prove, write and revoke in the safe order."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import AccessRefused, ZarrstreamError
from ..profiles import profile_file
from ..profiles.profile_file import FilePlan, FoundFile
from ..profiles.profile_text import NEW, ProfileSettings
from ..signals import held_back
from . import ec2_note
from .ec2_note import Note, Noted, NoteFile, Owner, Stage
from .ec2_plan import Ec2Plan, Left, Pair
from .keystone import Ec2Keys
from .signed_request import SignedRequest

_PROPAGATION = 15.0  # seconds until a new pair must be known to the object store


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

    def apply(self, keys: Ec2Keys, proof: SignedRequest, propagation: float = _PROPAGATION, grace: float = 0) -> Outcome:
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

    def _create(self, keys: Ec2Keys, proof: SignedRequest, propagation: float) -> Pair:
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

    def _make(self, keys: Ec2Keys) -> Pair:
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

    def _revoke(self, keys: Ec2Keys) -> tuple[tuple[str, ...], tuple[Left, ...]]:
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

    def _undo(self, access_key: str, keys: Ec2Keys, error: BaseException) -> None:
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


def _await(pair: Pair, proof: SignedRequest, seconds: float) -> None:
    """Wait until the object store knows the new pair."""
    deadline = time.monotonic() + seconds
    while not proof.works(pair):
        if time.monotonic() > deadline:
            raise AccessRefused(
                f"Keystone made access key {pair.access_key}, but the object store refused it for {seconds:.0f} s. "
                "Check that endpoint_url belongs to this cloud."
            )
        time.sleep(0.5)
