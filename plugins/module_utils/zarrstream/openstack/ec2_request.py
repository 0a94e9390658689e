# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""EC2 credentials for a profile on this controller, as they are asked for: find, plan, apply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import BadRequest
from ..profiles import profile_file
from ..profiles.profile_ca import ca_copy, plan_ca, settled_ca
from ..profiles.profile_file import FoundFile, Misread
from ..profiles.profile_text import ProfileSettings
from ..profiles.secret import fingerprint
from . import ec2_note
from .catalog import endpoint_from
from .ec2_change import Change, Outcome
from .ec2_find import Place, find
from .ec2_note import Note, Owner
from .ec2_plan import Pair, Phase, Wanted, plan
from .keystone import Ec2Keys, Login, ca_for, login, services
from .signed_request import SignedRequest


@dataclass(frozen=True)
class Ec2Request:
    """A pair in the profile, or none. None stands for what the cloud or the profile says. ``grace``: see ``Change.apply``."""

    profile: str = "default"
    config_file: str | None = None
    present: bool = True
    rotate: bool = False
    phase: Phase = Phase.ALL
    grace: int = 5
    adopt: bool = True
    revoke_adopted: bool = False
    supplied: Pair | None = None
    endpoint_url: str | None = None
    region: str | None = None
    ca_bundle: str | None = None

    def wanted(self, who: Login) -> Wanted:
        """What is decided about, for this login."""
        owner = Owner(self.profile, who.cloud, who.auth_url, who.user_id, who.project_id)
        return Wanted(owner, self.present, self.rotate, self.phase, self.supplied, self.adopt, self.revoke_adopted)


@dataclass(frozen=True)
class Ensured:
    """What became of the request, or would in a dry run, and how the profile reaches the object store."""

    change: Change
    outcome: Outcome
    dry_run: bool
    changed: bool
    misread: Misread
    access: dict[str, Any]

    def diff(self) -> dict[str, str]:
        """The profile before and after, without secrets."""
        return (self.change.preview() if self.dry_run else self.change.final(self.outcome.pair)).diff()

    def warnings(self) -> list[str]:
        """What has to be said besides."""
        left = [f"access key {each.access_key} was left valid: {each.why}." for each in self.outcome.left]
        return [self.misread.warning, *left] if self.misread.warning else left

    def as_result(self) -> dict[str, Any]:
        """The result as the module returns it."""
        pair, decision = self.outcome.pair, self.change.decision
        return {
            "changed": self.changed,
            "action": str(decision.action),
            "access_key": pair.access_key if pair else None,
            "fingerprint": fingerprint(pair.access_key, pair.secret_key) if pair else None,
            "revoked": list(self.outcome.revoked),
            "left": [{"access_key": each.access_key, "why": each.why} for each in self.outcome.left],
            "ours": decision.ours,
            "replaced": list(decision.replaced),
            "note": str(self.change.notes.path),
            "profile": self.change.owner.profile,
            "config_file": str(self.change.found.path),
            "shadowed_by": list(self.misread.places),
            "read_as": self.misread.read_as,
            **self.access,
        }


def ensure(request: Ec2Request, conn: Any, *, dry_run: bool) -> Ensured:
    """The pair in the profile, or none; a dry run changes nothing. ``conn`` is openstacksdk's connection."""
    if request.grace < 0:
        raise BadRequest(f"grace is {request.grace}: a number of seconds, 0 or more, is wanted.")
    name, who, catalog = request.profile, login(conn), services(conn)
    wanted = request.wanted(who)
    endpoint = endpoint_from(request.endpoint_url, catalog, required=wanted.present)
    file = profile_file.find(request.config_file)
    notes = ec2_note.read(file.path)
    settings = profile_file.values(name, file)
    ca_bundle, copy_goes = choose_ca(request, ca_for(conn, endpoint), settings.get("ca_bundle"), file)
    proof = SignedRequest(name, endpoint or "", request.region, ca_bundle, settings.get("region"))
    keys = Ec2Keys(conn, who)
    place = _place(request, wanted.owner, settings, file, notes.note)
    change = Change(
        decision=plan(wanted, find(wanted, place, keys, proof, who)),
        settings=lambda pair: ProfileSettings(name, pair.access_key, pair.secret_key, endpoint or "", proof.region, ca_bundle=ca_bundle),
        found=file,
        owner=wanted.owner,
        note=place.note,
        notes=notes,
        present=wanted.present,
    )
    preview = change.preview()
    misread = profile_file.misread(name, preview.text if wanted.present else None, file, request.config_file)
    copy = plan_ca(name, file, None) if copy_goes else None
    outcome = change.foreseen() if dry_run else change.apply(keys, proof, grace=request.grace)
    if copy and not dry_run:
        copy.apply()
    access = {
        "endpoint_url": endpoint,
        "object_store_url": catalog.object_store_url,
        "region": proof.region,
        "ca_bundle": ca_bundle,
        "project_id": who.project_id,
    }
    return Ensured(change, outcome, dry_run, preview.changed or bool(outcome.revoked), misread, access)


def revoke(access_keys: list[str], config_file: str | None, conn: Any, *, dry_run: bool) -> list[str]:
    """Revoke pairs by their access keys, and give those that there were; no profile has a part in it, and the note loses them."""
    keys = Ec2Keys(conn, login(conn))
    notes = ec2_note.read(profile_file.find(config_file).path)
    revoked = []
    for each in access_keys:
        if keys.look(each).exists if dry_run else keys.delete(each):
            revoked.append(each)
        if not dry_run:
            notes.save(notes.note.without(each))
    return revoked


def choose_ca(request: Ec2Request, of_cloud: str | None, held: str | None, file: FoundFile) -> tuple[str | None, bool]:
    """The CA that the profile is to name, and whether the copy that it names now goes with it.

    A path that was asked for by name gives way to the copy beside the profile alone. Where a host's profile is the controller's, that
    copy goes with the profile. A file that says anything else than the cloud's CA, or is the only one that does, is somebody's own
    and stays.
    """
    wanted = request.ca_bundle or of_cloud
    stays = not request.ca_bundle or held == str(ca_copy(request.profile, file.path))
    chosen = settled_ca(wanted, held if stays else None)
    return chosen, not request.present and bool(held) and chosen == held != wanted


def _place(request: Ec2Request, owner: Owner, settings: dict[str, str], file: FoundFile, note: Note) -> Place:
    access_key, secret_key = settings.get("aws_access_key_id"), settings.get("aws_secret_access_key")
    held = Pair(access_key, secret_key) if access_key and secret_key else None
    settled = ec2_note.settled(note, owner, held.access_key if held else None)
    named = {each.access_key for each in settled.of(owner) if each.access_key} | ({held.access_key} if held else set())
    holders = {key: profile_file.holders(key, owner.profile, file, request.config_file) for key in named}
    return Place(held, settled, {key: " and ".join(places) for key, places in holders.items() if places})
