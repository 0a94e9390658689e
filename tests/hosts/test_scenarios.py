# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every role on real hosts: each Molecule scenario is one test.

They share the network of the test hosts and, where one asks for it, an embedded cloud.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "hosts"
HOSTS = ROOT / "tests" / "hosts" / "hosts.py"
# These would win over what the roles write, or cost time.
UNWANTED = ("AWS_CA_BUNDLE", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "PYTHONDONTWRITEBYTECODE")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each scenario, of all roles or of the one that was named."""
    folders = sorted(path.parent for path in ROOT.glob("roles/*/molecule/*/molecule.yml"))
    if role := metafunc.config.getoption("role"):
        folders = [folder for folder in folders if folder.parents[1].name == role]
        if not folders:
            raise pytest.UsageError(f"the role '{role}' has no scenario: there is no roles/{role}/molecule/*/molecule.yml")
    metafunc.parametrize("scenario", folders, ids=lambda folder: f"{folder.parents[1].name}-{folder.name}")


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """The environment of every program: the programs beside this Python come first."""
    kept = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    return kept | {"PATH": f"{Path(sys.executable).parent}:{kept['PATH']}", "ANSIBLE_NOCOLOR": "1", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}


def run(command: list[str | Path], environment: dict[str, str], folder: Path = ROOT) -> None:
    """Run a program; when it fails the test fails with all that it said."""
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(map(str, command))} failed with {done.returncode}\n{done.stdout}", pytrace=False)


@pytest.fixture(scope="session")
def network(environment: dict[str, str]) -> Iterator[str]:
    """The network of the test hosts, and the address of this machine on it; nothing of it is left afterwards."""
    run([sys.executable, HOSTS, "up"], environment)
    try:
        yield json.loads((BUILD / "network.json").read_text())["gateway"]
    finally:
        run([sys.executable, HOSTS, "down"], environment)


@pytest.fixture(scope="session")
def cloud(environment: dict[str, str], network: str) -> Iterator[Path]:
    """The folder of an embedded cloud that the test hosts can reach."""

    def declare(state: str) -> None:
        variables = {
            "embedded_cloud_state": state,
            "embedded_cloud_path": str(BUILD / "cloud"),
            "embedded_cloud_venvs": str(ROOT / "build" / "embedded-cloud-venvs"),
            "embedded_cloud_host": network,
            "embedded_cloud_tls": True,
        }
        playbook = ROOT / "playbooks" / "embedded_cloud.yml"
        run(["ansible-playbook", "-i", ROOT / "inventory" / "embedded", playbook, "-e", json.dumps(variables)], environment)

    try:
        declare("present")
        yield BUILD / "cloud"
    finally:
        declare("absent")


@pytest.mark.usefixtures("network")
def test_scenario(scenario: Path, environment: dict[str, str], request: pytest.FixtureRequest) -> None:
    """The whole sequence of .config/molecule/config.yml passes."""
    if any("shared_cloud" in path.read_text() for path in scenario.rglob("*.yml")):
        request.getfixturevalue("cloud")
    role = scenario.parents[1]
    run(
        ["molecule", "--base-config", ROOT / ".config" / "molecule" / "config.yml", "test", "--scenario-name", scenario.name],
        environment | {"MOLECULE_EPHEMERAL_DIRECTORY": str(BUILD / "scenarios" / f"{role.name}-{scenario.name}")},
        role,
    )
