"""What the tests of the writer share: requests, comparisons bit for bit, and ways to let a write go wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
import zarr
from zarrstream import transfer
from zarrstream.check.run import check_store
from zarrstream.check.snapshot import CheckRequest
from zarrstream.errors import ZarrstreamError
from zarrstream.readback import same_bits
from zarrstream.request import WriteRequest
from zarrstream.store import Objects

CORE = Path(transfer.__file__).parents[1]


def request(source: Any, store: Path, **options: Any) -> WriteRequest:
    sources = source if isinstance(source, tuple) else (source,)
    return WriteRequest(source=tuple(map(str, sources)), store=str(store), **options)


def decoded(path: Path, engine: str) -> xr.Dataset:
    with xr.open_dataset(path, engine=engine) as dataset:
        return dataset.load()


def raw(path: Path, engine: str) -> xr.Dataset:
    with xr.open_dataset(path, engine=engine, mask_and_scale=False, decode_times=False, decode_coords=False) as dataset:
        return dataset.load()


def assert_same(store: Path, source: Path, engine: str = "netcdf4") -> None:
    """Equal for a plain reader, and to the last bit in encoded form."""
    with xr.open_zarr(store) as opened:
        xr.testing.assert_identical(opened.load(), decoded(source, engine))
    found, expected = raw(store, "zarr"), raw(source, engine)
    assert set(found.variables) == set(expected.variables)
    for name, variable in expected.variables.items():
        values = variable.values
        assert same_bits(found[name].values, values if values.dtype.kind in "OTU" else values.astype(values.dtype.newbyteorder("="))), name
        assert xr.Variable((), 0, found[name].attrs).identical(xr.Variable((), 0, variable.attrs)), name


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sidecar(store: Path) -> Path:
    return Path(f"{store}.zarrstream")


def opens(store: Path) -> bool:
    try:
        zarr.open_group(store, mode="r")
    except (FileNotFoundError, ValueError):
        return False
    return True


def fail_at(monkeypatch: pytest.MonkeyPatch, number: int, failure: Callable[[Objects, str, bytes], None]) -> None:
    """Let the PUT with this number go wrong; the journal and the heartbeat do not count, which come when time has gone by."""
    count, lock, put, put_async = [0], threading.Lock(), Objects.put, Objects.put_async

    def due(key: str) -> bool:
        if "/journal/" in key or "/alive/" in key:
            return False
        with lock:
            count[0] += 1
            return count[0] == number

    def patched_put(self: Objects, key: str, data: bytes, **options: Any) -> None:
        failure(self, key, data) if due(key) else put(self, key, data, **options)

    async def patched_async(self: Objects, key: str, data: bytes) -> None:
        failure(self, key, data) if due(key) else await put_async(self, key, data)

    monkeypatch.setattr(Objects, "put", patched_put)
    monkeypatch.setattr(Objects, "put_async", patched_async)


def refuse(objects: Objects, key: str, data: bytes) -> None:
    raise ZarrstreamError(f"cannot write {key}: refused")


def lie(objects: Objects, key: str, data: bytes) -> None:
    pass


def shorten(objects: Objects, key: str, data: bytes) -> None:
    path = objects.place.parent / key  # type: ignore[operator]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data[:-1])


def flip(objects: Objects, key: str, data: bytes) -> None:
    path = objects.place.parent / key  # type: ignore[operator]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(data[:-1]) + bytes([data[-1] ^ 1]))


def run_python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script that imports the core, in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), *arguments]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": str(CORE)}, check=True, stdout=subprocess.PIPE, text=True)


def passed(store: Path, source: Path) -> None:
    report = check_store(CheckRequest(store=str(store), source=(str(source),), sample=None))
    assert report.ok
    assert {check.status for check in report.checks} <= {"passed", "skipped"}, report.summary["line"]


# Kills a writer before, and after, each of its requests in turn, on copies of a store.
KILLER = """
    import os, shutil, signal, sys
    from zarrstream import write, work, {mode}, template, dataset, combine, readback, transfer, lossy
    from zarrstream.store import Objects
    import zarr, xarray, dask.array, netCDF4, obstore
    old, folder, first, step = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

    def die_at(number, after):
        count, put, put_async, copy, delete = [0], Objects.put, Objects.put_async, Objects.copy, Objects.delete
        def due():
            count[0] += 1
            return count[0] == number
        def die():
            os.kill(os.getpid(), signal.SIGKILL)
        def around(act):
            now = due()
            if now and not after: die()
            act()
            if now: die()
        Objects.put = lambda self, key, data, **options: around(lambda: put(self, key, data, **options))
        Objects.copy = lambda self, key, to: around(lambda: copy(self, key, to))
        def deleting(self, keys):
            for key in keys: around(lambda: delete(self, [key]))
        Objects.delete = deleting
        async def putting(self, key, data):
            now = due()
            if now and not after: die()
            await put_async(self, key, data)
            if now: die()
        Objects.put_async = putting

    number = first
    while True:
        after, store = number % 2 == 0, f"{{folder}}/{{number}}.zarr"
        for suffix in ("", ".zarrstream"): shutil.copytree(old + suffix, store + suffix)
        child = os.fork()
        if child == 0:
            die_at((number + 1) // 2, after)
            write.write_dataset(write.WriteRequest(store=store, **{options}))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, status
            break
        number += step
    print(number)
"""
