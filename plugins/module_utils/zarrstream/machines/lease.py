# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A lease on a cluster: one run at a time makes or removes its machines.

Clouds know no locks, and names are not unique in them. So each run makes a security group that names it, and then lists: of two runs at
least one sees the other's group. Whoever sees one takes its own away and gives up, after some tries at odd times, since two may give
way at once. A run that was killed leaves its lease; on the same machine the next run sees that its process is gone.
"""

from __future__ import annotations

import hashlib
import os
import random
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import Conflict
from .marks import Mark, fields_of_description, lease_name, of_description

TRIES = 4
PAUSE = (0.5, 2.5)
# What a killed run has asked for last may still be on its way.
SETTLE_SECONDS = 5.0


@dataclass(frozen=True)
class Run:
    """A run of ansible-playbook: the machine's name, what tells it from others of that name, the process and when that began."""

    host: str
    place: str
    process: int
    began: str

    def words(self) -> str:
        """For a description."""
        return f"host={self.host} place={self.place} process={self.process} began={self.began}"

    @property
    def alive(self) -> bool:
        """Whether the process still runs; one on another machine, or in another container, is taken for alive."""
        return self.place != _place() or (is_alive(self.process) and _began(self.process) == self.began)


def run_of(process: int) -> Run:
    """The run that has a process on this machine."""
    return Run("".join(socket.gethostname().split()) or "unknown", _place(), process, _began(process))


def holder(description: str) -> Run | None:
    """The run that a lease names."""
    fields = fields_of_description(description)
    try:
        return Run(fields["host"], fields["place"], int(fields["process"]), fields["began"])
    except (KeyError, ValueError):
        return None


def is_alive(process: int) -> bool:
    """Whether a process of this machine runs."""
    return _began(process) != "over"


def _place() -> str:
    parts = [socket.gethostname()]
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if boot.exists():
        parts.append(boot.read_text())
    if namespace.is_symlink():
        parts.append(str(namespace.readlink()))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _began(process: int) -> str:
    """When a process began, in ticks, where the system tells; over for one that has ended."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return "over"
    except PermissionError:
        pass
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "unknown"
    return "over" if fields[0] in "ZX" else fields[19]


class Leases:
    """The leases on one cluster, by the SDK's connection."""

    def __init__(self, conn: Any, mark: Mark) -> None:
        self._network, self._project = conn.network, conn.current_project_id
        self._mark = mark

    def take(self, run: Run, by_force: bool = False) -> tuple[str, list[str]]:
        """The id of the new lease, and whose were taken over; Conflict names the run that has it."""
        over: list[str] = []
        for attempt in range(TRIES):
            description = f"{self._mark.description()} {run.words()}"
            mine = self._network.create_security_group(name=lease_name(self._mark.cluster), description=description).id
            others = [each for each in self._all() if each.id != mine]
            dead = [each for each in others if by_force or not _is_alive(each)]
            self._delete(each.id for each in dead)
            over += [_shown(each) for each in dead]
            living = [each for each in others if each not in dead]
            if not living:
                if dead:
                    time.sleep(SETTLE_SECONDS)
                return mine, over
            self._delete([mine])
            if attempt < TRIES - 1:
                time.sleep(random.uniform(*PAUSE))  # noqa: S311
        raise Conflict(
            f"cluster '{self._mark.cluster}' is being changed by another run: {_shown(living[0])}. Wait until that one has ended, and run "
            "again. If it was killed on a machine that is no more, set vm_break_lease=true once."
        )

    def give_back(self, lease: str) -> None:
        """Remove it."""
        self._delete([lease])

    def _all(self) -> list[Any]:
        listed = self._network.security_groups(name=lease_name(self._mark.cluster), project_id=self._project)
        return [each for each in listed if each.project_id == self._project and of_description(each.description)]

    def _delete(self, ids: Iterable[str]) -> None:
        for each in ids:
            self._network.delete_security_group(each, ignore_missing=True)


def _is_alive(group: Any) -> bool:
    run = holder(group.description)
    return run is None or run.alive


def _shown(group: Any) -> str:
    run, owner = holder(group.description), fields_of_description(group.description).get("owner")
    where = f"process {run.process} on {run.host}" if run else f"security group {group.id}"
    return f"{where}{f', started by {owner}' if owner else ''}, at work since {group.created_at}"
