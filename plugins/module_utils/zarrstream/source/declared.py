# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which files may be read as source: those that were named, and what lies in folders that ``follow`` adds. Nothing but regular files.

What a file is, and where it lies, is asked of the open descriptor: a name may lead elsewhere in the next moment.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import BadRequest, SourceError

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK  # a FIFO opens at once, and is then seen to be one
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


class NotRegular(Exception):
    """Something in the place of a file; the text says what."""


class Outside(Exception):
    """A file that lies outside of what was declared; the text is its place."""


@dataclass(frozen=True)
class Declared:
    """``places`` are the real paths of files, and of folders with all that lies in them."""

    places: tuple[str, ...]

    def holds(self, real: str) -> bool:
        """Whether the real path of something is that of a declared file, or lies in a declared folder."""
        return any(real == place or real.startswith(f"{place.rstrip('/')}/") for place in self.places)

    def open(self, path: str) -> int:
        """A descriptor of a declared file; raises Outside, NotRegular, OSError."""
        file = open_regular(path)
        try:
            real = real_path(file, path)
            if not self.holds(real):
                raise Outside(real)
        except BaseException:
            os.close(file)
            raise
        return file


def open_regular(path: str) -> int:
    """A descriptor of the regular file that a path leads to; raises NotRegular or OSError."""
    _check_kind(os.stat(path).st_mode)  # noqa: PTH116 - a device may do something when it is opened
    file = os.open(path, _READ)
    try:
        _check_kind(os.fstat(file).st_mode)
    except BaseException:
        os.close(file)
        raise
    return file


def real_path(file: int, path: str) -> str:
    """Where the file lies that is open, without links; ``path`` is what it was opened by. Raises OSError where it has gone."""
    known = f"/proc/self/fd/{file}"
    if Path(known).is_symlink():
        place = os.readlink(known)  # noqa: PTH115 - the kernel's answer, about this very file
        return place.removesuffix(" (deleted)") if os.fstat(file).st_nlink == 0 else place
    real = os.path.realpath(path)
    if not os.path.samestat(os.stat(real), os.fstat(file)):  # noqa: PTH116 - beside fstat
        raise FileNotFoundError(f"'{path}' was replaced in this moment")
    return real


def descriptor_path(file: int, path: str) -> str:
    """A name by which libraries open the very file that is open; the path where the system has none."""
    known = f"/proc/self/fd/{file}"
    return known if Path(known).exists() else path


def parse_follow(folders: Sequence[str]) -> tuple[str, ...]:
    """The real paths of the folders in ``follow``; raises BadRequest for what is no folder."""
    found = []
    for text in folders:
        path = Path(text).expanduser()
        if not text or not path.is_dir():
            raise BadRequest(
                f"follow names '{text}', which is no folder on this host. Name folders that the source may lead to.", follow=text
            )
        found.append(os.path.realpath(path))
    return tuple(found)


def not_regular(path: str, error: NotRegular) -> SourceError:
    """The error for a source that is no file."""
    return SourceError(f"source '{path}' is {error}: only regular files are read. Copy its contents to a file.", source=path)


def outside(place: str, real: str, *, what: str = "is a link that") -> SourceError:
    """The error for a link that leads out of what was declared."""
    folder = real if os.path.isdir(real) else os.path.dirname(real)  # noqa: PTH112, PTH120 - as text
    return SourceError(
        f"source '{place}' {what} leads to '{real}', which is not declared as source. If that is wanted, name it, or declare its "
        f"folder: 'follow: [{folder}]'. Else remove the link.",
        source=place,
        target=real,
    )


def _check_kind(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise NotRegular(_KINDS.get(stat.S_IFMT(mode), "no file"))
