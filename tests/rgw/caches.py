# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is made once, each named by what it is made from: the root file system with Ceph's programs, and Keystone's environments."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cloud.shell import CloudError, report, run
from rgw.layout import CACHE, HERE, KEYSTONES, OWN_CACHE, ROLE

RECIPE = HERE / "build-chroot"
SUITE = "trixie"
PROGRAMS = {"mmdebstrap": "mmdebstrap", "unshare": "util-linux", "setpriv": "util-linux"}


def digest(*parts: str) -> str:
    """A short name for what is made from these parts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def lock(keystone: str) -> Path:
    """The locked packages of a Keystone: the role's, where it has that release."""
    name = f"keystone-{KEYSTONES[keystone]}.lock"
    return next(file for folder in (ROLE / "files" / "locks", HERE / "locks") if (file := folder / name).exists())


def environment(keystone: str) -> Path:
    """The folder of a Keystone's Python environment; made when it is missing."""
    packages = lock(keystone)
    name = f"keystone-{keystone}"
    folder = CACHE / f"{name}-{digest(packages.read_text(), sys.version)}"
    if (folder / ".complete").exists():
        return folder
    report(f"Installing Keystone {KEYSTONES[keystone]}, once: {folder}")
    uv = Path(sys.executable).with_name("uv")
    shutil.rmtree(folder, ignore_errors=True)
    run(uv, "venv", "--quiet", "--no-project", "--python", sys.executable, folder)
    run(uv, "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode", "--python", folder / "bin" / "python", packages)
    (folder / ".complete").touch()
    forget_others(folder, f"{name}-*")
    return folder


def has_chroot() -> bool:
    """Tell whether the root file system is there, which takes minutes to make."""
    return (_chroot() / ".complete").exists()


def _chroot() -> Path:
    return CACHE / f"chroot-{digest(RECIPE.read_text(), SUITE)}"


def chroot() -> Path:
    """The root file system with Ceph's programs; made when it is missing."""
    folder = _chroot()
    if has_chroot():
        return folder
    report(f"Building a root file system with Ceph, once, from Debian {SUITE}: {folder}")
    require_program("mmdebstrap")
    shutil.rmtree(folder, ignore_errors=True)
    run(RECIPE, SUITE, folder)
    (folder / ".complete").touch()
    forget_others(folder, "chroot-*")
    return folder


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let one checkout at a time make what several share."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def require_program(name: str) -> None:
    """Install the Debian package of a program that is missing, or name it."""
    if shutil.which(name):
        return
    package = PROGRAMS[name]
    if not shutil.which("apt-get"):
        raise CloudError(f"The RGW cloud needs {package}, which it can install on Debian only.")
    report(f"Installing {package}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "--quiet", env=quiet)
    run("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", package, env=quiet)


def forget_others(current: Path, pattern: str) -> None:
    """Remove what this checkout made from an older recipe; what others may use stays."""
    for path in OWN_CACHE.glob(pattern):
        if path.name != current.name:
            shutil.rmtree(path)
