# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Several NetCDF files as one data set: xarray joins them, and what it would join wrongly or in silence is refused first."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import SourceError, ZarrstreamError
from .consistency import check_consistent
from .declared import Declared
from .netcdf import open_file
from .prepare import prepared
from .reading import AS_FOUND, Reading
from .time_units import same_units

if TYPE_CHECKING:
    import xarray as xr


def combine_files(paths: Sequence[str], declared: Declared | None = None, reading: Reading = AS_FOUND) -> xr.Dataset:
    """The files in encoded form, joined along their coordinates; attributes are those of the first file.

    Raises SourceError, naming two files and a variable, for other dtypes or packing, missing variables, coordinates that
    overlap or contradict each other, and times whose units cannot be converted exactly.
    """
    import xarray as xr

    datasets: list[xr.Dataset] = []
    try:
        for path in paths:
            opened = prepared(open_file(path, lazy_arrays=True, declared=declared), path, reading.prepare)
            datasets.append(same_units(datasets[0], opened, paths[0], path) if datasets else opened)
        for path, dataset in zip(paths[1:], datasets[1:], strict=True):
            check_consistent(datasets[0], dataset, paths[0], path)
        _check_order(datasets, paths)
        combined = xr.combine_by_coords(
            datasets, compat="equals", data_vars="minimal", coords="minimal", join="exact", combine_attrs="override"
        )
        if not isinstance(combined, xr.Dataset):
            raise AssertionError("data sets give a data set")  # noqa: TRY004 - no caller's doing
        _check_indexes(combined)
    except (ZarrstreamError, ImportError):
        _close(datasets)
        raise
    except Exception as error:  # noqa: BLE001 - xarray has no exception of its own for "these do not fit together"
        _close(datasets)
        raise _misfit(datasets, paths, error) from None
    combined.set_close(lambda: _close(datasets))
    _describe_as(combined, datasets)
    return combined


def _close(datasets: Sequence[xr.Dataset]) -> None:
    for dataset in datasets:
        dataset.close()


def _describe_as(combined: xr.Dataset, datasets: Sequence[xr.Dataset]) -> None:
    """Attributes and chunking of the file that was named first, wherever it lies among the others."""
    combined.attrs, combined.encoding = dict(datasets[0].attrs), dict(datasets[0].encoding)
    for name, variable in combined.variables.items():
        first = next(dataset.variables[name] for dataset in datasets if name in dataset.variables)
        variable.attrs = dict(first.attrs)
        variable.encoding = dict(first.encoding)


def _check_order(datasets: Sequence[xr.Dataset], paths: Sequence[str]) -> None:
    """Two files with the same stretch of a coordinate: xarray joins them where they only touch, and doubles values."""
    kinds: dict[frozenset, list[int]] = {}
    for index, dataset in enumerate(datasets):
        kinds.setdefault(frozenset(dataset.data_vars), []).append(index)
    for members in kinds.values():
        differing = _differing(datasets, members)
        if len(members) > 1 and not differing:
            files = [paths[members[0]], paths[members[1]]]
            raise SourceError(f"{files[0]} and {files[1]} hold the same variables at the same coordinates. Name only one.", files=files)
        if len(differing) == 1:
            _check_overlap(datasets, paths, members, differing[0])
        elif differing:
            _check_tiles(datasets, paths, members, differing)


def _differing(datasets: Sequence[xr.Dataset], members: Sequence[int]) -> list[str]:
    first = datasets[members[0]]
    return [
        str(dim)
        for dim in first.dims
        if dim in first.indexes
        and any(dim not in datasets[index].indexes or not first.indexes[dim].equals(datasets[index].indexes[dim]) for index in members[1:])
    ]


def _check_overlap(datasets: Sequence[xr.Dataset], paths: Sequence[str], members: Sequence[int], dim: str) -> None:
    spans = []
    for index in members:
        axis = datasets[index].indexes.get(dim)
        if axis is None:
            raise SourceError(f"{paths[index]} has no coordinate '{dim}', so its place among the files is unknown.", files=[paths[index]])
        if len(axis):
            spans.append((axis.min(), axis.max(), paths[index]))
    spans.sort(key=lambda span: span[:2])
    for (_unused, end, one), (begin, _unused, two) in itertools.pairwise(spans):
        if begin <= end:
            raise SourceError(
                f"the coordinate '{dim}' overlaps in {one} (up to {end}) and {two} (from {begin}): values would be there twice. "
                "Leave one of the files out, or cut it.",
                variable=dim,
                files=[one, two],
            )


def _check_tiles(datasets: Sequence[xr.Dataset], paths: Sequence[str], members: Sequence[int], dims: Sequence[str]) -> None:
    """Files that differ in several coordinates have to be all the tiles of one area; else one coordinate contradicts the other."""
    corners = [tuple(tuple(datasets[index].indexes[dim]) for dim in dims) for index in members]
    expected = math.prod(len({corner[axis] for corner in corners}) for axis in range(len(dims)))
    if len(corners) != expected:
        files = [paths[members[0]], paths[members[1]]]
        raise SourceError(
            f"{files[0]} and {files[1]} differ in the coordinates {' and '.join(dims)}, and the files are not the {expected} tiles of one "
            "area: they do not lie on one grid. Leave the odd file out, or put it on the grid of the others.",
            variable=dims[-1],
            files=files,
        )


def _check_indexes(combined: xr.Dataset) -> None:
    for name, index in combined.indexes.items():
        if not index.is_unique:
            raise SourceError(f"the coordinate '{name}' has a value twice after joining the files: they overlap.", variable=str(name))


def _misfit(datasets: Sequence[xr.Dataset], paths: Sequence[str], error: Exception) -> SourceError:
    """The refusal of xarray, with the two files and the variable that it leaves out."""
    reason = " ".join(str(error).split())
    first = datasets[0]
    for path, dataset in zip(paths[1:], datasets[1:], strict=False):
        for name in sorted(set(first.variables) & set(dataset.variables), key=str):
            one, two = first.variables[name], dataset.variables[name]
            if one.dims == two.dims and one.shape == two.shape and f"'{name}'" in reason and not one.equals(two):  # type: ignore[no-untyped-call]
                text = f"'{name}' differs between {paths[0]} and {path}, and the files do not lie beside each other along it. ({reason})"
                return SourceError(text, variable=str(name), files=[paths[0], path])
    files = [paths[0], paths[-1]]
    return SourceError(f"{files[0]} and {files[1]} (of {len(paths)} files) do not fit together: {reason}", files=files)
