# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A file among others that are joined: its variables, and its coordinates in memory, which say where it lies among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .joins import Combine

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr


@dataclass(frozen=True)
class Part:
    """A file, or several that are joined already. ``number`` is its place among the sources, ``same`` names what is as in the first file.

    ``along`` has the variables that become rows along a dimension that they lack, ``files`` the number of the source of each step along a
    joined dimension, where each is from one.
    """

    path: str
    number: int
    variables: Mapping[str, xr.Variable]
    axes: Mapping[str, np.ndarray]  # values of the coordinate of each dimension that has one
    attrs: Mapping[str, Any]
    same: frozenset[str] = frozenset()
    along: Mapping[str, frozenset[str]] = field(default_factory=dict)
    files: Mapping[str, np.ndarray] = field(default_factory=dict)

    @cached_property
    def kind(self) -> frozenset[str]:
        """What tells files of one kind from those of another: the variables beside the coordinates of dimensions."""
        return frozenset(self.variables) - frozenset(self.axes)

    @cached_property
    def sizes(self) -> dict[str, int]:
        """The length of each dimension."""
        return {str(dim): size for variable in self.variables.values() for dim, size in variable.sizes.items()}


def part_of(dataset: xr.Dataset, path: str, number: int, combine: Combine) -> Part:
    """A file's variables, with its coordinates, and what may become one, read now: while it is open."""
    variables = {str(name): variable.to_base_variable() for name, variable in dataset.variables.items()}
    axes = {name: variable.values for name, variable in variables.items() if variable.dims == (name,)}
    values = dict(axes)
    if any(join.dim for join in combine.joins):
        sources = {join.value_from.name for join in combine.joins if join.value_from and join.value_from.kind == "scalar"}
        values |= {
            name: variable.values for name, variable in variables.items() if not variable.ndim or (name in sources and name not in axes)
        }
    return Part(
        path, number, {**variables, **{name: in_memory(variables[name], each) for name, each in values.items()}}, axes, dataset.attrs
    )


def in_memory(like: xr.Variable, values: np.ndarray) -> xr.Variable:
    """A variable with these values, described as another."""
    import xarray as xr

    return xr.Variable(like.dims, values, dict(like.attrs), dict(like.encoding))


def coordinate_like(variables: Mapping[str, xr.Variable]) -> set[str]:
    """The coordinates: those of dimensions, and what attributes name as coordinates or as bounds."""
    found = {name for name, variable in variables.items() if variable.dims == (name,)}
    for variable in variables.values():
        for key in ("coordinates", "bounds", "climatology"):
            words = variable.attrs.get(key)
            found |= set(words.split()) & set(variables) if isinstance(words, str) else set()
    return found | {name for name in variables if name.endswith(("_bnds", "_bounds")) and name.rpartition("_")[0] in variables}
