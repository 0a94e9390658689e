# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Attributes by the CF conventions in which one variable names others: kept true where those get another name, or go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from ..metadata.attributes import EITHER, NAMES, PAIRS, REFERENCES

_METHODS = "cell_methods"  # "time: mean", of which the first is a name
_WORD = re.compile(r"[^\s:]+(?!:)(?=\s|$)")
_WORD_OR_KEY = re.compile(r"[^\s:]+")
_KEY = re.compile(r"[^\s:]+(?=:)")
_PAIR = re.compile(r"([^\s:]+):\s*([^\s:]+)(?=\s|$)")


def renamed(attrs: Mapping[Any, Any], names: Mapping[str, str]) -> dict[Any, Any]:
    """The attributes, with the new names of what they refer to."""
    patterns = {**dict.fromkeys(NAMES + PAIRS, _WORD), **dict.fromkeys(EITHER, _WORD_OR_KEY), _METHODS: _KEY}
    changed = dict(attrs)
    for key, pattern in patterns.items():
        if isinstance(text := attrs.get(key), str):
            changed[key] = pattern.sub(lambda match: names.get(match[0], match[0]), text)
    return changed


def without(attrs: Mapping[Any, Any], gone: AbstractSet[str]) -> dict[Any, Any]:
    """The attributes without references to variables that are gone: with one that leads nowhere, readers ignore the others too."""
    changed = dict(attrs)
    for key in REFERENCES:
        text = attrs.get(key)
        if not isinstance(text, str) or not gone & set(_WORD_OR_KEY.findall(text)):
            continue
        if key in PAIRS:
            rest = [match[0] for match in _PAIR.finditer(text) if match[2] not in gone]
        elif ":" in text:
            rest = [] if gone & set(_KEY.findall(text)) else [word for word in text.split() if word not in gone]
        else:
            rest = [word for word in text.split() if word not in gone]
        if rest:
            changed[key] = " ".join(rest)
        else:
            del changed[key]
    return changed
