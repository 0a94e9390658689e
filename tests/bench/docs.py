#!/usr/bin/env python3
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Put what ``make bench`` measured last into docs/benchmarks: the table, the pictures, and the figures behind them as JSON."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from cluster_page import write_page
from results import COSTS, RESULTS, ROOT, circumstances

FOLDER = ROOT / "docs" / "benchmarks"
BEGIN, END = "<!-- measured: written by tests/bench/docs.py -->", "<!-- end of what was measured -->"
OURS, OTHERS, LIMITS = "#1b6ca8", "#b9c4cd", "#e0a43a"
WAYS = {
    "ours": ("zarr_write", OURS),
    "tutorial": ("xarray to s3fs", OTHERS),
    "rclone": ("to_zarr, rclone copy", OTHERS),
    "s5cmd": ("to_zarr, s5cmd cp", OTHERS),
    "recode": ("limit: decode, encode", LIMITS),
    "put": ("limit: send (obstore)", LIMITS),
    "put by s5cmd": ("limit: send (s5cmd)", LIMITS),
}
LEVELS = {
    "listing": ("zarr_check, listing", OURS),
    "sample": ("zarr_check, sample", OURS),
    "full": ("zarr_check, full", OURS),
    "rclone": ("rclone check", OTHERS),
    "read": ("xarray reads all", OTHERS),
    "list": ("limit: LIST", LIMITS),
    "get": ("limit: GET of all", LIMITS),
}
PICTURES = {
    "write.svg": "Seconds for a write",
    "write-resources.svg": "Processor time and memory for a write",
    "check.svg": "Seconds for a check",
    "growth.svg": "Growth with the number of objects",
}
PROGRAMS = ("write", "check", "delete")  # of this page
ROW, LEFT, WIDTH = 22, 190, 720  # pixels
Costs = Mapping[str, Mapping[str, float]]


def bars(title: str, ways: Costs, words: Mapping[str, tuple[str, str]], what: str = "seconds", unit: str = "s") -> list[str]:
    """One bar for each way; an SVG's elements, from y=0."""
    shown = [(name, colour, ways[way][what]) for way, (name, colour) in words.items() if way in ways]
    most = max(value for *_, value in shown)
    lines = [f'<text x="0" y="16" font-weight="bold">{escape(title)}</text>']
    for number, (name, colour, value) in enumerate(shown):
        y = 26 + number * ROW
        width = max(1.0, (WIDTH - LEFT - 80) * value / most)
        lines.append(f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>')
        lines.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{ROW - 5}" fill="{colour}"/>')
        lines.append(f'<text x="{LEFT + width + 6:.1f}" y="{y + 13}">{value:.3g} {unit}</text>')
    return lines


def stacked(charts: Sequence[list[str]]) -> str:
    """Charts below one another."""
    parts, y = [], 10
    for chart in charts:
        parts.append(f'<g transform="translate(10 {y})">{"".join(chart)}</g>')
        y += 26 + ROW * sum("<rect" in line for line in chart) + 18
    return svg("\n".join(parts), y)


def svg(content: str, height: int) -> str:
    """A whole picture."""
    size = f'width="{WIDTH + 20}" height="{height}" viewBox="0 0 {WIDTH + 20} {height}"'
    style = 'font-family="DejaVu Sans, Verdana, sans-serif" font-size="12" fill="#222"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n<rect width="100%" height="100%" fill="white"/>\n{content}\n</svg>\n'


def growth(costs: Mapping[str, Costs]) -> str:
    """CPU seconds over the number of objects, on two logarithmic axes."""
    lines = {"write": ("zarr_write", OURS, ""), "check": ("zarr_check, listing", "#2e9d6b", ""), "list": ("limit: LIST", LIMITS, "4 3")}
    numbers = sorted(map(int, costs))
    points = {way: [(number, costs[str(number)][way]["cpu"]) for number in numbers] for way in lines}
    values = [value for line in points.values() for _, value in line]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    first, last = math.log10(numbers[0]), math.log10(numbers[-1])
    left, top, width, height = 60, 40, 480, 260

    def x(number: float) -> float:
        return left + width * (math.log10(number) - first) / max(last - first, 1e-9)

    def y(value: float) -> float:
        return top + height * (high - math.log10(value)) / max(high - low, 1)

    parts = ['<text x="10" y="20" font-weight="bold">CPU seconds of the whole process, by the number of objects</text>']
    for power in range(low, high + 1):
        parts.append(f'<line x1="{left}" x2="{left + width}" y1="{y(10**power):.1f}" y2="{y(10**power):.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{y(10**power) + 4:.1f}" text-anchor="end">{10.0**power:g} s</text>')
    parts += [f'<text x="{x(number):.1f}" y="{top + height + 20}" text-anchor="middle">{number:,}</text>' for number in numbers]
    taken: list[float] = []
    for way, (name, colour, dashes) in lines.items():
        path = " ".join(f"{x(number):.1f},{y(value):.1f}" for number, value in points[way])
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>')
        parts += [f'<circle cx="{x(number):.1f}" cy="{y(value):.1f}" r="3.5" fill="{colour}"/>' for number, value in points[way]]
        label = y(points[way][-1][1]) + 4
        while any(abs(label - other) < 15 for other in taken):
            label += 15
        taken.append(label)
        parts.append(f'<text x="{left + width + 10}" y="{label:.1f}">{name}: {points[way][-1][1]:.3g} s</text>')
    return svg("\n".join(parts), top + height + 35)


def table(entries: Sequence[Mapping[str, Any]]) -> str:
    """The entries of build/bench.json in Markdown."""
    lines = ["| | ours | other | ratio | goal | met |", "|---|---:|---:|---:|---:|---|"]
    for entry in entries:
        met = {True: "yes", False: "**no**", None: ""}[entry["met"]]
        goal = "" if entry["goal"] is None else f"{entry['goal']:.3g}"
        lines.append(f"| {entry['name']} | {entry['ours']:.3g} | {entry['other']:.3g} | {entry['ratio']:.3g} | {goal} | {met} |")
    return "\n".join(lines)


def measured(entries: Sequence[Mapping[str, Any]], costs: Mapping[str, Any]) -> str:
    """The part of the page that a new measurement replaces."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    lines = [
        f"With {os.cpu_count()} processors ({platform.machine()}), {memory:.0f} GiB and Python {platform.python_version()}.",
        *(circumstances(program, costs[program]) for program in PROGRAMS if program in costs),
        "",
    ]
    for case in costs.get("write", {}).get("cases", ()):
        chunks = " × ".join(map(str, case["chunks"]))
        lines.append(f"- write, {case['label']}: {case['size']:.0f} MiB in chunks of {chunks} float32; rounds: {case['rounds']}.")
    if "check" in costs:
        lines.append(f"- check: {costs['check']['size']} MiB in chunks of 1 MiB; rounds: {costs['check']['rounds']}.")
    if "delete" in costs:
        lines.append(f"- delete: a store of {costs['delete']['objects']} chunks of 1 KiB; rounds: {costs['delete']['rounds']}.")
    lines += ["", *(f"![{words}]({name})" for name, words in PICTURES.items() if (FOLDER / name).exists())]
    missed = [f"- {entry['name']}: {entry['ratio']:.3g}, goal {entry['goal']:.3g}" for entry in entries if entry["met"] is False]
    lines += ["", "Goals that were not met:" if missed else "All goals were met.", "", *missed, "", table(entries)]
    return "\n".join(lines)


def main() -> None:
    """Write the folder."""
    every = json.loads(RESULTS.read_text())
    costs = json.loads(COSTS.read_text())
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_page(FOLDER, every, costs, table)
    entries = [entry for entry in every if entry["name"].startswith(PROGRAMS)]
    costs = {program: costs[program] for program in PROGRAMS if program in costs}
    if not entries:
        return
    (FOLDER / "bench.json").write_text(json.dumps({"results": entries, "medians": costs}, indent=1) + "\n")
    if "write" in costs:
        cases = costs["write"]["cases"]
        pictures = [bars(f"{case['label']}, {case['size']:.0f} MiB: seconds", case["ways"], WAYS) for case in cases]
        (FOLDER / "write.svg").write_text(stacked(pictures))
        few = {way: words for way, words in WAYS.items() if way in ("ours", "tutorial", "rclone")}
        pictures = [bars(f"{case['label']}: CPU seconds of the whole process", case["ways"], few, "cpu") for case in cases]
        pictures += [bars(f"{case['label']}: peak memory", case["ways"], few, "peak", "MiB") for case in cases]
        (FOLDER / "write-resources.svg").write_text(stacked(pictures))
    if "check" in costs:
        size = costs["check"]["size"]
        (FOLDER / "check.svg").write_text(stacked([bars(f"check of {size} MiB: seconds", costs["check"]["ways"], LEVELS)]))
        if costs["check"]["growth"]:
            (FOLDER / "growth.svg").write_text(growth(costs["check"]["growth"]))
    page = FOLDER / "README.md"
    text = page.read_text()
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{measured(entries, costs)}\n{END}{after}")


if __name__ == "__main__":
    main()
