# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What anonymous clients may do with a bucket: asked by clients without credentials, in each form in which servers serve them."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from urllib.parse import quote

from ..errors import AccessRefused, MissingLibrary, ZarrstreamError
from ..profiles.endpoint import anonymous_endpoint
from ..profiles.profile import Profile
from ..storage.boto import plain_get, verification
from . import anonymous_read
from .signed_requests import BucketAccess

_SECONDS = 60.0


@dataclass(frozen=True)
class Sight:
    """What an anonymous client saw of one object at one endpoint. ``outcome``: read, missing, refused or failed."""

    endpoint_url: str
    outcome: str
    sha256: str = ""
    reason: str = ""


def endpoints(profile: Profile, object_store_url: str | None) -> list[str]:
    """Where anonymous clients may be served: the S3 endpoint (Ceph RGW), then the project's Swift URL (stock Swift)."""
    places = [profile.endpoint_url]
    if object_store_url:
        places.append(anonymous_endpoint(object_store_url))
    return list(dict.fromkeys(places))


def look(endpoint_url: str, bucket: str, key: str, profile: Profile) -> Sight:
    """Read the object in a process that knows no key: s3fs with ``anon=True``, an empty home, no AWS variable.

    Of the profile, only the CA goes there.
    """
    request = {"endpoint_url": endpoint_url, "path": f"{bucket}/{key}", "verify": verification(profile)}
    with tempfile.TemporaryDirectory(prefix="zarrstream-") as home:
        environment = {
            name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV") if name in os.environ
        }
        nothing = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}
        try:
            done = subprocess.run(  # this knows no Ansible; pylint: disable=ansible-bad-function
                [sys.executable, "-c", inspect.getsource(anonymous_read)],
                input=json.dumps(request),
                env={**environment, **nothing, "HOME": home},
                cwd=home,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Sight(endpoint_url, "failed", reason=f"no answer within {_SECONDS:.0f} s")
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        if "ModuleNotFoundError" in last:
            raise MissingLibrary(f"a reader without credentials cannot start with {sys.executable}: {last}.")
        return Sight(endpoint_url, "failed", reason=last)
    return Sight(endpoint_url, **json.loads(done.stdout))


def may_list(endpoint_url: str, bucket: str, profile: Profile) -> bool:
    """Whether the bucket's objects can be listed there without a signature, in S3's or in Swift's form."""
    url = f"{endpoint_url}/{quote(bucket)}"
    if endpoint_url == profile.endpoint_url:
        answer = plain_get(f"{url}?list-type=2&max-keys=1", profile)
        return answer.status == 200 and b"ListBucketResult" in answer.body
    return plain_get(f"{url}?format=json&limit=1", profile).status in (200, 204)


def may_read(endpoint_url: str, bucket: str, key: str, profile: Profile) -> bool:
    """Whether an object can be read there without a signature; nothing of it is read."""
    return plain_get(f"{endpoint_url}/{quote(bucket)}/{quote(key)}", profile, method="HEAD").status == 200


@dataclass(frozen=True)
class Known:
    """What else is known of a bucket: how many of its objects were asked for, those that anybody can read, and what its owner may see."""

    asked: int = 0
    read: tuple[str, ...] = ()
    access: BucketAccess = field(default_factory=BucketAccess)


def prove_public(sights: list[Sight], sha256: str | None, bucket: str) -> str:
    """The endpoint at which an anonymous client read the object, or found that he may; raises AccessRefused with what each said."""
    for sight in sights:
        if sight.outcome == "read" and sha256 and sight.sha256 != sha256:
            raise ZarrstreamError(f"an anonymous client read other bytes of bucket '{bucket}' at {sight.endpoint_url} than were written.")
        if sight.outcome == "read" or (sha256 is None and sight.outcome == "missing"):
            return sight.endpoint_url
    said = "; ".join(f"{sight.endpoint_url}: {sight.outcome} ({sight.reason})" for sight in sights)
    raise AccessRefused(
        f"bucket '{bucket}' cannot be read without credentials: {said}. Set 'public: true' for the bucket; where it is set, "
        "give object_store_url, since stock Swift serves anonymous clients only under the project's own URL.",
        bucket=bucket,
    )


def prove_private(sights: list[Sight], listable: list[str], bucket: str, known: Known) -> str:
    """How anonymous clients were refused; raises AccessRefused where one got anything, ZarrstreamError where one could not ask."""
    open_at = [sight.endpoint_url for sight in sights if sight.outcome in ("read", "missing")]
    what = [f"read at {place}" for place in open_at] + [f"listed at {place}" for place in listable]
    if known.read and not open_at:
        what.append(f"read in part ({len(known.read)} of {known.asked} objects that were tried, such as '{known.read[0]}')")
    if what or known.access.openings:
        reached = " and ".join(what) or "reached under a condition"
        by = f" It is open by {'; '.join(map(str, known.access.openings))}." if known.access.openings else ""
        raise AccessRefused(
            f"bucket '{bucket}' should be private, but without credentials it can be {reached}.{by} "
            "The role bucket closes what opens a bucket by its Swift ACL, its S3 ACL or its policy; objects may have ACLs of their own.",
            bucket=bucket,
        )
    failed = [sight for sight in sights if sight.outcome == "failed"]
    if failed:
        raise ZarrstreamError(f"whether anybody can read bucket '{bucket}' is unknown: {failed[0].endpoint_url}: {failed[0].reason}.")
    unknown = f"; not known: {'; '.join(known.access.unknown)}" if known.access.unknown else ""
    return (
        f"refused without credentials at {' and '.join(sight.endpoint_url for sight in sights)}, also {known.asked} of its objects{unknown}"
    )
