# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What only a signed S3 request tells of a bucket: its policy, its S3 ACL, its versions. And who signs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from . import bucket_policy
from .bucket_policy import Opening
from .errors import ZarrstreamError
from .keystone import Ec2Keys, login
from .profile import DEFAULT_REGION, Profile, read_profile
from .s3_client import PATIENCE, expected_region, s3_client, translate

_NO_POLICY = ("NoSuchBucketPolicy", "NotImplemented", "MethodNotAllowed")  # Swift has none
_PAIRS = 3  # of those that Keystone lists


@dataclass(frozen=True)
class Access:
    """The policy (None for none) and the S3 ACL of a bucket. ``unknown`` says what could not be read, and why."""

    policy: dict[str, Any] | None = None
    grants: tuple[dict[str, Any], ...] = ()
    owner: str = ""
    versioned: bool | None = None
    unknown: tuple[str, ...] = ()

    @property
    def openings(self) -> list[Opening]:
        """What lets everybody in."""
        return [*bucket_policy.open_statements(self.policy), *bucket_policy.open_grants(self.grants)]

    @property
    def named(self) -> list[str]:
        """Who else the S3 ACL lets in by name."""
        return bucket_policy.named_grants(self.grants, self.owner)


def look(client: Any, bucket: str, profile: Profile) -> Access:
    """Read what the pair of ``client`` may read; ``profile`` is for messages."""
    unknown: list[str] = []

    def ask(what: str, request: Callable[..., dict[str, Any]], *nothing: str) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return request(Bucket=bucket)
        except (ClientError, BotoCoreError) as error:
            code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
            if code not in nothing:
                unknown.append(f"{what}: {translate(error, 'look at', profile, bucket)}")
            return {}

    policy = ask("its bucket policy", client.get_bucket_policy, *_NO_POLICY).get("Policy")
    acl = ask("its S3 ACL", client.get_bucket_acl, "NotImplemented")
    versioning = ask("whether it keeps versions", client.get_bucket_versioning, "NotImplemented")
    return Access(
        json.loads(policy) if policy else None,
        tuple(acl.get("Grants", ())),
        acl.get("Owner", {}).get("ID", ""),
        None if any(each.startswith("whether") for each in unknown) else versioning.get("Status") in ("Enabled", "Suspended"),
        tuple(unknown),
    )


@dataclass(frozen=True)
class Signer:
    """A client that signs, with the profile that it stands for; or why there is none."""

    client: Any = None
    profile: Profile | None = None
    why_not: str = ""

    def look(self, bucket: str) -> Access:
        """What it may read of the bucket."""
        if self.client is None or self.profile is None:
            return Access(unknown=(f"its bucket policy and S3 ACL: {self.why_not}",))
        return look(self.client, bucket, self.profile)


def signer(conn: Any, endpoint: str, ca_bundle: str | None, profile: str | None, config_file: str | None) -> Signer:
    """Whoever can sign at this endpoint: the profile, where one is named and there, else a pair of this login that Keystone lists."""
    why: list[str] = []
    for each in _candidates(conn, endpoint, ca_bundle, profile, config_file, why):
        try:
            client = _accepted(each)
        except (ZarrstreamError, ImportError) as error:
            why.append(str(error))
            continue
        return Signer(*client)
    return Signer(why_not=" ".join(why) or "Keystone lists no pair of S3 keys for this login: the role ec2_credentials makes one.")


def _candidates(
    conn: Any, endpoint: str, ca_bundle: str | None, profile: str | None, config_file: str | None, why: list[str]
) -> Iterator[Profile]:
    if profile:
        try:
            found = read_profile(profile, config_file, endpoint)
            yield replace(found, ca_bundle=ca_bundle or found.ca_bundle)
        except (ZarrstreamError, ImportError) as error:
            why.append(str(error))
    try:
        pairs = Ec2Keys(conn, login(conn)).list()
    except ZarrstreamError as error:
        why.append(str(error))
        return
    if pairs is None:
        why.append("This cloud does not let this login list its S3 keys: name a profile that has a pair.")
    for pair in (pairs or ())[:_PAIRS]:
        yield Profile("listed by Keystone", endpoint, DEFAULT_REGION, pair.access_key, pair.secret_key, ca_bundle)


def _accepted(profile: Profile) -> tuple[Any, Profile]:
    """A client whose pair the endpoint knows, in the region that it asks for."""
    from botocore.exceptions import BotoCoreError, ClientError

    client = s3_client(profile, read_timeout=PATIENCE)
    try:
        client.list_buckets()
    except (ClientError, BotoCoreError) as error:
        region = expected_region(error)
        if region and region != profile.region:
            return _accepted(replace(profile, region=region))
        raise translate(error, "list the buckets of", profile) from None
    return client, profile


@dataclass(frozen=True)
class Closing:
    """What takes the unconditional openings away: the policy and the grants as they will be. Grants by name stay as they are."""

    bucket: str
    access: Access
    policy: dict[str, Any] | None
    grants: tuple[dict[str, Any], ...]

    @property
    def of_policy(self) -> bool:
        """Whether the policy changes."""
        return self.policy != self.access.policy

    @property
    def of_acl(self) -> bool:
        """Whether the S3 ACL changes."""
        return self.grants != self.access.grants

    @property
    def changes(self) -> bool:
        """Whether anything does."""
        return self.of_policy or self.of_acl

    def diff(self) -> dict[str, str]:
        """Before and after, as YAML would not say it better."""
        before = {"policy": self.access.policy, "grants": self.access.grants}
        after = {"policy": self.policy, "grants": self.grants}
        return {name: json.dumps(value, indent=2) + "\n" for name, value in (("before", before), ("after", after))}

    def apply(self, signer: Signer) -> None:
        """Policy first: it may open more. Raises an error where a request is refused."""
        from botocore.exceptions import BotoCoreError, ClientError

        assert signer.profile  # noqa: S101  # without one nothing was read that could change
        try:
            if self.of_policy and self.policy:
                signer.client.put_bucket_policy(Bucket=self.bucket, Policy=json.dumps(self.policy))
            elif self.of_policy:
                signer.client.delete_bucket_policy(Bucket=self.bucket)
            if self.of_acl:
                acl = {"Owner": {"ID": self.access.owner}, "Grants": list(self.grants)}
                signer.client.put_bucket_acl(Bucket=self.bucket, AccessControlPolicy=acl)
        except (ClientError, BotoCoreError) as error:
            raise translate(error, "close", signer.profile, self.bucket) from None


def closing(bucket: str, access: Access) -> Closing:
    """What has to change for nobody to come without a name: pure."""
    openings = bucket_policy.open_statements(access.policy)
    policy = bucket_policy.closed_policy(access.policy) if any(not each.conditional for each in openings) else access.policy
    return Closing(bucket, access, policy, tuple(dict(each) for each in bucket_policy.closed_grants(access.grants)))
