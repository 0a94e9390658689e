"""The bytecode that the tests' Python keeps of what it imports from archives."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from running import CACHES

PROGRAM = """
import builtins, sys
compiled, compiles = [], builtins.compile
def counted(source, name, *rest, **options):
    compiled.append(name)
    return compiles(source, name, *rest, **options)
builtins.compile = counted
sys.path.insert(0, "packed.zip")
import packed
print(packed.answer(), packed.answer.__code__.co_filename, len(compiled))
"""


def imported(folder: Path, value: int) -> list[str]:
    """What the module says, where it says that it is from, and how many sources were compiled."""
    with zipfile.ZipFile(folder / "packed.zip", "w") as archive:
        archive.writestr("packed.py", f"def answer():\n    return {value}\n")
    variables = {**os.environ, "PYTHONPATH": str(CACHES), "ZIP_BYTECODE": str(folder / "kept")}
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=folder, env=variables, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_an_archive_is_compiled_once_and_anew_when_it_changes(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    name = "packed.zip/packed.py"
    assert [imported(tmp_path, value) for value in (1, 1, 2, 1)] == [["1", name, "1"], ["1", name, "0"], ["2", name, "1"], ["1", name, "0"]]


@pytest.mark.parametrize("kept", ["missing", "broken"])
def test_what_cannot_be_kept_is_compiled(tmp_path: Path, kept: str) -> None:
    if kept == "broken":
        (tmp_path / "kept").mkdir()
        imported(tmp_path, 1)
        for file in (tmp_path / "kept").iterdir():
            file.write_bytes(file.read_bytes()[:20])
    value, _, compiled = imported(tmp_path, 1)
    assert value == "1"
    assert int(compiled) > 0
