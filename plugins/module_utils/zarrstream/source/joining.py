# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Parts laid beside each other along their dimensions: which step is from which file, and what has to be the same in all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..text import many
from .alike import apart, variables_apart
from .joined_array import Pieces, Rows, joined_variable
from .joins import Combine, Join
from .part import Part, coordinate_like, in_memory
from .refusals import differs, empty, lacking, not_one_grid, other_length, overlapping, without_values

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr


@dataclass
class Told:
    """What a result says of the joining: how far coordinates were apart, steps left out, coordinates turned round."""

    apart: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    turned: set[str] = field(default_factory=set)

    def nearly(self, name: str, distance: float) -> None:
        """Note that a coordinate is not the same in all files."""
        if distance:
            self.apart[name] = max(distance, self.apart.get(name, 0.0))

    def notes(self) -> list[str]:
        """What people should know, a line each."""
        near = [
            f"'{name}' is apart by up to {distance:.2g} between files: that of the first is kept" for name, distance in self.apart.items()
        ]
        twice = [f"{many(count, 'step')} of '{dim}' that several files have: one is kept of each" for dim, count in self.left_out.items()]
        turned = [f"'{dim}' runs the other way in some files: turned round, with what lies along it" for dim in sorted(self.turned)]
        return [*near, *twice, *turned]


def join_parts(parts: Sequence[Part], joins: Sequence[Join], combine: Combine, told: Told) -> Part:
    """The parts, in the order of their files, as one; raises SourceError, naming two files, where they do not fit."""
    outer, *inner = joins
    if inner:
        parts = [join_parts(group, inner, combine, told) for group in _groups(parts, str(outer.dim))]
    return _Joining(parts, outer, combine, told).part()


def _groups(parts: Sequence[Part], dim: str) -> Iterable[list[Part]]:
    """The parts that lie at the same place along a dimension, together."""
    groups: dict[Any, list[Part]] = {}
    for part in parts:
        if dim not in part.axes:
            raise without_values(part.path, dim)
        axis = part.axes[dim]
        groups.setdefault(tuple(axis.tolist()) if axis.dtype.kind == "O" else axis.tobytes(), []).append(part)
    return groups.values()


class _Joining:
    """Parts along one dimension. What is described is described as in the file that was named first."""

    def __init__(self, parts: Sequence[Part], join: Join, combine: Combine, told: Told) -> None:
        self.parts = sorted(parts, key=lambda part: part.number)
        self.join, self.combine, self.told = join, combine, told
        self.dim, self.first = str(join.dim), self.parts[0]
        self.new = self.first.along.get(self.dim, frozenset())

    def part(self) -> Part:
        """All of them as one."""
        import numpy as np

        self._check_rest()
        axes, rows = self._order()
        near = coordinate_like(self.first.variables)
        variables = {}
        for name, variable in self.first.variables.items():
            if name == self.dim and self.dim in axes:
                variables[name] = in_memory(variable, axes[name])
            elif name in self.new or self.dim in variable.dims:
                variables[name] = self._joined(name, rows)
            else:
                variables[name] = variable
                self._check_static(name, self.combine.tolerance if name in near else 0.0)
        same = frozenset.intersection(*(part.same for part in self.parts))
        files = {} if any(part.files for part in self.parts) else {self.dim: np.asarray([part.number for part in self.parts])[rows.piece]}
        return replace(self.first, variables=variables, axes={**self.first.axes, **axes}, same=same, files=files)

    def _joined(self, name: str, rows: Rows) -> xr.Variable:
        variables = [part.variables[name] for part in self.parts]
        return joined_variable(Pieces(name, variables, [part.path for part in self.parts], name in self.new), self.dim, rows)

    def _check_rest(self) -> None:
        """All other dimensions are the same in all parts."""
        for part in self.parts[1:]:
            for dim, size in self.first.sizes.items():
                if dim == self.dim:
                    continue
                one, two = self.first.axes.get(dim), part.axes.get(dim)
                if one is not None and two is not None and apart(one, two):
                    raise not_one_grid(self.first, part, self.dim)
                if part.sizes.get(dim, size) != size:
                    raise other_length(self.first, part, dim, self.dim)

    def _order(self) -> tuple[dict[str, np.ndarray], Rows]:
        """The values of the coordinate, if there is one, and where each step is from."""
        import numpy as np

        lengths = [part.sizes.get(self.dim, 1) if not self.new else 1 for part in self.parts]
        for part, length in zip(self.parts, lengths, strict=True):
            if not length and len(self.parts) > 1:
                raise empty(part.path, self.dim)
        piece = np.repeat(np.arange(len(self.parts), dtype="i4"), lengths)
        row = np.concatenate([np.arange(length) for length in lengths])
        if self.dim not in self.first.axes:
            return {}, Rows(piece, row)
        values = np.concatenate([part.axes[self.dim] for part in self.parts])
        if len(self.parts) == 1 and self.join.overlap == "refuse":
            return {self.dim: values}, Rows(piece, row)
        order = self._kept(values, piece)
        return {self.dim: values[order]}, Rows(piece[order], row[order])

    def _kept(self, values: np.ndarray, piece: np.ndarray) -> np.ndarray:
        """Which steps are written, in which order: numbers and times sorted, texts as the files are named."""
        import numpy as np

        _unused, code = np.unique(values, return_inverse=True)
        order = np.argsort(code, kind="stable")
        twice = np.flatnonzero(code[order][1:] == code[order][:-1])
        if len(twice) and self.join.overlap == "refuse":
            one, two = (self.parts[piece[order[step]]] for step in (twice[0], twice[0] + 1))
            raise overlapping(one, two, self.dim, values[order[twice[0]]])
        if len(twice):
            self.told.left_out[self.dim] = self.told.left_out.get(self.dim, 0) + len(twice)
            order = np.delete(order, twice + 1 if self.join.overlap == "first" else twice)
        if values.dtype.kind not in "iuf":
            return np.sort(order)
        return order if self._rises() else order[::-1]

    def _rises(self) -> bool:
        for part in self.parts:
            axis = part.axes[self.dim]
            if len(axis) > 1 and axis[0] != axis[-1]:
                return bool(axis[0] < axis[-1])
        return True

    def _check_static(self, name: str, tolerance: float) -> None:
        if name in self.first.axes or name in self.combine.differing or self.combine.static == "first":
            return
        for part in self.parts[1:]:
            if name in part.same and name in self.first.same:
                continue
            distance = variables_apart(self.first.variables[name], part.variables[name])
            if distance > tolerance:
                raise differs(name, self.first, part, self.dim, distance)
            self.told.nearly(name, distance)


def lay_together(kinds: Sequence[Part], combine: Combine, told: Told) -> Part:
    """Files of other variables on the same coordinates; raises SourceError, naming two files, where they are not."""
    whole = kinds[0]
    for part in kinds[1:]:
        near = coordinate_like(part.variables)
        for name in sorted({*whole.axes} & {*part.axes}):
            distance = apart(whole.axes[name], part.axes[name])
            if distance > combine.tolerance:
                raise lacking(whole, part, name)
            told.nearly(name, distance)
        for name in sorted({*whole.variables} & {*part.variables} - {*whole.axes} - combine.differing):
            distance = 0.0 if combine.static == "first" else variables_apart(whole.variables[name], part.variables[name])
            if distance > (combine.tolerance if name in near else 0.0):
                raise differs(name, whole, part, None, distance)
            told.nearly(name, distance)
        for dim, size in part.sizes.items():
            if whole.sizes.get(dim, size) != size:
                raise other_length(whole, part, dim, None)
        whole = replace(whole, variables={**part.variables, **whole.variables}, axes={**part.axes, **whole.axes}, files={})
    return whole
