#!/usr/bin/env python3
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long site.yml takes on test hosts over SSH: the first run, the next ones, and two floors in the same rounds.

The floors are `ansible -m ping` on the same hosts, which runs one module, and bare ssh to each host, side by side.
The goals: a run that changes nothing costs at most 12 pings on one host, and each further host less than a tenth more.
Test hosts share the processors of the controller, and their work makes up most of a further host's wall time here; what
the controller itself spends on it, which is what machines of their own would leave, is given in CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results import ROOT, Result, record

sys.path.insert(0, str(ROOT / "tests"))
from running import HOSTS, MADE, cloud_variables, environment, prefix

BENCH = ROOT / "build" / "bench"
FIRST_ADDRESS = 201  # apart from those of the Molecule scenarios
GOAL_OF_ONE_HOST, GOAL_OF_EACH_FURTHER = 12.0, 0.1


@dataclass(frozen=True)
class Times:
    """Medians of one number of hosts, in seconds; the first run is one only."""

    hosts: int
    first: float
    unchanged: float
    cpu: float  # of the controller, in a run that changes nothing
    ping: float
    ssh: float


class Site:
    """Test hosts with an inventory, and the programs that run against them."""

    def __init__(self, hosts: int) -> None:
        """Write the inventory for this number of hosts."""
        self.hosts = hosts
        self.folder = BENCH / str(hosts)
        self.inventory = self.folder / "hosts.json"
        self.known_hosts = self.folder / "known_hosts"
        # Sites of 1, 2, 4 and 8 hosts stand side by side: each begins where the one before it ends.
        self.addresses = {f"bench{number}": f"{prefix()}.{FIRST_ADDRESS + hosts + number}" for number in range(hosts)}
        (self.folder / "home").mkdir(parents=True, exist_ok=True)
        self.inventory.write_text(json.dumps(self._inventory(), indent=1))

    def _inventory(self) -> dict[str, Any]:
        options = f"-o UserKnownHostsFile={self.known_hosts} -o GlobalKnownHostsFile=/dev/null -o IdentitiesOnly=yes"
        settings = {
            "ansible_user": "debian",
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_private_key_file": str(MADE / "id_ed25519"),
            "ansible_ssh_common_args": options,
            "zarr_cloud": "embedded",
            "zarr_profile": "bench",
            "zarr_profile_file": "~/.aws/config",
            "zarr_stack_path": "/home/debian/stack",
            "zarr_buckets": [{"name": f"bench-{self.hosts}"}],
            "zarr_datasets": [{"name": "bench", "source": "/home/debian/bench.nc", "store": f"s3://bench-{self.hosts}/bench.zarr"}],
        }
        controller = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        hosts = {name: {"ansible_host": address} for name, address in self.addresses.items()}
        return {
            "all": {"hosts": {"localhost": controller}, "vars": settings},
            "embedded_cloud": {"hosts": {}},  # it is there already
            "zarr_hosts": {"hosts": hosts},
        }

    def run(self, *command: str | Path) -> float:
        """Run a program with the controller's settings; the seconds it took."""
        return run(*command, HOME=str(self.folder / "home"), OS_CLIENT_CONFIG_FILE=str(MADE / "cloud" / "clouds.yaml"))

    def converge(self) -> float:
        """Run site.yml; the seconds it took."""
        return self.run("ansible-playbook", "-i", self.inventory, ROOT / "playbooks" / "site.yml")

    def ping(self) -> float:
        """Run one module on each host."""
        return self.run("ansible", "-i", self.inventory, "zarr_hosts", "-m", "ansible.builtin.ping")

    def ssh(self) -> float:
        """Run nothing on each host, over a new connection, all at once."""
        start = time.monotonic()
        options = ["-o", f"UserKnownHostsFile={self.known_hosts}", "-o", "IdentitiesOnly=yes", "-i", str(MADE / "id_ed25519")]
        programs = [subprocess.Popen(["ssh", *options, f"debian@{address}", "true"]) for address in self.addresses.values()]
        for program in programs:
            if program.wait():
                raise SystemExit(f"ssh failed with {program.returncode}.")
        return time.monotonic() - start


def run(*command: str | Path, **variables: str) -> float:
    """Run a program; the programs beside this Python come first. Ends all with what it said when it fails."""
    settings = environment({"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), **variables})
    start = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed with {done.returncode}:\n{done.stdout}")
    return time.monotonic() - start


def declare_cloud(state: str) -> None:
    """Start or remove an embedded cloud where the hosts reach it."""
    run("ansible-playbook", ROOT / "playbooks" / "embedded_cloud.yml", "-e", json.dumps(cloud_variables(state)))


@contextmanager
def site_of(hosts: int) -> Iterator[Site]:
    """Fresh hosts, with data on the first."""
    site = Site(hosts)
    created = [f"--host={name}=trixie={address}" for name, address in site.addresses.items()]
    run(sys.executable, HOSTS, "create", "--scenario", f"bench-{hosts}", "--known-hosts", site.known_hosts, *created)
    try:
        site.run("ansible", "-i", site.inventory, "bench0", "-m", "ansible.builtin.copy", "-a", f"src={data()} dest=/home/debian/bench.nc")
        yield site
    finally:
        run(sys.executable, HOSTS, "destroy", "--scenario", f"bench-{hosts}", "--sockets", str(site.folder / "home" / ".ansible" / "cp"))


def data() -> Path:
    """A small NetCDF file: here it is not the writing that is measured."""
    import numpy as np
    import xarray as xr

    path = BENCH / "bench.nc"
    if not path.exists():
        values = np.random.default_rng(1).normal(280, 10, (24, 30, 40)).astype("f4")
        xr.Dataset({"t": (("time", "lat", "lon"), values)}).to_netcdf(path)
    return path


def measure(sites: list[Site], rounds: int) -> list[Times]:
    """A first run of each site, then rounds through all of them: what the machine does besides meets each alike."""
    first = [site.converge() for site in sites]
    figures = [[(*with_cpu(site.converge), site.ping(), site.ssh()) for site in sites] for _ in range(rounds)]
    return [
        Times(site.hosts, first[number], *(statistics.median(column) for column in zip(*(one[number] for one in figures), strict=True)))
        for number, site in enumerate(sites)
    ]


def with_cpu(program: Callable[[], float]) -> tuple[float, float]:
    """The seconds that a program took, and the CPU seconds of its processes on this machine outside of the test hosts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = program()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def further_host(name: str, least: tuple[int, float], most: tuple[int, float], goal: float | None) -> Result:
    """What each further host costs, against all that the fewest cost."""
    return Result(name, (most[1] - least[1]) / (most[0] - least[0]), least[1], goal)


def results(measured: list[Times]) -> list[Result]:
    """What the times say."""
    lines = []
    for times in measured:
        hosts = f"{times.hosts} host" + "s" * (times.hosts > 1)
        goal = GOAL_OF_ONE_HOST if times.hosts == 1 else None
        lines.append(Result(f"site.yml, nothing to change, {hosts}, against ping (s)", times.unchanged, times.ping, goal))
        lines.append(Result(f"site.yml, first run, {hosts}, against ping (s)", times.first, times.ping))
        lines.append(Result(f"ansible -m ping, {hosts}, against bare ssh (s)", times.ping, times.ssh))
    least, most = measured[0], measured[-1]
    if most.hosts > least.hosts:
        name = "site.yml, nothing to change: a further host, against one"
        wall, cpu = (least.hosts, least.unchanged), (least.hosts, least.cpu)
        lines.append(further_host(f"{name} (s)", wall, (most.hosts, most.unchanged), GOAL_OF_EACH_FURTHER))
        lines.append(further_host(f"{name} (CPU s of the controller)", cpu, (most.hosts, most.cpu), GOAL_OF_EACH_FURTHER))
    return lines


def main() -> None:
    """Measure, and write build/bench.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hosts", type=int, nargs="+", choices=[1, 2, 4, 8], default=[1, 2, 4], help="numbers of hosts")
    parser.add_argument("--rounds", type=int, default=5, help="runs that change nothing, of which the median counts")
    arguments = parser.parse_args()
    BENCH.mkdir(parents=True, exist_ok=True)
    run(sys.executable, HOSTS, "up")
    try:
        declare_cloud("present")
        with ExitStack() as stack:
            sites = [stack.enter_context(site_of(hosts)) for hosts in sorted(arguments.hosts)]
            measured = measure(sites, arguments.rounds)
        record(results(measured))
    finally:
        declare_cloud("absent")
        run(sys.executable, HOSTS, "down")


if __name__ == "__main__":
    main()
