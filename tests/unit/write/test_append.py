"""Appending: only new steps are written, readers find the old store until the new one is whole, and a kill costs nothing."""

from __future__ import annotations

import dataclasses
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import xarray as xr
from writing import FORKS, assert_same, decoded, fail_at, files, killed_writes, made_once, passed, refuse, request, sidecar, write_apart
from zarrstream.commands.write import preview, write_dataset
from zarrstream.errors import BadRequest, Conflict, PlanError, SourceError, WriteError, ZarrstreamError
from zarrstream.sidecar.manifest import MANIFEST
from zarrstream.storage.folder import FolderObjects

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have a Zarr V3 specification"),
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),
    pytest.mark.filterwarnings("ignore:Failed to open Zarr store with consolidated metadata"),
]
Format = Literal[2, 3]


def part(data: xr.Dataset, folder: Path, start: int, stop: int, /, **changes: Any) -> Path:
    """A file with some of the steps."""
    path = folder / f"{start:03d}-{stop:03d}.nc"
    piece = data.drop_vars(["none"], errors="ignore").isel(time=slice(start, stop)).assign(changes)
    encoding = {name: {"_FillValue": None} for name in piece.variables if "_FillValue" not in piece[name].attrs}
    piece.to_netcdf(path, engine="netcdf4", encoding=encoding)
    return path


def begun(data: xr.Dataset, folder: Path, stop: int = 20, /, **options: Any) -> Path:
    """A store with the first steps, which a file that is still there gave it."""
    first = part(data, folder, 0, stop)
    return made_once(folder / "air.zarr", lambda store: write_dataset(request(first, store, **options)), stop, str(options))


@pytest.mark.parametrize(
    ("chunk", "zarr_format"),
    [
        (7, 3),
        *[pytest.param(*each, marks=pytest.mark.thorough) for each in ((1, 2), (1, 3), (4, 2), (4, 3), (5, 2), (5, 3), (7, 2))],
    ],
)
def test_steps_come_to_the_end(air: xr.Dataset, tmp_path: Path, zarr_format: Format, chunk: int) -> None:
    """Also over several appends, with chunks that are cut at each of them."""
    store, whole = tmp_path / "air.zarr", part(air, tmp_path, 0, 30).rename(tmp_path / "whole.nc")
    wanted = request("another.nc", store, zarr_format=zarr_format, chunks={"time": chunk}, mode="append", append_dim="time", verify="full")
    for start, stop in ((0, 10), (10, 15), (15, 16), (16, 30)):
        step = dataclasses.replace(wanted, source=(str(part(air, tmp_path, start, stop)),))
        told, done = preview(step), write_dataset(step)
        assert done.action == ("append" if start else "create")
        assert (told.plan, told.objects, told.objects_written, told.diff()) == (done.plan, done.objects, done.objects_written, done.diff())
        assert len(files(store)) == done.objects == done.plan["objects"]
        assert start == 0 or (done.objects_kept > 0 and not done.resumed)
        again = write_dataset(step)
        assert (again.changed, again.plan, again.objects) == (False, done.plan, done.objects)
    assert_same(store, whole)
    passed(store, whole)
    assert files(sidecar(store)).keys() == {MANIFEST}
    with xr.open_zarr(store, consolidated=False) as found:
        xr.testing.assert_identical(found.load(), decoded(whole, "netcdf4"))


def test_a_growing_glob_is_read_only_where_it_is_new(few: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, store = tmp_path / "in", tmp_path / "air.zarr"
    folder.mkdir()
    wanted = request(folder / "*.nc", store, chunks={"time": 4}, mode="append", append_dim="time")
    part(few, folder, 0, 20)
    first = write_dataset(wanted)
    part(few, folder, 20, 30)
    done = write_dataset(wanted)
    assert (done.action, done.bytes_read < first.bytes_read) == ("append", True)
    monkeypatch.setattr(import_module("zarrstream.source.items"), "_file_digest", lambda _: pytest.fail("a second run reads the source"))
    assert not write_dataset(wanted).changed
    whole = part(few, tmp_path, 0, 30)
    assert_same(store, whole)


def test_steps_that_are_there_already_are_left_out(few: xr.Dataset, tmp_path: Path) -> None:
    store = tmp_path / "air.zarr"
    wanted = request(part(few, tmp_path, 0, 20), store, chunks={"time": 4}, mode="append", append_dim="time")
    write_dataset(wanted)
    for start, stop in ((3, 9), (12, 20)):
        result = write_dataset(dataclasses.replace(wanted, source=(str(part(few, tmp_path, start, stop)),)))
        assert (result.changed, result.action) == (False, "nothing")
        assert preview(dataclasses.replace(wanted, source=(str(part(few, tmp_path, start, stop)),))).action == "nothing"
    write_dataset(dataclasses.replace(wanted, source=(str(part(few, tmp_path, 15, 30)),)))
    assert_same(store, part(few, tmp_path, 0, 30))
    passed(store, part(few, tmp_path, 0, 30))


def test_times_are_counted_from_where_the_store_counts(air: xr.Dataset, tmp_path: Path) -> None:
    store, plain = tmp_path / "air.zarr", air[["air", "time", "lat", "lon"]].drop_vars(["height"], errors="ignore")
    plain.time.attrs = {"units": "hours since 2000-01-01 00:00", "calendar": "standard"}
    write_dataset(request(part(plain, tmp_path, 0, 24), store))
    day = plain.isel(time=slice(24, 30))
    day["time"] = ("time", np.arange(6), {"units": "hours since 2000-01-02 00:00", "calendar": "standard"})
    later = part(day, tmp_path, 0, 6)
    write_dataset(request(later, store, mode="append", append_dim="time"))
    xr.testing.assert_equal(decoded(store, "zarr").time, decoded(part(plain, tmp_path, 0, 30), "netcdf4").time)


@pytest.mark.parametrize(
    ("start", "stop", "change", "words"),
    [
        (25, 30, {}, None),
        (10, 30, {"air": lambda d: d.air + 1}, "'air' has other values in .* at \\[10:"),
        (20, 30, {"lat": lambda d: d.lat + 1}, "'lat' has other values"),
        (20, 30, {"byte": lambda d: d.byte.astype("i4")}, "'byte' has .*int32.* but .*uint8"),
        (20, 30, {"extra": lambda d: d.byte}, "'extra' is in .* but not in store"),
        (20, 30, {"air": lambda d: d.air.assign_attrs(scale_factor=0.1)}, "'air' has scale_factor '0.1'"),
        (20, 30, {"time": lambda d: d.time.copy(data=d.time.values[::-1])}, "does not rise at each step"),
        (15, 30, {"time": lambda d: d.time.astype("f8") - 0.5}, "before the end of store"),
        (20, 30, {"time": lambda d: d.time.astype("f8")}, "'time' has .*float64"),
        (20, 30, {"time": lambda d: d.time.copy(data=[3, 4, 6, 7, 8, 9, 22, 23, 24, 25])}, "before the end of store"),
    ],
)
def test_what_does_not_continue_the_store_is_refused(
    few: xr.Dataset, tmp_path: Path, start: int, stop: int, change: Any, words: str | None
) -> None:
    store = begun(few, tmp_path, chunks={"time": 4})
    before = files(tmp_path)
    source = part(few, tmp_path / "..", start, stop, **change).rename(tmp_path / "next.nc")
    before["next.nc"] = source.read_bytes()
    wanted = request(source, store, mode="append", append_dim="time")
    if words is None:  # a gap is no contradiction
        assert write_dataset(wanted).plan["arrays"][0]["shape"][0] == 25
        return
    for run in (preview, write_dataset):
        with pytest.raises(SourceError, match=words) as error:
            run(wanted)
        assert "\n" not in str(error.value)
    assert files(tmp_path) == before


def test_a_variable_that_is_left_out_is_missed(few: xr.Dataset, tmp_path: Path) -> None:
    store = begun(few, tmp_path)
    with pytest.raises(SourceError, match=r"'byte' is in store .* but not in"):
        write_dataset(request(part(few.drop_vars("byte"), tmp_path, 20, 30), store, mode="append", append_dim="time"))


@pytest.mark.parametrize(
    ("made", "asked", "error", "words"),
    [
        ({}, {"append_dim": None}, BadRequest, "without append_dim"),
        ({}, {"append_dim": "tme"}, BadRequest, "'tme', which has no coordinate in store .*It has: lat, lon, time"),
        ({"consolidated": False}, {"consolidated": False}, Conflict, "no consolidated metadata"),
        ({"chunks": {"time": 4}}, {"chunks": {"time": 5}}, Conflict, "with other chunks.*leave it out"),
        ({}, {"zarr_format": 2}, Conflict, "with other zarr_format"),
        ({"shards": {"time": 16}, "chunks": {"time": 4}}, {}, PlanError, "last shard of '.*' holds 4 of 16 steps"),
    ],
)
def test_what_cannot_be_appended_to_is_refused(few: xr.Dataset, tmp_path: Path, made: Any, asked: Any, error: Any, words: str) -> None:
    store = begun(few, tmp_path, **made)
    source = part(few, tmp_path, 20, 30)
    before = files(tmp_path)
    for run in (preview, write_dataset):
        with pytest.raises(error, match=words) as caught:
            run(request(source, store, **{"mode": "append", "append_dim": "time"} | asked))
        assert "\n" not in str(caught.value)
    assert files(tmp_path) == before


def test_packing_and_lossy_filters_go_on(air: xr.Dataset, tmp_path: Path) -> None:
    store, air = tmp_path / "air.zarr", air[["air", "edges", "crs"]]
    encoding = {
        "height": {"dtype": "int16", "scale_factor": 0.001, "_FillValue": -1},
        "edges": {"filters": [{"name": "bitround", "keepbits": 4}]},
    }
    write_dataset(request(part(air, tmp_path, 0, 20), store, encoding=encoding, chunks={"time": 7}))
    old = decoded(store, "zarr").edges
    for verify, start, stop in (("full", 20, 25), ("sample", 23, 30)):
        write_dataset(request(part(air, tmp_path, start, stop), store, mode="append", append_dim="time", verify=verify))
    xr.testing.assert_equal(decoded(store, "zarr").edges.isel(time=slice(0, 20)), old)
    passed(store, part(air, tmp_path, 0, 30))


def test_a_chunk_that_lossy_filters_would_change_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No filter of today's rounds what it has rounded once more; one that did must not go unnoticed."""
    values = np.array([0.1, 1e9, 0.3, 7.7, 1e-5, 3.3], "f4")
    data = xr.Dataset({"a": ("time", values)}, {"time": np.arange(6)})
    for name, rows in (("a", slice(4)), ("b", slice(4, 6))):
        data.isel(time=rows).to_netcdf(tmp_path / f"{name}.nc", engine="netcdf4", encoding={"a": {"_FillValue": None}})
    store = tmp_path / "a.zarr"
    write_dataset(request(tmp_path / "a.nc", store, encoding={"a": {"filters": [{"name": "bitround", "keepbits": 4}]}}, chunks={"time": 3}))
    before = decoded(store, "zarr")
    monkeypatch.setattr(import_module("zarrstream.write.rewriting"), "through_codecs", lambda *arguments: arguments[2] * 2)
    with pytest.raises(PlanError, match=r"cannot take more rows.*whole chunk"):
        write_dataset(request(tmp_path / "b.nc", store, mode="append", append_dim="time"))
    xr.testing.assert_identical(decoded(store, "zarr"), before)


def test_damage_in_the_last_chunk_is_not_carried_on(few: xr.Dataset, tmp_path: Path) -> None:
    store = tmp_path / "air.zarr"
    write_dataset(request(part(few, tmp_path, 0, 18), store, chunks={"time": 4}))
    victim = store / "air/c/4/0/0"
    other = (store / "air/c/3/0/0").read_bytes()  # decodes as well as the right one
    victim.write_bytes(other)
    with pytest.raises(WriteError, match="air/c/4/0/0 has other bytes than were sent"):
        write_dataset(request(part(few, tmp_path, 18, 30), store, mode="append", append_dim="time"))
    assert victim.read_bytes() == other


def test_readers_of_the_old_store_find_it_until_the_new_one_is_whole(
    few: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, first = tmp_path / "air.zarr", part(few, tmp_path, 0, 17)
    write_dataset(request(first, store, chunks={"time": 2}))
    old, new = decoded(first, "netcdf4"), decoded(part(few, tmp_path, 0, 30), "netcdf4")
    seen, put, put_async = [], FolderObjects.put, FolderObjects.put_async

    def look() -> None:
        found = decoded(store, "zarr")
        seen.append("old" if found.identical(old) else "new" if found.identical(new) else "mixture")

    def put_and_look(self: FolderObjects, key: str, data: bytes, **options: Any) -> None:
        put(self, key, data, **options)
        look()

    async def send_and_look(self: FolderObjects, key: str, data: bytes) -> None:
        await put_async(self, key, data)
        sent.append(key)

    sent: list[str] = []
    monkeypatch.setattr(FolderObjects, "put", put_and_look)
    monkeypatch.setattr(FolderObjects, "put_async", send_and_look)
    write_dataset(request(part(few, tmp_path, 17, 30), store, mode="append", append_dim="time"))
    assert seen.count("old") > 5
    assert seen == ["old"] * seen.count("old") + ["new"]
    assert len(sent) > 10


@FORKS
@pytest.mark.parametrize("zarr_format", [pytest.param(2, marks=pytest.mark.thorough), 3])
def test_an_append_killed_at_any_request_shows_old_or_new(tmp_path: Path, zarr_format: Format) -> None:
    old, new = tmp_path / "one.nc", tmp_path / "all.nc"
    data = xr.Dataset({"a": ("x", np.arange(7) * 3)}, {"x": np.arange(7)}, {"title": "t"})
    for name, rows in (("one", slice(3)), ("two", slice(3, 7)), ("all", slice(7))):
        data.isel(x=rows).to_netcdf(tmp_path / f"{name}.nc", engine="netcdf4")
    write_dataset(request(old, tmp_path / "old.zarr", zarr_format=zarr_format, chunks={"x": 2}))
    options: Any = {"zarr_format": zarr_format, "mode": "append", "append_dim": "x"}
    killed = killed_writes(tmp_path / f"append-{zarr_format}", tmp_path / "old.zarr", source=(str(tmp_path / "two.nc"),), **options)
    assert killed[-1].point > 20
    seen = []
    for each in killed:
        state = "old" if decoded(each.store, "zarr").identical(decoded(old, "netcdf4")) else "new"
        assert_same(each.store, old if state == "old" else new)
        seen.append(state)
        result = write_dataset(request(tmp_path / "two.nc", each.store, **options))
        assert result.changed is (state == "old"), each.told
        assert_same(each.store, new)
        passed(each.store, new)
    assert seen == sorted(seen, key=["old", "new"].index), killed[0].told
    assert set(seen) == {"old", "new"}, killed[0].told


def test_another_append_after_one_that_was_broken_off(few: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first has written over the last chunks; the second, of fewer steps, must not show any of its rows."""
    store, first = tmp_path / "air.zarr", part(few, tmp_path, 0, 18)
    write_dataset(request(first, store, chunks={"time": 4}))
    monkeypatch.setattr(import_module("zarrstream.write.standing"), "publish", lambda *_, **__: refuse(None, "air/zarr.json", b""))
    with pytest.raises(ZarrstreamError, match="readers find the store as it was before"):
        write_dataset(request(part(few, tmp_path, 18, 30), store, mode="append", append_dim="time"))
    monkeypatch.undo()
    assert_same(store, first)
    assert not write_dataset(request(first, store, chunks={"time": 4})).changed
    result = write_dataset(request(part(few, tmp_path, 18, 19), store, mode="append", append_dim="time"))
    assert (result.resumed, result.action) == (True, "append")
    assert_same(store, part(few, tmp_path, 0, 19))
    passed(store, part(few, tmp_path, 0, 19))
    write_dataset(request(part(few, tmp_path, 19, 30), store, mode="append", append_dim="time"))
    assert_same(store, part(few, tmp_path, 0, 30))
    passed(store, part(few, tmp_path, 0, 30))


def test_an_append_that_was_broken_off_keeps_what_it_sent(few: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, wanted = tmp_path / "air.zarr", request(part(few, tmp_path, 18, 30), tmp_path / "air.zarr", mode="append", append_dim="time")
    write_dataset(request(part(few, tmp_path, 0, 18), store, chunks={"time": 1}))
    fresh = preview(wanted)
    monkeypatch.setattr(import_module("zarrstream.planning.plan"), "BLOCK_TARGET", 1)
    fail_at(monkeypatch, 30, refuse)
    with pytest.raises(ZarrstreamError, match="refused"):
        write_dataset(wanted)
    monkeypatch.undo()
    result = write_dataset(wanted)
    assert result.resumed
    assert result.objects_written < fresh.objects_written - 15
    assert_same(store, part(few, tmp_path, 0, 30))


@FORKS
def test_of_several_appends_each_is_whole(few: xr.Dataset, tmp_path: Path) -> None:
    """Each of another number of steps; they may come one after the other, but never mix."""
    store, ends = tmp_path / "air.zarr", (22, 24, 26, 28, 30)
    write_dataset(request(part(few, tmp_path, 0, 18), store, chunks={"time": 4}))
    outcomes = write_apart(*(request(part(few, tmp_path, 18, end), store, mode="append", append_dim="time") for end in ends))
    assert {outcome.partition(":")[0] for outcome in outcomes} <= {"append", "nothing", "Conflict"}, outcomes
    assert "append" in outcomes
    last = max(end for end, outcome in zip(ends, outcomes, strict=True) if outcome == "append")
    whole = part(few, tmp_path, 0, last)
    assert_same(store, whole)
    passed(store, whole)
    assert files(sidecar(store)).keys() == {MANIFEST}
