# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is known of a cluster: small values, without Dask and without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

MIB = 2**20
SCHEDULER = "scheduler"


@dataclass(frozen=True)
class Process:
    """What a process of Dask's tells of itself. Sizes are in bytes; ``packages`` has None for what does not import."""

    hostname: str
    home: str
    pid: int
    zarrstream: str | None
    packages: Mapping[str, str | None]
    failures: Mapping[str, str]  # why a package does not import
    dashboard: tuple[str, ...]  # addresses with ports at which it listens
    memory: int  # of the host
    spill: str | None = None
    spill_free: int = 0
    spill_problem: str = ""


@dataclass(frozen=True)
class BucketAttempt:
    """One attempt at the bucket. ``steps`` are those of s3_probe; ``problem`` is of the first that failed, '' for none."""

    steps: tuple[Mapping[str, Any], ...] = ()
    problem: str = ""
    clock_skew: int | None = None  # seconds that the host is ahead of the store
    size: int = 0  # bytes of the object

    def seconds(self, step: str) -> float | None:
        """How long a step took; None where it was not taken."""
        return next((each["seconds"] for each in self.steps if each["name"] == step), None)

    def rate(self, step: str, times: int = 1) -> float | None:
        """MiB/s of a step that moved the object so many times; None where nothing was measured."""
        seconds = self.seconds(step)
        return times * self.size / MIB / seconds if seconds and self.size > MIB // 2 else None


@dataclass(frozen=True)
class Worker:
    """One worker. Where ``process`` is None, ``silence`` says why it was not asked; ``memory_limit`` 0 is none."""

    name: str
    address: str
    nthreads: int
    memory_limit: int
    versions: Mapping[str, str | None] = field(default_factory=dict)
    certificate_ends: float | None = None  # seconds since the epoch
    process: Process | None = None
    silence: str = ""
    access: BucketAttempt | None = None

    @property
    def host(self) -> str:
        """The name of its host, or else its address."""
        return self.process.hostname if self.process else address_host(self.address)

    @property
    def label(self) -> str:
        """How messages call it: its name, and its host where the name does not tell that."""
        return self.name if self.host in self.name else f"{self.name} on {self.host}"

    def place_in(self, hosts: Sequence[str]) -> str | None:
        """Which of these hosts of an inventory it is on, by name or address; None for none.

        With several processes on a host, Dask numbers their names; that counts where no host has the whole name.
        """
        names = {self.host, self.host.partition(".")[0], address_host(self.address), self.name}
        for known in (names, {self.name.rpartition("-")[0]} - {""}):
            for host in hosts:
                short = host.partition(".")[0]
                if host in known or (short in known and not short.isdigit()):  # an address is no name
                    return host
        return None


@dataclass(frozen=True)
class SchedulerState:
    """The scheduler; ``cipher`` is '' without TLS."""

    address: str
    versions: Mapping[str, str | None]
    cipher: str = ""
    certificate_ends: float | None = None
    process: Process | None = None
    silence: str = ""

    @property
    def encrypted(self) -> bool:
        """Whether the connection to it is encrypted."""
        return self.address.startswith("tls://")


@dataclass(frozen=True)
class Link:
    """A way through the network, by labels. ``clock`` is what the target's clock is ahead, give or take half a round trip."""

    source: str
    target: str
    round_trip: float = 0.0  # seconds
    mib_per_second: float | None = None
    clock: float | None = None  # seconds
    problem: str = ""


@dataclass(frozen=True)
class Facts:
    """All that was found. ``now`` is in seconds since the epoch, ``client`` the versions where the module runs."""

    scheduler: SchedulerState
    workers: tuple[Worker, ...]
    client: Mapping[str, str | None]
    now: float
    links: tuple[Link, ...] = ()

    @property
    def nodes(self) -> tuple[tuple[str, SchedulerState | Worker], ...]:
        """The scheduler and the workers, by the names that messages have for them."""
        return ((SCHEDULER, self.scheduler), *((worker.label, worker) for worker in self.workers))

    @cached_property
    def asked(self) -> tuple[tuple[Worker, Process], ...]:
        """The workers that told of themselves."""
        return tuple((worker, worker.process) for worker in self.workers if worker.process)


def address_host(address: str) -> str:
    """The host in ``tls://host:port``."""
    return address.rpartition("://")[2].rpartition(":")[0].strip("[]")


def days_left(ends: float | None, now: float) -> int | None:
    """Whole days until a certificate ends, negative afterwards."""
    return None if ends is None else int((ends - now) // 86400)
