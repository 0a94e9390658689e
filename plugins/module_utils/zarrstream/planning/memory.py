# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How much memory a write may take: what the request says, else half of what the machine and its control group leave."""

from __future__ import annotations

import ctypes
import re
from contextlib import suppress
from pathlib import Path

from ..errors import BadRequest

FALLBACK = 2**30  # bytes, on a system that does not tell
BESIDE = 2**24  # bytes that a write takes beside its blocks: records of its objects, connections, the source's table of chunks
_SCARCE = 2**28  # bytes below which memory counts more than time
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # mallopt's numbers
_LARGE = 2**16  # bytes from which on memory is taken from the system, where it is scarce
_LARGEST, _KEPT = 2**25, 2**28  # where it is not: the most that mallopt allows, and bytes that may stay unused at the end
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]iB|B)?")
_UNITS = {None: 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def parse_memory(text: str | int | None) -> int | None:
    """Bytes of a size such as ``512MiB``; None for none. Raises BadRequest."""
    if text is None:
        return None
    matched = _SIZE.fullmatch(str(text).strip())
    size = int(float(matched[1]) * _UNITS[matched[2]]) if matched else 0
    if size <= 0:
        raise BadRequest(f"memory is {text!r}: it is a size such as 512MiB or 4GiB. Leave it out for half of what is free.")
    return size


def for_blocks(memory: int, held: int = 0) -> int:
    """What of it the blocks that are at work may take together: the rest is taken anyway. ``held`` is what the source takes of it."""
    return max(memory // 2, memory - BESIDE - held)


def tune_allocator(memory: int) -> None:
    """Where there is little memory, what is freed goes back to the system at once; else it stays for the next block.

    glibc has by itself an arena for each thread, and gives parts of each back, which the kernel has to fill with zeros again.
    """
    options = {_MMAP_THRESHOLD: _LARGE} if memory < _SCARCE else {_ARENA_MAX: 1, _MMAP_THRESHOLD: _LARGEST, _TRIM_THRESHOLD: _KEPT}
    with suppress(OSError, AttributeError):  # another C library
        for option, value in options.items():
            ctypes.CDLL(None).mallopt(option, value)


def usable_memory(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Half of the bytes that are free: of the machine, or of the control groups around this process, whichever is less."""
    found = [left for left in (_machine(proc), *_control_groups(proc, groups)) if left is not None]
    return max(min(found, default=2 * FALLBACK), 0) // 2


def _machine(proc: Path) -> int | None:
    matched = re.search(r"^MemAvailable:\s+(\d+) kB", _read(proc / "meminfo"), re.MULTILINE)
    return int(matched[1]) * 2**10 if matched else None


def _control_groups(proc: Path, groups: Path) -> list[int | None]:
    """What each group leaves, from this process's own to the outermost; version 2 of control groups, and 1."""
    left: list[int | None] = []
    for line in _read(proc / "self/cgroup").splitlines():
        _unused, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        root = groups if not controllers else groups / controllers
        names = ("memory.max", "memory.current") if not controllers else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        place = Path(path.lstrip("/"))
        left += [_left(root / folder, *names) for folder in (place, *place.parents)]
    return left


def _left(folder: Path, limit: str, used: str) -> int | None:
    numbers = [_read(folder / name).strip() for name in (limit, used)]
    if not all(number.isdecimal() for number in numbers):
        return None  # "max", or no such group
    cached = re.search(r"^(?:total_)?inactive_file (\d+)$", _read(folder / "memory.stat"), re.MULTILINE)  # the kernel takes it back
    return int(numbers[0]) - int(numbers[1]) + (int(cached[1]) if cached else 0)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
