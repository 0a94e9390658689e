#!/usr/bin/env python3
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a Dask cluster on one host costs beside the threads of the writer, and how it shares the work out.

Where all workers share the processors of one machine, they cannot be faster than its threads; so CPU seconds count, and the balance: the
busiest worker's part against an even one. The ways take turns; medians count. Stores are folders, so that no server is measured. All
clusters stand side by side, and the schedulers live in this process: what those cost that wait meets each way alike.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from results import ROOT, Result, keep_costs, record
from ways import DIMS, make_data

sys.path.insert(0, str(ROOT / "tests"))
from clusters import Certificates, local_cluster, make_certificates

WORKERS = (1, 2, 4)
CHUNKS = (1, 512, 512)  # 1 MiB


@dataclass
class Way:
    """One way to write, and what it took each time: wall and CPU seconds; of its workers, the result's entries."""

    options: Mapping[str, Any]
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    workers: list[list[dict[str, Any]]] = field(default_factory=list)

    def take(self, source: Path, store: Path) -> None:
        """Write once."""
        from zarrstream.commands.write import write_dataset
        from zarrstream.write.request import request_from

        request = request_from({"source": str(source), "store": str(store), "chunks": dict(zip(DIMS, CHUNKS, strict=True)), **self.options})
        began, used = time.perf_counter(), time.process_time()
        done = write_dataset(request)
        self.seconds.append(time.perf_counter() - began)
        self.cpu.append(time.process_time() - used + sum(worker["cpu_seconds"] for worker in done.workers))
        self.workers.append(done.workers)

    def median(self, what: str) -> float:
        """Of ``seconds`` or ``cpu``."""
        return statistics.median(getattr(self, what))

    def costs(self, size: int) -> dict[str, Any]:
        """For the page: medians, and what each worker did in the last round."""
        seconds = self.median("seconds")
        shares = [{what: worker[what] for what in ("objects", "bytes_read", "bytes_stored", "cpu_seconds")} for worker in self.workers[-1]]
        return {"seconds": seconds, "cpu": self.median("cpu"), "mib_per_second": size / seconds, "workers": shares}

    def busiest(self, what: str) -> float:
        """The largest part of a worker, as the median of the rounds; 1 is all of it."""
        return statistics.median(max(worker[what] for worker in each) / sum(worker[what] for worker in each) for each in self.workers)


def clusters(stack: ExitStack, certificates: Certificates) -> dict[str, Way]:
    """The ways, with their clusters running."""
    ways = {"threads": Way({})}
    for number in WORKERS:
        cluster = stack.enter_context(local_cluster(certificates, n_workers=number, memory_limit="1GiB"))
        ways[f"{number} TLS"] = Way({"scheduler": cluster.scheduler_address, "scheduler_tls": certificates.files})
    plain = stack.enter_context(local_cluster(None, n_workers=2, memory_limit="1GiB"))
    ways["2 TCP"] = Way({"scheduler": plain.scheduler_address})
    return ways


def results(ways: Mapping[str, Way]) -> list[Result]:
    """What the medians say."""
    threads, lines = ways["threads"], []
    for number in WORKERS:
        way, name = ways[f"{number} TLS"], f"cluster of {number}"
        lines.append(Result(f"{name}, against the threads of one host (s)", way.median("seconds"), threads.median("seconds")))
        lines.append(Result(f"{name}, CPU, against the threads of one host (s)", way.median("cpu"), threads.median("cpu")))
        parts = {what: way.busiest(what) for what in ("bytes_read", "cpu_seconds")}
        lines += [Result(f"{name}, busiest worker's part of {what}, against an even one", part, 1 / number) for what, part in parts.items()]
    for number in WORKERS[1:]:
        seconds = ways[f"{number} TLS"].median("seconds"), ways["1 TLS"].median("seconds")
        lines.append(Result(f"cluster of {number}, against a cluster of 1 (s)", *seconds))
    for what in ("seconds", "cpu"):
        words = f"cluster of 2, {'CPU, ' if what == 'cpu' else ''}TLS against TCP (s)"
        lines.append(Result(words, ways["2 TLS"].median(what), ways["2 TCP"].median(what)))
    return lines


def main() -> None:
    """Measure, and write build/bench.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=512, help="MiB of values in the source")
    parser.add_argument("--rounds", type=int, default=3, help="turns, of which the median counts")
    arguments = parser.parse_args()
    above = ROOT / "build" / "bench"
    above.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=above) as folder, ExitStack() as stack:
        place = Path(folder)
        make_data({"source": str(place / "air.nc"), "chunks": CHUNKS, "size": arguments.size})
        ways = clusters(stack, make_certificates(place / "tls"))
        for turn in range(arguments.rounds + 1):
            for way in ways.values():
                with tempfile.TemporaryDirectory(dir=place) as stores:
                    way.take(place / "air.nc", Path(stores) / f"{turn}.zarr")
        for way in ways.values():  # the first turn imports
            for taken in (way.seconds, way.cpu, way.workers):
                del taken[0]  # type: ignore[attr-defined]
        costs = {name: way.costs(arguments.size) for name, way in ways.items()}
        keep_costs("cluster", {"size": arguments.size, "rounds": arguments.rounds, "chunks": CHUNKS, "ways": costs})
        record(results(ways))


if __name__ == "__main__":
    main()
