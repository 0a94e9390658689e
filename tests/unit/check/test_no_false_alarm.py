"""Faithful copies of what people have pass: what neither side can decode, what xarray hides, what was appended file by file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import zarr
from asking import check_request, check_store
from writing import made_once, request
from zarrstream.commands.write import write_dataset
from zarrstream.errors import SourceError
from zarrstream.findings import CheckResult

pytestmark = pytest.mark.filterwarnings("ignore")
FOREVER = {"units": "days since 1970-01-01"}
UNDECODABLE = [
    ([366.0, 1096.485], {"units": "hour since 0000-01-01 00:00:00", "calendar": "standard"}),  # COADS: a year that no calendar has
    ([0.0, 1.0], {"units": "months since 1958-1-1 00:00:00"}),
    ([0.0, 1e9], FOREVER),
    ([0.0, 9.96921e36], {"units": "seconds since 1970-01-01"}),  # never filled
    ([0.0, 1.0], {"units": "days since the flood"}),
]


def file_of(path: Path, times: Any, attributes: dict[str, str], values: Any = None, **more: Any) -> Path:
    """A file with a value at each of these times."""

    def make(path: Path) -> None:
        with netCDF4.Dataset(path, "w", format=more.get("format", "NETCDF4")) as file:
            file.createDimension("time", None)
            for name, numbers in (("time", times), ("air", np.arange(len(times)) if values is None else values)):
                variable = file.createVariable(name, "f8", ("time",))
                variable[:] = numbers
            file["time"].setncatts(attributes)
            file.setncatts(more.get("of_the_file", {}))

    return made_once(path, make, str(times), str(attributes), str(values), str(more))


def check(store: Path, *sources: Path) -> dict[str, CheckResult]:
    report = check_store(check_request(store=str(store), source=tuple(map(str, sources)), sample=None))
    return {result.id: result for result in report.checks}


@pytest.mark.parametrize(
    ("times", "attributes", "zarr_format"),
    [
        pytest.param(*each, zarr_format, marks=[] if zarr_format == 2 + number % 2 else pytest.mark.thorough)
        for number, each in enumerate(UNDECODABLE)
        for zarr_format in (2, 3)
    ],
)
def test_times_that_neither_side_decodes_are_no_difference(
    tmp_path: Path, times: list[float], attributes: dict[str, str], zarr_format: int
) -> None:
    source, store = file_of(tmp_path / "a.nc", times, attributes), tmp_path / "a.zarr"
    write_dataset(request(source, store, zarr_format=zarr_format))
    assert {result.status for result in check(store, source).values()} <= {"passed", "skipped"}
    zarr.open_group(store, mode="r+", zarr_format=zarr_format)["time"].attrs["units"] = "days since 2000-01-01"  # type: ignore[arg-type]
    assert check(store, source)["roundtrip"].status == "failed"


def test_times_that_neither_side_decodes_still_have_to_be_the_same_numbers(tmp_path: Path) -> None:
    source, store = file_of(tmp_path / "a.nc", *UNDECODABLE[0]), tmp_path / "a.zarr"
    write_dataset(request(source, store))
    zarr.open_array(store, path="time", mode="r+")[1] = 1.0
    assert check(store, source)["values"].status == "failed"


def test_an_attribute_that_xarray_hides_in_zarr_alone_is_no_difference(tmp_path: Path) -> None:
    source = file_of(tmp_path / "a.nc", [0, 1], {}, format="NETCDF3_CLASSIC", of_the_file={"xNCProperties": "version=2", "title": "t"})
    source.write_bytes(source.read_bytes().replace(b"xNCProp", b"_NCProp"))
    with netCDF4.Dataset(source) as file:
        assert file.ncattrs() == ["_NCProperties", "title"]
    store = tmp_path / "a.zarr"
    write_dataset(request(source, store))
    assert check(store, source)["roundtrip"].status == "passed"
    del zarr.open_group(store, mode="r+").attrs["title"]
    assert "attribute 'title' of the source is missing" in check(store, source)["roundtrip"].message


@pytest.mark.parametrize("names", [pytest.param(("a", "b", "c"), marks=pytest.mark.thorough), ("c", "a", "b")])
def test_a_store_that_was_appended_to_is_checked_against_all_its_files(tmp_path: Path, names: tuple[str, ...]) -> None:
    """The last step of each file is the first of the next; the store, not their names, has their order."""
    values, store = np.arange(7.0) + 10, tmp_path / "all.zarr"
    starts = dict(zip(names, (0, 2, 4), strict=True))
    files = {
        name: file_of(tmp_path / f"{name}.nc", np.arange(start, start + 3), {"units": "days since 2020-01-01"}, values[start : start + 3])
        for name, start in starts.items()
    }
    for name in names:
        mode = {"mode": "append", "append_dim": "time"} if store.exists() else {}
        write_dataset(request(files[name], store, chunks={"time": 1}, **mode))
    found = check(store, *(files[name] for name in sorted(files)))
    assert {result.status for result in found.values()} <= {"passed", "skipped"}, found
    assert "of 2 variables equal the source bit for bit" in found["values"].message
    zarr.open_array(store, path="air", mode="r+")[6] = 0.0
    assert check(store, *files.values())["values"].status == "failed"


def test_files_that_overlap_are_no_source_of_a_store_that_nobody_appended_to(tmp_path: Path) -> None:
    one = file_of(tmp_path / "a.nc", [0, 1, 2], FOREVER)
    two = file_of(tmp_path / "b.nc", [2, 3], FOREVER)
    store = tmp_path / "a.zarr"
    write_dataset(request(one, store))
    with pytest.raises(SourceError, match="overlaps"):
        check(store, one, two)
