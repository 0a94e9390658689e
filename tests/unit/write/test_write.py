"""The whole writer, from real files to folders: values bit for bit, nothing done twice, bad requests refused."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import math
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import weakref
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import xarray as xr
import zarr
from asking import write_request
from writing import CORE, assert_same, decoded, fail_at, files, raw, refuse, request, sidecar
from zarrstream.commands.write import preview, write_dataset
from zarrstream.encoding.encoder import Encoder
from zarrstream.errors import BadRequest, Conflict, PlanError, SourceError, ZarrstreamError
from zarrstream.sidecar.manifest import MANIFEST, Stored, md5_of, parse_manifest
from zarrstream.storage.access import Access
from zarrstream.storage.folder import FolderObjects
from zarrstream.write import threads
from zarrstream.write.request import WriteRequest, request_from
from zarrstream.write.result import WriteResult
from zarrstream.write.verify import same_bits

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have a Zarr V3 specification"),
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),
    pytest.mark.filterwarnings("ignore:Failed to open Zarr store with consolidated metadata"),
]

Format = Literal[2, 3]
BOTH = pytest.mark.parametrize("zarr_format", [2, 3])


# In `make test` each way to verify, and each format with consolidated metadata and without.
USUAL = [("none", True, 3), ("manifest", True, 2), ("sample", False, 3), ("full", False, 2)]


@pytest.mark.parametrize(
    ("verify", "consolidated", "zarr_format"),
    [
        pytest.param(*each, marks=[] if each in USUAL else pytest.mark.thorough)
        for each in itertools.product(("none", "manifest", "sample", "full"), (True, False), (2, 3))
    ],
)
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


@pytest.mark.parametrize(
    ("kind", "zarr_format"),
    [
        # In `make test` formats in turn.
        pytest.param(kind, zarr_format, marks=[] if (zarr_format == 3) is (number == 1) else pytest.mark.thorough)
        for number, kind in enumerate(("NETCDF3_CLASSIC", "NETCDF3_64BIT_DATA", "NETCDF4_CLASSIC"))
        for zarr_format in (2, 3)
    ],
)
def test_classic_files(air: xr.Dataset, tmp_path: Path, zarr_format: Format, kind: str) -> None:
    air["time"] = air.time.astype("i4").assign_attrs(air.time.attrs)
    air = air.drop_vars(["byte", "none", "name", "wind"]).assign_attrs(levels=np.array([1, 2], "i4"))
    air.to_netcdf(tmp_path / "a.nc", format=kind, engine="netcdf4", unlimited_dims=["time"])
    write_dataset(request(tmp_path / "a.nc", tmp_path / "a.zarr", zarr_format=zarr_format, chunks={"time": 4}, verify="full"))
    assert_same(tmp_path / "a.zarr", tmp_path / "a.nc")
    assert zarr.open_group(tmp_path / "a.zarr", mode="r")["air"].dtype == np.dtype("<i2")


@pytest.mark.parametrize(
    ("ours", "before", "after"),
    [
        pytest.param(*each, marks=[] if each == (False, 3, 2) else pytest.mark.thorough)
        for each in itertools.product((True, False), (2, 3), (2, 3))
    ],
)
def test_zarr_is_a_source(source: Path, air: xr.Dataset, tmp_path: Path, before: Format, after: Format, ours: bool) -> None:
    first, second = tmp_path / "one.zarr", tmp_path / "two.zarr"
    if ours:
        write_dataset(request(source, first, zarr_format=before, chunks={"time": 8}))
    else:
        air.drop_vars("code").to_zarr(first, zarr_format=before)
    write_dataset(request(first, second, zarr_format=after, chunks={"lat": 2}, verify="full"))
    assert_same(second, first, "zarr")


def test_missing_chunks_of_a_source_get_stored(tmp_path: Path) -> None:
    xr.Dataset({"a": ("x", np.zeros(10))}).to_zarr(
        tmp_path / "a.zarr", encoding={"a": {"chunks": (2,), "fill_value": 0.0}}, write_empty_chunks=False
    )
    assert not (tmp_path / "a.zarr/a/c").exists()
    result = write_dataset(request(tmp_path / "a.zarr", tmp_path / "b.zarr", chunks={"x": 2}, verify="full"))
    assert result.plan["chunks"] == 5 == len([key for key in files(tmp_path / "b.zarr") if key.startswith("a/c/")])


@pytest.mark.thorough
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


@pytest.mark.parametrize("zarr_format", [2, pytest.param(3, marks=pytest.mark.thorough)])
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


def test_preview_tells_and_changes_nothing(few_source: Path, tmp_path: Path) -> None:
    wanted = request(few_source, tmp_path / "deep" / "air.zarr", chunks={"time": 8})
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


def test_the_second_run_changes_nothing(few_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "air.zarr"
    first = write_dataset(request(few_source, store))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for method in ("put", "put_async", "delete"):
        monkeypatch.setattr(FolderObjects, method, lambda *_, **__: pytest.fail("the second run changes something"))
    monkeypatch.setattr(import_module("zarrstream.source.items"), "_file_digest", lambda _: pytest.fail("the second run reads the source"))
    second = write_dataset(request(few_source, store))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert (second.changed, second.action, second.bytes_read) == (False, "nothing", 0)
    for field in ("fingerprint", "manifest", "plan", "objects", "bytes_stored", "store"):
        assert getattr(second, field) == getattr(first, field)
    assert {field.name for field in dataclasses.fields(WriteResult)} - {"before"} == second.to_dict().keys()


def test_a_touched_or_moved_source_is_the_same(few_source: Path, tmp_path: Path) -> None:
    store = tmp_path / "air.zarr"
    write_dataset(request(few_source, store))
    os.utime(few_source, ns=(1, 1))
    assert not write_dataset(request(few_source, store)).changed
    moved = few_source.rename(tmp_path / "other.nc")
    assert not write_dataset(request(moved, store)).changed


def test_the_second_run_imports_no_array_library(few_source: Path, tmp_path: Path) -> None:
    wanted = {
        "source": str(few_source),
        "store": str(tmp_path / "air.zarr"),
        "encoding": {"air": {"compressor": "gzip"}},
        "chunks": {"time": 8},
    }
    write_dataset(request_from(wanted))
    program = f"""
        import sys
        from zarrstream.write.request import request_from
        from zarrstream.commands.write import preview, write_dataset
        wanted = request_from({wanted!r})
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
    [
        ({"chunks": {"time": 9}}, "chunks"),
        pytest.param({"zarr_format": 2}, "zarr_format", marks=pytest.mark.thorough),
        pytest.param({"encoding": {"air": {"compressor": "gzip"}}}, "encoding", marks=pytest.mark.thorough),
    ],
)
def test_another_request_is_refused(few_source: Path, tmp_path: Path, options: dict[str, Any], word: str) -> None:
    store = tmp_path / "air.zarr"
    write_dataset(request(few_source, store))
    before = files(tmp_path)
    for run in (write_dataset, preview):
        with pytest.raises(Conflict, match=f"was written with other {word}.*name another store"):
            run(request(few_source, store, **options))
    assert files(tmp_path) == before


def test_other_contents_are_refused(few_source: Path, air: xr.Dataset, tmp_path: Path) -> None:
    store = tmp_path / "air.zarr"
    write_dataset(request(few_source, store))
    air.assign(crs=air.crs + 1).to_netcdf(tmp_path / "b.nc", engine="netcdf4")
    with pytest.raises(Conflict, match="from a source with other contents"):
        write_dataset(request(tmp_path / "b.nc", store))
    assert_same(store, few_source)


def test_what_others_put_there_is_refused(few_source: Path, air: xr.Dataset, tmp_path: Path) -> None:
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
            write_dataset(request(few_source, tmp_path / name))
    assert files(tmp_path) == before
    (tmp_path / "empty.zarr").mkdir()
    assert write_dataset(request(few_source, tmp_path / "empty.zarr")).changed


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
        ({"mode": "append"}, BadRequest, "without append_dim"),
        ({"mode": "overwrite"}, BadRequest, "mode is 'overwrite'"),
        ({"shards": {"time": 10}, "zarr_format": 2}, BadRequest, "format 2 has none.*zarr_format 3"),
        ({"shards": {"time": 10}, "chunks": {"time": 4}}, BadRequest, "shards.time is 10.*whole chunks of 4. Use 8 or 12"),
        ({"shards": {"tme": 10}}, BadRequest, "shards names the dimension 'tme'"),
        ({"shards": "huge"}, BadRequest, "shards is 'huge'"),
        ({"memory": "much"}, BadRequest, "memory is 'much'.*512MiB"),
        ({"memory": 3000}, PlanError, "2.9 KiB are to be used. Set chunks.time to \\d or less, or memory to 1MiB or more"),
        ({"append_dim": "time"}, BadRequest, "Leave it out, or set mode to append"),
        ({"scheduler": "host:8786"}, BadRequest, "write tls://host:port"),
        ({"scheduler_tls": {"ca_file": "x"}}, BadRequest, "scheduler_tls is set without scheduler"),
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
    asked = {"source": (str(source),), "store": str(tmp_path / "out" / "air.zarr"), **options}
    for run in (preview, write_dataset):
        with pytest.raises(error, match=words) as caught:
            run(write_request(**asked))
        assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["air.nc"]


def broken_sources(source: Path, air: xr.Dataset) -> dict[str, Path]:
    import netCDF4

    folder = source.parent / "bad"
    folder.mkdir()
    whole = source.read_bytes()
    (folder / "truncated.nc").write_bytes(whole[: len(whole) // 2])
    (folder / "text.nc").write_text("no data here")
    with netCDF4.Dataset(folder / "vlen.nc", "w") as file:
        file.createDimension("x", 2)
        file.createVariable("ragged", file.createVLType(np.int32, "ints"), ("x",))[:] = np.array(
            [np.arange(size, dtype="i4") for size in (2, 3)], object
        )
    with netCDF4.Dataset(folder / "compound.nc", "w") as file:
        file.createDimension("x", 2)
        file.createVariable("pair", file.createCompoundType(np.dtype([("a", "f4"), ("b", "i2")]), "pair_t"), ("x",))
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
        ("vlen.nc", "'ragged'"),
        ("compound.nc", "'pair' has dtype"),
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


def test_progress_is_told(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, told, documents = tmp_path / "progress.json", [], []
    monkeypatch.setattr(import_module("zarrstream.write.progress"), "INTERVAL", 0.002)

    def tell(moment: Any) -> None:
        told.append(moment)
        if path.exists():
            documents.append(json.loads(path.read_text()))

    result = write_dataset(request(source, tmp_path / "air.zarr", chunks={"time": 1}, progress_path=str(path)), tell)
    states = list(dict.fromkeys(moment.state for moment in told))
    assert states == ["preparing", "copying", "verifying", "publishing", "done"]
    done = [moment.objects_done for moment in told]
    assert done == sorted(done)
    fields = {"objects_done", "objects_total", "bytes_stored", "mib_per_second", "seconds_left", "state", "retries", "store"}
    fields |= {"bytes_fetched", "fetched_mib_per_second", "waits_for"}
    assert documents[0].keys() == fields
    last = json.loads(path.read_text())
    assert last["store"] == str(tmp_path / "air.zarr")
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
    monkeypatch.setattr(import_module("zarrstream.planning.plan"), "BLOCK_TARGET", 100_000)
    held, most, lock = [0], [0], threading.Lock()
    copy = threads.copy_blocks

    def size(block: Any) -> int:
        return 8 * math.prod(stop - start for start, stop in block.region)

    def counting(blocks: Any, encode: Any, send: Any, memory: int, workers: int = 3, **options: Any) -> None:
        def encoding(block: Any) -> None:
            with lock:
                held[0] += size(block)
                most[0] = max(most[0], held[0])
            encode(block)

        def sending(block: Any, encoded: None) -> None:
            send(block, encoded)
            with lock:
                held[0] -= size(block)

        copy(blocks, encoding, sending, memory, workers, **options)

    monkeypatch.setattr(threads, "copy_blocks", counting)
    write_dataset(request(tmp_path / "a.nc", tmp_path / "a.zarr", chunks={"t": 5, "x": 1000}))
    assert 0 < most[0] <= 3 * 100_000


def test_what_is_being_sent_holds_no_values_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    xr.Dataset({"a": (("t", "x"), np.ones((400, 1000)))}).to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    monkeypatch.setattr(import_module("zarrstream.planning.plan"), "BLOCK_TARGET", 40_000)
    values, send = Encoder.values, FolderObjects.put_async
    alive: list[weakref.ref[np.ndarray]] = []
    held: list[int] = []

    def counted(self: Encoder, name: str, region: Any) -> np.ndarray:
        array = values(self, name, region)
        alive.append(weakref.ref(array))
        return array

    async def slow(self: FolderObjects, key: str, data: Any) -> None:
        await asyncio.sleep(0.1)
        held.append(sum(1 for array in alive if array() is not None))
        await send(self, key, data)

    monkeypatch.setattr(Encoder, "values", counted)
    monkeypatch.setattr(FolderObjects, "put_async", slow)
    write_dataset(request(tmp_path / "a.nc", tmp_path / "a.zarr", chunks={"t": 5, "x": 1000}, verify="manifest"))
    assert held[-1] == 0


def test_files_have_the_ordinary_mode(few_source: Path, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_dataset(request(few_source, tmp_path / "air.zarr"))
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
    expected = WriteRequest(source=("a.nc",), store="b.zarr", variables=("x",), explicit=frozenset({"chunks"}), verify="full")
    assert request_from(options) == expected
    asked = {"chunks": {"time": " 24"}, "shards": "auto", "memory": "2GiB", "encoding": {"x": {"compressor": "none"}}, "timeout": 5}
    found = request_from({**options, **asked, "scheduler": "tcp://host:1/", "profile": "zarr"})
    assert (found.chunks, found.shards, found.memory, found.access) == ({"time": 24}, {}, 2**31, Access("zarr", timeout=5))
    assert (found.encodings["x"].compressor.name, found.scheduler and found.scheduler.address) == ("none", "tcp://host:1")
    assert request_from({"source": ["a.nc", "b.nc"], "store": "c"}).source == ("a.nc", "b.nc")
    for source in ({}, [], [1], "", [""], None, 5):
        with pytest.raises(BadRequest, match="source is"):
            request_from({"source": source, "store": "b.zarr"})


def test_what_lies_elsewhere_is_left_alone(few_source: Path, tmp_path: Path) -> None:
    for name in ("air.zarr2", "air.zarr.backup"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "zarr.json").write_text("{}")
    write_dataset(request(few_source, tmp_path / "air.zarr"))
    assert (tmp_path / "air.zarr2" / "zarr.json").read_text() == "{}"
    shutil.rmtree(tmp_path / "air.zarr")
    shutil.rmtree(sidecar(tmp_path / "air.zarr"))
    assert write_dataset(request(few_source, tmp_path / "air.zarr")).action == "create"


def test_records_are_of_bytes() -> None:
    assert md5_of(b"abc") == Stored(3, "900150983cd24fb0d6963f7d28e17f72")
