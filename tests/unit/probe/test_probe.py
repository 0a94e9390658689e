# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The test of access: how answers become checks, and what the debug log may hold.

A small local server stands in where a real one cannot be made to fail: a wrong clock, a wrong region, a black hole.
"""

import base64
import logging
import socket
import stat
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

import pytest
from zarrstream.errors import AccessRefused, BadRequest, Unreachable, ZarrstreamError
from zarrstream.openstack.ec2_plan import Pair
from zarrstream.openstack.signed_request import SignedRequest
from zarrstream.probe.anonymous import Known, Sight, prove_private, prove_public
from zarrstream.probe.debug_log import Redacted, debug_log, spellings
from zarrstream.probe.run import request_from, run
from zarrstream.storage import boto as s3_client

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY%="
BUCKETS = "<ListAllMyBucketsResult><Owner><ID>x</ID></Owner><Buckets/></ListAllMyBucketsResult>"


@contextmanager
def server(answer, ahead=timedelta()):
    """A server whose every answer is ``answer(handler) -> (status, body)``, and whose clock is ahead."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = answer(self)
            self.send_response_only(status)
            self.send_header("Date", format_datetime(datetime.now(UTC) + ahead, usegmt=True))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}"
    finally:
        listening.shutdown()
        listening.server_close()


def error(code, extra=""):
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message>{extra}</Error>"


@pytest.fixture(autouse=True)
def profile(tmp_path, monkeypatch):
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE", "AWS_PROFILE", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    def write(endpoint_url):
        path = tmp_path / "aws.config"
        path.write_text(f"[default]\naws_access_key_id = AK\naws_secret_access_key = {SECRET}\nendpoint_url = {endpoint_url}\n")
        return str(path)

    return write


def named(report):
    return {check.name: check for check in report.checks}


def test_missing_profile_is_the_first_check(tmp_path):
    report = run(request_from({"config_file": str(tmp_path / "none")}))
    assert [(check.name, check.ok) for check in report.checks] == [("endpoint", False)]
    assert "there is no such file" in str(report.failure)


def test_swift_path_is_refused_with_the_right_url(profile):
    report = run(request_from({"config_file": profile("https://h:1"), "endpoint_url": "https://h:1/swift/v1"}))
    assert "Use 'https://h:1'" in named(report)["endpoint"].message


def test_refused_connection_is_named(profile, unused_port):
    report = run(request_from({"config_file": profile(f"http://127.0.0.1:{unused_port}")}))
    assert isinstance(report.failure, Unreachable)
    assert f"127.0.0.1:{unused_port}" in str(report.failure)
    assert len(report.checks) == 1


@pytest.mark.parametrize("patience", [0.2, pytest.param(s3_client.PATIENCE, marks=pytest.mark.thorough)])
def test_server_that_never_answers_is_named_within_30_seconds(profile, patience, monkeypatch):
    monkeypatch.setattr(sys.modules[run.__module__], "plain_get", partial(s3_client.plain_get, read_timeout=patience))
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen()
        started = time.monotonic()
        report = run(request_from({"config_file": profile(f"http://127.0.0.1:{hole.getsockname()[1]}")}))
    assert isinstance(report.failure, Unreachable)
    assert len(report.checks) == 1, "nothing more is asked of it"
    assert time.monotonic() - started < 30 - s3_client.PATIENCE + patience


def test_ill_service_is_named(profile):
    with server(lambda _: (503, "")) as url:
        report = run(request_from({"config_file": profile(url)}))
    assert "answers 503: the service is ill" in str(report.failure)
    assert len(report.checks) == 1


@pytest.mark.parametrize(
    ("hours", "ok", "says"), [(0, True, "agree"), (0.1, True, "behind the server"), (-0.1, True, "ahead of"), (2, False, "15 minutes")]
)
def test_clock(profile, hours, ok, says):
    with server(lambda _: (200, BUCKETS), ahead=timedelta(hours=hours)) as url:
        report = run(request_from({"config_file": profile(url)}))
    assert named(report)["clock"].ok is ok
    assert says in named(report)["clock"].message
    assert abs(report.clock_skew_seconds + hours * 3600) <= 2


def test_first_failure_is_the_message_and_all_checks_are_listed(profile):
    with server(lambda _: (403, error("RequestTimeTooSkewed")), ahead=timedelta(hours=2)) as url:
        report = run(request_from({"config_file": profile(url)}))
    assert [(check.name, check.ok) for check in report.checks] == [
        ("endpoint", True),
        ("clock", False),
        ("list_boto3", False),
        ("list_s3fs", False),
    ]
    assert str(report.failure) == named(report)["clock"].message
    assert "this host says" in named(report)["list_boto3"].message
    assert "RequestTimeTooSkewed" in named(report)["list_s3fs"].message


@pytest.mark.parametrize(
    ("paths", "kind"),
    [({"/info": '{"swift": {}}'}, "swift"), ({"/swift/info": '{"swift": {}}'}, "rgw"), ({}, "unknown")],
)
def test_kind_of_server(profile, paths, kind):
    with server(lambda handler: (200, paths[handler.path]) if handler.path in paths else (404, error("NoSuchBucket"))) as url:
        report = run(request_from({"config_file": profile(url)}))
    assert report.server == kind


def test_anonymous_needs_a_bucket():
    with pytest.raises(BadRequest, match="Set bucket"):
        run(request_from({"anonymous": True}))


# --- anonymous clients --------------------------------------------------------------------------------------------------------

S3, SWIFT = "https://h:1", "https://h:1/v1/AUTH_1"


@pytest.mark.parametrize(
    ("sights", "sha256", "expected"),
    [
        ([Sight(S3, "read", "aa")], "aa", S3),
        ([Sight(S3, "refused"), Sight(SWIFT, "read", "aa")], "aa", SWIFT),
        ([Sight(S3, "read", "bb")], None, S3),
        ([Sight(S3, "missing")], None, S3),
    ],
)
def test_public(sights, sha256, expected):
    assert prove_public(sights, sha256, "b") == expected


@pytest.mark.parametrize(
    ("sights", "sha256", "says"),
    [
        ([Sight(S3, "refused", reason="403")], "aa", "cannot be read without credentials: https://h:1: refused"),
        ([Sight(S3, "missing", reason="404")], "aa", "cannot be read"),
        ([Sight(S3, "failed", reason="timeout")], None, "timeout"),
        ([Sight(S3, "read", "bb")], "aa", "read other bytes"),
    ],
)
def test_not_public(sights, sha256, says):
    with pytest.raises(ZarrstreamError, match=says):
        prove_public(sights, sha256, "b")


def test_private():
    assert "refused without credentials" in prove_private([Sight(S3, "refused"), Sight(SWIFT, "refused")], [], "b", Known())


@pytest.mark.parametrize(
    ("sights", "listable", "says"),
    [
        ([Sight(S3, "read")], [], "can be read at"),
        ([Sight(S3, "missing")], [], "can be read at"),
        ([Sight(S3, "refused"), Sight(SWIFT, "read")], [], f"can be read at {SWIFT}"),
        ([Sight(S3, "refused")], [S3], "listed at"),
        ([Sight(S3, "failed", reason="timeout")], [], "is unknown"),
    ],
)
def test_not_private(sights, listable, says):
    with pytest.raises(ZarrstreamError, match=says):
        prove_private(sights, listable, "b", Known())


# --- the signed request that proves a pair ----------------------------------------------------------------------------

PAIR = Pair("AK", SECRET)


def test_server_names_the_region_it_wants():
    def answer(handler):
        right = "/us-west-9/s3/" in handler.headers["Authorization"]
        return (200, BUCKETS) if right else (400, error("AuthorizationHeaderMalformed", "<Region>us-west-9</Region>"))

    with server(answer) as url:
        asked = SignedRequest("p", url, None, None)
        assert asked.works(PAIR)
        assert asked.region == "us-west-9"
        with pytest.raises(AccessRefused, match="the server expects 'us-west-9'"):
            SignedRequest("p", url, "RegionOne", None).works(PAIR)


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "InvalidAccessKeyId"])
def test_refused_pair_is_refused(code):
    with server(lambda _: (403, error(code))) as url:
        assert SignedRequest("p", url, None, None).works(PAIR) is False


@pytest.mark.parametrize(
    ("status", "code"), [(403, "RequestTimeTooSkewed"), (403, "AccessDenied"), (400, "InvalidURI"), (500, "InternalError")]
)
def test_other_answers_decide_nothing(status, code):
    with server(lambda _: (status, error(code))) as url, pytest.raises(ZarrstreamError):
        SignedRequest("p", url, None, None).works(PAIR)


def test_refused_connection_decides_nothing(unused_port):
    with pytest.raises(Unreachable):
        SignedRequest("p", f"http://127.0.0.1:{unused_port}", None, None).works(PAIR)


@pytest.fixture
def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# --- the debug log ----------------------------------------------------------------------------------------------------

SIGNATURE = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "line",
    [
        f"secret is {SECRET}",
        f"quoted {quote(SECRET, safe='')}",
        f"basic {base64.b64encode(b'AK:' + SECRET.encode()).decode()}",
        f"base64 {base64.b64encode(SECRET.encode()).decode()}",
        f"'Authorization': b'AWS4-HMAC-SHA256 Credential=AK/20260101/x/s3/aws4_request, SignedHeaders=host, Signature={SIGNATURE}'",
        f"{{'Authorization': 'AWS AK:{SIGNATURE}', 'Host': 'h'}}",
        f"Signature:\n{SIGNATURE}",
        f"GET /b?X-Amz-Signature={SIGNATURE}&X-Amz-Date=1",
        f"X-Auth-Token: gAAAA{SIGNATURE}",
        f"{{'X-Auth-Token': 'gAAAA{SIGNATURE}'}}",
        f'{{"x-amz-security-token": "{SIGNATURE}"}}',
        f"Set-Cookie: session={SIGNATURE}",
    ],
)
def test_secrets_are_removed(line):
    cleaned = Redacted((SECRET,)).clean(f"before {line} after\nnext line")
    assert SIGNATURE not in cleaned
    assert not any(form in cleaned for form in spellings(SECRET))
    assert "(removed)" in cleaned
    assert cleaned.startswith("before ")
    assert cleaned.endswith("\nnext line")


@pytest.mark.parametrize("line", ["Sending http request: GET https://h:1/bucket", "x-amz-date:20260101T000000Z", "retries 3"])
def test_the_rest_stays(line):
    assert Redacted((SECRET,)).clean(line) == line


def test_traceback_is_cleaned_too(tmp_path):
    path = tmp_path / "debug.log"
    path.write_text("old and long" * 1000)
    path.chmod(0o644)
    with debug_log(str(path), (SECRET,)):
        try:
            raise ValueError(SECRET)
        except ValueError:
            logging.getLogger("botocore.x").debug("failed with %s", SECRET, exc_info=True)
    logging.getLogger("botocore.x").debug("afterwards")
    text = path.read_text()
    assert SECRET not in text
    assert "Traceback" in text
    assert "old" not in text
    assert "afterwards" not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_debug_log_follows_no_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(ZarrstreamError, match="cannot write debug_log"), debug_log(str(tmp_path / "link"), ()):
        pass
    assert not (tmp_path / "target").exists()
