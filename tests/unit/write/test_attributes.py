"""Attributes that a store cannot have as the source has them: what they become, what the result says, and that readers decode the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr
from writing import files, passed, request
from zarrstream.commands.write import preview, write_dataset
from zarrstream.errors import SourceError
from zarrstream.metadata.hierarchy import is_document
from zarrstream.metadata.strict import strict_problem

FORMATS = pytest.mark.parametrize("zarr_format", [2, 3])
# The other format has the same lines of code.
FORMAT_2 = pytest.mark.parametrize("zarr_format", [2, pytest.param(3, marks=pytest.mark.thorough)])
FORMAT_3 = pytest.mark.parametrize("zarr_format", [pytest.param(2, marks=pytest.mark.thorough), 3])
DAYS = "days since 2020-01-01"


def make(path: Path, variables: dict[str, tuple], attrs: dict[str, Any] | None = None, kind: Any = "NETCDF4", first: int = 0) -> Path:
    """A file along ``time``, of variables by name: dtype, dimensions, values, attributes."""
    with netCDF4.Dataset(path, "w", format=kind) as file:
        for name, size in {"time": None, "x": 3, "letters": 4}.items():
            file.createDimension(name, size)
        time = ("i4", ("time",), [first, first + 1], {"units": DAYS})
        for name, (dtype, dims, values, own) in {"time": time, **variables}.items():
            variable = file.createVariable(name, dtype, dims, fill_value=own.pop("_FillValue", None))
            variable.set_auto_maskandscale(False)
            variable[...] = values
            variable.setncatts(own)
        file.setncatts(attrs or {})
    return path


def documents(store: Path) -> Iterator[tuple[str, bytes]]:
    return ((key, data) for key, data in files(store).items() if is_document(key))


def written(source: Path, store: Path, **options: Any) -> tuple[list[str], xr.Dataset]:
    """What the result says, and what a plain reader finds; the documents are strict JSON, and the checks are content."""
    wanted = request(source, store, **options)
    planned, result = preview(wanted), write_dataset(wanted)
    assert planned.notes == result.notes
    assert all(f"note: {note}" in result.diff()["after"] for note in result.notes)
    assert not [(key, problem) for key, data in documents(store) if (problem := strict_problem(data))]
    passed(store, source)
    assert write_dataset(wanted).notes == []
    with xr.open_dataset(store, engine="zarr", chunks=None) as found:
        return result.notes, found.load()


@FORMAT_3
def test_nan_in_attributes_is_a_word_and_means_the_same(tmp_path: Path, zarr_format: int) -> None:
    nan = np.float32("nan")
    attrs = {"_FillValue": nan, "missing_value": nan, "valid_range": np.array([-np.inf, np.inf], "f4"), "units": "K"}
    source = make(tmp_path / "a.nc", {"t": ("f4", ("time",), [nan, 1], attrs)}, {"lowest": np.nan})
    notes, found = written(source, tmp_path / "a.zarr", zarr_format=zarr_format)
    assert [note.partition(" ")[0] for note in notes] == ["data", "'t':", "'t':"]
    assert found.attrs == {"lowest": "NaN"}
    assert found.t.attrs == {"units": "K", "valid_range": ["-Infinity", "Infinity"]}
    np.testing.assert_array_equal(found.t, [nan, 1])


@FORMAT_2
def test_an_infinite_missing_value_stays_missing(tmp_path: Path, zarr_format: int) -> None:
    source = make(tmp_path / "a.nc", {"t": ("f4", ("time",), [np.inf, 1], {"missing_value": np.float32("inf")})})
    notes, found = written(source, tmp_path / "a.zarr", zarr_format=zarr_format)
    assert "stored as '_FillValue'" in notes[0]
    np.testing.assert_array_equal(found.t, [np.nan, 1])


def test_a_scale_that_is_no_number_is_refused_and_can_be_unpacked(tmp_path: Path) -> None:
    source = make(tmp_path / "a.nc", {"t": ("i2", ("time",), [1, 2], {"scale_factor": np.nan})})
    with pytest.raises(SourceError, match=r"scale_factor is NaN.* of 't'.*encoding.t.dtype to float64"):
        preview(request(source, tmp_path / "a.zarr"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.nc"]
    write_dataset(request(source, tmp_path / "a.zarr", encoding={"t": {"dtype": "float64"}}))
    with xr.open_zarr(tmp_path / "a.zarr", chunks=None) as found:
        assert np.isnan(found.t).all()


@FORMAT_2
def test_latin_1_becomes_text(tmp_path: Path, zarr_format: int) -> None:
    source = make(tmp_path / "a.nc", {"t": ("f4", ("time",), [1, 2], {"units": "xxC", "ok": "°☃"})}, {"title": "xxK"}, "NETCDF3_CLASSIC")
    source.write_bytes(source.read_bytes().replace(b"xxC", b"\xb0.C").replace(b"xxK", b"\xc5ke"))
    notes, found = written(source, tmp_path / "a.zarr", zarr_format=zarr_format)
    assert notes == ["data set: attribute 'title' is no UTF-8: read as Latin-1", "'t': attribute 'units' is no UTF-8: read as Latin-1"]
    assert (found.t.attrs["units"], found.t.attrs["ok"], found.attrs["title"]) == ("°.C", "°☃", "Åke")


def test_latin_1_of_the_first_of_several_files_and_of_hdf5_becomes_text(tmp_path: Path) -> None:
    for number in (0, 2):
        path = make(tmp_path / f"{number}.nc", {"t": ("f4", ("time",), [1, 2], {})}, first=number)
        with h5py.File(path, "a") as file:
            file["t"].attrs["units"] = np.bytes_(b"\xb0C")
            file.attrs["title"] = np.bytes_(b"\xc5ke")
    result = write_dataset(request(tmp_path / "*.nc", tmp_path / "a.zarr"))
    assert result.notes == [
        "data set: attribute 'title' is no UTF-8: read as Latin-1",
        "'t': attribute 'units' is no UTF-8: read as Latin-1",
    ]
    with xr.open_zarr(tmp_path / "a.zarr", chunks=None) as found:
        assert (found.t.attrs["units"], found.attrs["title"], found.sizes["time"]) == ("°C", "Åke", 4)


def test_a_true_replacement_character_is_left_alone(tmp_path: Path) -> None:
    source = make(tmp_path / "a.nc", {"t": ("f4", ("time",), [1, 2], {"units": "\ufffdC"})})
    notes, found = written(source, tmp_path / "a.zarr")
    assert (notes, found.t.attrs["units"]) == ([], "\ufffdC")


@FORMATS
def test_text_with_a_fill_value_opens(tmp_path: Path, zarr_format: int) -> None:
    letters = netCDF4.stringtochar(np.array(["ab", "c"], "S4"))
    variables = {
        "code": ("S1", ("time", "letters"), letters, {"_FillValue": b"?"}),
        "letter": ("S1", ("time",), np.array([b"a", b"b"]), {"_FillValue": b"\0"}),
        "name": (str, ("time",), np.array(["a", "none"], object), {"_FillValue": "none"}),
    }
    notes, found = written(make(tmp_path / "a.nc", variables), tmp_path / "a.zarr", zarr_format=zarr_format)
    assert len(notes) == (3 if zarr_format == 3 else 0)
    assert found.code.values.tolist() == [b"ab", b"c"]
    assert found.letter.values.tolist() == [b"a", b"b"]
    assert found.name.values.tolist()[0] == "a"
    assert found.name.isnull().values.tolist() == [False, True]
    if zarr_format == 3:
        stored = {name: json.loads(files(tmp_path / "a.zarr")[f"{name}/zarr.json"]) for name in variables}
        assert [stored[name]["fill_value"] for name in variables] == ["Pw==", "AA==", "none"]


@FORMAT_3
def test_attributes_of_all_types_arrive(tmp_path: Path, zarr_format: int) -> None:
    attrs = {
        "i1": np.int8(-1), "u8": np.uint64(2**64 - 1), "i8": np.int64(-(2**63)), "f4": np.float32(0.1), "list": np.array([1, 2], "i2"),
        "empty": "", "strings": ["a", "b"], "none": np.array([], "f8"), "dtype": "int16", "chunks": np.array([1, 2], "i4"),
        "zarr_format": np.int32(1),
    }  # fmt: skip
    source = make(tmp_path / "a.nc", {"t": ("f4", ("time",), [1, 2], dict(attrs))}, {"title": "Zürich ☃"})
    notes, found = written(source, tmp_path / "a.zarr", zarr_format=zarr_format)
    assert not notes
    assert {name: np.asarray(value).tolist() for name, value in attrs.items()} == found.t.attrs
    assert found.attrs == {"title": "Zürich ☃"}


def test_bools_of_hdf5_arrive_with_their_names(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["mask"] = np.array([True, False])
        file["mask"].attrs["ok"] = True
    notes, found = written(tmp_path / "a.h5", tmp_path / "a.zarr")
    assert (notes, found.mask.values.tolist()) == ([], [1, 0])
    assert found.mask.attrs == {"ok": 1, "flag_values": [0, 1], "flag_meanings": "FALSE TRUE"}


@FORMATS
def test_a_store_with_nan_of_an_earlier_version_grows(tmp_path: Path, zarr_format: int) -> None:
    """It has NaN in its documents, as JSON has not."""
    attrs = {"missing_value": np.float32("nan"), "_FillValue": np.float32("nan")}
    for number in (0, 2):
        make(tmp_path / f"{number}.nc", {"t": ("f4", ("time",), [1, 2], dict(attrs))}, first=number)
    store = tmp_path / "a.zarr"
    write_dataset(request(tmp_path / "0.nc", store, zarr_format=zarr_format))
    _as_it_was(store, zarr_format)
    write_dataset(request(tmp_path / "*.nc", store, zarr_format=zarr_format, mode="append", append_dim="time"))
    with xr.open_zarr(store, chunks=None) as found:
        assert found.sizes["time"] == 4


def _as_it_was(store: Path, zarr_format: int) -> None:
    """Put a NaN back into the documents, and into the manifest's record of them."""
    import hashlib

    beside = Path(f"{store}.zarrstream/manifest.json")
    manifest = json.loads(beside.read_text())
    for key, data in documents(store):
        document = json.loads(data)
        for holder in _holders(document, key):
            holder["missing_value"] = float("nan")
        (store / key).write_text(json.dumps(document))
        changed = (store / key).read_bytes()
        manifest["objects"][key] = _like(manifest["objects"][key], len(changed), hashlib.md5(changed).hexdigest())
    beside.write_text(json.dumps(manifest))


def _holders(document: dict, key: str) -> list[dict]:
    if key == "t/.zattrs":
        return [document]
    if key == ".zmetadata":
        return [document["metadata"]["t/.zattrs"]]
    nodes = [document] if key == "t/zarr.json" else []
    nodes += [document["consolidated_metadata"]["metadata"]["t"]] if key == "zarr.json" else []
    return [node["attributes"] for node in nodes]


def _like(entry: Any, size: int, md5: str) -> Any:
    return {**entry, "size": size, "md5": md5} if isinstance(entry, dict) else [size, md5]
