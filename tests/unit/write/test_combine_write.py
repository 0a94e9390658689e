"""Files as people have them, joined into a store: refused with the true reason where that takes a word, and written with it.

What is written is compared with what netCDF4 alone reads of each file; it is checked against its source, and written again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapes
import xarray as xr
import zarr
from asking import check_request, check_store
from running import THOROUGH
from shapes import LAT, LON, X, Y, day, field, grid, make, pair, values
from writing import request
from zarrstream.commands.write import preview, write_dataset
from zarrstream.errors import SourceError
from zarrstream.write.result import WriteResult

Paths = list[Path]


def write(paths: Paths, store: Path, **options: Any) -> WriteResult:
    """Write, find nothing to do the second time, and let a check that is told nothing about joining compare every value."""
    wanted = request(tuple(paths), store, verify="full" if THOROUGH else "manifest", **options)
    result = write_dataset(wanted)
    assert not preview(wanted).changed
    report = check_store(check_request(str(store), source=[str(path) for path in paths], sample=None))
    assert report.ok, report.summary["line"]
    return result


def stored(store: Path, name: str) -> np.ndarray:
    return np.asarray(zarr.open_group(store, mode="r")[name][...])


def refused(paths: Paths, store: Path, **options: Any) -> str:
    with pytest.raises(SourceError) as error:
        preview(request(tuple(paths), store, **options))
    assert "compat" not in str(error.value)
    return str(error.value)


def laid(paths: Paths, name: str, order: Any = None) -> np.ndarray:
    """What the store has to hold: the files' own values behind each other."""
    together = np.concatenate([values(path, name) for path in paths])
    return together if order is None else together[order]


@pytest.mark.thorough
def test_wrf_has_no_coordinate_of_time(tmp_path: Path) -> None:
    paths, store = shapes.wrf(tmp_path), tmp_path / "wrf.zarr"
    text = refused(paths, store)
    assert "they have none that tells their order" in text
    assert "combine {dim: Time, value_from: {scalar: XTIME}}" in text
    write(paths, store, combine={"dim": "Time", "value_from": {"scalar": "XTIME"}})
    assert stored(store, "T2").tobytes() == laid(paths, "T2").tobytes()
    assert stored(store, "Time").tolist() == [0, 720, 1440, 2160]
    with xr.open_zarr(store) as opened:
        assert opened.Time.values[-1] == np.datetime64("2020-01-02T12:00")
        assert opened.Times.values[-1] == b"2020-01-02_12:00:00"


@pytest.mark.thorough
def test_without_a_coordinate_the_order_is_that_of_the_names(tmp_path: Path) -> None:
    paths, store = shapes.wrf(tmp_path)[::-1], tmp_path / "wrf.zarr"
    write(paths, store, combine={"dim": "Time"})
    assert stored(store, "XTIME").tolist() == [1440, 2160, 0, 720]
    assert "Time" not in zarr.open_group(store, mode="r")


@pytest.mark.thorough
def test_roms_needs_no_word(tmp_path: Path) -> None:
    paths, store = shapes.roms(tmp_path), tmp_path / "roms.zarr"
    write(paths, store)
    assert stored(store, "zeta").tobytes() == laid(paths, "zeta").tobytes()
    assert stored(store, "h").shape == (Y, X)


@pytest.mark.parametrize(
    ("value_from", "times"),
    [
        pytest.param({"scalar": "t"}, ["2020-06-10T11:00:00", "2020-06-10T11:10:00"], marks=pytest.mark.thorough),
        ({"attribute": "time_coverage_start"}, ["2020-06-10T10:00:20.6", "2020-06-10T10:10:20.6"]),
        pytest.param({"filename": "*_s{%Y%j%H%M%S}?_*.nc"}, ["2020-06-10T10:00:20", "2020-06-10T10:10:20"], marks=pytest.mark.thorough),
    ],
)
def test_scenes_of_goes_become_steps_of_time(tmp_path: Path, value_from: dict[str, str], times: list[str]) -> None:
    paths, store = shapes.goes(tmp_path), tmp_path / "goes.zarr"
    assert "combine {dim: t}" in refused(paths, store)
    write(paths[::-1], store, combine={"dim": "time", "value_from": value_from})
    assert stored(store, "CMI").tobytes() == np.stack([values(path, "CMI") for path in paths]).tobytes(), "sorted by time"
    assert stored(store, "t").tolist() == [645_058_800.0, 645_059_400.0]
    assert stored(store, "valid_pixel_count").tolist() == [20, 30]
    assert stored(store, "goes_imager_projection").shape == ()
    assert stored(store, "band_id").shape == (1,)
    with xr.open_zarr(store) as opened:
        assert opened.time.values.tolist() == np.array(times, "M8[ns]").tolist()


def test_one_more_scene_is_appended(tmp_path: Path) -> None:
    paths, store = shapes.goes(tmp_path), tmp_path / "goes.zarr"
    combine = {"dim": "time", "value_from": {"filename": "*_s{%Y%j%H%M%S}?_*.nc"}}
    write(paths[:1], store, combine=combine)
    assert stored(store, "CMI").shape == (1, Y, X)
    write(paths, store, mode="append", append_dim="time")  # as the store has it
    assert stored(store, "CMI").tobytes() == np.stack([values(path, "CMI") for path in paths]).tobytes()


@pytest.mark.parametrize(
    ("combine", "members"),
    [
        pytest.param({"dim": "realization"}, [1, 2], marks=pytest.mark.thorough),
        pytest.param({"dim": "member", "value_from": {"scalar": "realization"}}, [1, 2], marks=pytest.mark.thorough),
        ({"dim": "member", "value_from": {"attribute": "variant_label"}}, ["r1i1p1f1", "r2i1p1f1"]),
        pytest.param({"dim": "member", "value_from": {"filename": "tas_r{}i1p1f1.nc"}}, [1, 2], marks=pytest.mark.thorough),
    ],
)
def test_members_of_an_ensemble(tmp_path: Path, combine: dict[str, Any], members: list[Any]) -> None:
    paths, store = shapes.ensemble(tmp_path), tmp_path / "members.zarr"
    assert "combine {dim: realization}" in refused(paths, store)
    write(paths, store, combine=combine)
    assert stored(store, "t2m").tobytes() == np.stack([values(path, "t2m") for path in paths]).tobytes()
    assert stored(store, combine["dim"]).tolist() == members
    assert stored(store, "realization").tolist() == [1, 2]
    assert stored(store, "time").tolist() == [0, 1]


def test_members_and_times(tmp_path: Path) -> None:
    paths, store = shapes.ensemble(tmp_path, years=2), tmp_path / "members.zarr"
    nested = [{"dim": "member", "value_from": {"filename": "tas_r{}i*.nc"}}, {"dim": "time"}]
    write(paths[::-1], store, combine=nested)
    expected = np.stack([laid(paths[:2], "t2m"), laid(paths[2:], "t2m")])
    assert stored(store, "t2m").tobytes() == expected.tobytes()
    assert "not the tiles of one area" in refused(paths[:3], tmp_path / "odd.zarr", combine=nested)


@pytest.mark.thorough
def test_members_that_are_a_dimension_already(tmp_path: Path) -> None:
    paths, store = [], tmp_path / "members.zarr"
    for member in (0, 1):
        for year in (0, 1):
            paths.append(tmp_path / f"m{member}_{year}.nc")
            variables = {
                "member": ("i4", ("member",), [member], {}),
                "time": ("i4", ("time",), [2 * year, 2 * year + 1], {"units": shapes.DAYS}),
                **grid(),
                "t2m": ("f4", ("member", "time", "lat", "lon"), field(2, 10 * member + year)[None], {"units": "K"}),
            }
            make(paths[-1], {"member": 1, "time": 2, "lat": Y, "lon": X}, variables)
    write(paths, store)
    halves = [np.concatenate([values(path, "t2m") for path in paths[start : start + 2]], axis=1) for start in (0, 2)]
    assert stored(store, "t2m").tobytes() == np.concatenate(halves).tobytes()


@pytest.fixture
def corrected(tmp_path: Path) -> Paths:
    """The last step of the first file is the first of the second, with another value."""
    steps = field(5, 3)
    later = steps[2:].copy()
    later[0] += 1
    return pair(tmp_path, lambda path: day(path, [0, 1, 2], values=steps[:3]), lambda path: day(path, [2, 3, 4], values=later))


@pytest.mark.parametrize(
    ("overlap", "rows"), [pytest.param("first", [0, 1, 2, 4, 5], marks=pytest.mark.thorough), ("last", [0, 1, 3, 4, 5])]
)
def test_of_steps_that_two_files_have_one_is_said_to_count(tmp_path: Path, corrected: Paths, overlap: str, rows: list[int]) -> None:
    store = tmp_path / "a.zarr"
    text = refused(corrected, store)
    assert "both have 2020-01-03 00:00:00" in text
    assert "combine.overlap, first or last" in text
    result = write(corrected, store, combine={"overlap": overlap})
    assert "1 step of 'time' that several files have: one is kept of each" in result.notes
    assert stored(store, "t2m").tobytes() == laid(corrected, "t2m", rows).tobytes()


@pytest.mark.thorough
def test_a_correction_that_append_refuses(tmp_path: Path, corrected: Paths) -> None:
    store = tmp_path / "a.zarr"
    write(corrected[:1], store)
    with pytest.raises(SourceError, match=r"other values in .*mode replace"):
        write_dataset(request(tuple(corrected), store, mode="append", append_dim="time"))
    write(corrected, store, mode="replace", combine={"overlap": "last"})
    assert stored(store, "t2m").tobytes() == laid(corrected, "t2m", [0, 1, 3, 4, 5]).tobytes()


@pytest.mark.thorough
def test_a_step_twice_in_one_file(tmp_path: Path) -> None:
    store = tmp_path / "a.zarr"
    paths = pair(tmp_path, lambda path: day(path, [0, 1, 1, 2]), lambda path: day(path, [3, 4]))
    assert "a.nc has the value 2020-01-02 00:00:00 twice" in refused(paths, store)
    write(paths, store, combine={"overlap": "first"})
    assert stored(store, "time").tolist() == [0, 1, 2, 3, 4]
    write(paths[:1], tmp_path / "one.zarr", combine={"dim": "time", "overlap": "last"})
    assert stored(tmp_path / "one.zarr", "t2m").tobytes() == values(paths[0], "t2m")[[0, 2, 3]].tobytes()


def test_times_that_interleave_are_sorted(tmp_path: Path) -> None:
    hours, store = "hours since 2020-01-01", tmp_path / "a.zarr"
    paths = pair(tmp_path, lambda path: day(path, [0, 12, 24, 36], hours, seed=1), lambda path: day(path, [6, 18, 30, 42], hours, seed=2))
    write(paths, store, chunks={"time": 3})
    assert stored(store, "time").tolist() == list(range(0, 48, 6))
    assert stored(store, "t2m").tobytes() == laid(paths, "t2m", [0, 4, 1, 5, 2, 6, 3, 7]).tobytes()


def test_latitudes_that_run_the_other_way_are_turned_round(tmp_path: Path) -> None:
    store = tmp_path / "a.zarr"
    paths = pair(
        tmp_path,
        lambda path: day(path, [0, 1], seed=1),
        lambda path: day(path, [2, 3], values=field(2, 2)[:, ::-1], grid=grid(lat=LAT[::-1])),
    )
    result = write(paths, store)
    assert "'lat' runs the other way in some files: turned round, with what lies along it" in result.notes
    expected = np.concatenate([values(paths[0], "t2m"), values(paths[1], "t2m")[:, ::-1]])
    assert stored(store, "t2m").tobytes() == expected.tobytes()


def noisy(path: Path) -> None:
    day(path, [2, 3], seed=2, grid=grid(lat=LAT + np.array([0, 1e-13, 0, 0])))


def with_bounds(edge: float) -> Callable[[Path], None]:
    edges = np.stack([LAT - 0.5, LAT + 0.5], 1)
    edges[0, 0] += edge

    def made(path: Path) -> None:
        start = 2 if edge else 0
        variables = {
            "time": ("i4", ("time",), [start, start + 1], {"units": shapes.DAYS}),
            **grid(),
            "lat_bnds": ("f8", ("lat", "bnds"), edges, {}),
            "tas": ("f4", ("time", "lat", "lon"), field(2, start), {"units": "K"}),
        }
        make(path, {"time": 2, "lat": Y, "lon": X, "bnds": 2}, variables)

    return made


@pytest.mark.parametrize(
    ("one", "two", "name"),
    [
        pytest.param(lambda path: day(path, [0, 1], seed=1), noisy, "lat", marks=pytest.mark.thorough),
        (with_bounds(0), with_bounds(1e-13), "lat_bnds"),
    ],
)
def test_rounding_of_coordinates(tmp_path: Path, one: Any, two: Any, name: str) -> None:
    paths, store = pair(tmp_path, one, two), tmp_path / "a.zarr"
    text = refused(paths, store)
    assert f"'{name}'" in text
    assert "by up to 9.9e-14" in text
    assert "combine.tolerance 1e-13" in text
    result = write(paths, store, combine={"tolerance": 1e-13})
    assert f"'{name}' is apart by up to 9.9e-14 between files: that of the first is kept" in result.notes
    assert stored(store, name).tobytes() == values(paths[0], name).tobytes(), "those of the first file"
    assert "combine.tolerance" in refused(paths, store, combine={"tolerance": 1e-14})


@pytest.mark.parametrize("combine", [{"static": "first"}, pytest.param({"differing": ["orog"]}, marks=pytest.mark.thorough)])
def test_a_static_field_that_differs(tmp_path: Path, combine: dict[str, Any]) -> None:
    def orography(height: float) -> dict[str, Any]:
        return {"orog": ("f4", ("lat", "lon"), np.full((Y, X), height), {"units": "m"})}

    store = tmp_path / "a.zarr"
    paths = pair(tmp_path, lambda path: day(path, [0, 1], extra=orography(100)), lambda path: day(path, [2, 3], extra=orography(101)))
    text = refused(paths, store)
    assert "'orog' differs" in text
    assert "combine.static first" in text
    assert "combine.differing [orog]" in text
    write(paths, store, combine=combine)
    assert set(stored(store, "orog").ravel()) == {100}


@pytest.mark.thorough
def test_variables_in_files_of_their_own(tmp_path: Path) -> None:
    paths, store = [], tmp_path / "a.zarr"
    for name in ("t2m", "rh"):
        for year in (0, 1):
            paths.append(tmp_path / f"{name}_{year}.nc")
            day(paths[-1], [2 * year, 2 * year + 1], seed=year, name=name)
    text = refused(paths[:3], store)
    assert "'time' is not the same for 'rh'" in text
    assert "the first has no 2020-01-03 00:00:00 to 2020-01-04 00:00:00. Add the files that are missing" in text
    write(paths, store)
    assert stored(store, "rh").tobytes() == laid(paths[2:], "rh").tobytes()
    day(paths[3], [2, 3], name="rh", attrs={"units": "1"})
    assert f"'rh' has units 'K' in {paths[2]} but '1' in {paths[3]}" in refused(paths, tmp_path / "b.zarr")


def test_variables_in_files_of_their_own_repeat_bounds_and_grids(tmp_path: Path) -> None:
    """As those of CMIP6 do, and a height of one value."""
    paths, store = [], tmp_path / "a.zarr"
    for name in ("tas", "pr"):
        for year in (0, 1):
            paths.append(tmp_path / f"{name}_{year}.nc")
            bounds = {"time_bnds": ("f8", ("time", "lat"), np.full((2, Y), year), {}), "height": ("f8", (), 2.0, {"units": "m"})}
            day(paths[-1], [2 * year, 2 * year + 1], seed=year, name=name, extra=bounds)
    write(paths, store)
    assert stored(store, "time_bnds")[:, 0].tolist() == [0, 0, 1, 1]
    assert stored(store, "pr").tobytes() == laid(paths[2:], "pr").tobytes()
    day(
        paths[3],
        [2, 3],
        name="pr",
        extra={"time_bnds": ("f8", ("time", "lat"), np.full((2, Y), 7), {}), "height": ("f8", (), 2.0, {"units": "m"})},
    )
    assert f"'time_bnds' differs between {paths[0]} and {paths[2]}" in refused(paths, tmp_path / "b.zarr")


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    paths, store = pair(tmp_path, lambda path: day(path, [0, 1]), lambda path: day(path, [2, 3])), tmp_path / "a.zarr"
    day(tmp_path / "empty.nc", [])
    text = refused([paths[0], tmp_path / "empty.nc", paths[1]], store)
    assert f"{tmp_path}/empty.nc has no steps along 'time'" in text
    assert "a.nc" not in text
    write(paths, store)


def test_texts_get_as_wide_as_the_widest(tmp_path: Path) -> None:
    store, paths = tmp_path / "a.zarr", [tmp_path / "a.nc", tmp_path / "b.nc"]
    for number, (path, names) in enumerate(zip(paths, (["ab", "c"], ["a much longer name", "d"]), strict=True)):
        width = max(map(len, names))
        letters = np.array([list(name.ljust(width, "\0")) for name in names], "S1")
        variables = {"time": ("i4", ("time",), [2 * number, 2 * number + 1], {}), "station": ("S1", ("time", f"len{width}"), letters, {})}
        make(path, {"time": 2, f"len{width}": width}, variables)
    write(paths, store)
    assert stored(store, "station").tolist() == [b"ab", b"c", b"a much longer name", b"d"]


def test_another_type_of_time_is_called_that(tmp_path: Path) -> None:
    paths = pair(tmp_path, lambda path: day(path, [0, 1], time_type="f4"), lambda path: day(path, [2, 3], time_type="f8"))
    text = refused(paths, tmp_path / "a.zarr")
    assert "'time' has dtype 'float32'" in text
    assert "prepare [{repack: {time: {dtype: float64}}}]" in text
    write(paths, tmp_path / "a.zarr", prepare=[{"repack": {"time": {"dtype": "float64"}}}])
    assert stored(tmp_path / "a.zarr", "time").tolist() == [0, 1, 2, 3]


def test_another_grid_stays_refused(tmp_path: Path) -> None:
    paths = pair(tmp_path, lambda path: day(path, [0, 1]), lambda path: day(path, [2, 3], grid=grid(lon=LON - 180)))
    text = refused(paths, tmp_path / "a.zarr", combine={"tolerance": 1e-6})
    assert "they do not lie on one grid" in text
    assert "tolerance" not in text


@pytest.mark.parametrize(
    ("combine", "words"),
    [
        ({"dim": "time", "value_from": {"attribute": "start"}}, "which has one in .*Leave value_from out"),
        ({"dim": "run", "value_from": {"attribute": "start"}}, "'start', and .* has no such attribute. It has: variant_label"),
        ({"dim": "run", "value_from": {"scalar": "start"}}, "'start', which .* does not have. It has: realization"),
        ({"dim": "run", "value_from": {"scalar": "t2m"}}, "has the shape"),
        ({"dim": "run", "value_from": {"filename": "t2m_{}.nc"}}, "does not fit the pattern"),
        ([{"dim": "run"}, {"dim": "time"}], "has no coordinate 'run'.*combine.value_from"),
    ],
)
def test_where_a_value_is_not_found_the_file_is_named(tmp_path: Path, combine: Any, words: str) -> None:
    with pytest.raises(SourceError, match=words) as error:
        preview(request(tuple(shapes.ensemble(tmp_path)), tmp_path / "a.zarr", combine=combine))
    assert f"{tmp_path}/tas_r" in str(error.value)
