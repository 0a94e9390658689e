# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files of this package, for whoever brings it somewhere else. Stays at its root: that is where they are looked for."""

from __future__ import annotations

from importlib.resources import files
from typing import Any


def package_files() -> dict[str, bytes]:
    """The package's own files by their path in it, from a folder or from the archive that Ansible sends."""
    found: dict[str, bytes] = {}

    def gather(folder: Any, prefix: str) -> None:
        for entry in folder.iterdir():
            if entry.is_dir() and entry.name != "__pycache__":
                gather(entry, f"{prefix}{entry.name}/")
            elif entry.name.endswith(".py"):
                found[f"{prefix}{entry.name}"] = entry.read_bytes()

    gather(files(__package__), "")
    return found
