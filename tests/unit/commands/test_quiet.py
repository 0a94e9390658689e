"""With --quiet nothing but errors reaches standard error, in a process of its own as cron starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import netCDF4
import pytest
import zarrstream
from running import THOROUGH
from zarrstream.commands import cli

CORE = Path(zarrstream.__file__).parents[1]


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and standard error of the command."""
    environment = {**os.environ, "PYTHONPATH": str(CORE)}
    environment.pop("PYTHONWARNINGS", None)
    command = [sys.executable, "-m", "zarrstream", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stderr


@pytest.fixture
def warned_of(tmp_path: Path) -> Path:
    """A folder with a file that xarray warns of whenever it opens it: a covariance has the same dimension twice."""
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as file:
        file.createDimension("time", 2)
        file.createVariable("covariance", "f8", ("time", "time"))[:] = [[1, 0], [0, 1]]
    return tmp_path


def test_warnings_of_libraries_do_not_reach_standard_error(warned_of: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate dimension names"):  # else this file shows nothing
        assert cli.main(["write", str(warned_of / "a.nc"), str(warned_of / "a.zarr")]) == 0
    assert run(warned_of, "write", "a.nc", "b.zarr", "--quiet") == (0, "")
    if THOROUGH:  # in `make test` one command: what keeps warnings back is before any of them
        assert run(warned_of, "check", "b.zarr", "--source", "a.nc", "--quiet") == (0, "")


def test_errors_do(warned_of: Path) -> None:
    (warned_of / "b.nc").write_text("<!DOCTYPE html>")
    code, told = run(warned_of, "write", "b.nc", "b.zarr", "--quiet")
    assert code == 1
    assert told.startswith(f"zarrstream write: source '{warned_of}/b.nc' is neither NetCDF nor HDF5")
    assert told.count("\n") == 1
