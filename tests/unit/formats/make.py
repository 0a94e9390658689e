"""Makes an archive of stores as one commit of the kit leaves them, whole and interrupted; README.md says when, and how.

It runs with the code of that commit, so that it knows the module names of every layout of the core until now.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import socket
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

HOMES = {
    "write": ("commands.write", "write"),
    "request": ("write.request", "request"),
    "objects": ("storage.folder", "folder", "storage.objects", "store"),
    "journal": ("sidecar.journal", "journal"),
    "lock": ("sidecar.lock", "marker"),
}
ENCODING = {"air": {"compressor": {"name": "zstd", "level": 3}, "dtype": "float32"}}
OTHERS = 0.5  # seconds in which what was sent before arrives


def load(what: str) -> Any:
    """The module of a layout of the core that has this part; None in one that did not have it yet."""
    for name in HOMES[what]:
        try:
            return importlib.import_module(f"zarrstream.{name}")
        except ModuleNotFoundError:
            continue
    return None


def sources(folder: Path) -> None:
    """Two files that follow each other in time, of the oldest kind of NetCDF, which is small."""
    for name, start, stop in (("1.nc", 0, 5), ("2.nc", 5, 8)):
        values = np.arange(start * 3, stop * 3, dtype="i2").reshape(-1, 3)
        air = ("time", "x"), values, {"scale_factor": 0.5, "_FillValue": np.int16(-1)}
        time = "time", np.arange(start, stop, dtype="i4"), {"units": "days since 2026-01-01"}
        dataset = xr.Dataset({"air": air}, {"time": time, "x": ("x", np.arange(3.0))}, {"title": "kept"})
        encoding = {name: {"_FillValue": None} for name in ("time", "x")}
        dataset.to_netcdf(folder / name, format="NETCDF3_CLASSIC", engine="netcdf4", encoding=encoding)


def ends_before(due: Callable[[str], bool]) -> None:
    """Let the process end, as by SIGKILL, before it writes the object for which ``due`` says so."""
    found = load("objects")
    kind = getattr(found, "FolderObjects", None) or found.Objects
    put, put_async = kind.put, kind.put_async

    def patched(self: Any, key: str, data: bytes, **options: Any) -> None:
        if due(key):
            time.sleep(OTHERS)
            os._exit(9)
        put(self, key, data, **options)

    async def patched_async(self: Any, key: str, data: bytes) -> None:
        if due(key):
            await asyncio.sleep(OTHERS)
            os._exit(9)
        await put_async(self, key, data)

    kind.put, kind.put_async = patched, patched_async


def write(folder: Path, name: str, files: tuple[str, ...], due: Callable[[str], bool] | None = None, **options: Any) -> None:
    """One write in a process of its own; with ``due`` it is interrupted."""
    child = os.fork()
    if child == 0:
        socket.gethostname = lambda: "host-of-then"
        if due is not None:
            ends_before(due)
        journal, lock = load("journal"), load("lock")
        if journal is not None:
            journal.FLUSH_INTERVAL = 0.0
        if hasattr(lock, "_process_table"):
            lock._process_table = lambda: "start-of-then/1"
        os.chdir(folder)
        store = str(folder / name)
        asked = {"source": [str(folder / file) for file in files], "store": store, **options}
        request = load("request").request_from(asked)
        load("write").write_dataset(request)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code != (9 if due else 0):
        raise SystemExit(f"{name}: exit code {code}")


def at(number: int) -> Callable[[str], bool]:
    """Due at the chunk with this number, those included that wait beside the store."""
    seen = count(1)
    others = (".json", ".zattrs", ".zarray", ".zgroup", ".zmetadata")
    return lambda key: "/alive/" not in key and not key.endswith(others) and next(seen) == number


def fill(folder: Path, cases: set[str]) -> None:
    """The stores; ``cases`` has those that not every commit could make."""
    sources(folder)
    chunks = {"chunks": {"time": 2}}
    write(folder, "three.zarr", ("1.nc",), **chunks)
    write(folder, "two.zarr", ("1.nc",), zarr_format=2, **chunks)
    write(folder, "encoded.zarr", ("1.nc",), encoding=ENCODING, **chunks)
    write(folder, "copying.zarr", ("1.nc",), at(4), **chunks)
    write(folder, "publishing.zarr", ("1.nc",), lambda key: key == "publishing.zarr/zarr.json", **chunks)
    if "shards" in cases:
        write(folder, "shards.zarr", ("1.nc",), shards={"time": 4}, **chunks)
    if "zarr" in cases:
        write(folder, "copied.zarr", ("shards.zarr",))
    if "replace" in cases:
        write(folder, "replacing.zarr", ("1.nc",), zarr_format=2, **chunks)
        write(folder, "replacing.zarr", ("2.nc",), at(4), mode="replace", zarr_format=2, **chunks)
    if "append" in cases:
        write(folder, "growing.zarr", ("1.nc",), **chunks)
        switch = "growing.zarr/zarr.json"
        write(folder, "growing.zarr", ("1.nc", "2.nc"), lambda key: key == switch, mode="append", append_dim="time", **chunks)
    if "update" in cases:
        update = {"mode": "update", "append_dim": "time", **chunks}
        write(folder, "updating.zarr", ("1.nc",), **update)
        write(folder, "updating.zarr", ("1.nc", "2.nc"), lambda key: key == "updating.zarr/zarr.json", **update)


def pack(folder: Path, archive: Path) -> None:
    """All files of a folder in one archive."""
    with tarfile.open(archive, "w:xz") as packed:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            member = tarfile.TarInfo(str(path.relative_to(folder)))
            member.size, member.mtime = path.stat().st_size, int(path.stat().st_mtime)
            with path.open("rb") as file:
                packed.addfile(member, file)


if __name__ == "__main__":
    core, target, *names = sys.argv[1:]
    sys.path.insert(0, core)
    with tempfile.TemporaryDirectory() as made:
        fill(Path(made), set(names))
        pack(Path(made), Path(target))
