"""Coordinates out of order, values that are there twice, and steps that are left out are told; what people have is not."""

from __future__ import annotations

import calendar
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from asking import check_request, check_store
from zarrstream.check.snapshot import Snapshot
from zarrstream.findings import CheckResult

pytestmark = pytest.mark.filterwarnings("ignore")
DAYS = {"units": "days since 2019-01-01"}
MONTHS = np.cumsum([0, *(calendar.monthrange(2019 + number // 12, number % 12 + 1)[1] for number in range(30))])


def checked(path: Path, values: Any, attributes: dict[str, Any] = DAYS, name: str = "time", **options: Any) -> dict[str, CheckResult]:
    values = np.asarray(values)
    group = zarr.create_group(path, overwrite=True, zarr_format=options.pop("zarr_format", 3))
    dims: dict[str, Any] = {"dimension_names": [name]} if group.metadata.zarr_format == 3 else {}
    array = group.create_array(name, shape=values.shape, dtype=values.dtype, chunks=(3,), fill_value=0, **dims)
    array[...] = values
    array.attrs.update({**attributes, **({} if dims else {"_ARRAY_DIMENSIONS": [name]})})
    report = check_store(check_request(store=str(path), checks=("order", "gaps"), **{"missing": "fill", **options}))
    return {result.id: result for result in report.checks}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0, 1, 1, 2], "1 follows 1 days since 2019-01-01: twice, at 1 of 4 values"),
        ([0, 2, 1, 3], "1 follows 2 days since 2019-01-01: not in order, at 1 of 4 values"),
        ([3, 2, 2, 1], "2 follows 2"),
        ([0, 2, 4, 1, 2, 3, 5, 6], "2 days since 2019-01-01 is there twice"),
        ([1.5, 0.5, np.nan, -0.5], "1 of 4 values are missing ones"),
    ],
)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_order_tells_the_first_place_and_how_many_there_are(tmp_path: Path, values: list[float], words: str, zarr_format: int) -> None:
    found = checked(tmp_path / "a.zarr", values, zarr_format=zarr_format)["order"]
    assert (found.status, found.severity) == ("warning", "warning")
    assert any(words in item["problem"] for item in found.evidence["findings"]), found
    assert all(item["array"] == "time" for item in found.evidence["findings"])


def test_a_declared_missing_value_is_a_missing_one(tmp_path: Path) -> None:
    found = checked(tmp_path / "a.zarr", [0, -9999, 2], {**DAYS, "_FillValue": -9999})["order"]
    assert found.message == "1 coordinate of time or place not in order: time: 1 of 3 values are missing ones"


@pytest.mark.parametrize(
    ("values", "attributes", "name"),
    [
        ([3, 2, 1, 0], DAYS, "time"),
        ([90, 45, 0, -45], {"standard_name": "latitude"}, "lat"),
        ([180, 270, 0, 90], {"standard_name": "longitude", "units": "degrees_east"}, "lon"),  # around the globe
        ([5, 1, 1], {"units": "1"}, "expver"),  # numbers of things, not places
        ([7, 3, 9], {"standard_name": "realization"}, "member"),
        ([4], DAYS, "time"),
        (np.zeros(0, "i4"), DAYS, "time"),
    ],
)
def test_what_people_have_is_in_order(tmp_path: Path, values: Any, attributes: dict[str, Any], name: str) -> None:
    assert checked(tmp_path / "a.zarr", values, attributes, name)["order"].status in ("passed", "skipped")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0, 1, 2, 4, 5, 6], "nothing between 2 and 4 days since 2019-01-01, where steps are of 1; 1 step left out"),
        ([6, 5, 4, 2, 1, 0], "1 step left out"),
        (np.delete(np.arange(20.0), [5, 6, 12]), "3 steps left out in 2 places"),
        (np.delete(MONTHS, 13), "1 step left out"),
        ([0.0, 0.04167, 0.08333, 0.125, 0.20833, 0.25], "1 step left out"),  # hours as rounded days
    ],
)
def test_gaps_tell_what_is_left_out(tmp_path: Path, values: Any, words: str) -> None:
    found = checked(tmp_path / "a.zarr", values)
    assert (found["gaps"].status, found["gaps"].severity) == ("warning", "warning")
    assert words in found["gaps"].message
    assert found["order"].status == "passed"


@pytest.mark.parametrize(
    "values",
    [
        [0, 1],  # two steps have no gap between them
        [0, 9],
        MONTHS,
        MONTHS[:-1] + np.diff(MONTHS) / 2,  # the middle of months
        np.cumsum([0, *([365, 365, 365, 366] * 3)]),
        MONTHS[::3],
        [0, 1, 5, 9, 10, 30, 31, 50],  # no step is usual
        np.arange(0, 10, 0.25),
        [1, 1, 2, 3],  # of duplicates 'order' tells
    ],
)
def test_no_alarm_for_months_years_and_irregular_times(tmp_path: Path, values: Any) -> None:
    assert checked(tmp_path / "a.zarr", values)["gaps"].status == "passed"


def test_a_gap_of_something_else_than_time_is_none(tmp_path: Path) -> None:
    found = checked(tmp_path / "a.zarr", [0, 10, 20, 50, 100], {"standard_name": "depth", "axis": "Z"}, "depth")
    assert (found["order"].status, found["gaps"].status) == ("passed", "skipped")


def test_dates_of_numpy_are_times(tmp_path: Path) -> None:
    days = np.array(["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-05", "2020-01-04"], "M8[ns]")
    found = checked(tmp_path / "a.zarr", days, {})
    assert (found["order"].status, found["gaps"].status) == ("warning", "passed")


def test_coordinates_alone_are_read_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    fetch = Snapshot.fetch
    monkeypatch.setattr(Snapshot, "fetch", lambda self, key: (asked.append(key), fetch(self, key))[1])
    group = zarr.create_group(tmp_path / "a.zarr")
    for name, dims in (("time", ["time"]), ("data", ["time"])):
        group.create_array(name, shape=(6,), chunks=(3,), dtype="i4", dimension_names=dims, attributes=DAYS)[...] = np.arange(1, 7)
    report = check_store(check_request(store=str(tmp_path / "a.zarr"), checks=("order", "gaps")))
    assert report.ok
    assert sorted(key for key in asked if "zarr.json" not in key) == ["time/c/0", "time/c/1"]


def test_without_an_object_read_neither_is_made(tmp_path: Path) -> None:
    found = checked(tmp_path / "a.zarr", [0, 1, 1], sample=0)
    assert {result.message for result in found.values()} == {"sample is 0: no object is read"}


@pytest.mark.parametrize(("harm", "words"), [(Path.unlink, "is missing"), (lambda path: path.write_bytes(b"no"), "does not decode")])
def test_a_coordinate_that_cannot_be_read_is_left_to_other_checks(tmp_path: Path, harm: Any, words: str) -> None:
    checked(tmp_path / "a.zarr", [1, 1, 2, 5])
    harm(tmp_path / "a.zarr/time/c/1")
    report = check_store(check_request(store=str(tmp_path / "a.zarr"), checks=("order", "gaps")))
    assert [(check.status, words in check.message) for check in report.checks] == [("skipped", True)] * 2
