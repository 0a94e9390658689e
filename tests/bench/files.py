#!/usr/bin/env python3
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What it costs to write many small files as one store, against `xarray.open_mfdataset(…).to_zarr(…)` of the same, into a folder.

The ways take turns, each in a process of its own; medians count. Each file holds one time of a small field, as NetCDF-3. Imports count,
for whoever writes pays for them; all processors do.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench import Cost, folder_of_its_own, median
from results import ROOT, Result, keep_costs, record

GOAL_CPU = 1.3
OTHER = """
import sys, glob, xarray
xarray.open_mfdataset(sorted(glob.glob(sys.argv[1]))).to_zarr(sys.argv[2])
"""


def make_files(folder: Path, number: int) -> None:
    """Write that many files, an hour each."""
    import netCDF4
    import numpy as np

    random = np.random.default_rng(0)
    for hour in range(number):
        with netCDF4.Dataset(folder / f"f{hour:05}.nc", "w", format="NETCDF3_CLASSIC") as file:
            for name, size, first, last in (("lat", 4, 40, 43), ("lon", 6, 5, 10)):
                file.createDimension(name, size)
                file.createVariable(name, "f8", (name,))[:] = np.linspace(first, last, size)
            file.createDimension("time", None)
            times = file.createVariable("time", "i4", ("time",))
            times.units = "hours since 2020-01-01"
            times[:] = [hour]
            file.createVariable("t2m", "f4", ("time", "lat", "lon"))[:] = random.normal(280, 10, (1, 4, 6))
            file.history = f"run {hour}"


def measured(command: Sequence[str]) -> Cost:
    """The cost of a process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins" / "module_utils")}
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    whole = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed with {process.returncode}")
    return Cost(whole, whole, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def main() -> None:
    """Measure, and record the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    ours, other = [], []
    with folder_of_its_own() as folder:
        (folder / "files").mkdir()
        make_files(folder / "files", arguments.files)
        names = str(folder / "files" / "*.nc")
        for number in range(arguments.rounds):
            ours.append(measured(["-m", "zarrstream", "write", names, str(folder / f"ours-{number}.zarr"), "--quiet"]))
            other.append(measured(["-c", OTHER, names, str(folder / f"other-{number}.zarr")]))
            for path in folder.glob(f"*-{number}.zarr*"):
                shutil.rmtree(path)
    one, two = median(ours), median(other)
    what = f"{arguments.files} small files against open_mfdataset and to_zarr"
    record([Result(f"{what}, CPU s", one.cpu, two.cpu, GOAL_CPU), Result(f"{what}, peak MiB", one.peak, two.peak)])
    keep_costs("files", {"files": arguments.files, "rounds": arguments.rounds, "ours": asdict(one), "open_mfdataset": asdict(two)})


if __name__ == "__main__":
    main()
