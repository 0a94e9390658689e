# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""S3 by boto3: a client that needs nothing but a profile, and its errors as ours."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from ..errors import ZarrstreamError
from ..profiles.effective import loader
from ..profiles.profile import Profile, ca_file
from .redirects import CODES, Redirect
from .s3_errors import S3Failure, s3_error
from .timeouts import CONNECT_TIMEOUT, PATIENCE, READ_TIMEOUT

if TYPE_CHECKING:
    from botocore.config import Config

ATTEMPTS = 3


def client_config(read_timeout: float = READ_TIMEOUT, attempts: int = ATTEMPTS) -> Config:
    """Short time-outs, one retry layer, path style, no checksums that OpenStack's object stores do not know."""
    from botocore.config import Config

    return Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


def s3_client(profile: Profile, read_timeout: float = READ_TIMEOUT, attempts: int = ATTEMPTS, *, anonymous: bool = False) -> Any:
    """A boto3 client with the keys, endpoint, region and CA of the profile, whatever the environment and other profiles say.

    With one of the ``attempts`` whoever calls repeats; an ``anonymous`` client has no keys.
    """
    from boto3.session import Session
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.session import Session as Core

    core = Core()
    core.register_component("data_loader", loader())
    for file in ("config_file", "credentials_file"):
        core.set_config_variable(file, os.devnull)
    core.get_component("config_store").set_config_variable("profile", None)  # the variable AWS_PROFILE names one of another file
    session = Session(
        botocore_session=core,
        aws_access_key_id=profile.access_key or None,
        aws_secret_access_key=profile.secret_key or None,
        region_name=profile.region,
    )
    config = client_config(read_timeout, attempts)
    if anonymous:
        config = config.merge(Config(signature_version=UNSIGNED))
    return session.client("s3", endpoint_url=profile.endpoint_url, verify=verification(profile), config=config)


def verification(profile: Profile) -> str | bool:
    """What certificates are checked against. Said explicitly, or AWS_CA_BUNDLE of the environment would win over the profile."""
    return str(ca_file(profile.ca_bundle)) if profile.ca_bundle else True


def translate(error: Exception, verb: str, profile: Profile, bucket: str = "", key: str = "") -> ZarrstreamError:
    """What boto3 or s3fs raised, as one of ours. s3fs wraps botocore's error in an OSError: the cause tells more."""
    from botocore.exceptions import ClientError

    cause = error if isinstance(error, ClientError) or not isinstance(error.__cause__, Exception) else error.__cause__
    place: dict[str, Any] = {"verb": verb, "endpoint": profile.endpoint_url, "bucket": bucket, "key": key, "who": profile.label}
    if isinstance(cause, ClientError):
        answer: dict[str, Any] = dict(cause.response)
        meta = answer.get("ResponseMetadata", {})
        code = str(answer.get("Error", {}).get("Code", ""))
        status = int(meta.get("HTTPStatusCode", 0)) or (int(code) if code.isdigit() else 0)
        return s3_error(
            S3Failure(
                code="" if code.isdigit() else code,
                status=status,
                reason=str(answer.get("Error", {}).get("Message") or code),
                evidence=_evidence(code, answer),
                redirect=_redirect(status, code, answer),
                **place,
            )
        )
    return s3_error(S3Failure(code="", status=0, reason=str(cause).partition("\n")[0] or type(cause).__name__, **place))


def _redirect(status: int, code: str, answer: dict[str, Any]) -> Redirect | None:
    if status not in CODES and code not in ("PermanentRedirect", "TemporaryRedirect", "Redirect"):
        return None
    headers = {name.lower(): value for name, value in answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).items()}
    endpoint = answer.get("Error", {}).get("Endpoint")
    return Redirect(status, headers.get("location", "").partition("?")[0] or (f"https://{endpoint}" if endpoint else ""))


def expected_region(error: Exception) -> str | None:
    """The region that the server wants to see in signatures, where it named one in this refusal of boto3's."""
    answer = getattr(error, "response", None) or {}
    wrong = answer.get("Error", {}).get("Code") == "AuthorizationHeaderMalformed"
    return answer["Error"].get("Region") if wrong else None


def server_clock(headers: dict[str, str]) -> datetime | None:
    """The time in the answer's ``Date`` header, in UTC."""
    date = next((value for name, value in headers.items() if name.lower() == "date"), None)
    if date is None:
        return None
    try:
        return parsedate_to_datetime(date).astimezone(UTC)
    except ValueError:
        return None


def both_clocks(server: datetime) -> str:
    """The time of this host and of the server, for a person."""
    here = datetime.now(UTC)
    return f"this host says {here:%Y-%m-%d %H:%M:%S} UTC, the server {server:%Y-%m-%d %H:%M:%S} UTC"


def _evidence(code: str, answer: dict[str, Any]) -> str:
    if code == "RequestTimeTooSkewed":
        server = server_clock(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}))
        return both_clocks(server) if server else ""
    region = answer.get("Error", {}).get("Region")
    return f"the server expects '{region}'" if region else ""


@dataclass(frozen=True)
class Answer:
    """The answer to an unsigned GET. ``headers`` have lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes


def plain_get(url: str, profile: Profile, read_timeout: float = PATIENCE, method: str = "GET") -> Answer:
    """An unsigned request at the profile's endpoint, without keys, cookies or .netrc; its CA and this host's proxies apply."""
    from botocore.awsrequest import AWSRequest
    from botocore.exceptions import BotoCoreError, HTTPClientError
    from botocore.httpsession import URLLib3Session
    from botocore.utils import get_environ_proxies

    session = URLLib3Session(verify=verification(profile), proxies=get_environ_proxies(url), timeout=(CONNECT_TIMEOUT, read_timeout))
    try:
        response = session.send(AWSRequest(method, url).prepare())
        return Answer(response.status_code, {name.lower(): value for name, value in response.headers.items()}, response.content)
    except (HTTPClientError, BotoCoreError) as error:
        raise translate(error, "reach", profile) from None
    finally:
        session.close()


def ask_for_clocks(profile: Profile) -> str:
    """The time here and at the server, for a client that sees no headers; '' where the server does not tell."""
    server = ask_for_time(profile)
    return both_clocks(server) if server else ""


def ask_for_time(profile: Profile) -> datetime | None:
    """The time at the server; None where it does not tell."""
    try:
        return server_clock(plain_get(profile.endpoint_url, profile).headers)
    except ZarrstreamError:
        return None
