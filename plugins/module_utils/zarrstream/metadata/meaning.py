# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the attributes of two variables say the same of their numbers, by whatever words and types."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .attributes import DESCRIPTIVE, FLAGS, MEANING, MISSING, PAIRS, RANGE, REFERENCES, WORDS
from .units import calendar_of, units_of

if TYPE_CHECKING:
    import numpy as np

_STORED = (*MISSING, *RANGE, *FLAGS[:2])  # values of the stored type, whatever type the attribute has
_PAIR = re.compile(r"(\S+):\s+(\S+)")


@dataclass(frozen=True)
class Contradiction:
    """An attribute that says something else of the same numbers, with both values; None for none."""

    attribute: str
    one: Any
    other: Any

    def allowed(self, variable: str, differing: Collection[str]) -> bool:
        """Whether it is named among those that may differ: the attribute, also of this variable alone."""
        return self.attribute in differing or f"{variable}:{self.attribute}" in differing


def contradictions(
    one: Mapping[str, Any], other: Mapping[str, Any], dtype: np.dtype, *, all_of_them: bool = False
) -> Iterator[Contradiction]:
    """The attributes of a variable of this dtype that differ in meaning; ``all_of_them`` for one made of attributes: a grid mapping.

    Words that only one of them has contradict nothing: they are no difference. Numbers, units and what belongs to them are.
    """
    missing: bool | None = None
    for name in {**one, **other}:
        if name in DESCRIPTIVE if all_of_them else name not in MEANING:
            continue
        ours, theirs = one.get(name), other.get(name)
        if (isinstance(ours, str) and ours == theirs) or (not all_of_them and name in WORDS and (ours is None or theirs is None)):
            continue
        if _normal(name, ours, dtype, one) == _normal(name, theirs, dtype, other):
            continue
        if name in MISSING:
            missing = _missing(one, dtype) == _missing(other, dtype) if missing is None else missing
            if missing:
                continue
        yield Contradiction(name, ours, theirs)


def same_meaning(name: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two mappings say the same by an attribute, whatever it is about."""
    ours, theirs = one.get(name), other.get(name)
    if isinstance(ours, str) and isinstance(theirs, str) and (ours == theirs or name not in MEANING):
        return ours == theirs
    import numpy as np

    return bool(_normal(name, ours, np.dtype("O"), one) == _normal(name, theirs, np.dtype("O"), other))


def shown_pair(one: Any, other: Any) -> tuple[str, str]:
    """Two values that differ, for a message: with their types where they read alike."""
    alike = str(one) == str(other)
    return _shown(one, alike), _shown(other, alike)


def _shown(value: Any, with_type: bool) -> str:
    if value is None:
        return "none"
    return f"'{value}'" + (f" ({getattr(value, 'dtype', type(value).__name__)})" if with_type else "")


def referred(attributes: Mapping[str, Any], name: str) -> set[str]:
    """The names of variables in an attribute that refers to some."""
    value = attributes.get(name)
    return set(value.replace(":", " ").split()) if isinstance(value, str) else set()


def _missing(attributes: Mapping[str, Any], dtype: np.dtype) -> frozenset[Any]:
    """All values that stand for no data, whichever attribute says so."""
    values: set[Any] = set()
    for name in MISSING:
        found = _normal(name, attributes.get(name), dtype, attributes)
        values.update(found if isinstance(found, tuple) else () if found is None else (found,))
    return frozenset(values)


def _normal(name: str, value: Any, dtype: np.dtype, attributes: Mapping[str, Any]) -> Any:
    """What values of an attribute that mean the same have in common."""
    if name == "calendar":
        return calendar_of(value) if value is not None or " since " in str(attributes.get("units")) else None
    if name == "units":
        return units_of(value)
    if value is None:
        return None
    if isinstance(value, str):
        return _normal_text(name, value)
    return _normal_number(name, value, dtype)


def _normal_text(name: str, text: str) -> Any:
    words = text.split()
    if name == "positive":
        return text.strip().lower()
    if name in PAIRS:
        return frozenset(_PAIR.findall(text)) or " ".join(words)
    if name in REFERENCES:
        return frozenset(words)
    return " ".join(words)


def _normal_number(name: str, value: Any, dtype: np.dtype) -> Any:
    """Numbers as Python's own, so that types do not count: one of a list alone is that one, NaN is a word, and is no fill value."""
    import numpy as np

    values = np.asarray(value)
    if name in _STORED and dtype.kind in "iuf" and values.dtype.kind in "iuf":
        with np.errstate(all="ignore"):
            cast = values.astype(dtype)
            values = cast if dtype.kind == "f" or bool((cast == values).all()) else values
    # NaN is not equal to itself; pylint: disable-next=comparison-with-itself
    numbers = tuple("NaN" if number != number else number for number in values.reshape(-1).tolist())
    if name in MISSING:
        numbers = tuple(number for number in numbers if number != "NaN")  # readers take NaN for missing in any case
        return numbers or None
    return numbers[0] if len(numbers) == 1 else numbers
