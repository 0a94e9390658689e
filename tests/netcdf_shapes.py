# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""More of ``shapes``: NetCDF files that have to be prepared before they are joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
from shapes import LAT, LON, X, Y, grid

Variable = tuple[Any, tuple[str, ...], Any, Mapping[str, Any]]  # dtype, dimensions, values, attributes
GRID: dict[str, Variable] = grid()


def make(
    path: Path,
    dims: Mapping[str, int],
    variables: Mapping[str, Variable],
    attrs: Mapping[str, Any] | None = None,
    unlimited: Sequence[str] = (),
    chunks: Mapping[str, Sequence[int]] | None = None,
    **options: Any,
) -> Path:
    """A file with these dimensions, variables and attributes; values are stored as they are given.

    ``chunks`` are by variable, ``options`` for each that has dimensions.
    """
    with netCDF4.Dataset(path, "w") as file:
        for name, size in dims.items():
            file.createDimension(name, None if name in unlimited else size)
        for name, (dtype, where, values, given) in variables.items():
            own = dict(given)
            how = {**(options if where else {}), **({"chunksizes": chunks[name]} if chunks and name in chunks else {})}
            variable = file.createVariable(name, dtype, where, fill_value=own.pop("_FillValue", None), **how)
            variable.set_auto_maskandscale(False)
            variable[...] = values
            variable.setncatts(own)
        file.setncatts(dict(attrs or {}))
    return path


def field(steps: int, seed: int = 0) -> np.ndarray:
    """Temperatures on the grid, of so many times."""
    return np.random.default_rng(seed).normal(280, 10, (steps, Y, X)).astype("f4")


def days(path: Path, times: Sequence[float], units: str = "days since 2020-01-01", **more: Any) -> Path:
    """Temperatures at these times; ``more`` is what is otherwise: time (its dtype), dtype, dims and so on."""
    count = len(times)
    values = more.get("values", field(count, more.get("seed", 0)))
    variables = {
        "time": (more.get("time", "i4"), ("time",), times, {"units": units, **more.get("time_attrs", {})}),
        **more.get("grid", GRID),
        more.get("name", "t2m"): (
            more.get("dtype", "f4"),
            more.get("dims", ("time", "lat", "lon")),
            values,
            more.get("attrs", {"units": "K"}),
        ),
        **more.get("extra", {}),
    }
    return make(
        path, {"time": count, "lat": Y, "lon": X, **more.get("sizes", {})}, variables, unlimited=("time",), chunks=more.get("chunks")
    )


def packed(path: Path, times: Sequence[float], scale: float, offset: float, seed: int = 0) -> Path:
    """Temperatures as short integers, as ERA5 was packed: each file with parameters of its own."""
    values = np.rint((field(len(times), seed).astype("f8") - offset) / scale).clip(-32760, 32760).astype("i2")
    values[0, 0, 0] = -32767
    fill = {"_FillValue": np.int16(-32767), "missing_value": np.int16(-32767)}
    return days(path, times, dtype="i2", values=values, attrs={"units": "K", "scale_factor": scale, "add_offset": offset, **fill})


def mpas(folder: Path) -> None:
    """A mesh of cells, and times that are text, or in the name."""
    for day in (1, 2):
        text = f"2020-01-0{day}_06:00:00"
        make(
            folder / f"history.{text.replace(':', '.')}.nc",
            {"Time": 1, "nCells": 5, "StrLen": 19},
            {
                "xtime": ("S1", ("Time", "StrLen"), np.array([list(text)], "S1"), {}),
                "latCell": ("f8", ("nCells",), np.linspace(-1, 1, 5), {"units": "rad"}),
                "t2m": ("f4", ("Time", "nCells"), np.arange(5.0)[None] + day, {"units": "K"}),
            },
            unlimited=("Time",),
        )


def modis(folder: Path) -> None:
    """Granules with a dimension for their one band, whose dimensions have other names in each version."""
    for number, dims in enumerate((("Cell_Along_Swath", "Cell_Across_Swath"), ("nscans", "npixels"))):
        line = np.arange(3.0) + 3 * number
        make(
            folder / f"MYD021KM.A2020001.00{5 * number:02}.nc",
            {"band": 1, dims[0]: 3, dims[1]: X},
            {
                "Latitude": ("f4", dims, np.broadcast_to(line[:, None], (3, X)), {"units": "degrees_north"}),
                "Longitude": ("f4", dims, np.broadcast_to(np.arange(X), (3, X)), {"units": "degrees_east"}),
                "sst": ("i2", ("band", *dims), np.arange(18).reshape(1, 3, X), {"scale_factor": 0.01, "coordinates": "Latitude Longitude"}),
            },
        )


def era5(folder: Path) -> None:
    """Packed with a scale of its own in each; the second one has ERA5 and ERA5T along expver."""
    places = {"latitude": ("f4", ("latitude",), LAT[::-1], {}), "longitude": ("f4", ("longitude",), LON, {})}
    for number, (scale, offset) in enumerate(((0.001, 280.0), (0.0013, 284.5))):
        stored = np.rint((field(2, number).astype("f8") - offset) / scale).clip(-32760, 32760)
        dims: tuple[str, ...] = ("time", "latitude", "longitude")
        extra: dict[str, Variable] = {}
        if number:
            dims = ("time", "expver", "latitude", "longitude")
            stored = np.stack([stored, np.full_like(stored, -32767)], 1)
            extra = {"expver": ("i4", ("expver",), [1, 5], {})}
        fill = {"_FillValue": np.int16(-32767), "missing_value": np.int16(-32767)}
        attrs = {"units": "K", "scale_factor": scale, "add_offset": offset, **fill}
        times = {"units": "hours since 1900-01-01 00:00:00.0", "calendar": "gregorian"}
        make(
            folder / f"2020{number + 1:02}.nc",
            {"time": 2, "expver": 2, "latitude": Y, "longitude": X},
            {"time": ("i4", ("time",), np.array([0, 1]) + 2 * number, times), **places, **extra, "t2m": ("i2", dims, stored, attrs)},
        )


def era5_new(folder: Path) -> None:
    """Of the new Climate Data Store: number is one value, expver a text for each time."""
    for number, version in enumerate(("0001", "0005")):
        times = 1577836800 + 86400 * (np.arange(2) + 2 * number)
        make(
            folder / f"{number}.nc",
            {"valid_time": 2, "latitude": Y, "longitude": X},
            {
                "number": ("i8", (), 0, {"standard_name": "realization"}),
                "valid_time": ("i8", ("valid_time",), times, {"units": "seconds since 1970-01-01", "calendar": "proleptic_gregorian"}),
                "latitude": ("f8", ("latitude",), LAT[::-1], {}),
                "longitude": ("f8", ("longitude",), LON, {}),
                "expver": (str, ("valid_time",), np.array([version] * 2, object), {}),
                "t2m": (
                    "f4",
                    ("valid_time", "latitude", "longitude"),
                    field(2, number),
                    {"units": "K", "_FillValue": np.float32(np.nan), "coordinates": "number valid_time latitude longitude expver"},
                ),
            },
            {"history": f"2024-08-1{number}"},
        )


def cmip6(folder: Path) -> None:
    """Times in months, bounds that differ in their last digit, a field the other way round, and identifiers of each file."""
    for number, units in enumerate(("months since 1850-01-01", "days since 1850-03-01")):
        edges = np.stack([LAT - 0.5, LAT + 0.5], 1) + 1e-14 * number
        turned = (
            {"dims": ("lat", "lon", "time"), "values": np.moveaxis(field(2, 1), 0, -1), "time": "f8"} if number else {"values": field(2)}
        )
        days(
            folder / f"tas_Amon_M_historical_r1i1p1f1_gn_1850{2 * number + 1:02}.nc",
            [0, 31] if number else [0, 1],
            units,
            name="tas",
            sizes={"bnds": 2},
            grid={**GRID, "lat": ("f8", ("lat",), LAT, {"units": "degrees_north", "bounds": "lat_bnds"})},
            extra={"lat_bnds": ("f8", ("lat", "bnds"), edges, {})},
            file={"tracking_id": f"hdl:{number}", "creation_date": f"2019-0{number + 1}"},
            **turned,
        )
