# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The servers and helpers of the integration tests.

Fixtures
--------
cloud            a running embedded cloud, Keystone 29.1.0, Swift and S3 over TLS: what most tests want (session; each of
                 the processes that run tests side by side has its own)
cloud30          the same with Keystone 30.0.0 and plain http (session)
run_playbook     runs ansible-playbook from the checkout, see `Runner.__call__`; returns a `Play`
start_cloud      makes another cloud for tests that break one: start_cloud(tls=False, version="29.1.0", start=True,
                 path=None) -> Cloud; with start=False it is only described. It is removed when the test ends
free_ports       a function: free_ports(5) -> five ports that nobody listens on
home             the test's own empty HOME (every test has one, whether it asks or not)

Fields of a cloud (frozen dataclass)
------------------------------------
path             its folder (embedded_cloud_path)
clouds_file      its clouds.yaml, for OS_CLIENT_CONFIG_FILE. Entries: embedded (user zarr, member of zarr-lab),
                 embedded-app (application credential, unrestricted), embedded-app-restricted, embedded-reader (role
                 reader on zarr-lab), embedded-other (member of other-lab), embedded-admin
keystone_url     http://127.0.0.1:PORT/v3
s3_endpoint      https://127.0.0.1:PORT (http for cloud30), no slash at the end
swift_url        the same address: Swift's API is below swift_url/v1/AUTH_<project id>
ca_bundle        the certificate authority to trust, a path as text; None without TLS
region           RegionOne
keystone_version, tls, ports (the role's port variables by name)
variables        what the role was given, e.g. for run_playbook(..., extra_vars=cloud.variables)

and methods: connect(name="embedded") -> openstack.connection.Connection; project_id(name) -> str;
new_ec2_key(name="embedded") -> (access, secret), freshly made; s3(access, secret) -> boto3 client with the checksum
settings that profiles carry; anonymous_s3() -> boto3 client without a signature.

Each test starts without variables of AWS, OpenStack and Ansible in its environment. Clouds are stopped and removed
at the end, also after failures. Their Python environments stay in build/embedded-cloud-venvs.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ports
import pytest
from running import said_about, shared_work

CHECKOUT = Path(__file__).resolve().parents[2]
VENVS = CHECKOUT / "build" / "embedded-cloud-venvs"
PLAYBOOK = CHECKOUT / "playbooks" / "embedded_cloud.yml"
PORT_VARIABLES = tuple(f"embedded_cloud_{name}_port" for name in ("keystone", "swift", "account", "container", "object"))
FOREIGN = ("AWS_", "OS_", "ANSIBLE_", "PYTHONDONTWRITEBYTECODE")
RECAP = re.compile(r"^(\S+)\s+: (ok=\d+ .*)$", re.MULTILINE)
INVENTORY = """\
all:
  hosts:
    localhost:
      ansible_connection: local
      ansible_python_interpreter: "{{ ansible_playbook_python }}"
  children:
    embedded_cloud: {hosts: {localhost: {}}}
    zarr_hosts: {hosts: {localhost: {}}}
"""


@dataclass(frozen=True)
class Play:
    """What one run of ansible-playbook did."""

    rc: int
    stdout: str
    stderr: str
    stats: dict[str, dict[str, int]]

    @property
    def output(self) -> str:
        """Everything that was printed."""
        return self.stdout + self.stderr

    @property
    def changed(self) -> int:
        """The number of changed tasks on all hosts."""
        return sum(numbers["changed"] for numbers in self.stats.values())


@dataclass(frozen=True)
class Runner:
    """Runs playbooks from the checkout with an inventory of its own: localhost in embedded_cloud and zarr_hosts."""

    folder: Path
    session: Path

    def __call__(
        self,
        play: str | Path,
        *arguments: str,
        extra_vars: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
        inventory: Path | None = None,
        check: bool = True,
        timeout: float = 600,
    ) -> Play:
        """Run a playbook (a path, or its text) and return what came of it.

        arguments go to ansible-playbook, e.g. "--check", "-vvv". A run that fails raises AssertionError with its
        output, unless check is False.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        playbook = play if isinstance(play, Path) else self._written(f"play-{random.getrandbits(40):x}.yml", play)
        command = [
            str(Path(sys.executable).parent / "ansible-playbook"),
            "--inventory",
            str(inventory or self._written("inventory.yml", INVENTORY)),
            "--extra-vars",
            json.dumps({key: str(value) if isinstance(value, Path) else value for key, value in (extra_vars or {}).items()}),
            *arguments,
            str(playbook),
        ]
        settings = {
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_REMOTE_TEMP": str(self.folder / "remote"),  # otherwise the user's home, whatever HOME says
            **shared_work(self.session),
        }
        environment = {**os.environ, **settings, **(env or {})}
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=timeout, check=False)
        stats = {
            host: {key: int(value) for key, value in (pair.split("=") for pair in numbers.split())}
            for host, numbers in RECAP.findall(done.stdout)
        }
        result = Play(done.returncode, done.stdout, done.stderr, stats)
        assert not check or result.rc == 0, f"ansible-playbook ended with {result.rc}\n{result.output}"
        return result

    def each(self, play: str | Path, group: str, cases: list[dict[str, Any]], **options: Any) -> list[str]:
        """Run a playbook once for as many hosts as there are cases, each with its own variables, and return what it said about each.

        They are all this machine. A start costs as much as a short play, so that ten wrong values are one run.
        """
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        hosts = {f"case{number}": local | variables for number, variables in enumerate(cases)}
        inventory = self._written(f"cases-{random.getrandbits(40):x}.json", json.dumps({group: {"hosts": hosts}}, default=str))
        done = self(play, inventory=inventory, check=False, **options)
        assert all(done.stats[host]["changed"] == 0 and done.stats[host]["failed"] == 1 for host in hosts), done.output
        return [said_about(host, done.stdout) for host in hosts]

    def _written(self, name: str, text: str) -> Path:
        file = self.folder / name
        file.write_text(text)
        return file


@dataclass(frozen=True)
class Cloud:
    """A running embedded cloud; the fields are described at the top of this file."""

    path: Path
    keystone_version: str
    tls: bool
    ports: dict[str, int] = field(default_factory=dict)
    region: str = "RegionOne"

    @property
    def clouds_file(self) -> Path:
        return self.path / "clouds.yaml"

    @property
    def keystone_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['embedded_cloud_keystone_port']}/v3"

    @property
    def s3_endpoint(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.ports['embedded_cloud_swift_port']}"

    @property
    def swift_url(self) -> str:
        return self.s3_endpoint

    @property
    def ca_bundle(self) -> str | None:
        return str(self.path / "tls" / "ca.pem") if self.tls else None

    @property
    def variables(self) -> dict[str, Any]:
        return {
            "embedded_cloud_path": str(self.path),
            "embedded_cloud_venvs": str(VENVS),
            "embedded_cloud_keystone_version": self.keystone_version,
            "embedded_cloud_tls": self.tls,
            **self.ports,
        }

    def connect(self, name: str = "embedded", **settings: Any) -> Any:
        """Return an openstack.connection.Connection for an entry of clouds.yaml; close it when done."""
        import openstack.config
        from openstack.connection import Connection

        config = openstack.config.OpenStackConfig(config_files=[str(self.clouds_file)], load_envvars=False)
        return Connection(config=config.get_one(cloud=name, **settings))

    def project_id(self, name: str = "embedded") -> str:
        """Return the id of the project that an entry of clouds.yaml logs in to."""
        with self.connect(name) as connection:
            return str(connection.current_project_id)

    def new_ec2_key(self, name: str = "embedded") -> tuple[str, str]:
        """Make a pair of S3 keys for the user and project of an entry; return access key and secret."""
        with self.connect(name) as connection:
            url = f"/users/{connection.current_user_id}/credentials/OS-EC2"
            answer = connection.identity.post(url, json={"tenant_id": connection.current_project_id})
        assert answer.status_code == 201, answer.text
        credential = answer.json()["credential"]
        return credential["access"], credential["secret"]

    def s3(self, access: str, secret: str) -> Any:
        """Return a boto3 client that signs."""
        return self._client(aws_access_key_id=access, aws_secret_access_key=secret)

    def anonymous_s3(self) -> Any:
        """Return a boto3 client that does not sign."""
        from botocore import UNSIGNED

        return self._client(signature_version=UNSIGNED)

    def _client(self, signature_version: Any = None, **keys: str) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(
            signature_version=signature_version,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"max_attempts": 1},
        )
        verify = self.ca_bundle or False
        return boto3.client("s3", endpoint_url=self.s3_endpoint, region_name=self.region, verify=verify, config=config, **keys)


@contextmanager
def running(runner: Runner, path: Path, version: str, tls: bool, start: bool = True) -> Iterator[Cloud]:
    """Start a cloud in ``path``; it is stopped and removed at the end."""
    cloud = Cloud(path, version, tls, dict(zip(PORT_VARIABLES, ports.free_ports(len(PORT_VARIABLES)), strict=True)))
    VENVS.mkdir(parents=True, exist_ok=True)
    try:
        if start:
            with (VENVS / ".lock").open("w") as lock:  # test sessions at the same time build the environment once
                fcntl.flock(lock, fcntl.LOCK_EX)
                runner(PLAYBOOK, extra_vars=cloud.variables)
        yield cloud
    finally:
        runner(PLAYBOOK, extra_vars={**cloud.variables, "embedded_cloud_state": "absent"})


def _clean(patch: pytest.MonkeyPatch, home: Path) -> None:
    for name in [name for name in os.environ if name.startswith(FOREIGN)]:
        patch.delenv(name)
    home.mkdir(exist_ok=True)
    patch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        patch.delenv(name, raising=False)


@pytest.fixture(scope="session", autouse=True)
def _session_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if "UV_CACHE_DIR" not in os.environ:  # which would move with HOME
            patch.setenv("UV_CACHE_DIR", str(CHECKOUT / "build" / "uv-cache"))
        _clean(patch, tmp_path_factory.mktemp("home"))
        yield


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test an empty HOME of its own."""
    _clean(monkeypatch, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture(scope="session")
def free_ports() -> Callable[[int], list[int]]:
    """Return the function that finds free ports."""
    return ports.free_ports


@pytest.fixture(scope="session")
def run_playbook(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """Return the function that runs a playbook; each run gets the test's own HOME."""
    return Runner(tmp_path_factory.mktemp("ansible"), tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def cloud(run_playbook: Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Run a cloud with TLS, as real clouds have it: some troubles of S3 clients show only there."""
    with running(run_playbook, tmp_path_factory.mktemp("cloud"), "29.1.0", tls=True) as started:
        yield started


@pytest.fixture(scope="session")
def cloud30(run_playbook: Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Run a cloud with the newer Keystone, which refuses application credentials more, over plain http."""
    with running(run_playbook, tmp_path_factory.mktemp("cloud30"), "30.0.0", tls=False) as started:
        yield started


@pytest.fixture
def start_cloud(run_playbook: Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Cloud]]:
    """Return a function that runs a cloud for this test alone; its folder's name is short, since a socket in it is limited."""
    with ExitStack() as stack:

        def make(tls: bool = False, version: str = "29.1.0", start: bool = True, path: Path | None = None) -> Cloud:
            folder = path or tmp_path_factory.mktemp("cloud")
            return stack.enter_context(running(run_playbook, folder, version, tls, start))

        yield make
