# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Stores opened by others: plain xarray, which has to see what it sees in the source, and tensorstore, which shares no code with Zarr's."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

NOT_INSTALLED = "not installed"
KINDS = "biufc"  # of values that tensorstore has too; text it has not
# What tensorstore does not take; docs/readers.md has it, and `portable` writes otherwise or refuses.
LIMITS = ('extra members: "checksum"', "Dimension label(s)")


def xarray_problem(source: Path, store: Path, groups: list[str]) -> str:
    """What plain xarray makes of a store otherwise than of its source, or ''. What it cannot open as a source it need not open decoded."""
    for group in groups:
        one, other = _opened(source, group, "netcdf4"), _opened(store, group, "zarr")
        if isinstance(one, str):
            try:
                with xr.open_dataset(store, engine="zarr", group=group or None, decode_cf=False) as plain:
                    plain.load()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
                return f"xarray /{group}: not even undecoded: {error}"
        elif isinstance(other, str):
            return f"xarray /{group}: {other}"
        elif told := _differ(one, other):
            return f"xarray /{group}: {told}"
    return ""


def _opened(path: Path, group: str, engine: str) -> xr.Dataset | str:
    try:
        with xr.open_dataset(path, engine=engine, group=group or None, decode_timedelta=False) as dataset:
            return dataset.load()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return f"{type(error).__name__}: {error}"


def _differ(source: xr.Dataset, stored: xr.Dataset) -> str:
    if source.variables.keys() != stored.variables.keys() or source.coords.keys() != stored.coords.keys():
        return f"variables {sorted(source.variables)} with coordinates {sorted(source.coords)}, not those of the store"
    for name, variable in source.variables.items():
        one, other = variable.values, stored.variables[name].values
        if one.shape != other.shape or not _equal(one, other):
            return f"{name} decodes to other values"
    return ""


def _equal(one: np.ndarray, other: np.ndarray) -> bool:
    if one.dtype.kind == other.dtype.kind == "f":
        if one.dtype == other.dtype:
            return np.array_equal(one, other, equal_nan=True)
        largest = float(np.max(np.abs(one[np.isfinite(one)]), initial=0))
        return np.allclose(
            one, other, rtol=0, atol=1e-6 * largest, equal_nan=True
        )  # JSON does not tell a float32 scale_factor from a float64
    if one.dtype.kind == other.dtype.kind == "M":
        return np.array_equal(one.astype("M8[ns]").view("i8"), other.astype("M8[ns]").view("i8"))
    return [_shown(value) for value in one.ravel()] == [_shown(value) for value in other.ravel()]


def _shown(value: Any) -> str:
    return value.decode("utf-8", "replace").rstrip("\0") if isinstance(value, bytes) else str(value)


def tensorstore_problem(store: Path, zarr_format: int) -> tuple[str, int, int]:
    """What tensorstore reads otherwise than zarr-python, or ''; how many arrays it read, and how many it has no way to read."""
    if find_spec("tensorstore") is None:
        return NOT_INSTALLED, 0, 0
    import tensorstore

    read = unknown = 0
    for name, array in zarr.open_group(store, mode="r").members(max_depth=None):
        if isinstance(array, zarr.Group):
            continue
        values = np.asarray(array[...])
        if values.dtype.kind not in KINDS:
            unknown += 1
            continue
        where = {"driver": "file", "path": f"{store / name}/"}
        try:
            opened = tensorstore.open({"driver": "zarr3" if zarr_format == 3 else "zarr", "kvstore": where}, read=True).result()
            found = np.asarray(opened.read().result())
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            if not any(limit in str(error) for limit in LIMITS):
                return f"tensorstore {name}: {error}", read, unknown
            unknown += 1
            continue
        if found.dtype != values.dtype or found.tobytes() != values.tobytes():
            return f"tensorstore {name}: other values", read, unknown
        read += 1
    return "", read, unknown
