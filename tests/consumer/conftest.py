# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Somebody's own repository, made of the files and commands of docs/use-from-another-repository.md, with an environment of its own.

What a test has to say otherwise than the page is in ``INSTEAD`` and in a second inventory: the embedded cloud, paths and ports, and
that the page's host is this machine. Ansible Galaxy is not asked: the collections that the kit needs come with the package ``ansible``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml
from e2e.conftest import copy_checkout
from ports import free_ports
from running import ROOT, VENVS

PAGE = (ROOT / "docs" / "use-from-another-repository.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
# A block whose first line is a comment with a path is that file.
FILES = {found[1]: text for _, text in BLOCKS if (found := re.match(r"# (\S+\.\w+)\n", text))}
FOREIGN = ("AWS_", "OS_", "ANSIBLE_", "PYTHON")
MADE = ROOT / "build" / "consumer"
# The package brings ansible-core and the collections; openstack.cloud 2.5, which is in 12, wants the older SDK.
OLDEST = ("2.19", "ansible>=12,<13", "openstacksdk<4.15")
NEWEST = ("2.21", "ansible>=14,<15")


@dataclass(frozen=True)
class Controller:
    """A Python environment with Ansible in it: its programs, and what has to be installed in it."""

    name: str
    programs: Path

    def run(self, program: str, *arguments: str | Path, cwd: Path, env: dict[str, str], fails: bool = False) -> str:
        """What a program printed; an error where it failed, or where it should have."""
        command = [str(self.programs / program), *map(str, arguments)]
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=1200)
        assert (done.returncode != 0) is fails, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr


@dataclass(frozen=True)
class Repository:
    """The repository, with the collection installed for it."""

    path: Path
    controller: Controller
    env: dict[str, str]
    ports: tuple[int, int]
    stack: Path

    def play(self, *arguments: str | Path, fails: bool = False) -> str:
        """Run ansible-playbook there; the embedded cloud and this machine are said in a second inventory."""
        return self.controller.run("ansible-playbook", "-i", "second", *arguments, cwd=self.path, env=self.env, fails=fails)

    def say(self, line: str) -> str:
        """Run a command line of the page."""
        program, *arguments = line.split(" #")[0].split()
        assert program == "ansible-playbook", line
        return self.play(*arguments)


def recap(output: str, host: str = "localhost") -> dict[str, int]:
    """The numbers of the play recap for a host."""
    line = re.search(rf"^{re.escape(host)}\s+: (.*)$", output, re.MULTILINE)
    assert line, output
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", line[1])}


def commands(program: str) -> list[str]:
    """The lines of the page's shell blocks that call a program."""
    return [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines() if line.split()[0] == program]


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository that holds the checkout, uncommitted changes included, as its branch main."""
    folder = tmp_path_factory.mktemp("kit") / "platform"
    folder.mkdir()
    copy_checkout(folder)
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], [*identity, "commit", "-q", "-m", "all"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="session")
def artifact(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `ansible-galaxy collection build` makes of it."""
    folder = tmp_path_factory.mktemp("artifact")
    here().run("ansible-galaxy", "collection", "build", checkout, "--output-path", folder, cwd=folder, env=dict(os.environ))
    return next(folder.glob("*.tar.gz"))


def here() -> Controller:
    """The environment of the tests."""
    return Controller("tests", Path(sys.executable).parent)


def made(name: str, *packages: str) -> Controller:
    """An environment with these packages, and with what the collection says that its controller needs; kept by what it was made from."""
    wanted = ROOT / "requirements.txt"
    mark = hashlib.sha256("\n".join([*packages, wanted.read_text(), sys.version]).encode()).hexdigest()[:12]
    folder = MADE / f"{name}-{mark}"
    if not (folder / ".complete").exists():
        uv = str(Path(sys.executable).parent / "uv")
        subprocess.run([uv, "venv", "-q", "--clear", "--python", sys.executable, str(folder)], check=True)
        subprocess.run([uv, "pip", "install", "-q", "--python", str(folder / "bin/python"), *packages, "-r", str(wanted)], check=True)
        (folder / ".complete").touch()
    return Controller(name, folder / "bin")


@pytest.fixture
def repository_of(tmp_path: Path, checkout: Path, artifact: Path) -> Iterator[object]:
    """A function that makes the repository for a controller: ``git`` installs as the page says, otherwise from the artifact."""
    there: list[Repository] = []
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # the path of a socket may not be long

        def make(controller: Controller, *, git: bool, settings: bool) -> Repository:
            repository = _written(tmp_path, Path(short), controller, checkout, settings=settings)
            _install(repository, None if git else artifact)
            there.append(repository)
            return repository

        yield make
        for repository in there:
            if (Path(short) / "cloud").exists():
                repository.play("-i", "inventory", "zarrstream.platform.embedded_cloud", "-e", "embedded_cloud_state=absent")


def _written(tmp_path: Path, short: Path, controller: Controller, checkout: Path, *, settings: bool) -> Repository:
    path, home, data, stack = (tmp_path / name for name in ("repository", "home", "data", "stack"))
    for folder in (path, home, data):
        folder.mkdir()
    instead = {
        "https://github.com/zarrstream/platform.git": f"git+file://{checkout}",
        "/data/": f"{data}/",
        "/opt/zarrstream": str(stack),
        "mycloud": "embedded",
        "ansible_become: true": "ansible_become: false",
        "[root, ubuntu]": "[]",
    }
    for name, text in FILES.items():
        if name.endswith(".yml") or (name == "ansible.cfg" and settings):
            for said, other in instead.items():
                text = text.replace(said, other)
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text(text)
    (path / "group_vars").mkdir()
    (path / "group_vars" / "all.yml").write_text("zarr_profile: beside\n")  # wins over the inventory's, though nothing of the kit's is here
    values = np.arange(240.0).reshape(24, 10)
    xr.Dataset({"air": (("time", "x"), values)}, {"time": np.arange(24)}).to_netcdf(data / "air.nc", engine="h5netcdf")
    ports = tuple(free_ports(2))
    second = {
        "all": {
            "children": {
                "embedded_cloud": {"hosts": {"localhost": {}}},
                "zarr_hosts": {
                    "hosts": {"data1.example.org": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}}
                },
            },
            "vars": {
                "embedded_cloud_path": str(short / "cloud"),
                "embedded_cloud_keystone_port": ports[0],
                "embedded_cloud_swift_port": ports[1],
                "embedded_cloud_venvs": str(VENVS),
                "embedded_cloud_python": str(Path(sys.executable).parent / "python"),
                "embedded_cloud_uv": str(Path(sys.executable).parent / "uv"),
                "zarr_stack_python": sys.executable,
            },
        }
    }
    (path / "second").mkdir()
    (path / "second" / "hosts.yml").write_text(yaml.safe_dump(second))
    env = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    env |= {"HOME": str(home), "PATH": f"{controller.programs}:{env['PATH']}", "NO_COLOR": "1"}
    env |= {"OS_CLIENT_CONFIG_FILE": str(short / "cloud" / "clouds.yaml")}
    if not settings:
        env["ANSIBLE_COLLECTIONS_PATH"] = "collections"
    return Repository(path, controller, env, (ports[0], ports[1]), stack)


def _install(repository: Repository, artifact: Path | None) -> None:
    """As the page says, but for the other collections, which come with a package."""
    (line,) = (line for line in commands("ansible-galaxy") if "-r requirements.yml" in line)
    words = line.split()[1:]
    if artifact:
        words = ["collection", "install", str(artifact), *words[words.index("-p") :]]
    repository.controller.run("ansible-galaxy", *words, "--no-deps", cwd=repository.path, env=repository.env)
    listed = json.loads(
        repository.controller.run(
            "ansible-galaxy", "collection", "list", "zarrstream.platform", "--format", "json", cwd=repository.path, env=repository.env
        ).split("\n[WARNING]")[0]
    )
    assert any("zarrstream.platform" in found for found in listed.values())
