# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a store and a source that continues it fit together: the store's arrays, and the rows that are new."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import SourceError
from ..metadata.hierarchy import ARRAY, join, read_hierarchy
from ..metadata.layout import ArrayLayout
from ..metadata.meaning import Contradiction, contradictions, referred, shown_pair
from ..metadata.strict import storable
from ..source.dataset import Source
from .rows import Rows, Run

if TYPE_CHECKING:
    import numpy as np

# fill_value is compared as the attribute that it stands for. Codecs are those of the store, whatever the source has.
_MAY_DIFFER = ("shape", "attributes", "chunk_key_encoding", "dimension_separator", "fill_value", "codecs", "compressor", "filters")


@dataclass(frozen=True)
class Growth:
    """``old`` rows are in the store; the first ``known`` of the source are those from ``begin`` on, and ``new`` ones come after."""

    dim: str
    old: int
    begin: int
    known: int
    new: int

    @property
    def rows(self) -> Rows:
        """Those of the store, and the new ones after them."""
        runs = (Run(0, self.old, "store", 0), Run(self.old, self.old + self.new, "source", self.known))
        return Rows(self.dim, self.old, tuple(run for run in runs if run.start < run.stop))


def stored_arrays(roots: Mapping[str, bytes]) -> dict[str, ArrayLayout]:
    """The arrays by name, as the root documents of a consolidated store describe them."""
    tree = read_hierarchy(roots.get, None)
    return tree.arrays if tree else {}


def stored_attributes(roots: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """The attributes of a consolidated store by array, '' for its own, without what is there for Zarr."""
    tree = read_hierarchy(roots.get, None)
    found = {"": tree.groups.get("", {}), **{name: array.attributes for name, array in tree.arrays.items()}} if tree else {}
    return {path: {name: value for name, value in attrs.items() if name != "_ARRAY_DIMENSIONS"} for path, attrs in found.items()}


def array_documents(arrays: Mapping[str, ArrayLayout], zarr_format: int) -> dict[str, bytes]:
    """The arrays' own documents, by key."""
    return {join(name, ARRAY[zarr_format]): json.dumps(array.document).encode() for name, array in arrays.items()}


def check_compatible(
    stored: Mapping[str, ArrayLayout],
    wanted: Mapping[str, ArrayLayout],
    dim: str,
    place: str,
    url: str,
    differing: Collection[str] = frozenset(),
) -> None:
    """Raises SourceError where the source would be stored in another way than the store has it, or its numbers mean something else.

    ``differing`` names attributes that may differ: those of the store stay.
    """
    mappings = {name for array in (*stored.values(), *wanted.values()) for name in referred(array.attributes, "grid_mapping")}
    for name, array in wanted.items():
        if name not in stored:
            text = (
                f"'{name}' is in {place} but not in store '{url}'. 'drop' it in prepare, or write the store again from all its files with "
            )
            raise SourceError(f"{text}mode replace.", variable=name)
        there = stored[name]
        _check_text(name, array, there, place, url)
        for what, ours, theirs in [
            ("the dimensions", array.dims, there.dims),
            ("the shape", _without(array, dim), _without(there, dim)),
            *((key, value, there.document.get(key)) for key, value in array.document.items() if key not in _MAY_DIFFER),
        ]:
            if json.dumps(ours, sort_keys=True) != json.dumps(theirs, sort_keys=True):
                raise SourceError(
                    f"'{name}' has {what} {ours} in {place} but {theirs} in store '{url}', which appending cannot change. Convert the "
                    "source, or write the store again from all its files with mode replace.",
                    variable=name,
                )
        for found in contradictions(_attributes(there), _attributes(array), _dtype(there), all_of_them=name in mappings):
            if not found.allowed(name, differing):
                raise _contradicts(name, found, place, url)
    lacking = sorted(name for name, array in stored.items() if dim in array.dims and name not in wanted)
    if lacking:
        text = f"'{lacking[0]}' is in store '{url}' but not in {place}: it would have no values in the new steps. Add it to the source."
        raise SourceError(text, variable=lacking[0])


def _contradicts(name: str, found: Contradiction, place: str, url: str) -> SourceError:
    there, here = shown_pair(found.one, found.other)
    return SourceError(
        f"'{name}' has {found.attribute} {here} in {place} but {there} in store '{url}': appended, its numbers would mean something "
        f"else. Convert the source; or name '{found.attribute}' or '{name}:{found.attribute}' in combine.differing, where that of the "
        "store is true for both.",
        variable=name,
        attribute=found.attribute,
    )


def _check_text(name: str, array: ArrayLayout, there: ArrayLayout, place: str, url: str) -> None:
    """Text of a fixed width, which is what single characters of NetCDF become: the width is part of the array."""
    ours, theirs = (dtype.itemsize if dtype.kind == "S" else 0 for dtype in map(_dtype, (array, there)))
    if ours and theirs and ours != theirs:
        raise SourceError(
            f"'{name}' has texts of {ours} characters in {place} but of {theirs} in store '{url}': the width of an array cannot change. "
            "Write the store again from all its files with mode replace, which finds the width for all.",
            variable=name,
        )


def _dtype(array: ArrayLayout) -> np.dtype:
    """The type of an array, as far as attributes need it: that of numbers, and of text of a fixed width."""
    import numpy as np

    kind = array.document.get("data_type", array.document.get("dtype"))
    if isinstance(kind, dict) and "bytes" in str(kind.get("name")):
        return np.dtype(f"S{kind.get('configuration', {}).get('length_bytes', 1)}")
    try:
        return np.dtype(kind if isinstance(kind, str) else "O")
    except TypeError:
        return np.dtype("O")


def _attributes(array: ArrayLayout) -> dict[str, Any]:
    """The attributes as xarray reads them: the fill value stands in the array's document (v2), or in an encoding of its own (v3)."""
    floats = _dtype(array).kind == "f"
    found = storable(array.attributes, "f" if floats else "i", 2).attrs  # earlier versions stored NaN and Infinity as no JSON has them
    fill = array.document.get("fill_value") if array.zarr_format == 2 else found.get("_FillValue")
    if floats and isinstance(fill, str):
        fill = float(fill) if array.zarr_format == 2 else struct.unpack("<d", base64.standard_b64decode(fill))[0]
    return found if fill is None else {**found, "_FillValue": fill}


def _without(array: ArrayLayout, dim: str) -> list[int]:
    return [size for size, name in zip(array.shape, array.dims, strict=True) if name != dim]


def sorted_axes(dim: str, before: np.ndarray, after: np.ndarray, place: str, url: str) -> tuple[np.ndarray, np.ndarray]:
    """The coordinates of store and source as numbers that rise; raises SourceError for those that are none, or not in order."""
    import numpy as np

    both = [("store", url, before), ("source", place, after)]
    for what, where, values in both:
        if values.dtype.kind not in "iuf":
            text = f"the coordinate '{dim}' of {what} '{where}' has dtype {values.dtype}: only along numbers and times can be appended."
            raise SourceError(text, variable=dim)
    first, last = (before if before.size > 1 else np.concatenate([before, after]))[[0, -1]] if before.size + after.size else (0, 0)
    sign = -1 if last < first else 1
    there, ours = (sign * values.astype("f8" if values.dtype.kind == "f" else "i8") for values in (before, after))
    for (what, where, _unused), values in zip(both, (there, ours), strict=True):
        if not (values[1:] > values[:-1]).all():
            text = f"the coordinate '{dim}' of {what} '{where}' does not {'rise' if sign > 0 else 'fall'} at each step. Sort the source."
            raise SourceError(text, variable=dim)
    return there, ours


def find_growth(dim: str, before: np.ndarray, after: np.ndarray, place: str, url: str) -> Growth:
    """Where the coordinate ``after`` of the source continues ``before`` of the store; raises SourceError where it does not."""
    import numpy as np

    there, ours = sorted_axes(dim, before, after, place, url)
    known = int((ours <= there[-1]).sum()) if there.size else 0
    begin = int(np.searchsorted(there, ours[0])) if known else 0
    fits = np.array_equal(there[begin : begin + known], ours[:known]) and (known == ours.size or begin + known == there.size or not known)
    if not fits:
        raise SourceError(
            f"the coordinate '{dim}' of {place} begins at {after[0]}, before the end of store '{url}' ({before[-1]}), and its steps are "
            "not those of the store: appending only continues. Leave these steps out, or use mode replace.",
            variable=dim,
        )
    return Growth(dim, before.size, begin, known, after.size - known)


def count_from(source: Source, stored: Mapping[str, ArrayLayout], url: str) -> None:
    """Let the source count its times from where the store does: files often count each from their own first day."""
    import numpy as np
    import xarray as xr

    from ..source.time_units import same_units

    shared = {name: array for name, array in stored.items() if name in source.variables}
    empty = {name: np.zeros((0,) * len(array.dims), source.variables[name].dtype) for name, array in shared.items()}
    first = xr.Dataset({name: (array.dims, empty[name], array.attributes) for name, array in shared.items()})
    changed = same_units(first, source.dataset, f"store '{url}'", source.place)
    source.variables = {name: changed.variables[name].to_base_variable() for name in source.variables}
