# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an S3 server's refusal means and what to do about it: one table for every client (obstore, boto3, s3fs)."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import AccessRefused, Conflict, NotFound, Unreachable, ZarrstreamError
from .redirects import Redirect


@dataclass(frozen=True)
class S3Failure:
    """One failed request. ``code`` is S3's error code ('' for none), ``status`` the HTTP status (0 for no answer)."""

    code: str
    status: int
    reason: str
    verb: str
    endpoint: str
    bucket: str = ""
    key: str = ""
    who: str = "this user"
    evidence: str = ""  # what the answer itself says about the cause: the server's clock, the region it expects
    tried: str = ""  # how often and how long, where it was more than once
    redirect: Redirect | None = None  # where the server sends requests on to, if that is what it does


_REFUSED = {
    "SignatureDoesNotMatch": "the secret is wrong, or the key was revoked. Run the role ec2_credentials, or correct the profile",
    "InvalidAccessKeyId": "this cloud does not know the access key: revoked, or of another cloud. Run the role ec2_credentials",
    "RequestTimeTooSkewed": "the clocks of this host and the server differ by more than 15 minutes. Set this host's clock (chrony)",
    "QuotaExceeded": "the quota of the project is used up. Delete data or ask the cloud for more",
    "EntityTooLarge": "the quota of the bucket or project is used up. Delete data or ask the cloud for more",
    "AuthorizationHeaderMalformed": "the region is wrong for this server. Set 'region' of the profile to what the server names",
    "InvalidURI": "Swift answers so when its Keystone does not answer. Try again; if it stays, ask the cloud",
    "UserSuspended": "the cloud has suspended the project. Ask the cloud",
}
_CODES = {413: "EntityTooLarge", 507: "QuotaExceeded"}  # for servers that give none
_DENIED = "the key has no right to do this, or the bucket belongs to another project. Check the bucket's name and owner"
_DENIED_ANONYMOUS = "it is not public. Set 'public: true' for the bucket, or read with a profile"
_PLAIN_HTTP = ("wrong_version_number", "wrong version number", "record_layer_failure", "record layer failure")


def s3_error(failure: S3Failure) -> ZarrstreamError:
    """The error for the user: what happened, where, why it is likely, what to do."""
    place = f"{failure.bucket}/{failure.key}".strip("/") or "the service"
    what = f"cannot {failure.verb} {place} at {failure.endpoint}"
    details = {
        "endpoint_url": failure.endpoint,
        "bucket": failure.bucket,
        "key": failure.key,
        "code": failure.code,
        "status": failure.status,
    }
    if failure.redirect:
        return Unreachable(f"{what}: {failure.redirect.explain(failure.endpoint)}", **details, redirect=failure.redirect.target)
    if failure.code == "NoSuchBucket":
        hint = "It does not exist in the project of this key. Create it with the role bucket, or correct the name"
        return NotFound(f"bucket '{failure.bucket}' is not at {failure.endpoint} ({failure.who}). {hint}.", **details)
    if failure.code in ("NoSuchKey", "NotFound") or failure.status == 404:
        return NotFound(f"{what}: there is no such object.", **details)
    if failure.code == "PreconditionFailed" or failure.status in (409, 412):
        return Conflict(f"{what}: it exists already.", **details)
    code = failure.code or _CODES.get(failure.status, "")
    if code in _REFUSED:
        seen = f" ({failure.evidence})" if failure.evidence else ""
        return AccessRefused(f"{what} with {failure.who}: {code}{seen}{failure.tried}: {_REFUSED[code]}.", **details)
    if failure.status in (401, 403) or failure.code == "AccessDenied":
        why = _DENIED_ANONYMOUS if failure.who == "no credentials" else _DENIED
        return AccessRefused(f"{what} with {failure.who}: {failure.code or failure.status}: {why}.", **details)
    if not failure.status:
        return _no_answer(failure, what, details)
    said = f"{failure.status} {failure.code or failure.reason}{failure.tried}"
    return ZarrstreamError(f"{what}: {said}. Try again; if it stays, ask the cloud.", **details)


def _no_answer(failure: S3Failure, what: str, details: dict) -> ZarrstreamError:
    if not failure.endpoint.startswith("http"):  # a folder
        return ZarrstreamError(f"{what}: {failure.reason}", **details)
    hint = "Is the address right, the service up, and nothing (firewall, VPN, security group) in between?"
    reason = failure.reason.lower()
    if speaks_plain_http(reason):
        hint = "The port speaks plain HTTP: write http://, or the port that speaks TLS."
    elif "certificate" in reason or "ssl" in reason:
        hint = "Its certificate is not trusted here: set ca_bundle in the profile to the cloud's CA."
    return Unreachable(f"{what}: {failure.reason.rstrip('.')}{failure.tried}. {hint}", **details)


def speaks_plain_http(reason: str) -> bool:
    """Whether a failed handshake is that with a port which does not speak TLS."""
    return any(sign in reason.lower() for sign in _PLAIN_HTTP)
