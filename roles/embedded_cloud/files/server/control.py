# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Start and stop the embedded cloud: the supervisor, and through it Keystone and Swift.

Prints {"changed": bool}, for look {"empty": bool, "exist": [bool, ...], "sha256": [str, ...]}.
A problem that the user can fix is one line on stderr and exit status 3.
The standard library is enough, so that a cloud can be stopped whatever has become of its environment.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import http.client
import json
import os
import secrets
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
import urllib.request
import xmlrpc.client
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECRETS = ("admin", "swift", "zarr", "zarr-reader", "other", "app-unrestricted", "app-restricted")
FOLDERS = ("log", "secrets", "swift")
# What other users of the machine may not enter; the environment too, since whoever writes there runs as its owner.
PRIVATE = ("", "etc", "tls", "keystone", *FOLDERS)
START_SECONDS = 120.0
STOP_SECONDS = 20.0
PORT_SECONDS = 3.0
ANSWER_SECONDS = 10.0
LOG_LINES = 15
ALREADY_STARTED = 60  # a fault code of the supervisor
PRIVATE_MODE = 0o700
RUNNING = ("STARTING", "RUNNING", "BACKOFF")
# Ext4 keeps the attributes of a file in one block of 4 KiB; Swift's own metadata of an object fit in this.
XATTR_BYTES = 3000


class Refused(Exception):
    """Something the user can fix; the text says what and how."""


class UnixTransport(xmlrpc.client.Transport):
    """XML-RPC over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ARG002
        """Connect to the socket, whatever the URL's host."""
        connection = http.client.HTTPConnection("localhost", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(60)
        connection.sock.connect(str(self._path))
        return connection


class Cloud:
    """One cloud's folder and its supervisor."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "etc" / "supervisord.conf"

    def pid(self) -> int | None:
        """Return the process id of the supervisor, None when it does not run."""
        try:
            pid = int((self.path / "supervisord.pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if str(self.config).encode() in command else None

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the supervisor's own interface."""
        proxy = xmlrpc.client.ServerProxy("http://localhost/RPC2", UnixTransport(self.path / "supervisor.sock"))
        return getattr(proxy.supervisor, method)(*arguments)

    def states(self) -> dict[str, str]:
        """Return the state of each program; empty when the supervisor does not run or answer."""
        if self.pid() is None:
            return {}
        try:
            return {info["name"]: info["statename"] for info in self.call("getAllProcessInfo")}
        except (OSError, http.client.HTTPException):
            return {}

    def stop(self) -> bool:
        """End the supervisor, and with it the servers; tell whether there was one."""
        pid = self.pid()
        if pid is None:
            return False
        os.kill(pid, signal.SIGTERM)
        if not wait_until(lambda: self.pid() is None, STOP_SECONDS):
            os.kill(pid, signal.SIGKILL)  # the servers end with it, see parent.py
            wait_until(lambda: self.pid() is None, STOP_SECONDS)
        return True

    def last_lines(self, name: str) -> str:
        """Return the end of a server's log, to show with an error."""
        log = self.path / "log" / f"{name}.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return "\n".join([f"The last lines of {log}:", *lines[-LOG_LINES:]])


def wait_until(condition: Any, seconds: float) -> bool:
    """Wait until condition() is true; tell whether that came in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def make_secrets(folder: Path, only_look: bool) -> bool:
    """Make the passwords that are missing; tell whether any was."""
    missing = [name for name in SECRETS if not (folder / name).exists()]
    for name in missing if not only_look else ():
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(24) + "\n")
    return bool(missing)


def close_folders(cloud: Cloud, only_look: bool) -> bool:
    """Make the folders that are missing, close those that others may enter; tell whether there was any."""
    missing = [cloud.path / name for name in FOLDERS if not (cloud.path / name).exists()]
    ours = [folder for folder in (*(cloud.path / name for name in PRIVATE), Path(sys.prefix)) if folder.exists()]
    exposed = [folder for folder in ours if folder.stat().st_uid == os.geteuid() and folder.stat().st_mode & 0o077]
    for folder in missing if not only_look else ():
        folder.mkdir(mode=PRIVATE_MODE)
    for folder in exposed if not only_look else ():
        folder.chmod(PRIVATE_MODE)
    return bool(missing or exposed)


def check_attributes(folder: Path) -> None:
    """Refuse a file system without extended attributes, in which Swift keeps an object's metadata."""
    probe = folder / ".attributes"
    probe.touch()
    try:
        os.setxattr(probe, "user.swift.metadata", b"x" * XATTR_BYTES)
    except OSError as error:
        raise Refused(
            f"embedded_cloud_path {folder.parent}: its file system keeps no user extended attributes ({error.strerror}), "
            "which Swift needs. Choose a folder on ext4, xfs, btrfs or tmpfs."
        ) from None
    finally:
        probe.unlink()


def bind_error(host: str, port: int) -> OSError | None:
    """Return why a server could not listen on the port; None when it could."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None


def check_port(host: str, port: int, variable: str) -> None:
    """Refuse a port that something else has taken; a server of ours that is just ending gets a moment."""
    wait_until(lambda: not (error := bind_error(host, port)) or error.errno != errno.EADDRINUSE, PORT_SECONDS)
    if error := bind_error(host, port):
        raise Refused(
            f"{variable} is {port}, but the embedded cloud cannot listen on {host}:{port}: {error.strerror}. "
            f"End the process that has the port (ss -ltnp 'sport = :{port}' names it), or set {variable} to a free port "
            "and embedded_cloud_host to an address of this machine."
        )


def answers(url: str, ca: Path) -> bool:
    """Tell whether a GET of url succeeds."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if url.startswith("https:"):
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(ca))))
    try:
        with urllib.request.build_opener(*handlers).open(url, timeout=ANSWER_SECONDS):
            return True
    except (OSError, http.client.HTTPException):
        return False


def launch(cloud: Cloud) -> None:
    """Start the supervisor, with an environment that holds nothing of the caller's."""
    cloud.stop()  # one that runs but does not answer
    (cloud.path / "supervisor.sock").unlink(missing_ok=True)
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(cloud.config)]
    done = subprocess.run(command, env=environment, cwd=cloud.path, umask=0o077, capture_output=True, text=True, check=False)
    if done.returncode or not wait_until(cloud.states, STOP_SECONDS):
        raise Refused(f"The supervisor did not start: {done.stderr.strip()}\n{cloud.last_lines('supervisord')}")


def await_answer(cloud: Cloud, name: str, url: str) -> None:
    """Wait until a server answers; refuse, with the end of its log, when it ended or takes too long."""
    ended = False

    def settled() -> bool:
        nonlocal ended
        ended = cloud.states().get(name) not in RUNNING
        return ended or answers(url, cloud.path / "tls" / "ca.pem")

    if not wait_until(settled, START_SECONDS):
        raise Refused(f"{name} does not answer at {url} after {START_SECONDS:.0f} s.\n{cloud.last_lines(name)}")
    if ended:
        raise Refused(f"{name} does not stay up.\n{cloud.last_lines(name)}")


def start(cloud: Cloud, servers: dict[str, Any], only_look: bool) -> bool:
    """Make sure that the supervisor and both servers run and answer; tell whether anything had to be done."""
    states = cloud.states()
    down = [name for name in servers if states.get(name) not in RUNNING]
    changed = bool(close_folders(cloud, only_look) or down)
    if only_look:
        return changed or make_secrets(cloud.path / "secrets", only_look=True)

    if make_secrets(cloud.path / "secrets", only_look=False) and cloud.stop():
        down, states = list(servers), {}  # they read their passwords when they start
    if down:
        check_attributes(cloud.path / "swift")
        for name in down:
            for variable, port in servers[name]["ports"].items():
                check_port(servers[name]["host"], port, variable)
        if states:
            start_programs(cloud, down)
        else:
            launch(cloud)
    for name, server in servers.items():
        await_answer(cloud, name, server["url"])
    return changed or bool(down)


def start_programs(cloud: Cloud, names: list[str]) -> None:
    """Start programs of a supervisor that runs, without waiting for them."""
    for name in names:
        try:
            cloud.call("startProcess", name, False)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != ALREADY_STARTED:
                raise


def restart(cloud: Cloud, name: str) -> bool:
    """Restart a server that runs; tell whether it did."""
    if cloud.states().get(name) not in RUNNING:
        return False
    cloud.call("stopProcess", name)
    start_programs(cloud, [name])
    return True


def main() -> int:
    """Do one action; print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, help="the cloud's folder")
    parser.add_argument("action", choices=("look", "start", "stop", "restart"), help="start reads the servers as JSON from stdin")
    parser.add_argument("names", nargs="*", help="the files to look for, or the server to restart")
    parser.add_argument("--etc", action="append", default=[], help="a configuration file to look into")
    parser.add_argument("--check", action="store_true", help="only tell what would be done")
    args = parser.parse_args()
    try:
        answer = ACTIONS[args.action](Cloud(args.path), args)
    except Refused as refusal:
        sys.stderr.write(f"{refusal}\n")
        return 3
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


def look(cloud: Cloud, args: argparse.Namespace) -> dict[str, Any]:
    """Tell whether the folder is empty (or not there), which of the named files exist, and what the files in etc/ hold."""
    empty = not cloud.path.exists() or (cloud.path.is_dir() and not any(cloud.path.iterdir()))
    digests = [private_digest(cloud.path / "etc" / name) for name in args.etc]
    return {"empty": empty, "exist": [Path(name).exists() for name in args.names], "sha256": digests}


def private_digest(path: Path) -> str:
    """The SHA-256 of a file that only its owner may read; empty for any other, and for none."""
    try:
        state = path.lstat()
        if not stat.S_ISREG(state.st_mode) or stat.S_IMODE(state.st_mode) != 0o600:
            return ""
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


ACTIONS: dict[str, Callable[[Cloud, argparse.Namespace], dict[str, Any]]] = {
    "look": look,
    "start": lambda cloud, args: {"changed": start(cloud, json.load(sys.stdin), args.check)},
    "stop": lambda cloud, args: {"changed": cloud.pid() is not None if args.check else cloud.stop()},
    "restart": lambda cloud, args: {"changed": restart(cloud, *args.names)},
}


if __name__ == "__main__":
    sys.exit(main())
