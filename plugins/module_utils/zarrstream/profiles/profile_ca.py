# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The copy of a cloud's CA beside the profile that names it: it comes and goes with the profile."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path

from ..errors import ProfileError
from . import safe_file
from .profile_file import FoundFile, values

MODE = 0o644  # certificates are public


@dataclass(frozen=True)
class CaPlan:
    """What will become of the copy: ``before`` and ``after`` are its bytes, None where there is none."""

    path: Path
    before: bytes | None
    after: bytes | None
    mode: int | None

    @property
    def changed(self) -> bool:
        return self.before != self.after or (self.after is not None and self.mode != MODE)

    def diff(self) -> dict[str, str]:
        """The hash and the mode before and after: a CA bundle may be long."""
        return {
            "before_header": str(self.path),
            "after_header": str(self.path),
            "before": _described(self.before, self.mode),
            "after": _described(self.after, MODE),
        }

    def apply(self) -> None:
        """Write or remove the copy. Raises ProfileError."""
        if not self.changed:
            return
        try:
            if self.after is None:
                safe_file.remove(self.path)
            else:
                safe_file.write(self.path, self.after, MODE)
        except OSError as error:
            raise ProfileError(
                f"cannot write {self.path}: {error.strerror}. Check the owner, the free space and the mount of its folder.",
                config_file=str(self.path),
            ) from None


def ca_copy(name: str, config: Path) -> Path:
    """Where the copy for a profile of this name lies."""
    return config.parent / f"{name.replace('/', '_')}-ca.pem"


def settled_ca(wanted: str | None, held: str | None) -> str | None:
    """The CA that a profile should name: the file that it names already where that says the same, as the copy beside the profile does.

    On a machine that is controller and host, two writers of one profile know the CA by two paths: the first that is written stays.
    """
    if not wanted or not held or wanted == held:
        return wanted
    with contextlib.suppress(OSError):
        if Path(wanted).expanduser().read_bytes() == Path(held).expanduser().read_bytes():
            return held
    return wanted


def plan_ca(name: str, profile: FoundFile, certificates: str | None, named: str | None = None) -> CaPlan:
    """The copy with these certificates; without any, the one that the profile names goes, unless it goes on to be ``named``.

    Raises ProfileError where a link or something else is in the place of a copy that is wanted.
    """
    path = ca_copy(name, profile.path)
    ours = values(name, profile).get("ca_bundle") == str(path) != named
    if not certificates and not ours:
        return CaPlan(path, None, None, None)
    found = safe_file.read(path)
    return CaPlan(path, found.data, certificates.encode() if certificates else None, found.mode)


def _described(data: bytes | None, mode: int | None) -> str:
    return "" if data is None else f"SHA-256 {hashlib.sha256(data).hexdigest()}, mode {mode:04o}\n"
