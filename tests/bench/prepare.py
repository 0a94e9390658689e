#!/usr/bin/env python3
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the steps of prepare cost: processor seconds of a write to a folder with them, against the same write without, in turns.

``repack`` is against the same packing asked of ``encoding``: whoever wants other numbers has them made somewhere.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
from results import Result, record

CORE = Path(__file__).resolve().parents[2] / "plugins/module_utils"
GOAL = 1.1
STEP, LAT, LON = 6, 256, 512  # 3 MiB a chunk of float32
PACKING = {"dtype": "int16", "scale_factor": 0.002, "add_offset": 280.0, "_FillValue": -32768}
RENAMED: list[dict[str, Any]] = [
    {"rename": {"t2m": "tas", "lat": "latitude"}},
    {"drop": ["number"]},
    {"attrs": {"tas": {"standard_name": "air_temperature"}, "/": {"history": None}}},
]
Options = dict[str, Any]
WAYS: dict[str, tuple[Options, Options]] = {
    "rename, drop, attrs": ({"prepare": RENAMED}, {"exclude": ["number"]}),
    "select": ({"prepare": [{"select": {"time": [0, 10**6], "lat": [-90, 90]}}]}, {}),
    "transpose": ({"prepare": [{"transpose": ["time", "lon", "lat"]}]}, {}),
    "squeeze": ({"prepare": [{"select": {"number": 0}}, {"squeeze": ["number"]}]}, {}),
    "repack, beside encoding": ({"prepare": [{"repack": {"t2m": PACKING}}]}, {"encoding": {"t2m": PACKING}}),
    "repack, beside none": ({"prepare": [{"repack": {"t2m": PACKING}}]}, {}),
}


def make_data(folder: Path, mib: int, files: int) -> list[str]:
    """Files of temperatures, deflated, of so many MiB in all."""
    random, paths = np.random.default_rng(1), []
    steps = max(1, mib * 2**20 // (LAT * LON * 4) // files)
    for number in range(files):
        paths.append(str(folder / f"{number}.nc"))
        with netCDF4.Dataset(paths[-1], "w") as file:
            for name, size in {"time": steps, "number": 1, "lat": LAT, "lon": LON}.items():
                file.createDimension(name, size)
                values = np.arange(size) + number * steps * (name == "time")
                file.createVariable(name, "f8", (name,))[:] = values if name in ("time", "number", "lon") else np.linspace(-90, 90, size)
            how = {"zlib": True, "complevel": 1, "shuffle": True, "chunksizes": (min(STEP, steps), 1, LAT, LON)}
            field = file.createVariable("t2m", "f4", ("time", "number", "lat", "lon"), **how)
            for step in range(0, steps, STEP):
                count = min(STEP, steps - step)
                walk = random.normal(0, 0.3, (count, 1, LAT, LON)).cumsum(axis=3) + 280
                field[step : step + count] = np.round(walk, 2).clip(220, 340)
    return paths


def cpu_seconds(sources: list[str], store: Path, options: Options) -> float:
    """What a write costs in a process of its own, imports included."""
    program = "import json, sys; import zarrstream; given = json.loads(sys.argv[1]); zarrstream.write(**given)"
    given = json.dumps({"source": sources, "store": str(store), "verify": "none", **options})
    child = subprocess.Popen([sys.executable, "-c", program, given], env={**os.environ, "PYTHONPATH": str(CORE)})
    _pid, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"the write with {options} failed")
    subprocess.run(["rm", "-r", str(store), f"{store}.zarrstream"], check=True)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure, and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256, help="MiB of float32")
    parser.add_argument("--files", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="one of the ways")
    options = parser.parse_args()
    ways = {name: pair for name, pair in WAYS.items() if options.only in (None, name)}
    with tempfile.TemporaryDirectory() as folder:
        sources = make_data(Path(folder), options.size, options.files)
        costs: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _unused in range(options.rounds):
            for name, pair in ways.items():
                ours, other = (cpu_seconds(sources, Path(folder, "out.zarr"), way) for way in pair)
                costs[name].append((ours, other))
    results = []
    for name, pairs in costs.items():
        ours, other = (statistics.median(column) for column in zip(*pairs, strict=True))
        goal = None if name.endswith("none") else GOAL
        results.append(Result(f"prepare: {name}, {options.files} files, CPU seconds of the process", ours, other, goal))
    record(results)


if __name__ == "__main__":
    main()
