"""What the tests of the writer share: requests, comparisons bit for bit, and ways to let a write go wrong."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from itertools import count, pairwise
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
import zarr
import zarrstream
from asking import check_request, check_store, write_request
from running import THOROUGH
from zarrstream.commands.write import write_dataset
from zarrstream.errors import ZarrstreamError
from zarrstream.sidecar import heartbeat, journal
from zarrstream.storage.folder import FolderObjects
from zarrstream.storage.objects import Objects
from zarrstream.write.request import WriteRequest
from zarrstream.write.verify import same_bits

CORE = Path(zarrstream.__file__).parents[1]
# Where writers are killed in `make test`; UNIT_SEED repeats a choice, UNIT_POINTS says how many there are beside the fixed ones.
SEED = int(os.environ.get("UNIT_SEED") or random.randrange(10**6))
POINTS = int(os.environ.get("UNIT_POINTS") or 1)
# What a write imports when it begins, some of it in threads or late: none of it starts a thread that a fork would lose.
LIBRARIES = ("dask.array", "h5py", "netCDF4", "numcodecs.zarr3", "obstore.store", "xarray", "zarr")
MODULES = (
    "encoding.lossy",
    "source.combine",
    "source.open",
    "write.append",
    "write.create",
    "write.replace",
    "write.session",
    "write.template",
    "write.verify",
)
# Tests that write in processes of their own run in one of those that are side by side: each would start a server for them.
FORKS = pytest.mark.xdist_group("forks")


def request(source: Any, store: Path, **options: Any) -> WriteRequest:
    sources = source if isinstance(source, tuple) else (source,)
    return write_request(source=tuple(map(str, sources)), store=str(store), **options)


def decoded(path: Path, engine: str) -> xr.Dataset:
    with xr.open_dataset(path, engine=engine) as dataset:
        return dataset.load()


def raw(path: Path, engine: str) -> xr.Dataset:
    with xr.open_dataset(path, engine=engine, mask_and_scale=False, decode_times=False, decode_coords=False) as dataset:
        return dataset.load()


@lru_cache(16)
def _both(path: Path, engine: str, _when: int, _size: int) -> tuple[xr.Dataset, xr.Dataset]:
    return decoded(path, engine), raw(path, engine)


def assert_same(store: Path, source: Path, engine: str = "netcdf4") -> None:
    """Equal for a plain reader, and to the last bit in encoded form. Many stores of one test have the same source."""
    both = _both if source.is_file() else _both.__wrapped__  # what changes deep in a folder shows in none of its times
    plain, expected = both(source, engine, source.stat().st_mtime_ns, source.stat().st_size)
    with xr.open_zarr(store, chunks=None) as opened:  # Dask, which costs as much again, only reads what this reads
        xr.testing.assert_identical(opened.load(), plain)
    found = raw(store, "zarr")
    assert set(found.variables) == set(expected.variables)
    for name, variable in expected.variables.items():
        values = variable.values
        assert same_bits(found[name].values, values if values.dtype.kind in "OTU" else values.astype(values.dtype.newbyteorder("="))), name
        assert xr.Variable((), 0, found[name].attrs).identical(xr.Variable((), 0, variable.attrs)), name


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


_MADE: dict[Any, dict[str, bytes]] = {}


def made_once(path: Path, make: Callable[[Path], object], *key: Any) -> Path:
    """Let ``make`` write a file or a store, and what is beside it under that name; later calls of this process get a copy.

    Hundreds of tests begin with the same few, and making them costs more than most of what is tested.
    """
    if (path.name, *key) not in _MADE:
        make(path)
        _MADE[path.name, *key] = {name: data for name, data in files(path.parent).items() if name.startswith(path.name)}
        return path
    for name, data in _MADE[path.name, *key].items():
        target = path.parent / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return path


def sidecar(store: Path) -> Path:
    return Path(f"{store}.zarrstream")


def opens(store: Path) -> bool:
    try:
        zarr.open_group(store, mode="r")
    except (FileNotFoundError, ValueError):
        return False
    return True


def fail_at(monkeypatch: pytest.MonkeyPatch, number: int, failure: Callable[[FolderObjects, str, bytes], None]) -> None:
    """Let the PUT with this number go wrong; the journal and the heartbeat do not count, which come when time has gone by."""
    sent, lock, put, put_async = count(1), threading.Lock(), FolderObjects.put, FolderObjects.put_async

    def due(key: str) -> bool:
        if "/journal/" in key or "/alive/" in key:
            return False
        with lock:
            return next(sent) == number

    def patched_put(self: FolderObjects, key: str, data: bytes, **options: Any) -> None:
        failure(self, key, data) if due(key) else put(self, key, data, **options)

    async def patched_async(self: FolderObjects, key: str, data: bytes) -> None:
        failure(self, key, data) if due(key) else await put_async(self, key, data)

    monkeypatch.setattr(FolderObjects, "put", patched_put)
    monkeypatch.setattr(FolderObjects, "put_async", patched_async)


def refuse(objects: FolderObjects, key: str, data: bytes) -> None:
    raise ZarrstreamError(f"cannot write {key}: refused")


def lie(objects: FolderObjects, key: str, data: bytes) -> None:
    pass


def shorten(objects: FolderObjects, key: str, data: bytes) -> None:
    path = objects.place.parent / key  # type: ignore[operator]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data[:-1])


def flip(objects: FolderObjects, key: str, data: bytes) -> None:
    path = objects.place.parent / key  # type: ignore[operator]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(data[:-1]) + bytes([data[-1] ^ 1]))


def passed(store: Path, *sources: Path) -> None:
    report = check_store(check_request(store=str(store), source=tuple(map(str, sources)), sample=None))
    assert report.ok
    assert {check.status for check in report.checks} <= {"passed", "skipped"}, report.summary["line"]


@cache
def _forks() -> ForkServerContext:
    """Processes that begin with all imported: a second each would be theirs otherwise. Their server never has threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, *LIBRARIES, *(f"zarrstream.{name}" for name in MODULES)])
    with pytest.MonkeyPatch.context() as patch:  # the server of some Pythons looks nowhere else
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        forkserver.ensure_running()
    return context


def write_apart(*wanted: WriteRequest) -> list[str]:
    """What each of several writers did that began at the same moment: its action, the name and message of its error, or how it died.

    In processes, since the library that reads NetCDF does not bear several threads that open files, and may crash.
    """
    context = _forks()
    barrier, writers = context.Barrier(len(wanted)), []
    for each in wanted:
        answer, told = context.Pipe(duplex=False)
        process = context.Process(target=_write_with_others, args=(each, barrier, told))
        process.start()
        told.close()
        writers.append((process, answer))
    return [_outcome(*writer) for writer in writers]


def _write_with_others(wanted: WriteRequest, barrier: Barrier, told: Connection) -> None:
    barrier.wait(60)
    try:
        told.send(write_dataset(wanted).action)
    except Exception as error:  # noqa: BLE001 - the test says which it expects
        told.send(f"{type(error).__name__}: {error}")


def _outcome(process: BaseProcess, answer: Connection) -> str:
    try:
        outcome = str(answer.recv())
    except EOFError:
        outcome = "died"
    process.join()
    return f"{outcome} ({process.exitcode})" if process.exitcode else outcome


@dataclass(frozen=True)
class Killed:
    """A store whose writer was killed: ``point`` 2n-1 is before its request n, 2n after it."""

    point: int
    store: Path
    told: str


def killed_writes(folder: Path, old: Path | None = None, **options: Any) -> list[Killed]:
    """Kill writers of one request, each over a copy of ``old`` or where nothing is; returns what they left, by their points.

    All points in `make test-all`. Otherwise the first, the last, those around each request that changes what readers find, and some more.
    """
    folder.mkdir()
    points, told = _points(folder, old, options)
    killed = [Killed(point, folder / f"{point}.zarr", f"{told}, this is {point}") for point in points]
    for each in killed:
        _copy(old, each.store)
        process = _forks().Process(target=_killed_write, args=(each.point, each.store, options))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL, each.told
    return killed


def _points(folder: Path, old: Path | None, options: dict[str, Any]) -> tuple[list[int], str]:
    """Where to kill, and how to say so."""
    store = folder / "whole.zarr"
    _copy(old, store)
    found = [_root(store)]
    with pytest.MonkeyPatch.context() as patch:
        around_requests(patch.setattr, lambda _: None, lambda _: found.append(_root(store)))
        write_dataset(write_request(store=str(store), **options))
    last = 2 * (len(found) - 1)
    changes = [number for number, (before, after) in enumerate(pairwise(found), 1) if before != after]
    chosen = {1, last, *(point for number in changes for point in (2 * number - 1, 2 * number))}
    others = sorted({*range(1, last)} - chosen)
    chosen |= set(others if THOROUGH else random.Random(f"{SEED} {folder.name}").sample(others, min(POINTS, len(others))))
    return sorted(chosen), f"UNIT_SEED={SEED}: killed at {sorted(chosen)} of {last}"


def _copy(old: Path | None, store: Path) -> None:
    for suffix in ("", ".zarrstream") if old else ():
        shutil.copytree(f"{old}{suffix}", f"{store}{suffix}")


def _root(store: Path) -> dict[str, bytes]:
    """What readers look at first."""
    paths = [store / name for name in ("zarr.json", ".zgroup", ".zattrs", ".zmetadata")]
    return {path.name: path.read_bytes() for path in paths if path.exists()}


def _killed_write(point: int, store: Path, options: dict[str, Any]) -> None:
    def die_at(its_point: int) -> None:
        if its_point == point:
            os.kill(os.getpid(), signal.SIGKILL)

    around_requests(setattr, lambda number: die_at(2 * number - 1), lambda number: die_at(2 * number))
    write_dataset(write_request(store=str(store), **options))


def around_requests(
    patch: Callable[[Any, str, Any], None],
    before: Callable[[int], None],
    after: Callable[[int], None],
    kind: type[Objects] = FolderObjects,
) -> None:
    """Give ``before`` and ``after`` each request that changes something, by its number. None comes only because time goes by."""
    put, put_async, copy, delete = kind.put, kind.put_async, kind.copy, kind.delete
    numbers = count(1)

    def surrounded(act: Callable[[], None]) -> None:
        number = next(numbers)
        before(number)
        act()
        after(number)

    async def putting(self: Objects, key: str, data: bytes) -> None:
        number = next(numbers)
        before(number)
        await put_async(self, key, data)
        after(number)

    def deleting(self: Objects, keys: Any, done: Any = None) -> None:
        for key in keys:
            surrounded(partial(delete, self, [key]))

    patch(kind, "put", lambda self, key, data, **options: surrounded(lambda: put(self, key, data, **options)))
    patch(kind, "put_async", putting)
    patch(kind, "copy", lambda self, key, to: surrounded(lambda: copy(self, key, to)))
    patch(kind, "delete", deleting)
    patch(journal, "FLUSH_INTERVAL", 3600.0)
    patch(heartbeat, "INTERVAL", 3600.0)
