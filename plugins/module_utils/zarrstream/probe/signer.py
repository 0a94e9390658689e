# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who signs the S3 requests that look at a bucket from the controller."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ..errors import ZarrstreamError
from ..openstack.keystone import Ec2Keys, login
from ..profiles.profile import DEFAULT_REGION, Profile, read_profile
from ..storage.boto import expected_region, s3_client, translate
from ..storage.timeouts import PATIENCE
from .signed_requests import BucketAccess, look

_PAIRS = 3  # of those that Keystone lists


@dataclass(frozen=True)
class Signer:
    """A client that signs, with the profile that it stands for; or why there is none."""

    client: Any = None
    profile: Profile | None = None
    why_not: str = ""

    def look(self, bucket: str) -> BucketAccess:
        """What it may read of the bucket."""
        if self.client is None or self.profile is None:
            return BucketAccess(unknown=(f"its bucket policy and S3 ACL: {self.why_not}",))
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
    return Signer(why_not=" ".join(why))


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
    elif not pairs:
        why.append("Keystone lists no pair of S3 keys for this login: the role ec2_credentials makes one.")
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
