# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all programs of this folder share: build/bench.json, and its table."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "build" / "bench.json"
CIRCUMSTANCES = {"load": round(os.getloadavg()[0], 1), "day": time.strftime("%-d %B %Y", time.gmtime())}
COSTS = ROOT / "build" / "bench-costs.json"  # the medians behind the ratios, for the pictures of docs/benchmarks


@dataclass(frozen=True)
class Result:
    """One comparison: our figure and the other one, both in the unit that the name tells; a goal is the ratio's upper bound."""

    name: str
    ours: float
    other: float
    goal: float | None = None

    def to_dict(self) -> dict[str, object]:
        """The entry of build/bench.json."""
        ratio = self.ours / self.other
        return asdict(self) | {"ratio": round(ratio, 3), "met": None if self.goal is None else ratio <= self.goal}


def record(results: Sequence[Result]) -> None:
    """Put results into build/bench.json, in place of those of the same name, and print the whole as a table."""
    entries = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    new = {result.name: result.to_dict() for result in results}
    entries = [entry for entry in entries if entry["name"] not in new] + list(new.values())
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(entries, indent=1) + "\n")
    sys.stdout.write(table(entries))


def keep_costs(program: str, costs: dict[str, Any]) -> None:
    """Put the medians that a program measured into build/bench-costs.json, in place of its earlier ones.

    ``load`` among them is the machine's load average when the program began: high, it was not alone. ``day`` is the date.
    """
    there = json.loads(COSTS.read_text()) if COSTS.exists() else {}
    COSTS.parent.mkdir(exist_ok=True)
    COSTS.write_text(json.dumps(there | {program: {**CIRCUMSTANCES, **costs}}, indent=1) + "\n")


def circumstances(program: str, costs: Mapping[str, Any]) -> str:
    """When a program was run, and beside what."""
    return f"{program}.py ran on {costs['day']}; the load average was {costs['load']} when it began."


def table(entries: Sequence[dict[str, object]]) -> str:
    """The entries, a line each."""
    rows = [("", "ours", "other", "ratio", "goal", "met")]
    for entry in entries:
        numbers = (f"{entry[name]:.4g}" if isinstance(entry[name], float | int) else "" for name in ("ours", "other", "ratio", "goal"))
        rows.append((str(entry["name"]), *numbers, {True: "yes", False: "no"}.get(entry["met"], "")))  # type: ignore[arg-type, call-overload]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) + "\n"
