"""Replacing a store: readers find the old one, or none, or the new one; a kill at any request costs nothing but another run."""

from __future__ import annotations

import dataclasses
import itertools
import json
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import pytest
import xarray as xr
from running import THOROUGH
from writing import FORKS, assert_same, decoded, fail_at, files, killed_writes, opens, passed, refuse, request, sidecar, write_apart
from zarrstream.commands.write import preview, write_dataset
from zarrstream.errors import Conflict, ZarrstreamError
from zarrstream.sidecar.manifest import MANIFEST, WRITING
from zarrstream.storage.folder import FolderObjects

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have a Zarr V3 specification"),
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),
    pytest.mark.filterwarnings("ignore:Failed to open Zarr store with consolidated metadata"),
]
Format = Literal[2, 3]
# A change of format in `make test`, and none; all of them, and each way to verify, in `make test-all`.
USUAL = [("manifest", 3, 2), ("full", 3, 3)]
CHANGES = [
    pytest.param(*each, marks=[] if each in USUAL else pytest.mark.thorough)
    for each in itertools.product(("none", "manifest", "full"), (2, 3), (2, 3))
]


@pytest.fixture
def few_other(few: xr.Dataset, tmp_path: Path) -> Path:
    """A source of the same shape with other values."""
    encoding = {name: {"_FillValue": None} for name in few.variables if "_FillValue" not in few[name].attrs}
    few.assign(air=few.air + 1, crs=few.crs + 1).to_netcdf(tmp_path / "other.nc", engine="netcdf4", encoding=encoding)
    return tmp_path / "other.nc"


@pytest.mark.parametrize(("verify", "before", "after"), CHANGES)
def test_the_new_store_takes_the_place_of_the_old(
    few_source: Path, few_other: Path, tmp_path: Path, before: Format, after: Format, verify: str
) -> None:
    store, source, other = tmp_path / "air.zarr", few_source, few_other
    write_dataset(request(source, store, zarr_format=before, chunks={"time": 8}))
    wanted = request(other, store, zarr_format=after, chunks={"time": 8}, mode="replace", verify=verify)
    told = preview(wanted)
    assert_same(store, source)
    more = (source, other) if THOROUGH or verify == "full" else ()  # the keys of chunks change each time
    for turn, path in enumerate((other, *more)):
        result = write_dataset(dataclasses.replace(wanted, source=(str(path),)))
        assert (result.changed, result.action, result.resumed) == (True, "replace", False)
        assert_same(store, path)
        assert len(files(store)) == result.objects == result.objects_written
        assert files(sidecar(store)).keys() == {MANIFEST}, turn
        if turn == 0:
            assert (told.changed, told.action, told.objects_written, told.diff()) == (True, "replace", result.objects, result.diff())
            assert result.diff()["before"].count("air: int16") == 1
    passed(store, other)
    again = write_dataset(wanted)
    assert (again.changed, again.action) == (False, "nothing")


def test_a_replacement_of_nothing_is_a_new_store(few_source: Path, tmp_path: Path) -> None:
    assert write_dataset(request(few_source, tmp_path / "air.zarr", mode="replace")).action == "create"


def test_what_no_listing_shows_yet_is_removed_all_the_same(little: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listings of Swift may lag behind; the manifest of the old store knows its objects."""
    store = tmp_path / "x.zarr"
    write_dataset(request(little, store, chunks={"x": 1}))
    monkeypatch.setattr(FolderObjects, "list", lambda *_: iter(()))
    result = write_dataset(request(little, store, chunks={"x": 2}, mode="replace"))
    assert len(files(store)) == result.objects


def test_a_replacement_may_have_another_shape_and_other_variables(few_source: Path, little: Path, tmp_path: Path) -> None:
    store = tmp_path / "air.zarr"
    write_dataset(request(few_source, store, chunks={"time": 1}))
    write_dataset(request(little, store, mode="replace"))
    assert_same(store, little)
    assert {key.split("/")[0] for key in files(store)} == {"a", "x", "zarr.json"}


def test_what_others_wrote_is_not_replaced(few_source: Path, few: xr.Dataset, tmp_path: Path) -> None:
    theirs, mixed, text = (tmp_path / name for name in ("theirs.zarr", "mixed.zarr", "text.zarr"))
    few.to_zarr(theirs)
    write_dataset(request(few_source, mixed))
    (mixed / "notes.txt").write_text("mine")
    text.mkdir()
    (text / "notes.txt").write_text("mine")
    before = files(tmp_path)
    for store, words in (
        (theirs, "without a manifest"),
        (mixed, r"1 object that Zarrstream did not write, such as mixed\.zarr/notes\.txt"),
        (text, "not of a Zarr"),
    ):
        for run in (preview, write_dataset):
            with pytest.raises(Conflict, match=words):
                run(request(few_source, store, chunks={"time": 1}, mode="replace"))
    assert files(tmp_path) == before


def test_a_failure_leaves_the_old_store(few_source: Path, few_other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "air.zarr"
    write_dataset(request(few_source, store, chunks={"time": 1}))
    fail_at(monkeypatch, 50, refuse)
    with pytest.raises(ZarrstreamError, match="readers find the store as it was before"):
        write_dataset(request(few_other, store, chunks={"time": 1}, mode="replace"))
    monkeypatch.undo()
    assert_same(store, few_source)
    kept = write_dataset(request(few_source, store, chunks={"time": 1}))  # who wanted the old one, finds it
    assert (kept.changed, (sidecar(store) / WRITING).exists()) == (False, True)
    result = write_dataset(request(few_other, store, chunks={"time": 1}, mode="replace"))
    assert (result.action, result.resumed) == ("replace", True)
    assert result.objects_kept > 30
    assert_same(store, few_other)
    passed(store, few_other)


@FORKS
@pytest.mark.parametrize("zarr_format", [2, pytest.param(3, marks=pytest.mark.thorough)])
def test_a_replacement_killed_at_any_request_shows_old_or_nothing_or_new(little: Path, tmp_path: Path, zarr_format: Format) -> None:
    old, new = tmp_path / "old.zarr", tmp_path / "new.nc"
    xr.Dataset({"a": ("x", [7, 8, 9])}, {"x": [1, 2, 4]}, {"title": "new"}).to_netcdf(new, engine="netcdf4")
    write_dataset(request(little, old, zarr_format=zarr_format, chunks={"x": 2}))
    options: Any = {"zarr_format": zarr_format, "chunks": {"x": 2}, "mode": "replace"}
    killed = killed_writes(tmp_path / f"replace-{zarr_format}", old, source=(str(new),), **options)
    assert killed[-1].point > 30
    seen = []
    for each in killed:
        state = "nothing"
        if opens(each.store):
            state = "old" if decoded(each.store, "zarr").identical(decoded(little, "netcdf4")) else "new"
            assert_same(each.store, little if state == "old" else new)
        seen.append(state)
        result = write_dataset(request(new, each.store, **options))
        assert result.changed is (state != "new"), each.told
        passed(each.store, new)
        assert files(sidecar(each.store)).keys() == {MANIFEST}, each.told
        assert_same(each.store, new)
    assert seen == sorted(seen, key=["old", "nothing", "new"].index), killed[0].told
    assert set(seen) == {"old", "nothing", "new"}, killed[0].told


def test_a_place_between_old_and_new_is_kept_for_who_was_replacing(little: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, new = tmp_path / "a.zarr", tmp_path / "new.nc"
    xr.Dataset({"a": ("x", [7, 8])}).to_netcdf(new, engine="netcdf4")
    write_dataset(request(little, store))
    monkeypatch.setattr(import_module("zarrstream.write.replace"), "publish", lambda *_, **__: refuse(None, "zarr.json", b""))
    with pytest.raises(ZarrstreamError, match=r"readers find no store.*run again, finishes it"):
        write_dataset(request(new, store, mode="replace"))
    monkeypatch.undo()
    assert not opens(store)
    with pytest.raises(Conflict, match=r"a replacement of .* was interrupted.*Run it again"):
        write_dataset(request(little, store))
    result = write_dataset(request(new, store, mode="replace"))
    assert (result.action, result.resumed, result.objects_kept) == ("continue", True, 1)
    assert_same(store, new)
    passed(store, new)


def test_who_has_opened_the_old_store_reads_it_until_it_goes(
    few_source: Path, few_other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "air.zarr"
    write_dataset(request(few_source, store, chunks={"time": 3}))
    expected = decoded(few_source, "netcdf4").air
    with xr.open_zarr(store) as opened:

        def look(*_: Any) -> None:
            xr.testing.assert_identical(opened.air.copy(deep=True).load(), expected)
            looked.append(1)

        looked: list[int] = []
        monkeypatch.setattr(import_module("zarrstream.write.replace"), "clear", look)
        write_dataset(request(few_other, store, chunks={"time": 3}, mode="replace"))
    assert looked == [1]
    assert_same(store, few_other)


@FORKS
@pytest.mark.parametrize("broken", [pytest.param(False, marks=pytest.mark.thorough), True])
def test_of_several_replacements_each_is_whole(
    few_source: Path, few_other: Path, tmp_path: Path, broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may come one after the other, but never mix."""
    store = tmp_path / "air.zarr"
    write_dataset(request(few_source, store))
    if broken:
        fail_at(monkeypatch, 20, refuse)
        with pytest.raises(ZarrstreamError):
            write_dataset(request(few_other, store, mode="replace", chunks={"time": 2}))
        monkeypatch.undo()
        lock = json.loads((sidecar(store) / WRITING).read_text())
        (sidecar(store) / WRITING).write_text(json.dumps({**lock, "pid": 2**22 + 1}))  # as if that process had gone, too
    outcomes = write_apart(*(request(few_other, store, chunks={"time": number + 1}, mode="replace") for number in range(5)))
    done = {outcome.partition(":")[0] for outcome in outcomes}
    assert done <= {"replace", "continue", "Conflict"}, outcomes
    assert done != {"Conflict"}
    assert_same(store, few_other)
    passed(store, few_other)
    assert files(sidecar(store)).keys() == {MANIFEST}
