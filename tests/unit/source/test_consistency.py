"""What numbers mean is compared across files: what is equal in other words is joined, what contradicts is refused with the way out."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr
from zarrstream.errors import SourceError
from zarrstream.metadata.meaning import contradictions
from zarrstream.metadata.units import calendar_of, same_units
from zarrstream.source.combine import combine_files
from zarrstream.source.consistency import check_consistent
from zarrstream.source.joins import Combine
from zarrstream.source.local_file import SourceFile
from zarrstream.source.reading import Reading

NAN = np.float32(np.nan)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *[("m s-1", other) for other in ("m/s", "m s**-1", "m.s^-1", "meters second-1", "m s⁻¹", " m  s-1 ", "s-1 m")],
        *[("W m-2", other) for other in ("W/m2", "W/m^2", "watt / meter²")],
        *[("degrees_north", other) for other in ("degree_north", "degreesN", "degree_N")],
        *[("degC", other) for other in ("°C", "celsius", "degrees_Celsius")],
        *[("1", other) for other in ("", None, "kg kg-1", "m0")],
        ("kg/m2/s", "kg m-2 s-1"),
        ("umol/kg", "umol kg-1"),
        ("hPa", "millibar"),
        ("% of the day", "%  of the day"),
    ],
)
def test_units_that_mean_the_same(one: str | None, other: str | None) -> None:
    assert same_units(one, other)
    assert same_units(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *[
            ("K", "degC"),
            ("m", "mm"),
            ("s", "S"),
            ("m", "m-1"),
            ("Pa", "hPa"),
            ("degrees", "degrees_north"),
            ("degrees_east", "degrees_north"),
        ],
        *[("1000 kg", "kg"), ("12", "1"), ("1e3", "1"), ("H2O", "H2 O"), ("m-s", "m s"), ("m s - 1", "m s-1"), ("(0 - 1)", "(0-1)")],
        *[("a per b", "b per a"), ("level number", "number level"), ("m2.5", "m2 5"), ("kg kg-1", "g kg-1"), (None, "K"), ("m/", "m")],
    ],
)
def test_units_that_may_mean_something_else(one: str | None, other: str) -> None:
    assert not same_units(one, other)


def test_calendars_that_mean_the_same() -> None:
    assert [calendar_of(name) for name in ("gregorian", "Standard", None)] == ["standard"] * 3
    assert calendar_of("noleap") == calendar_of("365_day")
    assert calendar_of("all_leap") == calendar_of("366_day")
    assert len({calendar_of(name) for name in ("standard", "proleptic_gregorian", "julian", "noleap", "all_leap", "360_day")}) == 6


@pytest.mark.parametrize(
    ("dtype", "one", "other"),
    [
        ("f4", {"_FillValue": 1e20}, {"_FillValue": np.float32(1e20)}),
        ("f4", {"_FillValue": NAN}, {}),
        ("i2", {"missing_value": -9999.0}, {"missing_value": np.int16(-9999)}),
        ("i2", {"_FillValue": np.int16(-1)}, {"_FillValue": np.int16(-1), "missing_value": np.array([-1], "i2")}),
        ("i2", {"scale_factor": 0.5}, {"scale_factor": np.float32(0.5)}),
        ("i2", {"flag_values": np.array([0, 1], "i1")}, {"flag_values": np.array([0, 1], "i4")}),
        ("f4", {"valid_range": np.array([0, 1], "f8")}, {"valid_range": np.array([0, 1], "f4")}),
        ("f4", {"coordinates": "lat lon"}, {"coordinates": "lon  lat"}),
        ("f4", {"formula_terms": "a: x b: y"}, {"formula_terms": "b: y a: x"}),
        ("f4", {"positive": "down"}, {"positive": "Down"}),
        ("f4", {"cell_methods": "time: mean"}, {"cell_methods": "time:  mean "}),
        ("f4", {"standard_name": "air_temperature", "axis": "T"}, {}),
        ("f4", {"long_name": "a"}, {"long_name": "b"}),
        ("i4", {"units": "days since 2000-01-01"}, {"units": "days since 2000-01-01", "calendar": "gregorian"}),
    ],
)
def test_attributes_that_say_the_same(dtype: str, one: dict[str, Any], other: dict[str, Any]) -> None:
    assert not list(contradictions(one, other, np.dtype(dtype)))
    assert not list(contradictions(other, one, np.dtype(dtype)))


@pytest.mark.parametrize(
    ("dtype", "name", "one", "other"),
    [
        ("f4", "_FillValue", 1e20, 9e36),
        ("i2", "_FillValue", np.int16(-1), None),
        ("i2", "missing_value", np.array([-1, -2], "i2"), np.array([-1, -3], "i2")),
        ("i2", "scale_factor", 0.01, np.float32(0.01)),
        ("i2", "scale_factor", 0.01, None),
        ("f4", "valid_max", 1.0, 2.0),
        ("i1", "flag_meanings", "sea land", "land sea"),
        ("i1", "flag_values", np.array([0, 1]), np.array([1, 0])),
        ("f4", "cell_methods", "time: mean", "time: maximum"),
        ("f4", "positive", "down", "up"),
        ("f4", "standard_name", "air_temperature", "dew_point_temperature"),
        ("f4", "formula_terms", "a: x b: y", "a: y b: x"),
        ("f4", "coordinates", "lat lon", "lat_u lon"),
        ("f4", "units", "K", "degC"),
        ("i1", "_Unsigned", "true", None),
    ],
)
def test_attributes_that_contradict(dtype: str, name: str, one: Any, other: Any) -> None:
    pair = [{} if value is None else {name: value} for value in (one, other)]
    (found,) = contradictions(*pair, np.dtype(dtype))
    assert found.attribute == name
    assert [found.allowed("v", {allowed}) for allowed in (name, f"v:{name}", f"w:{name}", "v")] == [True, True, False, False]
    assert len(list(contradictions(*reversed(pair), np.dtype(dtype)))) == 1


def file(path: Path, step: int, *, calendar: str | None = None, units: str = "days since 2020-01-01", **attrs: Any) -> str:
    """One step; ``attrs`` are by variable: of ``tas``, ``depth`` (2.0), ``crs``, ``orog`` and those of the file, ``root``."""
    time = {"units": units} | ({} if calendar is None else {"calendar": calendar})
    variables: dict[str, Any] = {
        "tas": (("time", "x"), np.full((1, 3), step, "f4"), {"grid_mapping": "crs", **attrs.get("tas", {})}),
        "depth": ((), attrs.get("value", 2.0), attrs.get("depth", {})),
        "crs": ((), np.int32(0), {"grid_mapping_name": "geostationary", **attrs.get("crs", {})}),
        "orog": ("x", np.asarray(attrs.get("orog", [1.0, -0.0, np.nan]))),
    }
    coords = {"time": ("time", np.array([step], "i4"), time), "x": np.arange(3)}
    made = xr.Dataset(variables, coords, attrs.get("root", {}))
    path = path / f"{step}.nc"
    made.to_netcdf(path, engine="netcdf4", encoding={name: {"_FillValue": None} for name in made.variables})
    return str(path)


def joined(paths: list[str], *differing: str, notes: list[str] | None = None) -> xr.Dataset:
    with combine_files([SourceFile.look(path) for path in paths], Reading(Combine(differing=frozenset(differing))), notes) as found:
        return found.load()


@pytest.mark.parametrize(
    ("one", "other", "words", "allowed"),
    [
        (
            {"tas": {"cell_methods": "time: mean"}},
            {"tas": {"cell_methods": "time: maximum"}},
            "'tas' has cell_methods 'time: mean'",
            "cell_methods",
        ),
        ({"depth": {"positive": "down"}}, {"depth": {"positive": "up"}}, "'depth' has positive 'down'", "depth:positive"),
        (
            {"crs": {"longitude_of_projection_origin": -89.5}},
            {"crs": {"longitude_of_projection_origin": -75.0}},
            "'crs' has longitude_of_projection_origin '-89.5'",
            "longitude_of_projection_origin",
        ),
        ({}, {"crs": {"sweep_angle_axis": "x"}}, "'crs' has sweep_angle_axis none", "crs:sweep_angle_axis"),
        ({}, {"value": 10.0}, "'depth' differs between", "depth"),
        ({}, {"orog": [1.0, 0.0, 7.0]}, "'orog' differs between", "orog"),
    ],
)
def test_files_that_contradict_are_refused_or_allowed_by_name(tmp_path: Path, one: Any, other: Any, words: str, allowed: str) -> None:
    paths = [file(tmp_path, 0, **one), file(tmp_path, 1, **other)]
    with pytest.raises(SourceError) as error:
        joined(paths)
    text = str(error.value)
    assert words in text
    assert all(path in text for path in paths)
    assert re.search(rf"combine\.differing.*\b{allowed}\b|\b{allowed}\b.*combine\.differing", text)
    found = joined(paths, allowed)
    assert found.tas.values[:, 0].tolist() == [0, 1]
    alone = joined([paths[0], file(tmp_path, 2, **one)])  # what differs is the first one's
    for name in ("depth", "crs", "orog"):
        xr.testing.assert_identical(found[name].variable, alone[name].variable)


@pytest.mark.parametrize(("one", "other"), [("gregorian", "standard"), ("noleap", "365_day"), (None, "standard"), ("366_day", "all_leap")])
def test_calendars_of_two_names_are_joined(tmp_path: Path, one: str | None, other: str | None) -> None:
    found = joined([file(tmp_path, 0, calendar=one), file(tmp_path, 1, calendar=other)])
    assert found.time.values.tolist() == [0, 1]
    assert found.time.attrs.get("calendar") == one


def test_the_two_gregorian_calendars_are_one_since_the_reform(tmp_path: Path) -> None:
    paths = [file(tmp_path, 0, calendar="gregorian"), file(tmp_path, 1, calendar="proleptic_gregorian", units="days since 2020-01-03")]
    assert joined(paths).time.values.tolist() == [0, 3]
    for units in ("days since 1500-01-01", "days since 1582-10-14"):
        with pytest.raises(SourceError, match="calendar 'gregorian'"):
            joined([file(tmp_path, step, calendar=name, units=units) for step, name in ((0, "gregorian"), (1, "proleptic_gregorian"))])


def test_times_counted_the_same_in_other_words_need_no_recount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("zarrstream.source.time_units"), "_recount", lambda *_: pytest.fail("a recount"))
    found = joined([file(tmp_path, 0), file(tmp_path, 1, units="day since 2020-1-1 00:00:00")])
    assert found.time.values.tolist() == [0, 1]


def test_texts_of_two_widths_are_joined(tmp_path: Path) -> None:
    names = ["ab", "a much longer name"]
    for step, name in enumerate(names):
        with netCDF4.Dataset(tmp_path / f"{step}.nc", "w") as made:
            made.createDimension("time", 1)
            made.createDimension(f"len{len(name)}", len(name))
            made.createVariable("time", "i4", ("time",))[:] = [step]
            made.createVariable("station", "S1", ("time", f"len{len(name)}"))[:] = netCDF4.stringtochar(np.array([name], f"S{len(name)}"))
    found = joined([str(tmp_path / f"{step}.nc") for step in (0, 1)])
    assert [text.decode() for text in found.station.values.tolist()] == names


def test_attributes_are_merged_by_the_rule(tmp_path: Path) -> None:
    one = {"title": "June", "history": "a", "time_coverage_end": "2020-01-01", "institution": "i", "only": "here"}
    other = {"title": "July", "history": "b", "time_coverage_end": "2020-01-02", "institution": "i"}
    notes: list[str] = []
    found = joined([file(tmp_path, 0, root=one, tas={"units": "m/s"}), file(tmp_path, 1, root=other, tas={"units": "m s-1"})], notes=notes)
    assert found.attrs == {"title": "June", "history": "a", "institution": "i", "only": "here"}
    assert found.tas.attrs["units"] == "m/s"
    told = sorted(notes)
    assert [note.split("'")[1] for note in told] == ["only", "time_coverage_end", "title"]
    assert "'June' in" in told[2]
    assert "'July' in" in told[2]
    assert "left out" in told[1]


def test_notes_have_a_bound(tmp_path: Path) -> None:
    notes: list[str] = []
    joined([file(tmp_path, step, root={f"a{number}": step for number in range(30)}) for step in (0, 1)], notes=notes)
    assert (len(notes), notes[-1]) == (21, "10 attributes more differ")


def test_types_have_a_message_of_their_own() -> None:
    one, other = (xr.Dataset({"a": ("time", np.zeros(1, dtype))}, {"time": [step]}) for step, dtype in ((0, "f4"), (1, "f8")))
    with pytest.raises(SourceError, match=r"'a' has dtype 'float32' in a\.nc but 'float64' in b\.nc: an array has one"):
        check_consistent(one, other, "a.nc", "b.nc")
