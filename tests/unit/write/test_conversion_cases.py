"""What people reported of other converters, by the numbers of their public reports: a faithful copy, or a refusal whose way out works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr
from corpus.independent import differences, read_file, read_store
from corpus.readers import xarray_problem
from writing import request
from zarrstream.commands.write import write_dataset
from zarrstream.errors import SourceError

pytestmark = pytest.mark.filterwarnings("ignore")
DIMS = ("time", "y", "x")
SIZES = {"time": 2, "y": 3, "x": 4}
DAYS = {"units": "days since 2020-01-01"}
FIELD = np.linspace(270, 290, 24, dtype="f4").reshape(2, 3, 4)


def netcdf(path: Path, variables: dict[str, Any], attributes: dict[str, Any] | None = None, kind: str = "NETCDF4", **sizes: int) -> Path:
    """A file of variables, each its dimensions, values and attributes; ``_FillValue`` among these."""
    with netCDF4.Dataset(path, "w", format=kind) as file:
        for name, size in {**SIZES, **sizes}.items():
            file.createDimension(name, None if name == "time" else size)
        for name, (dims, values, own) in variables.items():
            values = np.asarray(values)
            variable = file.createVariable(name, str if values.dtype == object else values.dtype, dims, fill_value=own.get("_FillValue"))
            variable.set_auto_maskandscale(False)
            variable[...] = values
            variable.setncatts({key: value for key, value in own.items() if key != "_FillValue"})
        file.setncatts(attributes or {})
    return path


def field(values: Any = FIELD, **attributes: Any) -> dict[str, Any]:
    """A variable `t` along time, y and x, with its times."""
    return {"time": (("time",), np.arange(2, dtype="i4"), DAYS), "t": (DIMS, values, attributes)}


def hdf5(path: Path, **values: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, value in values.items():
            file[name] = value
    return path


def two_d_named_like_dimension(path: Path) -> Path:
    """Sigma layers that vary from node to node (xarray 2233, 2368)."""
    layers = (("siglay", "node"), -np.arange(15, dtype="f4").reshape(3, 5) / 15, {"positive": "up"})
    return netcdf(path, {"siglay": layers, "temp": (("siglay", "node"), np.arange(15.0).reshape(3, 5), {})}, siglay=3, node=5)


def nan_payload(path: Path) -> Path:
    """The bits of a NaN, a denormal, and minus zero."""
    bits = FIELD.copy().view("u4")
    bits[0, 0] = 0x7FC00123, 0xFFC00001, 1, 0x80000000
    return netcdf(path, field(bits.view("f4")))


def mask(path: Path) -> Path:
    """0 is a value, and in `m0` the missing one."""
    zero = np.zeros((2, 3, 4), "i1")
    return netcdf(path, {**field(zero), "m0": (DIMS, zero, {"_FillValue": np.int8(0)}), "f": (DIMS, zero.astype("f4"), {})})


def with_dimensions_as_attribute(path: Path) -> Path:
    """A file that was made from Zarr: it says itself what Zarr v2 would say."""
    netcdf(path, field(xARRAY_DIMENSIONS=" ".join(DIMS)), kind="NETCDF3_CLASSIC")
    path.write_bytes(path.read_bytes().replace(b"xARRAY_DIM", b"_ARRAY_DIM"))
    return path


PACKED = {"scale_factor": np.float32(0.01), "add_offset": np.float32(273.15), "_FillValue": np.int16(-1)}
SHORTS = np.arange(24, dtype="i2").reshape(2, 3, 4)
TYPES = {"i1": np.int8(-1), "u8": np.uint64(2**64 - 1), "i8": np.int64(-(2**63)), "f4": np.float32(0.1), "list": np.array([1, 2], "i2")}
WORDS = {"empty": "", "strings": ["a", "b"], "dtype": "int16", "chunks": np.array([1, 2], "i4"), "zarr_format": np.int32(1)}
FAITHFUL: dict[str, Callable[[Path], Path]] = {
    "year_zero": lambda path: netcdf(path, {"time": (("time",), [366.0, 1096.485], {"units": "hours since 0000-01-01 00:00:00"})}),
    "far_future": lambda path: netcdf(path, {"time": (("time",), [0, 10**9], {"units": "days since 1970-01-01"})}),
    "time_missing": lambda path: netcdf(path, {"time": (("time",), np.array([0, -9999], "i4"), {**DAYS, "_FillValue": np.int32(-9999)})}),
    "months_since": lambda path: netcdf(path, {"time": (("time",), [0, 1], {"units": "months since 1990-01-01"})}),
    "timedelta": lambda path: netcdf(path, {"lead": (("time",), np.array([6, 12], "i4"), {"units": "hours", "_FillValue": np.int32(-1)})}),
    "bools": lambda path: hdf5(path, mask=np.array([[True, False], [False, True]])),
    "nan_payload": nan_payload,
    "two_d_named_like_dimension_xarray_2233_2368": two_d_named_like_dimension,
    "fill_zero": mask,
    "float32_scale": lambda path: netcdf(path, field(SHORTS, **PACKED)),
    "fill_type_differs": lambda path: netcdf(path, field(missing_value=1e20, valid_min="0"), kind="NETCDF3_CLASSIC"),
    "missing_text": lambda path: netcdf(path, field(missing_value="NaN")),
    "two_missing_values": lambda path: netcdf(path, field(_FillValue=np.float32(1e20), missing_value=np.array([-999, -888], "f4"))),
    "attribute_types_zarr_156_481": lambda path: netcdf(path, field(**TYPES, **WORDS), {"title": "Zürich ☃", "coordinates": "y x"}),
    "array_dimensions_attribute": with_dimensions_as_attribute,
    "empty_unlimited": lambda path: netcdf(path, {"time": (("time",), np.zeros(0, "i4"), DAYS), "t": (DIMS, np.zeros((0, 3, 4)), {})}),
    "odd_names": lambda path: netcdf(path, {name: (("x",), np.arange(4), {}) for name in ("höhe über NN", "T (2m)", "c", "100%", "__x")}),
}


@pytest.mark.parametrize("name", FAITHFUL)
def test_a_faithful_copy(tmp_path: Path, name: str) -> None:
    source = FAITHFUL[name](tmp_path / "a.nc")
    write_dataset(request(source, tmp_path / "a.zarr"))
    assert differences(read_file(source), read_store(tmp_path / "a.zarr")) == []
    assert xarray_problem(source, tmp_path / "a.zarr", [""]) == ""


def a_compound(path: Path) -> Path:
    netcdf(path, field())
    with netCDF4.Dataset(path, "a") as file:
        pair = file.createCompoundType(np.dtype([("a", "i4"), ("b", "f8")]), "pair")
        file.createVariable("pairs", pair, ("time",))[:] = np.array([(1, 2.0), (3, 4.0)], pair.dtype)
    return path


def complex_numbers(path: Path) -> Path:
    return hdf5(path, slc=(np.arange(6) + 1j).astype("c8"), t=np.arange(3))


@pytest.mark.parametrize(("make", "variable"), [(a_compound, "pairs"), (complex_numbers, "slc")])
def test_what_is_no_number_is_named_and_the_others_are_written_as_the_refusal_says(
    tmp_path: Path, make: Callable[[Path], Path], variable: str
) -> None:
    source = make(tmp_path / "a.nc")
    with pytest.raises(SourceError, match=f"'{variable}' has .* Leave it out: name the others in 'variables'"):
        write_dataset(request(source, tmp_path / "a.zarr"))
    assert not (tmp_path / "a.zarr").exists()
    write_dataset(request(source, tmp_path / "a.zarr", variables=["t"]))
    assert "t" in read_store(tmp_path / "a.zarr").variables


def test_float16_is_refused_and_a_file_of_the_others_is_written_as_the_refusal_says(tmp_path: Path) -> None:
    source = hdf5(tmp_path / "a.h5", half=np.arange(6, dtype="f2"), t=np.arange(3))
    with pytest.raises(SourceError, match=r"'half' is of floats of 16 bits.*copy the other data sets to a file of their own"):
        write_dataset(request(source, tmp_path / "a.zarr"))
    with h5py.File(source) as file, h5py.File(tmp_path / "b.h5", "w") as others:
        file.copy("t", others)
    write_dataset(request(tmp_path / "b.h5", tmp_path / "a.zarr"))
    assert read_store(tmp_path / "a.zarr").variables["t"].values.tolist() == [0, 1, 2]


@pytest.mark.parametrize("text", ["<!DOCTYPE html><html>503 Service Unavailable</html>", ""])
def test_a_failed_download_among_the_files_is_named(tmp_path: Path, text: str) -> None:
    netcdf(tmp_path / "a.nc", field())
    (tmp_path / "b.nc").write_text(text)
    with pytest.raises(SourceError, match=r"b\.nc' is neither NetCDF nor HDF5"):
        write_dataset(request((tmp_path / "a.nc", tmp_path / "b.nc"), tmp_path / "a.zarr"))
    write_dataset(request(tmp_path / "a.nc", tmp_path / "a.zarr"))


@pytest.mark.parametrize("name", ["zarr.json", ".zarray"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_name_that_zarr_has_for_its_documents_is_refused_before_anything_is_written(tmp_path: Path, name: str, zarr_format: int) -> None:
    source = hdf5(tmp_path / "a.h5", **{name: np.arange(3), "t": np.arange(3)})
    with pytest.raises(SourceError, match=f"'{name}' is what Zarr calls a document"):
        write_dataset(request(source, tmp_path / "a.zarr", zarr_format=zarr_format))
    assert not (tmp_path / "a.zarr").exists()
    write_dataset(request(source, tmp_path / "a.zarr", zarr_format=zarr_format, variables=["t"]))


def several(folder: Path, make: Callable[[int], dict[str, Any]], number: int = 2) -> tuple[Path, ...]:
    return tuple(netcdf(folder / f"{file}.nc", make(file)) for file in range(number))


def at(file: int, values: Any = FIELD, units: str = DAYS["units"], **more: Any) -> dict[str, Any]:
    """The two days of a file among several."""
    return {"time": (("time",), np.arange(2, dtype="i4") + 2 * file, {"units": units}), "t": (DIMS, values, {}), **more}


def test_units_drift_xarray_5969_3942(tmp_path: Path) -> None:
    files = several(tmp_path, lambda file: {**at(0, FIELD + file, f"days since 2020-01-0{1 + 2 * file}")})
    write_dataset(request(files, tmp_path / "a.zarr"))
    with xr.open_zarr(tmp_path / "a.zarr", chunks=None) as store:
        assert [str(day)[:10] for day in store.time.values] == [f"2020-01-0{day}" for day in (1, 2, 3, 4)]
        assert np.array_equal(store.t, np.concatenate([FIELD, FIELD + 1]))


def test_longer_strings_xarray_2789_sgkit_71(tmp_path: Path) -> None:
    names = (["ab", "c"], ["a much longer name", "d"])
    files = several(tmp_path, lambda file: at(file, station=(("time",), np.array(names[file], object), {})))
    write_dataset(request(files, tmp_path / "a.zarr"))
    with xr.open_zarr(tmp_path / "a.zarr", chunks=None) as store:
        assert [str(name) for name in store.station.values] == ["ab", "c", "a much longer name", "d"]


def test_variable_per_file(tmp_path: Path) -> None:
    files = several(tmp_path, lambda file: {**at(file // 2), **({"rh": (DIMS, FIELD, {})} if file % 2 else {})}, 4)
    for file in files[1::2]:
        with netCDF4.Dataset(file, "a") as opened:
            opened.renameVariable("t", "dew")
    write_dataset(request(files, tmp_path / "a.zarr"))
    with xr.open_zarr(tmp_path / "a.zarr", chunks=None) as store:
        assert {name: store[name].shape[0] for name in store.data_vars} == {"t": 4, "rh": 4, "dew": 4}


def test_ensemble_dimension(tmp_path: Path) -> None:
    """Tiles of member and time."""

    def tile(number: int) -> dict[str, Any]:
        member, part = divmod(number, 2)
        values = np.full((1, 2), number, "f4")
        return {"member": (("member",), [member], {}), "time": at(part)["time"], "t": (("member", "time"), values, {})}

    files = tuple(netcdf(tmp_path / f"{number}.nc", tile(number), member=1) for number in range(4))
    write_dataset(request(files, tmp_path / "a.zarr"))
    assert read_store(tmp_path / "a.zarr").variables["t"].values.tolist() == [[0, 0, 1, 1], [2, 2, 3, 3]]


def test_roms(tmp_path: Path) -> None:
    """History files: 2-D positions, formula terms, no coordinates of xi and eta; each has a history of its own."""
    files = several(
        tmp_path,
        lambda file: {
            **at(file, zeta=(DIMS, FIELD + file, {"coordinates": "lon lat time", "_FillValue": np.float32(1e37)})),
            "lon": (("y", "x"), FIELD[0], {}),
            "lat": (("y", "x"), FIELD[1], {}),
            "hc": ((), 10.0, {}),
        },
    )
    write_dataset(request(files, tmp_path / "a.zarr"))
    with xr.open_zarr(tmp_path / "a.zarr", chunks=None) as store:
        assert store.zeta.shape == (4, 3, 4)
        assert store.lon.dims == store.lat.dims == ("y", "x")
        assert {"lon", "lat"} <= set(store.zeta.coords)


def test_variable_in_some_nc2zarr_59(tmp_path: Path) -> None:
    files = several(tmp_path, lambda file: at(file, **({"rh": (DIMS, FIELD, {})} if file else {})))
    with pytest.raises(SourceError, match=r"'rh' is in .*1\.nc but not in .*0\.nc"):
        write_dataset(request(files, tmp_path / "a.zarr"))
