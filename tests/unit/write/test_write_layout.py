"""The writer with shards and with little memory: whole objects, every chunk kept, and the peak as planned."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr
import zarr
from asking import check_request, check_store, write_request
from writing import made_once, request
from zarrstream.commands.write import preview, write_dataset
from zarrstream.write.result import WriteResult

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have a Zarr V3 specification"),
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return made_once(tmp_path / "air.nc", write_source, "layout")


def write_source(path: Path) -> None:
    """Values that a writer likes to leave out: zeros of both signs and NaN fill whole chunks."""
    air = np.zeros((50, 6, 9), "f4")
    air[10:20] = -0.0
    air[20:30] = np.nan
    air[30:] = np.arange(20 * 6 * 9).reshape(20, 6, 9)
    dataset = xr.Dataset(
        {
            "air": (("time", "lat", "lon"), air),
            "name": (("time",), np.array([f"run {number}" * (number % 3) for number in range(50)], object)),
            "none": (("nothing", "lon"), np.zeros((0, 9))),
            "crs": ((), np.int32(4)),
        },
        {"time": ("time", np.arange(50)), "lon": ("lon", np.arange(9.0))},
    )
    encoding: dict[str, Any] = {name: {"_FillValue": None} for name in ("air", "none", "lon")}
    encoding["air"] |= {"zlib": True, "chunksizes": (4, 6, 9)}
    dataset.to_netcdf(path, engine="netcdf4", encoding=encoding)


def written(source: Path, store: Path, **options: Any) -> WriteResult:
    return write_dataset(write_request(source=(str(source),), store=str(store), **{"verify": "full", **options}))


def bits(store: Path, name: str) -> bytes:
    return np.asarray(zarr.open_array(store / name, mode="r")[...]).tobytes()


LAYOUTS: list[tuple[Any, Any, tuple[Any, Any, int]]] = [
    ({"time": 5}, "auto", ((5, 6, 9), (50, 6, 9), 1)),
    ({"time": 4, "lon": 4}, {"time": 12}, ((4, 6, 4), (12, 6, 12), 5)),  # neither shards nor chunks end at the edge
    ({"time": "auto"}, {"time": 20}, ((20, 6, 9), (20, 6, 9), 3)),
    ({"time": 7}, {"time": "auto", "lat": 6}, ((7, 6, 9), (56, 6, 9), 1)),
]
ENCODINGS: list[dict[str, Any]] = [{}, {"air": {"compressor": "none"}}, {"air": {"compressor": "blosc", "filters": ["shuffle"]}}]


@pytest.mark.parametrize(
    ("chunks", "shards", "expected", "encoding"),
    [
        # In `make test` each layout once, encodings in turn.
        pytest.param(*layout, encoding, marks=[] if turn == number % len(ENCODINGS) else pytest.mark.thorough)
        for number, layout in enumerate(LAYOUTS)
        for turn, encoding in enumerate(ENCODINGS)
    ],
)
def test_shards_hold_every_chunk(
    source: Path, tmp_path: Path, chunks: dict[str, Any], shards: Any, expected: tuple[Any, Any, int], encoding: dict[str, Any]
) -> None:
    result = written(source, tmp_path / "a.zarr", chunks=chunks, shards=shards, encoding=encoding)
    air = zarr.open_array(tmp_path / "a.zarr/air", mode="r")
    assert (air.chunks, air.shards) == expected[:2]
    assert len(list((tmp_path / "a.zarr/air/c").glob("*/*/*"))) == expected[2]
    planned = {array["name"]: array for array in result.plan["arrays"]}
    assert (planned["air"]["chunks"], planned["air"]["shards"], planned["air"]["objects"]) == (*map(list, expected[:2]), expected[2])
    assert result.objects == len([path for path in (tmp_path / "a.zarr").rglob("*") if path.is_file()])
    with xr.open_dataset(source, mask_and_scale=False) as opened:
        assert bits(tmp_path / "a.zarr", "air") == opened.air.values.tobytes()
        assert zarr.open_array(tmp_path / "a.zarr/name", mode="r")[...].tolist() == opened.name.values.tolist()
    checked = check_store(check_request(store=str(tmp_path / "a.zarr"), source=(str(source),), sample=None))
    assert checked.ok, checked.as_result()["checks"]
    assert not written(source, tmp_path / "a.zarr", chunks=chunks, shards=shards, encoding=encoding).changed


def test_other_shards_are_another_request(source: Path, tmp_path: Path) -> None:
    def fingerprint(shards: Any) -> str:
        return preview(request(source, tmp_path / "a.zarr", chunks={"time": 5}, shards=shards)).fingerprint

    one = fingerprint("auto")
    for shards in (None, {"time": 10}):
        assert fingerprint(shards) != one
    assert fingerprint({"time": "auto"}) == one


def test_memory_makes_no_other_store(source: Path, tmp_path: Path) -> None:
    one = written(source, tmp_path / "a.zarr", chunks={"time": 5})
    two = written(source, tmp_path / "b.zarr", chunks={"time": 5}, memory="32KiB")
    assert (one.plan, one.fingerprint, one.bytes_stored) == (two.plan, two.fingerprint, two.bytes_stored)


def test_the_plan_of_packed_variables_is_of_what_gets_stored(source: Path, tmp_path: Path) -> None:
    packing = {"air": {"dtype": "int16", "scale_factor": 0.5, "_FillValue": -1}}
    result = written(source, tmp_path / "a.zarr", encoding=packing, chunks={"time": 5})
    air = next(array for array in result.plan["arrays"] if array["name"] == "air")
    assert (air["dtype"], air["bytes"]) == ("int16", 50 * 6 * 9 * 2)


PEAK = """
    import json, sys
    from zarrstream.write.request import request_from
    from zarrstream.commands.write import write_dataset
    import zarrstream.write.template, zarrstream.write.staging, zarrstream.write.verify, xarray, zarr, dask.array, netCDF4, numcodecs
    from pathlib import Path

    def peak(source, store, options):
        # The kernel's own record, begun anew. That of getrusage begins with what this process's parent had.
        Path("/proc/self/clear_refs").write_text("5")
        result = write_dataset(request_from({"source": source, "store": store, **options}))
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), result.plan["bytes"]

    little, big, *cases = json.loads(sys.argv[1])
    print(json.dumps([[peak(path, f"{path}.{number}.zarr", case) for path in (little, big)] for number, case in enumerate(cases)]))
"""


def series(path: Path, steps: int) -> Path:
    """The same few steps again and again, compressed but once."""
    values = np.random.default_rng(1).normal(280, 9, (8, 128, 128)).round(1).astype("f4")
    with netCDF4.Dataset(path, "w") as file:
        for dim, size in {"time": steps, "lat": 128, "lon": 128}.items():
            file.createDimension(dim, size)
        air = file.createVariable("air", "f4", ("time", "lat", "lon"), zlib=True, complevel=1, chunksizes=(8, 128, 128))
        air[:8] = values
    with h5py.File(path, "r+") as file:
        chunks = file["air"].id
        _, compressed = chunks.read_direct_chunk((0, 0, 0))
        for start in range(8, steps, 8):
            chunks.write_direct_chunk((start, 0, 0), compressed)
    return path


@pytest.mark.parametrize("times", [5, pytest.param(20, marks=pytest.mark.thorough)])
def test_a_data_set_of_many_times_the_memory(tmp_path: Path, times: int) -> None:
    memory, step = 4 * 2**20, 128 * 128 * 4
    packed = {"dtype": "int16", "scale_factor": 0.1, "add_offset": 280, "_FillValue": -32768}
    cases: list[dict[str, Any]] = [
        {"chunks": {"time": 2}, "shards": {"time": 8}},
        {"chunks": {"time": 160, "lat": 32, "lon": 32}},  # the source is chunked across it
        *([{"chunks": {"time": 8}}, {"chunks": {"time": 2}, "encoding": {"air": packed}}] if times > 5 else []),
    ]
    given = [str(series(tmp_path / "little.nc", 160)), str(series(tmp_path / "big.nc", times * memory // step))]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PEAK), json.dumps([*given, *({**case, "memory": memory} for case in cases)])],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(Path(write_dataset.__code__.co_filename).parents[2]), "PATH": "/usr/bin:/bin", "MALLOC_ARENA_MAX": "2"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for case, ((before, _), (peak, planned)) in zip(cases, json.loads(done.stdout), strict=True):
        assert planned >= times * memory // (2 if "encoding" in case else 1)
        # The little one may not have used all that it might, and the allocator keeps some: what is held would be far more than twice.
        assert peak - before <= 2 * memory, f"{case}: {(peak - before) / 2**20:.0f} MiB more than {before / 2**20:.0f} MiB"
