# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From a project to a published data set and back: machines, stack, bucket, keys, Dask cluster and data set, on real Nova and Neutron.

The time line of the stages is printed, and what the project held before and after.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import xarray as xr
from e2e_cloud.site import Run, Site, connect, listing, say

CLUSTER = "e2e"
NODES = [f"{CLUSTER}-dask-scheduler-1", f"{CLUSTER}-dask-workers-1", f"{CLUSTER}-dask-workers-2"]
# Each variable is at least one task.
VARIABLES = [f"air{level}" for level in range(8)]


class Journal:
    """Runs playbooks of a site and notes how long each stage took."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.runs: dict[str, tuple[float, Run]] = {}

    def play(self, title: str, *arguments: str, **variables: object) -> Run:
        begin = time.monotonic()
        run = self.site.play(*arguments, **variables)
        self.runs[title] = time.monotonic() - begin, run
        say(f"{title}: {self.runs[title][0]:.0f} s, changed={run.changed}")
        return run

    def time_line(self, *titles: str) -> list[str]:
        """Seconds by stage, a column for each run."""
        runs = [self.runs[title] for title in titles]
        stages = list(dict.fromkeys(name for _, run in runs for name, seconds in run.stages.items() if seconds))
        width = max(map(len, stages))
        rows = [(name, [run.stages.get(name, 0) for _, run in runs]) for name in stages] + [("whole", [round(whole) for whole, _ in runs])]
        return [f"{name:<{width}}  " + "".join(f"{each:>12}" for each in numbers) for name, numbers in rows]


def shown(kinds: dict[str, list[str]]) -> list[str]:
    return [f"  {kind:<24} {len(names):>2}  {', '.join(names)}" for kind, names in kinds.items()]


def servers() -> list[str]:
    with connect() as cloud:
        return sorted(each.name for each in cloud.compute.servers() if each.name.startswith(CLUSTER))


def statuses() -> set[str]:
    with connect() as cloud:
        return {each.status for each in cloud.compute.servers() if each.name.startswith(CLUSTER)}


def in_cluster(run: Run) -> set[str]:
    """The workers that the proof of the Dask cluster shows, which asks each of them."""
    return set(re.findall(rf"({CLUSTER}-dask-workers-\d+) +\S+ +tls://", run.output))


def test_from_a_project_to_a_published_data_set_and_back(tmp_path: Path) -> None:
    numbers = np.arange(320.0).reshape(32, 10)
    values = xr.Dataset({name: (("time", "x"), numbers + index) for index, name in enumerate(VARIABLES)})
    values.to_netcdf(tmp_path / "air.nc", engine="h5netcdf")
    site = Site(tmp_path, CLUSTER, 2, (tmp_path / "air.nc").read_bytes())
    journal = Journal(site)
    before = listing()
    say("", "before:", *shown(before))
    try:
        assert journal.play("doctor", "doctor.yml").changed == 0
        predicted = journal.play("check", "site.yml", "--check", "--diff")
        assert predicted.changed
        assert listing() == before
        assert f"make server {CLUSTER}-dask-workers-2, m3.tiny, debian-12" in predicted.output

        first = journal.play("first run", "site.yml")
        assert servers() == NODES
        assert in_cluster(first) == set(NODES[1:])
        wrote = re.findall(rf"({CLUSTER}-dask-workers-\d+) (\d+) objects", first.said)
        assert {host for host, objects in wrote if int(objects)} == set(NODES[1:]), wrote
        say("written by " + ", ".join(f"{host}: {objects} objects" for host, objects in wrote), "with three servers:", *shown(listing()))
        with connect() as cloud:
            endpoint = cloud.object_store.get_endpoint()
        found = xr.open_zarr(f"s3://{site.bucket}/air.zarr", storage_options={"anon": True, "endpoint_url": endpoint})
        xr.testing.assert_identical(found.load().drop_encoding(), values.drop_encoding())

        assert journal.play("second run", "site.yml").changed == 0

        site.declare(3)
        more = journal.play("a third worker", "site.yml")
        assert more.changed
        assert servers() == [*NODES, f"{CLUSTER}-dask-workers-3"]
        assert in_cluster(more) == {*NODES[1:], f"{CLUSTER}-dask-workers-3"}
        site.declare(2)
        fewer = journal.play("two again", "site.yml")
        assert fewer.changed
        assert servers() == NODES
        assert in_cluster(fewer) == set(NODES[1:])

        assert journal.play("shelve", "shelve.yml").changed
        assert statuses() == {"SHELVED_OFFLOADED"}
        assert journal.play("shelve again", "shelve.yml").changed == 0
        assert journal.play("unshelve", "unshelve.yml").changed
        assert statuses() == {"ACTIVE"}
        assert journal.play("unshelve again", "unshelve.yml").changed == 0
        back = journal.play("as declared", "site.yml")
        assert back.changed == 0
        assert in_cluster(back) == set(NODES[1:])
    finally:
        journal.play("teardown", "teardown.yml", zarr_teardown_data=True)
    after = listing()
    say("after:", *shown(after))
    assert after == before
    assert journal.play("teardown again", "teardown.yml", zarr_teardown_data=True).changed == 0
    say("seconds, first run, second run, a third worker, two again:")
    say(*journal.time_line("first run", "second run", "a third worker", "two again"))
