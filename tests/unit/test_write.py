"""The whole writer, from real files to folders: values bit for bit, nothing half published, nothing done twice."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr
from zarrstream import publish, transfer, write
from zarrstream.errors import BadRequest, Conflict, PlanError, SourceError, WriteError, ZarrstreamError
from zarrstream.manifest import MANIFEST, WRITING, Stored, md5_of, parse_manifest
from zarrstream.readback import same_bits
from zarrstream.request import WriteRequest, request_from
from zarrstream.store import Objects
from zarrstream.write import WriteResult, preview, write_dataset

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have a Zarr V3 specification"),
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),
    pytest.mark.filterwarnings("ignore:Failed to open Zarr store with consolidated metadata"),
]
Format = Literal[2, 3]
BOTH = pytest.mark.parametrize("zarr_format", [2, 3])
CORE = Path(transfer.__file__).parents[1]


@pytest.fixture
def air() -> xr.Dataset:
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
def source(air: xr.Dataset, tmp_path: Path) -> Path:
    path = tmp_path / "air.nc"
    encoding = {name: {"_FillValue": None} for name in air.variables if "_FillValue" not in air[name].attrs}
    encoding["air"] = {"zlib": True, "chunksizes": (7, 5, 8)}
    air.to_netcdf(path, engine="netcdf4", encoding=encoding)
    return path


@pytest.fixture
def little(tmp_path: Path) -> Path:
    """A source of few objects, for tests that try every one of them."""
    path = tmp_path / "little.nc"
    xr.Dataset({"a": ("x", [1, 2, 3])}, {"x": [1, 2, 3]}, {"title": "little"}).to_netcdf(path, engine="netcdf4")
    return path


def request(source: Any, store: Path, **options: Any) -> WriteRequest:
    sources = source if isinstance(source, tuple) else (source,)
    return WriteRequest(source=tuple(map(str, sources)), store=str(store), **options)


def decoded(path: Path, engine: str) -> xr.Dataset:
    with xr.open_dataset(path, engine=engine) as dataset:
        return dataset.load()


def raw(path: Path, engine: str) -> xr.Dataset:
    with xr.open_dataset(path, engine=engine, mask_and_scale=False, decode_times=False, decode_coords=False) as dataset:
        return dataset.load()


def assert_same(store: Path, source: Path, engine: str = "netcdf4") -> None:
    """Equal for a plain reader, and to the last bit in encoded form."""
    with xr.open_zarr(store) as opened:
        xr.testing.assert_identical(opened.load(), decoded(source, engine))
    found, expected = raw(store, "zarr"), raw(source, engine)
    assert set(found.variables) == set(expected.variables)
    for name, variable in expected.variables.items():
        values = variable.values
        assert same_bits(found[name].values, values if values.dtype.kind in "OTU" else values.astype(values.dtype.newbyteorder("="))), name
        assert xr.Variable((), 0, found[name].attrs).identical(xr.Variable((), 0, variable.attrs)), name


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sidecar(store: Path) -> Path:
    return Path(f"{store}.zarrstream")


def opens(store: Path) -> bool:
    try:
        zarr.open_group(store, mode="r")
    except (FileNotFoundError, ValueError):
        return False
    return True


@BOTH
@pytest.mark.parametrize("consolidated", [True, False])
@pytest.mark.parametrize("verify", ["none", "manifest", "sample", "full"])
def test_a_store_is_the_source(source: Path, tmp_path: Path, zarr_format: Format, consolidated: bool, verify: str) -> None:
    store = tmp_path / "out" / "air.zarr"
    wanted = request(source, store, zarr_format=zarr_format, consolidated=consolidated, verify=verify, chunks={"time": 8})
    result = write_dataset(wanted)
    assert_same(store, source)
    assert (result.changed, result.action, result.verification["level"]) == (True, "create", verify)
    group = zarr.open_group(store, mode="r")
    assert (group.metadata.zarr_format, group.metadata.consolidated_metadata is not None) == (zarr_format, consolidated)
    stored = files(store)
    assert (result.objects, result.bytes_stored) == (len(stored), sum(map(len, stored.values())))
    assert result.plan["objects"] == len(stored)
    assert result.bytes_read > 0
    assert files(sidecar(store)).keys() == {MANIFEST}
    manifest = parse_manifest(files(sidecar(store))[MANIFEST], "")
    assert manifest.objects == {key: md5_of(data) for key, data in stored.items()}
    assert (manifest.fingerprint, manifest.zarr_format, manifest.plan) == (result.fingerprint, zarr_format, result.plan)
    assert str(tmp_path) not in files(sidecar(store))[MANIFEST].decode()


@BOTH
@pytest.mark.parametrize("kind", ["NETCDF3_CLASSIC", "NETCDF3_64BIT_DATA", "NETCDF4_CLASSIC"])
def test_classic_files(air: xr.Dataset, tmp_path: Path, zarr_format: Format, kind: str) -> None:
    air["time"] = air.time.astype("i4").assign_attrs(air.time.attrs)
    air = air.drop_vars(["byte", "none", "name", "wind"]).assign_attrs(levels=np.array([1, 2], "i4"))
    air.to_netcdf(tmp_path / "a.nc", format=kind, engine="netcdf4", unlimited_dims=["time"])
    write_dataset(request(tmp_path / "a.nc", tmp_path / "a.zarr", zarr_format=zarr_format, chunks={"time": 4}, verify="full"))
    assert_same(tmp_path / "a.zarr", tmp_path / "a.nc")
    assert zarr.open_group(tmp_path / "a.zarr", mode="r")["air"].dtype == np.dtype("<i2")


@pytest.mark.parametrize(("before", "after"), [(2, 2), (2, 3), (3, 2), (3, 3)])
@pytest.mark.parametrize("ours", [True, False])
def test_zarr_is_a_source(source: Path, air: xr.Dataset, tmp_path: Path, before: Format, after: Format, ours: bool) -> None:
    first, second = tmp_path / "one.zarr", tmp_path / "two.zarr"
    if ours:
        write_dataset(request(source, first, zarr_format=before, chunks={"time": 8}))
    else:
        air.drop_vars("code").to_zarr(first, zarr_format=before)
    write_dataset(request(first, second, zarr_format=after, chunks={"lat": 2}, verify="full"))
    assert_same(second, first, "zarr")


def test_missing_chunks_of_a_source_get_stored(tmp_path: Path) -> None:
    xr.Dataset({"a": ("x", np.zeros(10))}).to_zarr(tmp_path / "a.zarr", encoding={"a": {"chunks": (2,), "fill_value": 0.0}})
    assert not (tmp_path / "a.zarr/a/c").exists()
    result = write_dataset(request(tmp_path / "a.zarr", tmp_path / "b.zarr", chunks={"x": 2}, verify="full"))
    assert result.plan["chunks"] == 5 == len([key for key in files(tmp_path / "b.zarr") if key.startswith("a/c/")])


def test_several_files(air: xr.Dataset, tmp_path: Path) -> None:
    air = air.drop_vars("none")
    for number, piece in enumerate((slice(10), slice(10, 17), slice(17, 30))):
        fixed = air[["air", "wind", "flag", "byte", "name", "edges", "time", "lat", "lon", "height", "crs"]].isel(time=piece)
        fixed.to_netcdf(tmp_path / f"air{number}.nc", engine="netcdf4", encoding={"wind": {"_FillValue": None}})
    write_dataset(request(tmp_path / "air*.nc", tmp_path / "air.zarr", chunks={"time": 4}, verify="full"))
    found = raw(tmp_path / "air.zarr", "zarr")
    for name in ("air", "wind", "flag", "byte", "name", "time", "edges", "height"):
        assert same_bits(found[name].values, air[name].values), name


def test_a_part_comes_with_what_it_refers_to(source: Path, tmp_path: Path) -> None:
    write_dataset(request(source, tmp_path / "air.zarr", variables=("air",)))
    assert set(raw(tmp_path / "air.zarr", "zarr").variables) == {"air", "time", "lat", "lon", "height", "crs", "edges"}


@BOTH
def test_new_packing(source: Path, tmp_path: Path, zarr_format: Format) -> None:
    encoding = {
        "air": {"dtype": "float32", "_FillValue": -9999, "compressor": {"name": "blosc", "cname": "lz4"}},
        "height": {"dtype": "int16", "scale_factor": 0.001, "_FillValue": -1, "filters": ["delta"]},
        "edges": {"filters": [{"name": "bitround", "keepbits": 4}]},
    }
    store = tmp_path / "air.zarr"
    write_dataset(request(source, store, zarr_format=zarr_format, encoding=encoding, chunks={"time": 7}, verify="full"))
    found, expected = decoded(store, "zarr"), decoded(source, "netcdf4")
    np.testing.assert_allclose(found.air, expected.air, rtol=1e-6)
    np.testing.assert_allclose(found.height, expected.height, rtol=0, atol=0.00051)
    assert zarr.open_group(store, mode="r")["height"].dtype == np.int16
    xr.testing.assert_identical(found.drop_vars(["air", "height", "edges"]), expected.drop_vars(["air", "height", "edges"]))


def test_the_words_of_an_enumeration_are_kept(tmp_path: Path) -> None:
    import netCDF4

    with netCDF4.Dataset(tmp_path / "a.nc", "w") as file:
        file.createDimension("x", 3)
        kind = file.createEnumType(np.int8, "sky_t", {"clear": 0, "half cloudy": 4, "overcast": 8})
        file.createVariable("sky", kind, ("x",), fill_value=None)[:] = np.array([0, 8, 4], "i1")
    write_dataset(request(tmp_path / "a.nc", tmp_path / "a.zarr", verify="full"))
    found = raw(tmp_path / "a.zarr", "zarr").sky
    assert (found.values.tolist(), found.dtype) == ([0, 8, 4], np.int8)
    assert (found.attrs["flag_values"], found.attrs["flag_meanings"]) == ([0, 4, 8], "clear half_cloudy overcast")


@BOTH
def test_an_empty_data_set(tmp_path: Path, zarr_format: Format) -> None:
    xr.Dataset(attrs={"title": "nothing"}).to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    write_dataset(request(tmp_path / "a.nc", tmp_path / "a.zarr", zarr_format=zarr_format))
    assert_same(tmp_path / "a.zarr", tmp_path / "a.nc")


def test_names_that_urls_do_not_like(tmp_path: Path) -> None:
    xr.Dataset({name: ("x x", [1, 2]) for name in ("a b", "50%", "é#?&", "a%20x")}).to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    write_dataset(request(tmp_path / "a.nc", tmp_path / "a.zarr", verify="full"))
    assert_same(tmp_path / "a.zarr", tmp_path / "a.nc")


def test_preview_tells_and_changes_nothing(source: Path, tmp_path: Path) -> None:
    wanted = request(source, tmp_path / "deep" / "air.zarr", chunks={"time": 8})
    told = preview(wanted)
    assert [path.name for path in tmp_path.iterdir()] == ["air.nc"]
    done = write_dataset(wanted)
    for name in ("changed", "action", "store", "fingerprint", "manifest", "plan", "objects"):
        assert getattr(told, name) == getattr(done, name), name
    assert told.diff() == done.diff()
    assert told.diff()["before"] == ""
    assert "air: int16 [30, 5, 8] in chunks [8, 5, 8], 4 objects" in told.diff()["after"]
    again = preview(wanted)
    assert (again.changed, again.action) == (False, "nothing")
    assert again.diff()["before"] == again.diff()["after"] == done.diff()["after"]


def test_the_second_run_changes_nothing(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "air.zarr"
    first = write_dataset(request(source, store))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for method in ("put", "put_async", "delete"):
        monkeypatch.setattr(Objects, method, lambda *_, **__: pytest.fail("the second run changes something"))
    monkeypatch.setattr("zarrstream.source._file_digest", lambda _: pytest.fail("the second run reads the source"))
    second = write_dataset(request(source, store))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert (second.changed, second.action, second.bytes_read) == (False, "nothing", 0)
    for field in ("fingerprint", "manifest", "plan", "objects", "bytes_stored", "store"):
        assert getattr(second, field) == getattr(first, field)
    assert {field.name for field in dataclasses.fields(WriteResult)} == second.to_dict().keys()


def test_a_touched_or_moved_source_is_the_same(source: Path, tmp_path: Path) -> None:
    store = tmp_path / "air.zarr"
    write_dataset(request(source, store))
    os.utime(source, ns=(1, 1))
    assert not write_dataset(request(source, store)).changed
    moved = source.rename(tmp_path / "other.nc")
    assert not write_dataset(request(moved, store)).changed


def test_the_second_run_imports_no_array_library(source: Path, tmp_path: Path) -> None:
    wanted = request(source, tmp_path / "air.zarr", encoding={"air": {"compressor": "gzip"}}, chunks={"time": 8})
    write_dataset(wanted)
    program = f"""
        import sys
        from zarrstream.write import WriteRequest, write_dataset, preview
        wanted = {wanted!r}
        actions = [write_dataset(wanted).action, preview(wanted).action]
        print(actions, [name for name in ("zarr", "xarray", "dask", "netCDF4", "numpy") if name in sys.modules])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(CORE)},
        check=True,
    )
    assert done.stdout == "['nothing', 'nothing'] []\n"


@pytest.mark.parametrize(
    ("options", "word"),
    [({"chunks": {"time": 9}}, "chunks"), ({"zarr_format": 2}, "zarr_format"), ({"encoding": {"air": {"compressor": "gzip"}}}, "encoding")],
)
def test_another_request_is_refused(source: Path, tmp_path: Path, options: dict[str, Any], word: str) -> None:
    store = tmp_path / "air.zarr"
    write_dataset(request(source, store))
    before = files(tmp_path)
    for run in (write_dataset, preview):
        with pytest.raises(Conflict, match=f"was written with other {word}.*name another store"):
            run(request(source, store, **options))
    assert files(tmp_path) == before


def test_other_contents_are_refused(source: Path, air: xr.Dataset, tmp_path: Path) -> None:
    store = tmp_path / "air.zarr"
    write_dataset(request(source, store))
    air.assign(crs=air.crs + 1).to_netcdf(tmp_path / "b.nc", engine="netcdf4")
    with pytest.raises(Conflict, match="from a source with other contents"):
        write_dataset(request(tmp_path / "b.nc", store))
    assert_same(store, source)


def test_what_others_put_there_is_refused(source: Path, air: xr.Dataset, tmp_path: Path) -> None:
    air.drop_vars("code").to_zarr(tmp_path / "theirs.zarr")
    (tmp_path / "notes.zarr").mkdir()
    (tmp_path / "notes.zarr" / "readme.txt").write_text("mine")
    (tmp_path / "file.zarr").write_text("mine")
    before = files(tmp_path)
    for name, words in (
        ("theirs.zarr", "without a manifest"),
        ("notes.zarr", r"such as notes\.zarr/readme\.txt"),
        ("file.zarr", "is a file"),
    ):
        with pytest.raises(Conflict, match=words):
            write_dataset(request(source, tmp_path / name))
    assert files(tmp_path) == before
    (tmp_path / "empty.zarr").mkdir()
    assert write_dataset(request(source, tmp_path / "empty.zarr")).changed


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"variables": ("air", "wint")}, BadRequest, "'wint'.*It has: air, byte"),
        ({"variables": ()}, BadRequest, "empty list"),
        ({"chunks": {"tme": 5}}, BadRequest, "'tme'.*time \\(30\\)"),
        ({"chunks": {"time": 0}}, BadRequest, "chunks.time is 0"),
        ({"chunks": {"time": -1}}, BadRequest, "chunks.time is -1"),
        ({"chunks": {"time": 31}}, BadRequest, "chunks.time is 31.*Use 30"),
        ({"chunks": {"time": "many"}}, BadRequest, "chunks.time is 'many'"),
        ({"chunks": {"time": 1.5}}, BadRequest, "chunks.time is 1.5"),
        ({"chunks": {"time": True}}, BadRequest, "chunks.time is True"),
        ({"chunks": "huge"}, BadRequest, "chunks is 'huge'"),
        ({"encoding": {"wint": {}}}, BadRequest, "'wint'.*Written are: air"),
        ({"encoding": {"air": {"compression": "zstd"}}}, BadRequest, "'compression'"),
        ({"encoding": {"air": {"compressor": "zstandard"}}}, BadRequest, "zstandard.*Known are: zstd"),
        ({"encoding": {"air": {"compressor": {"name": "zstd", "level": "x"}}}}, BadRequest, "does not work"),
        ({"encoding": {"name": {"filters": ["delta"]}}}, BadRequest, "holds text"),
        ({"encoding": {"name": {"dtype": "int8"}}}, BadRequest, "only numbers"),
        ({"zarr_format": 4}, BadRequest, "zarr_format is 4"),
        ({"verify": "maybe"}, BadRequest, "verify is 'maybe'"),
        ({"mode": "append"}, BadRequest, "'append' is not there yet"),
        ({"mode": "replace"}, BadRequest, "'replace' is not there yet"),
        ({"mode": "overwrite"}, BadRequest, "mode is 'overwrite'"),
        ({"shards": {"time": 10}, "zarr_format": 2}, BadRequest, "format 2 has none.*zarr_format 3"),
        ({"shards": {"time": 10}, "chunks": {"time": 4}}, BadRequest, "shards.time is 10.*whole chunks of 4. Use 8 or 12"),
        ({"shards": {"tme": 10}}, BadRequest, "shards names the dimension 'tme'"),
        ({"shards": "huge"}, BadRequest, "shards is 'huge'"),
        ({"memory": "much"}, BadRequest, "memory is 'much'.*512MiB"),
        ({"memory": 3000}, PlanError, "2.9 KiB are to be used. Set chunks.time to \\d or less, or memory to 1MiB or more"),
        ({"append_dim": "time"}, BadRequest, "Leave 'append_dim' out"),
        ({"scheduler": "tcp://host:8786"}, BadRequest, "Leave 'scheduler' out"),
        ({"scheduler_tls": {"ca_file": "x"}}, BadRequest, "Leave 'scheduler_tls' out"),
        ({"progress_path": "/no/such/folder/progress.json"}, BadRequest, "folder does not exist"),
        ({"source": ("/no/such/file.nc",)}, SourceError, "does not exist"),
        ({"source": ("/no/such/*.nc",)}, SourceError, "matches no file"),
        ({"store": "gs://bucket/a.zarr"}, BadRequest, "scheme 'gs'"),
        ({"store": "s3:///a.zarr"}, BadRequest, "no bucket"),
        ({"store": "/data/../a.zarr"}, BadRequest, "'..'"),
    ],
)
def test_bad_requests_change_nothing(
    source: Path, tmp_path: Path, options: dict[str, Any], error: type[ZarrstreamError], words: str
) -> None:
    wanted = dataclasses.replace(request(source, tmp_path / "out" / "air.zarr"), **options)
    for run in (preview, write_dataset):
        with pytest.raises(error, match=words) as caught:
            run(wanted)
        assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["air.nc"]


def broken_sources(source: Path, air: xr.Dataset) -> dict[str, Path]:
    import netCDF4

    folder = source.parent / "bad"
    folder.mkdir()
    whole = source.read_bytes()
    (folder / "truncated.nc").write_bytes(whole[: len(whole) // 2])
    (folder / "text.nc").write_text("no data here")
    with netCDF4.Dataset(folder / "groups.nc", "w") as file:
        file.createGroup("model").createDimension("x", 3)
    with netCDF4.Dataset(folder / "vlen.nc", "w") as file:
        file.createDimension("x", 2)
        file.createVariable("ragged", file.createVLType(np.int32, "ints"), ("x",))[:] = np.array(
            [np.arange(size, dtype="i4") for size in (2, 3)], object
        )
    with netCDF4.Dataset(folder / "compound.nc", "w") as file:
        file.createDimension("x", 2)
        file.createVariable("pair", file.createCompoundType(np.dtype([("a", "f4"), ("b", "i2")]), "pair_t"), ("x",))
    grouped = zarr.open_group(folder / "groups.zarr", mode="w")
    grouped.create_group("model")
    zarr.create_array(folder / "array.zarr", shape=(3,), dtype="f4")
    air.to_zarr(folder / "damaged.zarr")
    (folder / "damaged.zarr" / "zarr.json").write_text("{")
    (folder / "folder").mkdir()
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("truncated.nc", "truncated or damaged"),
        ("text.nc", "neither NetCDF nor HDF5"),
        ("groups.nc", r"has groups \(model\)"),
        ("vlen.nc", "'ragged'"),
        ("compound.nc", "'pair' has dtype"),
        ("groups.zarr", r"has groups \(model\)"),
        ("array.zarr", "single Zarr array"),
        ("damaged.zarr", "cannot be opened as Zarr"),
        ("folder", "without Zarr metadata"),
    ],
)
def test_bad_sources_change_nothing(source: Path, air: xr.Dataset, tmp_path: Path, name: str, words: str) -> None:
    bad = broken_sources(source, air)[name]
    for run in (preview, write_dataset):
        with pytest.raises(SourceError, match=words) as error:
            run(request(bad, tmp_path / "out" / "air.zarr"))
        assert "\n" not in str(error.value)
        assert name in str(error.value)
    assert not (tmp_path / "out").exists()


def test_damage_inside_a_source_is_found_while_copying(source: Path, tmp_path: Path) -> None:
    whole = bytearray(source.read_bytes())
    with h5py.File(source) as file:
        where = file["air"].id.get_chunk_info(2)
    for position in range(where.byte_offset, where.byte_offset + where.size):
        whole[position] ^= 0x55
    (tmp_path / "damaged.nc").write_bytes(whole)
    store = tmp_path / "air.zarr"
    with pytest.raises(SourceError, match=r"'air' cannot be read at \[.*damaged.*Nothing was published"):
        write_dataset(request(tmp_path / "damaged.nc", store, variables=("air",)))
    assert not opens(store)


def test_a_source_that_changes_is_noticed(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = transfer.copy_blocks

    def copy_and_touch(*arguments: Any) -> None:
        copy(*arguments)
        os.utime(source, ns=(1, 1))

    monkeypatch.setattr(transfer, "copy_blocks", copy_and_touch)
    store = tmp_path / "air.zarr"
    with pytest.raises(WriteError, match=r"changed while it was being copied.*Nothing was published"):
        write_dataset(request(source, store))
    assert not opens(store)
    monkeypatch.undo()
    assert write_dataset(request(source, store)).action == "continue"
    assert_same(store, source)


def fail_at(monkeypatch: pytest.MonkeyPatch, number: int, failure: Callable[[Objects, str, bytes], None]) -> None:
    """Let the PUT with this number go wrong."""
    count, lock, put, put_async = [0], threading.Lock(), Objects.put, Objects.put_async

    def due() -> bool:
        with lock:
            count[0] += 1
            return count[0] == number

    def patched_put(self: Objects, key: str, data: bytes, **options: Any) -> None:
        failure(self, key, data) if due() else put(self, key, data, **options)

    async def patched_async(self: Objects, key: str, data: bytes) -> None:
        failure(self, key, data) if due() else await put_async(self, key, data)

    monkeypatch.setattr(Objects, "put", patched_put)
    monkeypatch.setattr(Objects, "put_async", patched_async)


def refuse(objects: Objects, key: str, data: bytes) -> None:
    raise ZarrstreamError(f"cannot write {key}: refused")


def lie(objects: Objects, key: str, data: bytes) -> None:
    pass


def shorten(objects: Objects, key: str, data: bytes) -> None:
    path = objects.place.parent / key  # type: ignore[operator]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data[:-1])


def flip(objects: Objects, key: str, data: bytes) -> None:
    path = objects.place.parent / key  # type: ignore[operator]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


@BOTH
@pytest.mark.parametrize("failure", [refuse, lie, shorten, flip])
def test_no_failed_put_is_ever_published(
    little: Path, tmp_path: Path, zarr_format: Format, failure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"zarr_format": zarr_format, "chunks": {"x": 2}, "verify": "full"}
    puts = preview(request(little, tmp_path / "x.zarr", **options)).objects + 2  # the marker and the manifest
    for number in range(1, puts + 1):
        store = tmp_path / f"{number}.zarr"
        fail_at(monkeypatch, number, failure)
        with pytest.raises(ZarrstreamError, match=None if number == 1 else "Nothing was published"):
            write_dataset(request(little, store, **options))
        monkeypatch.undo()
        assert not opens(store), number
        assert write_dataset(request(little, store, **options)).changed
        assert_same(store, little)


def test_a_lost_acknowledgement_is_no_conflict(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put = Objects.put

    def arrive_twice(self: Objects, key: str, data: bytes, *, create: bool = False) -> None:
        put(self, key, data, create=create)
        if create:
            put(self, key, data, create=True)

    monkeypatch.setattr(Objects, "put", arrive_twice)
    write_dataset(request(source, tmp_path / "air.zarr"))
    assert_same(tmp_path / "air.zarr", source)


@BOTH
def test_another_writer_that_publishes_first_wins(
    source: Path, tmp_path: Path, zarr_format: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "air.zarr"
    name = "zarr.json" if zarr_format == 3 else ".zgroup"
    check = publish.check_alone
    calls = []

    def check_then_lose(*arguments: Any) -> None:
        check(*arguments)
        calls.append(1)
        if len(calls) == 2:
            (store / name).write_text("theirs")

    monkeypatch.setattr(publish, "check_alone", check_then_lose)
    with pytest.raises(Conflict, match=r"another writer published .* first"):
        write_dataset(request(source, store, zarr_format=zarr_format))
    assert (store / name).read_text() == "theirs"


def test_a_writer_at_work_is_left_alone(source: Path, tmp_path: Path) -> None:
    store = tmp_path / "air.zarr"
    with subprocess.Popen(["sleep", "60"]) as writer:
        marker = json.loads(publish.Marker("another", "f", "2026-01-01T00:00:00+00:00").to_json())
        marker |= {"pid": writer.pid, "process_began": publish._process_began(writer.pid)}
        sidecar(store).mkdir()
        (sidecar(store) / WRITING).write_text(json.dumps(marker))
        with pytest.raises(Conflict, match=f"another writer is at work.*process {writer.pid} on .*since 2026-01-01"):
            write_dataset(request(source, store))
        assert files(tmp_path).keys() == {"air.nc", f"air.zarr.zarrstream/{WRITING}"}
        writer.kill()
    assert write_dataset(request(source, store)).action == "continue"
    assert_same(store, source)


# Five processes, since the library that reads NetCDF does not bear several threads that open files.
RACERS = """
    import os, sys, time
    from zarrstream import write, template, dataset, combine, readback, transfer
    from zarrstream.errors import Conflict
    import zarr, xarray, dask.array, netCDF4, obstore
    source, store = sys.argv[1:]
    start = time.time() + 0.5

    def race(number):
        request = write.WriteRequest(source=(source,), store=store, chunks={"time": number + 1})
        time.sleep(max(0.0, start - time.time()))
        try:
            return {"create": 0}[write.write_dataset(request).action]
        except Conflict:
            return 1

    for number in range(5):
        if os.fork() == 0:
            os._exit(race(number))
    print(sorted(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(5)))
"""


def test_of_several_writers_one_goes_on(source: Path, tmp_path: Path) -> None:
    store = tmp_path / "air.zarr"
    done = run_python(RACERS, str(source), str(store))
    assert done.stdout == "[0, 1, 1, 1, 1]\n"
    assert_same(store, source)


def test_a_store_that_was_published_meanwhile_is_left_alone(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, begin = tmp_path / "air.zarr", write.begin

    def begin_after_another(*arguments: Any, **options: Any) -> None:
        monkeypatch.undo()
        write_dataset(request(source, store, chunks={"time": 3}))
        begin(*arguments, **options)

    monkeypatch.setattr(write, "begin", begin_after_another)
    with pytest.raises(Conflict, match=r"published .* just now"):
        write_dataset(request(source, store, chunks={"time": 1}))
    assert_same(store, source)
    assert files(sidecar(store)).keys() == {MANIFEST}


def test_leftovers_of_another_plan_go(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "air.zarr"
    fail_at(monkeypatch, 40, refuse)
    with pytest.raises(ZarrstreamError, match="refused"):
        write_dataset(request(source, store, chunks={"time": 1}))
    monkeypatch.undo()
    assert "air/c/29/0/0" in files(store)
    (store / "air" / "c" / "0#1").write_bytes(b"half")
    result = write_dataset(request(source, store, chunks={"time": 15}))
    assert result.action == "continue"
    assert len(files(store)) == result.objects
    assert_same(store, source)
    assert files(sidecar(store)).keys() == {MANIFEST}


def test_a_marker_that_stayed_behind_goes(source: Path, tmp_path: Path) -> None:
    store = tmp_path / "air.zarr"
    write_dataset(request(source, store))
    (sidecar(store) / WRITING).write_text("{}")
    assert preview(request(source, store)).action == "nothing"
    assert (sidecar(store) / WRITING).exists()
    assert not write_dataset(request(source, store)).changed
    assert files(sidecar(store)).keys() == {MANIFEST}


def test_a_stranger_in_the_folder_is_noticed(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, copy = tmp_path / "air.zarr", transfer.copy_blocks

    def copy_and_litter(*arguments: Any) -> None:
        copy(*arguments)
        (store / "air" / "litter").write_text("")

    monkeypatch.setattr(transfer, "copy_blocks", copy_and_litter)
    with pytest.raises(Conflict, match=r"air\.zarr/air/litter appeared"):
        write_dataset(request(source, store))
    assert not opens(store)


def run_python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script that imports the core, in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), *arguments]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": str(CORE)}, check=True, stdout=subprocess.PIPE, text=True)


KILLER = """
    import os, signal, sys
    from zarrstream import write, template, dataset, combine, readback, transfer
    from zarrstream.store import Objects
    import zarr, xarray, dask.array, netCDF4, obstore
    source, folder, zarr_format, puts = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

    def die_at(number, after):
        count, put, put_async = [0], Objects.put, Objects.put_async
        def due():
            count[0] += 1
            return count[0] == number
        def die():
            os.kill(os.getpid(), signal.SIGKILL)
        def dying_put(self, key, data, **options):
            now = due()
            if now and not after: die()
            put(self, key, data, **options)
            if now: die()
        async def dying_async(self, key, data):
            now = due()
            if now and not after: die()
            await put_async(self, key, data)
            if now: die()
        Objects.put, Objects.put_async = dying_put, dying_async

    for number in range(1, puts + 1):
        for after in (False, True):
            child = os.fork()
            if child == 0:
                die_at(number, after)
                store = f"{folder}/{number}-{after}.zarr"
                write.write_dataset(write.WriteRequest(source=(source,), store=store, zarr_format=zarr_format, chunks={"x": 2}))
                os._exit(0)
            _, status = os.waitpid(child, 0)
            assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, (number, status)
"""


@BOTH
def test_a_writer_killed_at_any_put_leaves_nothing_or_all(little: Path, tmp_path: Path, zarr_format: Format) -> None:
    folder = tmp_path / "killed"
    wanted = request(little, folder / "x.zarr", zarr_format=zarr_format, chunks={"x": 2})
    puts = preview(wanted).objects + 2
    run_python(KILLER, str(little), str(folder), str(zarr_format), str(puts))
    stores = [folder / f"{number}-{after}.zarr" for number in range(1, puts + 1) for after in (False, True)]
    published = []
    for store in stores:
        if opens(store):
            published.append(store)
            assert_same(store, little)
        for array in [path.parent for path in store.rglob("zarr.json" if zarr_format == 3 else ".zarray") if path.parent != store]:
            opened = zarr.open_array(array, mode="r")  # an array that opens alone is whole as well
            assert opened.nchunks_initialized == opened.nchunks, array
        result = write_dataset(dataclasses.replace(wanted, store=str(store)))
        assert result.action == ("nothing" if store in published else "create" if store.name.startswith("1-False") else "continue"), store
        assert_same(store, little)
        assert len(files(store)) == result.objects
        assert files(sidecar(store)).keys() == {MANIFEST}
    assert published == [folder / f"{puts}-True.zarr"]


def test_a_reader_sees_nothing_until_everything_is_there(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, put_async, seen, stop = tmp_path / "air.zarr", Objects.put_async, [], threading.Event()
    expected = decoded(source, "netcdf4")

    async def slow_put(self: Objects, key: str, data: bytes) -> None:
        time.sleep(0.01)
        await put_async(self, key, data)

    def look() -> None:
        while not stop.is_set():
            if opens(store):
                with xr.open_zarr(store) as opened:
                    seen.append(opened.load().identical(expected))
            else:
                seen.append(None)

    monkeypatch.setattr(Objects, "put_async", slow_put)
    reader = threading.Thread(target=look)
    reader.start()
    write_dataset(request(source, store, chunks={"time": 1}))
    time.sleep(0.2)
    stop.set()
    reader.join()
    assert seen.count(None) > 5
    assert seen.count(True) > 0
    assert seen == [None] * seen.count(None) + [True] * seen.count(True)


def test_progress_is_told(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, told, documents = tmp_path / "progress.json", [], []
    monkeypatch.setattr("zarrstream.progress.INTERVAL", 0.002)

    def tell(moment: Any) -> None:
        told.append(moment)
        if path.exists():
            documents.append(json.loads(path.read_text()))

    result = write_dataset(request(source, tmp_path / "air.zarr", chunks={"time": 1}, progress_path=str(path)), tell)
    states = list(dict.fromkeys(moment.state for moment in told))
    assert states == ["preparing", "copying", "verifying", "publishing", "done"]
    done = [moment.objects_done for moment in told]
    assert done == sorted(done)
    assert documents[0].keys() == {"objects_done", "objects_total", "bytes_stored", "mib_per_second", "seconds_left", "state"}
    last = json.loads(path.read_text())
    assert (last["state"], last["objects_done"], last["objects_total"]) == ("done", result.objects, result.objects)
    assert last["bytes_stored"] == result.bytes_stored
    assert last["seconds_left"] == 0
    assert [entry.name for entry in tmp_path.iterdir() if "progress" in entry.name] == ["progress.json"]


def test_progress_tells_of_a_failure(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_at(monkeypatch, 5, refuse)
    with pytest.raises(ZarrstreamError):
        write_dataset(request(source, tmp_path / "air.zarr", progress_path=str(tmp_path / "p.json")))
    assert json.loads((tmp_path / "p.json").read_text())["state"] == "failed"


def test_memory_stays_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    xr.Dataset({"a": (("t", "x"), np.zeros((400, 1000)))}).to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    monkeypatch.setattr("zarrstream.plan.BLOCK_TARGET", 100_000)
    held, most, lock = [0], [0], threading.Lock()
    copy = transfer.copy_blocks

    def counting(blocks: Any, read: Any, write: Any, memory: int, workers: int = 3) -> None:
        def reading(block: Any) -> Any:
            values = read(block)
            with lock:
                held[0] += values.nbytes
                most[0] = max(most[0], held[0])
            return values

        def writing(block: Any, values: Any) -> None:
            write(block, values)
            with lock:
                held[0] -= values.nbytes

        copy(blocks, reading, writing, memory, workers)

    monkeypatch.setattr(transfer, "copy_blocks", counting)
    write_dataset(request(tmp_path / "a.nc", tmp_path / "a.zarr", chunks={"t": 5, "x": 1000}))
    assert 0 < most[0] <= 3 * 100_000


def test_files_have_the_ordinary_mode(source: Path, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_dataset(request(source, tmp_path / "air.zarr"))
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in tmp_path.glob("air.zarr*/**/*") if path.is_file()}
    assert modes == {0o640}


def test_chunks_that_no_codec_takes_are_refused(tmp_path: Path) -> None:
    with zarr.config.set({"array.write_empty_chunks": False}):
        group = zarr.open_group(tmp_path / "a.zarr", mode="w")
        group.create_array("a", shape=(50_000, 50_000), chunks=(1000, 1000), dtype="f8", dimension_names=("x", "y"))
    with pytest.raises(PlanError, match=r"chunks\.x to \d+"):
        preview(request(tmp_path / "a.zarr", tmp_path / "b.zarr", chunks={"x": 50_000, "y": 50_000}))


def test_the_listing_finds_other_md5s(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket's ETags are MD5s: two bytes swapped on the way are found without reading an object."""
    store, listed = tmp_path / "air.zarr", Objects.list

    def with_etags(self: Objects, prefix: str) -> Any:
        for info in listed(self, prefix):
            md5 = md5_of((tmp_path / info.key).read_bytes()).md5
            yield dataclasses.replace(info, etag="0" * 32 if info.key.endswith("air/c/0/0/0") else md5)

    monkeypatch.setattr(Objects, "list", with_etags)
    with pytest.raises(WriteError, match=r"air/c/0/0/0 has the MD5 0+, \w+ was sent.*Nothing was published"):
        write_dataset(request(source, store))
    assert not opens(store)


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        (np.float32(0.0), np.float32(-0.0), False),
        (np.float32(np.nan), np.float32(np.nan), True),
        (np.array([0x7FC00001], "u4").view("f4"), np.array([0x7FC00002], "u4").view("f4"), False),
        (np.int16(1), np.int32(1), False),
        (np.array(["a"], object), np.array(["a"]), True),
        (np.array(["a"], object), np.array(["b"], object), False),
        (np.zeros(2), np.zeros((2, 1)), False),
    ],
)
def test_equality_is_of_bits(one: Any, two: Any, same: bool) -> None:
    assert same_bits(one, two) is same


def test_options_of_the_module_become_a_request() -> None:
    options = {"source": "a.nc", "store": "b.zarr", "variables": ["x"], "chunks": "auto", "encoding": {}, "shards": None, "verify": "full"}
    assert request_from(options) == WriteRequest(source=("a.nc",), store="b.zarr", variables=("x",), chunks="auto", verify="full")
    assert request_from({"source": ["a.nc", "b.nc"], "store": "c"}).source == ("a.nc", "b.nc")
    for source in ({}, [], [1], "", [""], None, 5):
        with pytest.raises(BadRequest, match="source is"):
            request_from({"source": source, "store": "b.zarr"})


def test_what_lies_elsewhere_is_left_alone(source: Path, tmp_path: Path) -> None:
    for name in ("air.zarr2", "air.zarr.backup"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "zarr.json").write_text("{}")
    write_dataset(request(source, tmp_path / "air.zarr"))
    assert (tmp_path / "air.zarr2" / "zarr.json").read_text() == "{}"
    shutil.rmtree(tmp_path / "air.zarr")
    shutil.rmtree(sidecar(tmp_path / "air.zarr"))
    assert write_dataset(request(source, tmp_path / "air.zarr")).action == "create"


def test_records_are_of_bytes() -> None:
    assert md5_of(b"abc") == Stored(3, "900150983cd24fb0d6963f7d28e17f72")


def test_a_writer_that_was_replaced_stops(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, put_async = tmp_path / "air.zarr", Objects.put_async
    monkeypatch.setattr(publish, "CHECK_INTERVAL", 0)
    sent = []

    async def put_while_another_takes_over(self: Objects, key: str, data: bytes) -> None:
        sent.append(key)
        theirs = sidecar(store) / f"theirs-{len(sent)}"
        theirs.write_text('{"write_id": "another", "pid": 7, "host": "elsewhere"}')
        theirs.replace(sidecar(store) / WRITING)
        await put_async(self, key, data)

    monkeypatch.setattr(Objects, "put_async", put_while_another_takes_over)
    monkeypatch.setattr("zarrstream.plan.BLOCK_TARGET", 1)
    with pytest.raises(Conflict, match="process 7 on elsewhere"):
        write_dataset(request(source, store, chunks={"time": 1}, memory=3000))
    assert len(sent) < 20  # of 128: those under way when it happened
    assert not opens(store)
