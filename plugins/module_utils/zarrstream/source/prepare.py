# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The option ``prepare``: what is done to each file before files are joined. Names and attributes change at once, values as they are read.

A step passes over what a file does not have, since files of one data set differ; what no file has is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import BadRequest
from ..text import meant, shortened
from .step import Found, OpenFile, Step
from .step_values import Attrs, Repack
from .steps import Drop, Rename, Select, Squeeze, Transpose

if TYPE_CHECKING:
    import xarray as xr

STEPS: dict[str, type[Step]] = {kind.name: kind for kind in (Rename, Drop, Squeeze, Transpose, Select, Attrs, Repack)}
_EXAMPLE = "[{rename: {T2: t2m}}, {drop: [rh]}]"


def parse_prepare(value: Any, exclude: Any = None) -> tuple[Step, ...]:
    """The options ``prepare`` and ``exclude``, which is a last step, as steps; raises BadRequest for what makes no sense in itself."""
    if exclude:
        return (*parse_prepare(value), Drop.parse(exclude, "exclude"))
    if not value:
        return ()
    if not isinstance(value, list | tuple):
        raise BadRequest(f"prepare is {shortened(repr(value))}: it is a list of steps such as {_EXAMPLE}.")
    return tuple(_step(step, f"prepare[{number}]") for number, step in enumerate(value))


class Preparation:
    """Steps on their way through the files of a source. Some may lack what a step names, some may have nothing of what is selected."""

    def __init__(self, steps: Sequence[Step] = ()) -> None:
        self.steps = tuple(steps)
        self.found: Found = set()
        self.files: set[str] = set()
        self.emptied: set[str] = set()  # those of which select left nothing

    def prepared(self, dataset: xr.Dataset, path: str) -> xr.Dataset:
        """The data set of one file after the steps. Raises SourceError, or BadRequest for steps that do not fit the file."""
        if not self.steps:
            return dataset
        file = OpenFile({str(name): variable for name, variable in dataset.variables.items()}, dict(dataset.attrs), path)
        for number, step in enumerate(self.steps):
            names = step.apply(file, f"prepare[{number}].{step.name}")
            self.found.update((number, name) for name in names)
        self.files.add(path)
        if file.emptied:
            self.emptied.add(path)
        return _dataset(file, dataset)

    @property
    def problem(self) -> str:
        """What is wrong with steps that name what no file has, or leave nothing of any; '' for nothing."""
        if self.files and self.files == self.emptied:
            return f"prepare: what is selected is in no file of the source, such as {min(self.files)}. Correct the labels of select."
        for number, step in enumerate(self.steps):
            for name in step.names():
                if (number, name) not in self.found:
                    also = " (or exclude)" if step is self.steps[-1] and isinstance(step, Drop) else ""
                    text = f"prepare[{number}].{step.name}{also} names '{name}', which no file of the source has after the steps before it."
                    return f"{text} Correct it, or leave it out."
        return ""

    def in_groups(self, place: str, groups: dict[str, xr.Dataset]) -> None:
        """Drop variables of groups, which are named by path; raises BadRequest for other steps where a source has groups."""
        names = ", ".join(sorted(groups))
        if names and not all(isinstance(step, Drop) for step in self.steps):
            raise BadRequest(
                f"prepare: source '{place}' has groups ({names}), and steps other than drop are for what has none. "
                "Extract a group to a file of its own (ncks -G : -g NAME in.nc out.nc), or leave prepare out.",
                source=place,
            )
        for number, step in enumerate(self.steps):
            for path, group in groups.items():
                gone = {name: str(child) for child in group.variables if (name := f"{path}/{child}") in step.names()}
                if gone:
                    groups[path] = group.drop_vars(list(gone.values()))
                    self.found.update((number, name) for name in gone)


AS_IT_IS = Preparation()


def _step(value: Any, field: str) -> Step:
    known = ", ".join(STEPS)
    if not isinstance(value, Mapping) or len(value) != 1:
        raise BadRequest(f"{field} is {shortened(repr(value))}: a step is one of {known}, with what it does, such as {{drop: [rh]}}.")
    ((name, options),) = value.items()
    if name not in STEPS:
        raise BadRequest(f"{field} is '{name}', which is no step.{meant(str(name), STEPS)} Steps are {known}.")
    return STEPS[name].parse(options, f"{field}.{name}")


def _dataset(file: OpenFile, before: xr.Dataset) -> xr.Dataset:
    import xarray as xr

    coordinates = {name: variable for name, variable in file.variables.items() if name in variable.dims}
    others = {name: variable for name, variable in file.variables.items() if name not in coordinates}
    dataset = xr.Dataset(others, coords=xr.Coordinates(coordinates, indexes={}), attrs=file.attrs)
    dataset.encoding = dict(before.encoding)
    dataset.set_close(before.close)
    return dataset
