"""What is done to each file before files are joined: names, dimensions, labels, attributes, packing. Proved on what is written."""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr
import yaml
from asking import check_request, check_store, write_request
from netcdf_shapes import GRID, LAT, LON, X, Y, days, field, make, packed
from running import THOROUGH
from zarrstream.commands.write import write_dataset
from zarrstream.errors import BadRequest, SourceError, ZarrstreamError
from zarrstream.source.hdf5_chunks import Chunked
from zarrstream.source.items import find_source
from zarrstream.source.labels import parse_labels, positions
from zarrstream.source.open import open_items
from zarrstream.source.prepare import Preparation, parse_prepare
from zarrstream.source.reading import parse_reading
from zarrstream.storage.folder import FolderObjects

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have a Zarr V3 specification"),
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),
]
ALL: list[dict[str, Any]] = [
    {"rename": {"T2": "t2m", "Time": "time"}},
    {"drop": ["rh"]},
    {"squeeze": ["member"]},
    {"transpose": ["time", "lat", "lon"]},
    {"select": {"time": ["2020-01-01", None], "lat": [40, 42.5], "expver": 1, "name": "0001"}},
    {"attrs": {"t2m": {"units": "K", "old": None, "range": [0, 400]}, "/": {"title": "Zürich"}}},
    {"repack": {"t2m": {"dtype": "int16", "scale_factor": 0.01, "add_offset": 273.15, "_FillValue": -1}, "*": {"_FillValue": "NaN"}}},
]


def written(tmp_path: Path, steps: Any, *, checked: bool = True, **options: Any) -> xr.Dataset:
    """The store of all files there, proved by a check with its source (or by its writer), decoded and loaded."""
    store = tmp_path / "out.zarr"
    sources = sorted(str(path) for path in tmp_path.glob("*.nc"))
    verify = "full" if THOROUGH or not checked else "manifest"  # the check compares every value
    write_dataset(write_request(sources, str(store), prepare=steps, verify=verify, **options))
    if checked:
        report = check_store(check_request(str(store), source=sources, sample="all"))
        assert report.ok, [each for each in report.checks if each.status == "failed"]
        assert {each.id: each.status for each in report.checks}["values"] == "passed"
    with xr.open_zarr(store) as opened:
        return opened.load()


def refused(tmp_path: Path, steps: Any, kind: type[ZarrstreamError] = ZarrstreamError, **options: Any) -> str:
    with pytest.raises(kind) as error:
        written(tmp_path, steps, **options)
    assert not (tmp_path / "out.zarr/zarr.json").exists()
    return str(error.value)


@pytest.mark.parametrize("step", ALL)
def test_the_normal_form_says_the_same(step: Mapping[str, Any]) -> None:
    steps = parse_prepare([step])
    normal = json.loads(json.dumps([each.normal() for each in steps], allow_nan=False))
    assert normal == [step]
    assert parse_prepare(normal) == steps


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ({"drop": ["a"]}, "prepare is {'drop': ['a']}: it is a list of steps"),
        ([{"drop": ["a"], "squeeze": ["b"]}], "prepare[0] is "),
        ([{"drop": ["a"]}, {"renam": {}}], "prepare[1] is 'renam', which is no step. Did you mean 'rename'?"),
        ([{"rename": {"a": "b/c"}}], "prepare[0].rename.a is 'b/c': a name is a text without '/'"),
        ([{"rename": ["a"]}], "prepare[0].rename is ['a']: it is a dictionary of old and new names, such as {T2: t2m}"),
        ([{"drop": []}], "prepare[0].drop is []: it is a list of variables"),
        ([{"transpose": ["a"]}], "prepare[0].transpose is ['a']: name two dimensions or more"),
        ([{"select": {"lat": [1, 2, 3]}}], "prepare[0].select.lat is [1, 2, 3]: a range is a list of its two ends"),
        ([{"select": {"lat": [60, 40]}}], "it begins after its end. Give the lower end first"),
        ([{"select": {"lat": [60, "70"]}}], "its ends are of two kinds"),
        ([{"select": {"lat": True}}], "a label is a number, a date such as 2020-12-31, or a text"),
        ([{"attrs": {"t2m": {"bad": float("nan")}}}], "prepare[0].attrs.t2m.bad is nan: JSON has no NaN and no infinity. Write it as text"),
        ([{"attrs": {"t2m": {"bad": {1, 2}}}}], "an attribute is a text, a number, or a list of these; null removes it"),
        ([{"repack": {"t2m": {"scale": 1}}}], "prepare[0].repack.t2m has 'scale': it is some of dtype, scale_factor"),
        ([{"repack": {"t2m": {"scale_factor": 0}}}], "prepare[0].repack.t2m.scale_factor is 0: it is a number, not 0"),
        ([{"repack": {"t2m": {"units": 3}}}], "prepare[0].repack.t2m.units is 3: it is a text"),
        ([{"repack": {"t2m": {}}}], "prepare[0].repack.t2m is {}: it is a dictionary of some of dtype"),
    ],
)
def test_what_makes_no_sense_is_refused_at_the_door(steps: Any, words: str) -> None:
    with pytest.raises(BadRequest) as error:
        write_request(["a.nc"], "b.zarr", prepare=steps)
    assert words in str(error.value)


def test_dates_of_yaml_are_labels() -> None:
    assert parse_labels([datetime.date(2020, 1, 1), None], "x") == ("2020-01-01", None)


def test_names_dimensions_and_what_refers_to_them(tmp_path: Path) -> None:
    text = {"coordinates": "XLONG XLAT", "cell_methods": "Time: mean", "grid_mapping": "crs: XLAT XLONG", "cell_measures": "area: cells"}
    two = ("south_north", "west_east")
    make(
        tmp_path / "a.nc",
        {"Time": 2, "south_north": Y, "west_east": X},
        {
            "XTIME": ("f8", ("Time",), [0, 60], {"units": "minutes since 2020-01-01"}),
            "XLAT": ("f4", two, np.repeat(LAT[:, None], X, 1), {}),
            "XLONG": ("f4", two, np.broadcast_to(LON, (Y, X)), {}),
            "cells": ("f4", two, 1, {}),
            "crs": ("i4", (), 0, {}),
            "T2": ("f4", ("Time", *two), field(2), text),
        },
        {"coordinates": "XTIME"},
    )
    steps = [
        {"rename": {"Time": "time", "XTIME": "time", "XLAT": "lat", "XLONG": "lon", "south_north": "y", "west_east": "x", "T2": "t2m"}},
        {"drop": ["cells"]},
    ]
    found = written(tmp_path, steps)
    assert found.t2m.dims == ("time", "y", "x")
    assert np.array_equal(found.t2m.values, field(2))
    assert list(found.indexes) == ["time"]
    assert found.time.values[1] == np.datetime64("2020-01-01T01")
    assert {"lat", "lon"} <= set(found.coords)
    attrs = json.loads((tmp_path / "out.zarr/t2m/zarr.json").read_text())["attributes"]
    assert attrs == {"coordinates": "lon lat", "cell_methods": "time: mean", "grid_mapping": "crs: lat lon"}
    assert json.loads((tmp_path / "out.zarr/zarr.json").read_text())["attributes"]["coordinates"] == "time"


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([{"rename": {"lat": "lon"}}], "makes 'lat' and 'lon' two variables of one name, 'lon'"),
        ([{"drop": ["lon"]}, {"rename": {"lat": "lon"}}], "makes 'lat' and 'lon' two dimensions of one name"),
        ([{"drop": ["lat"]}, {"drop": ["lat"]}], "which in "),
        ([{"drop": ["T2"]}], "prepare[0].drop (or exclude) names 'T2', which no file of the source has"),
        ([{"rename": {"t2m": "t"}}, {"attrs": {"t2m": {"a": 1}}}], "prepare[1].attrs names 't2m', which no file"),
        ([{"squeeze": ["lat"]}], "prepare[0].squeeze names 'lat', which has length 4"),
        ([{"drop": ["lat"]}, {"select": {"lat": [40, 41]}}], "a dimension without a coordinate"),
        ([{"select": {"t2m": [1, 2]}}], "which has dimensions ['time', 'lat', 'lon']"),
        ([{"select": {"lat": "40"}}], "are numbers: name numbers, without quotes"),
        ([{"select": {"time": 3}}], "is a time: name dates such as 2020-12-31"),
        ([{"select": {"time": "2020-02-30"}}], "which is no date of this calendar"),
        ([{"select": {"lat": [80, 90]}}], "what is selected is in no file of the source"),
        ([{"attrs": {"time": {"_FillValue": 1.5}}}], "prepare[0].attrs.time._FillValue is 1.5, which is no int32"),
        ([{"repack": {"t2m": {"units": "degC"}}}], "only units of time are converted"),
        ([{"repack": {"t2m": {"dtype": "int8", "_FillValue": -1}}}], "beyond int8"),
        ([{"repack": {"t2m": {"scale_factor": 0.1}}}], "prepare[0].repack.t2m has scale_factor or add_offset but no dtype"),
        ([{"repack": {"time": {"units": "fortnights since 2020-01-01"}}}], "which is no unit of time"),
        (
            [{"repack": {"time": {"units": "days since 2020-01-01 00:00:01"}}}],
            "which is no int32 in 'days since 2020-01-01 00:00:01'. Set finer",
        ),
        ([{"repack": {"time": {"calendar": "noleap"}}}], "dates of the one are not those of the other"),
        ([{"repack": {"time": {"dtype": "int16", "scale_factor": 2}}}], "'time' is a time: give it units and a dtype that need none"),
    ],
)
def test_steps_that_do_not_fit_the_file(tmp_path: Path, steps: Any, words: str) -> None:
    days(tmp_path / "a.nc", [0, 1])
    assert words in refused(tmp_path, steps)


def test_labels_along_times_numbers_and_text(tmp_path: Path) -> None:
    values = field(40)
    grid = {**GRID, "lat": ("f8", ("lat",), LAT[::-1], {"units": "degrees_north"})}
    kind = {"expver": (str, ("time",), np.array(["0001"] * 35 + ["0005"] * 5, object), {})}
    days(tmp_path / "a.nc", range(40), values=values, grid=grid, extra=kind)
    found = written(
        tmp_path, [{"select": {"time": ["2020-01-31", "2020-02"], "lat": [41, 42.5], "lon": 8, "expver": "0001"}}, {"squeeze": "lon"}]
    )
    assert list(found.lat.values) == [42, 41]
    assert found.lon.shape == ()
    assert np.array_equal(found.t2m.values, values[30:35, 1:3, 3])
    assert list(found.time.values[[0, -1]]) == [np.datetime64("2020-01-31"), np.datetime64("2020-02-04")]


@pytest.mark.parametrize(
    ("dtype", "values", "attrs", "labels", "expected"),
    [
        ("f4", [0, 0.1, 0.2, 0.3], {}, [0.1, 0.3], [1, 2, 3]),
        ("f4", [0, 0.1, 0.2, 0.3], {}, 0.3, [3]),
        ("i2", [0, 1, 2, 3], {"scale_factor": 0.1}, [None, 0.3], [0, 1, 2, 3]),
        ("i4", [0, 1, 2, 3], {}, 1.5, []),
        ("i4", [0, 1, 2, 3], {}, [0.5, 2.5], [1, 2]),
        ("f8", [np.nan, 1, np.inf, 3], {}, [1, None], [1, 2, 3]),
        ("f8", [3, 1, 2, 1], {}, 1, [1, 3]),
    ],
)
def test_numbers_are_what_people_write(dtype: str, values: list[float], attrs: dict[str, Any], labels: Any, expected: list[int]) -> None:
    variable = xr.Variable("x", np.asarray(values, dtype), attrs)
    assert positions(variable, "x", parse_labels(labels, "select.x"), "select.x", "a.nc").tolist() == expected


@pytest.mark.parametrize("calendar", ["360_day", *(pytest.param(each, marks=pytest.mark.thorough) for each in ("standard", "noleap"))])
def test_dates_of_each_calendar(tmp_path: Path, calendar: str) -> None:
    days(tmp_path / "a.nc", range(100), time_attrs={"calendar": calendar})
    end = "2020-02-30" if calendar == "360_day" else "2020-02-28T23:59"
    found = written(tmp_path, [{"select": {"time": ["2020-02", end]}}])
    assert (found.time.dt.year.values == 2020).all()
    assert (found.time.dt.month.values == 2).all()
    assert found.sizes["time"] == (30 if calendar == "360_day" else 28)


def test_files_outside_of_what_is_selected_give_nothing(tmp_path: Path) -> None:
    for number in range(3):
        days(tmp_path / f"{number}.nc", [2 * number, 2 * number + 1], seed=number)
    found = written(tmp_path, [{"select": {"time": ["2020-01-02", "2020-01-04"]}}])
    assert np.array_equal(found.t2m.values, np.concatenate([field(2, 0)[1:], field(2, 1)]))


def test_a_store_that_grows_is_prepared_as_it_was(tmp_path: Path) -> None:
    store = str(tmp_path / "out.zarr")
    rh = {"rh": ("f4", ("time", "lat", "lon"), field(2), {"units": "%"})}
    steps = [{"drop": ["rh"]}, {"select": {"lat": [40, 42]}}]
    one, two = days(tmp_path / "a.nc", [0, 1], extra=rh), days(tmp_path / "b.nc", [2, 3], seed=2)
    write_dataset(write_request([str(one)], store, prepare=steps))
    grow = {"mode": "append", "append_dim": "time", "verify": "full"}
    assert write_dataset(write_request([str(one), str(two)], store, **grow)).action == "append"
    assert write_dataset(write_request([str(one), str(two)], store, prepare=steps, **grow)).action == "nothing"
    with xr.open_zarr(store) as found:
        assert set(found.data_vars) == {"t2m"}
        assert np.array_equal(found.t2m.values, np.concatenate([field(2), field(2, 2)])[:, :3])
    assert check_store(check_request(store, source=[str(one), str(two)])).ok


def test_new_files_of_which_nothing_is_selected_let_a_store_grow_by_nothing(tmp_path: Path) -> None:
    store, one, two = str(tmp_path / "out.zarr"), days(tmp_path / "a.nc", [0, 1]), days(tmp_path / "b.nc", [400])
    steps = [{"select": {"time": ["2020", "2020"]}}]
    write_dataset(write_request([str(one)], store, prepare=steps))
    found = write_dataset(write_request([str(one), str(two)], store, mode="append", append_dim="time"))
    assert found.action == "nothing"
    with xr.open_zarr(store) as opened:
        assert opened.sizes["time"] == 2


def test_prepare_belongs_to_what_makes_a_store_another(tmp_path: Path) -> None:
    path, store = str(days(tmp_path / "a.nc", [0, 1])), str(tmp_path / "out.zarr")
    write_dataset(write_request([path], store, prepare=[{"attrs": {"t2m": {"a": 1}}}]))
    assert write_dataset(write_request([path], store, prepare=[{"attrs": {"t2m": {"a": 1}}}])).action == "nothing"
    assert write_dataset(write_request([path], store, prepare=[{"attrs": {"t2m": {"a": 2}}}], mode="replace")).action == "replace"


def test_a_zarr_store_is_prepared_too_and_groups_are_refused(tmp_path: Path) -> None:
    source, store = tmp_path / "in.zarr", str(tmp_path / "out.zarr")
    xr.Dataset({"a": (("x", "member", "y"), np.arange(6.0).reshape(3, 1, 2))}).to_zarr(source, zarr_format=2)
    steps = [{"squeeze": "member"}, {"rename": {"a": "b"}}, {"transpose": ["y", "x"]}, {"repack": {"b": {"dtype": "float32"}}}]
    write_dataset(write_request([str(source)], store, prepare=steps, verify="full"))
    with xr.open_zarr(store) as found:
        assert found.b.dims == ("y", "x")
        assert found.b.dtype == "f4"
        assert np.array_equal(found.b.values, np.arange(6.0).reshape(3, 2).T)
    assert check_store(check_request(store, source=[str(source)])).ok
    days(tmp_path / "g.nc", [0])
    with netCDF4.Dataset(tmp_path / "g.nc", "a") as file:
        file.createGroup("model")
    with pytest.raises(BadRequest, match=r"prepare: source '.*g\.nc' has groups \(model\)"):
        write_dataset(write_request([str(tmp_path / "g.nc")], str(tmp_path / "g.zarr"), prepare=steps))


def test_attributes_are_set_and_removed(tmp_path: Path) -> None:
    days(tmp_path / "a.nc", [0, 1], attrs={"units": "K", "junk": "x", "standard_name": "wrong"})
    changes = {"t2m": {"junk": None, "standard_name": "air_temperature", "missing_value": -999}, "/": {"title": "Zürich ☃", "none": None}}
    found = written(tmp_path, [{"attrs": changes}], mode="create")
    assert found.t2m.attrs == {"units": "K", "standard_name": "air_temperature"}
    assert found.t2m.encoding["missing_value"] == -999
    assert found.attrs == {"title": "Zürich ☃"}


def decoded(path: Path) -> xr.Dataset:
    with xr.open_dataset(path) as opened:
        return opened.load()


def test_files_that_are_packed_otherwise(tmp_path: Path) -> None:
    packed(tmp_path / "a.nc", [0, 1], 0.001, 280.0, 1)
    packed(tmp_path / "b.nc", [2, 3], 0.0013, 284.5, 2)
    both = xr.concat([decoded(tmp_path / name) for name in ("a.nc", "b.nc")], "time")
    how = {"dtype": "int16", "scale_factor": 0.0015, "add_offset": 282.0, "_FillValue": -32767}
    found = written(tmp_path, [{"repack": {"t2m": how}}])
    assert found.t2m.encoding["dtype"] == "int16"
    assert np.array_equal(np.isnan(found.t2m), np.isnan(both.t2m))
    assert float(np.nanmax(np.abs(found.t2m - both.t2m))) <= 0.0015 / 2 * 1.001
    assert "missing_value" not in found.t2m.encoding


def test_all_that_is_packed_becomes_floats(tmp_path: Path) -> None:
    packed(tmp_path / "a.nc", [0, 1], 0.001, 280.0, 1)
    packed(tmp_path / "b.nc", [2, 3], 0.0013, 284.5, 2)
    both = xr.concat([decoded(tmp_path / name) for name in ("a.nc", "b.nc")], "time")
    found = written(tmp_path, [{"repack": {"*": {"dtype": "float32"}}}])
    assert found.t2m.dtype == "f4"
    assert np.array_equal(found.t2m.values, both.t2m.values.astype("f4"), equal_nan=True)


def test_packing_that_a_file_has_already_is_left_alone(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.nc", [0, 1], 0.001, 280.0)
    attrs = {
        "units": "K",
        "scale_factor": 0.001,
        "add_offset": 280.0,
        "_FillValue": np.int16(-32767),
        "valid_range": np.array([-5, 5], "i2"),
    }
    days(path, [0, 1], dtype="i2", values=np.arange(2 * Y * X, dtype="i2").reshape(2, Y, X), attrs=attrs)
    how: dict[str, Any] = {"dtype": "int16", "scale_factor": 0.001, "add_offset": 280.0, "_FillValue": -32767}
    preparation = Preparation(parse_prepare([{"repack": {"t2m": how}}]))
    with xr.open_dataset(path, decode_cf=False) as plain:
        assert preparation.prepared(plain, str(path)).variables["t2m"].attrs["valid_range"].tolist() == [-5, 5]
        twice = Preparation(parse_prepare([{"repack": {"t2m": {**how, "scale_factor": 0.0005}}}])).prepared(plain, str(path))
        assert twice.variables["t2m"].attrs["valid_range"].tolist() == [-10, 10]
        assert twice.variables["t2m"].values.max() == 2 * (2 * Y * X - 1)


def test_units_and_dtypes_of_times(tmp_path: Path) -> None:
    edge = {"bounds": "edges"}
    sizes = {"two": 2}
    days(
        tmp_path / "a.nc", [0], "days since 2020-01-01 00:35:00", time="i8", time_attrs=edge, sizes=sizes,
        extra={"edges": ("i8", ("time", "two"), [[0, 1]], {})},
    )  # fmt: skip
    days(
        tmp_path / "b.nc", [0, 6, 12], "hours since 2020-01-02 00:35:00", time="f4", time_attrs=edge, sizes=sizes,
        extra={"edges": ("f4", ("time", "two"), [[0, 6], [6, 12], [12, 18]], {})},
    )  # fmt: skip
    refused(tmp_path, [{"repack": {"time": {"dtype": "int64"}}}], SourceError)
    found = written(tmp_path, [{"repack": {"time": {"units": "minutes since 2020-01-01", "dtype": "int64"}}}])
    assert [str(time)[:16] for time in found.time.values] == [
        "2020-01-01T00:35",
        "2020-01-02T00:35",
        "2020-01-02T06:35",
        "2020-01-02T12:35",
    ]
    assert found.time.encoding["units"] == "minutes since 2020-01-01"
    assert found.time.encoding["dtype"] == "int64"
    assert str(found.edges.values[-1, -1])[:16] == "2020-01-02T18:35"
    assert "units" not in json.loads((tmp_path / "out.zarr/edges/zarr.json").read_text())["attributes"]


def test_months_become_dates(tmp_path: Path) -> None:
    days(tmp_path / "a.nc", [0, 1], "months since 1990-01-15", seed=1)
    days(tmp_path / "b.nc", [0, 1], "months since 1990-03-15", seed=2)
    found = written(tmp_path, [{"repack": {"time": {"units": "days since 1990-01-01"}}}])
    assert [str(time)[:10] for time in found.time.values] == ["1990-01-15", "1990-02-15", "1990-03-15", "1990-04-15"]


@pytest.mark.parametrize(
    ("times", "units", "dtype", "packing", "words"),
    [
        ([0, 0.5], "months since 1990-01-15", "f8", {"units": "days since 1990-01-01"}, "a part of a month"),
        ([0, 1], "months since 1990-01-31", "i4", {"units": "days since 1990-01-01"}, "its times are no dates"),
        ([0, 1], "months since 1990-01-01", "i4", {"dtype": "int64"}, "which cannot be counted in"),
        ([0, 1.1], "days since 1990-01-01", "f8", {"units": "hours since 1990-01-01", "dtype": "float32"}, "is no float32"),
        ([0, 1], "days since 1500-01-01", "i4", {"calendar": "proleptic_gregorian"}, "before the calendars"),
    ],
)
def test_times_that_have_no_exact_number(
    tmp_path: Path, times: list[float], units: str, dtype: str, packing: dict[str, str], words: str
) -> None:
    days(tmp_path / "a.nc", times, units, time=dtype)
    assert words in refused(tmp_path, [{"repack": {"time": packing}}]).replace("which is no", "is no")


def test_missing_times_stay_missing(tmp_path: Path) -> None:
    days(tmp_path / "a.nc", [0, -9999, 2], time_attrs={"_FillValue": np.int32(-9999)})
    found = written(tmp_path, [{"repack": {"time": {"units": "hours since 2020-01-01", "dtype": "int64", "calendar": "standard"}}}])
    assert np.isnat(found.time.values).tolist() == [False, True, False]
    assert str(found.time.values[2])[:10] == "2020-01-03"


def test_times_of_another_dtype(tmp_path: Path) -> None:  # raadtools 145: float32 until some day, float64 after
    days(tmp_path / "a.nc", [0, 1], time="f4", seed=1)
    days(tmp_path / "b.nc", [2, 3], time="f8", seed=2)
    found = written(tmp_path, [{"repack": {"time": {"dtype": "float64"}}}])
    assert found.time.encoding["dtype"] == "float64"
    assert str(found.time.values[-1])[:10] == "2020-01-04"


def test_a_variable_that_some_files_have(tmp_path: Path) -> None:
    days(tmp_path / "a.nc", [0, 1], seed=1)
    days(tmp_path / "b.nc", [2, 3], seed=2, extra={"rh": ("f4", ("time", "lat", "lon"), field(2), {"units": "%"})})
    assert "'rh'" in refused(tmp_path, [], SourceError)
    assert set(written(tmp_path, [{"drop": "rh"}]).data_vars) == {"t2m"}


def test_dimensions_in_one_order(tmp_path: Path) -> None:
    days(tmp_path / "a.nc", [0, 1], seed=1)
    days(tmp_path / "b.nc", [2, 3], seed=2, dims=("lat", "lon", "time"), values=np.moveaxis(field(2, 2), 0, -1))
    found = written(tmp_path, [{"transpose": ["time", "lat", "lon"]}])
    assert found.t2m.dims == ("time", "lat", "lon")
    assert np.array_equal(found.t2m.values, np.concatenate([field(2, 1), field(2, 2)]))


def test_other_dimensions_keep_their_places(tmp_path: Path) -> None:
    values = np.arange(48.0).reshape(2, 4, 3, 2)
    make(
        tmp_path / "a.nc",
        {"lat": 2, "level": 4, "time": 3, "lon": 2},
        {"a": ("f8", ("lat", "level", "time", "lon"), values, {})},
        zlib=True,
    )
    found = written(tmp_path, [{"transpose": ["time", "lat"]}], chunks={"time": 2, "level": 3})
    assert found.a.dims == ("time", "level", "lat", "lon")
    assert np.array_equal(found.a.values, values.transpose(2, 1, 0, 3))


def test_era5_of_the_old_climate_data_store(tmp_path: Path) -> None:
    """A file with ERA5 and ERA5T, one along ``expver``, and one without."""
    values = np.stack([field(4, 1), field(4, 1)], 1)
    values[2:, 0] = values[:2, 1] = np.nan
    times = {"time": ("i4", ("time",), range(4), {"units": "days since 2020-01-01"}), "expver": ("i4", ("expver",), [1, 5], {}), **GRID}
    t2m = {"t2m": ("f4", ("time", "expver", "lat", "lon"), values, {"units": "K"})}
    make(tmp_path / "a.nc", {"time": 4, "expver": 2, "lat": Y, "lon": X}, {**times, **t2m})
    days(tmp_path / "b.nc", [4, 5], seed=5)
    found = written(tmp_path, [{"select": {"expver": 1}}, {"squeeze": "expver"}, {"drop": "expver"}])
    assert found.t2m.dims == ("time", "lat", "lon")
    assert np.array_equal(found.t2m.values, np.concatenate([values[:, 0], field(2, 5)]), equal_nan=True)


def test_swaths_become_files_of_one_grid(tmp_path: Path) -> None:
    """MODIS: each granule with a dimension for its one band, and other names of dimensions in each version."""
    for number, names in enumerate((("Cell_Along_Swath", "Cell_Across_Swath"), ("nscans", "npixels"))):
        line = np.arange(3) + 3 * number
        make(
            tmp_path / f"{number}.nc",
            {"band": 1, names[0]: 3, names[1]: X},
            {
                "line": ("i4", (names[0],), line, {}),
                "Latitude": ("f4", names, np.broadcast_to(line[:, None], (3, X)), {"units": "degrees_north"}),
                "sst": ("i2", ("band", *names), np.arange(18).reshape(1, 3, X), {"scale_factor": 0.01, "coordinates": "Latitude"}),
            },
        )
    steps = [
        {"squeeze": "band"},
        {"rename": {"Cell_Along_Swath": "line", "nscans": "line", "Cell_Across_Swath": "pixel", "npixels": "pixel", "Latitude": "lat"}},
    ]
    found = written(tmp_path, steps)
    assert found.sst.dims == ("line", "pixel")
    assert found.sst.coords["lat"].values[-1, 0] == 5
    assert found.line.values.tolist() == list(range(6))


@pytest.mark.parametrize("steps", [*ALL[3:4], {"select": {"lat": [40, 42]}}, {"repack": {"t2m": {"dtype": "float64"}}}])
@pytest.mark.parametrize("files", [1, 2])
def test_no_block_is_read_beyond_what_is_asked_for(tmp_path: Path, steps: Any, files: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dims, values = (("lat", "lon", "time"), np.moveaxis(field(50), 0, -1)) if "transpose" in steps else (("time", "lat", "lon"), field(50))
    chunks = {"t2m": tuple(10 if dim == "time" else size for dim, size in zip(dims, values.shape, strict=True))}
    paths = [
        str(days(tmp_path / f"{number}.nc", range(50 * number, 50 * number + 50), dims=dims, values=values, chunks=chunks))
        for number in range(files)
    ]
    asked: list[int] = []
    read = Chunked.read

    def note(self: Chunked, region: Any, library: Any) -> np.ndarray:
        asked.append(math.prod(stop - start for start, stop in region))
        return read(self, region, library)

    monkeypatch.setattr(Chunked, "read", note)
    items = find_source(paths, FolderObjects)
    source = open_items(items, parse_reading({"prepare": [steps]}))
    asked.clear()
    block = source.block("t2m", ((10, 20), *((0, size) for size in source.variables["t2m"].shape[1:])))
    assert block.dims == ("time", "lat", "lon")
    assert asked == [block.size]
    source.close()


def test_what_is_excluded_is_dropped_last(tmp_path: Path) -> None:
    days(
        tmp_path / "a.nc",
        [0, 1],
        extra={"expver": (str, ("time",), np.array(["0001"] * 2, object), {})},
        attrs={"coordinates": "expver lat"},
    )
    found = written(tmp_path, [{"rename": {"expver": "version"}}], exclude=["version"])
    assert set(found.variables) == {"t2m", "time", "lat", "lon"}
    assert write_request(["a"], "b.zarr", exclude=["a"]).identity() == write_request(["a"], "b.zarr", prepare=[{"drop": "a"}]).identity()
    with pytest.raises(BadRequest, match=r"drop \(or exclude\) names 'nothing', which no file of the source has"):
        write_dataset(write_request([str(tmp_path / "a.nc")], str(tmp_path / "b.zarr"), exclude=["nothing"]))


def test_variables_of_groups_are_excluded_by_path(tmp_path: Path) -> None:
    path = days(tmp_path / "a.nc", [0, 1])
    xr.Dataset({"air": ("x", [1, 2]), "sea": ("x", [3, 4])}).to_netcdf(path, "a", group="model")
    store = tmp_path / "out.zarr"
    write_dataset(write_request([str(path)], str(store), exclude=["model/air", "t2m"]))
    assert sorted(each.parent.name for each in store.glob("*/*/zarr.json")) == ["sea"]
    assert not (store / "t2m").exists()
    assert check_store(check_request(str(store), source=[str(path)])).ok


@pytest.mark.parametrize(
    "case", ["packing", "drift", "some", *(pytest.param(each, marks=pytest.mark.thorough) for each in ("months", "order", "types"))]
)
def test_what_a_refusal_says_makes_a_store(tmp_path: Path, case: str) -> None:
    a, b = tmp_path / "a.nc", tmp_path / "b.nc"
    if case == "packing":
        packed(a, [0, 1], 0.001, 280.0)
        packed(b, [2, 3], 0.0013, 284.5)
    elif case in ("months", "drift"):
        since = (
            ("months since 1990-01-01", "months since 1990-03-01")
            if case == "months"
            else ("days since 2020-01-01", "hours since 2020-01-02")
        )
        days(a, [0], since[0], time="i8")
        days(b, [6, 12], since[1], time="i8")
    elif case == "order":
        days(a, [0, 1])
        days(b, [2, 3], dims=("lat", "lon", "time"), values=np.moveaxis(field(2), 0, -1))
    elif case == "types":
        days(a, [0, 1], dtype="f4")
        days(b, [2, 3], dtype="f8")
    else:
        days(a, [0, 1])
        days(b, [2, 3], extra={"rh": ("f4", ("time", "lat", "lon"), field(2), {"units": "%"})})
    said = refused(tmp_path, [], SourceError)
    assert str(a) in said
    assert str(b) in said
    way = re.search(r"(prepare|exclude) (\[.*?\])(?=[.,;]|$)", said)
    assert way, said
    written(
        tmp_path,
        **{"steps": [], "mode": "create", way[1]: yaml.safe_load(way[2])} if way[1] == "exclude" else {"steps": yaml.safe_load(way[2])},
    )
