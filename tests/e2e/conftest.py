"""The demo as a user runs it: a copy of the checkout in an empty folder, `make demo` twice, on ports of its own."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ports import free_ports
from running import THOROUGH, VENVS

CHECKOUT = Path(__file__).resolve().parents[2]
LOCKS = CHECKOUT / "roles" / "embedded_cloud" / "files" / "locks"
FOREIGN = ("AWS_", "OS_", "ANSIBLE_", "PYTHON")
PORTS = ("keystone", "swift")


@dataclass(frozen=True)
class Demo:
    """A checkout of its own with the demo in it: its files before, and what the first and the second run printed."""

    checkout: Path
    environment: dict[str, str]
    ports: dict[str, int]
    cloned: set[str]
    first: str
    second: str

    @property
    def endpoint(self) -> str:
        """The S3 endpoint."""
        return f"http://127.0.0.1:{self.ports['swift']}"

    def make(self, *targets: str) -> str:
        """Run make there, as the README says; returns what it printed and fails where it fails."""
        return run(["./make", *targets], cwd=self.checkout, env=self.environment)

    def run(self, *argv: str | Path) -> str:
        """Run a command in the demo's checkout; returns what it printed."""
        return run(argv, cwd=self.checkout, env=self.environment)

    def python(self, program: str, *, home: Path | None = None) -> str:
        """Run Python in the Zarr environment that the demo made; ``home`` is an empty one, for an anonymous client."""
        environment = self.environment if home is None else {**_clean(), "HOME": str(home)}
        return run([self.checkout / "build/stack/current/bin/python", "-c", program], cwd=self.checkout, env=environment)


def run(argv: object, cwd: Path, env: dict[str, str]) -> str:
    """The output of a command; fails with it where the command fails."""
    done = subprocess.run([str(word) for word in argv], cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=1200)  # type: ignore[attr-defined]
    assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}


def copy_checkout(target: Path) -> None:
    """What a clone would hold, uncommitted changes included."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=CHECKOUT, capture_output=True, check=True
    ).stdout
    there = b"\0".join(name for name in listed.split(b"\0") if name and os.path.lexists(CHECKOUT / os.fsdecode(name)))
    packed = subprocess.run(["tar", "-c", "--null", "-T", "-"], cwd=CHECKOUT, input=there, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x"], cwd=target, input=packed, check=True)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo after two runs; stopped and removed at the end."""
    checkout = tmp_path_factory.mktemp("checkout")
    copy_checkout(checkout)
    cloned = files_below(checkout)
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    arguments = " ".join([f"-e embedded_cloud_{name}_port={port}" for name, port in ports.items()] + _servers_that_are_there())
    environment = {**_clean(), "ARGS": arguments, "HOME": str(tmp_path_factory.mktemp("home")), "UV_CACHE_DIR": _uv_cache()}
    try:
        first = run(["./make", "demo"], checkout, environment)
        second = run(["./make", "demo"], checkout, environment)
        yield Demo(checkout, environment, ports, cloned, first, second)
    finally:
        run(["./make", "clean"], checkout, environment)


def _servers_that_are_there() -> list[str]:
    """The arguments for the Keystone and Swift that other tests have installed, where they have: to install them is a third of a first run.

    In `make test-all`, and where they are not there or not complete, the demo installs its own, as it does on a user's machine.
    """
    python = Path(sys.executable).parent / "python"
    lock = (LOCKS / "keystone-29.1.0.lock").read_text().rstrip()
    venv = VENVS / f"keystone-29.1.0-{hashlib.sha256(f'{lock}{python}'.encode()).hexdigest()[:12]}"  # as the role names it
    if THOROUGH or not (venv / ".complete").exists() or not any(venv.glob("server-*/.complete")):
        return []
    return [f"-e embedded_cloud_venvs={VENVS}", f"-e embedded_cloud_python={python}"]


def _uv_cache() -> str:
    """The test's HOME is empty, the cache of packages is shared all the same."""
    return os.environ.get("UV_CACHE_DIR") or str(Path("~/.cache/uv").expanduser())


def files_below(folder: Path) -> set[str]:
    """Every file and link, as paths relative to ``folder``."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}


def recap(output: str) -> dict[str, int]:
    """The numbers of the play recap for localhost."""
    line = re.search(r"^localhost\s+: (.*)$", output, re.MULTILINE)
    assert line, output
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", line[1])}
