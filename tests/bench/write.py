#!/usr/bin/env python3
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long zarr_write takes from deflated NetCDF to a fast S3 server and to Swift, against other ways in the same format and codec.

The ways take turns, so that whatever the machine does besides meets each alike; medians count. The limit is the slower of decoding and
encoding all chunks on all processors, and sending the ready objects by the fastest client at hand. There are as many rounds as the
time allows, one at least.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

from bench import BUCKET, Bench, Cost, bench, median, swift
from results import Result, keep_costs, record

CASES = {"tiny": (1, 128, 128), "small": (1, 512, 512), "large": (6, 1024, 1024)}  # chunks of 64 KiB, 1 MiB and 24 MiB
SIZES = {"tiny": 625, "small": 1024, "large": 1032}  # MiB: 10,000 chunks, 1024, and 43
GOAL_AGAINST_TUTORIAL = {"tiny": 1 / 2.5, "small": 1 / 2.5, "large": 1.0}
GOAL_AGAINST_LIMIT = 1 / 0.85
GOAL_UNCHANGED = 2.0  # seconds, beside one LIST
MOST_ROUNDS = 5
MEMORY = 32  # MiB that a write is given for a source of 20 times as much
OTHERS = {"tutorial": "xarray to s3fs", "rclone": "to_zarr, then rclone", "s5cmd": "to_zarr, then s5cmd"}


class Case:
    """The ways of one source; each writes a store of its own, which is removed at once."""

    def __init__(self, place: Bench, name: str, size: float, label: str) -> None:
        """Make the source, and the ready objects for the raw limit."""
        self.bench, self.name, self.label = place, name, label
        self.options = {"source": str(place.folder / f"{name}.nc"), "chunks": CASES[name], "size": size}
        self.ready = str(place.folder / f"{name}.zarr")
        place.way("make_data", **self.options)
        place.way("local", folder=self.ready, **self.options)
        self.costs: dict[str, list[Cost]] = {}

    def round(self) -> None:
        """Measure each way once."""
        self._measure("tutorial", lambda key: self.bench.way("tutorial", key, **self.options))
        self._measure("ours", self._ours)
        copied = str(self.bench.folder / "copied.zarr")
        here = self.bench.way("local", folder=copied, **self.options)
        self._measure("rclone", lambda key: here + self.bench.rclone("copy", copied, f"remote:{BUCKET}/{key}"))
        self._measure("s5cmd", lambda key: here + self.bench.s5cmd("cp", f"{copied}/", f"s3://{BUCKET}/{key}/"))
        self._measure("put", lambda key: self.bench.way("put", key, folder=self.ready))
        self._measure("put by s5cmd", lambda key: self.bench.s5cmd("cp", f"{self.ready}/", f"s3://{BUCKET}/{key}/"))
        self._measure("recode", lambda _key: self.bench.way("recode", **self.options))

    def _ours(self, key: str) -> Cost:
        cost = self.bench.way("ours", key, **self.options)
        self._note("unchanged", self.bench.way("ours", key, bare=True, **self.options))
        self._note("list", self.bench.way("list_all", key))
        return cost

    def _measure(self, way: str, measure: Callable[[str], Cost]) -> None:
        key = f"{self.name}-{way.replace(' ', '-')}-{len(self.costs.get(way, ()))}.zarr"
        self._note(way, measure(key))
        self.bench.drop(key)

    def _note(self, way: str, cost: Cost) -> None:
        self.costs.setdefault(way, []).append(cost)

    @property
    def medians(self) -> dict[str, Cost]:
        """Of each way."""
        return {way: median(costs) for way, costs in self.costs.items()}

    def results(self) -> list[Result]:
        """What the medians say."""
        cost, name = self.medians, f"write, {self.label}"
        mine, tutorial = cost["ours"], cost["tutorial"]
        lines = []
        for way, words in OTHERS.items():
            goal = GOAL_AGAINST_TUTORIAL[self.name] if way == "tutorial" else 1.0
            lines.append(Result(f"{name}, against {words} (s)", mine.seconds, cost[way].seconds, goal))
        lines.append(Result(f"{name}, whole process, against xarray to s3fs (s)", mine.whole, tutorial.whole))
        lines.append(Result(f"{name}, CPU, against xarray to s3fs (s)", mine.cpu, tutorial.cpu))
        lines.append(Result(f"{name}, peak memory, against xarray to s3fs (MiB)", mine.peak, tutorial.peak))
        sent = min(cost["put"].seconds, cost["put by s5cmd"].seconds)
        limit = max(sent, cost["recode"].seconds)
        lines.append(Result(f"{name}, against the limit (s)", mine.seconds, limit, GOAL_AGAINST_LIMIT))
        # Where client and server share the processors, the two parts of the limit cannot happen at the same time.
        lines.append(Result(f"{name}, against the limit's parts one after the other (s)", mine.seconds, sent + cost["recode"].seconds))
        lines.append(Result(f"{name}, against sending alone (s)", mine.seconds, sent))
        unchanged, allowed = cost["unchanged"], GOAL_UNCHANGED + cost["list"].seconds
        lines.append(Result(f"{name}, unchanged, against 2 s and a LIST (s)", unchanged.seconds, allowed, 1.0))
        lines.append(Result(f"{name}, unchanged, whole process, against 2 s and a LIST (s)", unchanged.whole, allowed))
        return lines

    def figures(self) -> dict[str, object]:
        """The medians as plain values."""
        ways = {way: asdict(cost) for way, cost in self.medians.items()}
        return {
            "label": self.label,
            "size": self.options["size"],
            "chunks": CASES[self.name],
            "rounds": len(self.costs["ours"]),
            "ways": ways,
        }


def rounds(cases: Sequence[Case], until: float) -> None:
    """As many as end before that moment, by what the last one took."""
    took = 0.0
    for number in range(MOST_ROUNDS):
        start = time.monotonic()
        if number and start + took > until:
            break
        for case in cases:
            case.round()
        took = time.monotonic() - start


def much_data(place: Bench) -> Result:
    """The memory that a write takes of a source 20 times as large as what it was given."""
    options = {"source": str(place.folder / "much.nc"), "chunks": CASES["tiny"], "size": 20 * MEMORY}
    place.way("make_data", **options)
    before = place.way("imports")
    cost = place.way("ours", "much.zarr", memory=f"{MEMORY}MiB", **options)
    place.drop("much.zarr")
    name = "write, a source of 20 times the memory to S3, peak above that of the imports, against the memory given (MiB)"
    return Result(name, cost.peak - before.peak, MEMORY, 1.0)


def main() -> None:
    """Measure, and write build/bench.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0, help="of the sources: 1 for 1 GiB")
    parser.add_argument("--minutes", type=float, default=8.5, help="for the rounds on the fast server, one at least")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES), help="lengths of chunks")
    parser.add_argument("--no-swift", action="store_true", help="leave out the writes to Swift")
    arguments = parser.parse_args()
    until = time.monotonic() + 60 * arguments.minutes
    with bench() as place:
        cases = [Case(place, name, SIZES[name] * arguments.scale, f"{name} chunks") for name in arguments.cases]
        rounds(cases, until)
        much = much_data(place)
    results = [result for case in cases for result in case.results()]
    if not arguments.no_swift:
        with swift() as place:
            cases.append(Case(place, "small", SIZES["small"] * arguments.scale / 8, "small chunks to Swift"))
            cases[-1].round()
        results += cases[-1].results()
    keep_costs("write", {"cases": [case.figures() for case in cases]})
    record([*results, much])


if __name__ == "__main__":
    main()
