#!/usr/bin/env python3
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long it takes to delete a store of many objects, on Ceph RGW and on Swift: the role bucket with a profile, and zarr_write with
state absent, against the role without a profile, which deletes them one by one through the Swift API.

The ways take turns; each empties a bucket that zarr_write has just filled. The seconds of the role are without those that it takes
where there is no bucket: Ansible's start. One by one ends at the 10,000th object, since openstacksdk asks for no second page: the store
with its documents has a few less.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

from bench import Bench, Cost, folder_of_its_own, median
from integration.conftest import Runner, _is_the_last, locked, running
from results import Result, keep_costs, record
from ways import PROFILE

CHUNK = (1, 16, 16)  # 1 KiB
KEY = "many.zarr"
PLAY = "[{hosts: localhost, gather_facts: false, roles: [bucket]}]"
GOAL = 0.1


@dataclass(frozen=True)
class Server:
    """A cloud, and the bench with a source of as many chunks as objects are wanted."""

    name: str
    cloud: Any
    bench: Bench
    runner: Runner
    objects: int

    def filled(self) -> str:
        """A bucket with a store of zarr_write's."""
        name = f"delete-{uuid4().hex[:12]}"
        self.cloud.s3(self.bench.key, self.bench.secret).create_bucket(Bucket=name)
        self.bench.way("ours", place=f"{name}/{KEY}", source=str(self.bench.folder / "many.nc"), chunks=CHUNK)
        return name

    def by_role(self, profile: str) -> Cost:
        """Let the role remove a bucket with all that it holds."""
        start = self._role(f"delete-{uuid4().hex[:12]}", profile)
        done = self._role(self.filled(), profile)
        return Cost(done.whole - start.whole, done.whole, done.cpu, 0.0)

    def _role(self, bucket: str, profile: str) -> Cost:
        wanted = {"bucket_state": "absent", "bucket_delete_objects": True, "bucket_name": bucket, "bucket_cloud": "embedded"}
        keys = {"bucket_profile": profile, "bucket_config_file": self.bench.config_file}
        before, start = _of_children(), time.perf_counter()
        done = self.runner(PLAY, extra_vars={**wanted, **keys}, env={"OS_CLIENT_CONFIG_FILE": str(self.cloud.clouds_file)}, timeout=7200)
        seconds = time.perf_counter() - start
        if "one by one" in done.stdout:
            raise SystemExit(done.stdout)
        return Cost(seconds, seconds, _of_children() - before, 0.0)

    def by_records(self) -> Cost:
        """Let zarr_write remove the store; the bucket stays, empty."""
        bucket = self.filled()
        cost = self.bench.way("remove", place=f"{bucket}/{KEY}")
        if self.cloud.s3(self.bench.key, self.bench.secret).list_objects_v2(Bucket=bucket)["KeyCount"]:
            raise SystemExit(f"{bucket} is not empty")
        return cost


def _of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@contextmanager
def on_rgw() -> Iterator[tuple[Any, str]]:
    """The RGW cloud of the tests, by the region that names both services."""
    from rgw import layout, lifecycle
    from rgw.conftest import Rgw

    with lifecycle.shared(locked, _is_the_last) as keystone:
        yield Rgw(layout.KEYSTONES[keystone]).site("iu-s3"), "Ceph RGW"


@contextmanager
def on_swift(runner: Runner) -> Iterator[tuple[Any, str]]:
    """An embedded cloud."""
    with running(runner, runner.folder.parent / "cloud", "29.1.0", tls=True) as cloud:
        yield cloud, "Swift"


def measure(server: Server, rounds: int) -> tuple[list[Result], dict[str, Any]]:
    """The ways in turns, and what their medians say."""
    ways: dict[str, Callable[[], Cost]] = {
        "role": lambda: server.by_role(PROFILE),
        "one by one": lambda: server.by_role(""),
        "records": server.by_records,
    }
    costs = [{name: way() for name, way in ways.items()} for _ in range(rounds)]
    cost = {name: median([each[name] for each in costs]) for name in ways}
    names = {"role": "role bucket with a profile", "records": "zarr_write with state absent"}
    lines = []
    for way, name in names.items():
        what = f"delete, {server.objects} objects on {server.name}, {name}"
        lines.append(Result(f"{what}, against one by one (s)", cost[way].seconds, cost["one by one"].seconds, GOAL))
        lines.append(Result(f"{what}, whole process, against one by one (s)", cost[way].whole, cost["one by one"].whole))
        lines.append(Result(f"{what}, CPU, against one by one (s)", cost[way].cpu, cost["one by one"].cpu))
    return lines, {name: asdict(each) for name, each in cost.items()}


def main() -> None:
    """Measure, and write build/bench.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--objects", type=int, default=9_990, help="chunks of the store")
    parser.add_argument("--rounds", type=int, default=1, help="turns, of which the median counts")
    parser.add_argument("--servers", nargs="*", choices=("rgw", "swift"), default=["rgw", "swift"])
    arguments = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin:/sbin"  # of Ceph's programs
    lines, costs = [], {}
    with folder_of_its_own() as folder:
        runner = Runner(folder / "ansible", folder)
        for name in arguments.servers:
            with on_rgw() if name == "rgw" else on_swift(runner) as (cloud, words):
                place = Bench(folder, cloud.s3_endpoint, cloud.new_ec2_key(), cloud.region, authority=cloud.ca_bundle)
                options = {"source": str(folder / "many.nc"), "chunks": CHUNK, "size": arguments.objects / 1024}
                place.way("make_data", **options)
                more, costs[name] = measure(Server(words, cloud, place, runner, arguments.objects), arguments.rounds)
                lines += more
    keep_costs("delete", {"objects": arguments.objects, "rounds": arguments.rounds, "ways": costs})
    record(lines)


if __name__ == "__main__":
    main()
