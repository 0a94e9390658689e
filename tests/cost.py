#!/usr/bin/env python3
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run a program and tell what it cost, in seconds of the clock and of the processors: cost.py NAME PROGRAM [ARGUMENT]...

The kernel adds the processor time of a process to the parent that waits for it. A daemon has lost its parent: this program adopts
what lost it (a child subreaper, prctl(2)), and so counts servers, ssh's kept connections and test hosts, whose monitors are daemons
as well; without any rights. What still runs at the end is counted as far as it has come, and so is what runs in a test host whose
power is cut: a container that is killed takes the account of its processes with it, unless hosts.py notes it before (`note_lost`).

The result is also in build/test-cost/NAME.json, with what pytest said of each test (tests/conftest.py).
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

FOLDER = Path(__file__).resolve().parents[1] / "build" / "test-cost"
TESTS_FILE = "TEST_COST_FILE"  # where pytest leaves the cost of each test
LOST_FILE = "TEST_COST_LOST_FILE"  # where hosts.py notes what a container that it kills takes with it
PR_SET_CHILD_SUBREAPER = 36
SERVERS: set[int] = set()  # processes of ours that do a test's work for it


@dataclass(frozen=True)
class Cost:
    """Seconds of the clock, and of the processors for the program and all that it started."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        """As it is shown."""
        return f"{self.wall:.1f} s, {self.cpu:.1f} s of processor time"


def spent() -> float:
    """Return the processor seconds of this process, of the children that it has waited for, and of servers of its own and theirs."""
    own = sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
    return own + sum(sum(psutil.Process(server).cpu_times()[:4]) for server in SERVERS)


def still_running(process: int | None = None) -> float:
    """Return the processor seconds of the descendants that run, of this process or of another, and of what these have waited for."""
    seconds = 0.0
    for descendant in psutil.Process(process).children(recursive=True):
        try:
            seconds += sum(descendant.cpu_times()[:4])  # user, system, and both of its children
        except psutil.NoSuchProcess:
            continue
    return seconds


def note_lost(seconds: float) -> None:
    """Add processor seconds for which nobody will have waited, where a program that counts has asked for them."""
    if file := os.environ.get(LOST_FILE):
        with Path(file).open("a") as opened:
            opened.write(f"{seconds}\n")


def run(command: list[str]) -> tuple[int, Cost]:
    """Run a program to its end, and return its exit code and what it cost.

    Whatever it leaves behind is adopted and waited for as soon as it ends, since whoever looks whether a server is gone would find a
    zombie otherwise.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot adopt what the program leaves behind: prctl failed")
    start, before = time.monotonic(), spent()
    child = subprocess.Popen(command)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the program by itself
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    while True:
        process, status = os.wait()
        if process == child.pid:
            break
    child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, Cost(time.monotonic() - start, spent() - before + still_running())


def main() -> int:
    """Run the program, write down what it cost, and end as it did."""
    name, *command = sys.argv[1:]
    FOLDER.mkdir(parents=True, exist_ok=True)
    result, tests, lost = (FOLDER / f"{name}.{kind}" for kind in ("json", "tests", "lost"))
    for file in (result, tests, lost):
        file.unlink(missing_ok=True)
    around = os.environ.get(LOST_FILE)  # where this is part of what somebody else counts
    os.environ |= {TESTS_FILE: str(tests), LOST_FILE: str(lost)}
    code, cost = run(command)
    if lost.exists():
        seconds = sum(map(float, lost.read_text().split()))
        cost = Cost(cost.wall, cost.cpu + seconds)
        if around:
            os.environ[LOST_FILE] = around
            note_lost(seconds)
    said = {**asdict(cost), "exit": code, "tests": json.loads(tests.read_text()) if tests.exists() else []}
    for file in (tests, lost):
        file.unlink(missing_ok=True)
    result.write_text(json.dumps(said, indent=1) + "\n")
    sys.stdout.write(f"{name}: {cost}\n")
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
