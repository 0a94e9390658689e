# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Why files are not joined, and what to do about it: each names two files and a way out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import SourceError
from .alike import apart
from .part import Part

if TYPE_CHECKING:
    import numpy as np

_NEAR = 1e-3  # of a step of a coordinate, up to which it looks like rounding


def overlapping(one: Part, two: Part, dim: str, value: Any) -> SourceError:
    """A step that is there twice."""
    if one is two:
        text = f"the coordinate '{dim}' of {one.path} has the value {_shown(value, one, dim)} twice. Correct the file, or say which counts"
        return SourceError(f"{text}: combine.overlap, first or last.", variable=dim, files=[one.path])
    return SourceError(
        f"the coordinate '{dim}' overlaps in {one.path} ({_span(one, dim)}) and {two.path} ({_span(two, dim)}): both have "
        f"{_shown(value, one, dim)}. Leave one of the files out, cut it, or say whose values count: combine.overlap, first or last "
        "in the order of names.",
        variable=dim,
        files=[one.path, two.path],
    )


def not_one_grid(one: Part, two: Part, dim: str) -> SourceError:
    """Files that differ in more coordinates than they are joined along."""
    dims = [str(name) for name in one.axes if name == dim or (name in two.axes and apart(one.axes[name], two.axes[name]))]
    odd = next(name for name in dims if name != dim)
    distance = apart(one.axes[odd], two.axes[odd])
    near = distance < _NEAR * _step(one.axes[odd])
    text = f"{one.path} and {two.path} differ in the coordinates {' and '.join(dims)}, and the files are not the tiles of one area: "
    if near:
        text += f"their '{odd}' is apart by up to {distance:.2g}. If that is rounding, say so: combine.tolerance {_above(distance)}."
    else:
        text += "they do not lie on one grid. Leave the odd file out, or put it on the grid of the others."
    return SourceError(text, variable=odd, files=[one.path, two.path])


def other_length(one: Part, two: Part, dim: str, along: str | None) -> SourceError:
    """A dimension without coordinates, of other lengths."""
    hint = f" If the files follow one another along it, say so: combine.dim {dim}." if along != dim else ""
    return SourceError(
        f"the dimension '{dim}' has {one.sizes[dim]} steps in {one.path} and {two.sizes[dim]} in {two.path}, and no coordinate to tell "
        f"which are the same. Leave the odd file out.{hint}",
        variable=dim,
        files=[one.path, two.path],
    )


def other_type(name: str, types: Sequence[str], paths: Sequence[str]) -> SourceError:
    """Numbers of another type: one array has one."""
    import numpy as np

    wide = str(np.result_type(*types))
    return SourceError(
        f"'{name}' has dtype '{types[0]}' in {paths[0]} but '{types[1]}' in {paths[1]}, and in a store it has one. Let all files have the "
        f"same: prepare [{{repack: {{{name}: {{dtype: {wide}}}}}}}].",
        variable=name,
        files=list(paths),
    )


def empty(path: str, dim: str) -> SourceError:
    """A file that has no steps."""
    return SourceError(
        f"{path} has no steps along '{dim}': it is empty. Was it written to its end? Leave it out.", variable=dim, files=[path]
    )


def without_values(path: str, dim: str) -> SourceError:
    """A file of which nobody knows with which others it belongs together."""
    return SourceError(
        f"{path} has no coordinate '{dim}', so that nobody knows which files have the same. Say where it is from: combine.value_from, such "
        "as {scalar: VARIABLE}, {attribute: NAME} or {filename: PATTERN}.",
        variable=dim,
        files=[path],
    )


def differs(name: str, one: Part, two: Part, dim: str | None, distance: float) -> SourceError:
    """What should be the same in all files, and is not."""
    why = f", and has no dimension '{dim}', along which the files are joined" if dim else ""
    text = f"'{name}' differs between {one.path} and {two.path}{why}"
    text += f": by up to {distance:.2g}. " if math.isfinite(distance) and distance else ". "
    field = one.variables[name]
    ways = []
    if math.isfinite(distance) and distance < _NEAR * _step(_values(one, name)):
        ways.append(f"combine.tolerance {_above(distance)}, if that is rounding")
    if field.ndim:
        ways.append(f"combine.static first, to write that of {one.path.rpartition('/')[2]}")
    ways.append(f"combine.differing [{name}], if it may differ")
    return SourceError(f"{text}Leave the odd file out, or say: {'; or '.join(ways)}.", variable=name, files=[one.path, two.path])


def lacking(one: Part, two: Part, dim: str) -> SourceError:
    """Files of two kinds that do not have the same steps."""
    mine, theirs = (sorted(part.kind - other.kind) or sorted(part.kind) for part, other in ((one, two), (two, one)))
    fewer, more = ((one, mine), (two, theirs)) if len(one.axes[dim]) < len(two.axes[dim]) else ((two, theirs), (one, mine))
    missing = [value for value in more[0].axes[dim].tolist() if value not in set(fewer[0].axes[dim].tolist())]
    words = [_shown(value, one, dim) for value in missing[:1] + missing[1:][-1:]]
    what = " to ".join(words) or "such values"
    return SourceError(
        f"'{dim}' is not the same for {_list(fewer[1])} (in {fewer[0].path}) and {_list(more[1])} (in {more[0].path}): the first has no "
        f"{what}. Add the files that are missing, leave those out that are too many, or write two stores.",
        variable=dim,
        files=[fewer[0].path, more[0].path],
    )


def no_order(parts: Sequence[Part], differing: Sequence[str]) -> SourceError:
    """Files that no coordinate tells apart. ``differing`` are variables of one value that is not the same in all."""
    one, two = parts[0], parts[1]
    bare = [dim for dim in one.sizes if dim not in one.axes]
    text = f"{one.path} and {two.path} hold the same variables at the same coordinates: they have none that tells their order. "
    attributes = [
        str(key) for key, value in one.attrs.items() if isinstance(value, str) and value != two.attrs.get(key) and len(value) < 40
    ]
    if differing:
        way = f"Their '{differing[0]}' differs: combine {{dim: {differing[0]}}} joins them along it, as a new dimension."
    elif longest := _candidate(one, bare):
        source = next((name for name, each in one.variables.items() if each.dims == (longest,) and each.dtype.kind in "iuf"), None)
        value = f", value_from: {{scalar: {source}}}" if source else ""
        way = f"If they follow one another along '{longest}', which has no coordinate: combine {{dim: {longest}{value}}}."
    elif attributes:
        attribute = attributes[0]
        source = f"{{dim: NAME, value_from: {{attribute: {attribute}}}}}"
        way = f"Their attribute {attribute} differs: combine {source} joins them along a new one."
    else:
        way = "Name only one, or join them along a new dimension: combine {dim: NAME, value_from: {filename: PATTERN}}."
    return SourceError(text + way, files=[one.path, two.path])


def _candidate(part: Part, dims: Sequence[str]) -> str | None:
    """The dimension without a coordinate that most variables begin with."""
    counts = {dim: sum(variable.dims[:1] == (dim,) for variable in part.variables.values()) for dim in dims}
    best = max(counts, key=lambda dim: counts[dim], default=None)
    return best if best is not None and counts[best] * 2 > len(part.kind) else None


def _values(part: Part, name: str) -> np.ndarray:
    variable = part.variables[name]
    return variable.values if variable.ndim and variable.nbytes < 2**24 else variable[(slice(0, 1),) * variable.ndim].values


def _step(values: np.ndarray) -> float:
    """The typical distance of two neighbours; 0 where there is none."""
    import numpy as np

    if values.dtype.kind != "f" or values.size < 2:
        return 0.0
    steps = np.abs(np.diff(values.reshape(len(values), -1)[:, 0]))
    return float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0


def _above(distance: float) -> str:
    """The next power of ten."""
    return f"{10.0 ** math.ceil(math.log10(distance)):.0e}"


def _span(part: Part, dim: str) -> str:
    axis = part.axes[dim]
    return f"{_shown(axis[0], part, dim)} to {_shown(axis[-1], part, dim)}"


def _shown(value: Any, part: Part, dim: str) -> str:
    """A value of a coordinate: a date where it is a time."""
    import cftime

    plain = value.item() if hasattr(value, "item") else value
    attrs = part.variables[dim].attrs
    if " since " not in str(attrs.get("units")):
        return str(plain)
    try:
        return str(cftime.num2date(plain, attrs["units"], attrs.get("calendar", "standard")))
    except (ValueError, OverflowError, TypeError):
        return str(plain)


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:3]) + (" and more" if len(names) > 3 else "")
