# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host of a Dask cluster: what it has, and which files its service or its users want. Imports the standard library alone."""

from __future__ import annotations

import contextlib
import grp
import hashlib
import json
import os
import pwd
import re
import secrets
import socket
import stat
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import BadRequest, Conflict, WriteError

UNITS = Path("/etc/systemd/system")
DEFINITION, HOME = "@definition@", "@home@"
PATIENCE = 10.0  # seconds within which a port has to answer
_KINDS = {"folder": stat.S_ISDIR, "file": stat.S_ISREG, "link": stat.S_ISLNK}
_PROPERTIES = ("ActiveState", "UnitFileState", "StatusText")
_ASK_PYTHON = (
    "import sys, sysconfig; print(sys.prefix, sys.executable, '%d.%d' % sys.version_info[:2], sysconfig.get_path('purelib'), sep='\\n')"
)


@dataclass(frozen=True)
class Wanted:
    """A file with its content, or a folder where ``content`` is None. Without a group it is whoever's it is."""

    path: Path
    mode: int
    group: str | None = None
    content: str | None = field(default=None, repr=False)
    secret: bool = False  # the content shows in no diff
    at_start: bool = False  # the service reads it when it starts
    fill: bool = False  # HOME and DEFINITION in the content stand for what they name


@dataclass(frozen=True)
class Python:
    """An environment, and the Python in it: the name of its folder, the program without links to the folder, 3.13, say, its packages."""

    environment: str
    executable: str
    version: str
    libraries: str = ""


@dataclass(frozen=True)
class Service:
    """What systemd says of a service."""

    name: str
    is_active: bool
    is_enabled: bool
    has_unit: bool
    status: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without the name."""
        return {"is_active": self.is_active, "is_enabled": self.is_enabled, "has_unit": self.has_unit, "status": self.status}


@dataclass(frozen=True)
class Found:
    """What is in a place. ``kind`` is file, folder, link, other, or empty where there is nothing."""

    kind: str = ""
    content: bytes = field(default=b"", repr=False)
    mode: int = 0
    group: str = ""
    is_roots: bool = False


@dataclass(frozen=True)
class Change:
    """A file or folder that is not as wanted."""

    wanted: Wanted
    found: Found

    def diff(self) -> dict[str, str]:
        """Before and after, of a secret without its content."""
        return {
            "before_header": str(self.wanted.path),
            "after_header": str(self.wanted.path),
            "before": _shown(self.wanted, self.found.kind, self.found.content, self.found.mode, self.found.group),
            "after": _shown(
                self.wanted,
                _kind(self.wanted),
                (self.wanted.content or "").encode(),
                self.wanted.mode,
                self.wanted.group or self.found.group,
            ),
        }


@dataclass(frozen=True)
class Plan:
    """What is to be done: files and folders in their order, and ``start``, ``restart`` or nothing for the service."""

    changes: tuple[Change, ...]
    definition: str
    action: str = ""
    ends: bool = False  # the service is active, and comes to its end
    reload: bool = False


def wanted_from(values: dict[str, Any]) -> Wanted:
    """Parse what a task says of a file or folder. Raises BadRequest."""
    mode = values["mode"]
    if not re.fullmatch("0?[0-7]{3}", mode):
        raise BadRequest(f"files.mode is '{mode}' for {values['path']}: an octal mode is wanted, such as '0640'.", path=values["path"])
    is_secret = values["secret"] is not None
    content = values["secret"] if is_secret else values["content"]
    return Wanted(Path(values["path"]), int(mode, 8), values["group"], content, is_secret, values["at_start"], values["fill"])


def home_for(wanted: list[Wanted]) -> str:
    """The home of the user who runs this. Raises BadRequest where something is wanted in it, and it is not there."""
    home = Path("~").expanduser()
    if any(each.path.is_relative_to(home) for each in wanted) and not home.is_dir():
        raise BadRequest(
            f"the home {home} is not there, and files of Dask's clients lie in it. Make it, or leave its user out.", home=str(home)
        )
    return str(home)


def plan(
    wanted: list[Wanted],
    found: dict[Path, Found],
    python: Python | None,
    service: Service | None,
    home: str,
    packages: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    """Compare what is wanted with what is there.

    A service reads some of it once, at its start. That stands in its unit as one number, DEFINITION, so that a change of any of it is a
    change of the unit; and the service tells systemd with which one it was started, so that a run makes up for one that was interrupted
    before its restart.
    """
    definition = define(wanted, python, packages)
    filled = [_filled(each, definition, home) for each in wanted]
    changes = tuple(Change(each, there) for each in filled if not _fits(each, there := found[each.path]))
    if service is None or not any(each.at_start for each in wanted):
        return Plan(changes, definition)
    unit = UNITS / f"{service.name}.service"
    unit_changes = any(change.wanted.path == unit and change.found.content != (change.wanted.content or "").encode() for change in changes)
    as_declared = not unit_changes and f"definition={definition}" in service.status
    action = "restart" if not as_declared else "" if service.is_active and service.is_enabled else "start"
    return Plan(changes, definition, action, ends=service.is_active and not as_declared, reload=not as_declared)


def define(wanted: list[Wanted], python: Python | None, packages: Mapping[str, str] = MappingProxyType({})) -> str:
    """The number of all that the service reads at its start, the digests of ``packages`` by their names included."""
    read = [python and [python.environment, python.version], *([str(each.path), each.content] for each in wanted if each.at_start)]
    read += [[name, digest] for name, digest in sorted(packages.items())]
    return hashlib.sha256(json.dumps(read).encode()).hexdigest()


def apply(changes: tuple[Change, ...]) -> None:
    """Make folders and files. Raises Conflict for what is neither, and WriteError."""
    for change in changes:
        wanted = change.wanted
        if change.found.kind not in ("", "link" if wanted.content is not None else "", _kind(wanted)):
            raise Conflict(f"{wanted.path} is not a {_kind(wanted)}. Move it away, and run again.", path=str(wanted.path))
        try:
            if wanted.content is None:
                _make_folder(wanted)
            else:
                _write(wanted)
        except OSError as error:
            raise WriteError(
                f"cannot write {wanted.path}: {error.strerror}. Check the owner and mode of its folder, and whether the disk is full.",
                path=str(wanted.path),
            ) from None


def look(wanted: list[Wanted]) -> dict[Path, Found]:
    """What is in the places of the files and folders; a link to a folder is a folder."""
    return {each.path: _found(each.path) for each in wanted}


def ask_python(program: str) -> tuple[Python | None, str]:
    """Describe the environment of a Python, or why it cannot run."""
    try:
        # This knows no Ansible; pylint: disable-next=ansible-bad-function
        said = subprocess.run([program, "-c", _ASK_PYTHON], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    if said.returncode:
        return None, said.stderr.strip()
    prefix, executable, version, libraries = said.stdout.splitlines()
    environment = Path(prefix).resolve()
    return Python(environment.name, str(environment / "bin" / Path(executable).name), version, libraries), ""


def digests(names: list[str], python: Python | None) -> dict[str, str]:
    """What the files of packages in the environment are, one number for each; those of one that is not there are none."""
    return {name: _digest(Path(python.libraries) / name) for name in names} if python else {}


def ask_systemd(name: str) -> Service:
    """What systemd says of a service; of one that it does not know, that it is not active. Raises BadRequest without systemd."""
    try:
        said = subprocess.run(  # this knows no Ansible; pylint: disable=ansible-bad-function
            ["systemctl", "show", name, *(f"--property={each}" for each in _PROPERTIES)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    except OSError as error:
        raise BadRequest(f"{name} cannot be a service of this host: {error}. Dask's services want systemd.", service=name) from None
    told = dict(line.partition("=")[::2] for line in said.stdout.splitlines())
    return Service(
        name,
        told.get("ActiveState") == "active",
        told.get("UnitFileState") == "enabled",
        (UNITS / f"{name}.service").exists(),
        told.get("StatusText", ""),
    )


def has_user(name: str, home: str) -> bool:
    """Whether there is that user with that home, who cannot log in."""
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        return False
    return user.pw_dir == home and user.pw_shell.endswith("/nologin")


def reaches(address: str, port: int, patience: float = PATIENCE) -> bool:
    """Whether somebody listens there, within ``patience`` seconds."""
    ends = time.monotonic() + patience
    while True:
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=5):
            return True
        if time.monotonic() >= ends:
            return False
        time.sleep(0.5)


def describe(python: Python | None, why_not: str) -> dict[str, Any]:
    """The host in plain values: its environment, its cores, and its memory in bytes."""
    return {
        "environment": python.environment if python else "",
        "executable": python.executable if python else "",
        "python": python.version if python else "",
        "why_not": why_not,
        "cores": len(os.sched_getaffinity(0)),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }


def _filled(wanted: Wanted, definition: str, home: str) -> Wanted:
    if not wanted.fill or wanted.content is None:
        return wanted
    content = wanted.content.replace(DEFINITION, definition).replace(HOME, home)
    return Wanted(wanted.path, wanted.mode, wanted.group, content, wanted.secret, wanted.at_start)


def _digest(package: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(package)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _kind(wanted: Wanted) -> str:
    return "folder" if wanted.content is None else "file"


def _fits(wanted: Wanted, found: Found) -> bool:
    owned = wanted.group is None or (found.is_roots and found.group == wanted.group)
    return found.kind == _kind(wanted) and found.mode == wanted.mode and owned and found.content == (wanted.content or "").encode()


def _found(path: Path) -> Found:
    try:
        about = path.stat() if path.is_dir() else path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return Found()
    kind = next((name for name, is_one in _KINDS.items() if is_one(about.st_mode)), "other")
    try:
        group = grp.getgrgid(about.st_gid).gr_name
    except KeyError:
        group = ""
    content = path.read_bytes() if kind == "file" and os.access(path, os.R_OK) else b""
    return Found(kind, content, stat.S_IMODE(about.st_mode), group, about.st_uid == 0)


def _shown(wanted: Wanted, kind: str, content: bytes, mode: int, group: str) -> str:
    if not kind:
        return ""
    text = "" if wanted.secret or kind != "file" else content.decode(errors="replace")
    return f"{kind} {group} {mode:04o}\n{text}"


def _make_folder(wanted: Wanted) -> None:
    wanted.path.mkdir(mode=wanted.mode, parents=True, exist_ok=True)
    if wanted.group is not None:
        os.chown(wanted.path, 0, grp.getgrnam(wanted.group).gr_gid)
    wanted.path.chmod(wanted.mode)


def _write(wanted: Wanted) -> None:
    """Replace the file, or a link in its place, in one step."""
    temporary = wanted.path.with_name(f".{wanted.path.name}.{secrets.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write((wanted.content or "").encode())
            if wanted.group is not None:
                os.fchown(file.fileno(), 0, grp.getgrnam(wanted.group).gr_gid)
            os.fchmod(file.fileno(), wanted.mode)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(wanted.path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
