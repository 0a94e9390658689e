"""What numbers mean, where a store grows: the same words and synonyms as across files, and ways out that lead to a written store."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import netCDF4
import numpy as np
import pytest
import xarray as xr
from writing import decoded, files, passed, raw, request
from zarrstream.commands.write import preview, write_dataset
from zarrstream.errors import SourceError
from zarrstream.write.result import WriteResult

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have a Zarr V3 specification"),
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),
]
Format = Literal[2, 3]


def file(path: Path, start: int, stop: int, attrs: dict[str, dict[str, Any]], **values: Any) -> Path:
    """Steps of a field; ``attrs`` are by variable, and those of the file by ''."""
    steps = np.arange(start, stop, dtype="i4")
    made = xr.Dataset(
        {
            "a": (("time", "x"), values.get("a", np.repeat(steps, 3).reshape(-1, 3).astype("f4"))),
            "crs": ((), np.int32(0), {"grid_mapping_name": "geostationary"}),
            "orog": ("x", np.array(values.get("orog", [1.0, 2.0, 3.0]))),
        },
        {"time": ("time", steps, {"units": "days since 2020-01-01"}), "x": np.arange(3)},
        attrs.get("", {}),
    )
    for name in made.variables:
        made[name].attrs.update(attrs.get(str(name), {}))
    made.a.attrs.setdefault("grid_mapping", "crs")
    path = path / f"{start}-{stop}.nc"
    made.to_netcdf(
        path, engine="netcdf4", encoding={name: {"_FillValue": None} for name in made.variables if "_FillValue" not in made[name].attrs}
    )
    return path


def append(source: Path, store: Path, zarr_format: Format = 3, *differing: str) -> WriteResult:
    combine = {"differing": list(differing)} if differing else None
    return write_dataset(request(source, store, zarr_format=zarr_format, mode="append", append_dim="time", combine=combine))


SAME_MEANING: list[tuple[Any, Any]] = [
    ({"time": {"calendar": "gregorian"}}, {"time": {"calendar": "standard"}}),
    ({"time": {"calendar": "noleap"}}, {"time": {"calendar": "365_day"}}),
    ({"time": {"calendar": "gregorian"}}, {"time": {"calendar": "proleptic_gregorian", "units": "days since 2020-1-1 00:00"}}),
    ({"a": {"units": "m s-1"}}, {"a": {"units": "m/s"}}),
    ({"a": {"missing_value": 1e20}}, {"a": {"_FillValue": np.float32(1e20)}}),
    ({"a": {"_FillValue": np.float32(np.nan)}}, {}),
    ({"a": {"valid_range": np.array([0, 9], "f8")}}, {"a": {"valid_range": np.array([0, 9], "f4")}}),
]
LIKE_ANOTHER = (0, 1, 6)  # two more names of calendars, and an attribute in another type: compared where the others are


@pytest.mark.parametrize(
    ("zarr_format", "one", "other"),
    [
        pytest.param(zarr_format, *each, marks=[] if zarr_format == 2 + number % 2 and number not in LIKE_ANOTHER else pytest.mark.thorough)
        for number, each in enumerate(SAME_MEANING)
        for zarr_format in (2, 3)
    ],
)
def test_other_words_of_the_same_meaning_are_appended(tmp_path: Path, zarr_format: Format, one: Any, other: Any) -> None:
    store, first = tmp_path / "a.zarr", file(tmp_path, 0, 2, one)
    write_dataset(request(first, store, zarr_format=zarr_format, chunks={"time": 1}))
    before = raw(store, "zarr")
    append(file(tmp_path, 2, 4, other), store, zarr_format)
    found = raw(store, "zarr")
    assert [str(variable.attrs) for variable in found.variables.values()] == [str(variable.attrs) for variable in before.variables.values()]
    assert found.a.values[:, 0].tolist() == found.time.values.tolist() == [0, 1, 2, 3]
    passed(store, tmp_path / "*.nc")


@pytest.mark.parametrize(
    ("one", "other", "words", "allowed"),
    [
        (
            {"a": {"cell_methods": "time: mean"}},
            {"a": {"cell_methods": "time: maximum"}},
            "'a' has cell_methods 'time: maximum'",
            "cell_methods",
        ),
        pytest.param(
            *({"a": {"_FillValue": np.float32(1e20)}}, {"a": {"_FillValue": np.float32(9e36)}}, "'a' has _FillValue", "a:_FillValue"),
            marks=pytest.mark.thorough,
        ),
        ({"crs": {"lon0": -89.5}}, {"crs": {"lon0": -75.0}}, r"'crs' has lon0 '-75\.0'", "crs:lon0"),
        pytest.param(
            {"x": {"positive": "down"}}, {"x": {"positive": "up"}}, "'x' has positive 'up'", "positive", marks=pytest.mark.thorough
        ),
        ({}, {"orog": [1.0, 2.5, 3.0]}, r"'orog' has other values", "orog"),
    ],
)
def test_contradictions_are_refused_or_allowed_by_name(tmp_path: Path, one: Any, other: Any, words: str, allowed: str) -> None:
    values = {"orog": other["orog"]} if isinstance(other.get("orog"), list) else {}
    store = tmp_path / "a.zarr"
    write_dataset(request(file(tmp_path, 0, 2, one), store, chunks={"time": 1}))
    later, old = file(tmp_path, 2, 4, {} if values else other, **values), raw(store, "zarr")
    before = files(tmp_path)
    with pytest.raises(SourceError, match=f"{words}.*in {later}.*store '{store}'.*'{allowed}'.*combine.differing"):
        append(later, store)
    assert files(tmp_path) == before
    assert append(later, store, 3, allowed).action == "append"
    found = raw(store, "zarr")
    assert found.time.values.tolist() == [0, 1, 2, 3]
    xr.testing.assert_identical(found.drop_dims("time"), old.drop_dims("time"))
    assert str(found.a.attrs) == str(old.a.attrs)
    assert append(later, store, 3).action == "nothing"  # the store remembers what may differ
    passed(store, tmp_path / "*.nc")
    third = file(tmp_path, 4, 5, {} if values else other, **values)
    assert append(third, store, 3).action == "append"


def test_what_differs_besides_is_told(tmp_path: Path) -> None:
    store = tmp_path / "a.zarr"
    attrs = [{"title": title, "history": title, "time_coverage_end": title} for title in ("June", "July")]
    write_dataset(request(file(tmp_path, 0, 2, {"": attrs[0]}), store))
    later = file(tmp_path, 2, 4, {"": attrs[1], "a": {"long_name": "wind"}})
    asked = request(later, store, mode="append", append_dim="time")
    told = preview(asked).notes
    assert write_dataset(asked).notes == told
    assert sorted(note.split("'")[1] for note in told) == ["a:long_name", "time_coverage_end", "title"]
    assert raw(store, "zarr").attrs == attrs[0]
    passed(store, tmp_path / "*.nc")


def test_a_correction_is_written_by_the_ways_out(tmp_path: Path) -> None:
    store, first = tmp_path / "a.zarr", file(tmp_path, 0, 3, {})
    write_dataset(request(first, store))
    later = file(tmp_path, 2, 4, {}, a=np.full((2, 3), 7, "f4"))
    words = r"at \[2:3, 0:3\].*Leave these steps of 'time' out; or, if .* with mode replace and combine\.overlap last"
    with pytest.raises(SourceError, match=words):
        append(later, store)
    cut = tmp_path / "cut.nc"
    decoded(later, "netcdf4").isel(time=[1]).to_netcdf(
        cut, encoding={"a": {"_FillValue": None}, "time": {"dtype": "i4", "units": "days since 2020-01-01"}}
    )
    append(cut, store)
    assert raw(store, "zarr").a.values[:, 0].tolist() == [0, 1, 2, 7]
    all_of_them = (str(first), str(later))
    write_dataset(request(all_of_them, store, mode="replace", combine={"overlap": "last"}))
    assert raw(store, "zarr").a.values[:, 0].tolist() == [0, 1, 7, 7]


def test_longer_texts_of_a_fixed_width_are_written_by_the_way_out(tmp_path: Path) -> None:
    names = ["ab", "a much longer name"]
    for step, name in enumerate(names):
        with netCDF4.Dataset(tmp_path / f"{step}.nc", "w") as made:
            made.createDimension("time", 1)
            made.createDimension(f"len{len(name)}", len(name))
            made.createVariable("time", "i4", ("time",))[:] = [step]
            made.createVariable("station", "S1", ("time", f"len{len(name)}"))[:] = netCDF4.stringtochar(np.array([name], f"S{len(name)}"))
    store = tmp_path / "a.zarr"
    write_dataset(request(tmp_path / "0.nc", store))
    with pytest.raises(
        SourceError, match=r"'station' has texts of 18 characters .* of 2 in store .* again from all its files with mode replace"
    ):
        append(tmp_path / "1.nc", store)
    write_dataset(request(tmp_path / "*.nc", store, mode="replace"))
    assert [text.decode() for text in raw(store, "zarr").station.values.tolist()] == names
    passed(store, tmp_path / "*.nc")


def test_a_variable_that_the_store_lacks_is_dropped_as_the_refusal_says(tmp_path: Path) -> None:
    store, later = tmp_path / "a.zarr", file(tmp_path, 2, 4, {})
    write_dataset(request(file(tmp_path, 0, 2, {}), store, prepare=[{"drop": "orog"}]))
    assert "orog" not in raw(store, "zarr")
    bare = tmp_path / "bare.zarr"
    write_dataset(request(file(tmp_path, 0, 2, {}), bare, variables=["a"]))
    for each in (store, bare):  # what was left out of the store is left out of what comes
        append(later, each)
        assert raw(each, "zarr").time.values.tolist() == [0, 1, 2, 3]


def test_grids_that_are_apart_by_rounding_are_appended_as_the_refusal_says(tmp_path: Path) -> None:
    paths = []
    for step, lat in enumerate(([0.1, 0.2, 0.3], [0.1, np.nextafter(0.2, 1), 0.3])):
        made = xr.Dataset({"a": (("time", "lat"), np.full((1, 3), step))}, {"time": [step], "lat": np.array(lat)})
        paths.append(tmp_path / f"{step}.nc")
        made.to_netcdf(paths[-1], engine="netcdf4", encoding={"lat": {"_FillValue": None}})
    store = tmp_path / "a.zarr"
    write_dataset(request(paths[0], store, combine={"tolerance": 1e-12}))
    append(paths[1], store)  # as the store has it
    write_dataset(request(paths[0], tmp_path / "b.zarr"))
    with pytest.raises(SourceError, match=r"'lat' has other values .* apart by up to 2\.8e-17: if that is rounding, allow it with combine"):
        append(paths[1], tmp_path / "b.zarr")
    write_dataset(request(paths[1], tmp_path / "b.zarr", mode="append", append_dim="time", combine={"tolerance": 1e-12}))
    for each in (store, tmp_path / "b.zarr"):
        assert raw(each, "zarr").a.values[:, 0].tolist() == [0, 1]
        passed(each, tmp_path / "*.nc")
