# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values in the names of files, found by a pattern that takes no more than a moment, whatever the name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from ..errors import BadRequest, SourceError

_LONGEST = 255  # characters of a pattern, and of most names
_WIDTHS = {"Y": 4, "j": 3, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2}
_FIELD = re.compile(r"\{([^{}]*)\}")
_EXAMPLES = "such as 'run_r{}i1p1f1.nc', where {} is the value, or '*_s{%Y%j%H%M%S}*.nc' for a date"


@dataclass(frozen=True)
class NamePattern:
    """``*`` is any text, ``?`` one character, ``{}`` the value, a text without ``_``, ``{%Y%m%d}`` a date; all else stands for itself.

    Raises BadRequest for a text without exactly one of the braces.
    """

    text: str

    def __post_init__(self) -> None:
        fields = _FIELD.findall(self.text)
        if len(fields) != 1 or len(self.text) > _LONGEST or "/" in self.text:
            raise BadRequest(
                f"combine.value_from.filename is {self.text!r}: it is a pattern for names with one pair of braces, {_EXAMPLES}."
            )
        wrong = [sign for sign in re.findall(r"%(.?)", fields[0]) if sign not in _WIDTHS]
        if wrong or (fields[0] and "%" not in fields[0]):
            known = ", ".join(f"%{sign}" for sign in _WIDTHS)
            raise BadRequest(f"combine.value_from.filename is {self.text!r}: in the braces of a date are some of {known}, {_EXAMPLES}.")

    @property
    def date(self) -> str:
        """The format of the date in it, as strptime has it; empty where it has another value."""
        return str(_FIELD.findall(self.text)[0])

    def value(self, name: str, path: str) -> str | datetime:
        """What a name says: a text, or a moment in UTC. Raises SourceError, naming the path, where it does not fit."""
        found = self._expression.match(name)
        try:
            if found and self.date:
                return datetime.strptime(found[1], self.date).replace(tzinfo=UTC)
        except ValueError:
            found = None
        if found is None:
            raise SourceError(
                f"the name of {path} does not fit the pattern '{self.text}' of combine.value_from.filename. Correct the pattern, "
                "or leave the file out.",
                files=[path],
            )
        return found[1]

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        """Each star takes the least that lets what follows it fit, and is not tried again: no name takes long."""
        first, *others = [_translated(part) for part in self.text.split("*")]
        inner = [f"(?>.*?{part})" for part in others[:-1]]
        return re.compile("".join([first, *inner, *(f".*?{part}" for part in others[-1:])]) + r"\Z", re.DOTALL)


def _translated(part: str) -> str:
    """A pattern without stars, as a regular expression."""
    before, *rest = _FIELD.split(part)
    return _plain(before) + (f"({_field(rest[0])}){_plain(rest[1])}" if rest else "")


def _plain(text: str) -> str:
    return ".".join(re.escape(piece) for piece in text.split("?"))


def _field(date: str) -> str:
    if not date:
        return "[^_]+?"
    return "".join(rf"\d{{{_WIDTHS[word[1]]}}}" if word[0] == "%" else re.escape(word) for word in re.findall("%.|[^%]+", date))
