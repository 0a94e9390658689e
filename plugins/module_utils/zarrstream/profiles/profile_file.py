# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An AWS configuration file on disk: found without following links, changed in one atomic step, readable by its owner only."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ProfileError
from . import effective, profile_edit, profile_text, safe_file
from .profile import config_path, credentials_path
from .profile_text import ProfileSettings, masked, read_values
from .safe_file import FOLDER_MODE

FILE_MODE = 0o600
_LOCK_SECONDS = 60.0
_CREDENTIALS = "(credentials)"  # stands for the credentials file among the names of settings


@dataclass(frozen=True)
class FoundFile:
    """The file as it is: ``text`` None where there is none; the modes None where the file or its folder is missing."""

    path: Path
    text: str | None
    mode: int | None
    folder_mode: int | None

    @property
    def modes_wrong(self) -> bool:
        """Others may read the file, or look into a folder ``.aws``. Other folders may serve other purposes: their mode stays."""
        folder_wrong = self.path.parent.name == ".aws" and self.folder_mode not in (None, FOLDER_MODE)
        return folder_wrong or self.mode not in (None, FILE_MODE)


@dataclass(frozen=True)
class FilePlan:
    """What will become of the file: its new text (None: no file) and whether modes are corrected."""

    profile: str
    found: FoundFile
    text: str | None
    correct_modes: bool

    @property
    def changed(self) -> bool:
        return self.text != self.found.text or self.correct_modes

    def diff(self) -> dict[str, str]:
        """The profile before and after, without its secret, and the modes where they change."""
        path = self.found.path
        return {
            "before_header": str(path),
            "after_header": str(path),
            "before": _modes(self.found, self.correct_modes, after=False) + masked(self.profile, self.found.text or ""),
            "after": _modes(self.found, self.correct_modes, after=True) + masked(self.profile, self.text or ""),
        }

    def apply(self) -> None:
        """Write the file; where anything fails, the old one stays whole. Raises ProfileError."""
        if not self.changed:
            return
        try:
            safe_file.write(self.found.path, (self.text or "").encode("utf-8", "surrogateescape"), FILE_MODE)
        except OSError as error:
            raise ProfileError(
                f"cannot write {self.found.path}: {error.strerror or error}. The file is as it was. "
                "Check the owner, the free space and the mount of its folder.",
                config_file=str(self.found.path),
            ) from None


def find(config_file: str | None = None) -> FoundFile:
    """The configuration file and its modes. Raises ProfileError for a link, or for what is no regular file."""
    path = config_path(config_file).absolute()
    found = safe_file.read(path)
    text = None if found.data is None else found.data.decode("utf-8", "surrogateescape")
    return FoundFile(path, text, found.mode, found.folder_mode)


def plan_present(wanted: ProfileSettings, found: FoundFile) -> FilePlan:
    """The file with the profile in it. Raises ProfileError where botocore would then read any other section in another way."""
    with _naming(found.path):
        text = profile_edit.plan(wanted, found.text or "")
        _prove_others(wanted.name, found.text or "", text)
    return FilePlan(wanted.name, found, text, found.modes_wrong)


def plan_absent(name: str, found: FoundFile) -> FilePlan:
    """The file without the profile; nothing else about it is touched."""
    with _naming(found.path):
        text = None if found.text is None else profile_edit.plan_removal(name, found.text)
        _prove_others(name, found.text or "", text or "")
    return FilePlan(name, found, text, correct_modes=False)


def values(name: str, found: FoundFile) -> dict[str, str]:
    """The settings of the profile in this file; empty where it is not there."""
    with _naming(found.path):
        return read_values(name, found.text or "")


def holders(access_key: str, name: str, found: FoundFile, config_file: str | None = None) -> list[str]:
    """Where else on this machine the access key of the profile ``name`` is: sections of the configuration and the credentials file."""
    with _naming(found.path):
        own = profile_text.section_name(name, found.text or "")
        places = [f"[{each}] of {found.path}" for each in profile_text.profiles_with(access_key, found.text or "") if each != own]
    path = credentials_path(config_file)
    try:
        credentials = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return places
    with _naming(path):
        return places + [f"[{each}] of {path}" for each in profile_text.profiles_with(access_key, credentials)]


@dataclass(frozen=True)
class Misread:
    """What AWS tools make of a profile that is not what its section says: ``read_as`` by setting, and the places that make them."""

    profile: str
    read_as: Mapping[str, str] = field(default_factory=dict)
    places: tuple[str, ...] = ()

    @property
    def warning(self) -> str | None:
        """What to say about it; None where there is nothing to say."""
        if not self.places:
            return None
        where = " and ".join(self.places)
        if effective.FAILURE in self.read_as:
            failure = self.read_as[effective.FAILURE].rstrip(".")
            return f"AWS tools cannot use profile '{self.profile}': {failure} ({where}). Correct or remove it there."
        seen = f" ({effective.said(self.read_as)})" if self.read_as else ""
        return (
            f"AWS tools do not use what profile '{self.profile}' says, since {where} is asked first{seen}. "
            "Remove it there, or choose another name for the profile."
        )


def misread(name: str, text: str | None, found: FoundFile, config_file: str | None = None) -> Misread:
    """Whether botocore takes the profile in ``text`` as it stands there: keys, token, endpoint, region, style, checksums, CA.

    The environment is left out: it is that of a module, not that of who uses the profile.
    """
    with _naming(found.path):
        values = read_values(name, text or "")
        others = profile_text.options(name, text or "")
    if not values:
        return Misread(name)
    credentials = credentials_path(config_file)
    held = _holds_profile(credentials, name)

    def seen(kept: frozenset[str]) -> effective.Effective:
        with effective.in_memory(profile_text.with_options(name, text or "", kept)) as path:
            return effective.look(name, path, credentials if _CREDENTIALS in kept else Path(os.devnull))

    with effective.environment_without(effective.variables()):
        with effective.in_memory(text or "") as path:
            looked = effective.look(name, path, credentials)
        read_as = looked.differing(effective.meant_by(profile_text.flat(values)))
        deciding = effective.decisive((_CREDENTIALS, *others), seen, first=False) if read_as else []
    places = [str(credentials)] if held or _CREDENTIALS in deciding else []
    places += [f"{found.path}: {key}" + (f" of {others[key]}" if others[key] else "") for key in others if key in deciding]
    return Misread(name, read_as, tuple(places or [str(found.path)] if read_as else places))


def misread_on_disk(name: str, config_file: str | None = None) -> Misread:
    """The same of a profile that is there, by whomever it was written."""
    path = config_path(config_file)
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError:  # in the credentials file alone
        text = ""
    return misread(name, text, FoundFile(path, text, None, None), config_file)


def _holds_profile(credentials: Path, name: str) -> bool:
    try:
        text = credentials.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return False
    with _naming(credentials):
        return profile_text.is_credentials_section(name, text)


def _prove_others(name: str, before: str, after: str) -> None:
    """Let botocore read both texts. Raises ProfileError where it cannot, or reads a section that is not the profile's in another way."""
    if before == after:
        return
    from botocore.exceptions import ConfigParseError

    try:
        read = [_read_of_others(name, text) for text in (before, after)]
    except ConfigParseError:
        raise ProfileError("AWS tools cannot read it, or could not after this change. Mend the file; it was left as it is.") from None
    changed = sorted(key for key in {*read[0], *read[1]} if read[0].get(key) != read[1].get(key))
    if changed:
        raise ProfileError(
            f"profile '{name}' cannot be changed without a change of what AWS tools read in [{'], ['.join(changed)}]. "
            "Mend the file by hand; it was left as it is."
        )


def _read_of_others(name: str, text: str) -> dict[str, object]:
    sections = effective.sections(text)
    own = profile_text.section_name(name, text)
    return {section: settings for section, settings in sections.items() if section != own}


@contextlib.contextmanager
def locked(config_file: str | None = None, *, make: bool = False) -> Iterator[None]:
    """One writer of the file at a time, also between processes; the lock is on the folder, for the file is replaced.

    ``make`` makes a missing folder; without it, a missing folder is not locked.
    """
    folder = config_path(config_file).absolute().parent
    if make:
        try:
            safe_file.make_folder(folder)
        except OSError as error:
            raise ProfileError(f"cannot make the folder {folder}: {error.strerror}.", config_file=str(folder)) from None
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # not there yet, or not ours to read: find() says what is wrong
        yield
        return
    try:
        _wait_for_lock(handle, folder)
        yield
    finally:
        os.close(handle)


def _wait_for_lock(handle: int, folder: Path) -> None:
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                return  # a file system without locks
            if time.monotonic() > deadline:
                raise ProfileError(f"another process has held {folder} for {_LOCK_SECONDS:.0f} s. Wait for it, or end it.") from None
            time.sleep(0.1)
        else:
            return


def _modes(found: FoundFile, corrected: bool, after: bool) -> str:
    if not corrected:
        return ""
    lines = []
    if found.mode not in (None, FILE_MODE):
        lines.append(f"# mode {FILE_MODE if after else found.mode:04o}\n")
    if found.path.parent.name == ".aws" and found.folder_mode not in (None, FOLDER_MODE):
        lines.append(f"# mode of the folder {FOLDER_MODE if after else found.folder_mode:04o}\n")
    return "".join(lines)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """The pure part knows no file: its errors get the path here."""
    try:
        yield
    except ProfileError as error:
        raise ProfileError(f"{path}: {error}", config_file=str(path), **error.details) from None
