# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The steps of ``prepare`` that change what numbers are or mean: attributes, and packing."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ..errors import BadRequest
from ..text import shortened
from .repack import is_time, repacked, repacked_time
from .step import OpenFile, Step, mapping_of, with_attrs

if TYPE_CHECKING:
    import xarray as xr

DATASET = "/"  # among the variables of attrs: the data set itself
PACKED = "*"  # among those of repack: all that have a scale_factor or an add_offset
_PACKING = ("dtype", "scale_factor", "add_offset", "_FillValue", "units", "calendar")
_OF_VALUES = (
    "_FillValue",
    "missing_value",
    "valid_min",
    "valid_max",
    "valid_range",
    "flag_values",
    "flag_masks",
)  # of the variable's own type


@dataclass(frozen=True)
class Attrs(Step):
    """Attributes of variables, and of the data set, are set, or go where they are null."""

    name: ClassVar[str] = "attrs"
    changes: tuple[tuple[str, str], ...]  # what each is about, and its attributes as JSON

    @classmethod
    def parse(cls, value: Any, field: str) -> Self:
        """Attributes by variable; those of the data set by '/'."""
        given = mapping_of(value, field, f"attributes by variable, such as {{t2m: {{units: K}}}}, and '{DATASET}' for the data set")
        changes = []
        for name, attrs in given.items():
            attrs = mapping_of(attrs, f"{field}.{name}", "attributes, such as {units: K, history: null}")
            for key, one in attrs.items():
                _check_attribute(one, f"{field}.{name}.{key}")
            changes.append((name, json.dumps(attrs, sort_keys=True, ensure_ascii=False)))
        return cls(tuple(sorted(changes)))

    def normal(self) -> dict[str, Any]:
        """Plain values in one spelling."""
        return {self.name: {name: json.loads(attrs) for name, attrs in self.changes}}

    def names(self) -> tuple[str, ...]:
        """What has to be in one file at least."""
        return tuple(name for name, _attrs in self.changes if name != DATASET)

    def apply(self, file: OpenFile, field: str) -> Collection[str]:
        """Do it, and tell which of the names are there."""
        there = [(name, json.loads(attrs)) for name, attrs in self.changes if name == DATASET or name in file.variables]
        for name, attrs in there:
            if name == DATASET:
                file.attrs = _merged(file.attrs, attrs)
                continue
            variable = file.variables[name]
            typed = {key: _typed(one, key, variable, f"{field}.{name}") for key, one in attrs.items()}
            file.variables[name] = with_attrs(variable, _merged(variable.attrs, typed))
        return [name for name, _attrs in there]


@dataclass(frozen=True)
class Repack(Step):
    """Numbers are decoded and packed anew as they are read; times are counted in other units, the same to the microsecond."""

    name: ClassVar[str] = "repack"
    packings: tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]

    @classmethod
    def parse(cls, value: Any, field: str) -> Self:
        """Packing by variable."""
        given = mapping_of(value, field, "packing by variable, such as {t2m: {dtype: float32}}")
        packings = []
        for name, packing in given.items():
            packing = mapping_of(packing, f"{field}.{name}", "some of " + ", ".join(_PACKING))
            packings.append((name, tuple(sorted((key, _packing_value(key, one, f"{field}.{name}")) for key, one in packing.items()))))
        return cls(tuple(sorted(packings)))

    def normal(self) -> dict[str, Any]:
        """Plain values in one spelling."""
        return {self.name: {name: dict(packing) for name, packing in self.packings}}

    def names(self) -> tuple[str, ...]:
        """What has to be in one file at least."""
        return tuple(name for name, _packing in self.packings)

    def apply(self, file: OpenFile, field: str) -> Collection[str]:
        """Do it, and tell which of the names are there."""
        own, there = dict(self.packings), []
        for name, packing in self.packings:
            chosen = [name] if name in file.variables else []
            if name == PACKED:
                chosen = [each for each, variable in file.variables.items() if each not in own and _is_packed(variable)]
            for each in chosen:
                file.variables.update(_repacked(each, file.variables, _numbers(packing), f"{field}.{name}"))
            there += [name] if chosen else []
        return there


def _repacked(name: str, variables: Mapping[str, xr.Variable], packing: Mapping[str, Any], field: str) -> Mapping[str, xr.Variable]:
    if is_time(variables[name]):
        return repacked_time(name, variables, packing, field)
    return {name: repacked(name, variables[name], packing, field)}


def _numbers(packing: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {key: float("nan") if (key, value) == ("_FillValue", "NaN") else value for key, value in packing}


def _is_packed(variable: xr.Variable) -> bool:
    return any(key in variable.attrs for key in ("scale_factor", "add_offset"))


def _merged(attrs: Mapping[Any, Any], changes: Mapping[str, Any]) -> dict[Any, Any]:
    return {key: value for key, value in {**attrs, **changes}.items() if value is not None or key not in changes}


def _typed(value: Any, key: str, variable: xr.Variable, field: str) -> Any:
    """A number that says something of the stored ones, in their type, as NetCDF keeps it; raises BadRequest where it does not fit."""
    import numpy as np

    if key not in _OF_VALUES or value is None or variable.dtype.kind not in "iuf" or isinstance(value, str):
        return value
    with np.errstate(all="ignore"):
        typed = np.asarray(value).astype(variable.dtype)
    if variable.dtype.kind in "iu" and not np.array_equal(typed, np.asarray(value)):
        raise BadRequest(f"{field}.{key} is {value!r}, which is no {variable.dtype}, as its values are. Give another, or repack before.")
    return typed[()]


def _check_attribute(value: Any, field: str) -> None:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        text = f"{field} is {shortened(repr(value))}: JSON has no NaN and no infinity. Write it as text, 'NaN' or 'Infinity'."
        raise BadRequest(text) from None
    except (TypeError, RecursionError):
        raise BadRequest(
            f"{field} is {shortened(repr(value))}: an attribute is a text, a number, or a list of these; null removes it."
        ) from None


def _packing_value(key: str, value: Any, field: str) -> Any:
    if key not in _PACKING:
        raise BadRequest(f"{field} has '{key}': it is some of {', '.join(_PACKING)}.")
    if key in ("dtype", "units", "calendar") and not isinstance(value, str):
        raise BadRequest(f"{field}.{key} is {value!r}: it is a text.")
    if key == "_FillValue" and (value == "NaN" or (isinstance(value, float) and math.isnan(value))):
        return "NaN"  # as JSON can say it
    if key in ("scale_factor", "add_offset", "_FillValue"):
        wrong = isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value)
        if wrong or (key == "scale_factor" and value == 0):
            raise BadRequest(f"{field}.{key} is {value!r}: it is a number{', not 0' if key == 'scale_factor' else ''}.")
    return value
