# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The network of the test hosts, the option --role, and the table of times at the end."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cost import FOLDER, Cost
from running import HOSTS, ROOT, environment, failed_part, shared_work

SAID = ROOT / "build" / "said"


@dataclass(frozen=True)
class Outcome:
    """What a program said, how it ended and what it cost."""

    command: str
    returncode: int
    output: str
    cost: Cost

    def require(self) -> None:
        """Fail the test where the program failed, with the part of its output that says why; a file keeps the whole."""
        if self.returncode:
            SAID.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=SAID, prefix="failed-", suffix=".log", delete=False) as file:
                file.write(self.output)
            name = f"{self.command} failed with {self.returncode}"
            pytest.fail(f"{name}; all it said is in {file.name}\n{failed_part(self.output)}", pytrace=False)


def run(command: list[str | Path], folder: Path = ROOT, **variables: str) -> Outcome:
    """Run a program to its end."""
    start = time.monotonic()
    done = subprocess.run(
        command, cwd=folder, env=environment(variables), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return Outcome(" ".join(map(str, command)), done.returncode, done.stdout, Cost(time.monotonic() - start, 0.0))


def measured(name: str, command: list[str | Path], folder: Path, **variables: str) -> Outcome:
    """Run a program to its end, and tell what it and its hosts cost."""
    done = run([sys.executable, ROOT / "tests" / "cost.py", name, *command], folder, **variables)
    told = json.loads((FOLDER / f"{name}.json").read_text())
    return replace(done, command=" ".join(map(str, command)), cost=Cost(told["wall"], told["cpu"]))


@pytest.fixture(scope="session", autouse=True)
def _shared_work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whatever is run shares work with the rest of the session, in all processes that run tests side by side."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in shared_work(tmp_path_factory.getbasetemp()).items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory, testrun_uid: str) -> Iterator[None]:
    """The network of the test hosts; nothing of it is left afterwards.

    Processes that run tests side by side share it: the first makes it, the last takes it away.
    """
    users = tmp_path_factory.getbasetemp().parent / f"network-{testrun_uid}"
    try:
        with counted(users, 1) as number:
            if number == 1:
                run([sys.executable, HOSTS, "up"]).require()
        yield
    finally:
        with counted(users, -1) as number:
            if number == 0:
                run([sys.executable, HOSTS, "down"]).require()


@contextmanager
def counted(file: Path, change: int) -> Iterator[int]:
    """Change the number in a file and yield it, while every other process that wants it waits."""
    with file.open("a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        held.seek(0)
        number = int(held.read() or 0) + change
        held.truncate(0)
        held.write(str(number))
        held.flush()
        yield number


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the choice of one role."""
    parser.addoption("--role", default="", help="only the scenarios of this role; 'site' is the whole platform")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With one role only its scenarios."""
    if config.getoption("role"):
        others = [item for item in items if not item.name.startswith("test_scenario[")]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what each scenario cost; the scenarios overlap, so the sum is more than the whole."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, []) if report.when == "call"]
    rows = [
        (*dict(report.user_properties)["cost"], report.nodeid.partition("[")[2].rstrip("]"), report.outcome)
        for report in reports
        if "cost" in dict(report.user_properties)
    ]
    if rows:
        terminalreporter.section("scenarios")
    for wall, cpu, name, outcome in sorted(rows, reverse=True):
        terminalreporter.write_line(f"{wall:7.1f} s  {cpu:7.1f} CPU s  {outcome}  {name}")
