#!/usr/bin/env python3
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long it takes from bare hosts to a Dask cluster that is ready, against dask.distributed.SSHCluster from the same environment.

The scheduler has a host of its own. Packages are in the cache of each host, as they are on the second day. SSHCluster installs
nothing, encrypts nothing, writes no service, brings no profile and proves nothing; its cluster ends with the program that made it.
So two things are compared: stack.yml and dask.yml against stack.yml and SSHCluster, and dask.yml alone against SSHCluster alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from converge import BENCH, declare_cloud, run
from results import ROOT, Result, keep_costs, record

sys.path.insert(0, str(ROOT / "tests"))
from running import HOSTS, MADE, prefix

FIRST_ADDRESS = 221
HOSTS_OF = {2: (2, 1), 4: (2, 2), 8: (4, 2)}  # workers: hosts, and processes on each
STACK = "/opt/zarrstream"


class Nodes:
    """Bare hosts with an inventory: a scheduler's and those of the workers."""

    def __init__(self, workers: int) -> None:
        """Write the inventory."""
        self.workers = workers
        self.hosts, self.processes = HOSTS_OF[workers]
        self.folder = BENCH / f"deploy-{workers}"
        self.known_hosts = self.folder / "known_hosts"
        self.inventory = self.folder / "hosts.json"
        names = ["node0", *(f"node{number}" for number in range(1, self.hosts + 1))]
        self.addresses = {name: f"{prefix()}.{FIRST_ADDRESS + number}" for number, name in enumerate(names)}
        (self.folder / "home").mkdir(parents=True, exist_ok=True)
        self.inventory.write_text(json.dumps(self._inventory(names), indent=1))

    def _inventory(self, names: list[str]) -> dict[str, Any]:
        options = f"-o UserKnownHostsFile={self.known_hosts} -o GlobalKnownHostsFile=/dev/null -o IdentitiesOnly=yes"
        settings = {
            "ansible_user": "debian",
            "ansible_become": True,
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_private_key_file": str(MADE / "id_ed25519"),
            "ansible_ssh_common_args": options,
            "zarr_cloud": "embedded",
            "zarr_profile": "bench",
            "zarr_profile_file": "~/.aws/config",
            "zarr_stack_path": STACK,
            "zarr_buckets": [{"name": "bench-deploy"}],
            "zarr_datasets": [],
            "dask_worker_processes": self.processes,
            "dask_worker_threads": 1,
            "dask_worker_memory_limit": "1G",
        }
        here = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable}
        nodes: dict[str, dict[str, str]] = {name: {"ansible_host": self.addresses[name]} for name in names}
        workers: dict[str, dict[str, str]] = {name: {} for name in names[1:]}
        return {
            "all": {"hosts": {"localhost": here}, "vars": settings},
            "embedded_cloud": {"hosts": {}},
            "zarr_hosts": {"hosts": nodes},
            "dask_scheduler": {"hosts": {"node0": {}}},
            "dask_workers": {"hosts": workers},
        }

    def play(self, *names: str) -> float:
        """Run playbooks; the seconds they took."""
        return self._run("ansible-playbook", "-i", str(self.inventory), *(str(ROOT / "playbooks" / f"{name}.yml") for name in names))

    def stop(self) -> None:
        """Stop the services, so that the other cluster has the hosts for itself."""
        for group, service in (("dask_workers", "dask-worker"), ("dask_scheduler", "dask-scheduler")):
            state = f"name={service} state=stopped"
            self._run("ansible", "-i", str(self.inventory), group, "-m", "ansible.builtin.systemd_service", "-a", state)

    def _run(self, *command: str) -> float:
        return run(*command, HOME=str(self.folder / "home"), OS_CLIENT_CONFIG_FILE=str(MADE / "cloud" / "clouds.yaml"))

    def by_ssh(self) -> float:
        """Start an SSHCluster on the hosts; the seconds until all its workers are there."""
        from distributed import Client, SSHCluster

        scheduler, *workers = self.addresses.values()
        connect = {"username": "debian", "client_keys": [str(MADE / "id_ed25519")], "known_hosts": str(self.known_hosts)}
        started = time.monotonic()
        cluster = SSHCluster(
            [scheduler, *workers],
            connect_options=connect,
            remote_python=f"{STACK}/current/bin/python",
            scheduler_options={"port": 0, "dashboard_address": "127.0.0.1:0"},
            worker_options={"n_workers": self.processes, "nthreads": 1, "memory_limit": "1GB"},
        )
        with cluster, Client(cluster) as client:
            client.wait_for_workers(self.workers, timeout=120)
            return time.monotonic() - started


@contextmanager
def bare(workers: int) -> Iterator[Nodes]:
    """Hosts that have nothing yet."""
    nodes, scenario = Nodes(workers), f"bench-deploy-{workers}"
    created = [f"--host={name}=trixie={address}" for name, address in nodes.addresses.items()]
    run(sys.executable, HOSTS, "create", "--scenario", scenario, "--known-hosts", nodes.known_hosts, *created)
    try:
        yield nodes
    finally:
        run(sys.executable, HOSTS, "destroy", "--scenario", scenario, "--sockets", str(nodes.folder / "home" / ".ansible" / "cp"))


def measure(workers: int, rounds: int) -> dict[str, float]:
    """The seconds of each step; of SSHCluster, which leaves nothing, the median."""
    with bare(workers) as nodes:
        nodes.play("buckets")
        stack = nodes.play("stack")
        nodes.play("credentials")  # of the users, which no cluster needs
        dask, again = nodes.play("dask"), nodes.play("dask")
        nodes.stop()
        by_ssh = statistics.median(nodes.by_ssh() for _ in range(rounds))
        return {
            "hosts": nodes.hosts,
            "processes": nodes.processes,
            "stack": stack,
            "dask": dask,
            "dask_again": again,
            "ssh_cluster": by_ssh,
        }


def results(measured: dict[int, dict[str, float]]) -> list[Result]:
    """What the seconds say."""
    lines = []
    for workers, took in measured.items():
        name = f"Dask cluster of {workers} ({took['hosts']:.0f} hosts with {took['processes']:.0f})"
        whole = took["stack"] + took["dask"], took["stack"] + took["ssh_cluster"]
        lines.append(Result(f"{name}, from bare hosts, against the same environment and SSHCluster (s)", *whole))
        lines.append(
            Result(f"{name}, TLS, services, profiles and proof, against SSHCluster, which has none (s)", took["dask"], took["ssh_cluster"])
        )
    return lines


def main() -> None:
    """Measure, and write build/bench.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--workers", type=int, nargs="+", choices=sorted(HOSTS_OF), default=sorted(HOSTS_OF), help="numbers of workers")
    parser.add_argument("--rounds", type=int, default=3, help="SSHClusters, of which the median counts")
    arguments = parser.parse_args()
    # What SSHCluster needs beside Dask; all else comes from the tests' own environment.
    sys.path.append(str(next((ROOT / "build" / "venv-bench").glob("lib/python3*/site-packages"))))
    BENCH.mkdir(parents=True, exist_ok=True)
    run(sys.executable, HOSTS, "up")
    try:
        declare_cloud("present")
        with bare(2) as nodes:
            nodes.play("stack")  # the first installation fills the cache of packages
        measured = {workers: measure(workers, arguments.rounds) for workers in arguments.workers}
        keep_costs("deploy", {str(workers): took for workers, took in measured.items()})
        record(results(measured))
    finally:
        declare_cloud("absent")
        run(sys.executable, HOSTS, "down")


if __name__ == "__main__":
    main()
