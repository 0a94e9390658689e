# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The attributes of several files as those of one data set, by one rule, and what of it there is to say.

Attributes are the first file's. Those of ``EXTENT`` that differ are left out, for they would be false; those of ``PROVENANCE``
are taken in silence, and all others that differ are told of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..metadata.attributes import EXTENT, PROVENANCE
from ..metadata.meaning import same_meaning, shown_pair
from ..text import many, shortened

if TYPE_CHECKING:
    import xarray as xr

_MOST = 20  # notes


class Merging:
    """Attributes by variable, '' for those of the data set, file by file, in their order."""

    def __init__(self, extent: str = "is left out: it tells how far one file reaches, and the files differ in it") -> None:
        self._extent = extent
        self._first: dict[str, tuple[Mapping[Any, Any], str]] = {}
        self._differing: dict[tuple[str, Any], str] = {}  # variable and name, and what to say

    def add(self, found: Mapping[str, Mapping[Any, Any]], path: str) -> None:
        """The attributes of one more file, or of what else is in this place."""
        for variable, attrs in found.items():
            first, first_path = self._first.setdefault(variable, (attrs, path))
            for name in first.keys() | attrs.keys() if first is not attrs else ():
                if (variable, name) not in self._differing and not same_meaning(str(name), first, attrs):
                    self._differing[variable, name] = self._say(variable, name, (first.get(name), first_path), (attrs.get(name), path))

    def apply(self, dataset: xr.Dataset) -> None:
        """Take out of the first file's attributes what would be false."""
        for variable, name in self._differing:
            attrs = dataset.variables[variable].attrs if variable else dataset.attrs
            if name in EXTENT:
                attrs.pop(name, None)

    def notes(self) -> list[str]:
        """What is worth saying: not more than a reader takes in."""
        notes = list(filter(None, self._differing.values()))
        return notes if len(notes) <= _MOST else [*notes[:_MOST], f"{many(len(notes) - _MOST, 'attribute')} more differ"]

    def _say(self, variable: str, name: Any, one: tuple[Any, str], other: tuple[Any, str]) -> str:
        whose = f"'{variable}:{name}'" if variable else f"'{name}'"
        if name in EXTENT:
            return f"attribute {whose} {self._extent}"
        if name in PROVENANCE:
            return ""
        first, second = (shortened(text) for text in shown_pair(one[0], other[0]))
        return f"attribute {whose} is {first} in {one[1]} but {second} in {other[1]}: the first is kept"


def attributes_of(dataset: xr.Dataset) -> dict[str, Mapping[Any, Any]]:
    """All of a data set, as ``Merging`` has them."""
    return dict(_attributes(dataset))


def _attributes(dataset: xr.Dataset) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    yield "", dataset.attrs
    for name, variable in dataset.variables.items():
        yield str(name), variable.attrs
