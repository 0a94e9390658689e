# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lengths of chunks and shards as requests say them, in values. Needs no library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from ..errors import BadRequest

AUTO: Literal["auto"] = "auto"
NONE: Literal["none"] = "none"  # of shards
Lengths = dict[str, "int | Literal['auto']"]  # by dimension
Asked: TypeAlias = "Lengths | tuple[int, ...] | Literal['auto', 'none'] | None"  # a tuple is by axis, None what was left out


def parse_lengths(option: str, value: Any, *, axes: bool = False, none: bool = False) -> Asked:
    """One option, as values. ``axes`` lets it be a list by axis, ``none`` the word none. Raises BadRequest, which names ``option``."""
    if not value and not isinstance(value, int):
        return None
    if value == AUTO or (none and value == NONE):
        return AUTO if value == AUTO else NONE
    if isinstance(value, Mapping):
        lengths: Lengths = {str(dim): _length(f"{option}.{dim}", length, auto=True) for dim, length in value.items()}
        return lengths
    if axes and isinstance(value, list | tuple):
        return tuple(int(_length(f"{option}[{axis}]", length, auto=False)) for axis, length in enumerate(value))
    words = f"'auto'{', none' if none else ''}, or a dictionary of dimensions and lengths such as {{time: 240}}"
    raise BadRequest(f"{option} is {value!r}: it is {words}{', or a list of lengths by axis' if axes else ''}.")


def by_axis(lengths: Asked, dims: tuple[str, ...]) -> Asked:
    """A list of lengths as lengths by dimension, where it has as many as there are dimensions."""
    return dict(zip(dims, lengths, strict=True)) if isinstance(lengths, tuple) and len(lengths) == len(dims) else lengths


def numbers(lengths: Asked) -> dict[str, int]:
    """The lengths that are numbers."""
    return {dim: length for dim, length in lengths.items() if length != AUTO} if isinstance(lengths, dict) else {}


def _length(option: str, value: Any, *, auto: bool) -> int | Literal["auto"]:
    text = str(value).strip()
    if auto and text == AUTO:
        return AUTO
    if isinstance(value, bool) or not text.removeprefix("-").isdecimal():
        raise BadRequest(
            f"{option} is {value!r}: it has to be a whole number above 0{', or auto' if auto else ''}.", dimension=option.rpartition(".")[2]
        )
    return int(text)
