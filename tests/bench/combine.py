#!/usr/bin/env python3
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What joining many small files costs: processor seconds and memory of a write to a folder, in turns with others.

With ``combine`` against the same write without it, and without it against xarray's ``open_mfdataset`` and ``to_zarr``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
from results import Result, record

CORE = Path(__file__).resolve().parents[2] / "plugins/module_utils"
GOAL, GOAL_AGAINST_XARRAY = 1.1, 1.3
Y, X = 8, 12
CHUNKS = {"time": 500}
OURS = "import json, sys, zarrstream; zarrstream.write(**json.loads(sys.argv[1]))"
XARRAY = """
import json, sys, xarray
given = json.loads(sys.argv[1])
how = {"combine": "by_coords", "data_vars": "minimal", "coords": "minimal", "compat": "override", "decode_cf": False}
joined = xarray.open_mfdataset(given["source"], **how)
joined.chunk(given["chunks"]).to_zarr(given["store"], zarr_format=3, consolidated=True)
"""


@dataclass(frozen=True)
class Way:
    """A program that writes; ``scenes`` are the files whose time is in their name alone."""

    name: str
    program: str = OURS
    scenes: bool = False
    combine: Any = field(default=None, hash=False)


PLAIN = Way("by coordinates")
PAIRS = [
    (Way("overlap and tolerance", combine={"overlap": "first", "tolerance": 1e-9}), PLAIN, GOAL),
    (Way("a new dimension", scenes=True, combine={"dim": "time", "value_from": {"filename": "{}.nc"}}), PLAIN, GOAL),
    (PLAIN, Way("open_mfdataset and to_zarr", XARRAY), GOAL_AGAINST_XARRAY),
]


def make_data(folder: Path, files: int) -> dict[bool, list[str]]:
    """Files of one step each: with a coordinate of time, and without."""
    random, paths = np.random.default_rng(1), {False: list[str](), True: list[str]()}
    for number in range(files):
        field = random.normal(280, 10, (Y, X)).astype("f4")
        for scene, named in paths.items():
            named.append(str(folder / ("scenes" if scene else "steps") / f"{number:06}.nc"))
            Path(named[-1]).parent.mkdir(exist_ok=True)
            with netCDF4.Dataset(named[-1], "w", format="NETCDF3_CLASSIC") as file:
                for name, size in {"lat": Y, "lon": X}.items():
                    file.createDimension(name, size)
                    file.createVariable(name, "f8", (name,))[:] = np.arange(size)
                file.history = f"run {number}"
                if not scene:
                    file.createDimension("time", None)
                    time = file.createVariable("time", "i4", ("time",))
                    time.units = "hours since 2020-01-01"
                    time[:] = [number]
                file.createVariable("t2m", "f4", ("lat", "lon") if scene else ("time", "lat", "lon"))[:] = field if scene else field[None]
    return paths


def cost(way: Way, paths: dict[bool, list[str]], store: Path) -> tuple[float, float]:
    """Processor seconds and peak MiB of a process of its own, imports included."""
    given: dict[str, Any] = {"source": paths[way.scenes], "store": str(store), "chunks": CHUNKS}
    if way.program == OURS:
        given |= {"combine": way.combine}
    listed = store.parent / "given.json"
    listed.write_text(json.dumps(given))
    program = way.program.replace("json.loads(sys.argv[1])", "json.load(open(sys.argv[1]))")
    child = subprocess.Popen([sys.executable, "-c", program, str(listed)], env={**os.environ, "PYTHONPATH": str(CORE)})
    _pid, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{way.name} failed")
    for folder in (store, Path(f"{store}.zarrstream")):
        shutil.rmtree(folder, ignore_errors=True)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Measure, and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    ways = list(dict.fromkeys(way for ours, other, _goal in PAIRS for way in (ours, other)))
    costs: dict[str, list[tuple[float, float]]] = {way.name: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        paths = make_data(Path(folder), options.files)
        for _unused in range(options.rounds):
            for way in ways:
                costs[way.name].append(cost(way, paths, Path(folder, "out.zarr")))
    medians = {name: [statistics.median(column) for column in zip(*found, strict=True)] for name, found in costs.items()}
    record(
        [
            Result(f"combine: {ours.name}, beside {other.name}, {options.files} files, {what}", mine[number], theirs[number], goal)
            for ours, other, limit in PAIRS
            for mine, theirs in [(medians[ours.name], medians[other.name])]
            for number, (what, goal) in enumerate([("CPU seconds of the process", limit), ("peak MiB", None)])
        ]
    )


if __name__ == "__main__":
    main()
