# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is made once: the services' Python environment and the guests' image. Each is named by what it is made from."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from layout import CACHE, HERE
from shell import report, run

LOCK = HERE / "requirements.lock"
RECIPE = HERE / "build-image"
SUITE = "bookworm"


def digest(*parts: str) -> str:
    """A short name for what is made from these parts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def environment() -> Path:
    """The folder of the services' Python environment; made when it is missing."""
    folder = CACHE / f"venv-{digest(LOCK.read_text(), sys.version)}"
    if (folder / ".complete").exists():
        return folder
    report(f"Installing the services, once: {folder}")
    uv = Path(sys.executable).with_name("uv")
    shutil.rmtree(folder, ignore_errors=True)
    run(uv, "venv", "--quiet", "--no-project", "--python", sys.executable, folder)
    run(uv, "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode", "--python", folder / "bin" / "python", LOCK)
    (folder / ".complete").touch()
    forget_others(folder, "venv-*")
    return folder


def image() -> Path:
    """The archive of the guests' root file system; made when it is missing."""
    archive = CACHE / f"{SUITE}-{digest(RECIPE.read_text())}.tar"
    if archive.exists():
        return archive
    report(f"Building the guests' image, once, from Debian {SUITE}: {archive}")
    draft = archive.with_suffix(".part.tar")
    run(RECIPE, SUITE, draft)
    draft.rename(archive)
    forget_others(archive, f"{SUITE}-*")
    return archive


def forget_others(current: Path, pattern: str) -> None:
    """Remove what was made from an older recipe."""
    for path in CACHE.glob(pattern):
        if path != current:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
