# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""docs/benchmarks/cluster.md: what cluster.py, deploy.py and converge.py measured last."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from results import circumstances

BEGIN, END = "<!-- measured: written by tests/bench/docs.py -->", "<!-- end of what was measured -->"
# How the names of the results begin, and the program that measures them.
SECTIONS = {
    "cluster of": ("Writing with workers", "cluster"),
    "Dask cluster of": ("From bare hosts to a cluster", "deploy"),
    "site.yml": ("The whole run", "converge"),
    "ansible -m ping": ("", "converge"),
}


def shares(costs: Mapping[str, Any]) -> list[str]:
    """What each way of a write took, and each worker's part in it."""
    chunks = " × ".join(map(str, costs["chunks"]))
    lines = [
        f"A source of {costs['size']} MiB in chunks of {chunks} float32, into a folder; rounds: {costs['rounds']}.",
        "",
        "| workers | s | MiB/s | CPU s | each worker: CPU s | MiB read | MiB stored |",
        "|---|---:|---:|---:|---|---|---|",
    ]
    for name, way in costs["ways"].items():
        parts = way["workers"]
        mib = [", ".join(f"{part[what] / 2**20:.0f}" for part in parts) for what in ("bytes_read", "bytes_stored")]
        cpu = ", ".join(f"{part['cpu_seconds']:.1f}" for part in parts)
        lines.append(f"| {name} | {way['seconds']:.2f} | {way['mib_per_second']:.0f} | {way['cpu']:.2f} | {cpu} | {mib[0]} | {mib[1]} |")
    return [*lines, ""]


def steps(costs: Mapping[str, Any]) -> list[str]:
    """The seconds of each step of a deployment."""
    lines = [
        "| workers | hosts × processes | stack.yml (s) | dask.yml (s) | dask.yml again (s) | SSHCluster (s) |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for workers, took in costs.items():
        if workers.isdecimal():  # a number of workers
            seconds = " | ".join(f"{took[step]:.1f}" for step in ("stack", "dask", "dask_again", "ssh_cluster"))
            lines.append(f"| {workers} | {took['hosts']} × {took['processes']} | {seconds} |")
    return [*lines, ""]


def measured(entries: Sequence[Mapping[str, Any]], costs: Mapping[str, Any], table: Any) -> str:
    """The part of the page that a new measurement replaces."""
    lines: list[str] = []
    for begin, (title, program) in SECTIONS.items():
        found = [entry for entry in entries if entry["name"].startswith(begin)]
        if not found:
            continue
        lines += [f"### {title}", ""] if title else []
        if title and program in costs:
            lines += [circumstances(program, costs[program]), ""]
            lines += {"cluster": shares, "deploy": steps}[program](costs[program])
        lines += [table(found), ""]
    return "\n".join(lines).rstrip()


def write_page(folder: Path, entries: Sequence[Mapping[str, Any]], costs: Mapping[str, Any], table: Any) -> None:
    """Renew the page and the figures behind it, if anything of it was measured."""
    chosen = [entry for entry in entries if entry["name"].startswith(tuple(SECTIONS))]
    if not chosen:
        return
    kept = {program: costs[program] for program in ("cluster", "deploy") if program in costs}
    (folder / "cluster.json").write_text(json.dumps({"results": chosen, "medians": kept}, indent=1) + "\n")
    page = folder / "cluster.md"
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{measured(chosen, kept, table)}\n{END}{rest.partition(END)[2]}")
