# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One table of refusals for all clients, and boto3's errors brought to it."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError, SSLError
from zarrstream.errors import AccessRefused, Conflict, NotFound, Unreachable, ZarrstreamError
from zarrstream.profiles.profile import Profile
from zarrstream.storage.boto import both_clocks, expected_region, server_clock, translate
from zarrstream.storage.s3_errors import S3Failure, s3_error

URL = "https://object.example.org:8001"
PROFILE = Profile("lab", URL, "RegionOne", "0123456789abcdef", "topsecret")


def refused(code, status=403, headers=None, **error):
    answer = {"Error": {"Code": code, "Message": "", **error}, "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers or {}}}
    return ClientError(answer, "PutObject")


@pytest.mark.parametrize(
    ("code", "status", "kind", "says"),
    [
        ("SignatureDoesNotMatch", 403, AccessRefused, "the secret is wrong, or the key was revoked"),
        ("InvalidAccessKeyId", 403, AccessRefused, "does not know the access key"),
        ("RequestTimeTooSkewed", 403, AccessRefused, "the clocks"),
        ("QuotaExceeded", 403, AccessRefused, "quota"),
        ("EntityTooLarge", 413, AccessRefused, "quota"),
        ("AuthorizationHeaderMalformed", 400, AccessRefused, "region is wrong"),
        ("UserSuspended", 403, AccessRefused, "suspended"),
        ("InvalidURI", 400, AccessRefused, "Keystone does not answer"),
        ("AccessDenied", 403, AccessRefused, "no right"),
        ("403", 403, AccessRefused, "no right"),
        ("NoSuchBucket", 404, NotFound, f"bucket 'data' is not at {URL}"),
        ("NoSuchKey", 404, NotFound, "no such object"),
        ("404", 404, NotFound, "no such object"),
        ("BucketAlreadyExists", 409, Conflict, "exists already"),
        ("PreconditionFailed", 412, Conflict, "exists already"),
        ("SlowDown", 503, ZarrstreamError, "Try again"),
    ],
)
def test_refusal(code, status, kind, says):
    error = translate(refused(code, status), "write", PROFILE, "data", "a/b")
    assert type(error) is kind
    assert says in str(error)
    assert error.details["endpoint_url"] == URL
    assert error.details["status"] == status
    assert "topsecret" not in str(error) + repr(error.details)


def test_refusal_names_profile_and_end_of_the_access_key():
    error = translate(refused("SignatureDoesNotMatch"), "write", PROFILE, "data", "k")
    assert str(error).startswith(f"cannot write data/k at {URL} with profile 'lab' (access key …cdef)")


def test_wrong_clock_shows_both():
    server = datetime.now(UTC) - timedelta(hours=2)
    error = translate(refused("RequestTimeTooSkewed", headers={"date": format_datetime(server)}), "list", PROFILE)
    assert f"the server {server:%Y-%m-%d %H:%M}" in str(error)
    assert f"this host says {datetime.now(UTC):%Y-%m-%d %H}" in str(error)


def test_wrong_region_names_the_right_one():
    error = refused("AuthorizationHeaderMalformed", 400, Region="us-east-1")
    assert "the server expects 'us-east-1'" in str(translate(error, "list", PROFILE))
    assert expected_region(error) == "us-east-1"


@pytest.mark.parametrize("error", [refused("AccessDenied", Region="x"), refused("AuthorizationHeaderMalformed"), OSError("x")])
def test_no_region_is_guessed(error):
    assert expected_region(error) is None


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (EndpointConnectionError(endpoint_url=URL), "Is the address right"),
        (ConnectTimeoutError(endpoint_url=URL), "Is the address right"),
        (SSLError(endpoint_url=URL, error="[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"), "set ca_bundle"),
        (SSLError(endpoint_url=URL, error="[SSL: WRONG_VERSION_NUMBER] wrong version number"), "write http://"),
        (SSLError(endpoint_url=URL, error="[SSL] record layer failure"), "write http://"),
    ],
)
def test_no_answer(error, hint):
    translated = translate(error, "list", PROFILE)
    assert isinstance(translated, Unreachable)
    assert URL in str(translated)
    assert hint in str(translated)


def test_cause_behind_an_error_of_s3fs_counts():
    outer = PermissionError("Forbidden")
    outer.__cause__ = refused("InvalidAccessKeyId")
    assert "does not know the access key" in str(translate(outer, "list", PROFILE))


def test_an_anonymous_client_hears_of_public_not_of_rights():
    failure = S3Failure(code="AccessDenied", status=403, reason="", verb="read", endpoint=URL, bucket="b", who="no credentials")
    assert "it is not public" in str(s3_error(failure))


@pytest.mark.parametrize("headers", [{}, {"date": "yesterday"}])
def test_server_without_clock(headers):
    assert server_clock(headers) is None


def test_both_clocks_are_in_utc():
    assert "the server 2026-01-02 03:04:05 UTC" in both_clocks(server_clock({"Date": "Fri, 02 Jan 2026 04:04:05 +0100"}))
