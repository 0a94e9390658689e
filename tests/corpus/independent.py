# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is in a file and in a store, read by netCDF4, h5py and zarr-python without any of our code, and what differs."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import zarr

NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": -float("inf")}
ADDED = {"flag_values", "flag_meanings", "_ARRAY_DIMENSIONS"}  # CF's words for an enumeration of NetCDF; Zarr v2's for dimensions


@dataclass(frozen=True)
class Variable:
    """Values as they are stored, with the names of their dimensions."""

    dims: tuple[str, ...]
    values: np.ndarray
    attributes: dict[str, Any]
    fill: Any = None  # of a Zarr array


@dataclass(frozen=True)
class Contents:
    """Variables and attributes of groups, by path."""

    variables: dict[str, Variable] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)


def read_file(path: Path) -> Contents:
    """A NetCDF or HDF5 file."""
    contents = Contents()
    with netCDF4.Dataset(path) as file:
        for name, group in _groups(file):
            contents.groups[name] = _attributes(group)
            for own, variable in group.variables.items():
                contents.variables[f"{name}/{own}".lstrip("/")] = _variable(variable)
    if h5py.is_hdf5(path):
        with h5py.File(path, "r") as file:
            for name, variable in contents.variables.items():
                contents.variables[name] = _by_extent(file, name, variable)
    return contents


def _groups(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    yield path, group
    for name, below in group.groups.items():
        yield from _groups(below, f"{path}/{name}".lstrip("/"))


def _attributes(owner: Any) -> dict[str, Any]:
    """The attributes of a group or variable; text that is no UTF-8 is Latin-1."""
    return {name: _text(owner, name, _plain(owner.getncattr(name))) for name in owner.ncattrs()}


def _text(owner: Any, name: str, value: Any) -> Any:
    return _plain(owner.getncattr(name, encoding="latin-1")) if isinstance(value, str) and "\ufffd" in value else value


def _variable(variable: Any) -> Variable:
    variable.set_auto_maskandscale(False)
    with suppress(AttributeError):
        variable.set_auto_chartostring(False)
    return Variable(tuple(variable.dimensions), np.asarray(variable[...]), _attributes(variable))


def _by_extent(file: Any, name: str, variable: Variable) -> Variable:
    """The same by h5py, where that knows better: the library of NetCDF reads memory where a data set is shorter than its dimension."""
    stored = file.get(name)
    numbers = isinstance(stored, h5py.Dataset) and stored.dtype.kind in "iuf" and variable.values.dtype.kind in "iuf"
    if not numbers or stored.ndim != variable.values.ndim:
        return variable
    values = np.full(variable.values.shape, stored.fillvalue, stored.dtype.newbyteorder("="))
    values[tuple(slice(size) for size in stored.shape)] = stored[()]
    return Variable(variable.dims, values, variable.attributes)


def read_store(path: Path) -> Contents:
    """A Zarr store."""
    contents = Contents()
    root = zarr.open_group(path, mode="r")
    for name, node in [("", root), *root.members(max_depth=None)]:
        attributes = {str(key): value for key, value in node.attrs.asdict().items()}
        if isinstance(node, zarr.Group):
            contents.groups[name] = attributes
        else:
            metadata: Any = node.metadata
            dims = getattr(metadata, "dimension_names", None) or attributes.get("_ARRAY_DIMENSIONS") or ()
            contents.variables[name] = Variable(tuple(dims), np.asarray(node[...]), attributes, _plain(metadata.fill_value))
    return contents


def differences(source: Contents, stored: Contents) -> list[str]:
    """What a store has otherwise than its source."""
    told = [f"{name}: only in one of them" for name in sorted(source.variables.keys() ^ stored.variables.keys())]
    told += [f"group {name}: only in one of them" for name in sorted(source.groups.keys() ^ stored.groups.keys())]
    for name in sorted(source.variables.keys() & stored.variables.keys()):
        told += [f"{name}: {text}" for text in _variable_differs(source.variables[name], stored.variables[name])]
    for name in sorted(source.groups.keys() & stored.groups.keys()):
        told += [f"group /{name}: {text}" for text in _attributes_differ(source.groups[name], stored.groups[name])]
    return told


def _variable_differs(source: Variable, stored: Variable) -> list[str]:
    source = _joined(source, stored.values.ndim)
    told = [f"dimensions {source.dims} are {stored.dims}"] if source.dims != stored.dims else []
    if source.values.shape != stored.values.shape:
        return [*told, f"shape {source.values.shape} is {stored.values.shape}"]
    told += [_values_differ(source.values, stored.values)]
    own = dict(source.attributes)
    fill = own.pop("_FillValue", None)
    if fill is not None and not any(_same(fill, value) for value in _fills(stored)):
        told.append(f"_FillValue {fill!r} is {stored.attributes.get('_FillValue')!r}, fill_value {stored.fill!r}")
    theirs = {name: value for name, value in stored.attributes.items() if name != "_FillValue"}
    return [text for text in told + _attributes_differ(own, theirs) if text]


def _joined(variable: Variable, ndim: int) -> Variable:
    """Letters along a dimension of their own as text, where a store has them so."""
    values = variable.values
    letters = values.dtype.str[-2:] == "S1" and values.ndim == ndim + 1 and values.shape[-1]
    if not letters:
        return variable
    text = np.ascontiguousarray(values).view(f"S{values.shape[-1]}")[..., 0]
    return Variable(variable.dims[:-1], text, variable.attributes)


def _values_differ(source: np.ndarray, stored: np.ndarray) -> str:
    if source.dtype.kind in "OUT" or stored.dtype.kind in "OUT":
        same = [_plain(value) for value in source.ravel()] == [_plain(value) for value in stored.ravel()]
    elif source.dtype.kind == "S" or stored.dtype.kind == "S":
        same = [bytes(value).rstrip(b"\0") for value in source.ravel()] == [bytes(value).rstrip(b"\0") for value in stored.ravel()]
    else:
        native = source.astype(source.dtype.newbyteorder("="))
        if native.dtype != stored.dtype:
            return f"dtype {native.dtype} is {stored.dtype}"
        same = native.tobytes() == np.ascontiguousarray(stored).tobytes()
    return "" if same else "other values"


def _fills(stored: Variable) -> Iterator[Any]:
    """What a store says of missing values: as it is, as the base64 of a number that xarray writes, and the fill value."""
    value = stored.attributes.get("_FillValue")
    yield value
    yield stored.fill
    if isinstance(value, str):
        with suppress(ValueError, struct.error):
            raw = base64.standard_b64decode(value)
            yield struct.unpack("<d", raw)[0] if len(raw) == 8 else raw.decode()


def _attributes_differ(source: dict[str, Any], stored: dict[str, Any]) -> list[str]:
    told = [f"attribute {name} is missing" for name in sorted(source.keys() - stored.keys())]
    told += [f"attribute {name} is new" for name in sorted(stored.keys() - source.keys() - ADDED)]
    for name in sorted(source.keys() & stored.keys()):
        if not _same(source[name], _plain(stored[name])):
            told.append(f"attribute {name}, {source[name]!r}, is {stored[name]!r}")
    return told


def _plain(value: Any) -> Any:
    """A value of NumPy's as Python's."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value


def _same(one: Any, other: Any) -> bool:
    """Equal, where one number and a list of one are the same, and what JSON has no number for is a word."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, list):
        return len(one) == 1 and _same(one[0], other)
    if isinstance(other, list):
        return len(other) == 1 and _same(one, other[0])
    if isinstance(one, float) and isinstance(other, str):
        other = NOT_FINITE.get(other, other)
    if isinstance(one, float) and isinstance(other, float) and np.isnan(one) and np.isnan(other):
        return True
    return bool(one == other)
