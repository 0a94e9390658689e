# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The servers and helpers of the integration tests.

Fixtures
--------
cloud            a running embedded cloud, Keystone 29.1.0, Swift and S3 over TLS: what most tests want (session; the processes
                 that run tests side by side share it, so that buckets need names that no other file uses)
cloud30          the same with Keystone 30.0.0 and plain http (session, shared)
own_users        a function: own_users(cloud) -> the same cloud with users and projects that nobody else has, for a file that
                 counts, rotates or revokes keys (session)
modules          runs a module as Ansible does, without the seconds that Ansible itself takes: modules("s3_probe", {...}) -> an
                 `Answer`, see `Modules.__call__` (session)
run_playbook     runs ansible-playbook from the checkout, see `Runner.__call__`; returns a `Play`
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
logins           another clouds.yaml in the place of the role's; None for that
variables        what the role was given, e.g. for run_playbook(..., extra_vars=cloud.variables)

and methods: connect(name="embedded"): a context manager with an openstack.connection.Connection; project_id(name) -> str;
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
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import ports
import pytest
import yaml
from cost import SERVERS
from running import said_about, shared_work

CHECKOUT = Path(__file__).resolve().parents[2]
VENVS = CHECKOUT / "build" / "embedded-cloud-venvs"
PLAYBOOK = CHECKOUT / "playbooks" / "embedded_cloud.yml"
CONTROL = CHECKOUT / "roles" / "embedded_cloud" / "files" / "server" / "control.py"
PORT_VARIABLES = tuple(f"embedded_cloud_{name}_port" for name in ("keystone", "swift"))
FOREIGN = ("AWS_", "OS_", "ANSIBLE_", "PYTHONDONTWRITEBYTECODE")
RECAP = re.compile(r"^(\S+)\s+: (ok=\d+ .*)$", re.MULTILINE)
INVENTORY = """\
all:
  hosts:
    localhost:
      ansible_connection: local
      ansible_python_interpreter: {python}
  children:
    embedded_cloud: {{hosts: {{localhost: {{}}}}}}
    zarr_hosts: {{hosts: {{localhost: {{}}}}}}
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
class Ended:
    """What a program printed, and how it ended."""

    status: int
    stdout: str
    stderr: str


def own_umask() -> int:
    """The umask of this process, which a process of its own would inherit; it can only be read by setting it."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


@dataclass(frozen=True)
class Server:
    """A program that answers requests, each in a process forked for it: see forked.py."""

    process: subprocess.Popen[str]

    def ask(self, request: Mapping[str, Any]) -> Ended:
        """Let it do something, and wait for its answer."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({**request, "umask": own_umask()}, default=str) + "\n")
        self.process.stdin.flush()
        return Ended(**json.loads(self.process.stdout.readline()))

    @classmethod
    @contextmanager
    def running(cls, program: str, *arguments: str, env: Mapping[str, str]) -> Iterator[Server]:
        """Start it, and end it at the end."""
        command = [sys.executable, str(Path(__file__).with_name(program)), *arguments]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **env}) as process:
            assert process.stdin
            SERVERS.add(process.pid)
            yield cls(process)
            process.stdin.close()
        SERVERS.remove(process.pid)


@dataclass(frozen=True)
class Runner:
    """Runs playbooks from the checkout with an inventory of its own: localhost in embedded_cloud and zarr_hosts."""

    folder: Path
    session: Path
    server: Server | None = None  # see play_server.py; without it each run is a start of the program
    python: str = sys.executable  # of the hosts: see module_server.py

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
        arguments_of_all = [
            "--inventory",
            str(inventory or self._written("inventory.yml", self.inventory)),
            "--extra-vars",
            json.dumps({key: str(value) if isinstance(value, Path) else value for key, value in (extra_vars or {}).items()}),
            *arguments,
            str(playbook),
        ]
        environment = {**os.environ, **self.settings, **(env or {})}
        done = self._run(arguments_of_all, environment, timeout, apart=any(name.startswith("ANSIBLE_") for name in env or {}))
        stats = {
            host: {key: int(value) for key, value in (pair.split("=") for pair in numbers.split())}
            for host, numbers in RECAP.findall(done.stdout)
        }
        result = Play(done.status, done.stdout, done.stderr, stats)
        assert not check or result.rc == 0, f"ansible-playbook ended with {result.rc}\n{result.output}"
        return result

    @property
    def inventory(self) -> str:
        """Localhost as a host of the embedded cloud and of Zarr."""
        return INVENTORY.format(python=self.python)

    @property
    def settings(self) -> dict[str, str]:
        """What Ansible is told by its environment."""
        return {
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_REMOTE_TEMP": str(self.folder / "remote"),  # otherwise the user's home, whatever HOME says
            "ANSIBLE_PIPELINING": "true",  # as ansible.cfg has it for SSH; four processes fewer for each task
            **shared_work(self.session),
        }

    def _run(self, arguments: list[str], environment: dict[str, str], seconds: float, *, apart: bool) -> Ended:
        if self.server and not apart:
            return self.server.ask({"arguments": arguments, "folder": str(CHECKOUT), "env": environment, "seconds": int(seconds)})
        command = [str(Path(sys.executable).parent / "ansible-playbook"), *arguments]
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=seconds, check=False)
        return Ended(done.returncode, done.stdout, done.stderr)

    def each(self, play: str | Path, group: str, cases: list[dict[str, Any]], **options: Any) -> list[str]:
        """Run a playbook once for as many hosts as there are cases, each with its own variables, and return what it said about each.

        They are all this machine. A start costs as much as a short play, so that ten wrong values are one run.
        """
        local = {"ansible_connection": "local", "ansible_python_interpreter": self.python}
        hosts = {f"case{number}": local | variables for number, variables in enumerate(cases)}
        inventory = self._written(f"cases-{random.getrandbits(40):x}.json", json.dumps({group: {"hosts": hosts}}, default=str))
        done = self(play, inventory=inventory, check=False, **options)
        assert all(done.stats[host]["changed"] == 0 and done.stats[host]["failed"] == 1 for host in hosts), done.output
        return [said_about(host, done.stdout) for host in hosts]

    def tasks(self, tasks: Mapping[str, Mapping[str, Any]], *arguments: str, **options: Any) -> tuple[Play, dict[str, Any]]:
        """Run tasks one after the other, go on whatever comes of each, and return the run and the result of each by its name.

        A task says by itself that it only checks (``check_mode``), which the module sees as with --check.
        """
        results = self.folder / f"results-{random.getrandbits(40):x}.json"
        keep = {
            "content": f"{{{{ {{ {', '.join(f'{name!r}: {name}' for name in tasks)} }} | to_json }}}}",
            "dest": str(results),
            "mode": "0600",
        }
        steps = [{"name": name, "register": name, "ignore_errors": True, **task} for name, task in tasks.items()]
        play = {"hosts": "localhost", "gather_facts": False, "tasks": [*steps, {"ansible.builtin.copy": keep, "no_log": True}]}
        done = self(yaml.safe_dump([play], sort_keys=False), *arguments, **options)
        return done, json.loads(results.read_text())

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
    logins: Path | None = None

    @property
    def clouds_file(self) -> Path:
        return self.logins or self.path / "clouds.yaml"

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

    @contextmanager
    def connect(self, name: str = "embedded") -> Iterator[Any]:
        """Log in with an entry of clouds.yaml, or go on with the login of before: each one costs five requests."""
        yield _connection(self.clouds_file, self.clouds_file.stat().st_mtime_ns, name)

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

    def _client(self, **how: Any) -> Any:
        return _s3_client(self.s3_endpoint, self.region, self.ca_bundle or False, **how)


@lru_cache
def _connection(clouds_file: Path, _written: int, name: str) -> Any:
    import openstack.config
    from openstack.connection import Connection

    config = openstack.config.OpenStackConfig(config_files=[str(clouds_file)], load_envvars=False)
    return Connection(config=config.get_one(cloud=name))


@lru_cache
def _s3_client(endpoint: str, region: str, verify: str | bool, signature_version: Any = None, **keys: str) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(
        signature_version=signature_version,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"max_attempts": 1},
    )
    return boto3.client("s3", endpoint_url=endpoint, region_name=region, verify=verify, config=config, **keys)


def new_cloud(path: Path, version: str, tls: bool) -> Cloud:
    """Describe a cloud that does not run yet."""
    return Cloud(path, version, tls, dict(zip(PORT_VARIABLES, ports.free_ports(len(PORT_VARIABLES)), strict=True)))


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Let one process at a time do this."""
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def start(runner: Runner, cloud: Cloud) -> None:
    """Let the role make and start a cloud; test sessions at the same time build its environment once."""
    VENVS.mkdir(parents=True, exist_ok=True)
    with locked(VENVS / ".lock"):
        runner(PLAYBOOK, extra_vars=cloud.variables)


def remove(cloud: Cloud) -> None:
    """Stop a cloud and remove its folder, as the role does, which has a test of its own for that."""
    subprocess.run([sys.executable, CONTROL, cloud.path, "stop"], check=True, stdout=subprocess.DEVNULL, timeout=120)
    shutil.rmtree(cloud.path, ignore_errors=True)


@contextmanager
def running(runner: Runner, path: Path, version: str, tls: bool) -> Iterator[Cloud]:
    """Start a cloud in ``path``; it is stopped and removed at the end."""
    cloud = new_cloud(path, version, tls)
    try:
        start(runner, cloud)
        yield cloud
    finally:
        remove(cloud)


@contextmanager
def shared(runner: Runner, folder: Path, version: str, tls: bool) -> Iterator[Cloud]:
    """One cloud for all processes of a test run: the first that wants it starts it, the last that leaves removes it.

    Whoever uses it holds a lock, which goes with the process, however that ends.
    """
    folder.mkdir(exist_ok=True)
    described = folder / "cloud.json"
    with (folder / "users").open("w") as users:
        with locked(folder / "lock"):
            fcntl.flock(users, fcntl.LOCK_SH)
            if described.exists():
                found = json.loads(described.read_text())
                cloud = Cloud(Path(found.pop("path")), **found)
            else:
                cloud = new_cloud(folder / "cloud", version, tls)
                _start_or_remove(runner, cloud)
                described.write_text(json.dumps(asdict(cloud), default=str))
        try:
            yield cloud
        finally:
            with locked(folder / "lock"):
                if _is_the_last(users):
                    described.unlink()
                    remove(cloud)


def _start_or_remove(runner: Runner, cloud: Cloud) -> None:
    try:
        start(runner, cloud)
    except BaseException:
        remove(cloud)
        raise


def _is_the_last(users: Any) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def with_own_users(cloud: Cloud, logins: Path) -> Cloud:
    """The same cloud with users, projects and application credentials that nobody else has; ``logins`` is their clouds.yaml."""
    mark = f"{random.getrandbits(32):08x}"
    document = yaml.safe_load(cloud.clouds_file.read_text())
    entries = document["clouds"]
    with cloud.connect("embedded-admin") as admin:
        roles = {role["name"]: role["id"] for role in admin.identity.get("/roles").json()["roles"]}
        projects: dict[str, str] = {}
        for entry, role in (("embedded", "member"), ("embedded-reader", "reader"), ("embedded-other", "member")):
            auth = entries[entry]["auth"]
            auth |= {name: f"{auth[name]}-{mark}" for name in ("username", "project_name")}
            if auth["project_name"] not in projects:
                projects[auth["project_name"]] = _made(admin, "/projects", "project", name=auth["project_name"], domain_id="default")
            user = _made(admin, "/users", "user", name=auth["username"], domain_id="default", password=auth["password"])["id"]
            project = projects[auth["project_name"]]["id"]  # type: ignore[index]
            assert admin.identity.put(f"/projects/{project}/users/{user}/roles/{roles[role]}").status_code == 204
    _write_private(logins, document)
    own = replace(cloud, logins=logins)
    with own.connect() as connection:
        for name, unrestricted in (("embedded-app", True), ("embedded-app-restricted", False)):
            url = f"/users/{connection.current_user_id}/application_credentials"
            made = _made(connection, url, "application_credential", name=name, unrestricted=unrestricted)
            entries[name]["auth"] |= {"application_credential_id": made["id"], "application_credential_secret": made["secret"]}
    _write_private(logins, document)
    return own


def _made(connection: Any, url: str, kind: str, **wish: Any) -> dict[str, Any]:
    answer = connection.identity.post(url, json={kind: wish})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()[kind]
    return made


def _write_private(file: Path, document: Any) -> None:
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(document))


@dataclass(frozen=True)
class Answer:
    """What a module answered, and everything that it printed."""

    result: dict[str, Any]
    said: str


@dataclass(frozen=True)
class Modules:
    """Runs modules, each in a process forked from one that has them imported: see module_server.py."""

    server: Server

    def __call__(self, module: str, arguments: Mapping[str, Any], check: bool = False, env: Mapping[str, str] | None = None) -> Answer:
        """Run a module once, in the environment of the test, with ``env`` besides; a traceback raises AssertionError."""
        settings = {"_ansible_check_mode": check, "_ansible_diff": True, "_ansible_remote_tmp": "/tmp"}
        request = {"module": module, "args": {**arguments, **settings}, "env": {**os.environ, **(env or {})}}
        answer = self.server.ask(request)
        assert answer.status in (0, 1), answer
        result = json.loads(answer.stdout)
        assert bool(result.get("failed")) == bool(answer.status), answer
        return Answer(result, answer.stdout + answer.stderr)


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
def run_playbook(tmp_path_factory: pytest.TempPathFactory, _module_server: tuple[Server, str]) -> Iterator[Runner]:
    """Return the function that runs a playbook; each run gets the test's own HOME."""
    runner = Runner(tmp_path_factory.mktemp("ansible"), tmp_path_factory.getbasetemp(), python=_module_server[1])
    with Server.running("play_server.py", env=runner.settings) as server:
        yield replace(runner, server=server)


@pytest.fixture(scope="session")
def _of_all(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all processes that run tests side by side."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def cloud(run_playbook: Runner, _of_all: Path) -> Iterator[Cloud]:
    """Run a cloud with TLS, as real clouds have it: some troubles of S3 clients show only there."""
    with shared(run_playbook, _of_all / "cloud29", "29.1.0", tls=True) as started:
        yield started


@pytest.fixture(scope="session")
def cloud30(run_playbook: Runner, _of_all: Path) -> Iterator[Cloud]:
    """Run a cloud with the newer Keystone, which refuses application credentials more, over plain http."""
    with shared(run_playbook, _of_all / "cloud30", "30.0.0", tls=False) as started:
        yield started


@pytest.fixture(scope="session")
def own_users(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Cloud], Cloud]:
    """Return a function that gives a cloud users and projects of one's own."""
    return lambda cloud: with_own_users(cloud, tmp_path_factory.mktemp("logins") / "clouds.yaml")


@pytest.fixture(scope="session")
def _module_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """The server, and the program that is the Python of hosts."""
    with tempfile.TemporaryDirectory() as folder:  # a socket's path may not be long
        address = f"{folder}/modules"
        with Server.running("module_server.py", address, env=shared_work(tmp_path_factory.getbasetemp())) as server:
            assert server.process.stdout
            assert server.process.stdout.readline() == "ready\n"
            yield server, f"{address}.python"


@pytest.fixture(scope="session")
def modules(_module_server: tuple[Server, str]) -> Modules:
    """Run the modules of this collection without Ansible."""
    return Modules(_module_server[0])
