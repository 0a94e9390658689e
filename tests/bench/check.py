#!/usr/bin/env python3
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long zarr_check takes on a fast S3 server, against rclone check, reading everything with xarray, and bare LIST and GET.

The ways take turns; medians count. One store holds realistic values in chunks of 1 MiB, further ones many small objects: they show how
the cost of a check by the listing grows.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from bench import BUCKET, Bench, Cost, bench, median
from results import Result, record

CHUNKS = (1, 512, 512)
SMALL = (1, 16, 16)  # 1 KiB
GOAL_LISTING = 1 / 50  # of the time of reading


def store(place: Bench, key: str, chunks: tuple[int, int, int], size: float) -> None:
    """Write a store of ``size`` MiB with zarr_write."""
    options = {"source": str(place.folder / f"{key}.nc"), "chunks": chunks, "size": size}
    place.way("make_data", **options)
    place.way("ours", key, **options)


def turns(ways: dict[str, Callable[[], Cost]], rounds: int) -> dict[str, Cost]:
    """The median of each way."""
    costs = [{name: way() for name, way in ways.items()} for _ in range(rounds)]
    return {name: median([cost[name] for cost in costs]) for name in ways}


def large(place: Bench, size: int, rounds: int) -> list[Result]:
    """The levels of a check on a store with realistic values."""
    key = "values.zarr"
    store(place, key, CHUNKS, size)
    copied = str(place.served / key)
    levels = {"listing": 0, "sample": 4, "full": "all"}
    ways: dict[str, Callable[[], Cost]] = {
        "rclone": lambda: place.rclone("check", copied, f"remote:{BUCKET}/{key}"),
        "read": lambda: place.way("read", key),
        "list": lambda: place.way("list_all", key),
        "get": lambda: place.way("get_all", key),
    }
    ways |= {level: lambda sample=sample: place.way("check", key, sample=sample) for level, sample in levels.items()}  # type: ignore[misc]
    cost = turns(ways, rounds)
    lines = []
    for level in levels:
        goal = GOAL_LISTING if level == "listing" else None
        lines.append(Result(f"check, {level}, against reading with xarray (s)", cost[level].seconds, cost["read"].seconds, goal))
        lines.append(Result(f"check, {level}, CPU, against reading (s)", cost[level].cpu, cost["read"].cpu))
        lines.append(Result(f"check, {level}, peak memory, against reading (MiB)", cost[level].peak, cost["read"].peak))
    lines.append(Result("check, listing, against rclone check (s)", cost["listing"].seconds, cost["rclone"].seconds))
    lines.append(Result("check, listing, against LIST alone (s)", cost["listing"].seconds, cost["list"].seconds))
    lines.append(Result("check, full, against GET alone (s)", cost["full"].seconds, cost["get"].seconds))
    return lines


def many(place: Bench, objects: int, rounds: int) -> list[Result]:
    """A check by the listing of a store with this many objects."""
    key = f"many-{objects}.zarr"
    store(place, key, SMALL, objects / 1024)
    cost = turns({"check": lambda: place.way("check", key, sample=0), "list": lambda: place.way("list_all", key)}, rounds)
    return [Result(f"check, listing, {objects} objects, against LIST alone (s)", cost["check"].seconds, cost["list"].seconds)]


def main() -> None:
    """Measure, and write build/bench.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=192, help="MiB of values in the store")
    parser.add_argument("--objects", type=int, nargs="*", default=[1000, 10000], help="numbers of small objects")
    parser.add_argument("--rounds", type=int, default=3, help="turns, of which the median counts")
    arguments = parser.parse_args()
    with bench() as place:
        lines = large(place, arguments.size, arguments.rounds)
        for objects in arguments.objects:
            lines += many(place, objects, arguments.rounds)
    record(lines)


if __name__ == "__main__":
    main()
