# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From a project to a published data set and back: machines, network, stack, bucket, keys and data set, on real Nova and Neutron.

The time line of the stages is printed, and what the project held before and after.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import xarray as xr
from e2e_cloud.site import Run, Site, connect, listing

CLUSTER = "e2e"


def shown(title: str, seconds: float, run: Run) -> None:
    stages = ", ".join(f"{name} {took}" for name, took in run.stages.items() if took)
    print(f"{title}: {seconds:.0f} s, changed={run.changed} ({stages})", flush=True)  # noqa: T201


def counted(kinds: dict[str, list[str]]) -> str:
    return ", ".join(f"{kind} {len(names)}" for kind, names in kinds.items())


def servers() -> list[str]:
    with connect() as cloud:
        return sorted(each.name for each in cloud.compute.servers() if each.name.startswith(CLUSTER))


def test_from_a_project_to_a_published_data_set_and_back(tmp_path: Path) -> None:
    values = xr.Dataset({"air": (("time", "x"), np.arange(160.0).reshape(16, 10))})
    values.to_netcdf(tmp_path / "air.nc", engine="h5netcdf")
    site = Site(tmp_path, CLUSTER, 2, (tmp_path / "air.nc").read_bytes())
    before = listing()
    print(f"before: {counted(before)}", flush=True)  # noqa: T201

    def play(title: str, *arguments: str, **variables: object) -> Run:
        begin = time.monotonic()
        run = site.play(*arguments, **variables)
        shown(title, time.monotonic() - begin, run)
        return run

    try:
        assert play("doctor", "doctor.yml").changed == 0
        predicted = play("check", "site.yml", "--check", "--diff")
        assert predicted.changed
        assert listing() == before
        assert f"make server {CLUSTER}-dask-workers-2, m3.tiny, debian-12" in predicted.output

        assert play("site", "site.yml").changed
        with connect() as cloud:
            endpoint = cloud.object_store.get_endpoint()
        found = xr.open_zarr(f"s3://{site.bucket}/air.zarr", storage_options={"anon": True, "endpoint_url": endpoint})
        xr.testing.assert_identical(found.load().drop_encoding(), values.drop_encoding())

        assert play("again", "site.yml").changed == 0

        site.declare(3)
        assert play("a third worker", "site.yml").changed
        assert len(servers()) == 4
        site.declare(2)
        assert play("two again", "site.yml").changed
        assert servers() == [f"{CLUSTER}-dask-scheduler-1", f"{CLUSTER}-dask-workers-1", f"{CLUSTER}-dask-workers-2"]
    finally:
        play("teardown", "teardown.yml", zarr_teardown_data=True)
    after = listing()
    print(f"after: {counted(after)}", flush=True)  # noqa: T201
    assert after == before
    assert play("teardown again", "teardown.yml", zarr_teardown_data=True).changed == 0
