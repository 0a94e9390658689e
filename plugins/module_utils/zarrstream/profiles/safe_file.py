# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files in folders that belong to somebody: read and replaced relative to the opened folder, and never through a link.

The owner of a folder may swap what is in it at any moment, so a file is judged by its handle, after it was opened.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import ProfileError

FOLDER_MODE = 0o700
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@dataclass(frozen=True)
class Found:
    """What is in a place: ``data`` and ``mode`` None where there is no file, ``folder_mode`` None where there is no folder."""

    data: bytes | None = None
    mode: int | None = None
    folder_mode: int | None = None


def read(path: Path) -> Found:
    """The file and the modes. Raises ProfileError for a link, for what is no regular file, and for what may not be read."""
    try:
        with _opened(path.parent, os.O_PATH | _FOLDER) as folder:
            folder_mode = stat.S_IMODE(os.fstat(folder).st_mode)
            try:
                with _opened(Path(path.name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder) as handle:
                    state = os.fstat(handle)
                    if not stat.S_ISREG(state.st_mode):
                        raise _refused(path, "a file")
                    with os.fdopen(handle, "rb", closefd=False) as file:
                        return Found(file.read(), stat.S_IMODE(state.st_mode), folder_mode)
            except FileNotFoundError:
                return Found(folder_mode=folder_mode)
    except FileNotFoundError:
        return Found()
    except OSError as error:
        raise _explained(error, path) from None


def write(path: Path, data: bytes, mode: int) -> None:
    """Replace the file in one step; where anything fails, the old one stays whole. Raises OSError.

    A folder ``.aws`` is closed to others. The file keeps its owner, a new one gets that of the folder: root may write for a user.
    """
    make_folder(path.parent)
    temporary = f".{path.name}.{secrets.token_hex(8)}"
    with _opened(path.parent) as folder:
        if path.parent.name == ".aws":
            os.fchmod(folder, FOLDER_MODE)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode, dir_fd=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                _own_like(path.name, folder, file.fileno())
                os.fchmod(file.fileno(), mode)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
            raise
        os.fsync(folder)


def remove(path: Path) -> None:
    """Remove the file, or the link in its place; nothing where there is none. Raises OSError."""
    with contextlib.suppress(FileNotFoundError), _opened(path.parent) as folder:
        os.unlink(path.name, dir_fd=folder)


def make_folder(folder: Path) -> None:
    """The folder of a file, mode 0700, owned like the folder around it; nothing where it is there. Raises OSError."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _opened(folder.parent, os.O_RDONLY | os.O_DIRECTORY) as around:
        try:
            os.mkdir(folder.name, FOLDER_MODE, dir_fd=around)
        except FileExistsError:
            return
        if os.geteuid() == 0:
            owner = os.fstat(around)
            with _opened(Path(folder.name), dir_fd=around) as made:
                os.fchown(made, owner.st_uid, owner.st_gid)


@contextlib.contextmanager
def _opened(path: Path, flags: int = _FOLDER, dir_fd: int | None = None) -> Iterator[int]:
    handle = os.open(path, flags, dir_fd=dir_fd)
    try:
        yield handle
    finally:
        os.close(handle)


def _own_like(name: str, folder: int, handle: int) -> None:
    """The owner of the file that is replaced, or of the folder. Only root can give it to another than who writes it."""
    try:
        model = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        model = os.fstat(folder)
    mine = os.fstat(handle)
    if (model.st_uid, model.st_gid) == (mine.st_uid, mine.st_gid):
        return
    if os.geteuid() == 0:
        os.fchown(handle, model.st_uid, model.st_gid)
    elif model.st_uid == mine.st_uid:
        with contextlib.suppress(PermissionError):  # a group that the user is not in
            os.fchown(handle, -1, model.st_gid)


def _explained(error: OSError, path: Path) -> ProfileError:
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO):
        return _refused(path.parent, "a folder") if not _is(path.parent, stat.S_ISDIR) else _refused(path, "a file")
    return ProfileError(f"cannot read {path}: {error.strerror}. Check its owner and mode, and those of its folder.", config_file=str(path))


def _refused(path: Path, wanted: str) -> ProfileError:
    if _is(path, stat.S_ISLNK):
        message = f"{path} is a symbolic link: keys are not written through links. Replace the link by {wanted}, or set 'config_file'."
    else:
        message = f"{path} is not {wanted}. Move it away, or set 'config_file'."
    return ProfileError(message, config_file=str(path))


def _is(path: Path, kind: Callable[[int], bool]) -> bool:
    """For the words of an error only."""
    try:
        return kind(path.lstat().st_mode)
    except OSError:
        return False
