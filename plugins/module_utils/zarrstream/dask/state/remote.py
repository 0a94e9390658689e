# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What runs inside the scheduler and the workers. It travels there by value: nothing of this collection need be installed.

So this file uses the standard library and what every process of Dask's has, and gives plain values. Coroutines, and threads for what
takes its time: a worker that is looked at goes on working. Dask hands over the process in the argument ``dask_worker``, on the
scheduler too.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import pickle
import shutil
import socket
import ssl
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROUNDS = 5  # the best of so many round trips


async def look_here(packages: list[str], dask_worker: Any = None) -> dict[str, Any]:
    """The fields of a Process. Packages are imported for good measure."""
    found = await asyncio.to_thread(_look, packages, getattr(dask_worker, "local_directory", None))
    return {**found, "dashboard": _listening(dask_worker)}


def _look(packages: list[str], spill: str | None) -> dict[str, Any]:
    import psutil

    versions: dict[str, str | None] = {}
    failures: dict[str, str] = {}
    for name in packages:
        versions[name] = _version(name, failures)
    try:
        own = importlib.import_module("zarrstream").__version__
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is not there
        own = None
    return {
        "hostname": socket.gethostname(),
        "home": f"{Path.home()} {os.environ.get('AWS_CONFIG_FILE', '')}",
        "pid": os.getpid(),
        "zarrstream": own,
        "packages": versions,
        "failures": failures,
        "memory": psutil.virtual_memory().total,
        **(_spill(spill) if spill else {}),
    }


def _version(name: str, failures: dict[str, str]) -> str | None:
    try:
        module = importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 - a broken package raises anything
        failures[name] = f"{type(error).__name__}: {error}"
        return None
    try:
        return version(name)
    except PackageNotFoundError:
        return str(getattr(module, "__version__", "unknown"))


def _spill(folder: str) -> dict[str, Any]:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"zarrstream")
            file.flush()
        return {"spill": folder, "spill_free": shutil.disk_usage(folder).free}
    except OSError as error:
        return {"spill": folder, "spill_problem": error.strerror or str(error)}


def _listening(server: Any) -> list[str]:
    """Where the process serves its dashboard and its metrics."""
    from distributed.comm.utils import get_tcp_server_addresses

    if getattr(server, "http_server", None) is None or not server.http_server._sockets:
        return []
    return [f"{address[0]}:{address[1]}" for address in get_tcp_server_addresses(server.http_server)]  # type: ignore[no-untyped-call]


async def certificates(dask_worker: Any = None) -> dict[str, float]:
    """Until when the certificate is valid with which each worker came, in seconds since the epoch; on the scheduler."""
    ends: dict[str, float] = {}
    for address, stream in dask_worker.stream_comms.items():
        certificate = stream.comm.extra_info.get("peercert") if stream.comm else None
        if certificate:
            ends[address] = ssl.cert_time_to_seconds(certificate["notAfter"])
    return ends


async def measure(target: str, size: int, dask_worker: Any = None) -> dict[str, Any]:
    """The way from here to a worker and back: round trip in seconds, its clock less ours, MiB/s of ``size`` random bytes."""
    remote = dask_worker.rpc(target)
    await remote.echo(data=b"")  # the connection is made
    round_trip = min([await _seconds(remote, b"") for _unused in range(ROUNDS)])
    clocks = [await _clock(remote) for _unused in range(ROUNDS)]
    result = {"round_trip": round_trip, "clock": min(clocks)[1], "mib_per_second": None}
    if size:
        seconds = await _seconds(remote, os.urandom(size)) - round_trip
        result["mib_per_second"] = 2 * size / 2**20 / max(seconds, 1e-6)
    return result


async def _seconds(remote: Any, data: bytes) -> float:
    before = time.perf_counter()
    await remote.echo(data=data)
    return time.perf_counter() - before


async def _clock(remote: Any) -> tuple[float, float]:
    """How long the answer took, and what the target's clock was ahead in the middle of that."""
    from distributed.protocol.serialize import Serialized, deserialize

    before = time.time()
    answer = (await remote.run(function=pickle.dumps(time.time)))["result"]
    after = time.time()
    if isinstance(answer, Serialized):  # the scheduler leaves it packed
        answer = deserialize(answer.header, answer.frames)  # type: ignore[no-untyped-call]
    return after - before, answer - (before + after) / 2


async def try_bucket(request: dict[str, Any]) -> dict[str, Any]:
    """The fields of a BucketAttempt: s3_probe's steps, with the profile that this process finds on its host."""
    return await asyncio.to_thread(_try_bucket, request)


def _try_bucket(request: dict[str, Any]) -> dict[str, Any]:
    try:
        probe = importlib.import_module("zarrstream.probe.run")
        wanted = probe.request_from(request)
    except (ImportError, AttributeError, TypeError) as error:
        remedy = "run the role zarr_stack on that host, and then dask_worker, which restarts workers with another one in their memory"
        return {"problem": f"the package zarrstream is missing or of another version there ({error}): {remedy}"}
    try:
        report = probe.run(wanted)
    except Exception as error:  # noqa: BLE001 - a message that can travel, whatever it is
        return {"problem": f"{type(error).__name__}: {error}"}
    steps = [{"name": each.name, "ok": each.ok, "message": each.message, "seconds": each.seconds} for each in report.checks]
    return {"steps": steps, "problem": str(report.failure or ""), "clock_skew": report.clock_skew_seconds, "size": request["size"]}
