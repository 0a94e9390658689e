# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the numbers of two files mean the same, by the files' own words: variables, types, dimensions, attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import SourceError
from ..metadata.attributes import MEANING

if TYPE_CHECKING:
    import xarray as xr


def check_consistent(
    first: xr.Dataset, other: xr.Dataset, first_path: str, other_path: str, *, differing: frozenset[str] = frozenset()
) -> None:
    """Raises SourceError, naming both files and the variable, where the numbers of one would mean something else in the other."""
    shared = set(first.variables) & set(other.variables)
    if set(first.data_vars) & set(other.data_vars):  # files of the same kind: a variable that one lacks would be filled up
        for name in sorted(set(first.variables) ^ set(other.variables), key=str):
            has, lacks = (first_path, other_path) if name in first.variables else (other_path, first_path)
            text = f"'{name}' is in {has} but not in {lacks}: files of one data set hold the same variables. Correct one, or name others."
            raise SourceError(text, variable=str(name), files=[first_path, other_path])
    for name in sorted(shared, key=str):
        one, two = first.variables[name], other.variables[name]
        for what, ours, theirs in [("dtype", _type(one), _type(two)), ("dimensions", one.dims, two.dims), *_meanings(one, two)]:
            if what not in differing and not _equal(ours, theirs):
                raise SourceError(
                    f"'{name}' has {what} {_shown(ours)} in {first_path} but {_shown(theirs)} in {other_path}: joined, the numbers of "
                    "one would mean something else. Convert one of the files, or write two stores.",
                    variable=str(name),
                    files=[first_path, other_path],
                )


def _type(variable: xr.Variable) -> str:
    if variable.dtype.kind == "S":
        return "bytes"  # of any width: the widest is taken
    return "text" if variable.dtype.kind in "OTU" else str(variable.dtype.newbyteorder("="))


def _meanings(one: xr.Variable, two: xr.Variable) -> list[tuple[str, Any, Any]]:
    return [(key, one.attrs.get(key), two.attrs.get(key)) for key in MEANING]


def _equal(one: Any, two: Any) -> bool:
    import numpy as np

    if isinstance(one, np.generic | np.ndarray | float) and isinstance(two, np.generic | np.ndarray | float):
        ours, theirs = np.asarray(one), np.asarray(two)
        floats = ours.dtype.kind == theirs.dtype.kind == "f"
        return bool(np.array_equal(ours, theirs, equal_nan=floats))
    return bool(one == two)


def _shown(value: Any) -> str:
    return "none" if value is None else f"'{value}'"
