# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the numbers of two files mean the same, by the files' own words: variables, types, dimensions, attributes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import SourceError
from ..metadata.meaning import contradictions, referred, shown_pair
from .part import coordinate_like
from .remedies import one_order, one_packing, one_type

if TYPE_CHECKING:
    import xarray as xr


def check_consistent(
    first: xr.Dataset, other: xr.Dataset, first_path: str, other_path: str, *, differing: Collection[str] = frozenset()
) -> None:
    """Raises SourceError, naming both files and the variable, where the numbers of one would mean something else in the other.

    ``differing`` names what may: attributes, also as ``variable:attribute``.
    """
    files = [first_path, other_path]
    if _fields(first) & _fields(other):  # files of the same kind: a variable that one lacks would be filled up
        for name in sorted(set(first.variables) ^ set(other.variables), key=str):
            has, lacks = (first_path, other_path) if name in first.variables else (other_path, first_path)
            text = f"'{name}' is in {has} but not in {lacks}: files of one data set hold the same variables."
            raise SourceError(f"{text} Correct one, or leave it out: exclude [{name}].", variable=str(name), files=files)
    mappings = _grid_mappings(first.variables) | _grid_mappings(other.variables)
    for name in sorted(set(first.variables) & set(other.variables), key=str):
        one, two = first.variables[name], other.variables[name]
        if one.dtype != two.dtype or one.dims != two.dims:
            for what, ours, theirs in [("dtype", _type(one), _type(two)), ("dimensions", one.dims, two.dims)]:
                if ours == theirs:
                    continue
                left, right = shown_pair(ours, theirs)
                raise SourceError(
                    f"'{name}' has {what} {left} in {first_path} but {right} in {other_path}: an array has one. "
                    f"{one_type(str(name), one, two) if what == 'dtype' else one_order(one, two)}, or write two stores.",
                    variable=str(name),
                    files=files,
                )
        for found in contradictions(one.attrs, two.attrs, one.dtype, all_of_them=str(name) in mappings):
            if found.allowed(str(name), differing):
                continue
            left, right = shown_pair(found.one, found.other)
            raise SourceError(
                f"'{name}' has {found.attribute} {left} in {first_path} but {right} in {other_path}: joined, the numbers of one would mean "
                f"something else. {one_packing(str(name), found.attribute)}; or name '{found.attribute}' or '{name}:{found.attribute}' in "
                f"combine.differing, where that of the first is true for both.",
                variable=str(name),
                attribute=found.attribute,
                files=files,
            )


def _fields(dataset: xr.Dataset) -> set[str]:
    """What tells files of one kind from those of another: neither coordinates, bounds and grid mappings, nor what has one value."""
    variables = {str(name): variable for name, variable in dataset.variables.items()}
    return {name for name, variable in variables.items() if variable.ndim} - coordinate_like(variables) - _grid_mappings(variables)


def _grid_mappings(variables: Mapping[Any, Any]) -> set[str]:
    """The variables that describe the grids of others: they are made of attributes."""
    found: set[str] = set()
    for variable in variables.values():
        found |= referred(variable.attrs, "grid_mapping")
    return found


def _type(variable: xr.Variable) -> str:
    kind = variable.dtype.kind
    return "text" if kind in "OTU" else "characters" if kind == "S" else str(variable.dtype.newbyteorder("="))
