# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The role embedded_cloud: it installs, changes, puts right, refuses and removes."""

from __future__ import annotations

import hashlib
import http.client
import importlib.util
import os
import signal
import socket
import stat
import time
from contextlib import closing, contextmanager
from errno import ENOTSUP
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from integration.conftest import new_cloud, remove

ROLE = Path(__file__).resolve().parents[2] / "roles" / "embedded_cloud"
PLAYBOOK = ROLE.parents[1] / "playbooks" / "embedded_cloud.yml"
MADE = []  # what the role has printed with -vvv
NOBODY = 65534
SECRETS = {"admin", "swift", "zarr", "zarr-reader", "other", "app-unrestricted", "app-restricted"}


@pytest.fixture(scope="module")
def cloud(run_playbook, tmp_path_factory):
    """A cloud of these tests alone, made by the role: they break, stop and remove it. Its folder's name has a blank."""
    cloud = new_cloud(tmp_path_factory.mktemp("role") / "a cloud", "29.1.0", tls=False)
    foreseen = run_playbook(PLAYBOOK, "--check", "--diff", extra_vars=cloud.variables)
    assert foreseen.changed > 0
    assert not cloud.path.exists()
    try:
        MADE.append(run_playbook(PLAYBOOK, "-vvv", "--diff", extra_vars=cloud.variables).output)
        assert "[WARNING]" not in MADE[0]
        yield cloud
    finally:
        remove(cloud)


@pytest.fixture(scope="module")
def s3(cloud):
    return cloud.s3(*cloud.new_ec2_key())


def pids(cloud_path, program):
    """Return the ids of the processes of a cloud that run a program."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if any(argument.startswith(str(cloud_path)) for argument in command) and any(program in argument for argument in command):
            found.append(int(entry.name))
    return found


def listens(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)


def unwrapped(output):
    """Join what the YAML output has wrapped."""
    return " ".join(output.split())


def test_secrets_are_private(cloud):
    assert {file.name for file in (cloud.path / "secrets").iterdir()} == SECRETS
    files = [*(cloud.path / "secrets").iterdir(), *(cloud.path / "etc").glob("*.conf"), *(cloud.path / "tls").glob("*.key")]
    files += [cloud.clouds_file, cloud.path / "supervisor.sock", cloud.path / "keystone" / "keystone.db"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    for folder in (cloud.path, cloud.path / "secrets", cloud.path / "tls", cloud.path / "keystone" / "fernet"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_processes_show_no_secret_and_inherit_nothing(cloud):
    words = [(cloud.path / "secrets" / name).read_text().strip().encode() for name in SECRETS]
    processes = [*pids(cloud.path, "supervisord.conf"), *pids(cloud.path, "keystone_server.py"), *pids(cloud.path, "swift_server.py")]
    assert len(processes) == 3
    for process in processes:
        shown = Path(f"/proc/{process}/cmdline").read_bytes() + Path(f"/proc/{process}/environ").read_bytes()
        assert not [word for word in words if word in shown]
        assert b"HOME=" not in Path(f"/proc/{process}/environ").read_bytes()


def listening_ports(processes):
    """The TCP ports on which processes listen, as the kernel tells."""
    found = [each for process in processes for each in psutil.Process(process).net_connections("tcp")]
    return {each.laddr.port for each in found if each.status == psutil.CONN_LISTEN}


def partition(*path):
    """Where Swift's rings put something; the hash's salt is no secret."""
    return int.from_bytes(hashlib.md5(f"embedded/{'/'.join(path)}cloud".encode()).digest()[:4], "big") >> 28


def asked_directly(cloud, server, method, *path, headers=None, body=None):
    """What a storage server answers to whoever can connect to it."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with closing(connection.sock):
        connection.sock.connect(str(cloud.path / "etc" / f"{server}.sock"))
        connection.request(method, quote(f"/disk/{partition(*path)}/{'/'.join(path)}"), body, headers or {})
        return connection.getresponse().status


@contextmanager
def another_user():
    """Be another user of this machine for a while."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user; the role's scenario has two users")
def test_another_user_reaches_nothing_but_the_two_public_ports(cloud, s3):
    s3.create_bucket(Bucket="private")
    s3.put_object(Bucket="private", Key="store/zarr.json", Body=b"{}")
    account, now = f"AUTH_{cloud.project_id()}", {"X-Timestamp": f"{time.time() + 1:.5f}"}
    attempts = [
        ("account", "GET", account),
        ("container", "GET", account, "private"),
        ("object", "GET", account, "private", "store/zarr.json"),
        ("object", "PUT", account, "private", "store/zarr.json"),
        ("object", "GET", account, "private", "store/zarr.json"),
        ("container", "POST", account, "private"),
    ]
    more = {
        "PUT": {"headers": {**now, "Content-Type": "text/plain"}, "body": b"{}"},
        "POST": {"headers": {**now, "X-Container-Read": ".r:*,.rlistings"}},
    }
    files = [cloud.path / "keystone" / "keystone.db", cloud.path / "secrets" / "admin", cloud.path / "etc" / "swift.conf"]
    processes = [*pids(cloud.path, "supervisord.conf"), *pids(cloud.path, "keystone_server.py"), *pids(cloud.path, "swift_server.py")]

    assert listening_ports(processes) == set(cloud.ports.values())
    with another_user():
        for attempt in attempts:
            with pytest.raises(PermissionError):
                asked_directly(cloud, *attempt, **more.get(attempt[1], {}))
        for file in files:
            with pytest.raises(PermissionError):
                file.read_bytes()
        with pytest.raises(PermissionError), closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as control:
            control.connect(str(cloud.path / "supervisor.sock"))
    answers = [asked_directly(cloud, *attempt, **more.get(attempt[1], {})) for attempt in attempts]
    assert answers == [200, 200, 200, 201, 200, 204], "it was the user that was refused, not the request"


@pytest.mark.parametrize("program", ["keystone_server.py", "swift_server.py"])
def test_a_killed_server_comes_back(cloud, s3, program):
    (before,) = pids(cloud.path, program)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: pids(cloud.path, program) not in ([], [before]))
    for port in cloud.ports.values():
        wait_until(lambda port=port: listens(port))
    access, secret = cloud.new_ec2_key()
    cloud.s3(access, secret).list_buckets()


def test_the_next_run_puts_right_what_was_edited_opened_to_others_lost_and_killed(cloud, s3, run_playbook):
    s3.create_bucket(Bucket="survivor")
    keystone, swift = (cloud.path / "etc" / name for name in ("keystone.conf", "swift.conf"))
    before = keystone.read_text()
    keystone.write_text(f"{before}# by hand\n")
    swift.chmod(0o644)
    cloud.path.chmod(0o755)
    (supervisor,) = pids(cloud.path, "supervisord.conf")
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: not any(listens(port) for port in cloud.ports.values()))  # orphans would keep the ports
    lost = [cloud.path / "secrets" / name for name in ("admin", "swift", "zarr", "app-restricted")]
    for file in lost:
        file.unlink()

    checked = run_playbook(PLAYBOOK, "--check", extra_vars=cloud.variables)
    both = {"Configure Keystone", "Configure Swift"}
    assert {name for name in both if name in checked.stdout} == both
    assert not any(file.exists() for file in lost)
    assert run_playbook(PLAYBOOK, extra_vars=cloud.variables).changed > 0
    assert stat.S_IMODE(cloud.path.stat().st_mode) == 0o700
    assert (keystone.read_text(), stat.S_IMODE(swift.stat().st_mode)) == (before, 0o600)
    assert "survivor" in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    for name in ("embedded", "embedded-admin", "embedded-app-restricted"):
        assert cloud.project_id(name)


def as_text(variables):
    """As `-e name=value` on the command line gives them."""
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in variables.items()}


def test_a_changed_setting_then_stopped_with_a_port_taken_then_removed(cloud, s3, run_playbook):
    """To the end of its life. A scenario of Molecule's begins without an environment, or with half of one."""
    s3.create_bucket(Bucket="kept")
    secure = {**cloud.variables, "embedded_cloud_tls": True, "embedded_cloud_region": "elsewhere"}
    assert run_playbook(PLAYBOOK, "--check", extra_vars=secure).changed > 0
    before = {program: pids(cloud.path, program) for program in ("keystone_server.py", "swift_server.py")}
    MADE.append(run_playbook(PLAYBOOK, "-vvv", "--diff", extra_vars=secure).output)
    assert not any(set(processes) & set(pids(cloud.path, program)) for program, processes in before.items()), "both were restarted"
    with cloud.connect() as connection:
        assert connection.config.get_region_name() == "elsewhere"
        endpoint = connection.object_store.get_endpoint()
        assert endpoint.startswith("https://127.0.0.1:")
        assert {"kept"} <= {container.name for container in connection.object_store.containers()}
    words = [(cloud.path / "secrets" / name).read_text().strip() for name in SECRETS]
    words += [line for file in (cloud.path / "tls").glob("*.key") for line in file.read_text().splitlines() if len(line) > 40]
    assert len(words) > len(SECRETS)
    assert not [word for word in words for output in MADE if word in output]
    again = run_playbook(PLAYBOOK, "--diff", extra_vars=as_text(secure))
    assert (again.changed, "[WARNING]" in again.output) == (0, False)

    stopped = {**secure, "embedded_cloud_state": "stopped"}
    assert run_playbook(PLAYBOOK, "--check", extra_vars=stopped).changed == 1
    assert listens(cloud.ports["embedded_cloud_swift_port"])
    assert run_playbook(PLAYBOOK, extra_vars=stopped).changed == 1
    assert not any(listens(port) for port in cloud.ports.values())
    port = cloud.ports["embedded_cloud_keystone_port"]
    with closing(socket.create_server(("127.0.0.1", port))):
        play = run_playbook(PLAYBOOK, extra_vars=secure, check=False)
    assert play.rc == 2
    assert f"embedded_cloud_keystone_port is {port}, but the embedded cloud cannot listen on 127.0.0.1:{port}" in unwrapped(play.output)
    assert not any(listens(port) for port in cloud.ports.values())

    gone = {**secure, "embedded_cloud_state": "absent"}
    assert run_playbook(PLAYBOOK, "--check", extra_vars=gone).changed > 0
    assert cloud.path.exists()
    twice = f"- import_playbook: {PLAYBOOK}\n" * 2
    assert run_playbook(twice, extra_vars=gone).changed == 1, "the second time nothing is there"
    assert not cloud.path.exists()
    assert not any(listens(port) for port in cloud.ports.values())


WRONG = [
    ({"embedded_cloud_path": "relative/path"}, "embedded_cloud_path is 'relative/path': it must be an absolute path"),
    ({"embedded_cloud_path": "/tmp/" + "x" * 90}, "at most 82 characters (it has 95;"),
    ({"embedded_cloud_path": "/tmp/100%"}, "without a slash at the end, quotes, and the characters %"),
    ({"embedded_cloud_host": "localhost"}, "embedded_cloud_host is 'localhost': it must be an IPv4 address"),
    ({"embedded_cloud_swift_port": 15000}, "The ports must be two different numbers from 1 to 65535"),
    ({"embedded_cloud_swift_port": 70000}, "The ports must be two different numbers from 1 to 65535"),
    ({"embedded_cloud_swift_port": "http"}, "embedded_cloud_swift_port"),
    ({"embedded_cloud_keystone_version": "12"}, "value of embedded_cloud_keystone_version must be one of: 29.1.0, 30.0.0"),
    (
        {"embedded_cloud_uv": "/nowhere/uv", "embedded_cloud_venvs": "/tmp/none"},
        "embedded_cloud_uv is '/nowhere/uv': there is no such program",
    ),
    ({"embedded_cloud_state": "gone"}, "value of embedded_cloud_state must be one of: present, stopped, absent"),
]


def test_a_bad_value_or_a_folder_of_somebody_else_gets_one_clear_line(run_playbook, tmp_path):
    file = tmp_path / "precious" / "file"
    file.parent.mkdir(mode=0o755)
    file.write_text("content")
    foreign = [{"embedded_cloud_path": str(file.parent), "embedded_cloud_state": state} for state in ("present", "absent")]
    wrong = WRONG + [(variables, "that folder holds files, but no embedded cloud") for variables in foreign]
    cases = [{"embedded_cloud_path": str(tmp_path / "new"), **variables} for variables, _ in wrong]
    for message, (_, said) in zip(run_playbook.each(PLAYBOOK, "embedded_cloud", cases), wrong, strict=True):
        assert said in message
        assert "Traceback" not in message
    assert not (tmp_path / "new").exists()
    assert [entry.name for entry in file.parent.iterdir()] == ["file"]
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o755


def test_a_file_system_without_attributes_is_refused(monkeypatch, tmp_path):
    spec = importlib.util.spec_from_file_location("control", ROLE / "files" / "server" / "control.py")
    control = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(control)
    (tmp_path / "swift").mkdir()
    control.check_attributes(tmp_path / "swift")  # the real one passes

    def refuse(*_arguments):
        raise OSError(ENOTSUP, os.strerror(ENOTSUP))

    monkeypatch.setattr(os, "setxattr", refuse)
    with pytest.raises(control.Refused, match=f"embedded_cloud_path {tmp_path}: its file system keeps no user extended attributes"):
        control.check_attributes(tmp_path / "swift")
    assert list((tmp_path / "swift").iterdir()) == []
