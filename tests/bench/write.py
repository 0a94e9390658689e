#!/usr/bin/env python3
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long zarr_write takes from deflated NetCDF to a fast S3 server, against other ways in the same format and codec.

The ways take turns, so that whatever the machine does besides meets each alike; medians count. The limit is the slower of decoding and
encoding all chunks on all processors, and sending the ready objects by the fastest client at hand.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from bench import BUCKET, Bench, Cost, bench, median
from results import Result, record

CASES = {"small": (1, 512, 512), "large": (6, 1024, 1024)}  # chunks of 1 and 24 MiB
GOAL_AGAINST_TUTORIAL = {"small": 1 / 2.5, "large": 1.0}
GOAL_AGAINST_LIMIT = 1 / 0.85
GOAL_UNCHANGED = 2.0  # seconds, beside one LIST
OTHERS = {"tutorial": "xarray to s3fs", "rclone": "to_zarr, then rclone", "s5cmd": "to_zarr, then s5cmd"}


class Case:
    """The ways of one source; each writes a store of its own, which is removed at once."""

    def __init__(self, place: Bench, name: str, size: int) -> None:
        """Make the source, and the ready objects for the raw limit."""
        self.bench, self.name = place, name
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
        self._note("unchanged", self.bench.way("ours", key, **self.options))
        self._note("list", self.bench.way("list_all", key))
        return cost

    def _measure(self, way: str, measure: Callable[[str], Cost]) -> None:
        key = f"{self.name}-{way.replace(' ', '-')}-{len(self.costs.get(way, ()))}.zarr"
        self._note(way, measure(key))
        self.bench.drop(key)

    def _note(self, way: str, cost: Cost) -> None:
        self.costs.setdefault(way, []).append(cost)

    def results(self) -> list[Result]:
        """What the medians say."""
        cost = {way: median(costs) for way, costs in self.costs.items()}
        mine, name = cost["ours"], f"write, {self.name} chunks"
        lines = []
        for way, words in OTHERS.items():
            goal = GOAL_AGAINST_TUTORIAL[self.name] if way == "tutorial" else 1.0
            lines.append(Result(f"{name}, against {words} (s)", mine.seconds, cost[way].seconds, goal))
        tutorial = cost["tutorial"]
        lines.append(Result(f"{name}, whole process, against xarray to s3fs (s)", mine.whole, tutorial.whole))
        lines.append(Result(f"{name}, CPU, against xarray to s3fs (s)", mine.cpu, tutorial.cpu))
        lines.append(Result(f"{name}, peak memory, against xarray to s3fs (MiB)", mine.peak, tutorial.peak))
        sent = min(cost["put"].seconds, cost["put by s5cmd"].seconds)
        limit = max(sent, cost["recode"].seconds)
        lines.append(Result(f"{name}, against the limit (s)", mine.seconds, limit, GOAL_AGAINST_LIMIT))
        lines.append(Result(f"{name}, against sending alone (s)", mine.seconds, sent))
        allowed = GOAL_UNCHANGED + cost["list"].seconds
        lines.append(Result(f"{name}, unchanged, against 2 s and a LIST (s)", cost["unchanged"].seconds, allowed, 1.0))
        return lines


def main() -> None:
    """Measure, and write build/bench.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=192, help="MiB of values in each source")
    parser.add_argument("--rounds", type=int, default=3, help="turns, of which the median counts")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES), help="lengths of chunks")
    arguments = parser.parse_args()
    with bench() as place:
        cases = [Case(place, name, arguments.size) for name in arguments.cases]
        for _ in range(arguments.rounds):
            for case in cases:
                case.round()
    record([result for case in cases for result in case.results()])


if __name__ == "__main__":
    main()
