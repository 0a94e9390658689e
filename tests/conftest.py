# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all tests share: the two tiers, `make test` and `make test-all`, and what each test costs."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cost import TESTS_FILE, spent
from running import THOROUGH

# What a test says of itself where a program in the background did the work: wall and processor seconds.
COST = "cost"
SPENT = pytest.StashKey[float]()


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and note the costs where somebody asked for them: once, not in each process that runs tests side by side."""
    config.addinivalue_line("markers", "thorough: only in `make test-all`; docs/testing.md has the reason and what stands for it")
    if TESTS_FILE in os.environ and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Costs(Path(os.environ[TESTS_FILE])))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is only in `make test-all`; pytest counts it as deselected."""
    left_out = [] if THOROUGH else [item for item in items if item.get_closest_marker("thorough")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin to count: the imports are no test's."""
    session.stash[SPENT] = spent()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Send the processor time along with the report: that of this process and of the programs that have ended."""
    now = spent()
    report = yield
    report.cpu = now - item.session.stash[SPENT]
    item.session.stash[SPENT] = now
    return report


class Costs:
    """Adds up what each test cost. What several share is counted with the first that asked for it."""

    def __init__(self, file: Path) -> None:
        """Write to this file at the end."""
        self.file = file
        self.tests: dict[str, dict[str, Any]] = defaultdict(lambda: {"outcome": "passed", "wall": 0.0, "cpu": 0.0})

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Add one part of a test: its set-up, the test, its end."""
        test = self.tests[report.nodeid]
        test["wall"] += report.duration
        test["cpu"] += getattr(report, "cpu", 0.0)  # a process that crashed could not say
        if report.outcome != "passed":
            test["outcome"] = report.outcome
        if own := dict(report.user_properties).get(COST):
            test["wall"], test["cpu"] = own

    def pytest_sessionfinish(self) -> None:
        """Write them down."""
        self.file.write_text(json.dumps([{"name": name, **test} for name, test in self.tests.items()]))
