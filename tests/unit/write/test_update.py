"""Updating: the store becomes what its files say now, only what they touch is written, and a kill costs nothing."""

from __future__ import annotations

import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from running import THOROUGH
from writing import FORKS, files, killed_writes, made_once, opens, passed, raw, request, sidecar
from zarrstream.commands.write import preview, write_dataset
from zarrstream.errors import BadRequest, Conflict, SourceError, ZarrstreamError
from zarrstream.metadata.hierarchy import is_document
from zarrstream.sidecar.manifest import MANIFEST, parse_manifest
from zarrstream.storage.folder import FolderObjects
from zarrstream.write.request import WriteRequest
from zarrstream.write.result import WriteResult
from zarrstream.write.rows import rows_of

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have a Zarr V3 specification"),
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),
]
UPDATE: dict[str, Any] = {"mode": "update", "append_dim": "time", "chunks": {"time": 4}}
DAY = 3  # steps of a file


def day(folder: Path, number: int, version: int = 0, steps: int = DAY, **changes: Any) -> Path:
    """The file of a day, whose values tell day, step and version."""
    folder.mkdir(exist_ok=True)
    times = np.arange(number * DAY, number * DAY + steps)
    values = 1000.0 * version + times[:, None] + np.arange(4) / 10
    dataset = xr.Dataset(
        {"air": (("time", "lat"), values.astype("f4")), "mark": ("time", (times + 7 * version).astype("i2")), "crs": ((), np.int32(1))},
        {"time": times.astype("i4"), "lat": np.arange(4.0)},
    ).assign(changes)
    dataset.time.attrs = {"units": "hours since 2020-01-01", "calendar": "standard"}
    encoding = {name: {"_FillValue": None} for name in dataset.variables}
    path = folder / f"day-{number:02d}.nc"
    dataset.to_netcdf(path, engine="netcdf4", encoding=encoding)
    return path


def updated(folder: Path, store: Path, **options: Any) -> WriteResult:
    """The result of an update, of which check mode told the same before."""
    wanted = request(folder / "*.nc", store, **{**UPDATE, **options})
    told, done = preview(wanted), write_dataset(wanted)
    assert (told.action, told.objects_written, told.objects, told.files, told.plan) == (
        done.action, done.objects_written, done.objects, done.files, done.plan,
    )  # fmt: skip
    again = write_dataset(wanted)
    assert (again.changed, again.objects, again.files_changed) == (False, done.objects, [])
    assert files(sidecar(store)).keys() == {MANIFEST}
    return done


def same_as_at_once(folder: Path, store: Path, **options: Any) -> None:
    """Array by array what a write of the same files gives, to the last bit."""
    whole = store.with_name(f"{store.name}-at-once.zarr")
    shutil.rmtree(whole, ignore_errors=True), shutil.rmtree(sidecar(whole), ignore_errors=True)
    write_dataset(request(folder / "*.nc", whole, chunks={"time": 4}, **options))
    found, expected = raw(store, "zarr"), raw(whole, "zarr")
    xr.testing.assert_identical(found.drop_attrs(deep=False), expected.drop_attrs(deep=False))
    assert chunks(store) == chunks(whole)


def chunks(store: Path) -> dict[str, bytes]:
    """The chunks of two arrays, however their keys are spelled; the time has chunks of the length that it had at first."""
    found = {f"{name}/{key}": data for name in ("air", "mark") for key, data in files(store / name).items() if not is_document(key)}
    return {key.replace("/c/", "/").replace("/", "."): data for key, data in found.items()}


def changes(result: WriteResult) -> dict[str, str]:
    return {file["name"][4:6]: file["change"] for file in result.files if file["change"] != "kept"}


def begun(tmp_path: Path, days: int = 6, **options: Any) -> tuple[Path, Path]:
    folder, store = tmp_path / "in", tmp_path / "air.zarr"
    for number in range(days):
        day(folder, number)
    made_once(store, lambda path: write_dataset(request(folder / "*.nc", path, **UPDATE, **options)), days, str(options))
    return folder, store


def test_new_files_come_to_the_end_and_revised_ones_in_their_place(tmp_path: Path) -> None:
    folder, store = begun(tmp_path)
    before = files(store)
    day(folder, 6)
    day(folder, 2, version=1)  # steps 6 to 8: chunks 1 and 2
    done = updated(folder, store, max_revised=0.2)
    assert (done.action, changes(done)) == ("update", {"02": "revised", "06": "new"})
    assert "file day-02.nc: revised\nfile day-06.nc: new\n" in done.diff()["after"]
    after = files(store)
    touched = {key for key in after if before.get(key) != after[key] and "c/" in key}
    arrays = (("air", "/0"), ("mark", ""))
    assert touched == {*(f"{name}/c/{chunk}{rest}" for name, rest in arrays for chunk in (1, 2, 4, 5)), "time/c/1"}
    assert done.objects_written <= len(touched) + 2 + 6
    same_as_at_once(folder, store)
    passed(store, *sorted(folder.glob("*.nc")))
    ended = datetime.fromisoformat(xr.open_zarr(store, chunks=None).attrs["zarrstream_updated"])
    assert timedelta(0) <= datetime.now(UTC) - ended < timedelta(minutes=5)


def test_a_late_file_is_a_replacement_and_the_plan_says_so(tmp_path: Path) -> None:
    folder, store = begun(tmp_path)
    (folder / "day-03.nc").unlink()
    shutil.rmtree(store), shutil.rmtree(sidecar(store))
    write_dataset(request(folder / "*.nc", store, **UPDATE))
    day(folder, 3)
    done = updated(folder, store)
    assert (done.action, changes(done)) == ("replace", {"03": "new"})
    assert any("written anew from all its files: 3 new steps before the end of the store" in note for note in done.notes)
    same_as_at_once(folder, store)


@pytest.mark.thorough
def test_an_earlier_file_is_one_too(tmp_path: Path) -> None:
    folder, store = begun(tmp_path)
    for path in sorted(folder.glob("*.nc"))[:1]:
        path.unlink()
    shutil.rmtree(store), shutil.rmtree(sidecar(store))
    write_dataset(request(folder / "*.nc", store, **UPDATE))
    day(folder, 0)
    assert updated(folder, store).action == "replace"
    same_as_at_once(folder, store)


def test_a_file_that_is_gone_is_kept_and_said(tmp_path: Path) -> None:
    folder, store = begun(tmp_path)
    (folder / "day-01.nc").unlink()
    wanted = request(folder / "*.nc", store, **UPDATE)
    result = write_dataset(wanted)
    assert (result.changed, changes(result)) == (False, {"01": "gone"})
    day(folder, 6)
    day(folder, 4, version=1)
    done = updated(folder, store, max_revised=0.2)
    assert changes(done) == {"01": "gone", "04": "revised", "06": "new"}
    assert raw(store, "zarr").time.values.tolist() == list(range(7 * DAY))
    day(folder, 1)
    same_as_at_once(folder, store)


def test_steps_of_a_file_that_is_gone_are_not_lost_by_a_replacement(tmp_path: Path) -> None:
    folder, store = begun(tmp_path)
    (folder / "day-01.nc").unlink()
    day(folder, 4, version=1, steps=2)
    before = files(store)
    with pytest.raises(Conflict, match=r"day-01.nc is gone: steps that the store alone has would be lost"):
        write_dataset(request(folder / "*.nc", store, **UPDATE))
    assert files(store) == before


def test_a_revised_file_with_fewer_steps_shrinks_the_store_only_when_told(tmp_path: Path) -> None:
    folder, store = begun(tmp_path)
    day(folder, 5, version=1, steps=2)
    with pytest.raises(
        Conflict, match=r"3 of 18 steps of store .* would change or go, more than max_revised allows \(10%\). .* max_revised to 0.17"
    ):
        write_dataset(request(folder / "*.nc", store, **UPDATE))
    with pytest.raises(Conflict, match=r"has 18 steps, and would have 17. .* set max_revised to 1"):
        write_dataset(request(folder / "*.nc", store, **UPDATE, max_revised=0.5))
    assert updated(folder, store, max_revised=1).action == "replace"
    same_as_at_once(folder, store)


def test_more_than_may_change_is_refused_with_the_way_out(tmp_path: Path) -> None:
    folder, store = begun(tmp_path)
    for number in (1, 2):
        day(folder, number, version=1)
    before = files(store)
    with pytest.raises(Conflict, match=r"set max_revised to 0.34 for this run"):
        write_dataset(request(folder / "*.nc", store, **UPDATE))
    assert files(store) == before
    updated(folder, store, max_revised=0.34)
    same_as_at_once(folder, store)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lat": np.arange(4.0) + 0.5}, "'lat' has other values"),
        ({"air": (("time", "lat"), np.zeros((DAY, 4)))}, "'air' has data_type float64 in"),
        ({"crs": ((), np.int32(2))}, "'crs' has other values"),
    ],
)
def test_a_revised_file_may_not_mean_something_else(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    folder, store = begun(tmp_path)
    day(folder, 5, version=1, **change)
    before = files(store)
    with pytest.raises(SourceError, match=words):
        write_dataset(request(folder / "*.nc", store, **UPDATE, max_revised=1))
    assert files(store) == before


@pytest.mark.parametrize("overlap", ["first", "last"])
def test_steps_of_two_files_are_those_of_a_write_at_once(tmp_path: Path, overlap: str) -> None:
    folder, store = tmp_path / "in", tmp_path / "air.zarr"
    options: dict[str, Any] = {"combine": {"dim": "time", "overlap": overlap}}
    for number in range(4):
        day(folder, number, steps=DAY + 1)  # the last step is the first one of the next file
    write_dataset(request(folder / "*.nc", store, **UPDATE, **options))
    day(folder, 4, version=2, steps=DAY + 1)
    day(folder, 1, version=3, steps=DAY + 1)
    done = updated(folder, store, max_revised=0.5, **options)
    assert changes(done) == {"01": "revised", "04": "new"}
    same_as_at_once(folder, store, **options)


def test_a_step_that_another_file_gave_with_other_values_is_refused(tmp_path: Path) -> None:
    folder, store = begun(tmp_path)
    day(folder, 5).rename(folder / "again.nc")
    day(folder, 5)
    with pytest.raises(SourceError, match=r"again\.nc"):  # as a write at once would
        write_dataset(request(folder / "*.nc", tmp_path / "b.zarr", **UPDATE))
    shutil.copy(day(tmp_path / "other", 5, version=1), folder / "again.nc")
    with pytest.raises(SourceError, match=r"which another file gave. If the later file corrects the earlier, say combine.overlap: last"):
        write_dataset(request(folder / "*.nc", store, **UPDATE))


def test_shards_are_not_changed_under_readers(tmp_path: Path) -> None:
    folder, store = tmp_path / "in", tmp_path / "air.zarr"
    options: dict[str, Any] = {"chunks": {"time": 2}, "shards": {"time": 6}}
    for number in range(4):
        day(folder, number)
    write_dataset(request(folder / "*.nc", store, **{**UPDATE, **options}))
    for number in (4, 5):
        day(folder, number)
    assert updated(folder, store, **options).action == "update"  # whole shards at the end
    day(folder, 1, version=1)
    done = updated(folder, store, max_revised=0.2, **options)
    assert (done.action, "has shards, which readers take in several requests" in str(done.notes)) == ("replace", True)
    assert raw(store, "zarr").mark.values[3:6].tolist() == [10, 11, 12]


def test_stores_without_a_record_of_steps_take_new_files_and_are_replaced_for_revised_ones(tmp_path: Path) -> None:
    folder, store = begun(tmp_path)
    path = sidecar(store) / MANIFEST
    path.write_bytes(path.read_bytes().replace(b'"steps":{"time":', b'"other":{"time":'))
    assert parse_manifest(path.read_bytes(), "x").steps == {}
    day(folder, 6)
    assert updated(folder, store).action == "update"
    day(folder, 2, version=1)
    assert updated(folder, store, max_revised=0.2).action == "replace"
    same_as_at_once(folder, store)
    day(folder, 3, version=1)
    assert updated(folder, store, max_revised=0.2).action == "update"
    same_as_at_once(folder, store)


def test_files_that_were_appended_are_known_by_their_steps(tmp_path: Path) -> None:
    folder, store = begun(tmp_path)
    day(folder, 6)
    write_dataset(request(folder / "*.nc", store, **{**UPDATE, "mode": "append"}))
    day(folder, 6, version=1)
    done = updated(folder, store, max_revised=0.2)
    assert (done.action, changes(done)) == ("update", {"06": "revised"})
    same_as_at_once(folder, store)


@FORKS
@pytest.mark.parametrize("zarr_format", [pytest.param(2, marks=pytest.mark.thorough), 3])
def test_a_killed_update_is_finished_by_the_next_run(tmp_path: Path, zarr_format: Any) -> None:
    folder, store = begun(tmp_path, zarr_format=zarr_format)
    day(folder, 6)
    day(folder, 2, version=1)
    options = {**UPDATE, "source": [str(folder / "*.nc")], "max_revised": 0.2, "zarr_format": zarr_format}
    for killed in killed_writes(tmp_path / "killed", store, **options):
        assert opens(killed.store), killed.told
        with xr.open_zarr(killed.store, chunks=None, decode_times=False) as read:  # each chunk is old or new
            marks, length = read.mark.values, read.sizes["time"]
        assert length in (18, 21), killed.told
        assert [mark - step in (0, 7 if 6 <= step < 9 else 0) for step, mark in enumerate(marks)] == [True] * length, killed.told
        write_dataset(request(folder / "*.nc", killed.store, **UPDATE, max_revised=0.2, zarr_format=zarr_format))
        same_as_at_once(folder, killed.store, zarr_format=zarr_format)
        passed(killed.store, *sorted(folder.glob("*.nc")))
        assert files(sidecar(killed.store)).keys() == {MANIFEST}, killed.told


@FORKS
@pytest.mark.thorough  # the lines of a replacement, of which test_replace.py kills each
def test_a_killed_update_that_is_a_replacement_is_finished_by_the_next_run(tmp_path: Path) -> None:
    folder, store = tmp_path / "in", tmp_path / "air.zarr"
    for number in (0, 1, 3):
        day(folder, number)
    write_dataset(request(folder / "*.nc", store, **UPDATE))
    day(folder, 2)
    for killed in killed_writes(tmp_path / "killed", store, **UPDATE, source=[str(folder / "*.nc")]):
        write_dataset(request(folder / "*.nc", killed.store, **UPDATE))
        same_as_at_once(folder, killed.store)
        assert files(sidecar(killed.store)).keys() == {MANIFEST}, killed.told


@FORKS
def test_a_killed_update_whose_file_becomes_what_it_was(tmp_path: Path) -> None:
    """Chunks may have been written with the revision; the record does not say so, but the lock does."""
    folder, store = begun(tmp_path)
    first = (folder / "day-02.nc").read_bytes()
    day(folder, 2, version=1)
    for killed in killed_writes(tmp_path / "killed", store, **UPDATE, source=[str(folder / "*.nc")], max_revised=0.2):
        for data in (first, None):
            copy = tmp_path / "again" / f"{killed.point}.zarr"
            for suffix in ("", ".zarrstream"):
                shutil.copytree(f"{killed.store}{suffix}", f"{copy}{suffix}")
            now = tmp_path / f"now-{killed.point}"
            shutil.copytree(folder, now)
            (now / "day-02.nc").write_bytes(data) if data else day(now, 2, version=2)
            write_dataset(request(now / "*.nc", copy, **UPDATE, max_revised=0.2))
            same_as_at_once(now, copy)
            for suffix in ("", ".zarrstream"):
                shutil.rmtree(f"{copy}{suffix}")
            shutil.rmtree(now)


def test_two_interrupted_updates_leave_nothing_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second finds the file of the first as it is recorded, and writes its steps again; so does the third, though both files are."""
    folder, store = begun(tmp_path)
    first, other = ((folder / f"day-0{number}.nc").read_bytes() for number in (1, 4))
    wanted = request(folder / "*.nc", store, **UPDATE, max_revised=1)
    day(folder, 1, version=1)
    interrupted(wanted, monkeypatch, "mark/c/1")  # after the chunk before it
    (folder / "day-01.nc").write_bytes(first)
    day(folder, 4, version=1)
    interrupted(wanted, monkeypatch, "air/c/0")  # before anything of the first is as it was
    (folder / "day-04.nc").write_bytes(other)
    write_dataset(wanted)
    same_as_at_once(folder, store)
    assert files(sidecar(store)).keys() == {MANIFEST}


def interrupted(wanted: WriteRequest, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """Let an update fail at a chunk."""
    put = FolderObjects.put

    def failing(self: FolderObjects, name: str, data: bytes, **options: Any) -> None:
        if f"/{key}" in name:
            raise ZarrstreamError("refused")
        put(self, name, data, **options)

    with monkeypatch.context() as patch:
        patch.setattr(FolderObjects, "put", failing)
        with pytest.raises(ZarrstreamError, match="refused"):
            write_dataset(wanted)


def test_an_interrupted_update_is_not_appended_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from writing import fail_at, refuse

    folder, store = begun(tmp_path)
    day(folder, 2, version=1)
    fail_at(monkeypatch, 5, refuse)
    with pytest.raises(Exception, match="refused"):
        write_dataset(request(folder / "*.nc", store, **UPDATE, max_revised=0.2))
    monkeypatch.undo()
    with pytest.raises(Conflict, match="Run it again first, with mode update"):
        write_dataset(request(folder / "*.nc", store, **{**UPDATE, "mode": "append"}))
    (folder / "day-02.nc").unlink()
    with pytest.raises(Conflict, match=r"an update with a revision of 'day-02.nc' was interrupted"):
        write_dataset(request(folder / "*.nc", store, **UPDATE))


@pytest.mark.parametrize("seed", range(6 if THOROUGH else 1))
def test_whatever_comes_in_whatever_order_is_a_write_at_once(tmp_path: Path, seed: int) -> None:
    """Days in turns; some late, some revised, some gone and back."""
    chooser = random.Random(seed)
    folder, store, coming = tmp_path / "in", tmp_path / "air.zarr", list(range(20 if THOROUGH else 12))
    late = chooser.sample(coming, 3)
    version = 0
    turns = [number for number in coming if number not in late] + late
    day(folder, turns[0])
    for number in turns[1:]:
        day(folder, number)
        if chooser.random() < 0.3:
            version += 1
            day(folder, chooser.choice([int(path.name[4:6]) for path in folder.glob("*.nc")]), version)
        write_dataset(request(folder / "*.nc", store, **UPDATE, max_revised=1))
        if THOROUGH or chooser.random() < 0.2:
            same_as_at_once(folder, store)
    same_as_at_once(folder, store)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"append_dim": None}, "mode is 'update' without append_dim"),
        ({"max_revised": 10}, "max_revised is 10: it is the share of the steps that an update may change"),
        ({"consolidated": False}, "consolidated is false, and mode is 'update'"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        request("in.nc", tmp_path / "air.zarr", **{**UPDATE, **options})


def test_rows_are_runs() -> None:
    rows = rows_of("time", 6, [*(("store", n) for n in range(4)), ("source", 2), ("source", 3), ("source", 4)])
    assert [(run.start, run.stop, run.origin, run.row) for run in rows.runs] == [(0, 4, "store", 0), (4, 7, "source", 2)]
    assert (list(rows.touched(4, 0, 8)), list(rows.touched(4, 8, 7)), rows.shifted) == ([(4, 7)], [], False)
    assert rows_of("time", 2, [("source", 0), ("store", 0), ("store", 1)]).shifted
