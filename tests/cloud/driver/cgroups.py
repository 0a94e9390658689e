# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Control groups: limits, and a way to find and end every process of a guest or of the cloud.

Version 2 and, where controllers are still mounted one by one, version 1.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
PARENT = "zarrstream-cloud"
CONTROLLERS = ("memory", "cpu", "pids")
PERIOD = 100_000
MOST_PROCESSES = 4096
KILL_SECONDS = 10.0


def is_version_2() -> bool:
    """Tell whether one tree has all controllers."""
    return (MOUNT / "cgroup.controllers").exists()


class Group:
    """A group of processes, below the cloud's own."""

    def __init__(self, name: str) -> None:
        trees = [MOUNT] if is_version_2() else [MOUNT / controller for controller in CONTROLLERS]
        self._folders = [tree / PARENT / name for tree in trees]

    @property
    def procs(self) -> list[Path]:
        """The files into which a process writes its number to join."""
        return [folder / "cgroup.procs" for folder in self._folders]

    def make(self, *, memory: int | None = None, cpus: int | None = None) -> None:
        """Make the group, with limits where they are given: memory in bytes, cpus in whole ones."""
        for folder in self._folders:
            folder.mkdir(parents=True, exist_ok=True)
        if is_version_2():
            for folder in (MOUNT, MOUNT / PARENT):
                (folder / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in CONTROLLERS))
        if memory and cpus:
            self._limit(memory, cpus)

    def pids(self) -> set[int]:
        """The processes in the group and in those below it."""
        found = set()
        for folder in self._folders:
            for file in folder.rglob("cgroup.procs") if folder.exists() else ():
                with contextlib.suppress(OSError):
                    found.update(map(int, file.read_text().split()))
        return found - {0}

    def kill(self) -> None:
        """Kill every process of the group, and remove it."""
        end = time.monotonic() + KILL_SECONDS
        while (pids := self.pids()) and time.monotonic() < end:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)
        for folder in self._folders:
            below = sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True) if folder.exists() else []
            for path in (*below, folder):
                with contextlib.suppress(OSError):
                    path.rmdir()

    @staticmethod
    def remove_parents() -> None:
        """Remove the cloud's own groups, which hold the others, when nothing is in them."""
        for parent in [MOUNT / PARENT] if is_version_2() else [MOUNT / controller / PARENT for controller in CONTROLLERS]:
            with contextlib.suppress(OSError):
                parent.rmdir()

    def _limit(self, memory: int, cpus: int) -> None:
        values = (
            {"memory.max": f"{memory}", "memory.swap.max": "0", "cpu.max": f"{cpus * PERIOD} {PERIOD}", "pids.max": f"{MOST_PROCESSES}"}
            if is_version_2()
            else {
                "memory.limit_in_bytes": f"{memory}",
                "cpu.cfs_period_us": f"{PERIOD}",
                "cpu.cfs_quota_us": f"{cpus * PERIOD}",
                "pids.max": f"{MOST_PROCESSES}",
            }
        )
        for folder in self._folders:
            for name, value in values.items():
                if (folder / name).exists():
                    (folder / name).write_text(value)
