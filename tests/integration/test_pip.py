"""The pips that distributions ship find versions of everything that fit each other, and soon. They install nothing here."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")
SECONDS = 60  # of the processor


def python(version: str) -> str:
    """A Python of that version: the system's, pyenv's, or else the one that uv fetches."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = shutil.which(f"python{version}", path="/usr/bin:/usr/local/bin")
    return found or next(map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python"))), version)


@pytest.mark.thorough
@pytest.mark.parametrize("extra", ["", "[all]"])
@pytest.mark.parametrize(
    ("pip", "version"),
    [
        pytest.param("23.0.1", "3.11", id="debian-12"),
        pytest.param("24.0", "3.12", id="ubuntu-24.04"),
        pytest.param("25.1.1", "3.13", id="debian-13"),
    ],
)
def test_a_pip_resolves_the_package(pip: str, version: str, extra: str, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([UV, "venv", "--quiet", "--python", python(version), venv], check=True, timeout=300)
    subprocess.run([UV, "pip", "install", "--quiet", "--python", venv / "bin/python", f"pip=={pip}"], check=True, timeout=120)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [venv / "bin/python", "-m", "pip", "install", "--dry-run", "--no-input", "--progress-bar", "off", f"{CHECKOUT}{extra}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=900)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert "does not provide the extra" not in done.stderr
    chosen = re.search(r"^Would install (.+)$", done.stdout, re.MULTILINE)
    assert chosen, done.stdout
    names = {name.rpartition("-")[0].lower() for name in chosen[1].split()}
    assert {"zarrstream", "aiobotocore", "boto3", "s3fs", "xarray", "zarr", "obstore"} <= names
    assert ("distributed" in names, "bokeh" in names) == (bool(extra), extra == "[all]")
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < SECONDS
