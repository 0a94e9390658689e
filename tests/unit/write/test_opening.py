"""Proved means opened: what plain xarray does not open is not published, and of a store of others the checks say so."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr
import zarr
from asking import check_request, check_store
from writing import files, request, sidecar
from zarrstream.commands.write import preview, write_dataset
from zarrstream.errors import SourceError
from zarrstream.metadata.strict import Storable

FORMATS = pytest.mark.parametrize("zarr_format", [2, 3])
pytestmark = pytest.mark.filterwarnings("ignore:.*Consolidated", "ignore:.*Zarr format 3", "ignore:.*vlen")


def checked(store: Path, **options: Any) -> dict[str, Any]:
    return {check.id: check for check in check_store(check_request(store=str(store), **options)).checks}


def as_others_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let attributes be stored as they are, as xarray does."""
    template = import_module("zarrstream.write.template")
    monkeypatch.setattr(template, "storable", lambda attrs, *_kind: Storable(dict(attrs)))


def test_a_store_that_would_not_open_is_refused_before_anything_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = xr.Dataset({"a": ("x", np.array([b"ab", b"c"]), {"_FillValue": np.bytes_(b"c")}), "b": ("x", [1, 2])})
    source.to_zarr(tmp_path / "in.zarr", zarr_format=2)
    as_others_write(monkeypatch)
    for act in (preview, write_dataset):
        with pytest.raises(
            SourceError,
            match=r"'a' of .*in.zarr.* not opened by xarray \(.*fill_value.*\).*zarr_format 2, or leave it out: name it in 'exclude'",
        ):
            act(request(tmp_path / "in.zarr", tmp_path / "a.zarr"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.zarr"]
    for way_out in ({"zarr_format": 2}, {"variables": ("b",)}):
        store = tmp_path / f"{len(way_out)}-{next(iter(way_out))}.zarr"
        write_dataset(request(tmp_path / "in.zarr", store, **way_out))
        with xr.open_zarr(store, chunks=None) as opened:
            opened.load()


@pytest.mark.parametrize(
    ("zarr_format", "mode"),
    [
        *((3, "create"), (2, "replace"), (3, "append")),
        *(pytest.param(*each, marks=pytest.mark.thorough) for each in ((2, "create"), (3, "replace"), (2, "append"))),
    ],
)
def test_what_opens_no_more_with_its_chunks_is_not_published(
    tmp_path: Path, zarr_format: int, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening, store = import_module("zarrstream.write.opening"), tmp_path / "a.zarr"
    for number in (0, 1):
        steps = ("time", np.arange(2 * number, 2 * number + 2))
        xr.Dataset({"a": ("time", np.arange(2.0) + number)}, {"time": steps}).to_netcdf(tmp_path / f"{number}.nc")
    options: dict[str, Any] = {"zarr_format": zarr_format, "mode": mode, **({"append_dim": "time"} if mode == "append" else {})}
    if mode != "create":
        write_dataset(request(tmp_path / "0.nc", store, zarr_format=zarr_format))
    before = {key: data for key, data in files(store).items() if not key.rpartition("/")[2][0].isdigit()} if store.exists() else {}
    whole = opening.open_plainly
    asked = []

    def spoilt(tree: Any, get: Any, *, once: bool = False) -> Any:
        found = whole(tree, get, once=once)
        asked.append((get is not None, dict(found.problems)))
        if get is not None:
            found.problems["a"] = "its last element is odd."
        return found

    monkeypatch.setattr(opening, "open_plainly", spoilt)
    with pytest.raises(SourceError, match=r"'a' of .* \(its last element is odd\).*Nothing was published"):
        write_dataset(request(tmp_path / "1.nc", store, **options))
    assert asked == [(False, {}), (True, {})]
    found = files(store) if store.exists() else {}
    assert {key: found[key] for key in before} == before
    assert mode != "create" or not {"zarr.json", ".zgroup", ".zmetadata"} & found.keys()
    monkeypatch.undo()
    write_dataset(request(tmp_path / "1.nc", store, **options))
    assert list(files(sidecar(store))) == ["manifest.json"]


def test_times_that_are_no_dates_are_written_and_said(tmp_path: Path) -> None:
    """They do not decode in the source either: nobody is helped by a refusal, nor by an alarm."""
    source = tmp_path / "a.nc"
    xr.Dataset({"a": ("time", [1.0, 2.0])}, {"time": ("time", [0, 1], {"units": "days since the flood"})}).to_netcdf(source)
    notes = write_dataset(request(source, tmp_path / "a.zarr")).notes
    assert [note.partition(":")[0] for note in notes] == ["'time'"]
    assert "decode_times=False" in notes[0]
    assert checked(tmp_path / "a.zarr")["opens"].status == "warning"
    told = checked(tmp_path / "a.zarr", source=(str(source),))["opens"]
    assert (told.status, "time does not decode" in told.message) == ("passed", True)


@pytest.mark.parametrize("zarr_format", [pytest.param(2, marks=pytest.mark.thorough), 3])
def test_bounds_that_are_no_dates_are_no_ground_for_a_refusal(tmp_path: Path, zarr_format: int) -> None:
    """They have the units of their times, from xarray; before there are values they are NaN, and that is no date of this calendar."""
    units = {"units": "days since 1850-01-01", "calendar": "noleap", "bounds": "edges"}
    for name, first in (("dates", 0.0), ("none", np.nan)):
        edges = ("time", "two"), np.array([[first, 1], [1, 2]])
        source = xr.Dataset({"edges": edges, "a": ("time", [1.0, 2.0])}, {"time": ("time", [0, 1], units)})
        source.to_netcdf(tmp_path / f"{name}.nc", encoding={"edges": {"_FillValue": None}})
        result = write_dataset(request(tmp_path / f"{name}.nc", tmp_path / f"{name}.zarr", zarr_format=zarr_format))
        assert result.notes == []


@pytest.mark.parametrize(
    ("zarr_format", "consolidated"),
    [(3, True), (2, False), *(pytest.param(*each, marks=pytest.mark.thorough) for each in ((3, False), (2, True)))],
)
def test_a_store_of_xarray_is_no_alarm(air: xr.Dataset, tmp_path: Path, zarr_format: int, consolidated: bool) -> None:
    air.drop_vars("code").to_zarr(tmp_path / "a.zarr", zarr_format=zarr_format, consolidated=consolidated)
    air[["air"]].to_zarr(tmp_path / "a.zarr", group="deep/down", mode="a", zarr_format=zarr_format, consolidated=consolidated)
    found = checked(tmp_path / "a.zarr")
    assert (found["opens"].status, found["json"].status) == ("passed", "passed"), found["opens"].message


def test_a_store_of_others_that_does_not_open_is_a_finding(tmp_path: Path) -> None:
    """As zarr-python writes text with the attribute, and as earlier versions of the kit did."""
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=3)
    for name, where in (("good", group), ("bad", group.create_group("deep"))):
        array = where.create_array(
            name, shape=(2,), dtype="S2", dimension_names=["x"], attributes={"_FillValue": "YQ=="} if name == "bad" else {}
        )
        array[:] = np.array([b"ab", b"c"])
    result = checked(tmp_path / "a.zarr")["opens"]
    assert result.status == "failed"
    assert [finding["array"] for finding in result.evidence["findings"]] == ["deep/bad"]


def test_a_scale_that_is_text_is_found_when_values_are_read(tmp_path: Path) -> None:
    xr.Dataset({"a": ("x", np.array([1, 2], "i2"), {"scale_factor": "0.1"})}).to_zarr(tmp_path / "a.zarr")
    result = checked(tmp_path / "a.zarr")["opens"]
    assert (result.status, "a: " in result.message) == ("failed", True)


def test_nothing_is_said_of_what_was_not_made_for_xarray(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "a.zarr").create_array("a", shape=(2,), dtype="i4")[:] = 1
    assert checked(tmp_path / "a.zarr")["opens"].status == "skipped"


@FORMATS
def test_nan_in_a_document_is_no_json(tmp_path: Path, zarr_format: int) -> None:
    xr.Dataset({"a": ("x", [1, 2], {"valid_max": float("inf")})}).to_zarr(tmp_path / "a.zarr", zarr_format=zarr_format)
    result = checked(tmp_path / "a.zarr")["json"]
    named = {2: [".zmetadata", "a/.zattrs"], 3: ["a/zarr.json", "zarr.json"]}[zarr_format]
    assert [finding["key"] for finding in result.evidence["findings"]] == named
    assert (result.status, "Infinity" in result.message) == ("failed", True)


def test_opening_needs_no_dask(tmp_path: Path) -> None:
    xr.Dataset({"a": ("time", [1.0])}, {"time": ("time", [0], {"units": "days since 2020-01-01"})}).to_zarr(tmp_path / "a.zarr")
    program = (
        "import sys; from zarrstream.commands.api import check\n"
        "found = {one.id: one.status for one in check(sys.argv[1]).checks}; print(found['opens'], 'dask.base' in sys.modules)"
    )
    core = str(Path(import_module("zarrstream").__file__ or "").parents[1])
    command = [sys.executable, "-c", program, str(tmp_path / "a.zarr")]
    done = subprocess.run(command, env={"PYTHONPATH": core}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["passed", "False"]


def test_an_attribute_that_is_in_the_way_is_removed(tmp_path: Path) -> None:
    """add_offset is a letter in a file of the compliance checker: xarray opens neither that nor a copy, in no format."""
    with netCDF4.Dataset(tmp_path / "in.nc", "w") as file:
        file.createDimension("x", 3)
        file.createVariable("a", "f4", ("x",))[:] = [1, 2, 3]
        file["a"].add_offset = "c"
    with pytest.raises(SourceError, match=r"'a' of .*If an attribute is in the way, change or remove it: attrs in 'prepare'"):
        write_dataset(request(tmp_path / "in.nc", tmp_path / "a.zarr"))
    write_dataset(request(tmp_path / "in.nc", tmp_path / "a.zarr", prepare=[{"attrs": {"a": {"add_offset": None}}}]))
    with xr.open_zarr(tmp_path / "a.zarr", chunks=None) as found:
        assert found.a.values.tolist() == [1, 2, 3]


@pytest.mark.parametrize(("changed", "status"), [(None, "passed"), ("days since the flood", "warning")])
def test_without_its_consolidated_metadata_a_store_is_opened_where_they_say_something_else(
    tmp_path: Path, changed: str | None, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else xarray would make the same of both."""
    attributes = {"units": "days since 2020-01-01"}
    xr.Dataset({"a": ("time", [1.0])}, {"time": ("time", [0], attributes)}).to_zarr(tmp_path / "a.zarr", zarr_format=2)
    if changed:
        document = tmp_path / "a.zarr/time/.zattrs"
        document.write_text(document.read_text().replace(attributes["units"], changed))
    opened, open_dataset = [], xr.open_dataset

    def noted(*arguments: Any, **options: Any) -> xr.Dataset:
        opened.append((options["consolidated"], options.get("decode_cf", True)))
        return open_dataset(*arguments, **options)

    monkeypatch.setattr(xr, "open_dataset", noted)
    result = checked(tmp_path / "a.zarr")["opens"]
    assert (result.status, {(True, True), (True, False)} <= set(opened)) == (status, True)
    assert ((False, True) in opened) is bool(changed)
