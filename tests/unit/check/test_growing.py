"""A data set that grows is told to be stale, to have holes, and values that cannot be; one as it should be raises no alarm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from asking import check_request, check_store
from zarrstream.check.expectations import parse_expectations
from zarrstream.durations import parse_span
from zarrstream.errors import BadRequest
from zarrstream.findings import CheckResult

pytestmark = pytest.mark.filterwarnings("ignore")
STEPS, LAST = 30, timedelta(hours=7)  # the newest step is so old
PACKED = {"dtype": "int16", "scale_factor": 0.01, "_FillValue": -32768}
CHECKS = ("fresh", "gaps", "nan_share", "range")
EXPECTED: dict[str, Any] = {
    "fresh": "2d",
    "gaps": "1d",
    "nan_share": "history",
    "range": {"sst": [-5, 45], "rain": [0, None]},
}


def days(count: int = STEPS) -> np.ndarray:
    """Midnights, or so, up to ``LAST`` before now."""
    last = np.datetime64((datetime.now(UTC) - LAST).replace(tzinfo=None), "s")
    return last - np.arange(count)[::-1] * np.timedelta64(1, "D")


def usual(times: np.ndarray, seed: int = 0) -> xr.Dataset:
    """Temperatures of a sea with a coast and clouds, and rain that falls on some days."""
    random = np.random.default_rng(seed)
    shape = (len(times), 12, 20)
    sst = random.normal(15, 3, shape)
    sst[:, :, :4] = np.nan
    sst[random.random(shape) < 0.05] = np.nan
    rain = np.where(random.random(shape) < 0.2, random.exponential(2, shape), 0.0)
    rain[1] = rain[len(times) - 1] = 0.0
    dims = ("time", "lat", "lon")
    return xr.Dataset(
        {"sst": (dims, sst.astype("f4")), "rain": (dims, rain.astype("f4")), "number": ("time", np.arange(len(times), dtype="i4"))},
        {"time": times, "lat": np.arange(12.0), "lon": np.arange(20.0)},
    )


def checked(dataset: xr.Dataset, path: Path, encoding: dict[str, Any] | None = None, **options: Any) -> dict[str, CheckResult]:
    encoding = {"time": {"units": "hours since 2000-01-01", "dtype": "f8"}, **(encoding or {})}
    dataset.to_zarr(path, encoding=encoding, zarr_format=options.pop("zarr_format", 3))
    report = check_store(check_request(store=str(path), missing="fill", **{"checks": CHECKS, **EXPECTED, **options}))
    return {result.id: result for result in report.checks}


@pytest.mark.parametrize(
    "encoding",
    [
        {"sst": {"chunks": (1, 12, 20), **PACKED}},
        {"sst": {"chunks": (4, 5, 7), "shards": (8, 15, 21)}, "rain": {"chunks": (16, 12, 20)}},
        {"sst": {"chunks": (30, 12, 20), **PACKED}, "zarr_format": 2},
    ],
)
def test_what_is_as_it_should_be_raises_no_alarm(tmp_path: Path, encoding: dict[str, Any]) -> None:
    zarr_format = encoding.pop("zarr_format", 3)
    found = checked(usual(days()), tmp_path / "a.zarr", encoding, zarr_format=zarr_format)
    assert {name: result.status for name, result in found.items()} == dict.fromkeys(CHECKS, "passed"), found
    assert found["fresh"].evidence["ages"]["sst"] == pytest.approx(LAST.total_seconds(), abs=120)
    assert found["fresh"].message.startswith("the last step with a value is 7 hours old")


def test_nothing_is_checked_that_was_not_asked_for(tmp_path: Path) -> None:
    found = checked(usual(days()), tmp_path / "a.zarr", fresh=None, gaps=None, nan_share=None, range=None)
    assert {name: result.status for name, result in found.items()} == {**dict.fromkeys(CHECKS, "skipped"), "gaps": "passed"}


def stale(dataset: xr.Dataset) -> xr.Dataset:
    return dataset.assign_coords(time=dataset.time - np.timedelta64(103, "D"))


def empty_end(dataset: xr.Dataset) -> xr.Dataset:
    dataset["sst"][-4:] = np.nan
    return dataset


def nothing_at_all(dataset: xr.Dataset) -> xr.Dataset:
    dataset["sst"][...] = np.nan
    return dataset


def block_of_nan(dataset: xr.Dataset) -> xr.Dataset:
    dataset["sst"][-1, :6] = np.nan
    return dataset


def constant(dataset: xr.Dataset) -> xr.Dataset:
    dataset["sst"][-1] = 0.0
    return dataset


def impossible(dataset: xr.Dataset) -> xr.Dataset:
    dataset["sst"][-2, 3, 9] = 400.0
    return dataset


def negative(dataset: xr.Dataset) -> xr.Dataset:
    dataset["rain"][-1, 3, 9] = -0.5
    return dataset


def without(*steps: int) -> Any:
    return lambda dataset: dataset.drop_isel(time=list(steps))


@pytest.mark.parametrize(
    ("fault", "check", "words"),
    [
        (stale, "fresh", "103.3 days ago and more than 2d"),
        (empty_end, "fresh", "4.3 days ago and more than 2d, and 4 later steps without one"),
        (nothing_at_all, "fresh", "sst: has no value from "),
        (block_of_nan, "nan_share", "of it missing at "),
        (constant, "range", "nothing but 0 at "),
        (impossible, "range", "a value of 400 at "),
        (negative, "range", "a value of -0.5 at "),
        (without(7), "gaps", "1 step left out: "),
        (without(7, 8, 12, 13, 14, 15, 16), "gaps", "7 steps left out: "),
    ],
)
def test_faults_are_named_by_their_check_alone(tmp_path: Path, fault: Any, check: str, words: str) -> None:
    found = checked(fault(usual(days())), tmp_path / "a.zarr", {"sst": {"chunks": (4, 6, 20)}})
    assert (found[check].status, found[check].severity) == ("failed", "error") or check == "nan_share", found[check]
    assert found[check].status in ("failed", "warning")
    assert words in found[check].message
    # A step without any value, or of one alone, has a share of missing ones that is unusual too.
    also = {"nan_share"} if fault in (empty_end, constant) else set()
    assert {name for name, result in found.items() if result.status != "passed"} - also == {check}, found


def test_only_the_newest_chunks_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zarrstream.storage import folder

    read: list[str] = []
    before = folder.FolderObjects.zarr_store

    def watched(objects: Any) -> Any:
        store = before(objects)
        get = store.get

        async def noted(key: str, *arguments: Any, **options: Any) -> Any:
            read.append(key)
            return await get(key, *arguments, **options)

        store.get = noted
        return store

    monkeypatch.setattr(folder.FolderObjects, "zarr_store", watched)
    checked(
        usual(days(200)),
        tmp_path / "a.zarr",
        {"sst": {"chunks": (5, 12, 20)}, "rain": {"chunks": (1, 12, 20)}, "number": {"chunks": (200,)}},
    )
    assert {key for key in read if "/c/" in key} == {
        *(f"sst/c/{number}/0/0" for number in (38, 39)),
        *(f"rain/c/{number}/0/0" for number in range(190, 200)),
        "number/c/0",
    }


def test_a_share_that_was_given_and_variables_that_were_named(tmp_path: Path) -> None:
    found = checked(
        block_of_nan(usual(days(3))), tmp_path / "a.zarr", nan_share={"sst": 0.3}, fresh={"max_age": "1h", "variables": ["sst"]}
    )
    assert "at most 30.0% may be" in found["nan_share"].message
    assert found["fresh"].evidence["count"] == 1
    few = checked(block_of_nan(usual(days(3))), tmp_path / "b.zarr")["nan_share"]
    assert (few.status, "too few steps to tell what is usual" in few.message) == ("passed", True)


def test_a_range_of_all_leaves_what_has_its_own(tmp_path: Path) -> None:
    found = checked(usual(days()), tmp_path / "a.zarr", range={"*": [-100, 10], "sst": [-5, 45], "rain": [0, 500]})["range"]
    assert [item["array"] for item in found.evidence["findings"]] == ["number"]


def monthly(*left_out: int) -> np.ndarray:
    months = np.arange("2015-01", "2019-01", dtype="M8[M]")
    return np.delete(months, left_out).astype("M8[D]") + np.timedelta64(14, "D")


@pytest.mark.parametrize(
    ("times", "gaps", "words"),
    [
        (monthly(), "1mo", ""),
        (monthly(13), "1mo", "1 step left out: 2016-02-01"),
        (monthly(13), {"step": "1mo", "accept": ["2016-02"]}, ""),
        (monthly(13, 20), {"accept": ["2016-02"]}, "1 step left out: 2016-09"),
        (np.delete(days(9), [2, 3, 6]), {"step": "1d", "accept": [[None, str(days(9)[4])[:10]]]}, "1 step left out: "),
        (days(9) + np.asarray([0, 0, 0, 5, 0, 0, 0, 0, 0]) * np.timedelta64(1, "h"), "1d", "is not a whole number of steps of 1d after"),
        (days(9), "6h", "24 steps left out: "),
        (days(9), "1mo 1d", "steps of both are not counted"),
    ],
)
def test_steps_are_counted_as_declared(tmp_path: Path, times: np.ndarray, gaps: Any, words: str) -> None:
    found = checked(usual(times), tmp_path / "a.zarr", gaps=gaps, checks=("gaps",))["gaps"]
    assert found.status == ("failed" if words else "passed"), found
    assert words in found.message


@pytest.mark.parametrize("calendar", ["360_day", "noleap"])
def test_other_calendars_have_ages_and_steps_too(tmp_path: Path, calendar: str) -> None:
    times = xr.date_range("2019-02-20", periods=STEPS, calendar=calendar, use_cftime=True).values
    dataset = usual(np.arange(STEPS))
    dataset = dataset.assign_coords(time=np.delete(np.append(times, times[-1] + timedelta(days=1)), 4))
    encoding = {"time": {"units": "days since 2000-01-01", "calendar": calendar}}
    found = checked(dataset, tmp_path / "a.zarr", encoding)
    assert "2019-02-24" in found["gaps"].message
    years = (datetime.now(UTC) - datetime(2019, 3, 22, tzinfo=UTC)).days
    assert found["fresh"].evidence["ages"]["sst"] / 86400 == pytest.approx(years, rel=0.02)


def test_dates_of_numpy_are_times(tmp_path: Path) -> None:
    dataset = usual(days())
    dataset.drop_vars("time").to_zarr(tmp_path / "a.zarr", zarr_format=3)
    import zarr

    group = zarr.open_group(tmp_path / "a.zarr")
    group.create_array("time", data=stale(dataset).time.values.astype("M8[s]"), dimension_names=["time"])
    zarr.consolidate_metadata(group.store)
    report = check_store(check_request(store=str(tmp_path / "a.zarr"), checks=("fresh",), fresh="2d"))
    assert "103.3 days ago" in report.checks[0].message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fresh": "soon"}, "fresh.max_age is 'soon': write a length of time with its unit, such as 6h, 2d, '1d 12h' or 1mo."),
        ({"fresh": "5m"}, "Write min for minutes, mo for months."),
        ({"fresh": {"age": "2d"}}, "fresh has 'age', which is none of its options. Did you mean 'max_age'?"),
        ({"fresh": {}}, "fresh has no max_age"),
        ({"fresh": {"max_age": "2d", "variables": "sst"}}, "fresh.variables is 'sst'"),
        ({"fresh": "0d"}, "it is more than 0"),
        ({"gaps": {"step": "1d", "accept": "2020-01-01"}}, "gaps.accept is '2020-01-01': it is a list of dates"),
        ({"nan_share": 30}, "nan_share is 30: it is a share from 0 to 1"),
        ({"nan_share": {"sst": "some"}}, "nan_share.sst is 'some'"),
        ({"range": [0, 1]}, "range is [0, 1]: it has the ends by variable"),
        ({"range": {"sst": [5]}}, "range.sst is [5]"),
        ({"range": {"sst": [5, 1]}}, "it begins after its end"),
        ({"range": {"sst": ["x", 1]}}, "range.sst is ['x', 1]"),
        ({"range": {"sst": [None, None]}}, "range.sst is [None, None]"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(options: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_expectations(options)
    assert words in str(caught.value)


def test_a_variable_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        BadRequest, match=r"range names 'tsst', and no variable of that name goes along a coordinate of time. These do: number, rain, sst"
    ):
        checked(usual(days()), tmp_path / "a.zarr", range={"tsst": [0, 1]})


def test_spans_add_up() -> None:
    assert parse_span("1d 12h 30min", "x").seconds == 131_400
    assert (parse_span("1y 2mo", "x").months, parse_span("2 weeks", "x").seconds) == (14, 1_209_600)
