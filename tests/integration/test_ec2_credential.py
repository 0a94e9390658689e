# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module ec2_credential against both Keystones, with every kind of login, and with what goes wrong in between."""

import configparser
import http.client
import os
import re
import signal
import socket
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import yaml
from botocore.exceptions import ClientError

FIELDS = {
    "action",
    "access_key",
    "fingerprint",
    "revoked",
    "ours",
    "replaced",
    "left",
    "note",
    "profile",
    "config_file",
    "shadowed_by",
    "read_as",
    "endpoint_url",
    "object_store_url",
    "region",
    "ca_bundle",
    "project_id",
    "changed",
}


@pytest.fixture(scope="module")
def cloud(cloud, own_users):
    """The users of these tests are nobody else's: their keys are counted and revoked."""
    return own_users(cloud)


@pytest.fixture(scope="module")
def cloud30(cloud30, own_users):
    """The same with the newer Keystone."""
    return own_users(cloud30)


@pytest.fixture
def ask(modules):
    """A function that runs the module once and returns its result, which never holds a secret of the user."""

    def run(cloud, login="embedded", clouds_file=None, check=False, **arguments):
        env = {"OS_CLIENT_CONFIG_FILE": str(clouds_file or cloud.clouds_file)}
        answer = modules("ec2_credential", {"cloud": login, **arguments}, check, env)
        result = answer.result
        assert result.get("failed") or result.keys() >= FIELDS
        assert secrets_of(cloud, arguments).isdisjoint(words(answer.said))
        return result

    return run


def secrets_of(cloud, arguments):
    """What no answer may hold: the secrets of all pairs that the user has, and the one that was brought."""
    return {entry["secret"] for entry in pairs(cloud)} | {arguments.get("secret_key", "?")}


def words(text):
    return set(re.findall(r"[0-9A-Za-z]+", text))


def asked(cloud, method, access_key="", login="embedded"):
    """Keystone's answer about the pairs of a user."""
    with cloud.connect(login) as connection:
        return getattr(connection.identity, method)(f"/users/{connection.current_user_id}/credentials/OS-EC2/{access_key}".rstrip("/"))


def pairs(cloud, login="embedded"):
    return asked(cloud, "get", login=login).json()["credentials"]


def listed(cloud, login="embedded"):
    """The access keys that Keystone has for a user."""
    return {entry["access"] for entry in pairs(cloud, login)}


def revoke(cloud, *access_keys, login="embedded"):
    for access_key in access_keys:
        asked(cloud, "delete", access_key, login)
    if access_keys:
        time.sleep(1.2)  # Swift remembers a secret for a second


@pytest.fixture
def config(home):
    return home / ".aws" / "config"


@pytest.fixture
def both(request):
    """One of the two clouds; its user starts and ends without keys."""
    cloud = request.getfixturevalue(request.param)
    revoke(cloud, *listed(cloud))
    yield cloud
    revoke(cloud, *listed(cloud))


@pytest.fixture
def new_cloud(cloud):
    revoke(cloud, *listed(cloud))
    yield cloud
    revoke(cloud, *listed(cloud))


clouds = pytest.mark.parametrize("both", ["cloud", "cloud30"], indirect=True)


@clouds
def test_life_of_a_pair(ask, both, config):
    cloud = both
    refused = ask(cloud, access_key="only half")
    assert "parameters are required together: access_key, secret_key" in refused["msg"]

    foreseen = ask(cloud, check=True)
    assert (foreseen["changed"], foreseen["action"], foreseen["access_key"]) == (True, "created", None)
    assert "aws_secret_access_key = (hidden)" in foreseen["diff"]["after"]
    assert not config.parent.exists()
    assert listed(cloud) == set()

    created = ask(cloud)
    assert (created["changed"], created["action"], created["revoked"]) == (True, "created", [])
    assert listed(cloud) == {created["access_key"]}
    assert (config.stat().st_mode & 0o777, config.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert created["endpoint_url"] == cloud.s3_endpoint
    assert created["object_store_url"] == f"{cloud.swift_url}/v1/AUTH_{cloud.project_id()}"
    assert created["ca_bundle"] == cloud.ca_bundle
    assert created["project_id"] == cloud.project_id()

    again = ask(cloud)
    assert (again["changed"], again["action"]) == (False, "reused")
    assert again["access_key"] == created["access_key"]
    assert again["fingerprint"] == created["fingerprint"]

    foreseen = ask(cloud, check=True, rotate=True)
    assert (foreseen["changed"], foreseen["action"], foreseen["revoked"]) == (True, "rotated", [created["access_key"]])
    assert listed(cloud) == {created["access_key"]}

    rotated = ask(cloud, rotate=True)
    assert (rotated["changed"], rotated["action"], rotated["revoked"]) == (True, "rotated", [created["access_key"]])
    assert listed(cloud) == {rotated["access_key"]} != {created["access_key"]}

    foreseen = ask(cloud, check=True, state="absent")
    assert (foreseen["changed"], foreseen["action"], foreseen["revoked"]) == (True, "revoked", [rotated["access_key"]])
    absent = ask(cloud, state="absent")
    assert (absent["changed"], absent["action"], absent["revoked"]) == (True, "revoked", [rotated["access_key"]])
    assert listed(cloud) == set()
    assert config.read_text() == ""
    absent = ask(cloud, state="absent")
    assert (absent["changed"], absent["action"], absent["revoked"]) == (False, "none", [])


LOGINS = [
    ("cloud", "embedded", "created"),
    ("cloud", "embedded-app", "created"),
    ("cloud", "embedded-app-restricted", "the application credential is a restricted one.*--unrestricted.*access_key and secret_key"),
    ("cloud", "embedded-reader", "the user has no role.*role member"),
    ("cloud30", "embedded", "created"),
    ("cloud30", "embedded-app", "takes no application credential.*log in with a password.*access_key and secret_key.*operator"),
    ("cloud30", "embedded-app-restricted", "takes no application credential.*log in with a password.*access_key and secret_key.*operator"),
    ("cloud30", "embedded-reader", "the user has no role.*role member"),
]


@pytest.mark.parametrize(("both", "login", "expected"), LOGINS, indirect=["both"])
def test_who_may_create(ask, both, login, expected, config):
    result = ask(both, login=login)
    if expected == "created":
        assert result["action"] == "created"
        assert listed(both) == {result["access_key"]}
        return
    assert_matches(expected, result["msg"])
    assert result["status"] == 403
    assert not config.exists()
    assert listed(both) == set()


@pytest.mark.parametrize(("both", "login", "action"), [
    ("cloud", "embedded-app", "listed"),
    ("cloud", "embedded-app-restricted", "listed"),
    ("cloud30", "embedded", "listed"),
    ("cloud30", "embedded-app", None),
], indirect=["both"])  # fmt: skip
def test_a_pair_that_is_there_is_used(ask, both, login, action, config):
    """By every login while the profile has it; once the profile is lost, where the cloud lists it. No second pair is made."""
    access, secret = both.new_ec2_key()
    assert ask(both, access_key=access, secret_key=secret)["action"] == "supplied"
    for _ in range(2):
        held = ask(both, login=login)
        assert (held["changed"], held["action"], held["access_key"]) == (False, "reused", access)

    config.unlink()
    for _ in range(2):
        lost = ask(both, login=login)
        if action:
            assert lost["access_key"] == access
            assert lost["action"] in (action, "reused")
        else:
            assert "takes no application credential" in lost["msg"]
    assert listed(both) == {access}


def test_pair_that_was_revoked_behind_our_back_is_replaced(ask, new_cloud, config):
    first = ask(new_cloud)
    revoke(new_cloud, first["access_key"])
    second = ask(new_cloud)
    assert (second["changed"], second["action"]) == (True, "created")
    assert listed(new_cloud) == {second["access_key"]}
    assert first["access_key"] not in config.read_text()


def test_damaged_secret_is_mended_without_a_new_pair(ask, new_cloud, config):
    first = ask(new_cloud)
    text = config.read_text()
    config.write_text(text.replace("aws_secret_access_key = ", "aws_secret_access_key = x"))
    second = ask(new_cloud)
    assert (second["action"], second["access_key"]) == ("listed", first["access_key"])
    assert config.read_text() == text


def test_other_profiles_stay_and_a_shadow_is_reported(ask, new_cloud, config):
    config.parent.mkdir()
    config.write_text("# mine\n[profile a]\nregion=x")
    (config.parent / "credentials").write_text("[lab]\naws_access_key_id = a\naws_secret_access_key = b\n")
    result = ask(new_cloud, profile="lab")
    assert result["shadowed_by"] == [str(config.parent / "credentials")]
    assert config.read_text().startswith("# mine\n[profile a]\nregion=x\n")
    ask(new_cloud, profile="lab", state="absent")
    assert config.read_text().strip() == "# mine\n[profile a]\nregion=x"


def test_pair_of_another_project_is_left_alone(ask, new_cloud, config):
    access, secret = new_cloud.new_ec2_key("embedded-other")
    try:
        assert ask(new_cloud, login="embedded-other", access_key=access, secret_key=secret)["action"] == "supplied"
        before = config.read_text()
        for arguments in ({}, {"endpoint_url": new_cloud.s3_endpoint}):
            assert "Name another 'profile' for this project" in ask(new_cloud, **arguments)["msg"]
        assert config.read_text() == before
        assert listed(new_cloud) == set()
    finally:
        revoke(new_cloud, access, login="embedded-other")


# --- whose pair it is -------------------------------------------------------------------------------------------------


def works(cloud, file, profile="default"):
    """Whether the pair of a profile is accepted; Swift remembers a secret for a second."""
    parser = configparser.RawConfigParser()
    parser.read(file)
    section = parser[profile if profile == "default" else f"profile {profile}"]
    try:
        cloud.s3(section["aws_access_key_id"], section["aws_secret_access_key"]).list_buckets()
    except ClientError:
        return False
    return True


def test_pair_that_was_made_by_hand_is_used_and_left(ask, new_cloud, config):
    hand, _ = new_cloud.new_ec2_key()
    for goes in ({"state": "absent"}, {"rotate": True, "grace": 0}):
        used = ask(new_cloud)
        assert (used["action"], used["access_key"], used["ours"]) == ("listed", hand, False)
        assert ask(new_cloud)["action"] == "reused"
        foreseen = ask(new_cloud, check=True, **goes)
        done = ask(new_cloud, **goes)
        for each in (foreseen, done):
            assert (each["revoked"], [left["access_key"] for left in each["left"]]) == ([], [hand])
        assert any(f"access key {hand} was left valid" in str(warning) for warning in done["warnings"])
        assert hand in listed(new_cloud)
    rotated = ask(new_cloud)
    assert (rotated["ours"], rotated["access_key"] != hand) == (True, True)
    assert ask(new_cloud, state="absent")["revoked"] == [rotated["access_key"]]
    assert ask(new_cloud)["access_key"] == hand
    assert ask(new_cloud, state="absent", revoke_adopted=True)["revoked"] == [hand]
    assert listed(new_cloud) == set()
    assert list(config.parent.glob("*.json")) == []


def test_no_key_of_another_profile_or_controller_dies(ask, new_cloud, config, tmp_path):
    """Two profiles of one file, and a second controller, all with one login."""
    far = tmp_path / "far" / "config"
    first, second = (ask(new_cloud, profile=name)["access_key"] for name in ("first", "second"))
    assert first != second
    guest = ask(new_cloud, config_file=str(far))
    assert (guest["action"], guest["ours"]) == ("listed", False)
    for goes in ({"rotate": True, "grace": 0}, {"state": "absent"}, {"adopt": False}):
        guest = ask(new_cloud, config_file=str(far), **goes)
        assert {first, second} <= listed(new_cloud)
    assert guest["action"] == "created"
    ask(new_cloud, profile="first", rotate=True, grace=0)
    ask(new_cloud, profile="first", state="absent")
    time.sleep(1.2)
    assert works(new_cloud, config, "second")
    assert works(new_cloud, far)
    # A pair that somebody has copied into another profile.
    text = config.read_text()
    config.write_text(text + text.replace("[profile second]", "[profile copy]"))
    kept = ask(new_cloud, profile="second", state="absent")
    assert (kept["revoked"], "[profile copy]" in kept["left"][0]["why"]) == ([], True)
    assert works(new_cloud, config, "copy")
    assert listed(new_cloud) == {second, guest["access_key"]}


class Passing(BaseHTTPRequestHandler):
    """Passes requests on, and tells the server's ``hook`` of each that makes a pair, before it and after it; True ends it there."""

    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        makes = self.command == "POST" and "credentials" in self.path
        if makes and self.server.hook("before", self.ends()):
            return
        there = http.client.HTTPConnection(self.server.target.hostname, self.server.target.port)
        there.request(self.command, self.path, body, dict(self.headers))
        answer = there.getresponse()
        data = answer.read()
        if not (makes and self.server.hook("after", self.ends())):
            self.answer(answer, data)

    def ends(self):
        """Both ends of the connection, as the client's process has them. Its port alone may be another process's too, at another server."""
        return self.client_address, self.connection.getsockname()

    def answer(self, answer, data):
        self.send_response_only(answer.status)
        for name in ("Content-Type", "X-Subject-Token"):
            if value := answer.headers.get(name):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.pass_on()

    def do_POST(self):
        self.pass_on()

    def do_DELETE(self):
        self.pass_on()

    def log_message(self, *_):
        pass


@contextmanager
def keystone_through(cloud, login, tmp_path, hook):
    """A clouds.yaml whose requests to Keystone pass by ``hook``."""
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Passing)
    listening.target, listening.hook = urlsplit(cloud.keystone_url), hook
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    entry = yaml.safe_load(cloud.clouds_file.read_text())["clouds"][login]
    entry["identity_endpoint_override"] = f"http://127.0.0.1:{listening.server_port}/v3"
    file = tmp_path / "through.yaml"
    file.write_text(yaml.safe_dump({"clouds": {login: entry}}))
    try:
        yield file
    finally:
        listening.shutdown()
        listening.server_close()


@pytest.fixture
def killed(modules, tmp_path):
    """A function: run a rotation, and send it a signal before or after Keystone has made the new pair."""

    def run(cloud, login, moment, number):
        def hook(now, ends):
            if now != moment:
                return False
            client = next(each.pid for each in psutil.net_connections("tcp4") if (each.laddr, each.raddr) == ends)
            os.kill(client, number)
            return number == signal.SIGKILL

        with keystone_through(cloud, login, tmp_path, hook) as clouds_file:
            env = {"OS_CLIENT_CONFIG_FILE": str(clouds_file)}
            with pytest.raises(AssertionError, match=f"status.*-{int(number)}"):
                modules("ec2_credential", {"cloud": login, "rotate": True}, env=env)

    return run


@pytest.mark.parametrize(
    ("login", "moment", "number", "made", "leaves"),
    [
        ("embedded", "before", signal.SIGKILL, 0, "nothing"),
        ("embedded", "after", signal.SIGKILL, 1, "ours"),
        ("embedded", "after", signal.SIGTERM, 1, "ours"),
        ("embedded-app", "after", signal.SIGKILL, 1, "uncertain"),
        pytest.param("embedded-app", "before", signal.SIGKILL, 0, "nothing", marks=pytest.mark.thorough),
        pytest.param("embedded-app", "after", signal.SIGTERM, 1, "ours", marks=pytest.mark.thorough),
    ],
)
def test_pair_of_a_run_that_was_killed_is_found_by_the_next(ask, new_cloud, killed, config, login, moment, number, made, leaves):
    """An application credential cannot choose the access key: a pair whose name never arrived is anybody's, and stays."""
    old = ask(new_cloud, login=login)["access_key"]
    before = config.read_text()
    killed(new_cloud, login, moment, number)
    (lost,) = listed(new_cloud) - {old} or {None}
    assert (bool(made), config.read_text()) == (lost is not None, before)
    hand, _ = new_cloud.new_ec2_key()  # whoever else has the login goes on too
    foreseen = ask(new_cloud, login=login, check=True)
    after = ask(new_cloud, login=login)
    assert (after["action"], after["access_key"], foreseen["revoked"]) == ("reused", old, after["revoked"])
    assert after["revoked"] == ([lost] if leaves == "ours" else [])
    assert {each["access_key"] for each in after["left"]} >= ({lost} if leaves == "uncertain" else set())
    assert listed(new_cloud) == {old, hand, *([lost] if leaves == "uncertain" else [])}


def test_rotation_that_was_killed_goes_on_with_the_pair_that_it_made(ask, new_cloud, killed):
    old = ask(new_cloud)["access_key"]
    killed(new_cloud, "embedded", "after", signal.SIGKILL)
    (lost,) = listed(new_cloud) - {old}
    begun = ask(new_cloud, rotate=True, phase="begin")
    assert (begun["access_key"], begun["replaced"], begun["ours"]) == (lost, [old], True)
    assert not ask(new_cloud, rotate=True, phase="begin")["changed"]
    assert ask(new_cloud)["replaced"] == [old]
    foreseen = ask(new_cloud, rotate=True, phase="finish", check=True)
    finished = ask(new_cloud, rotate=True, phase="finish", grace=0)
    assert (finished["action"], finished["revoked"], finished["changed"]) == ("revoked", [old], True)
    assert (foreseen["revoked"], foreseen["action"]) == ([old], "revoked")
    assert not ask(new_cloud, rotate=True, phase="finish")["changed"]
    assert listed(new_cloud) == {lost}


# --- supplied keys ----------------------------------------------------------------------------------------------------


@clouds
def test_supplied_keys_help_where_none_may_be_created(ask, both):
    access, secret = both.new_ec2_key()
    arguments = {"login": "embedded-app-restricted", "access_key": access, "secret_key": secret}
    foreseen = ask(both, check=True, **arguments)
    assert (foreseen["changed"], foreseen["action"]) == (True, "supplied")
    supplied = ask(both, **arguments)
    assert (supplied["changed"], supplied["access_key"]) == (True, access)
    assert not ask(both, **arguments)["changed"]
    assert listed(both) == {access}


def test_wrong_supplied_keys_are_refused_and_the_profile_stays(ask, new_cloud, config):
    ask(new_cloud)
    before = config.read_text()
    access, secret = new_cloud.new_ec2_key()
    result = ask(new_cloud, access_key=access, secret_key=f"{secret[:-1]}x")
    assert f"refuses the supplied access_key {access} with its secret_key" in result["msg"]
    assert config.read_text() == before


@pytest.mark.parametrize("other", [{"rotate": True}, {"state": "absent"}])
def test_supplied_keys_exclude_what_contradicts_them(ask, new_cloud, other):
    assert "access_key" in ask(new_cloud, access_key="a", secret_key="b", **other)["msg"]


# --- application credentials with access rules ------------------------------------------------------------------------


@pytest.fixture
def with_rules(new_cloud, tmp_path):
    """An application credential that may do only what its rules say: a function that makes it and returns its clouds.yaml."""
    made = []

    def make(*methods):
        rules = [{"service": "identity", "method": method, "path": "/v3/users/*/credentials/OS-EC2"} for method in methods]
        rules = rules or [{"service": "object-store", "method": "GET", "path": "/v1/**"}]
        with new_cloud.connect() as connection:
            app = connection.identity.create_application_credential(
                user=connection.current_user_id, name=f"rules-{len(made)}", access_rules=rules, unrestricted=True
            )
        made.append(app.id)
        entry = yaml.safe_load(new_cloud.clouds_file.read_text())["clouds"]["embedded-app"]
        entry["auth"] |= {"application_credential_id": app.id, "application_credential_secret": app.secret}
        file = tmp_path / "clouds.yaml"
        file.write_text(yaml.safe_dump({"clouds": {"ruled": entry}}))
        return file

    yield make
    with new_cloud.connect() as connection:
        for name in made:
            connection.identity.delete_application_credential(connection.current_user_id, name)


def test_access_rules_are_named_as_the_cause(ask, new_cloud, with_rules, config):
    result = ask(new_cloud, login="ruled", clouds_file=with_rules())
    assert_matches("the application credential has access rules.*without access rules.*access_key and secret_key", result["msg"])
    assert result["status"] == 401
    assert not config.exists()


def test_refused_list_is_never_taken_for_no_key(ask, new_cloud, with_rules, config):
    """A login that may create but not list: it creates once, and then trusts what it can prove."""
    file = with_rules("POST")
    created = ask(new_cloud, login="ruled", clouds_file=file)
    assert created["action"] == "created"
    again = ask(new_cloud, login="ruled", clouds_file=file)
    assert (again["changed"], again["action"]) == (False, "reused")
    dead = ask(new_cloud, login="ruled", clouds_file=file, endpoint_url="http://127.0.0.1:9")
    assert "Is the address right" in dead["msg"]
    assert listed(new_cloud) == {created["access_key"]}
    refused = ask(new_cloud, login="ruled", clouds_file=file, state="absent")
    assert "does not let this login delete" in refused["msg"]
    assert created["access_key"] in config.read_text()


# --- endpoints that cannot be asked -----------------------------------------------------------------------------------


@contextmanager
def answering(status, body, ahead=timedelta()):
    """A server in the place of an object store that cannot be made to fail like this: here, its clock."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
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


@contextmanager
def black_hole():
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen()
        yield f"http://127.0.0.1:{hole.getsockname()[1]}"


@contextmanager
def nobody():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    yield url


SKEWED = "<Error><Code>RequestTimeTooSkewed</Code><Message/></Error>"
ENDPOINTS = {
    "nobody listens": (nobody, "Could not connect.*Is the address right"),
    "black hole": (black_hole, "[Rr]ead time.*Is the address right"),
    "wrong clock": (lambda: answering(403, SKEWED, timedelta(hours=2)), "this host says .* UTC, the server .* UTC.*chrony"),
    "ill": (lambda: answering(503, ""), "503.*Try again"),
}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("black hole", None)]
    + [(name, arguments) for name in ENDPOINTS if name != "black hole" for arguments in (None, {}, {"rotate": True})],
)
def test_no_pair_is_made_where_nothing_can_be_proved(ask, new_cloud, config, name, arguments):
    """``arguments``: None with an empty profile, else the request for a profile that holds a pair."""
    endpoint, says = ENDPOINTS[name]
    first = None if arguments is None else ask(new_cloud)["access_key"]
    before = config.read_text() if first else None
    with endpoint() as url:
        started = time.monotonic()
        result = ask(new_cloud, endpoint_url=url, **arguments or {})
        seconds = time.monotonic() - started
    assert_matches(says, result["msg"])
    assert seconds < 35  # 30 for the endpoint, the rest for Keystone on a busy machine
    assert listed(new_cloud) == ({first} if first else set())
    assert (config.read_text() if config.exists() else None) == before


def test_swift_path_is_refused_with_the_right_url(ask, new_cloud):
    result = ask(new_cloud, endpoint_url=f"{new_cloud.s3_endpoint}/swift/v1")
    assert f"Use '{new_cloud.s3_endpoint}'" in result["msg"]


def test_wrong_region_is_named_and_a_missing_one_is_found(ask, new_cloud, config):
    assert "the server expects 'RegionOne'" in ask(new_cloud, region="us-east-1")["msg"]
    config.parent.mkdir(exist_ok=True)
    config.write_text("[default]\nregion = us-east-1\n")
    assert ask(new_cloud)["region"] == "RegionOne"


def test_unknown_ca_is_named(ask, new_cloud):
    result = ask(new_cloud, ca_bundle="/etc/ssl/certs/ca-certificates.crt")
    assert "set ca_bundle" in result["msg"]
    assert listed(new_cloud) == set()


@pytest.mark.parametrize("own", [True, False])
def test_a_ca_beside_the_profile_goes_where_it_is_a_copy_of_the_clouds_alone(ask, new_cloud, config, own):
    config.parent.mkdir()
    beside = config.with_name("default-ca.pem")
    beside.write_bytes(Path(new_cloud.ca_bundle).read_bytes())
    ask(new_cloud, ca_bundle=str(beside))
    assert str(beside) in config.read_text()
    ask(new_cloud, state="absent", **({"ca_bundle": str(beside)} if own else {}))
    assert beside.exists() == own


def test_file_that_cannot_be_written_is_found_before_a_pair_is_made(ask, new_cloud, config, tmp_path):
    config.parent.mkdir()
    config.symlink_to(tmp_path / "elsewhere")
    assert "symbolic link" in ask(new_cloud)["msg"]
    config.unlink()
    config.write_text("[default\n")
    assert "not in INI form" in ask(new_cloud)["msg"]
    assert listed(new_cloud) == set()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"application_credential_secret": "wrong"}, "refuses the login.*wrong, expired or deleted"),
        ({"auth_url": "http://127.0.0.1:9/v3"}, "Keystone of cloud 'changed' does not answer.*auth_url"),
        ({"username": "zarr"}, "login of cloud 'changed' do not fit together: .*no username, password, project or domain in its auth"),
    ],
)
def test_wrong_login_is_named(ask, new_cloud, tmp_path, change, says):
    entry = yaml.safe_load(new_cloud.clouds_file.read_text())["clouds"]["embedded-app"]
    entry["auth"] |= change
    file = tmp_path / "clouds.yaml"
    file.write_text(yaml.safe_dump({"clouds": {"changed": entry}}))
    assert_matches(says, ask(new_cloud, login="changed", clouds_file=file)["msg"])


def test_https_at_a_plain_port_of_keystone_says_so(ask, new_cloud, tmp_path):
    document = yaml.safe_load(new_cloud.clouds_file.read_text())
    auth = document["clouds"]["embedded"]["auth"]
    assert auth["auth_url"].startswith("http://")
    auth["auth_url"] = auth["auth_url"].replace("http://", "https://")
    file = tmp_path / "clouds.yaml"
    file.write_text(yaml.safe_dump(document))
    assert_matches("does not answer over TLS: .*write http:// in auth_url", ask(new_cloud, clouds_file=file)["msg"])
    file.write_text(file.read_text().replace(auth["auth_url"], auth["auth_url"].replace("https://", "http://")))
    assert ask(new_cloud, clouds_file=file)["action"] == "created"


PASSWORD = {"OS_USERNAME": "zarr", "OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_NAME": "zarr-lab", "OS_PROJECT_DOMAIN_ID": "default"}


@pytest.mark.parametrize("left", [["OS_USERNAME"], ["OS_PROJECT_NAME", "OS_PROJECT_DOMAIN_ID"], list(PASSWORD)], ids=len)
@pytest.mark.parametrize("auth_type", ["v3applicationcredential", None])
def test_what_an_openrc_left_beside_an_application_credential_is_named(ask, new_cloud, tmp_path, monkeypatch, left, auth_type):
    entry = yaml.safe_load(new_cloud.clouds_file.read_text())["clouds"]["embedded-app"]
    for name, value in {**entry["auth"], "region_name": "RegionOne", "interface": "public", "auth_type": auth_type}.items():
        if value:
            monkeypatch.setenv(f"OS_{name.upper()}", value)
    for name in left:
        monkeypatch.setenv(name, PASSWORD[name])
    arguments = {"clouds_file": tmp_path / "none", "ca_bundle": new_cloud.ca_bundle}
    message = ask(new_cloud, "envvars", **arguments)["msg"]
    assert_matches("login of cloud 'envvars' do not fit together", message)
    told = re.search(r"unset ([A-Z_ ]+)\)", message)[1].split()
    assert set(told) == set(left)
    for name in told:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OS_AUTH_TYPE", re.search(r"OS_AUTH_TYPE=(\w+)", message)[1])
    assert ask(new_cloud, "envvars", **arguments)["action"] in ("created", "reused")


def assert_matches(pattern, text):
    assert re.search(pattern, text), f"{pattern!r} is not in {text!r}"
