# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Stores as earlier versions of the kit have left them, in archives that never change (unit/formats)."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

FORMATS = Path(__file__).parent / "unit" / "formats"
ORDER = ("08522d7", "b2739ae", "ab064bf", "e94b9c3", "32a46d4", "05526a5", "3d4aebb", "aff975c")  # oldest first
ARCHIVES = [FORMATS / f"{version}.tar.xz" for version in ORDER]
FIRST = ARCHIVES[0]
ENCODING = {"air": {"compressor": {"name": "zstd", "level": 3}, "dtype": "float32"}}
CHUNKS = {"time": 2}


def unpack(archive: Path, name: str, folder: Path) -> Path:
    """Put the store ``name``, what lies beside it, and all sources into the folder; returns the store."""
    with tarfile.open(archive) as packed:
        members = [member for member in packed if member.name.startswith(name) or member.name.endswith(".nc")]
        packed.extractall(folder, members, filter="data")
    return folder / name


def asked_for(name: str) -> dict[str, Any]:
    """What the store was asked to be."""
    known: dict[str, Any] = {
        "two.zarr": {"zarr_format": 2},
        "replacing.zarr": {"zarr_format": 2},
        "shards.zarr": {"shards": {"time": 4}},
        "encoded.zarr": {"encoding": ENCODING},
    }
    return {"chunks": CHUNKS, **known.get(name, {})}
