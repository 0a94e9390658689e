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
    """Let the PUT with this number go wrong."""
    count, lock, put, put_async = [0], threading.Lock(), Objects.put, Objects.put_async

    def due() -> bool:
        with lock:
            count[0] += 1
            return count[0] == number

    def patched_put(self: Objects, key: str, data: bytes, **options: Any) -> None:
        failure(self, key, data) if due() else put(self, key, data, **options)

    async def patched_async(self: Objects, key: str, data: bytes) -> None:
        failure(self, key, data) if due() else await put_async(self, key, data)

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
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def run_python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script that imports the core, in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), *arguments]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": str(CORE)}, check=True, stdout=subprocess.PIPE, text=True)
