#!/usr/bin/env python3
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run the stages of `make test`, two at a time, show each when it ends, and at the end what all of them cost.

Make would end with the first failure, and could not say what this machine cannot run: a stage that cannot run here is named in one
line with what to install, the others run, and the exit code is not 0. One whose preparation would cost too much is left out, in one line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cost import FOLDER, Cost

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "build" / "test-cost.json"
# They wait for hosts, servers and downloads much of the time: two at once keep two cores busy, more only hold each other up.
TOGETHER = 2
DEAREST = 10
ADDITIONS = 10_000_000
# Stages that ask more of a machine than Python: a program that fails, and whose first line says what is missing.
NEEDS = {
    "molecule": [sys.executable, str(ROOT / "tests" / "hosts" / "hosts.py"), "check"],
    "rgw-test": [sys.executable, "-m", "rgw", "check"],
}
LEFT_OUT = 2  # its exit code where nothing is missing, but making it ready would cost more than `make test` should


@dataclass(frozen=True)
class Stage:
    """What came of a stage: its cost, its exit code, and its tests with the cost of each."""

    name: str
    cost: Cost
    exit: int
    tests: list[dict[str, Any]] = field(default_factory=list)

    def count(self, *outcomes: str) -> int:
        """Count the tests that ended so."""
        return sum(test["outcome"] in outcomes for test in self.tests)


def speed() -> float:
    """Return the processor seconds that 10 million additions of Python take here and now, so that runs on other days compare."""
    start, total = time.process_time(), 0
    for _ in range(ADDITIONS):
        total += 1  # noqa: SIM113 - the addition is what is timed
    return time.process_time() - start


def say(text: str) -> None:
    """Say it at once, also into a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def readiness(stage: str) -> tuple[int, str]:
    """Return 0 for a stage that can run on this machine; else LEFT_OUT or another code, and why."""
    if stage not in NEEDS:
        return 0, ""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    asked = subprocess.run(NEEDS[stage], stdout=subprocess.PIPE, text=True, check=False, env=environment)
    said = asked.stdout.strip().splitlines()
    return asked.returncode, said[0] if said else "its needs could not be asked for"


def run(name: str) -> Stage:
    """Run a stage, and show what it said when it ends."""
    result, log = FOLDER / f"{name}.json", FOLDER / f"{name}.log"
    result.unlink(missing_ok=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    say(f"==> {name} begins; what it says meanwhile is in {log.relative_to(ROOT)}")
    with log.open("wb") as file:
        done = subprocess.run(["make", name], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
    sys.stdout.buffer.write(f"==> {name} {'failed' if done.returncode else 'passed'}\n".encode() + log.read_bytes())
    sys.stdout.flush()
    if not result.exists():
        return Stage(name, Cost(0.0, 0.0), done.returncode)
    said = json.loads(result.read_text())
    return Stage(name, Cost(said["wall"], said["cpu"]), done.returncode, said["tests"])


def table(stages: list[Stage], whole: Cost, speeds: tuple[float, float]) -> str:
    """Return the stages and the dearest tests, with what they cost."""
    rows = [("stage", "wall s", "CPU s", "tests")]
    rows += [(stage.name, *figures(stage.cost), str(len(stage.tests) or "")) for stage in stages]
    rows += [("all", *figures(whole), str(sum(len(stage.tests) for stage in stages)))]
    tests = sorted((test for stage in stages for test in stage.tests), key=lambda test: -test["cpu"])[:DEAREST]
    dearest = [("dearest", "wall s", "CPU s", "")] + [(test["name"], *figures(Cost(test["wall"], test["cpu"])), "") for test in tests]
    lines = [f"{name:<12}{wall:>9}{cpu:>9}{tests:>7}" for name, wall, cpu, tests in rows]
    lines += [f"{wall:>9}{cpu:>9}  {name}" for name, wall, cpu, _ in dearest]
    return "\n".join([f"10 million additions took {speeds[0]:.2f} s before and {speeds[1]:.2f} s after", *lines])


def figures(cost: Cost) -> tuple[str, str]:
    """Return the two numbers of a cost."""
    return f"{cost.wall:.0f}", f"{cost.cpu:.0f}"


def main() -> int:
    """Run what can run, tell the cost, and end with the number of tests."""
    asked = {name: readiness(name) for name in sys.argv[1:]}
    missing = {name: why for name, (code, why) in asked.items() if code not in (0, LEFT_OUT)}
    for name, (code, why) in asked.items():
        if code:
            say(f"==> {name} {'is left out' if code == LEFT_OUT else 'cannot run here'}: {why}")
    names = [name for name, (code, _) in asked.items() if not code]
    before, start = speed(), time.monotonic()
    with ThreadPoolExecutor(TOGETHER) as pool:
        stages = list(pool.map(run, names))
    whole = Cost(time.monotonic() - start, sum(stage.cost.cpu for stage in stages))
    speeds = before, speed()
    told = {"additions_10_million": speeds, "wall": whole.wall, "cpu": whole.cpu, "cannot_run": missing}
    by_stage = {stage.name: {"wall": stage.cost.wall, "cpu": stage.cost.cpu, "exit": stage.exit, "tests": stage.tests} for stage in stages}
    RESULT.write_text(json.dumps({**told, "stages": by_stage}, indent=1) + "\n")
    say(table(stages, whole, speeds))
    failed = [stage.name for stage in stages if stage.exit]
    for name in failed:
        say(f"==> {name} failed")
    for name in missing:
        say(f"==> {name} did not run: see the first lines")
    say(f"{sum(stage.count('passed') for stage in stages)} passed, {sum(stage.count('failed') for stage in stages)} failed")
    return 1 if failed or missing else 0


if __name__ == "__main__":
    sys.exit(main())
