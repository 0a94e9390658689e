# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""EC2 credentials from Keystone into an AWS profile: find what works, decide once, make, prove and revoke in the safe order."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from . import profile_file
from .ec2_plan import Action, Ec2Plan, Found, Pair, Wanted, check
from .endpoint import origin, s3_endpoint
from .errors import AccessRefused, NotFound, ZarrstreamError
from .keystone import Login, Services, project_of_owner
from .profile import DEFAULT_REGION, Profile
from .profile_file import FilePlan, FoundFile
from .profile_text import NEW, ProfileSettings
from .s3_client import PATIENCE, expected_region, s3_client, translate

_REFUSED = ("InvalidAccessKeyId", "SignatureDoesNotMatch")  # all others leave open whether the pair works
_PROPAGATION = 15.0  # seconds until a new pair must be known to the object store


class Keys(Protocol):
    """What is asked of Keystone; ``keystone.Ec2Keys`` is the real one."""

    def list(self) -> tuple[Pair, ...] | None: ...
    def project_of(self, access_key: str) -> str | None: ...
    def create(self) -> Pair: ...
    def delete(self, access_key: str) -> bool: ...


class Proof(Protocol):
    """What is asked of the object store; ``SignedRequest`` is the real one."""

    @property
    def region(self) -> str: ...
    @property
    def owner(self) -> str | None: ...
    def works(self, pair: Pair) -> bool: ...


def endpoint_from(given: str | None, catalog: Services, *, required: bool = True) -> str | None:
    """The S3 endpoint: as given, else the catalog's service ``s3``, else the host and port of its object store."""
    if given:
        return s3_endpoint(given)
    if catalog.s3_url:
        return s3_endpoint(catalog.s3_url, "the URL of the service s3 in the catalog")
    if catalog.object_store_url:
        return s3_endpoint(origin(catalog.object_store_url))
    if not required:
        return None
    raise NotFound(
        "the catalog of this cloud names neither a service 's3' nor 'object-store' (in this region and interface). "
        "Set endpoint_url, or region_name and interface of the cloud."
    )


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


def find(wanted: Wanted, held: Pair | None, keys: Keys, proof: Proof, who: Login) -> Found:
    """Ask only what the decision needs. Raises an error where the endpoint cannot be asked: then nothing may be made."""
    check(wanted)
    if wanted.supplied:
        _prove_supplied(wanted.supplied, proof)
        return Found(held=held)
    if not wanted.present:
        return Found(held=held, held_project=keys.project_of(held.access_key) if held else None)
    if held and not wanted.rotate and proof.works(held):
        return Found(held=held, held_works=True, held_project=project_of_owner(proof.owner, who) or keys.project_of(held.access_key))
    _reach(proof)
    found = Found(held=held, held_project=keys.project_of(held.access_key) if held else None)
    if wanted.rotate:
        return found
    listed = keys.list()
    return replace(found, listed=listed, proven=next((pair for pair in listed or () if proof.works(pair)), None))


def _reach(proof: Proof) -> None:
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
    """What was done: the pair that the profile now holds, and the access keys that were revoked."""

    pair: Pair | None
    revoked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """The decision together with the file it ends in."""

    decision: Ec2Plan
    settings: Callable[[Pair], ProfileSettings]
    found: FoundFile
    profile: str

    def file_plan(self, pair: Pair | None) -> FilePlan:
        """The file with this pair in it; without the profile for None."""
        if pair is None:
            return profile_file.plan_absent(self.profile, self.found)
        return profile_file.plan_present(self.settings(pair), self.found)

    def preview(self) -> FilePlan:
        """The file as check mode shows it: a pair that is still to be made has a placeholder."""
        if self.decision.create:
            return self.file_plan(Pair(NEW, NEW))
        return self.file_plan(self.decision.pair)

    def foreseen(self) -> Outcome:
        """What ``apply`` would do, as far as it can be said; a revoked pair may turn out to be gone already."""
        return Outcome(self.decision.pair, (self.decision.revoke,) if self.decision.revoke else ())

    def apply(self, keys: Keys, proof: Proof, propagation: float = _PROPAGATION) -> Outcome:
        """Create, prove, write, revoke, in this order: whatever fails, a working pair stays and the error says which keys exist."""
        self.preview()  # a file that cannot hold the profile is found before a pair is made
        if self.decision.create:
            return self._create(keys, proof, propagation)
        if self.decision.action is Action.REVOKED:
            revoked = self._revoke(keys)
            self.file_plan(None).apply()
            return Outcome(None, revoked)
        self.file_plan(self.decision.pair).apply()
        return Outcome(self.decision.pair)

    def _create(self, keys: Keys, proof: Proof, propagation: float) -> Outcome:
        pair = keys.create()
        try:
            _await(pair, proof, propagation)
            self.file_plan(pair).apply()
        except BaseException as error:
            _undo(pair, keys, error)
            raise
        try:
            return Outcome(pair, self._revoke(keys))
        except ZarrstreamError as error:
            raise type(error)(
                f"profile '{self.profile}' holds the new access key {pair.access_key}, which works, but the old one, "
                f"{self.decision.revoke}, still exists: {error}",
                **{**error.details, "access_key": pair.access_key, "not_revoked": self.decision.revoke},
            ) from None

    def _revoke(self, keys: Keys) -> tuple[str, ...]:
        access_key = self.decision.revoke
        return (access_key,) if access_key and keys.delete(access_key) else ()


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


def _undo(pair: Pair, keys: Keys, error: BaseException) -> None:
    """Delete what was just made; where that fails too, the error in flight names the pair that is left."""
    try:
        keys.delete(pair.access_key)
    except ZarrstreamError as second:
        if isinstance(error, ZarrstreamError):
            raise type(error)(
                f"{error} And access key {pair.access_key}, just made, could not be deleted: {second} "
                f"Delete it with 'openstack ec2 credentials delete {pair.access_key}'.",
                **{**error.details, "not_revoked": pair.access_key},
            ) from None
