# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files that a pattern names. ``**`` goes into no linked folder, where it might go around in circles without end."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterator


def expand(pattern: str) -> tuple[str, list[str]]:
    """The folder in which an absolute pattern begins to be one, and what it matches below, sorted."""
    parts = pattern.split("/")[1:]
    first = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    folder = "/" + "/".join(parts[:first])
    return folder, sorted(set(_matches(folder, parts[first:])))


def _matches(folder: str, parts: list[str]) -> Iterator[str]:
    if not parts:
        yield folder
    elif parts[0] == "**":
        for below in _folders(folder):
            yield from _matches(below, parts[1:] or ["*"])
    elif not glob.has_magic(parts[0]):
        place = os.path.join(folder, parts[0])  # noqa: PTH118 - paths as text
        if os.path.lexists(place):
            yield from _matches(place, parts[1:])
    else:
        for name in (entry.name for entry in _entries(folder)):
            if fnmatch.fnmatchcase(name, parts[0]) and (parts[0].startswith(".") or not name.startswith(".")):
                yield from _matches(os.path.join(folder, name), parts[1:])  # noqa: PTH118


def _folders(folder: str) -> Iterator[str]:
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        yield here
        below = (entry for entry in _entries(here) if entry.is_dir(follow_symlinks=False))
        waiting.extend(entry.path for entry in below if not entry.name.startswith("."))


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """What lies in a folder; nothing where it cannot be read, as patterns go."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []
