"""Files in the shape of those that people join: of models, satellites, ensembles and archives, with what goes wrong in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

Variables = Mapping[str, tuple[Any, Sequence[str], Any, Mapping[str, Any]]]  # type, dimensions, values, attributes
Y, X = 4, 6
LAT, LON = np.linspace(40, 43, Y), np.linspace(5, 10, X)
DAYS = "days since 2020-01-01"


def make(path: Path, dims: Mapping[str, int], variables: Variables, attrs: Mapping[str, Any] | None = None, unlimited: str = "") -> None:
    with netCDF4.Dataset(path, "w") as file:
        for dim, size in dims.items():
            file.createDimension(dim, None if dim == unlimited else size)
        for name, (kind, where, values, own) in variables.items():
            described = dict(own)
            variable = file.createVariable(name, kind, where, fill_value=described.pop("_FillValue", None))
            variable.set_auto_maskandscale(False)
            variable[...] = values
            variable.setncatts(described)
        file.setncatts(dict(attrs or {}))


def field(steps: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(280, 10, (steps, Y, X)).astype("f4")


def grid(**changed: np.ndarray) -> dict[str, Any]:
    return {
        "lat": ("f8", ("lat",), changed.get("lat", LAT), {"units": "degrees_north"}),
        "lon": ("f8", ("lon",), changed.get("lon", LON), {"units": "degrees_east"}),
    }


def day(
    path: Path, times: Sequence[float], units: str = DAYS, *, seed: int = 0, values: Any = None, extra: Any = None, **other: Any
) -> None:
    """``other``: ``name`` and ``attrs`` of the field, ``grid``, ``time_type``, ``file`` for attributes of the file."""
    steps = len(times)
    values = field(steps, seed) if values is None else values
    variables: dict[str, Any] = {
        "time": (other.get("time_type", "i4"), ("time",), times, {"units": units}),
        **other.get("grid", grid()),
        other.get("name", "t2m"): ("f4", ("time", "lat", "lon"), values, other.get("attrs", {"units": "K"})),
        **(extra or {}),
    }
    make(path, {"time": steps, "lat": Y, "lon": X}, variables, other.get("file"), unlimited="time")


def wrf(folder: Path) -> list[Path]:
    """Without a coordinate along Time."""
    paths = []
    for day_number in (1, 2):
        texts = np.array([list(f"2020-01-0{day_number}_{hour:02}:00:00") for hour in (0, 12)], "S1")
        paths.append(folder / f"wrfout_d01_2020-01-0{day_number}_00:00:00")
        plane, all_of_it = ("south_north", "west_east"), ("Time", "south_north", "west_east")
        variables = {
            "Times": ("S1", ("Time", "DateStrLen"), texts, {}),
            "XLAT": ("f4", all_of_it, np.broadcast_to(np.repeat(LAT[:, None], X, 1), (2, Y, X)), {"units": "degree_north"}),
            "XLONG": ("f4", all_of_it, np.broadcast_to(LON, (2, Y, X)), {"units": "degree_east"}),
            "XTIME": ("f4", ("Time",), np.array([0, 720]) + 1440 * (day_number - 1), {"units": "minutes since 2020-01-01 00:00:00"}),
            "T2": ("f4", all_of_it, field(2, day_number), {"units": "K", "coordinates": "XLONG XLAT XTIME"}),
        }
        sizes = {"Time": 2, "DateStrLen": 19, **dict(zip(plane, (Y, X), strict=True))}
        make(paths[-1], sizes, variables, {"START_DATE": f"2020-01-0{day_number}_00:00:00"}, unlimited="Time")
    return paths


def roms(folder: Path) -> list[Path]:
    """A vertical grid with formula terms, and fields on a curvilinear one."""
    paths, plane = [], ("eta_rho", "xi_rho")
    for number in (0, 1):
        paths.append(folder / f"ocean_his_000{number + 1}.nc")
        seconds = {"units": "seconds since 2006-01-01 00:00:00", "calendar": "proleptic_gregorian"}
        variables = {
            "ocean_time": ("f8", ("ocean_time",), np.array([0, 3600]) + 7200 * number, seconds),
            "s_rho": ("f8", ("s_rho",), np.linspace(-0.8, -0.2, 3), {"formula_terms": "s: s_rho C: Cs_r eta: zeta depth: h depth_c: hc"}),
            "Cs_r": ("f8", ("s_rho",), np.linspace(-0.9, -0.1, 3), {}),
            "hc": ("f8", (), 10.0, {}),
            "h": ("f8", plane, np.full((Y, X), 100.0), {"coordinates": "lon_rho lat_rho"}),
            "lon_rho": ("f8", plane, np.broadcast_to(LON, (Y, X)), {}),
            "lat_rho": ("f8", plane, np.repeat(LAT[:, None], X, 1), {}),
            "zeta": ("f4", ("ocean_time", *plane), field(2, number), {"coordinates": "lon_rho lat_rho", "_FillValue": np.float32(1e37)}),
        }
        sizes = {"ocean_time": 2, "s_rho": 3, "eta_rho": Y, "xi_rho": X}
        make(paths[-1], sizes, variables, {"history": f"run {number}"}, unlimited="ocean_time")
    return paths


def goes(folder: Path) -> list[Path]:
    """Scenes whose time is a variable of one value, an attribute, and in the name."""
    paths = []
    for minute in (0, 10):
        paths.append(folder / f"OR_ABI-L2-CMIPF-M6C13_G16_s202016210{minute:02}206_e2020162100951_c1.nc")
        since = {"units": "seconds since 2000-01-01 12:00:00", "standard_name": "time", "bounds": "time_bounds"}
        begin = 645_058_800.0 + 60 * minute
        variables = {
            "y": ("i2", ("y",), np.arange(Y), {"scale_factor": -5.6e-05, "add_offset": 0.15, "units": "rad"}),
            "x": ("i2", ("x",), np.arange(X), {"scale_factor": 5.6e-05, "add_offset": -0.15, "units": "rad"}),
            "t": ("f8", (), begin, since),
            "time_bounds": ("f8", ("number_of_time_bounds",), [begin - 30, begin + 30], {}),
            "band_id": ("i1", ("band",), [13], {"units": "1"}),
            "goes_imager_projection": ("i4", (), -2147483647, {"grid_mapping_name": "geostationary", "sweep_angle_axis": "x"}),
            "valid_pixel_count": ("i4", (), 20 + minute, {}),
            "CMI": ("i2", ("y", "x"), field(1, minute)[0], {"coordinates": "band_id t y x", "grid_mapping": "goes_imager_projection"}),
        }
        sizes = {"y": Y, "x": X, "number_of_time_bounds": 2, "band": 1}
        make(paths[-1], sizes, variables, {"time_coverage_start": f"2020-06-10T10:{minute:02}:20.6Z", "platform_ID": "G16"})
    return paths


def ensemble(folder: Path, years: int = 1) -> list[Path]:
    """Members that a variable of one value, an attribute and the name tell; each in files by time where there are several ``years``."""
    paths = []
    for member in (1, 2):
        for year in range(years):
            paths.append(folder / (f"tas_r{member}i1p1f1.nc" if years == 1 else f"tas_r{member}i1p1f1_{2020 + year}.nc"))
            scalar = {"realization": ("i4", (), member, {"standard_name": "realization"})}
            attrs, own = {"units": "K", "coordinates": "realization"}, {"variant_label": f"r{member}i1p1f1"}
            day(paths[-1], [2 * year, 2 * year + 1], seed=10 * member + year, extra=scalar, attrs=attrs, file=own)
    return paths


def pair(folder: Path, one: Callable[[Path], object], two: Callable[[Path], object]) -> list[Path]:
    """Two files, a.nc and b.nc."""
    one(folder / "a.nc")
    two(folder / "b.nc")
    return [folder / "a.nc", folder / "b.nc"]


def values(path: Path, name: str) -> np.ndarray:
    """What another library than the writer's reads: netCDF4 alone, nothing decoded."""
    with netCDF4.Dataset(path) as file:
        file.set_auto_maskandscale(False)
        return np.asarray(file[name][...])
