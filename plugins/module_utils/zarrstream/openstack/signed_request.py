# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the object store knows a pair of EC2 credentials: a signed request says it."""

from __future__ import annotations

import secrets
from dataclasses import replace

from ..errors import AccessRefused
from ..profiles.profile import DEFAULT_REGION, Profile
from ..storage.boto import expected_region, s3_client, translate
from ..storage.timeouts import PATIENCE
from .ec2_plan import Pair

_REFUSED = ("InvalidAccessKeyId", "SignatureDoesNotMatch")  # all others leave open whether the pair works


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


def reach(proof: SignedRequest) -> None:
    """Show by a pair that nobody knows that the endpoint answers, this host's clock is right, and which region it wants."""
    try:
        proof.works(Pair(secrets.token_hex(16), secrets.token_hex(16)))
    except AccessRefused as error:
        if error.details.get("code") != "AccessDenied":  # how some servers say that they do not know a key
            raise
