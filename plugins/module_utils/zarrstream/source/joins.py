# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The option ``combine``: along which dimensions files are joined, where their coordinates come from, and what may differ between them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..errors import BadRequest
from ..text import meant
from .name_pattern import NamePattern

Overlap = Literal["refuse", "first", "last"]
OVERLAP: tuple[Overlap, ...] = ("refuse", "first", "last")
STATIC = ("refuse", "first")
_SHARED = ("tolerance", "static", "differing")  # said once, wherever in a list
_KNOWN = ("dim", "value_from", "overlap", *_SHARED)
_KINDS = ("scalar", "attribute", "filename")


@dataclass(frozen=True)
class ValueFrom:
    """What tells the coordinate of a file that has none: ``scalar`` (a variable), ``attribute``, or ``filename`` (a pattern)."""

    kind: Literal["scalar", "attribute", "filename"]
    name: str


@dataclass(frozen=True)
class Join:
    """One dimension along which files are joined; without ``dim`` those in whose coordinates they differ."""

    dim: str | None = None
    value_from: ValueFrom | None = None
    overlap: Overlap = "refuse"

    def normal(self) -> dict[str, Any]:
        """In one spelling, without what is left out."""
        found: dict[str, Any] = {} if self.dim is None else {"dim": self.dim}
        if self.value_from:
            found["value_from"] = {self.value_from.kind: self.value_from.name}
        return found if self.overlap == "refuse" else {**found, "overlap": self.overlap}


@dataclass(frozen=True)
class Combine:
    """How several files become one data set: ``joins`` from the outermost dimension to the innermost.

    Coordinates that differ by no more than ``tolerance`` are equal; ``static`` says what becomes of fields without the joined
    dimensions that differ; ``differing`` names attributes and auxiliary variables that may.
    """

    joins: tuple[Join, ...] = ()
    tolerance: float = 0.0
    static: Literal["refuse", "first"] = "refuse"
    differing: frozenset[str] = frozenset()

    def normal(self) -> list[dict[str, Any]]:
        """In one spelling, which ``parse_combine`` reads; empty for what holds where nothing is asked for."""
        shared: dict[str, Any] = {"tolerance": self.tolerance} if self.tolerance else {}
        if self.static != "refuse":
            shared["static"] = self.static
        if self.differing:
            shared["differing"] = sorted(self.differing)
        first, *others = [join.normal() for join in self.joins] or [{}]
        return [{**first, **shared}, *others] if first or shared or others else []

    def allowing(self, other: Combine) -> Combine:
        """The same, with all that may differ by ``other`` as well."""
        static: Literal["refuse", "first"] = "first" if "first" in (self.static, other.static) else "refuse"
        return replace(self, tolerance=max(self.tolerance, other.tolerance), static=static, differing=self.differing | other.differing)

    def strict(self) -> Combine:
        """The same, where nothing may differ."""
        return Combine(self.joins)

    @property
    def overlap(self) -> Overlap:
        """What holds along dimensions that no join names."""
        return next((join.overlap for join in self.joins if join.dim is None), "refuse")

    def overlap_of(self, dim: str) -> Overlap:
        """What holds along a dimension."""
        return next((join.overlap for join in self.joins if join.dim == dim), self.overlap)


NOTHING_ASKED = Combine()


def parse_combine(value: Any) -> Combine:
    """The option as a value; raises BadRequest for what makes no sense in itself."""
    parts = [] if value is None else [value] if isinstance(value, Mapping) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, Mapping) for part in parts):
        raise BadRequest(
            f"combine is {value!r}: it is a dictionary such as {{dim: time, overlap: last}}, or a list of them, outermost first."
        )
    joins = tuple(_join(part) for part in parts)
    named = [join.dim for join in joins if join.dim is not None]
    if len(joins) > 1 and (len(named) < len(joins) or len(set(named)) < len(named)):
        raise BadRequest("combine is a list: each of its dictionaries needs a 'dim' of its own, such as [{dim: member}, {dim: time}].")
    shared = {name: _said_once(name, parts) for name in _SHARED}
    return Combine(
        joins if joins != (Join(),) else (),
        _tolerance(shared["tolerance"]),
        _one_of("static", shared["static"] or "refuse", STATIC),
        _names(shared["differing"]),
    )


def _join(part: Mapping[str, Any]) -> Join:
    for name in part:
        if name not in _KNOWN:
            raise BadRequest(f"combine has '{name}', which is none of its options.{meant(str(name), _KNOWN)} It has: {', '.join(_KNOWN)}.")
    dim = part.get("dim")
    if dim is not None and (not isinstance(dim, str) or not dim):
        raise BadRequest(f"combine.dim is {dim!r}: it is the name of a dimension.")
    value_from = _value_from(part.get("value_from"))
    if value_from and dim is None:
        raise BadRequest("combine.value_from is set without combine.dim: name the dimension whose coordinate it gives.")
    return Join(dim, value_from, _one_of("overlap", part.get("overlap") or "refuse", OVERLAP))


def _value_from(value: Any) -> ValueFrom | None:
    if value is None or value == "coordinate":
        return None
    if (
        not isinstance(value, Mapping)
        or len(value) != 1
        or not {*value} <= {*_KINDS}
        or not all(isinstance(name, str) and name for name in value.values())
    ):
        raise BadRequest(
            f"combine.value_from is {value!r}: it is 'coordinate', or one of {{scalar: VARIABLE}}, {{attribute: NAME}} and "
            "{filename: PATTERN}, such as {filename: 'r{}i1p1f1.nc'}."
        )
    ((kind, name),) = value.items()
    if kind == "filename":
        NamePattern(name)  # refuses what is none
    return ValueFrom(kind, name)


def _said_once(name: str, parts: Iterable[Mapping[str, Any]]) -> Any:
    found = [part[name] for part in parts if part.get(name) is not None]
    if any(other != found[0] for other in found[1:]):
        raise BadRequest(f"combine.{name} is said twice, {found[0]!r} and {found[-1]!r}: it holds for all files. Say it once.")
    return found[0] if found else None


def _tolerance(value: Any) -> float:
    try:
        number = float(value or 0)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number) or number < 0:
        raise BadRequest(f"combine.tolerance is {value!r}: it is a number of 0 or more, in the units of the coordinates, such as 1e-6.")
    return number


def _one_of(name: str, value: Any, allowed: tuple[str, ...]) -> Any:
    if value not in allowed:
        raise BadRequest(f"combine.{name} is {value!r}: it is one of {', '.join(allowed)}.")
    return value


def _names(value: Any) -> frozenset[str]:
    names = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name for name in names):
        raise BadRequest(f"combine.differing is {value!r}: it is a list of names of attributes and variables.")
    return frozenset(names)
