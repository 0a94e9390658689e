# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The steps of ``prepare`` that change how a file is laid out: names, dimensions, what of it is taken."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ..errors import BadRequest, SourceError
from .labels import Labels, parse_labels, positions
from .lazy import transposed, with_chunks
from .references import renamed, without
from .step import OpenFile, Step, mapping_of, names_of, with_attrs

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr


@dataclass(frozen=True)
class Rename(Step):
    """Variables and dimensions get other names; attributes that refer to them follow."""

    name: ClassVar[str] = "rename"
    pairs: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, value: Any, field: str) -> Self:
        """Old and new names."""
        pairs = mapping_of(value, field, "old and new names, such as {T2: t2m}")
        for old, new in pairs.items():
            if not isinstance(new, str) or not new or "/" in new or any(unicodedata.category(letter) in ("Cc", "Cs") for letter in new):
                raise BadRequest(f"{field}.{old} is {new!r}: a name is a text without '/'.")
        return cls(tuple(sorted(pairs.items())))

    def normal(self) -> dict[str, Any]:
        """Plain values in one spelling."""
        return {self.name: dict(self.pairs)}

    def names(self) -> tuple[str, ...]:
        """What has to be in one file at least."""
        return tuple(old for old, _new in self.pairs)

    def apply(self, file: OpenFile, field: str) -> Collection[str]:
        """Do it, and tell which of the names are there."""
        sizes = file.sizes
        names = {old: new for old, new in self.pairs if old in file.variables or old in sizes}
        for what, there in (("variables", list(file.variables)), ("dimensions", list(sizes))):
            _refuse_twice(what, there, names, field, file.path)
        if names:
            file.variables = {names.get(name, name): _renamed(variable, names) for name, variable in file.variables.items()}
            file.attrs = renamed(file.attrs, names)
        return names


@dataclass(frozen=True)
class Drop(Step):
    """Variables are left out; attributes do not refer to them any more."""

    name: ClassVar[str] = "drop"
    variables: tuple[str, ...]

    @classmethod
    def parse(cls, value: Any, field: str) -> Self:
        """Names of variables."""
        return cls(tuple(sorted(set(names_of(value, field, "variables, such as [rh]")))))

    def normal(self) -> dict[str, Any]:
        """Plain values in one spelling."""
        return {self.name: list(self.variables)}

    def names(self) -> tuple[str, ...]:
        """What has to be in one file at least."""
        return self.variables

    def apply(self, file: OpenFile, field: str) -> Collection[str]:
        """Do it, and tell which of the names are there."""
        gone = {name for name in self.variables if name in file.variables}
        for name in set(self.variables) - gone:
            if name in file.sizes:
                text = (
                    f"{field} names '{name}', which in {file.path} is a dimension without a variable. Squeeze it, or select of it, instead."
                )
                raise BadRequest(text)
        if gone:
            file.variables = {name: variable for name, variable in file.variables.items() if name not in gone}
            file.each(lambda variable: with_attrs(variable, without(variable.attrs, gone)))
            file.attrs = without(file.attrs, gone)
        return gone


@dataclass(frozen=True)
class Squeeze(Step):
    """Dimensions of length 1 go; their coordinates stay, as variables without dimensions."""

    name: ClassVar[str] = "squeeze"
    dims: tuple[str, ...]

    @classmethod
    def parse(cls, value: Any, field: str) -> Self:
        """Names of dimensions."""
        return cls(tuple(sorted(set(names_of(value, field, "dimensions, such as [member]")))))

    def normal(self) -> dict[str, Any]:
        """Plain values in one spelling."""
        return {self.name: list(self.dims)}

    def names(self) -> tuple[str, ...]:
        """What has to be in one file at least."""
        return self.dims

    def apply(self, file: OpenFile, field: str) -> Collection[str]:
        """Do it, and tell which of the names are there."""
        sizes = file.sizes
        for dim in self.dims:
            if sizes.get(dim, 1) != 1:
                text = f"{field} names '{dim}', which has length {sizes[dim]} in {file.path}. Select one of it before, with select."
                raise SourceError(text, source=file.path, dim=dim)
            file.each(lambda variable, dim=dim: _taken(variable, dim, 0))  # type: ignore[misc]
        return [dim for dim in self.dims if dim in sizes]


@dataclass(frozen=True)
class Transpose(Step):
    """Each variable has these of its dimensions in this order; other dimensions keep their places."""

    name: ClassVar[str] = "transpose"
    dims: tuple[str, ...]

    @classmethod
    def parse(cls, value: Any, field: str) -> Self:
        """Names of dimensions, in order."""
        dims = names_of(value, field, "dimensions in their order, such as [time, lat, lon]")
        if len(set(dims)) != len(dims) or len(dims) < 2:
            raise BadRequest(f"{field} is {list(dims)}: name two dimensions or more, each once.")
        return cls(tuple(dims))

    def normal(self) -> dict[str, Any]:
        """Plain values in one spelling."""
        return {self.name: list(self.dims)}

    def names(self) -> tuple[str, ...]:
        """What has to be in one file at least."""
        return self.dims

    def apply(self, file: OpenFile, field: str) -> Collection[str]:  # noqa: ARG002 - as the others
        """Do it, and tell which of the names are there."""
        file.each(self._transposed)
        return [dim for dim in self.dims if dim in file.sizes]

    def _transposed(self, variable: xr.Variable) -> xr.Variable:
        in_order = iter([dim for dim in self.dims if dim in variable.dims])
        return transposed(variable, tuple(next(in_order) if dim in self.dims else str(dim) for dim in variable.dims))


@dataclass(frozen=True)
class Select(Step):
    """Of a dimension, what lies at a label or in a range of labels of a coordinate; a file that has none of it gives nothing."""

    name: ClassVar[str] = "select"
    labels: tuple[tuple[str, Labels], ...]

    @classmethod
    def parse(cls, value: Any, field: str) -> Self:
        """A label, or both ends of a range, by coordinate."""
        given = mapping_of(value, field, "labels by coordinate, such as {lat: [40, 60]}")
        return cls(tuple(sorted((name, parse_labels(labels, f"{field}.{name}")) for name, labels in given.items())))

    def normal(self) -> dict[str, Any]:
        """Plain values in one spelling."""
        return {self.name: {name: list(labels) if isinstance(labels, tuple) else labels for name, labels in self.labels}}

    def names(self) -> tuple[str, ...]:
        """What has to be in one file at least."""
        return tuple(name for name, _labels in self.labels)

    def apply(self, file: OpenFile, field: str) -> Collection[str]:
        """Do it, and tell which of the names are there."""
        for name, labels in self.labels:
            variable = file.variables.get(name)
            if variable is None:
                if name in file.sizes:
                    text = f"{field} names '{name}', a dimension without a coordinate in {file.path}: there are no labels to select by."
                    raise SourceError(f"{text} Rename the variable that has them.", source=file.path, dim=name)
                continue
            if variable.ndim > 1:
                text = f"{field} names '{name}', which has dimensions {list(variable.dims)} in {file.path}: labels lie along one."
                raise SourceError(text, source=file.path, variable=name)
            where = positions(variable, name, labels, f"{field}.{name}", file.path)
            file.emptied = file.emptied or not where.size
            if variable.ndim:
                dim, key = str(variable.dims[0]), _as_slice(where)
                file.each(lambda each, dim=dim, key=key: _taken(each, dim, key))  # type: ignore[misc]
            elif not where.size:
                text = f"{field}.{name} is {labels!r}, and {file.path} has {variable.values.tolist()!r} alone. Leave the file out."
                raise SourceError(text, source=file.path, variable=name)
        return [name for name, _labels in self.labels if name in file.variables]


def _renamed(variable: xr.Variable, names: Mapping[str, str]) -> xr.Variable:
    changed = with_attrs(variable.to_base_variable(), renamed(variable.attrs, names))
    changed.dims = tuple(names.get(str(dim), str(dim)) for dim in variable.dims)
    return changed


def _refuse_twice(what: str, there: Sequence[str], names: Mapping[str, str], field: str, path: str) -> None:
    after: dict[str, str] = {}
    for name in there:
        new = names.get(name, name)
        if new in after:
            text = f"{field} makes '{after[new]}' and '{name}' two {what} of one name, '{new}', in {path}."
            raise BadRequest(f"{text} Choose another name, or drop one before.", variable=new)
        after[new] = name


def _taken(variable: xr.Variable, dim: str, key: int | slice | np.ndarray) -> xr.Variable:
    """What lies at these places of a dimension, which goes where it is a single place."""
    if dim not in variable.dims:
        return variable
    taken = variable.to_base_variable().isel({dim: key})
    axes = [axis for axis, name in enumerate(variable.dims) if name in taken.dims]
    taken.encoding = with_chunks(variable.encoding, axes, taken.shape)
    return taken


def _as_slice(where: np.ndarray) -> slice | np.ndarray:
    """Places as a slice, as far as they lie at equal distances: those are read without looking up each."""
    if not where.size:
        return slice(0, 0)
    step = int(where[1] - where[0]) if where.size > 1 else 1
    whole = range(int(where[0]), int(where[-1]) + 1, step)
    return slice(whole.start, whole.stop, step) if len(whole) == where.size and bool((where == whole).all()) else where
