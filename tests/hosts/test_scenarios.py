# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every role on real hosts: each Molecule scenario is one test.

Two lanes run side by side: the scenarios that share an embedded cloud, one after the other, since they would see each
other's keys; and those that need none.
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from running import MADE, ROOT, VENVS, cloud_variables

from .conftest import Outcome, measured, run

# Roles whose scenarios make a cloud of their own, or need none.
CLOUDLESS = ("dask_client", "dask_scheduler", "dask_service", "dask_tls", "dask_worker", "embedded_cloud", "notebook", "zarr_stack")
# The last part of the first host's address, by whether the scenario shares the cloud.
FIRST_HOST = {True: "11", False: "111"}
# The scenarios that `make test` runs; the others are in `make test-all`: other situations of a role, and the roles of which neither systemd
# nor another user is a part, or which the site, the bad situations or tests/integration apply as well. docs/testing.md tells what stands
# for each.
USUAL = ("default", "site")
ELSEWHERE = (
    "bucket",
    "dask_client",
    "dask_scheduler",
    "dask_tls",
    "dask_worker",
    "ec2_credentials",
    "embedded_cloud",
    "notebook",
    "zarr_dataset",
    "zarr_stack",
)
# What a scenario holds besides playbooks that a side effect names.
ORDINARY = ("converge.yml", "inventory.yml", "molecule.yml", "prepare.yml", "verify.yml")


def shares_cloud(scenario: Path) -> bool:
    """Tell whether a scenario uses the embedded cloud that all share."""
    return scenario.parents[1].name not in CLOUDLESS


def name_of(scenario: Path) -> str:
    """Return the name of a test: role and scenario."""
    return f"{scenario.parents[1].name}-{scenario.name}"


def is_usual(scenario: Path) -> bool:
    """Tell whether `make test` runs a scenario."""
    return scenario.name in USUAL and scenario.parents[1].name not in ELSEWHERE


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each scenario, of all roles or of the one that was named."""
    folders = sorted(
        path.parent for pattern in ("roles/*/molecule/*", "tests/hosts/molecule/*") for path in ROOT.glob(f"{pattern}/molecule.yml")
    )
    if role := metafunc.config.getoption("role"):
        folders = [folder for folder in folders if role in (folder.parents[1].name, folder.name)]
        if not folders:
            raise pytest.UsageError(f"'{role}' has no scenario: there is no roles/{role}/molecule/*/molecule.yml")
    # Of the role that was named, all.
    marks = {folder: [] if role or is_usual(folder) else [pytest.mark.thorough] for folder in folders}
    metafunc.parametrize("scenario", [pytest.param(folder, marks=marks[folder]) for folder in folders], ids=map(name_of, folders))


def play(scenario: Path) -> Outcome:
    """Run the whole sequence of a scenario, from its beginning: Molecule would go on with what a run that was killed has left."""
    ephemeral = MADE / "scenarios" / name_of(scenario)
    shutil.rmtree(ephemeral, ignore_errors=True)
    return measured(
        f"scenario-{name_of(scenario)}",
        ["molecule", "--base-config", ROOT / ".config" / "molecule" / "config.yml", "test", "--scenario-name", scenario.name],
        scenario.parents[1],
        MOLECULE_EPHEMERAL_DIRECTORY=str(ephemeral),
        MOLECULE_FIRST_HOST=FIRST_HOST[shares_cloud(scenario)],
    )


def declare_cloud(state: str) -> Outcome:
    """Start or remove the embedded cloud on the network of the test hosts."""
    inventory, playbook = ROOT / "inventory" / "embedded", ROOT / "playbooks" / "embedded_cloud.yml"
    VENVS.mkdir(parents=True, exist_ok=True)
    with (VENVS / ".lock").open("w") as lock:  # the integration tests may be building the same environment
        fcntl.flock(lock, fcntl.LOCK_EX)
        return run(["ansible-playbook", "-i", inventory, playbook, "-e", json.dumps(cloud_variables(state))])


def play_with_cloud(scenario: Path, cloud: Future[Outcome]) -> Outcome:
    """Run a scenario that shares the cloud, if the cloud came up."""
    return cloud.result() if cloud.result().returncode else play(scenario)


@pytest.fixture(scope="session")
def outcomes(network: None, request: pytest.FixtureRequest) -> Iterator[Callable[[Path], Outcome]]:
    """The outcome of each scenario that was asked for, once it is there."""
    scenarios = [item.callspec.params["scenario"] for item in request.session.items if "scenario" in getattr(item, "fixturenames", ())]
    sharing = [scenario for scenario in scenarios if shares_cloud(scenario)]
    with ThreadPoolExecutor(1) as with_cloud, ThreadPoolExecutor(1) as without_cloud:
        cloud = with_cloud.submit(declare_cloud, "present") if sharing else None
        started = {
            scenario: with_cloud.submit(play_with_cloud, scenario, cloud)
            if cloud and scenario in sharing
            else without_cloud.submit(play, scenario)
            for scenario in scenarios
        }
        try:
            yield lambda scenario: started[scenario].result()
        finally:
            for future in started.values():
                future.cancel()
            with_cloud.shutdown()
            without_cloud.shutdown()
            if cloud:
                declare_cloud("absent").require()


def unplayed(scenario: Path, output: str) -> list[str]:
    """Return the playbooks of a scenario that Molecule has passed over: it only warns of a step whose default playbook is not there."""
    if not re.search(r"> side_effect\] Executed: Missing playbook", output):
        return []
    return sorted(path.name for path in scenario.glob("*.yml") if path.name not in ORDINARY)


def test_scenario(scenario: Path, outcomes: Callable[[Path], Outcome], record_property: Callable[[str, object], None]) -> None:
    """The whole sequence of .config/molecule/config.yml passes."""
    outcome = outcomes(scenario)
    record_property("cost", (outcome.cost.wall, outcome.cost.cpu))
    outcome.require()
    assert not unplayed(scenario, outcome.output)
