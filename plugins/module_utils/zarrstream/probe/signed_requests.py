# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What only a signed S3 request tells of a bucket: its policy, its S3 ACL, its versions. And what closes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..profiles.profile import Profile
from ..storage.boto import translate
from . import bucket_policy
from .bucket_policy import Opening

_NO_POLICY = ("NoSuchBucketPolicy", "NotImplemented", "MethodNotAllowed")  # Swift has none


@dataclass(frozen=True)
class BucketAccess:
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


def look(client: Any, bucket: str, profile: Profile) -> BucketAccess:
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
    return BucketAccess(
        json.loads(policy) if policy else None,
        tuple(acl.get("Grants", ())),
        acl.get("Owner", {}).get("ID", ""),
        None if any(each.startswith("whether") for each in unknown) else versioning.get("Status") in ("Enabled", "Suspended"),
        tuple(unknown),
    )


@dataclass(frozen=True)
class Closing:
    """What takes the unconditional openings away: the policy and the grants as they will be. Grants by name stay as they are."""

    bucket: str
    access: BucketAccess
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

    def apply(self, client: Any, profile: Profile) -> None:
        """Policy first: it may open more. Raises an error where a request is refused; ``profile`` is for its message."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            if self.of_policy and self.policy:
                client.put_bucket_policy(Bucket=self.bucket, Policy=json.dumps(self.policy))
            elif self.of_policy:
                client.delete_bucket_policy(Bucket=self.bucket)
            if self.of_acl:
                acl = {"Owner": {"ID": self.access.owner}, "Grants": list(self.grants)}
                client.put_bucket_acl(Bucket=self.bucket, AccessControlPolicy=acl)
        except (ClientError, BotoCoreError) as error:
            raise translate(error, "close", profile, self.bucket) from None


def closing(bucket: str, access: BucketAccess) -> Closing:
    """What has to change for nobody to come without a name: pure."""
    openings = bucket_policy.open_statements(access.policy)
    policy = bucket_policy.closed_policy(access.policy) if any(not each.conditional for each in openings) else access.policy
    return Closing(bucket, access, policy, tuple(dict(each) for each in bucket_policy.closed_grants(access.grants)))
