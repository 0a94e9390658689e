# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Text for people: sizes and numbers, and what others chose, such as names of objects and words of servers, as a terminal may show it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

# Controls of terminals (C0, C1, DEL), breaks of lines, marks that turn the direction or have no width, halves of pairs.
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def shown(text: str) -> str:
    """The text on one line, with all that a terminal would not show as it is in Python's escapes."""
    return _UNSAFE.sub(_escaped, text)


def shown_log(text: str) -> str:
    """The same for text of several lines."""
    return "\n".join(map(shown, text.split("\n")))


def shown_json(value: Any, **options: Any) -> str:
    """A value as JSON that may be shown: readable, and the same value to whoever parses it."""
    text = json.dumps(value, ensure_ascii=False, **options)
    return "\n".join(_UNSAFE.sub(_json_escaped, line) for line in text.split("\n"))


def meant(word: str, known: Iterable[str]) -> str:
    """`` Did you mean 'open'?`` where something known is nearly that word, else nothing."""
    from difflib import get_close_matches

    close = get_close_matches(word, list(known), n=1)
    return f" Did you mean '{close[0]}'?" if close else ""


def human_bytes(size: float) -> str:
    """A size for people, in binary units."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def one_line(error: BaseException) -> str:
    """What a library said, on one line of bounded length."""
    return shortened(" ".join(str(error).split()) or type(error).__name__, 300)


def shortened(text: str, most: int = 80) -> str:
    """A text of no more than so many letters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def many(number: int, noun: str) -> str:
    """``1 object``, ``2 objects``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def aligned(rows: Iterable[Sequence[str]]) -> list[str]:
    """A table for people, as lines."""
    cells = list(rows)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _escaped(match: re.Match[str]) -> str:
    letter = match.group()
    code = ord(letter)
    if letter in _NAMED:
        return _NAMED[letter]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escaped(match: re.Match[str]) -> str:
    return json.dumps(match.group())[1:-1]
