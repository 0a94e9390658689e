# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Writing and checking on a Dask cluster of real processes: the same store, and what each fault leaves."""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr
from asking import check_store, write_request
from clusters import Certificates, local_cluster, make_certificates
from faults.origin import web_server
from integration import forking
from kept import ARCHIVES, FIRST, asked_for, unpack
from zarrstream.check.request import request_from as check_request
from zarrstream.commands.write import preview, write_dataset
from zarrstream.errors import AccessRefused, BadRequest, PlanError, ProfileError, SourceError, Unreachable, WriteError, ZarrstreamError
from zarrstream.metadata.hierarchy import is_document
from zarrstream.sidecar.manifest import MANIFEST, WRITING
from zarrstream.storage.access import Access
from zarrstream.storage.location import parse_store
from zarrstream.write.progress import Progress
from zarrstream.write.request import WriteRequest

CORE = str(Path(__file__).resolve().parents[2] / "plugins" / "module_utils")
pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def dask(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Two workers of one thread each, which their nannies start again."""
    with forking.forked_workers(), local_cluster(certificates, local_directory=str(tmp_path_factory.mktemp("workers"))) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block for each object of these small sources, so that there is something to share out."""
    monkeypatch.setattr(import_module("zarrstream.dask.write_executor"), "LEAST_BLOCK", 1)
    monkeypatch.setattr(import_module("zarrstream.dask.write_executor"), "TURNS", 1000)


def make_source(path: Path, start: int = 0, stop: int = 60, seed: int = 3) -> Path:
    random = np.random.default_rng(seed)
    dataset = xr.Dataset(
        {
            "air": (("time", "lat", "lon"), random.integers(-3000, 3000, (stop, 5, 8)).astype("i2")[start:]),
            "wind": (("time", "lat"), np.resize(np.array([0x7FC00001, 0x80000000], np.uint32).view("f4"), (stop, 5))[start:]),
            "name": ("lat", np.array(["Åre", "", "Oslo", "x", "日本"], object)),
        },
        {"time": np.arange(start, stop), "lat": np.linspace(-60, 60, 5, dtype="f4"), "lon": np.arange(8.0)},
    )
    dataset.air.attrs = {"scale_factor": 0.01, "_FillValue": np.int16(-1)}
    dataset.time.attrs = {"units": "hours since 2000-01-01"}
    dataset.to_netcdf(path, engine="netcdf4", encoding={"wind": {"_FillValue": None}})
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source") / "air.nc")


@pytest.fixture
def request_of(dask: Any, certificates: Certificates, source: Path, tmp_path: Path) -> Callable[..., WriteRequest]:
    """A request for the cluster, whose workers are all back; ``scheduler=None`` makes it one for this machine."""
    ends = time.monotonic() + 240
    while len(dask.scheduler.workers) < 2:
        assert time.monotonic() < ends
        time.sleep(0.1)

    def make(name: str, **options: Any) -> WriteRequest:
        given = {"source": (str(source),), "store": str(tmp_path / name), "chunks": {"time": 2}, "scheduler": dask.scheduler_address}
        given |= {"scheduler_tls": certificates.files} | options
        return write_request(**(given if given["scheduler"] else {**given, "scheduler_tls": None}))

    return make


def files(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def manifest(store: Path) -> dict[str, Any]:
    document = json.loads(Path(f"{store}.zarrstream", MANIFEST).read_text())
    return {key: value for key, value in document.items() if key != "created"}


def assert_alike(one: Path, other: Path) -> None:
    """The same objects, the same manifest, and nothing else beside either."""
    assert files(one) == files(other)
    assert manifest(one) == manifest(other)
    for store in (one, other):
        assert [path.name for path in Path(f"{store}.zarrstream").iterdir()] == [MANIFEST]


def started(store: Path, objects: int = 5) -> None:
    """Wait until so many objects are there. They are not read: a file that is just being written takes another name meanwhile."""
    ends = time.monotonic() + 120
    while sum(path.is_file() for path in store.rglob("*")) < objects:
        assert time.monotonic() < ends
        time.sleep(0.01)


def idle(dask: Any) -> None:
    """Wait until no worker does anything any more, not even for somebody who is gone."""
    from distributed import Client

    ends = time.monotonic() + 60
    with Client(dask.scheduler_address, security=dask.security, set_as_default=False) as client:
        while any(client.run(_at_work).values()):
            assert time.monotonic() < ends
            time.sleep(0.05)


def _at_work(dask_worker: Any) -> int:
    return int(dask_worker.state.executing_count)


class Background:
    """A write in a thread, so that something can happen to it."""

    def __init__(self, request: WriteRequest) -> None:
        self.result: Any = None
        self.thread = threading.Thread(target=self._run, args=(request,))
        self.thread.start()

    def _run(self, request: WriteRequest) -> None:
        try:
            self.result = write_dataset(request)
        except ZarrstreamError as error:
            self.result = error

    def join(self) -> Any:
        self.thread.join(240)
        assert not self.thread.is_alive()
        return self.result


@pytest.mark.parametrize(
    "options",
    [
        {"verify": "full"},
        {"zarr_format": 2, "verify": "sample"}
        | {"encoding": {"air": {"dtype": "float32", "_FillValue": "NaN", "filters": [{"name": "bitround", "keepbits": 9}]}}},
        {"shards": {"time": 10}, "chunks": {"time": 5}},
    ],
    ids=["full", "format 2, lossy", "shards"],
)
def test_the_store_is_the_one_that_one_machine_writes(request_of: Any, tmp_path: Path, options: dict[str, Any]) -> None:
    write_dataset(request_of("one.zarr", scheduler=None, **options))
    told = preview(request_of("two.zarr", **options))
    assert not list(tmp_path.glob("two.zarr*"))
    moments: list[Progress] = []
    done = write_dataset(request_of("two.zarr", **options), moments.append)
    assert_alike(tmp_path / "one.zarr", tmp_path / "two.zarr")
    assert (moments[-1].state, moments[-1].objects_done, moments[-1].objects_total) == ("done", done.objects, done.objects)
    assert (told.plan, told.objects, told.fingerprint) == (done.plan, done.objects, done.fingerprint)
    assert len(done.workers) == 2
    chunks = [key for key in files(tmp_path / "two.zarr") if not is_document(key)]
    assert sum(worker["objects"] for worker in done.workers) == len(chunks)
    assert sum(worker["bytes_read"] for worker in done.workers) == done.bytes_read
    assert all(worker["cpu_seconds"] > 0 for worker in done.workers)
    again = write_dataset(request_of("two.zarr", scheduler="tls://127.0.0.1:9", **options))  # what is there needs no cluster
    assert (again.changed, again.workers) == (False, [])


def test_a_check_finds_the_same(dask: Any, certificates: Certificates, request_of: Any, source: Path, tmp_path: Path) -> None:
    write_dataset(request_of("air.zarr", scheduler=None, chunks={"time": 1}))
    store = tmp_path / "air.zarr"
    (store / "air/c/7/0/0").unlink()
    for key in ("air/c/3/0/0", "wind/c/40/0"):
        damaged = bytearray((store / key).read_bytes())
        damaged[-6] ^= 0x55
        (store / key).write_bytes(damaged)
    shutil.copy(store / "air/c/1/0/0", store / "air/c/50/0/0")
    given = {"store": str(store), "source": str(source), "fail_on": "never"}
    where = {"scheduler": dask.scheduler_address, "scheduler_tls": certificates.files}
    for options in ({"sample": "all"}, {"sample": "9", "missing": "fill"}, {"sample": "3", "checks": ["decode"]}):
        here, there = (check_store(check_request({**given, **options, **how})) for how in ({}, where))
        assert there.checks == here.checks
        assert there.workers
    assert check_store(check_request({**given, **where, "scheduler": "tls://127.0.0.1:9", "sample": 0})).workers == []
    with pytest.raises(Unreachable, match="no Dask scheduler answers"):
        check_store(check_request({**given, **where, "scheduler": "tls://127.0.0.1:9"}))
    everything = check_store(check_request({**given, **where, "sample": "all"}))
    assert {check.id for check in everything.checks if check.status == "failed"} >= {"complete", "decode", "values"}
    objects = len([key for key in files(store) if not is_document(key)])
    assert sum(worker["objects"] for worker in everything.workers) == objects


def test_a_check_with_another_source_is_refused(
    dask: Any, certificates: Certificates, request_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zarrstream.dask.check_executor import CheckCluster

    mine = make_source(tmp_path / "mine.nc")
    write_dataset(request_of("air.zarr", scheduler=None, source=(str(mine),)))
    prepare = CheckCluster.prepare

    def moved(self: Any, *arguments: Any) -> None:
        def start(kind: Any, spec: Any) -> None:
            mine.rename(tmp_path / "moved.nc")
            CheckCluster.start(self, kind, spec)

        self.start = start
        prepare(self, *arguments)

    monkeypatch.setattr(CheckCluster, "prepare", moved)
    where = {"scheduler": dask.scheduler_address, "scheduler_tls": certificates.files}
    with pytest.raises(SourceError, match=r"does not exist on this host.*shared file system"):
        check_store(check_request({"store": str(tmp_path / "air.zarr"), "source": str(mine), **where}))


def test_what_comes_later_is_appended_updated_and_replaced(
    dask: Any, certificates: Certificates, request_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        import_module("zarrstream.write.session"), "now", lambda: "2026-11-28T21:00:00+00:00"
    )  # which the root of an updated store has
    first, rest = make_source(tmp_path / "1.nc", stop=25), make_source(tmp_path / "2.nc", start=25, stop=47)
    for name, scheduler in (("one.zarr", {"scheduler": None}), ("two.zarr", {})):
        options = {"chunks": {"time": 10}, "verify": "full", **scheduler}
        write_dataset(request_of(name, source=(str(first),), **options))
        both = {"source": (str(first), str(rest)), **options}
        grown = write_dataset(request_of(name, mode="append", append_dim="time", **both))
        assert grown.action == "append"
        assert bool(grown.workers) is not bool(scheduler)
    assert_alike(tmp_path / "one.zarr", tmp_path / "two.zarr")
    with netCDF4.Dataset(rest, "a") as file:  # revised: the first row of it lies in a chunk with rows of the other
        file["air"][0] = 1
    more = make_source(tmp_path / "3.nc", start=47, stop=63)
    for name, scheduler in (("one.zarr", {"scheduler": None}), ("two.zarr", {})):
        options = {"chunks": {"time": 10}, "verify": "full", "mode": "update", "append_dim": "time", "max_revised": 1, **scheduler}
        updated = write_dataset(request_of(name, source=(str(first), str(rest), str(more)), **options))
        assert (updated.action, bool(updated.workers)) == ("update", not scheduler)
        assert [file["change"] for file in updated.files] == ["kept", "revised", "new"]
    assert_alike(tmp_path / "one.zarr", tmp_path / "two.zarr")
    make_source(rest, start=22, stop=47)  # begins before the first one ends
    with netCDF4.Dataset(rest, "a") as file:
        file["air"][3] = 1
    sources = [*map(str, (rest, first, more))]
    where = {"scheduler": dask.scheduler_address, "scheduler_tls": certificates.files}
    found = check_store(check_request({"store": str(tmp_path / "two.zarr"), "source": sources, "sample": "all", **where}))
    assert {check.id: check.message for check in found.checks if check.status not in ("passed", "skipped")} == {}
    for name, scheduler in (("one.zarr", {"scheduler": None}), ("two.zarr", {})):
        assert write_dataset(request_of(name, mode="replace", chunks={"time": 7}, verify="sample", **scheduler)).action == "replace"
    assert_alike(tmp_path / "one.zarr", tmp_path / "two.zarr")


def test_workers_prepare_and_join_files_as_the_host_does(dask: Any, certificates: Certificates, request_of: Any, tmp_path: Path) -> None:
    both = tuple(str(make_source(tmp_path / f"{start}.nc", start=start, stop=start + 12)) for start in (0, 10))
    prepare = [
        {"rename": {"air": "t2m"}},
        {"select": {"lat": [-30, 60], "time": ["2000-01-01T02", None]}},
        {"repack": {"t2m": {"dtype": "int32", "scale_factor": 0.005, "_FillValue": -1}, "time": {"units": "minutes since 2000-01-01"}}},
    ]
    for name, scheduler in (("one.zarr", {"scheduler": None}), ("two.zarr", {})):
        done = write_dataset(request_of(name, source=both, prepare=prepare, combine={"overlap": "last"}, verify="full", **scheduler))
        assert bool(done.workers) is not bool(scheduler)
    assert_alike(tmp_path / "one.zarr", tmp_path / "two.zarr")
    where = {"scheduler": dask.scheduler_address, "scheduler_tls": certificates.files}
    report = check_store(check_request({"store": str(tmp_path / "two.zarr"), "source": list(both), "sample": "all", **where}))
    assert report.ok, report.summary["line"]
    assert report.workers


def test_a_worker_that_is_killed_costs_nothing_but_time(dask: Any, request_of: Any, tmp_path: Path) -> None:
    write_dataset(request_of("one.zarr", scheduler=None, chunks={"time": 1}))
    running = Background(request_of("two.zarr", chunks={"time": 1}))
    started(tmp_path / "two.zarr")
    os.kill(next(iter(dask.workers.values())).pid, 9)
    (tmp_path / "two.zarr.zarrstream" / "parts" / ("0" * 32)).touch()  # as it leaves a file that it was just writing
    done = running.join()
    assert getattr(done, "changed", done) is True
    assert_alike(tmp_path / "one.zarr", tmp_path / "two.zarr")


def test_a_block_that_kills_workers_ends_the_write_which_the_next_one_finishes(
    dask: Any, request_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dataset(request_of("one.zarr", scheduler=None, chunks={"time": 1}))
    with monkeypatch.context() as patch:
        patch.setattr(dask.scheduler, "allowed_failures", 0)
        running = Background(request_of("two.zarr", chunks={"time": 1}))
        started(tmp_path / "two.zarr")
        for worker in dask.workers.values():
            os.kill(worker.pid, 9)
        failed = running.join()
    assert isinstance(failed, WriteError)
    for words in ("workers died 1 times over one block", "set 'memory' to less", "Nothing was published"):
        assert words in str(failed)
    assert write_dataset(request_of("two.zarr", chunks={"time": 1})).resumed
    assert_alike(tmp_path / "one.zarr", tmp_path / "two.zarr")


def _devour(size: int) -> int:
    import time

    hoard = bytearray(size)
    hoard[::4096] = b"x" * len(hoard[::4096])
    time.sleep(30)
    return len(hoard)


def test_a_worker_that_runs_out_of_memory_costs_nothing_but_time(dask: Any, request_of: Any, tmp_path: Path) -> None:
    """Someone else's task takes all the memory of a worker, so that its nanny kills it: ours is on the other one."""
    from distributed import Client

    write_dataset(request_of("one.zarr", scheduler=None, chunks={"time": 1}))
    with Client(dask.scheduler_address, security=dask.security, set_as_default=False) as client:
        victims = {worker.pid for worker in dask.workers.values()}
        running = Background(request_of("two.zarr", chunks={"time": 1}))
        started(tmp_path / "two.zarr")
        hungry = client.submit(_devour, 2**30, workers=[dask.workers[0].worker_address], allow_other_workers=False, pure=False)
        done = running.join()
        assert getattr(done, "changed", done) is True
        ends = time.monotonic() + 60
        while {worker.pid for worker in dask.workers.values()} == victims:
            assert time.monotonic() < ends
            time.sleep(0.1)
        hungry.cancel()
    assert_alike(tmp_path / "one.zarr", tmp_path / "two.zarr")


def test_a_scheduler_that_is_restarted_ends_the_write_which_the_next_one_finishes(
    certificates: Certificates, request_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("zarrstream.sidecar.journal"), "FLUSH_INTERVAL", 0.0)
    write_dataset(request_of("one.zarr", scheduler=None, chunks={"time": 1}))
    daemons = forking.ForkedDaemons(certificates, tmp_path)
    try:
        daemons.start("scheduler")
        daemons.start("worker")
        daemons.wait_for("worker", "Registered to:")
        running = Background(request_of("two.zarr", chunks={"time": 1}, scheduler=daemons.address))
        started(tmp_path / "two.zarr", 20)
        daemons.kill("scheduler")
        failed = running.join()
        assert isinstance(failed, WriteError)
        for words in (daemons.address, "was lost", "Nothing was published", "run again, finishes it"):
            assert words in str(failed)
        assert not (tmp_path / "two.zarr" / "zarr.json").exists()
        with pytest.raises(Unreachable, match=f"no Dask scheduler answers at {daemons.address}.*port {daemons.port}.*firewall"):
            write_dataset(request_of("two.zarr", chunks={"time": 1}, scheduler=daemons.address))
        daemons.kill("worker")
        daemons.start("scheduler")
        daemons.wait_for("scheduler", "Scheduler at:")
        with pytest.raises(Unreachable, match="has no workers"):
            write_dataset(request_of("two.zarr", chunks={"time": 1}, scheduler=daemons.address, timeout=2))
        daemons.start("worker")
        daemons.wait_for("worker", "Registered to:")
        done = write_dataset(request_of("two.zarr", chunks={"time": 1}, scheduler=daemons.address))
        assert (done.resumed, done.objects_kept > 0) == (True, True)
    finally:
        daemons.stop()
    assert_alike(tmp_path / "one.zarr", tmp_path / "two.zarr")


def test_a_write_that_fails_leaves_no_task_behind(dask: Any, request_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source changes meanwhile: the first worker that finds out ends the write, and takes the job from all."""
    other = make_source(tmp_path / "other.nc", stop=200)
    running = Background(request_of("two.zarr", source=(str(other),), chunks={"time": 1}))
    started(tmp_path / "two.zarr")
    os.utime(other, (1, 1))
    with other.open("r+b") as file:
        file.seek(-8, 2)
        file.write(b"changed!")
    failed = running.join()
    assert isinstance(failed, ZarrstreamError)
    assert "Nothing was published" in str(failed)
    left = files(tmp_path / "two.zarr")
    assert not any(name.startswith("zarrstream-") for name in dask.scheduler.worker_plugins)
    assert not dask.scheduler.tasks
    idle(dask)
    assert files(tmp_path / "two.zarr") == left


def test_a_module_that_is_killed_leaves_nobody_who_writes(dask: Any, request_of: Any, tmp_path: Path) -> None:
    """Its tasks are gone with it, and a write with other chunks, whose keys are partly the same, takes its place."""
    process = forking.start_on_cluster(request_of("two.zarr", chunks={"time": 1}))
    started(tmp_path / "two.zarr")
    process.kill()
    process.join()
    write_dataset(request_of("one.zarr", scheduler=None, chunks={"time": 3}))
    assert write_dataset(request_of("two.zarr", chunks={"time": 3})).resumed
    idle(dask)
    assert_alike(tmp_path / "one.zarr", tmp_path / "two.zarr")


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"scheduler": "10.0.0.5:8786"}, BadRequest, "write tls://host:port"),
        ({"scheduler": "tls://host:99999"}, BadRequest, "write tls://host:port"),
        ({"scheduler": "tcp://127.0.0.1:9"}, BadRequest, "Write tls://127.0.0.1:9"),
        ({"scheduler_tls": {"ca_file": "x"}}, BadRequest, "scheduler_tls has no cert"),
        ({"scheduler_tls": {"ca_file": "x", "cert": "y", "key": "z", "password": "p"}}, BadRequest, "unknown key 'password'"),
        ({"scheduler_tls": {"ca_file": "/gone", "cert": "y", "key": "z"}}, BadRequest, "scheduler_tls.ca_file is '/gone'"),
        ({"scheduler_tls": None}, BadRequest, "TLS needs scheduler_tls with ca_file, cert, key"),
        ({"scheduler": "tls://127.0.0.1:9"}, Unreachable, "no Dask scheduler answers at tls://127.0.0.1:9.*port 9 of 127.0.0.1"),
        ({"scheduler": "tls://no-such-host.invalid:8786"}, Unreachable, "cannot be resolved"),
        ({"memory": "4GiB"}, BadRequest, "has a memory limit of 1024MiB, of which data may take 364MiB"),
    ],
)
def test_bad_requests_are_refused_at_once(request_of: Any, tmp_path: Path, options: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        write_dataset(request_of("air.zarr", **options))
    assert not list(tmp_path.glob("air.zarr*"))


def test_a_chunk_that_no_worker_can_hold_is_refused_with_one_that_fits(request_of: Any, tmp_path: Path) -> None:
    big = tmp_path / "big.nc"
    xr.Dataset({"a": (("y", "x"), np.zeros((4000, 4000)))}).to_netcdf(big, engine="netcdf4", encoding={"a": {"zlib": True}})
    with pytest.raises(PlanError, match=r"Set chunks\..* to \d+ or less.*memory limit of 1024MiB, of which data may take 364MiB"):
        write_dataset(request_of("air.zarr", source=(str(big),), chunks={"y": 4000, "x": 4000}))


def test_foreign_clients_are_told_why(dask: Any, certificates: Certificates, request_of: Any, tmp_path: Path) -> None:
    foreign = make_certificates(tmp_path / "strange")
    mixed = {**foreign.files, "ca_file": certificates.files["ca_file"]}
    port = int(dask.scheduler_address.rpartition(":")[2])
    for files_, options, kind, words in (
        (foreign.files, {}, AccessRefused, "has a certificate that scheduler_tls.ca_file does not verify"),
        (mixed, {}, AccessRefused, "refuses this host's certificate: unknown ca"),
        (certificates.named("expired"), {}, AccessRefused, "refuses this host's certificate: certificate expired"),
        ({**certificates.files, "key": certificates.files["ca_file"]}, {}, BadRequest, "do not fit each other"),
        (None, {"scheduler": f"tcp://127.0.0.1:{port}", "timeout": 3}, Unreachable, "If it speaks TLS, write tls://"),
    ):
        began = time.monotonic()
        with pytest.raises(kind, match=words):
            write_dataset(request_of("air.zarr", scheduler_tls=files_, **options))
        assert time.monotonic() - began < 30
    assert not list(tmp_path.glob("air.zarr*"))


def test_certificates_may_be_those_of_dasks_own_settings(certificates: Certificates, request_of: Any, tmp_path: Path) -> None:
    from dask import config

    files_ = certificates.files
    settings = {"ca-file": files_["ca_file"], "client.cert": files_["cert"], "client.key": files_["key"]}
    with config.set({f"distributed.comm.tls.{name}": path for name, path in settings.items()}):
        assert preview(request_of("air.zarr", scheduler_tls=None)).changed
    with config.set({"distributed.comm.tls.ca-file": "/gone"}), pytest.raises(BadRequest, match="Dask's own setting of ca_file is '/gone'"):
        preview(request_of("air.zarr", scheduler_tls=None))


def test_something_that_answers_and_is_no_scheduler(request_of: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tls://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unreachable, match="nothing answered within 1 s"):
            write_dataset(request_of("air.zarr", scheduler=address, timeout=1))


def test_a_source_that_a_worker_sees_otherwise_is_found_before_anything_is_written(
    request_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's list of files names one that only it has: here one that is gone when the workers look."""
    from zarrstream.dask.write_executor import WriteCluster

    mine = make_source(tmp_path / "mine.nc")
    prepare = WriteCluster.prepare

    def moved(self: Any, *arguments: Any) -> None:
        mine.rename(tmp_path / "moved.nc")
        prepare(self, *arguments)

    monkeypatch.setattr(WriteCluster, "prepare", moved)
    words = f"worker tls://.* on {socket.gethostname()}: source '{mine}' does not exist on this host.*shared file system"
    with pytest.raises(SourceError, match=words):
        write_dataset(request_of("air.zarr", source=(str(mine),)))

    def changed(self: Any, *arguments: Any) -> None:
        shutil.copy(tmp_path / "moved.nc", mine)
        with mine.open("ab") as file:
            file.write(b"more")
        prepare(self, *arguments)

    (tmp_path / "moved.nc").rename(mine)
    monkeypatch.setattr(WriteCluster, "prepare", lambda *arguments: (mine.rename(tmp_path / "moved.nc"), changed(*arguments)))
    with pytest.raises(SourceError, match="is another one here"):
        write_dataset(request_of("air.zarr", source=(str(mine),)))
    assert not list(tmp_path.glob("air.zarr*"))


def test_a_copy_of_the_source_with_the_same_bytes_will_do(request_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zarrstream.dask.write_executor import WriteCluster

    mine = make_source(tmp_path / "mine.nc")
    prepare, then = WriteCluster.prepare, mine.stat()

    def touched(self: Any, *arguments: Any) -> None:
        os.utime(mine, (1, 1))
        prepare(self, *arguments)
        os.utime(mine, ns=(then.st_atime_ns, then.st_mtime_ns))

    monkeypatch.setattr(WriteCluster, "prepare", touched)
    assert write_dataset(request_of("air.zarr", source=(str(mine),))).changed


@pytest.mark.parametrize("library", ["numcodecs", "zarr"])
def test_a_worker_with_another_environment_is_refused(
    request_of: Any, tmp_path: Path, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zarrstream.dask import connection, job

    monkeypatch.setattr(connection, "versions", lambda: {**job.versions(), library: "0.1"})
    with pytest.raises(BadRequest, match=f"worker tls://.* on .*: has {library} .*, the host that plans has 0.1.*role zarr_stack"):
        write_dataset(request_of("air.zarr"))
    assert not list(tmp_path.glob("air.zarr*"))


def test_another_dask_is_refused(request_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from zarrstream.dask import connection

    ours, answers = connection._versions_of, iter([{"dask": "1.0"}])  # the first is about this host
    monkeypatch.setattr(connection, "_versions_of", lambda node: ours(node) | next(answers, {}))
    with pytest.raises(BadRequest, match=r"scheduler tls://.* has dask .*, this host has 1\.0"):
        write_dataset(request_of("air.zarr"))


def test_a_folder_that_workers_do_not_share_is_found_before_the_first_block(
    request_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zarrstream.dask import write_executor as writing

    plain = writing.plain_place
    monkeypatch.setattr(writing, "plain_place", lambda place: {**plain(place), "parent": str(tmp_path / "elsewhere")})
    with pytest.raises(WriteError, match=r"is not the same place here.*its lock is not there.*Nothing was published"):
        write_dataset(request_of("air.zarr"))
    assert list(Path(tmp_path, "air.zarr.zarrstream").glob(WRITING))
    monkeypatch.undo()
    assert write_dataset(request_of("air.zarr")).resumed


@pytest.fixture
def bucket(cloud: Any, tmp_path: Path) -> tuple[str, Path, str]:
    """A bucket, a file with a profile for it, and the secret in that."""
    access, secret = cloud.new_ec2_key()
    name = f"dask-{uuid.uuid4().hex[:12]}"
    cloud.s3(access, secret).create_bucket(Bucket=name)
    path = tmp_path / "config"
    keys = f"aws_access_key_id = {access}\naws_secret_access_key = {secret}\nregion = {cloud.region}\n"
    path.write_text(f"[profile zarr]\n{keys}endpoint_url = {cloud.s3_endpoint}\nca_bundle = {cloud.ca_bundle}\n")
    path.chmod(0o600)
    return name, path, secret


def test_a_bucket_is_written_by_the_workers_with_their_own_profile(
    dask: Any, certificates: Certificates, request_of: Any, bucket: Any, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker without the profile is refused before anything is written; then no secret is in anything that is sent."""
    from distributed import Client
    from distributed.protocol.pickle import dumps

    name, config, secret = bucket
    sent: list[bytes] = []
    submit, register = Client.submit, Client.register_plugin

    def submitting(self: Any, function: Any, *arguments: Any, **options: Any) -> Any:
        sent.append(dumps((function, arguments)))
        return submit(self, function, *arguments, **options)

    def registering(self: Any, plugin: Any, *arguments: Any, **options: Any) -> Any:
        sent.append(dumps(plugin))
        return register(self, plugin, *arguments, **options)

    monkeypatch.setattr(Client, "submit", submitting)
    monkeypatch.setattr(Client, "register_plugin", registering)
    way = {"store": f"s3://{name}/air.zarr", "profile": "zarr", "config_file": str(config)}
    plain = Access.to_dict
    with monkeypatch.context() as patch:
        patch.setattr(Access, "to_dict", lambda access: {**plain(access), "profile": "absent"})
        with pytest.raises(ProfileError, match=f"worker tls://.* on {socket.gethostname()}: .*absent"):
            write_dataset(request_of("air.zarr", **way))
    wanted = request_of("air.zarr", **way, verify="full")
    objects = wanted.open_place(parse_store(way["store"]))
    assert list(objects.list("air.zarr")) == list(objects.list("air.zarr.zarrstream")) == []
    done = write_dataset(wanted)
    assert len(done.workers) == 2
    assert [info.key for info in objects.list("air.zarr.zarrstream")] == [f"air.zarr.zarrstream/{MANIFEST}"]
    where = {"scheduler": dask.scheduler_address, "scheduler_tls": certificates.files}
    checked = check_store(check_request({**way, **where, "source": str(source), "sample": "all"}))
    assert checked.ok, checked.summary["line"]
    assert len(sent) > 60
    assert not any(secret.encode() in data for data in sent)


def test_a_file_on_the_web_goes_to_a_bucket_past_every_disk(
    dask: Any, certificates: Certificates, request_of: Any, bucket: Any, tmp_path: Path
) -> None:
    """Workers share nothing but the network: each reads its part by ranges, and puts nothing on a disk but the package that it is sent."""
    import psutil

    name, config, _secret = bucket
    (tmp_path / "served").mkdir()
    source, values = tmp_path / "served" / "air.nc", np.random.default_rng(5).integers(-(2**31), 2**31, (40, 200, 250)).astype("i4")
    how: dict[str, Any] = {"zlib": True, "complevel": 1, "chunksizes": (1, 200, 250)}
    xr.Dataset({"air": (("time", "lat", "lon"), values)}).to_netcdf(source, engine="netcdf4", encoding={"air": how})
    size, workers = source.stat().st_size, [psutil.Process(worker.pid) for worker in dask.workers.values()]
    with web_server(source.parent) as address:
        wanted: dict[str, Any] = {
            "store": f"s3://{name}/web.zarr",
            "profile": "zarr",
            "config_file": str(config),
            "source": (f"{address}/air.nc",),
        }
        before = [worker.io_counters().write_bytes for worker in workers]
        done = write_dataset(request_of("web.zarr", **wanted, chunks={"time": 1}))
        put_on_disks = [worker.io_counters().write_bytes - was for worker, was in zip(workers, before, strict=True)]
        parts = [worker["fetched"]["bytes"] for worker in done.workers]
        where = {"scheduler": dask.scheduler_address, "scheduler_tls": certificates.files, "sample": "all"}
        checked = check_store(check_request({**wanted, **where, "source": list(wanted["source"])}))
    assert checked.ok, checked.summary["line"]
    assert len(parts) == 2
    assert min(parts) > size / 4
    assert done.fetched["bytes"] < 1.05 * size
    assert max(put_on_disks) < size / 8, put_on_disks


def test_the_module_runs_it_under_ansible(
    dask: Any, certificates: Certificates, source: Path, tmp_path: Path, run_playbook: Any, request_of: Any
) -> None:
    """There the package comes in an archive, under another name, and still gets to the workers."""
    play = """
- hosts: localhost
  gather_facts: false
  tasks:
    - zarr_write:
        source: "{{ from }}"
        store: "{{ to }}"
        chunks: {time: 2}
        scheduler: "{{ address }}"
        scheduler_tls: "{{ tls }}"
      register: written
    - zarr_check:
        store: "{{ to }}"
        source: "{{ from }}"
        sample: all
        scheduler: "{{ address }}"
        scheduler_tls: "{{ tls }}"
      register: checked
    - ansible.builtin.assert:
        that:
          - written.workers | map(attribute='objects') | sum > 60
          - checked.ok
          - checked.workers | map(attribute='objects') | sum == written.workers | map(attribute='objects') | sum
"""
    store = tmp_path / "two.zarr"
    tls = json.dumps(certificates.files)
    variables = {"from": source, "to": store, "address": dask.scheduler_address}
    done = run_playbook(play, "-e", f'{{"tls": {tls}}}', "-vvv", extra_vars=variables)
    assert done.changed == 1
    assert not any(warning in done.output for warning in ("[WARNING]: Module did not set no_log", "Traceback"))
    write_dataset(request_of("one.zarr", scheduler=None))
    assert_alike(tmp_path / "one.zarr", store)


@pytest.mark.parametrize(
    ("archive", "name"),
    [
        pytest.param(archive, f"{name}.zarr", id=f"{archive.name[:7]}-{name}", marks=[] if usual else pytest.mark.thorough)
        for archive, names in ((FIRST, ("three", "two", "encoded")), (ARCHIVES[-1], ("three", "two", "encoded", "shards")))
        for name in names
        for usual in [(archive, name) == (FIRST, "two")]
    ],
)
def test_a_kept_store_of_an_earlier_version_lives_on_on_a_cluster(
    request_of: Callable[..., WriteRequest], certificates: Certificates, dask: Any, archive: Path, name: str, tmp_path: Path
) -> None:
    """Workers write and read what it left; the unit tests have each version and each store in folders, without a cluster."""
    store = unpack(archive, name, tmp_path)
    first, second = str(tmp_path / "1.nc"), str(tmp_path / "2.nc")

    def write(*sources: str, **options: Any) -> Any:
        return write_dataset(request_of(name, source=sources, **asked_for(name), **options))

    def same(*sources: str) -> None:
        on = {"scheduler": dask.scheduler_address, "scheduler_tls": certificates.files}
        report = check_store(check_request({"store": str(store), "source": list(sources), "sample": "all", **on}))
        assert report.ok, report.summary
        assert sum(each["objects"] for each in report.as_result()["workers"]) > 0

    assert write(first).action == "nothing"
    same(first)
    if name != "shards.zarr":  # of which a longer one has others
        grown = write(first, second, mode="append", append_dim="time")
        assert (grown.action, bool(grown.workers)) == ("append", True)
        same(first, second)
    assert write(second, mode="replace").action == "replace"
    same(second)
