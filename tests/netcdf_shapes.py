# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Small NetCDF files in the shape of those that models, satellites and archives give out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

Y, X = 4, 6
LAT, LON = np.linspace(40, 43, Y), np.linspace(5, 10, X)
Variable = tuple[Any, tuple[str, ...], Any, Mapping[str, Any]]  # dtype, dimensions, values, attributes
GRID: dict[str, Variable] = {
    "lat": ("f8", ("lat",), LAT, {"units": "degrees_north"}),
    "lon": ("f8", ("lon",), LON, {"units": "degrees_east"}),
}


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
    """Temperatures at these times; ``more`` is what is otherwise: dtype, dims, values, attrs, time (its dtype), time_attrs, extra, name."""
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
