# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Everything about who comes to a bucket without credentials, in one look: by asking, and by reading its policy and its ACLs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import bucket_owner as bucket_find
from . import bucket_policy, sampling
from .anonymous_bucket import Anonymous, anonymous_endpoint, ask_anonymously
from .bucket_owner import Bucket
from .bucket_policy import Opening
from .signed_requests import BucketAccess
from .signer import Signer

_NOTHING = Anonymous(s3_list=False, s3_read=False, swift_list=False, swift_read=False)
_CLOSE_OBJECTS = (
    "Objects may have ACLs of their own, which nobody can list: "
    "'aws s3api put-object-acl --acl private --bucket {bucket} --key KEY' closes one, "
    "'aws s3api put-public-access-block --bucket {bucket} --public-access-block-configuration IgnorePublicAcls=true' all of them"
)


@dataclass(frozen=True)
class Look:
    """What was found. ``openings`` let everybody in, as far as policy and ACL could be read; ``unknown`` says what could not."""

    bucket: Bucket
    access: BucketAccess
    anonymous: Anonymous
    endpoint: str | None

    @property
    def openings(self) -> list[Opening]:
        """What is written down."""
        return self.access.openings

    @property
    def public(self) -> bool:
        """Anybody can list the bucket and read each object that was asked for."""
        return self.bucket.state == "ours" and self.anonymous.public

    @property
    def private(self) -> bool:
        """Nothing worked without credentials, and nothing that could be read lets anybody in."""
        return self.bucket.state != "taken" and self.anonymous.private and not self.openings

    @property
    def why_open(self) -> str:
        """For a person: what works without credentials, by which mechanism, and how to close it where the role does not."""
        if self.private:
            return ""
        works = [name for name, answer in self.anonymous.works.items() if answer]
        some = self.anonymous.open_keys
        if some and not (self.anonymous.s3_read or self.anonymous.swift_read):
            works.append(f"reading {len(some)} of {self.anonymous.asked} objects that were tried, such as '{some[0]}'")
        by = "; ".join(map(str, self.openings))
        text = f"without credentials this works: {', '.join(works) or 'nothing that was tried'}"
        text += f". It is open by {by}" if by else ""
        unexplained = some and not self.openings and not self.bucket.read_acl and not self.access.unknown
        return text + (f". {_CLOSE_OBJECTS.format(bucket=self.bucket.name)}" if unexplained else "")

    def as_result(self) -> dict[str, Any]:
        """As the module returns it."""
        ours = self.bucket.state == "ours"
        return {
            "exists": ours,
            "taken": self.bucket.state == "taken",
            "objects": self.bucket.objects,
            "read_acl": self.bucket.read_acl,
            "write_acl": self.bucket.write_acl,
            "anonymous": {**self.anonymous.works, "asked": self.anonymous.asked, "open_keys": list(self.anonymous.open_keys)},
            "public": self.public,
            "private": self.private,
            "anonymous_endpoint": self.endpoint,
            "open_by": [
                {"where": each.where, "what": each.what, "writes": each.writes, "conditional": each.conditional} for each in self.openings
            ],
            "closable": any(not each.conditional for each in self.openings),
            "s3_grants": self.access.named,
            "versioned": self.access.versioned,
            "why_open": self.why_open,
            "unknown": list(self.access.unknown),
        }


def look(name: str, store: Any, signer: Callable[[], Signer], s3_url: str, swift_url: str, verify: bool | str) -> Look:
    """Ask about one bucket; ``store`` is the object store of the SDK's connection, ``signer`` is asked where it matters.

    A bucket of somebody else is left alone.
    """
    bucket = bucket_find.find(store, name)
    if bucket.state != "ours":
        return Look(bucket, BucketAccess(), _NOTHING, None)
    access = signer().look(name) if bucket.is_rgw else BucketAccess()
    keys = sampling.some_keys(bucket_find.pages(store, name))
    reads = ".r:" in bucket.read_acl or any(each.where.endswith("policy") for each in bucket_policy.open_statements(access.policy))
    anonymous = ask_anonymously(name, s3_url, swift_url, verify, keys, opens_reading=reads)
    return Look(bucket, access, anonymous, anonymous_endpoint(anonymous, s3_url, swift_url))
