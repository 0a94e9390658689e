# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""No secret is where it does not belong: not on the screen with -vvv --diff, not in logs, caches, temporary files or process lists."""

import base64
import contextlib
import json
import os
import secrets
import socket
import sys
import threading
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml
from running import said_about

PLAY_OF_ROLE = """
- hosts: all
  gather_facts: false
  environment: "{{ zarr_openstack_environment }}"
  tasks:
    - ansible.builtin.include_role: {name: "{{ role }}"}
"""
PLAYBOOK = Path(__file__).parents[2] / "playbooks" / "credentials.yml"


def spellings(secret: str) -> set[bytes]:
    """The secret plain, quoted for a URL, for JSON and YAML, and in base64 wherever in a text it begins."""
    raw = secret.encode()
    shifted = (base64.b64encode(b"x" * shift + raw).decode()[(0, 2, 3)[shift] :].rstrip("=")[:-1] for shift in range(3))
    forms = {secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1], secret.replace("'", "''"), *shifted}
    return {form.encode() for form in forms}


def found_in(text: bytes, canaries: set[str]) -> list[str]:
    return [secret[:4] + "…" for secret in canaries if any(form in text for form in spellings(secret))]


class Watcher:
    """Reads the command line and the environment of every process that begins while something runs."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._before = set(self._processes())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            for process in self._processes():
                for name in ("cmdline", "environ") if process not in self._before else ():
                    with contextlib.suppress(OSError):
                        self.seen.add(Path("/proc", process, name).read_bytes())

    @staticmethod
    def _processes() -> list[str]:
        return [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - twenty times a second


@pytest.fixture(scope="module")
def cloud(cloud, own_users):
    """The users of these tests are nobody else's: their keys are rotated and revoked."""
    return own_users(cloud)


@pytest.fixture
def odd_pair(cloud):
    """A pair that Keystone believes, with a secret that each encoding spells in another way."""
    pair = {"access": secrets.token_hex(8), "secret": f"%s%% #;=/+'\"{secrets.token_hex(8)}=="}
    with cloud.connect() as connection:
        body = {"blob": json.dumps(pair), "type": "ec2", "user_id": connection.current_user_id, "project_id": connection.current_project_id}
        made = connection.identity.post("/credentials", json={"credential": body})
        assert made.status_code == 201, made.text
        yield pair
        connection.identity.delete(f"/credentials/{made.json()['credential']['id']}")


@pytest.fixture
def traces(tmp_path):
    """Every place in which Ansible leaves something, all of them below one folder."""
    folder = tmp_path / "traces"
    folder.mkdir()
    return folder


@pytest.fixture
def run(run_playbook, cloud, traces, tmp_path, home):
    """Run the playbook as a careless operator would; return what it printed and all that it left behind."""
    env = {
        "ANSIBLE_LOG_PATH": str(traces / "ansible.log"),
        "ANSIBLE_CACHE_PLUGIN": "jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(traces / "facts"),
        "ANSIBLE_LOCAL_TEMP": str(traces / "local"),
        "ANSIBLE_PIPELINING": "false",  # so that there are files
        "ANSIBLE_REMOTE_TEMP": str(traces / "remote"),
        "ANSIBLE_ASYNC_DIR": str(traces / "async"),
        "ANSIBLE_RETRY_FILES_ENABLED": "true",
        "ANSIBLE_RETRY_FILES_SAVE_PATH": str(traces / "retry"),
    }
    variables = {
        "zarr_openstack_environment": {"OS_CLIENT_CONFIG_FILE": str(cloud.clouds_file)},
        "ec2_credentials_cloud": "embedded",
        "ec2_credentials_profile": "default",
        "ec2_credentials_config_file": "~/.aws/config",
        "aws_profile_name": "default",
        "aws_profile_config_file": str(home / "host" / ".aws" / "config"),
        "aws_profile_source_file": "~/.aws/config",
        "aws_profile_python": sys.executable,
        "aws_profile_probe_bucket": "",
    }

    def run_it(fails=False, play=PLAYBOOK, secret_variables=None, inventory=None, **changes):
        arguments = ["-vvv", "--diff"]
        if secret_variables:
            vault = tmp_path / "vault.yml"
            vault.touch(0o600)
            vault.write_text(yaml.safe_dump(secret_variables))
            arguments += ["--extra-vars", f"@{vault}"]
        with Watcher() as watcher:
            done = run_playbook(play, *arguments, extra_vars={**variables, **changes}, env=env, inventory=inventory, check=False)
        assert bool(done.rc) == fails, done.output
        left = [file.read_bytes() for file in traces.rglob("*") if file.is_file()]
        return b"\0".join([done.output.encode(), *left, *watcher.seen])

    return run_it


@pytest.fixture
def canaries(cloud):
    """A function: the passwords and application secrets of the cloud, and the secrets of all pairs that exist now or did."""
    known = set()
    for entry in yaml.safe_load(cloud.clouds_file.read_text())["clouds"].values():
        known |= {value for key, value in entry["auth"].items() if key in ("password", "application_credential_secret")}

    def now():
        with cloud.connect() as connection:
            answer = connection.identity.get(f"/users/{connection.current_user_id}/credentials/OS-EC2").json()
        known.update(entry["secret"] for entry in answer["credentials"])
        return known

    return now


def test_detector_finds_each_spelling():
    secret = "a%b '\"/+=c d"
    for text in (secret, quote(secret, safe=""), json.dumps({"k": secret}), base64.b64encode(f"id:{secret}:x".encode()).decode()):
        assert found_in(f"before {text} after".encode(), {secret, "other than that"}) == ["a%b …"]


def test_life_of_a_pair_shows_no_secret(run, canaries, home):
    """Made, rotated, not to be proved at an endpoint that does not answer, revoked."""
    created = run()
    known = canaries()
    assert found_in((home / ".aws" / "config").read_bytes(), known), "the detector would find the pair where it belongs"
    assert found_in((home / "host" / ".aws" / "config").read_bytes(), known)
    assert b"aws_secret_access_key = (hidden, fingerprint" in created
    assert found_in(created, known) == []
    rotated = run(ec2_credentials_rotate=True)
    assert found_in(rotated, canaries()) == []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    failed = run(fails=True, ec2_credentials_endpoint_url=url)
    assert b"Could not connect" in failed
    assert found_in(failed, canaries()) == []
    assert found_in(run(ec2_credentials_state="absent", aws_profile_state="absent"), canaries()) == []


def test_supplied_keys_are_not_shown(run, canaries, odd_pair, home):
    supplied = {"ec2_credentials_access_key": odd_pair["access"], "ec2_credentials_secret_key": odd_pair["secret"]}
    shown = run(secret_variables=supplied)
    known = {*canaries(), odd_pair["secret"]}
    assert found_in((home / "host" / ".aws" / "config").read_bytes(), known), "the pair has arrived"
    assert found_in(shown, known) == []


def test_refused_keys_are_not_shown(run, odd_pair):
    wrong = f"{odd_pair['secret']}x"
    supplied = {"ec2_credentials_access_key": odd_pair["access"], "ec2_credentials_secret_key": wrong}
    shown = run(fails=True, secret_variables=supplied)
    assert b"refuses the supplied access_key" in shown
    assert found_in(shown, {wrong, odd_pair["secret"]}) == []


def test_broken_file_is_not_quoted(run, home, tmp_path):
    """By neither role: Ansible's own lookup would print the line that it cannot read."""
    secret = secrets.token_hex(16)
    config = home / ".aws" / "config"
    config.parent.mkdir()
    config.write_text(f"[default]\naws_access_key_id = a\naws_secret_access_key {secret}\n")
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    roles = ("ec2_credentials", "aws_profile")
    inventory = tmp_path / "inventory.json"
    inventory.write_text(json.dumps({"all": {"hosts": {role: {**local, "role": role} for role in roles}}}))
    shown = run(fails=True, play=PLAY_OF_ROLE, inventory=inventory)
    said = shown.partition(b"\0")[0].decode()
    assert all("INI form" in said_about(role, said) for role in roles)
    assert found_in(shown, {secret}) == []


def test_request_log_of_the_sdk_has_no_secret(run, run_playbook, cloud, canaries, traces, home):
    """With sdk_log_level DEBUG the SDK writes down each request and answer."""
    log = traces / "sdk.log"
    play = yaml.safe_dump(
        [
            {
                "hosts": "localhost",
                "gather_facts": False,
                "environment": {"OS_CLIENT_CONFIG_FILE": str(cloud.clouds_file)},
                "tasks": [
                    {"ec2_credential": {"cloud": "embedded", "sdk_log_path": str(log), "sdk_log_level": "DEBUG", "rotate": rotate}}
                    for rotate in (False, True)
                ],
            }
        ]
    )
    shown = run(play=play)
    assert b"/v3/auth/tokens" in log.read_bytes()
    assert found_in(shown, canaries()) == []
