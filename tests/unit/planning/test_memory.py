"""How much memory a write may take."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from zarrstream.errors import BadRequest
from zarrstream.planning.memory import BESIDE, FALLBACK, for_blocks, parse_memory, usable_memory


@pytest.mark.parametrize(
    ("text", "expected"),
    [(None, None), ("512MiB", 2**29), ("1.5 GiB", 3 * 2**29), ("2TiB", 2**41), (4096, 4096), ("4096", 4096), ("100B", 100), ("3KiB", 3072)],
)
def test_sizes(text: str | int | None, expected: int | None) -> None:
    assert parse_memory(text) == expected


@pytest.mark.parametrize("text", ["", "0", 0, -5, "much", "1GB", "1e9", "MiB", "0.1", True])
def test_what_is_no_size_is_named(text: str | int) -> None:
    with pytest.raises(BadRequest, match=r"memory is .*512MiB"):
        parse_memory(text)


@pytest.mark.parametrize(("memory", "expected"), [(2**20, 2**19), (2 * BESIDE, BESIDE), (2**30, 2**30 - BESIDE)])
def test_blocks_leave_room_for_what_a_write_takes_beside_them(memory: int, expected: int) -> None:
    assert for_blocks(memory) == expected
    assert for_blocks(memory, 2**20) == max(memory // 2, expected - 2**20), "beside what the source takes"


def machine(root: Path, available: int | None, cgroup: str, files: dict[str, str]) -> int:
    for name, content in {
        "proc/meminfo": f"MemTotal: 9 kB\nMemAvailable:   {available} kB\n" if available else "",
        "proc/self/cgroup": cgroup,
        **{f"cgroup/{name}": content for name, content in files.items()},
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return usable_memory(root / "proc", root / "cgroup")


@pytest.mark.parametrize(
    ("available", "cgroup", "files", "expected"),
    [
        (8000, "0::/\n", {}, 4000 * 1024),
        (8000, "0::/a/b\n", {"a/b/memory.max": "max\n", "a/b/memory.current": "10\n"}, 4000 * 1024),
        (8000, "0::/a/b\n", {"a/b/memory.max": "1000\n", "a/b/memory.current": "400\n"}, 300),
        (8000, "0::/a/b\n", {"a/memory.max": "1000\n", "a/memory.current": "400\n"}, 300),  # the limit of the group around it
        (8000, "0::/a\n", {"a/memory.max": "1000", "a/memory.current": "900", "a/memory.stat": "anon 5\ninactive_file 500\n"}, 300),
        (8000, "3:memory:/a\n", {"memory/a/memory.limit_in_bytes": "1000", "memory/a/memory.usage_in_bytes": "800"}, 100),
        (8000, "2:cpu:/a\n", {"cpu/a/memory.limit_in_bytes": "1000", "cpu/a/memory.usage_in_bytes": "800"}, 4000 * 1024),
        (None, "", {}, FALLBACK),
        (8000, "0::/a\n", {"a/memory.max": "1000", "a/memory.current": "1400"}, 0),
    ],
)
def test_half_of_what_is_free(tmp_path: Path, available: int | None, cgroup: str, files: dict[str, str], expected: int) -> None:
    assert machine(tmp_path, available, cgroup, files) == expected


def test_this_machine_has_some() -> None:
    assert usable_memory() > 2**20


MAKES_AND_FREES = """
import resource, sys, threading
from zarrstream.planning.memory import tune_allocator

if len(sys.argv) > 1:
    tune_allocator(int(sys.argv[1]))
def work():
    for _ in range(20):
        parts = [bytearray(b"x" * 2**20) for _ in range(8)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
threads = [threading.Thread(target=work) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*memory: int) -> int:
    command = [sys.executable, "-c", MAKES_AND_FREES, *map(str, memory)]
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    return int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def test_what_is_freed_stays_for_the_next_block_unless_memory_is_scarce() -> None:
    usual = faults()
    assert faults(2**30) < usual / 2
    assert faults(2**27) > usual / 2
