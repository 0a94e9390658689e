"""Sources for the tests of the writer, and what all unit tests share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from botocore import session
from hypothesis import settings
from running import THOROUGH
from writing import made_once
from zarrstream.metadata.hierarchy import Hierarchy
from zarrstream.sidecar import lock

# How long an example takes says how busy the machine is: the tests run side by side. A failure says how to repeat it.
settings.register_profile("side-by-side", deadline=None, print_blob=True, max_examples=200 if THOROUGH else 25)
settings.load_profile("side-by-side")


@pytest.fixture(scope="session", autouse=True)
def _nobody_else_writes() -> Iterator[None]:
    """No second of waiting for other writers at each takeover. Of the session, since tests undo what they have patched themselves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lock, "SETTLE", 0.01)
        yield


@pytest.fixture(scope="session", autouse=True)
def _each_secret_is_hashed_once() -> Iterator[None]:
    """The hash is slow on purpose, and hundreds of tests have the same few pairs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashlib, "scrypt", cache(hashlib.scrypt))
        yield


@pytest.fixture(scope="session", autouse=True)
def _what_botocore_knows_of_services_is_read_once() -> Iterator[None]:
    """Each session would read two megabytes of JSON, as a process of its own does once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "create_loader", cache(session.create_loader))
        yield


@pytest.fixture(scope="session", autouse=True)
def _the_same_documents_are_opened_once() -> Iterator[None]:
    """Whether they open before there are chunks depends on nothing else, and hundreds of tests write the same few stores."""
    opening = import_module("zarrstream.write.opening")
    opened, whole = {}, opening.open_plainly

    def open_plainly(tree: Hierarchy, get: Any, *, once: bool = False) -> Any:
        if get is not None:
            return whole(tree, get, once=once)
        key = once, *sorted(tree.raw.items())
        if key not in opened:
            opened[key] = whole(tree, None, once=once)
        return deepcopy(opened[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "open_plainly", open_plainly)
        yield


@pytest.fixture
def air() -> xr.Dataset:
    return air_dataset()


def air_dataset() -> xr.Dataset:
    """Data with what gets lost most easily: packing, NaN payloads, -0.0, text, zero length, no dimension, flags."""
    random = np.random.default_rng(1)
    payload = np.array([0x7FC00001, 0xFFC00002, 0x80000000, 0x7F800000], np.uint32).view("f4")
    dataset = xr.Dataset(
        {
            "air": (("time", "lat", "lon"), random.integers(-3000, 3000, (30, 5, 8)).astype("i2")),
            "wind": (("time", "lat"), np.resize(payload, (30, 5))),
            "flag": ("time", random.integers(0, 2, 30).astype(bool)),
            "byte": ("time", random.integers(0, 256, 30).astype("u1")),
            "name": ("lat", np.array(["Åre", "", "Oslo", "x" * 40, "日本"], object)),
            "code": ("lat", np.array([b"ab", b"c", b"", b"de", b"f"])),
            "crs": ((), np.int32(0)),
            "zero": ((), np.float64(-0.0)),
            "none": (("nothing", "lon"), np.zeros((0, 8), "f4")),
            "edges": (("time", "two"), np.arange(60.0).reshape(30, 2)),
        },
        {
            "time": ("time", np.arange(30, dtype="i8")),
            "lat": ("lat", np.linspace(-60, 60, 5, dtype="f4")),
            "lon": ("lon", np.arange(8.0)),
            "height": (("lat", "lon"), random.random((5, 8))),
        },
        {"title": "Luft", "levels": np.array([1, 2, 3])},
    )
    dataset.air.attrs = {
        "scale_factor": 0.01,
        "add_offset": 273.15,
        "_FillValue": np.int16(-1),
        "grid_mapping": "crs",
        "coordinates": "height",
    }
    dataset.time.attrs = {"units": "hours since 1850-01-01", "calendar": "noleap", "bounds": "edges"}
    return dataset


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return made_once(tmp_path / "air.nc", _write_air)


def _write_air(path: Path) -> None:
    _write(air_dataset(), path)


def _write(data: xr.Dataset, path: Path) -> None:
    encoding = {name: {"_FillValue": None} for name in data.variables if "_FillValue" not in data[name].attrs}
    encoding["air"] = {"zlib": True, "chunksizes": (7, 5, 8)}
    data.to_netcdf(path, engine="netcdf4", encoding=encoding)


@pytest.fixture
def few(air: xr.Dataset) -> xr.Dataset:
    """Packed values, integers, text and one without a dimension, for tests that try nothing by what kind a variable is of."""
    return air[["air", "byte", "name", "crs"]].drop_vars("height")


@pytest.fixture
def few_source(few: xr.Dataset, tmp_path: Path) -> Path:
    return made_once(tmp_path / "air.nc", lambda path: _write(few, path), "few")


@pytest.fixture
def little(tmp_path: Path) -> Path:
    """A source of few objects, for tests that try every one of them."""
    dataset = xr.Dataset({"a": ("x", [1, 2, 3])}, {"x": [1, 2, 3]}, {"title": "little"})
    return made_once(tmp_path / "little.nc", lambda path: dataset.to_netcdf(path, engine="netcdf4"))
