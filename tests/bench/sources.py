#!/usr/bin/env python3
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What it costs to write from files on the web and in a bucket, against the same write from a disk, and against how others do it.

nginx and `rclone serve s3` on loopback, at once and with 10 ms more each way (delay.py); nginx tells which bytes it has sent. The ways
take turns, each in a process of its own; medians count. Servers, the longer way and writers share the processors, and that is in all
seconds; CPU seconds are those of the process that writes or downloads. Imports are not in the seconds.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench import BUCKET, Bench, Cost, bench, median
from results import ROOT, Result, keep_costs, record
from ways import DIMS, PROFILE, make_data
from web import Request, Web, longer_way, nginx, twice

sys.path.insert(0, str(ROOT / "tests"))

NAMES = [f"field_{number}" for number in range(10)]
CHUNKS = (1, 512, 512)  # 1 MiB
SMALL = (1, 800, 960)  # about 1 MiB of a file when deflated
DISTANCES = {"0 ms": 0.0, "20 ms": 10.0}  # of a round trip; milliseconds each way
GOALS = {"0 ms": 1.2, "20 ms": 1.4}
GOAL_BYTES, GOAL_BYTES_OF_ONE = 1.05, 0.15
GOAL_SMALL = 0.5
EVEN = 1.1
BEGINNING = 2**16  # bytes that say which file it is: who writes, and each worker, asks for them, and once more in the end
WORKERS = (1, 2, 4)
Given = dict[str, Any]


@dataclass
class Taken:
    """What a way took each time, the bytes that nginx sent for it, and the result's own figures of the last time."""

    costs: list[Cost] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    figures: Given = field(default_factory=dict)

    def to_dict(self) -> Given:
        """Medians, for build/bench-costs.json."""
        counts = {"sent": self.sent[-1], "requests": self.requests[-1]} if self.sent else {}
        return asdict(median(self.costs)) | counts | {name: self.figures.get(name) for name in ("fetched", "waited")}


class Measures:
    """The ways of one case, by name."""

    def __init__(self, place: Bench, web: Web, only: Sequence[str]) -> None:
        """``only`` are parts of names; no others are measured."""
        self.place, self.web, self.only = place, web, only
        self.taken: dict[str, Taken] = {}
        self.last: list[Request] = []

    def take(self, name: str, way: Callable[[Path], Cost]) -> None:
        """Measure it, with a folder for its store and what it downloads, which is gone afterwards."""
        if self.only and not any(part in name for part in self.only):
            return
        here = self.place.folder / "here"
        here.mkdir()
        self.web.requests()
        cost = way(here)
        self.last = self.web.requests()
        taken = self.taken.setdefault(name, Taken())
        taken.costs.append(cost)
        taken.sent.append(sum(request.size for request in self.last))
        taken.requests.append(len(self.last))
        if (here / "figures").exists():
            taken.figures = json.loads((here / "figures").read_text())
        shutil.rmtree(here)
        sys.stdout.write(f"{name}: {cost}, {taken.sent[-1]} bytes in {taken.requests[-1]} requests\n")
        sys.stdout.flush()

    def compared(self, label: str, ours: str, other: str, goal: float | None = None) -> list[Result]:
        """Seconds, CPU seconds and memory of two of them."""
        if ours not in self.taken or other not in self.taken:
            return []
        one, two = median(self.taken[ours].costs), median(self.taken[other].costs)
        name = f"{label}, {ours}, against {other}"
        return [
            Result(f"{name} (s)", one.seconds, two.seconds, goal),
            Result(f"{name}, CPU (s)", one.cpu, two.cpu),
            Result(f"{name}, peak memory (MiB)", one.peak, two.peak),
        ]

    def fetched(self, label: str, name: str, size: int, goal: float) -> list[Result]:
        """Bytes that the server sent, against those of the files."""
        if name not in self.taken:
            return []
        return [Result(f"{label}, {name}, bytes sent, against the size (MiB)", self.taken[name].sent[-1] / 2**20, size / 2**20, goal)]

    def to_dict(self) -> Given:
        """All of them."""
        return {name: taken.to_dict() for name, taken in self.taken.items()}


def _ours(place: Bench, source: str, chunks: Sequence[int], **request: Any) -> Callable[[Path], Cost]:
    def way(here: Path) -> Cost:
        asked = {"store": str(here / "out.zarr"), **request}
        return place.way("ours", source=source, chunks=chunks, request=asked, figures=str(here / "figures"))

    return way


def _curl(place: Bench, url: str, file: Path) -> Cost:
    return place.measure(["curl", "--silent", "--fail", "--output", str(file), url])[1]


def large(place: Bench, web: Web, ports: Mapping[str, int], arguments: argparse.Namespace) -> list[Result]:
    """One deflated file of ten variables, which a model has written step by step."""
    file = web.served / "large.nc"
    place.way("make_data", source=str(file), chunks=CHUNKS, size=arguments.size, names=NAMES)
    size, label = file.stat().st_size, f"source of {arguments.size} MiB"
    shutil.copy(file, place.served / "large.nc")
    measures = Measures(place, web, arguments.only)
    other = {"chunks": CHUNKS, "names": NAMES}
    for turn in range(arguments.rounds):
        measures.take("local file", _ours(place, str(file), CHUNKS))
        for distance, port in ports.items():
            url = web.url(file.name, port)
            measures.take(f"web at {distance}", _ours(place, url, CHUNKS))
            measures.take(
                f"fsspec, h5netcdf, to_zarr at {distance}",
                lambda here, url=url: place.way("from_the_web", source=url, folder=str(here / "out.zarr"), **other),  # type: ignore[misc]
            )
            measures.take(
                f"curl, then the same write at {distance}",
                lambda here, url=url: _curl(place, url, here / "a.nc") + _ours(place, str(here / "a.nc"), CHUNKS)(here),  # type: ignore[misc]
            )
            measures.take(
                f"curl, then to_zarr at {distance}",
                lambda here, url=url: (  # type: ignore[misc]
                    _curl(place, url, here / "a.nc") + place.way("local", source=str(here / "a.nc"), folder=str(here / "out.zarr"), **other)
                ),
            )
            measures.take(f"one variable of ten at {distance}", _ours(place, url, CHUNKS, variables=NAMES[:1]))
        access = {"source_profile": PROFILE, "source_endpoint_url": place.endpoint}
        measures.take("bucket at 0 ms", _ours(place, f"s3://{BUCKET}/{file.name}", CHUNKS, **access))
        for number, (name, source) in enumerate({"local file": str(file), "web at 0 ms": web.url(file.name)}.items()):
            key = f"{turn}-{number}.zarr"  # of its own: the server remembers what is removed behind its back
            measures.take(f"{name}, to a bucket", _ours(place, source, CHUNKS, store=f"s3://{BUCKET}/{key}"))
            place.drop(key)
    results = []
    for distance, goal in GOALS.items():
        ours = f"web at {distance}"
        results += measures.compared(label, ours, "local file", goal)
        for way in ("fsspec, h5netcdf, to_zarr", "curl, then the same write", "curl, then to_zarr"):
            results += measures.compared(label, ours, f"{way} at {distance}", 1.0)
        results += measures.fetched(label, ours, size, GOAL_BYTES)
        results += measures.fetched(label, f"one variable of ten at {distance}", size, GOAL_BYTES_OF_ONE)
    results += measures.compared(label, "bucket at 0 ms", "local file", GOALS["0 ms"])
    results += measures.compared(label, "web at 0 ms, to a bucket", "local file, to a bucket", GOALS["0 ms"])
    keep_costs("sources-large", {"size": arguments.size, "file": size, "rounds": arguments.rounds, "ways": measures.to_dict()})
    return results


def small(place: Bench, web: Web, ports: Mapping[str, int], arguments: argparse.Namespace) -> list[Result]:
    """Many files of a step each, of about a MiB."""
    folder = web.served / "small"
    folder.mkdir()
    _make_files(folder, arguments.files)
    names = sorted(path.name for path in folder.iterdir())
    size = sum(path.stat().st_size for path in folder.iterdir())
    measures, label = Measures(place, web, arguments.only), f"{arguments.files} files of {size / arguments.files / 2**20:.1f} MiB"
    distance, port = "20 ms", ports["20 ms"]
    listed = place.folder / "listed.txt"
    listed.write_text("".join(f"{web.url(f'small/{name}', port)}\n" for name in names))

    def downloaded(here: Path) -> Cost:
        (here / "files").mkdir()
        wanted = "".join(f'url = "{web.url(f"small/{name}", port)}"\noutput = "{here}/files/{name}"\n' for name in names)
        (here / "wanted").write_text(wanted)
        return place.measure(["curl", "--parallel", "--no-progress-meter", "--fail", "--config", str(here / "wanted")])[1]

    for _round in range(arguments.rounds):
        measures.take(f"web at {distance}", _ours(place, str(listed), SMALL))
        measures.take("local files", _ours(place, str(folder / "*.nc"), SMALL))
        measures.take("curl --parallel alone", downloaded)
        measures.take(
            "curl --parallel, then the same write", lambda here: downloaded(here) + _ours(place, f"{here}/files/*.nc", SMALL)(here)
        )
        measures.take(
            "curl --parallel, then open_mfdataset and to_zarr",
            lambda here: downloaded(here) + place.way("many", source=f"{here}/files", folder=f"{here}/out.zarr", chunks=SMALL),
        )
    results = []
    for way in ("curl --parallel, then the same write", "curl --parallel, then open_mfdataset and to_zarr"):
        results += measures.compared(label, f"web at {distance}", way, GOAL_SMALL)
    results += measures.compared(label, f"web at {distance}", "local files")
    results += measures.fetched(label, f"web at {distance}", size, GOAL_BYTES)
    keep_costs("sources-small", {"files": arguments.files, "size": size, "rounds": arguments.rounds, "ways": measures.to_dict()})
    return results


def _make_files(folder: Path, number: int) -> None:
    """One step of time in each; written from one file, so that it does not take minutes."""
    import netCDF4

    together = folder.parent / "together.nc"
    make_data({"source": str(together), "chunks": SMALL, "size": 20 * 4 * SMALL[1] * SMALL[2] / 2**20})
    with netCDF4.Dataset(together) as whole:
        fields = whole["t2m"][:]
    together.unlink()
    for hour in range(number):
        with netCDF4.Dataset(folder / f"f{hour:05}.nc", "w") as file:
            for dim, length in zip(DIMS, SMALL, strict=True):
                file.createDimension(dim, length)
                file.createVariable(dim, "i4", (dim,))[:] = hour if dim == "time" else range(length)
            file["time"].units = "hours since 2020-01-01"
            field = file.createVariable("t2m", "f4", DIMS, zlib=True, complevel=4, shuffle=True, chunksizes=SMALL)
            field[:] = fields[hour % len(fields)] + hour // len(fields)


def cluster(place: Bench, web: Web, ports: Mapping[str, int], arguments: argparse.Namespace) -> list[Result]:
    """The large file by workers of Dask, at 20 ms and to a bucket: who reads how much, what is read twice, and what lands on a disk."""
    import h5py
    import psutil
    from clusters import local_cluster, make_certificates

    file = web.served / "large.nc"
    if not file.exists():
        place.way("make_data", source=str(file), chunks=CHUNKS, size=arguments.size, names=NAMES)
    spans: list[tuple[int, int]] = []
    with h5py.File(file) as opened:
        for name in NAMES:
            opened[name].id.chunk_iter(lambda chunk: spans.append((max(chunk.byte_offset, BEGINNING), chunk.byte_offset + chunk.size)))
    certificates, results, kept = make_certificates(place.folder / "tls"), list[Result](), {}
    for number in WORKERS:
        measures, name = Measures(place, web, arguments.only), f"cluster of {number}"
        with local_cluster(certificates, n_workers=number, memory_limit="1GiB") as running:
            asked = {"scheduler": running.scheduler_address, "scheduler_tls": certificates.files, "store": f"s3://{BUCKET}/{number}.zarr"}
            workers = [psutil.Process(worker.pid) for worker in running.workers.values()]
            before = [worker.io_counters().write_bytes for worker in workers]
            measures.take(name, _ours(place, web.url(file.name, ports["20 ms"]), CHUNKS, **asked))
            on_disks = [worker.io_counters().write_bytes - was for worker, was in zip(workers, before, strict=True)]
        place.drop(f"{number}.zarr")
        if name not in measures.taken:
            continue
        taken = measures.taken[name]
        sizes = [worker["fetched"]["bytes"] for worker in taken.figures["workers"]]
        again = twice([request for request in measures.last if request.name == file.name], spans)
        results.append(Result(f"source of {arguments.size} MiB, {name}, busiest worker's bytes, against an even part (MiB)",
                              max(sizes) / 2**20, sum(sizes) / number / 2**20, EVEN))  # fmt: skip
        results += measures.fetched(f"source of {arguments.size} MiB", name, file.stat().st_size, GOAL_BYTES)
        results.append(Result(f"source of {arguments.size} MiB, {name}, bytes of chunks sent twice, against the size (MiB)",
                              again / 2**20, file.stat().st_size / 2**20, 0.0))  # fmt: skip
        results.append(Result(f"source of {arguments.size} MiB, {name}, bytes that workers put on disks, against the size (MiB)",
                              sum(on_disks) / 2**20, file.stat().st_size / 2**20))  # fmt: skip
        kept[name] = taken.to_dict() | {"workers": sizes, "twice": again, "on_disks": on_disks}
    keep_costs("sources-cluster", {"size": arguments.size, "ways": kept})
    return results


CASES = {"large": large, "small": small, "cluster": cluster}


def main() -> None:
    """Measure, and write build/bench.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=1024, help="MiB of values in the large source")
    parser.add_argument("--files", type=int, default=1000, help="number of small files")
    parser.add_argument("--rounds", type=int, default=3, help="turns, of which the median counts")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--only", nargs="+", default=[], metavar="WORDS", help="ways whose name has one of these words")
    arguments = parser.parse_args()
    results: list[Result] = []
    with ExitStack() as stack:
        place = stack.enter_context(bench())
        served = place.folder / "web"
        served.mkdir()
        web = stack.enter_context(nginx(place.folder / "nginx", served))
        ports = {}
        for distance, milliseconds in DISTANCES.items():
            ports[distance] = web.port
            if milliseconds:
                ports[distance], way = stack.enter_context(longer_way(web.port, milliseconds))
                web.processes.append(way)
        for name in arguments.cases:
            results += CASES[name](place, web, ports, arguments)
    record(results)


if __name__ == "__main__":
    main()
