# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files and folders below a folder, opened without following any link.

Whoever may write in a shared folder may put a link, a FIFO or a device where a file of a store is expected, at any moment.
So each step of a path is opened relative to the one before (``openat`` with ``O_NOFOLLOW``), and what was opened is judged by
its descriptor. obstore's LocalStore does neither.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import Conflict, ZarrstreamError
from .location import ObjectInfo

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO without a writer would hold an open up for ever
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DEPTH = 64  # folders in folders: each takes a descriptor while it is listed
_KINDS: list[tuple[Callable[[int], bool], str]] = [
    (stat.S_ISLNK, "symbolic link"),
    (stat.S_ISFIFO, "FIFO"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
]
ABSENT = (FileNotFoundError, NotADirectoryError)


class NoFollow:
    """What lies below ``parent``, by paths relative to it."""

    def __init__(self, parent: Path) -> None:
        self._parent = parent

    def path(self, key: str) -> Path:
        """Where a file is, for messages."""
        return self._parent / key

    @contextmanager
    def opened(self, key: str, flags: int) -> Iterator[int]:
        """A descriptor of a file or folder; "" is the parent itself. Raises OSError, and Conflict for a link."""
        handle = self._open(key, flags)
        try:
            yield handle
        finally:
            os.close(handle)

    def _open(self, key: str, flags: int) -> int:
        *folders, name = key.split("/") if key else [""]
        if not name:
            return os.open(self._parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        around = self.enter(folders)
        try:
            return os.open(name, flags, dir_fd=around)
        except OSError as error:
            self._refuse_link(around, name, key, error)
            raise
        finally:
            os.close(around)

    def enter(self, folders: Iterable[str], *, make: bool = False) -> int:
        """A descriptor of the folder at the end of the path, which is made where ``make`` says so."""
        handle = os.open(self._parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        done: list[str] = []
        try:
            for name in filter(None, folders):
                done.append(name)
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(name, dir_fd=handle)
                try:
                    inner = os.open(name, FOLDER, dir_fd=handle)
                except OSError as error:
                    self._refuse_link(handle, name, "/".join(done), error)
                    raise
                os.close(handle)
                handle = inner
        except BaseException:
            os.close(handle)
            raise
        return handle

    def _refuse_link(self, folder: int, name: str, key: str, error: OSError) -> None:
        """Raise what is to be said of a link that kept something from being opened."""
        if error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO):
            return
        with suppress(FileNotFoundError):
            kind = _kind(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
            if kind:
                raise self._refused(key, kind)

    def _refused(self, key: str, kind: str) -> Conflict:
        path = self.path(key)
        remedy = "Name the folder that it leads to" if kind == "symbolic link" and "/" not in key else "Move it elsewhere"
        text = f"{path} is a {kind}: below a store nothing but plain files and folders is opened. {remedy}, or name another store."
        return Conflict(text, key=key)

    def regular(self, handle: int, key: str) -> os.stat_result:
        """What is known of an open file. Raises Conflict where it is no regular one, IsADirectoryError for a folder."""
        found = os.fstat(handle)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(found.st_mode):
            raise self._refused(key, _kind(found.st_mode) or "special file")
        return found

    def listed(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every file below a folder, with links and what else is no regular file, whose ``kind`` says so. Raises Conflict, OSError."""
        with self.opened(prefix, FOLDER) as folder:
            yield from self._listed(folder, prefix, 0)

    def _listed(self, folder: int, prefix: str, depth: int) -> Iterator[ObjectInfo]:
        if depth > _DEPTH:
            raise Conflict(f"{self.path(prefix)} lies more than {_DEPTH} folders deep: no store does. Move it elsewhere.", key=prefix)
        with os.scandir(folder) as entries:
            for entry in entries:
                key = f"{prefix}/{entry.name}" if prefix else entry.name
                try:
                    found = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(found.st_mode):
                        inner = os.open(entry.name, FOLDER, dir_fd=folder)
                        try:
                            yield from self._listed(inner, key, depth + 1)
                        finally:
                            os.close(inner)
                        continue
                except FileNotFoundError:  # it went meanwhile
                    continue
                yield ObjectInfo(key, found.st_size, None, _kind(found.st_mode))

    def prune(self, folders: Iterable[str]) -> None:
        """Remove folders, and those around them, as far as they are empty; never store and sidecar themselves."""
        for path in sorted(folders, key=len, reverse=True):
            segments = path.split("/")
            with suppress(OSError, ZarrstreamError):
                while len(segments) > 1:
                    around = self.enter(segments[:-1])
                    try:
                        os.rmdir(segments.pop(), dir_fd=around)
                    finally:
                        os.close(around)

    def tidy(self, root: str, ours: Callable[[str], bool]) -> None:
        """Remove the empty folders below ``root`` that ``ours`` knows, by path below it."""
        with suppress(*ABSENT), self.opened(root, FOLDER) as folder:
            self._tidy_in(folder, "", ours, 0)

    def _tidy_in(self, folder: int, prefix: str, ours: Callable[[str], bool], depth: int) -> None:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        for name in names:
            path = f"{prefix}/{name}" if prefix else name
            if depth > _DEPTH or not ours(path):
                continue
            with suppress(OSError):  # it went, it is a link now, or it holds something
                inner = os.open(name, FOLDER, dir_fd=folder)
                try:
                    self._tidy_in(inner, path, ours, depth + 1)
                finally:
                    os.close(inner)
                os.rmdir(name, dir_fd=folder)


def _kind(mode: int) -> str | None:
    return next((kind for test, kind in _KINDS if test(mode)), None)
