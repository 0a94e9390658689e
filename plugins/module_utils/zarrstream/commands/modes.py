# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Owner and modes of what all users of a machine run and one of them writes, whatever umask it was made under.

Folders and programs get 0755, other files 0644, everything its owner. Links are neither followed nor changed, nor is what is no
file: what is looked at is held open while it is changed, so that nobody can put something else into its place. Works on Python 3.9.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import ZarrstreamError

_EXECUTABLE = 0o111
_OTHERS_MAY_WRITE = 0o022
_ALL_MAY_ENTER = 0o555
_BEGINNINGS = (b"#!", b"\x7fELF")


@dataclass(frozen=True)
class ModeChange:
    """What differs at ``path``: its owner (a user's number) and mode as they were found, and as they should be."""

    path: str
    owner: int
    mode: int
    wanted_owner: int
    wanted_mode: int

    @property
    def exposed(self) -> bool:
        """Whether somebody else could write there."""
        return self.owner != self.wanted_owner or bool(self.mode & _OTHERS_MAY_WRITE)

    def line(self) -> str:
        """For people."""
        return f"{self.path}: {self.mode:04o} of {self.owner} -> {self.wanted_mode:04o} of {self.wanted_owner}"


def settle(path: Path, owner: int, *, dry_run: bool = False) -> list[ModeChange]:
    """Set owner and modes at ``path`` and of all that is in it; gives what that changes.

    What is not there needs nothing. Raises ZarrstreamError where it may not be changed.
    """
    with _parent(path) as (folder, state):
        return list(_settle(folder, path.name, str(path), state, _Task(owner, dry_run))) if state else []


def settle_shared(path: Path, *, dry_run: bool = False) -> list[ModeChange]:
    """Let everybody enter a folder in which others' things may lie, and nobody but its owner write there; a sticky one stays as it is."""
    with _parent(path) as (folder, state):
        if state is None or not stat.S_ISDIR(state.st_mode) or state.st_mode & stat.S_ISVTX:
            return []
        mode = stat.S_IMODE(state.st_mode)
        change = ModeChange(str(path), state.st_uid, mode, state.st_uid, mode & ~_OTHERS_MAY_WRITE | _ALL_MAY_ENTER)
        if change.wanted_mode == mode:
            return []
        if not dry_run:
            _set(folder, path.name, change, state)
        return [change]


@contextmanager
def _parent(path: Path) -> Iterator[tuple[int, os.stat_result | None]]:
    """The folder that something is in, held open, and its state; none where it is not there."""
    try:
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    except FileNotFoundError:
        yield -1, None
        return
    try:
        yield folder, os.stat(path.name, dir_fd=folder, follow_symlinks=False) if os.path.lexists(path) else None
    finally:
        os.close(folder)


@dataclass(frozen=True)
class _Task:
    owner: int
    dry_run: bool


def _settle(folder: int, name: str, path: str, state: os.stat_result, task: _Task) -> Iterator[ModeChange]:
    wanted = _mode(folder, name, path, state)
    if wanted is None:
        return
    if stat.S_IMODE(state.st_mode) != wanted or state.st_uid != task.owner:
        change = ModeChange(path, state.st_uid, stat.S_IMODE(state.st_mode), task.owner, wanted)
        yield change
        if not task.dry_run:
            _set(folder, name, change, state)
    if stat.S_ISDIR(state.st_mode):
        yield from _inside(folder, name, path, task)


def _inside(folder: int, name: str, path: str, task: _Task) -> Iterator[ModeChange]:
    try:
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
    except PermissionError:
        if task.dry_run:
            return
        raise
    try:
        with os.scandir(inner) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # Python replaces what it compiles, also while somebody looks
                    yield from _settle(inner, entry.name, f"{path}/{entry.name}", entry.stat(follow_symlinks=False), task)
    finally:
        os.close(inner)


def _mode(folder: int, name: str, path: str, state: os.stat_result) -> int | None:
    """The mode that something should have; None for links and for what is no file."""
    if stat.S_ISDIR(state.st_mode):
        return 0o755
    if not stat.S_ISREG(state.st_mode):
        return None
    if state.st_mode & _EXECUTABLE or (path.endswith(f"/bin/{name}") and _begins_as_program(folder, name)):
        return 0o755
    return 0o644


def _begins_as_program(folder: int, name: str) -> bool:
    """Whether a file without a mode to say so can be run."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return False
    try:
        return os.read(file, 4).startswith(_BEGINNINGS)
    finally:
        os.close(file)


def _set(folder: int, name: str, change: ModeChange, seen: os.stat_result) -> None:
    try:
        held = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=folder)
    except FileNotFoundError:
        return
    try:
        state = os.fstat(held)
        if stat.S_IFMT(state.st_mode) != stat.S_IFMT(seen.st_mode):
            return  # something else by now: the next run looks at it
        place = Path(f"/proc/self/fd/{held}")  # the descriptor itself, whatever the name leads to now
        if state.st_uid != change.wanted_owner:
            os.chown(place, change.wanted_owner, -1)
        place.chmod(change.wanted_mode)
    except PermissionError:
        raise ZarrstreamError(
            f"{change.path} belongs to the user {seen.st_uid}, and {change.wanted_owner} may not change that. "
            "Become root, or that user; or remove it and run again.",
            path=change.path,
        ) from None
    except OSError as error:
        raise ZarrstreamError(
            f"owner and mode of {change.path} cannot be set ({error.strerror}). Is its file system writable?", path=change.path
        ) from None
    finally:
        os.close(held)
