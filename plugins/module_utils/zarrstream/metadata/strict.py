# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
r"""Attributes as a Zarr store can hold them: strict JSON (RFC 8259), which has neither NaN nor Infinity, that xarray decodes as the source.

1. NaN and infinite numbers become the strings of the Zarr specification: ``"NaN"``, ``"Infinity"``, ``"-Infinity"``.
2. But ``missing_value``: NaN is left out of it, since readers take NaN for missing in any case; an infinite one becomes
   ``_FillValue``, where there is none, which both formats can spell.
3. ``_FillValue`` of text, which xarray cannot read in format 3, becomes ``missing_value`` for text of any length, with the same
   meaning; of text of a fixed width it is kept as the array's ``fill_value`` alone.
4. Bytes are read as UTF-8, else as Latin-1; halves of surrogate pairs, which are no text, become ``\udXXX``.

``docs/readers.md`` has it for users.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SPELLED = {"NaN": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
LATIN_1 = "attributes_in_latin_1"  # in the encoding of a variable or data set of a source: the names of those that were no UTF-8
READ_AS_LATIN_1 = "is no UTF-8: read as Latin-1"
_SCALING = ("scale_factor", "add_offset")


@dataclass(frozen=True)
class Storable:
    """Attributes as they are stored, and what was changed for that, a note for each; ``refused`` is why they cannot be, or ''.

    ``fill_value`` is what the array's document has in its field of that name, None for the default.
    """

    attrs: dict[str, Any]
    notes: tuple[str, ...] = ()
    fill_value: Any = None
    refused: str = ""


def storable(attrs: Mapping[str, Any], kind: str = "", zarr_format: int = 3) -> Storable:
    """Attributes of an array whose dtype is of this kind (NumPy's letter), '' for those of a group."""
    kept, notes, fill, refused = dict(attrs), list[str](), None, ""
    if kind:
        _missing_value(kept, kind, notes)
        if zarr_format == 3 and kind in "SUOT" and "_FillValue" in kept:
            fill = _text_fill(kept, kind, notes)
        refused = _refusal(kept, kind)
    found = {}
    for name, value in kept.items():
        if name == "_FillValue" and kind:
            found[name] = value  # which xarray encodes by the array's type
            continue
        changes: set[str] = set()
        found[_text(name, changes)] = _plain(value, changes)
        notes += [f"attribute '{_text(name, set())}' {change}" for change in sorted(changes)]
    return Storable(found, tuple(notes), fill, refused)


def strict_problem(data: bytes | str) -> str:
    """Why a document is not strict JSON, or ''."""
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
        if text.startswith("\ufeff"):
            return "begins with a byte order mark, which JSON does not have"
        if "\\ud" in text.lower():
            _refuse_surrogates(json.loads(text, parse_constant=_refuse_constant))
        else:
            json.loads(text, parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        return "is not UTF-8"
    except (ValueError, RecursionError) as error:
        return str(error) or type(error).__name__
    return ""


def _refuse_constant(word: str) -> None:
    raise ValueError(f"has {word}, which JSON does not have")


def _refuse_surrogates(value: Any) -> None:
    if isinstance(value, str):
        value.encode("utf-8")  # UnicodeEncodeError is a ValueError
    elif isinstance(value, dict):
        for key, inner in value.items():
            _refuse_surrogates(key)
            _refuse_surrogates(inner)
    elif isinstance(value, list):
        for inner in value:
            _refuse_surrogates(inner)


def _numbers(value: Any) -> list[Any] | None:
    """What an attribute with one or several numbers has; None for any other."""
    bare = value.tolist() if hasattr(value, "tolist") else value
    several = bare if isinstance(bare, (list, tuple)) else [bare]
    plain = all(isinstance(number, (int, float)) and not isinstance(number, bool) for number in several)
    return list(several) if several and plain else None


def _missing_value(attrs: dict[str, Any], kind: str, notes: list[str]) -> None:
    numbers = _numbers(attrs.get("missing_value"))
    if numbers is None or all(map(math.isfinite, numbers)):
        return
    left = [number for number in numbers if not math.isnan(number) and (kind == "f" or math.isfinite(number))]
    if left == [] or all(map(math.isfinite, left)):
        why = "readers take NaN for missing in any case" if kind == "f" else "no value of the variable can be that"
        notes.append(f"attribute 'missing_value' is stored without {_words(set(numbers) - set(left))}: {why}")
        attrs.pop("missing_value")
        if left:
            attrs["missing_value"] = left if len(left) > 1 else left[0]
    elif len(left) == 1 and "_FillValue" not in attrs:
        notes.append(f"attribute 'missing_value' ({_words(left)}) is stored as '_FillValue', which can spell it")
        attrs.pop("missing_value")
        attrs["_FillValue"] = left[0]


def _words(numbers: Iterable[float]) -> str:
    return ", ".join(sorted({_spelled(number) for number in numbers}))


def _spelled(number: float) -> str:
    return str(number) if math.isfinite(number) else SPELLED[str(float(number)) if not math.isnan(number) else "NaN"]


def _text_fill(attrs: dict[str, Any], kind: str, notes: list[str]) -> Any:
    """What becomes of the fill value of text in format 3, where xarray cannot decode the attribute."""
    fill = attrs.pop("_FillValue")
    fill = bytes(fill) if isinstance(fill, bytes) else str(fill)
    if kind == "S":
        notes.append(
            f"attribute '_FillValue' ({fill!r}) is kept as the array's fill_value alone: in format 3 xarray opens no text of a fixed width "
            "with that attribute"
        )
        return fill if isinstance(fill, bytes) else fill.encode()
    text = text_of(fill)[0] if isinstance(fill, bytes) else fill
    known = attrs.get("missing_value")
    words = [] if known is None else [str(word) for word in (known if isinstance(known, (list, tuple)) else [known])]
    words += [text] if text not in words else []
    attrs["missing_value"] = words if len(words) > 1 else words[0]
    notes.append(f"attribute '_FillValue' ({text!r}) is stored as 'missing_value': in format 3 xarray opens no text with the other one")
    return text


def _refusal(attrs: Mapping[str, Any], kind: str) -> str:
    for name in _SCALING:
        numbers = _numbers(attrs.get(name))
        if numbers and not all(map(math.isfinite, numbers)):
            return f"{name} is {_words(numbers)}, with which no value can be unpacked"
    numbers = _numbers(attrs.get("missing_value")) if kind == "f" else None
    if numbers and not all(map(math.isfinite, numbers)):
        return f"missing_value has {_words(numbers)} beside another, and JSON can spell only one of them, as _FillValue"
    return ""


def _plain(value: Any, changes: set[str]) -> Any:
    """A value as strict JSON has it; what it has to become is named in ``changes``."""
    if hasattr(value, "tolist") and not isinstance(value, (str, bytes)):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        changes.add("has NaN or Infinity, which JSON does not have: stored as the strings 'NaN', 'Infinity', '-Infinity'")
        return _spelled(value)
    if isinstance(value, bytes):
        return _decoded(bytes(value), changes)
    if isinstance(value, str):
        return _text(str(value), changes)
    if isinstance(value, Mapping):
        return {_text(str(name), changes): _plain(inner, changes) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner, changes) for inner in value]
    return value


def _decoded(value: bytes, changes: set[str]) -> str:
    text, latin = text_of(value)
    if latin:
        changes.add(READ_AS_LATIN_1)
    return text


def text_of(value: bytes) -> tuple[str, bool]:
    """The text that bytes stand for, and whether they had to be read as Latin-1 since they are no UTF-8."""
    try:
        return value.decode("utf-8"), False
    except UnicodeDecodeError:
        return value.decode("latin-1"), True


def _text(text: str, changes: set[str]) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        changes.add("has halves of surrogate pairs, which are no text: stored as \\udXXX")
        return text.encode("utf-8", "backslashreplace").decode()
    return text
