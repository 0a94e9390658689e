# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Coordinates of files that have none along a dimension: from a variable, an attribute, or the name of the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..errors import SourceError
from .joins import Join, ValueFrom
from .name_pattern import NamePattern
from .part import Part

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?Z?)?", re.ASCII)


@dataclass(frozen=True)
class _Given:
    values: Sequence[np.ndarray]
    attrs: Mapping[str, Any]


def place(parts: Sequence[Part], join: Join, kept: Collection[str]) -> list[Part]:
    """The parts with the coordinate along ``join.dim`` that they get, and what lies along it where they lack it.

    ``kept`` are names of variables that never do. Raises SourceError, naming a file, where it has no such value.
    """
    import xarray as xr

    dim = str(join.dim)
    new = dim not in parts[0].sizes
    given = _given(parts, join, new=new)
    along = rows_along(parts[0]) - frozenset(kept) if new else frozenset()
    found = []
    for number, part in enumerate(parts):
        variables, axes = dict(part.variables), dict(part.axes)
        if given is not None:
            axes[dim] = given.values[number]
            variables[dim] = xr.Variable((dim,), axes[dim], dict(given.attrs))
        found.append(replace(part, variables=variables, axes=axes, along={**part.along, dim: along}))
    return found


def scalars_that_differ(parts: Sequence[Part]) -> list[str]:
    """Variables of one value that is not the same in all files."""
    scalars = [name for name, variable in parts[0].variables.items() if not variable.ndim]
    return [name for name in scalars if len({_bits(part.variables[name]) for part in parts if name in part.variables}) > 1]


def _bits(variable: xr.Variable) -> bytes:
    values = variable.values
    return str(values.item()).encode(errors="backslashreplace") if values.dtype.kind == "O" else values.tobytes()


def rows_along(part: Part) -> frozenset[str]:
    """What becomes a row of a new dimension, as the metadata of a file say, so that one file and many give the same variables.

    All but grid mappings, coordinates with dimensions, their bounds, and areas of cells.
    """
    mappings = _named(part, "grid_mapping") | {name for name, each in part.variables.items() if "grid_mapping_name" in each.attrs}
    shared = {name for name in _named(part, "coordinates") if name in part.variables and part.variables[name].ndim} | {*part.axes}
    bounds = {str(part.variables[name].attrs.get(key)) for name in shared for key in ("bounds", "climatology")}
    return frozenset(part.variables) - mappings - shared - bounds - _named(part, "cell_measures")


def _named(part: Part, key: str) -> set[str]:
    return {word for variable in part.variables.values() for word in str(variable.attrs.get(key, "")).replace(":", " ").split()}


def _given(parts: Sequence[Part], join: Join, *, new: bool) -> _Given | None:
    dim, source = str(join.dim), join.value_from
    own = [part.path for part in parts if dim in part.axes]
    if own and source:
        text = f"combine.value_from gives a coordinate to '{dim}', which has one in {own[0]}. Leave value_from out."
        raise SourceError(text, variable=dim, files=own[:1])
    if own:
        return None
    if source is None:
        if not new or not all(dim in part.variables and part.variables[dim].size == 1 for part in parts):
            return None
        source = ValueFrom("scalar", dim)
    if source.kind == "scalar":
        return _from_variables(parts, dim, source.name)
    read: Callable[[Part], Any] = _attribute(source.name) if source.kind == "attribute" else _file_name(NamePattern(source.name))
    for part in parts:
        if part.sizes.get(dim, 1) != 1:
            raise SourceError(
                f"combine.value_from has one value for each file, and {part.path} has {part.sizes[dim]} steps along '{dim}'. Name a "
                f"variable along '{dim}' as scalar, or leave value_from out: the files are then joined in the order of their names, "
                "without a coordinate.",
                variable=dim,
                files=[part.path],
            )
    return _typed([read(part) for part in parts])


def _from_variables(parts: Sequence[Part], dim: str, name: str) -> _Given:
    values = []
    for part in parts:
        variable = part.variables.get(name)
        if variable is None:
            known = ", ".join(sorted(name for name, each in part.variables.items() if each.size == 1 or each.dims == (dim,)))
            text = f"combine.value_from.scalar is '{name}', which {part.path} does not have. It has: {known or 'none of one value'}."
            raise SourceError(text, variable=name, files=[part.path])
        if variable.size != part.sizes.get(dim, 1) or (variable.size > 1 and variable.dims != (dim,)):
            shape = ", ".join(f"{each}: {size}" for each, size in variable.sizes.items())
            raise SourceError(
                f"combine.value_from.scalar is '{name}', which in {part.path} has the shape ({shape}): it has one value, or one for each "
                f"step of '{dim}'. Name another, or leave value_from out.",
                variable=name,
                files=[part.path],
            )
        values.append(variable.values.reshape(-1))
    return _Given(values, parts[0].variables[name].attrs)


def _attribute(name: str) -> Callable[[Part], Any]:
    def read(part: Part) -> Any:
        import numpy as np

        value = part.attrs.get(name)
        if value is None or np.size(value) != 1:
            why = "has no such attribute" if value is None else f"has {np.size(value)} values there"
            known = ", ".join(sorted(str(each) for each in part.attrs)) or "none"
            text = f"combine.value_from.attribute is '{name}', and {part.path} {why}. It has: {known}."
            raise SourceError(text, files=[part.path])
        return value if isinstance(value, str) else np.asarray(value).reshape(()).item()

    return read


def _file_name(pattern: NamePattern) -> Callable[[Part], Any]:
    return lambda part: pattern.value(part.path.rstrip("/").rpartition("/")[2], part.path)


def _typed(found: Sequence[Any]) -> _Given:
    """Whole numbers where all texts are, times where all are dates, else as they are."""
    import numpy as np

    values = list(found)
    if all(isinstance(value, str) and _DATE.fullmatch(value) for value in values):
        values = [datetime.fromisoformat(value.removesuffix("Z")).replace(tzinfo=UTC) for value in values]
    if all(isinstance(value, datetime) for value in values):
        return _times(values)
    if all(isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19 for value in values):
        values = [int(value) for value in values]
    text = any(isinstance(value, str) for value in values)
    return _Given([np.array([str(value)], object) if text else np.array([value]) for value in values], {})


def _times(moments: Sequence[datetime]) -> _Given:
    """Exact counts: of seconds, or of microseconds where one has a fraction."""
    import numpy as np

    whole = all(not moment.microsecond for moment in moments)
    unit, step = ("seconds", timedelta(seconds=1)) if whole else ("microseconds", timedelta(microseconds=1))
    attrs = {"standard_name": "time", "units": f"{unit} since 1970-01-01", "calendar": "proleptic_gregorian"}
    return _Given([np.array([(moment - _EPOCH) // step], "i8") for moment in moments], attrs)
