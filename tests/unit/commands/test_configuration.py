# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The probe's step "configuration": what AWS tools believe rather than the profile, in the environment and in the file."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES
from zarrstream.probe.run import request_from, run
from zarrstream.profiles import effective

BUCKETS = b"<ListAllMyBucketsResult><Owner><ID>x</ID></Owner><Buckets/></ListAllMyBucketsResult>"
SECRET = "hunter2hunter2"
ALL = ["endpoint", "clock", "list_boto3", "list_s3fs"]


@pytest.fixture(scope="module")
def server():
    """A server of no buckets."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(BUCKETS)))
            self.end_headers()
            self.wfile.write(BUCKETS)

        def log_message(self, *_):
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listening.server_port}"
    listening.shutdown()
    listening.server_close()


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in effective.variables():
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws").mkdir()
    return tmp_path


@pytest.fixture
def ask(home, server):
    """A function that writes the profile "default" and runs the probe."""

    def probe(more="", header="[default]", **request):
        text = f"{header}\naws_access_key_id = AK\naws_secret_access_key = {SECRET}\nregion = lab\nendpoint_url = {server}\n{more}"
        (home / ".aws" / "config").write_text(text)
        report = run(request_from(request))
        assert SECRET not in str(report.as_result())
        return report

    return probe


def failed(report):
    return [check.name for check in report.checks if not check.ok]


def usual(cases, *names):
    """The cases by their names; all but these are thorough."""
    return [pytest.param(*case, id=name, marks=[] if name in names else [pytest.mark.thorough]) for name, case in cases.items()]


LEADING = {
    "endpoint": ({"AWS_ENDPOINT_URL": "https://w:1"}, ["AWS_ENDPOINT_URL"], "endpoint_url: https://w:1"),
    "of two": ({"AWS_ENDPOINT_URL": "https://w:1", "AWS_ENDPOINT_URL_S3": "https://w:2"}, ["AWS_ENDPOINT_URL_S3"], "https://w:2"),
    "both": ({"AWS_ENDPOINT_URL": "https://w:1", "AWS_ENDPOINT_URL_S3": "https://w:1"}, ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"], "w:1"),
    "ignored": ({"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, ["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"], "amazonaws.com"),
    "region": ({"AWS_DEFAULT_REGION": "x"}, ["AWS_DEFAULT_REGION"], "region: x"),
    "keys": (
        {"AWS_ACCESS_KEY_ID": "B", "AWS_SECRET_ACCESS_KEY": "hunter3", "AWS_SESSION_TOKEN": "hunter4"},
        ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"],
        r"keys: env, aws_access_key_id: B, aws_secret_access_key: \(hidden\), aws_session_token: \(hidden\)",
    ),
    "half of a pair": ({"AWS_ACCESS_KEY_ID": "B"}, ["AWS_ACCESS_KEY_ID"], "missing: AWS_SECRET_ACCESS_KEY"),
    "no number": ({"AWS_MAX_ATTEMPTS": "many"}, ["AWS_MAX_ATTEMPTS"], "failure: invalid literal"),
    "web": ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/x", "AWS_ROLE_ARN": "y"}, ["AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"], "web-identity"),
}


@pytest.mark.parametrize(("environment", "names", "says"), usual(LEADING, "endpoint", "keys"))
def test_variable_that_leads_elsewhere_is_named_and_the_profile_tested_without_it(ask, home, monkeypatch, environment, names, says):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    report = ask()
    assert failed(report) == ["configuration"]
    assert [rule.variable for rule in report.rules] == names
    message = str(report.failure)
    assert f"since {' and '.join(names)} of the environment" in message
    assert f"unset {' '.join(names)}" in message
    assert re.search(says, message)
    assert not {"hunter3", "hunter4"} & set(message.replace(")", " ").split())
    for name in environment:  # the remedy
        monkeypatch.delenv(name)
    assert effective.rules(None, home / ".aws" / "config", home / ".aws" / "credentials") == []


FORM = {
    "requests": ({"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"}, {"request_checksum_calculation": "when_required"}),
    "answers": ({"AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required"}, {"response_checksum_validation": "when_required"}),
    "attempts": ({"AWS_MAX_ATTEMPTS": "7"}, {"retries": "7 legacy"}),
}


@pytest.mark.parametrize(("environment", "read_as"), usual(FORM, "requests"))
def test_variable_that_changes_the_form_of_requests_fails_nothing(ask, monkeypatch, environment, read_as):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    report = ask()
    assert [check.name for check in report.checks] == ALL
    assert report.as_result()["environment"] == [{"variable": name, "read_as": read_as} for name in environment]


NOTHING = [
    ({"AWS_USE_DUALSTACK_ENDPOINT": "true", "AWS_USE_FIPS_ENDPOINT": "true", "AWS_PAGER": ""}, {}),
    ({"AWS_ACCESS_KEY_ID": "B", "AWS_SECRET_ACCESS_KEY": "x"}, {"profile": "default"}),
    pytest.param({"AWS_PROFILE": "default", "AWS_CONFIG_FILE": "$HOME/.aws/config"}, {}, marks=pytest.mark.thorough),
    pytest.param({"AWS_CA_BUNDLE": "/none"}, {}, marks=pytest.mark.thorough),  # the endpoint speaks plain HTTP
]


@pytest.mark.parametrize(("environment", "request_"), NOTHING)
def test_variable_that_changes_nothing_is_not_spoken_of(ask, monkeypatch, environment, request_):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    report = ask(**request_)
    assert [check.name for check in report.checks] == ALL
    assert report.rules == []


def test_endpoint_of_the_task_is_asked_before_the_environment(ask, server, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://w:1")
    report = ask(endpoint_url=server)
    assert [check.name for check in report.checks] == ALL


def test_every_variable_of_botocore_is_looked_at(home, monkeypatch):
    names = [names for _, names, *_ in BOTOCORE_DEFAUT_SESSION_VARIABLES.values() if names]
    flat = {name for each in names for name in ([each] if isinstance(each, str) else each)}
    assert {"AWS_CA_BUNDLE", "AWS_MAX_ATTEMPTS", "BOTOCORE_TCP_KEEPALIVE"} <= flat
    for name in flat:
        monkeypatch.setenv(name, "x")
    assert effective.variables() == flat
    assert flat - effective.ruling_variables() == {
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
    }


WRONG = {
    "sso_session = s\n": r"cannot use profile 'default': .*\"s\" sso_session configuration does not exist \(.*config: sso_session\)",
    "api_versions = x\n": r"cannot use profile 'default': botocore fails \(AttributeError\) \(.*config: api_versions\)",
    "services = s\n": r"the \"s\" services configuration does not exist \(.*config: services\)",
    "s3 =\n  use_accelerate_endpoint = true\n": r"S3 Accelerate \(.*config: s3.use_accelerate_endpoint\)",
    "ignore_configured_endpoint_urls = true\n": r"config: ignore_configured_endpoint_urls is asked first \(endpoint_url: https://s3.lab",
    "aws_session_token = t\n": r"config: aws_session_token is asked first \(aws_session_token: \(hidden\)\)",
}


@pytest.mark.parametrize(("more", "says"), usual({more: (more, says) for more, says in WRONG.items()}, *list(WRONG)[:2], list(WRONG)[-1]))
def test_setting_of_the_file_that_leads_elsewhere_is_named_and_nothing_is_sent_there(ask, more, says):
    report = ask(more)
    assert [check.name for check in report.checks] == ["endpoint", "configuration"]
    assert re.search(says, str(report.failure))


def test_setting_of_another_profile_does_not_matter(ask):
    report = ask("[default]\nsso_session = none\nmax_attempts = x\n", header="[profile lab]", profile="lab")
    assert [check.name for check in report.checks] == ALL
