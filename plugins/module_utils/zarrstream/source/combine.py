# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Several NetCDF files as one data set, lazily: their coordinates are read when they are opened, and all else when it is asked for."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .alike import apart, variables_apart
from .consistency import check_consistent
from .dataset import FILES
from .given_values import place, rows_along, scalars_that_differ
from .input_file import InputFile
from .joining import Told, join_parts, lay_together
from .joins import Join
from .merging import Merging, attributes_of
from .netcdf import open_file
from .part import Part, coordinate_like, in_memory, part_of
from .prepare import Preparation
from .reading import AS_FOUND, Reading
from .refusals import no_order, other_type
from .time_units import same_units

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

_SMALL = 2**22  # bytes of a field of the first file that stays in memory, to be compared with those of the others
_TURNED = slice(None, None, -1)


def combine_files(
    files: Collection[InputFile],
    reading: Reading = AS_FOUND,
    notes: list[str] | None = None,
    preparation: Preparation | None = None,
) -> xr.Dataset:
    """The files in encoded form as one data set; attributes are those of the first file, as ``merging`` has it.

    What was decided about coordinates and attributes is added to ``notes``. Raises SourceError, naming two files and a variable, for other
    dtypes or packing, missing variables, coordinates that overlap or contradict each other, and times whose units cannot be
    converted exactly.
    """
    opened = _Opened(reading, preparation or Preparation(reading.prepare))
    try:
        for number, file in enumerate(files):
            opened.add(file, number, last=number == len(files) - 1)
        whole = opened.joined()
        dataset = _dataset(whole)
        dataset.encoding = {**opened.encoding, FILES: opened.items_of(whole)}
        opened.merging.apply(dataset)
    except BaseException:
        opened.close()
        raise
    dataset.set_close(opened.close)
    if notes is not None:
        notes.extend([*opened.told.notes(), *opened.merging.notes()])
    return dataset


def _dataset(part: Part) -> xr.Dataset:
    import xarray as xr

    coordinates = {name: variable for name, variable in part.variables.items() if variable.dims == (name,)}
    fields = {name: variable for name, variable in part.variables.items() if name not in coordinates}
    return xr.Dataset(fields, xr.Coordinates(coordinates, indexes={}), dict(part.attrs))


class _Opened:
    """The files one after the other: each is compared with the first one of its kind while it is open."""

    def __init__(self, reading: Reading, preparation: Preparation) -> None:
        self.combine, self.preparation, self.told = reading.combine, preparation, Told()
        self.merging = Merging()
        self._open: list[xr.Dataset] = []
        self._parts: list[Part] = []
        self._items: list[int] = []  # the number of the file of each part, since some are left out
        self._firsts: dict[frozenset[str], Part] = {}
        self._described: dict[frozenset[str], tuple[xr.Dataset, str]] = {}  # the first of each kind, and its path
        self._explicit = [join for join in self.combine.joins if join.dim is not None]

    def add(self, file: InputFile, number: int, *, last: bool) -> None:
        """Open a file; leave it out where prepare selects nothing of it, unless that holds for all. Raises SourceError."""
        dataset, path = open_file(file, preparation=self.preparation), file.path
        if path in self.preparation.emptied and (self._parts or not last):
            dataset.close()
            return
        self._open.append(dataset)
        self._items.append(number)
        kind = frozenset(str(name) for name, variable in dataset.variables.items() if variable.dims != (name,))
        for first, first_path in self._to_agree_with(kind):
            dataset = same_units(first, dataset, first_path, path)
        self.merging.add(attributes_of(dataset), path)
        part = part_of(dataset, path, len(self._parts), self.combine)
        for first, first_path in self._to_agree_with(kind):
            _check_types(first, dataset, (first_path, path))
            check_consistent(first, dataset, first_path, path, differing=self.combine.differing | self._rows(part))
        self._described.setdefault(kind, (dataset, path))
        first_of_kind = self._firsts.get(part.kind)
        self._parts.append(self._beside(first_of_kind, part) if first_of_kind else self._remember(part))

    def _to_agree_with(self, kind: frozenset[str]) -> list[tuple[xr.Dataset, str]]:
        """The files whose numbers mean the same: the first one of its kind, which agrees with the others; or those of all other kinds."""
        return [self._described[kind]] if kind in self._described else list(self._described.values())

    @property
    def encoding(self) -> dict[Hashable, Any]:
        """What the first file's data set has beside its attributes."""
        return dict(self._open[0].encoding)

    def items_of(self, whole: Part) -> dict[str, np.ndarray]:
        """The number of the file of each step, by dimension."""
        import numpy as np

        return {dim: np.asarray(self._items)[parts] for dim, parts in whole.files.items()}

    def close(self) -> None:
        """Close all files."""
        for dataset in self._open:
            dataset.close()

    def joined(self) -> Part:
        """All files as one; raises SourceError."""
        kinds: dict[frozenset[str], list[Part]] = {}
        for part in self._parts:
            kinds.setdefault(part.kind, []).append(part)
        return lay_together([self._joined(parts) for parts in kinds.values()], self.combine, self.told)

    def _joined(self, parts: list[Part]) -> Part:
        dims = [str(join.dim) for join in self._explicit]
        for join in self._explicit:
            parts = place(parts, join, {*dims, *self.combine.differing})
        joins = [*self._explicit, *(Join(dim, None, self.combine.overlap) for dim in _differing_axes(parts) if dim not in dims)]
        if joins:
            return join_parts(parts, joins, self.combine, self.told)
        if len(parts) > 1:
            raise no_order(parts, scalars_that_differ(parts))
        return parts[0]

    def _rows(self, part: Part) -> frozenset[str]:
        """What becomes rows of new dimensions, so that it differs from file to file."""
        return rows_along(part) if any(join.dim not in part.sizes for join in self._explicit) else frozenset()

    def _remember(self, part: Part) -> Part:
        """The first one of its kind, with small fields that are compared in memory."""
        small = {
            name: in_memory(variable, variable.values)
            for name, variable in part.variables.items()
            if name not in part.axes and variable.nbytes <= _SMALL and name in self._shared(part, part)
        }
        self._firsts[part.kind] = replace(part, variables={**part.variables, **small}, same=frozenset(part.variables))
        return replace(part, same=frozenset(part.variables))

    def _beside(self, first: Part, part: Part) -> Part:
        """A later one, with the coordinates of the first where they are those, and with what it shares with it compared."""
        axes, variables = dict(part.axes), dict(part.variables)
        for dim in [dim for dim in axes if dim in first.axes]:
            one, two = first.axes[dim], axes[dim]
            if apart(one, two) > self.combine.tolerance and len(two) > 1 and apart(one, two[_TURNED]) <= self.combine.tolerance:
                variables = {name: each.isel({dim: _TURNED}) if dim in each.dims else each for name, each in variables.items()}
                two = two[_TURNED]
                self.told.turned.add(dim)
            if (distance := apart(one, two)) <= self.combine.tolerance:
                self.told.nearly(dim, distance)
                axes[dim], variables[dim] = one, in_memory(variables[dim], one)
        part = replace(part, variables=variables, axes=axes)
        return replace(part, same=frozenset(self._equal(first, part)))

    def _equal(self, first: Part, part: Part) -> Iterator[str]:
        near = coordinate_like(part.variables)
        for name in self._shared(first, part):
            distance = variables_apart(first.variables[name], part.variables[name])
            if distance <= (self.combine.tolerance if name in near else 0.0):
                self.told.nearly(name, distance)
                yield name

    def _shared(self, first: Part, part: Part) -> set[str]:
        """Fields that both should have the same of, as far as can be told before all files are known."""
        if self.combine.static == "first":
            return set()
        rows = {str(join.dim) for join in self._explicit}
        rows |= {dim for dim in part.sizes if dim in first.axes and dim in part.axes and apart(first.axes[dim], part.axes[dim])}
        own = self._rows(first) | self.combine.differing | set(part.axes)
        return {name for name, variable in part.variables.items() if name not in own and not rows & {str(dim) for dim in variable.dims}}


def _differing_axes(parts: Sequence[Part]) -> list[str]:
    first = parts[0]
    return [
        dim
        for dim in first.sizes
        if dim in first.axes and any(dim not in part.axes or apart(first.axes[dim], part.axes[dim]) for part in parts[1:])
    ]


def _check_types(first: xr.Dataset, other: xr.Dataset, paths: tuple[str, str]) -> None:
    """Raises SourceError for numbers of another type: one array has one."""
    for name in sorted(first.variables.keys() & other.variables.keys(), key=str):
        types = [dataset.variables[name].dtype for dataset in (first, other)]
        if types[0] != types[1] and {dtype.kind for dtype in types} <= set("biuf"):
            native = [str(dtype.newbyteorder("=")) for dtype in types]
            if native[0] != native[1]:
                raise other_type(str(name), native, paths)
