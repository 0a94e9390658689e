# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a step of ``prepare`` is, and the file that it changes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

from ..errors import BadRequest
from ..text import shortened

if TYPE_CHECKING:
    import xarray as xr

Found: TypeAlias = "set[tuple[int, str]]"  # number of a step, and a name that it found


@dataclass
class OpenFile:
    """A file as the steps change it: its variables in encoded form, by name."""

    variables: dict[str, xr.Variable]
    attrs: dict[Any, Any]
    path: str
    emptied: bool = False  # by select, which found nothing

    @property
    def sizes(self) -> dict[str, int]:
        """Lengths by dimension."""
        return {str(dim): size for variable in self.variables.values() for dim, size in variable.sizes.items()}

    def each(self, change: Callable[[xr.Variable], xr.Variable]) -> None:
        """Put something else in the place of each variable."""
        self.variables = {name: change(variable) for name, variable in self.variables.items()}


class Step:
    """What one step is asked to do; ``parse`` reads what ``normal`` gives."""

    name: ClassVar[str]

    @classmethod
    def parse(cls, value: Any, field: str) -> Self:
        """The step in what the request says of it; raises BadRequest."""
        raise NotImplementedError

    def normal(self) -> dict[str, Any]:
        """Plain values in one spelling."""
        raise NotImplementedError

    def names(self) -> tuple[str, ...]:
        """What has to be in one file at least."""
        raise NotImplementedError

    def apply(self, file: OpenFile, field: str) -> Collection[str]:
        """Do it, and tell which of the names are there."""
        raise NotImplementedError


def mapping_of(value: Any, field: str, what: str) -> dict[str, Any]:
    """A dictionary by name that has something in it; raises BadRequest, which says what it is of."""
    if not isinstance(value, Mapping) or not value or not all(isinstance(name, str) and name for name in value):
        raise BadRequest(f"{field} is {shortened(repr(value))}: it is a dictionary of {what}.")
    return dict(value)


def names_of(value: Any, field: str, what: str) -> list[str]:
    """A list of names, or a single one; raises BadRequest, which says what they are of."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) and name for name in names):
        raise BadRequest(f"{field} is {shortened(repr(value))}: it is a list of {what}.")
    return list(names)


def with_attrs(variable: xr.Variable, attrs: Mapping[Any, Any]) -> xr.Variable:
    """The variable with other attributes; its values stay where they are."""
    changed = variable.copy(deep=False)
    changed.attrs = dict(attrs)
    return changed
