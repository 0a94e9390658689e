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
from dataclasses import asdict

from bench import BUCKET, Bench, Cost, bench, median
from results import Result, keep_costs, record

CHUNKS = (1, 512, 512)
SMALL = (1, 16, 16)  # 1 KiB
GOAL_LISTING = 1 / 50  # of the time of reading


def store(place: Bench, key: str, chunks: tuple[int, int, int], size: float) -> Cost:
    """Write a store of ``size`` MiB with zarr_write; what that took."""
    options = {"source": str(place.folder / f"{key}.nc"), "chunks": chunks, "size": size}
    place.way("make_data", **options)
    return place.way("ours", key, **options)


def turns(ways: dict[str, Callable[[], Cost]], rounds: int) -> dict[str, Cost]:
    """The median of each way."""
    costs = [{name: way() for name, way in ways.items()} for _ in range(rounds)]
    return {name: median([cost[name] for cost in costs]) for name in ways}


def large(place: Bench, size: int, rounds: int) -> tuple[list[Result], dict[str, Cost]]:
    """The levels of a check on a store with realistic values, and the medians."""
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
        lines.append(Result(f"check, {level}, whole process, against reading (s)", cost[level].whole, cost["read"].whole))
        lines.append(Result(f"check, {level}, CPU, against reading (s)", cost[level].cpu, cost["read"].cpu))
        lines.append(Result(f"check, {level}, peak memory, against reading (MiB)", cost[level].peak, cost["read"].peak))
    lines.append(Result("check, listing, against rclone check (s)", cost["listing"].seconds, cost["rclone"].seconds))
    lines.append(Result("check, listing, against LIST alone (s)", cost["listing"].seconds, cost["list"].seconds))
    lines.append(Result("check, full, against GET alone (s)", cost["full"].seconds, cost["get"].seconds))
    lines.append(Result("check, sample, against GET of everything (s)", cost["sample"].seconds, cost["get"].seconds))
    return lines, cost


def many(place: Bench, objects: int, rounds: int) -> tuple[list[Result], dict[str, Cost]]:
    """A write, and a check by the listing, of a store with this many objects."""
    key = f"many-{objects}.zarr"
    written = store(place, key, SMALL, objects / 1024)
    cost = turns({"check": lambda: place.way("check", key, sample=0), "list": lambda: place.way("list_all", key)}, rounds)
    place.drop(key)
    name = f"check, listing, {objects} objects, against LIST alone"
    lines = [
        Result(f"{name} (s)", cost["check"].seconds, cost["list"].seconds),
        Result(f"{name}, peak memory (MiB)", cost["check"].peak, cost["list"].peak),
    ]
    return lines, {"write": written, **cost}


def growth(costs: dict[int, dict[str, Cost]]) -> list[Result]:
    """What an object costs in the largest store, against the smallest: 1 where cost grows as the number does."""
    few, much = min(costs), max(costs)
    return [
        Result(
            f"{what}, CPU for an object, {much} objects against {few} (ms)",
            1000 * costs[much][what].cpu / much,
            1000 * costs[few][what].cpu / few,
            1.0,
        )
        for what in ("write", "check")
        if much > few
    ]


def main() -> None:
    """Measure, and write build/bench.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=1024, help="MiB of values in the store")
    parser.add_argument("--objects", type=int, nargs="*", default=[1000, 10000, 100000], help="numbers of small objects")
    parser.add_argument("--rounds", type=int, default=3, help="turns, of which the median counts")
    arguments = parser.parse_args()
    with bench() as place:
        lines, levels = large(place, arguments.size, arguments.rounds)
        costs = {}
        for objects in arguments.objects:
            more, costs[objects] = many(place, objects, arguments.rounds)
            lines += more
    plain = {str(objects): {way: asdict(cost) for way, cost in ways.items()} for objects, ways in costs.items()}
    values = {way: asdict(cost) for way, cost in levels.items()}
    keep_costs("check", {"size": arguments.size, "rounds": arguments.rounds, "ways": values, "growth": plain})
    record([*lines, *(growth(costs) if costs else ())])


if __name__ == "__main__":
    main()
