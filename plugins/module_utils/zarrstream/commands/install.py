# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Puts this package and its command into a Python environment, out of whatever it runs from.

Ansible sends a module together with the package's files that it imports, so those of the command are at hand on every
host, in step with the modules, without a registry and without building anything. Works on Python 3.9.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import BadRequest, ZarrstreamError
from ..package import package_files
from .modes import ModeChange, settle, settle_shared

NAME = "zarrstream"
_SCRIPT = """#!{python}
import sys

from zarrstream.__main__ import main

sys.exit(main())
"""


@dataclass(frozen=True)
class Change:
    """What is to be done: ``package`` and ``script`` say whether each is written. The texts show files and their digests."""

    package: bool
    script: bool
    before: str
    after: str

    @property
    def anything(self) -> bool:
        """Whether there is anything to do."""
        return self.package or self.script


def install(environment: str, *, dry_run: bool = False) -> Change:
    """Put package and command into the virtual environment at the path ``environment``; gives what that changed.

    Raises BadRequest where no environment is, and ZarrstreamError where it cannot be written. With ``dry_run`` a missing
    environment counts as one without the package.
    """
    place = Path(environment)
    libraries = sorted(place.glob("lib/python3.*/site-packages"))
    if not libraries and not dry_run:
        raise BadRequest(f"path is '{environment}': no Python environment is there. Make it first, with the role zarr_stack or venv.")
    wanted = package_files()
    script = _SCRIPT.format(python=place / "bin" / "python").encode()
    change = plan(wanted, _installed(libraries[0] / NAME) if libraries else {}, script, _read(place / "bin" / NAME))
    if change.anything and not dry_run:
        try:
            with _umask(0o022):
                _apply(change, wanted, script, place, libraries[0])
        except OSError as error:
            text = f"{error.filename or environment} cannot be written ({error.strerror}). Become the user who owns {environment}."
            raise ZarrstreamError(text, path=environment) from None
    return change


def settle_stack(folder: str, *, dry_run: bool = False) -> list[ModeChange]:
    """Owner and modes of what the role zarr_stack has put into its folder; gives what that changes.

    In the folder itself and in ``bin`` others' things may lie, which stay as they are.
    """
    place = Path(folder)
    found = [each for shared in (place, place / "bin") for each in settle_shared(shared, dry_run=dry_run)]
    for ours in (place / "bin" / "uv", place / "envs", place / "pythons"):
        found += settle(ours, os.geteuid(), dry_run=dry_run)
    return found


def plan(wanted: dict[str, bytes], found: dict[str, bytes], script: bytes, found_script: bytes | None) -> Change:
    """The difference between what is wanted and what is there."""
    before = {**found, **({f"bin/{NAME}": found_script} if found_script is not None else {})}
    return Change(wanted != found, script != found_script, _digests(before), _digests({**wanted, f"bin/{NAME}": script}))


def _digests(contents: dict[str, bytes]) -> str:
    return "".join(f"{hashlib.sha256(content).hexdigest()[:16]}  {name}\n" for name, content in sorted(contents.items()))


def _installed(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.py")}


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def _apply(change: Change, wanted: dict[str, bytes], script: bytes, place: Path, library: Path) -> None:
    if change.package:
        with tempfile.TemporaryDirectory(dir=library, prefix=f".{NAME}-") as temporary:
            made = Path(temporary) / NAME
            for name, content in wanted.items():
                _write(made / name, content, 0o644)
            # Not everybody who runs the command may write there: compiled now, or at each start. A path in a
            # traceback is to be the final one.
            command = [str(place / "bin" / "python"), "-m", "compileall", "-q", "-d", str(library / NAME), str(made)]
            subprocess.run(command, check=False, stdout=subprocess.DEVNULL)  # pylint: disable=ansible-bad-function
            if (library / NAME).exists():
                (library / NAME).rename(Path(temporary) / "old")
            made.rename(library / NAME)
    if change.script:
        temporary_script = place / "bin" / f".{NAME}"
        _write(temporary_script, script, 0o755)
        temporary_script.replace(place / "bin" / NAME)


def _write(path: Path, content: bytes, mode: int) -> None:
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True)
    path.write_bytes(content)
    path.chmod(mode)
