"""Several files as one data set: joined exactly, or refused with both files named."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from zarrstream.errors import SourceError
from zarrstream.source.combine import combine_files
from zarrstream.source.local_file import SourceFile


def part(start: int, count: int = 4, **attrs: Any) -> xr.Dataset:
    times = np.arange(start, start + count, dtype="i4")
    values = (times[:, None] * 10 + np.arange(3)).astype("i2")
    return xr.Dataset(
        {"air": (("time", "lat"), values, {"scale_factor": 0.1, "_FillValue": np.int16(-1)}), "area": ("lat", [1.0, 2.0, 3.0])},
        {"time": ("time", times, {"units": "hours since 2000-01-01", **attrs}), "lat": ("lat", np.array([10, 20, 30], "f4"))},
        {"title": f"from {start}"},
    )


def save(tmp_path: Path, *parts: xr.Dataset) -> list[str]:
    paths = []
    for number, dataset in enumerate(parts):
        paths.append(str(tmp_path / f"{number}.nc"))
        plain = {name: {"_FillValue": None} for name in dataset.variables if "_FillValue" not in dataset[name].attrs}
        dataset.to_netcdf(paths[-1], engine="netcdf4", encoding=plain)
    return paths


def files(paths: list[str]) -> list[SourceFile]:
    return [SourceFile.look(path) for path in paths]


def joined(tmp_path: Path, *parts: xr.Dataset) -> xr.Dataset:
    combined = combine_files(files(save(tmp_path, *parts)))
    loaded = combined.load()
    combined.close()
    return loaded


def refused(tmp_path: Path, *parts: xr.Dataset) -> str:
    paths = save(tmp_path, *parts)
    with pytest.raises(SourceError) as error:
        combine_files(files(paths))
    text = str(error.value)
    assert sum(path in text for path in paths) == 2, text
    return text


def test_files_are_joined_in_the_order_of_their_coordinate(tmp_path: Path) -> None:
    found = joined(tmp_path, part(8), part(0), part(4))
    expected = part(0, 12)
    assert found.attrs == {"title": "from 8"}
    for name, variable in expected.variables.items():
        assert found[name].dtype == variable.dtype
        assert found[name].values.tobytes() == variable.values.tobytes()
        assert found[name].attrs == variable.attrs
    assert found.area.dims == ("lat",)


def test_tiles_of_two_dimensions(tmp_path: Path) -> None:
    whole = part(0, 8)
    tiles = [whole.isel(time=times, lat=lats).drop_vars("area") for times in (slice(4), slice(4, 8)) for lats in (slice(1), slice(1, 3))]
    found = joined(tmp_path, *reversed(tiles))
    assert found.air.values.tobytes() == whole.air.values.tobytes()
    assert "'air'" not in refused(tmp_path, *tiles[:3])


def test_files_of_other_variables_are_laid_beside_each_other(tmp_path: Path) -> None:
    found = joined(tmp_path, part(0)[["air"]], part(0)[["area"]])
    assert set(found.data_vars) == {"air", "area"}
    assert "'lat'" in refused(tmp_path, part(0)[["air"]], part(0)[["area"]].assign_coords(lat=np.array([1, 2, 3], "f4")))


def test_text_of_other_widths(tmp_path: Path) -> None:
    one, two = (part(start).assign(name=("time", np.array([text] * 4, object))) for start, text in ((0, "a"), (4, "much longer")))
    assert joined(tmp_path, one, two).name.values.tolist() == ["a"] * 4 + ["much longer"] * 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda late: late.assign(air=late.air.astype("i4").assign_attrs(late.air.attrs)), ["'air'", "dtype 'int16'", "'int32'"]),
        (lambda late: late.assign(air=late.air.assign_attrs(scale_factor=0.2)), ["'air'", "scale_factor '0.1'", "'0.2'"]),
        (lambda late: late.assign(air=late.air.assign_attrs(_FillValue=np.int16(-2))), ["'air'", "_FillValue '-1'", "'-2'"]),
        (lambda late: late.assign(air=late.air.assign_attrs(units="K")), ["'air'", "units none", "'K'"]),
        (lambda late: late.assign_coords(time=late.time.assign_attrs(calendar="360_day")), ["'time'", "calendar", "'360_day'"]),
        (lambda late: late.drop_vars("area"), ["'area'", "but not in"]),
        (lambda late: late.transpose("lat", "time"), ["'air'", "dimensions"]),
        (lambda late: late.assign(area=late.area + 1), ["'area'", "differs"]),
        (lambda late: late.assign_coords(lat=late.lat + 1), ["time and lat", "one grid"]),
        (lambda late: late.isel(lat=slice(2)), ["time and lat", "one grid"]),
        (lambda late: late.drop_vars("time"), ["'time'", "but not in"]),
    ],
)
def test_what_contradicts_is_refused_with_both_files(tmp_path: Path, change: Any, words: list[str]) -> None:
    text = refused(tmp_path, part(0), change(part(4)))
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    ("start", "count", "words"), [(3, 4, "overlaps"), (2, 1, "overlaps"), (0, 4, "same coordinates"), (0, 9, "overlaps")]
)
def test_overlaps_are_refused(tmp_path: Path, start: int, count: int, words: str) -> None:
    text = refused(tmp_path, part(0), part(start, count))
    assert words in text


def test_touching_tiles_of_two_dimensions_are_refused(tmp_path: Path) -> None:
    whole = part(0, 8).drop_vars("area")
    tiles = [whole.isel(time=times, lat=lats) for times in (slice(5), slice(4, 8)) for lats in (slice(1), slice(1, 3))]
    with pytest.raises(SourceError, match="'time' overlaps"):
        combine_files(files(save(tmp_path, *tiles)))


def test_times_counted_from_another_day_are_recounted(tmp_path: Path) -> None:
    late = part(0, 4, units="hours since 2000-01-01 04:00")
    late.air.values[:] = part(4).air.values
    found = joined(tmp_path, part(0), late)
    assert found.time.values.tolist() == list(range(8))
    assert found.time.dtype == np.int32
    assert found.time.attrs["units"] == "hours since 2000-01-01"
    days = part(0, 1, units="days since 2000-01-02")
    assert joined(tmp_path, part(0), days).time.values.tolist() == [0, 1, 2, 3, 24]


def test_the_bounds_of_recounted_times_follow(tmp_path: Path) -> None:
    parts = [part(0, 4, bounds="edges"), part(0, 4, bounds="edges", units="hours since 2000-01-01 04:00")]
    parts = [one.assign(edges=(("time", "two"), np.stack([one.time.values, one.time.values + 1], 1))) for one in parts]
    assert joined(tmp_path, *parts).edges.values[:, 0].tolist() == list(range(8))


def test_times_without_an_exact_count_are_refused(tmp_path: Path) -> None:
    text = refused(tmp_path, part(0), part(0, 4, units="hours since 2000-01-01 10:30"))
    assert "'time'" in text
    assert "no exact int32" in text


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    paths = save(tmp_path, part(0), part(4))
    Path(paths[1]).write_bytes(Path(paths[1]).read_bytes()[:-500])
    with pytest.raises(SourceError, match=r"1\.nc' cannot be opened: it is truncated"):
        combine_files(files(paths))


def test_a_missing_library_is_no_misfit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = save(tmp_path, part(0), part(4))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match="h5py"):
        combine_files(files(paths))
