"""A real Keystone and Swift, a proxy in front that misbehaves as told, and a place in a bucket for each test."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from faults.places import CORE, Place, write_profile
from faults.proxy import FaultProxy
from integration.conftest import Cloud, Runner, _module_server, _session_environment, home, run_playbook, running  # noqa: F401 - fixtures
from zarrstream.commands.write import write_dataset


@pytest.fixture(scope="session")
def cloud(run_playbook: Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:  # noqa: F811
    """A cloud of this session; over plain http, because the proxy has to read along."""
    with running(run_playbook, tmp_path_factory.mktemp("cloud"), "29.1.0", tls=False) as started:
        yield started


@pytest.fixture(scope="session")
def _proxy(cloud: Cloud) -> Iterator[FaultProxy]:
    with FaultProxy(cloud.s3_endpoint).running() as running:
        yield running


@pytest.fixture
def proxy(_proxy: FaultProxy) -> Iterator[FaultProxy]:
    """The proxy, without rules."""
    _proxy.misbehave()
    yield _proxy
    _proxy.misbehave()


@pytest.fixture(scope="session")
def keys(cloud: Cloud) -> tuple[str, str]:
    """Access key and secret."""
    return cloud.new_ec2_key()


@pytest.fixture(scope="session")
def s3(cloud: Cloud, keys: tuple[str, str]) -> Any:
    """A client that goes straight to Swift."""
    return cloud.s3(*keys)


@pytest.fixture(scope="session")
def bucket(s3: Any) -> str:
    """The bucket of the session."""
    name = f"faults-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def place(cloud: Cloud, s3: Any, bucket: str, keys: tuple[str, str], proxy: FaultProxy, tmp_path: Path) -> Place:
    """A place of the test's own, which the writer reaches through the proxy and readers directly."""
    config = write_profile(tmp_path / "config", keys, proxy.endpoint)
    return Place(bucket, f"{uuid.uuid4().hex[:12]}/air.zarr", config, cloud.s3_endpoint, keys, s3)


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """``air`` has eight chunks of two steps, ``other`` other values, ``more`` the steps that continue ``air``, ``all`` both."""
    folder, random = tmp_path_factory.mktemp("sources"), np.random.default_rng(5)
    whole = xr.Dataset(
        {"air": (("time", "lat"), random.integers(-3000, 3000, (23, 5)).astype("i2")), "crs": ((), np.int32(7))},
        {"time": np.arange(23), "lat": np.linspace(-60, 60, 5, dtype="f4")},
        {"title": "Luft"},
    )
    whole.air.attrs = {"scale_factor": 0.01, "_FillValue": np.int16(-1)}
    whole.time.attrs = {"units": "hours since 2000-01-01"}
    pieces = {"air": whole.isel(time=slice(15)), "more": whole.isel(time=slice(15, 23)), "all": whole}
    pieces["other"] = pieces["air"].assign(air=pieces["air"].air + 1)
    for name, piece in pieces.items():
        piece.to_netcdf(folder / f"{name}.nc", engine="netcdf4", encoding={"lat": {"_FillValue": None}})
    return {name: folder / f"{name}.nc" for name in pieces}


@pytest.fixture
def source(sources: dict[str, Path]) -> Path:
    """The data set that most tests write."""
    return sources["air"]


@pytest.fixture(scope="session")
def air_store(
    cloud: Cloud,
    s3: Any,
    bucket: str,
    keys: tuple[str, str],
    sources: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, bytes]:
    """The objects of the store of ``air``: copied by whoever begins with one, since to write it takes thrice as many requests."""
    config = write_profile(tmp_path_factory.mktemp("template") / "config", keys, cloud.s3_endpoint)
    template = Place(bucket, "template/air.zarr", config, cloud.s3_endpoint, keys, s3)
    write_dataset(template.request(sources["air"]))
    return template.objects()


@pytest.fixture
def written(place: Place, air_store: dict[str, bytes]) -> Place:
    """A place with the whole store of ``air``, compressed as it is by default."""
    return place.filled(air_store)


@pytest.fixture(scope="session", autouse=True)
def _forks(_session_environment: None) -> None:  # noqa: F811
    """Writers in processes of their own are forked from a server that has the libraries imported."""
    import multiprocessing

    with pytest.MonkeyPatch.context() as patch:  # the server gets it as it starts
        patch.setenv("PYTHONPATH", os.pathsep.join([str(CORE), str(Path(__file__).parents[1])]))
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["faults.writers"])
        first = context.Process(target=int)
        first.start()
        first.join()
