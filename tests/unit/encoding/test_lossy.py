"""Lossy filters and missing values."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from writing import opens, request
from zarrstream.commands.write import write_dataset
from zarrstream.encoding.codecs import parse_encoding
from zarrstream.errors import SourceError

pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")

LOSSY = [
    {"filters": [{"name": "bitround", "keepbits": 3}]},
    {"filters": [{"name": "quantize", "digits": 1}]},
    {"filters": [{"name": "fixedscaleoffset", "offset": 0, "scale": 1, "astype": "i2"}]},
    {"filters": ["delta"]},
]


@pytest.mark.parametrize("encoding", LOSSY[:3])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_lossy_filters_that_spoil_missing_values_are_refused(tmp_path: Path, encoding: Any, zarr_format: Any) -> None:
    values, fill = np.linspace(0, 30, 20, dtype="f4"), -9999.1
    values[3] = fill
    xr.Dataset({"t": ("x", values, {"_FillValue": np.float32(fill)})}).to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    wanted = request(tmp_path / "a.nc", tmp_path / "a.zarr", encoding={"t": encoding}, zarr_format=zarr_format)
    with pytest.raises(SourceError, match=r"the missing value .* of 't' would be read as .*Set encoding\.t\._FillValue to NaN") as error:
        write_dataset(wanted)
    assert "\n" not in str(error.value)
    assert not opens(tmp_path / "a.zarr")
    if "astype" not in encoding["filters"][0]:  # integers have no NaN
        packed = dataclasses.replace(
            wanted, encodings=parse_encoding({"t": {**encoding, "dtype": "float32", "_FillValue": "NaN"}}), verify="full"
        )
        write_dataset(packed)
        with xr.open_zarr(tmp_path / "a.zarr") as found:
            assert np.isnan(found.t.values).tolist() == [number == 3 for number in range(20)]


def test_a_value_that_rounds_to_the_fill_value_is_refused(tmp_path: Path) -> None:
    xr.Dataset({"t": ("x", np.array([1, 1023, 1024], "f4"), {"_FillValue": np.float32(1024)})}).to_netcdf(tmp_path / "a.nc")
    wanted = request(tmp_path / "a.nc", tmp_path / "a.zarr", encoding={"t": {"filters": [{"name": "bitround", "keepbits": 2}]}})
    with pytest.raises(SourceError, match=r"the value 1023\.0 of 't' would be read as 1024\.0, which means missing"):
        write_dataset(wanted)


def test_differences_of_floats_do_not_spread_missing_values(tmp_path: Path) -> None:
    xr.Dataset({"t": ("x", np.array([1, np.nan, 3], "f4"))}).to_netcdf(tmp_path / "a.nc")
    with pytest.raises(SourceError, match=r"the value 3\.0 of 't' would be read as nan, which means missing"):
        write_dataset(request(tmp_path / "a.nc", tmp_path / "a.zarr", encoding={"t": LOSSY[3]}))


def test_a_fill_value_that_survives_is_let_through(tmp_path: Path) -> None:
    fill = np.float32(9.96921e36)  # NetCDF's own, whose mantissa is mostly zeros
    xr.Dataset({"t": ("x", np.array([1.5, fill, 3.3], "f4"), {"_FillValue": fill})}).to_netcdf(tmp_path / "a.nc")
    write_dataset(request(tmp_path / "a.nc", tmp_path / "a.zarr", encoding={"t": LOSSY[0]}, verify="full"))
    with xr.open_zarr(tmp_path / "a.zarr") as found:
        assert np.isnan(found.t.values).tolist() == [False, True, False]
