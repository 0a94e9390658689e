"""Nothing half published: failed requests, kills at any of them, races, and what a reader sees meanwhile."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import subprocess
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import h5py
import pytest
import xarray as xr
import zarr
from running import THOROUGH
from writing import (
    FORKS,
    assert_same,
    decoded,
    fail_at,
    files,
    flip,
    killed_writes,
    lie,
    opens,
    refuse,
    request,
    shorten,
    sidecar,
    write_apart,
)
from zarrstream.commands.write import preview, write_dataset
from zarrstream.errors import Conflict, SourceError, WriteError, ZarrstreamError
from zarrstream.sidecar import lock
from zarrstream.sidecar.manifest import MANIFEST, WRITING, md5_of
from zarrstream.storage.folder import FolderObjects
from zarrstream.write import publish, session, threads

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have a Zarr V3 specification"),
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),
    pytest.mark.filterwarnings("ignore:Failed to open Zarr store with consolidated metadata"),
]

Format = Literal[2, 3]
BOTH = pytest.mark.parametrize("zarr_format", [2, 3])


def test_damage_inside_a_source_is_found_while_copying(source: Path, tmp_path: Path) -> None:
    whole = bytearray(source.read_bytes())
    with h5py.File(source) as file:
        where = file["air"].id.get_chunk_info(2)
    for position in range(where.byte_offset, where.byte_offset + where.size):
        whole[position] ^= 0x55
    (tmp_path / "damaged.nc").write_bytes(whole)
    store = tmp_path / "air.zarr"
    with pytest.raises(SourceError, match=r"'air' cannot be read at \[.*damaged.*Nothing was published"):
        write_dataset(request(tmp_path / "damaged.nc", store, variables=("air",)))
    assert not opens(store)


def test_a_source_that_changes_is_noticed(few_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = threads.copy_blocks

    def copy_and_touch(*arguments: Any, **options: Any) -> None:
        copy(*arguments, **options)
        os.utime(few_source, ns=(1, 1))

    monkeypatch.setattr(threads, "copy_blocks", copy_and_touch)
    store = tmp_path / "air.zarr"
    with pytest.raises(WriteError, match=r"changed while it was being copied.*Nothing was published"):
        write_dataset(request(few_source, store))
    assert not opens(store)
    monkeypatch.undo()
    assert write_dataset(request(few_source, store)).action == "continue"
    assert_same(store, few_source)


@pytest.mark.parametrize(
    ("failure", "zarr_format"),
    [
        *[(refuse, 2), (shorten, 2), (lie, 3), (flip, 3)],
        *[pytest.param(*each, marks=pytest.mark.thorough) for each in ((lie, 2), (flip, 2), (refuse, 3), (shorten, 3))],
    ],
)
def test_no_failed_put_is_ever_published(
    little: Path, tmp_path: Path, zarr_format: Format, failure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"zarr_format": zarr_format, "chunks": {"x": 2}, "verify": "full"}
    puts = preview(request(little, tmp_path / "x.zarr", **options)).objects + 2  # the lock and the manifest
    # In `make test` each PUT goes wrong in one of four ways, and the last two, which publish, in all.
    turn = (lie, refuse, flip, shorten).index(failure)
    for number in range(1, puts + 1):
        if not THOROUGH and number % 4 != turn and number < puts - 1:
            continue
        store = tmp_path / f"{number}.zarr"
        fail_at(monkeypatch, number, failure)
        with pytest.raises(ZarrstreamError, match=None if number == 1 else "Nothing was published"):
            write_dataset(request(little, store, **options))
        monkeypatch.undo()
        assert not opens(store), number
        if number == 1 and failure in (shorten, flip):  # what is no lock may be anybody's
            with pytest.raises(Conflict, match=r"is not a lock of Zarrstream\. Move it elsewhere"):
                write_dataset(request(little, store, **options))
            (sidecar(store) / WRITING).unlink()
        assert write_dataset(request(little, store, **options)).changed
        assert_same(store, little)


def test_nothing_goes_on_after_a_write_that_failed(little: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One chunk is refused while another is on its way: it has arrived when the write ends."""
    send, under_way, arrived = FolderObjects._send, threading.Event(), threading.Event()

    def slowly(self: FolderObjects, key: str, data: bytes, create: bool) -> None:
        if key.endswith("/a/c/0"):
            assert under_way.wait(60)
            raise ZarrstreamError("refused")
        if key.endswith("/a/c/1"):
            under_way.set()
            time.sleep(0.3)
        send(self, key, data, create)
        if key.endswith("/a/c/1"):
            arrived.set()

    monkeypatch.setattr(FolderObjects, "_send", slowly)
    with pytest.raises(ZarrstreamError, match="refused"):
        write_dataset(request(little, tmp_path / "x.zarr", chunks={"x": 1}))
    assert arrived.is_set()


def test_a_lost_acknowledgement_is_no_conflict(few_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put = FolderObjects.put

    def arrive_twice(self: FolderObjects, key: str, data: bytes, *, create: bool = False) -> None:
        put(self, key, data, create=create)
        if create:
            put(self, key, data, create=True)

    monkeypatch.setattr(FolderObjects, "put", arrive_twice)
    write_dataset(request(few_source, tmp_path / "air.zarr"))
    assert_same(tmp_path / "air.zarr", few_source)


@BOTH
def test_another_writer_that_publishes_first_wins(
    few_source: Path, tmp_path: Path, zarr_format: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "air.zarr"
    name = "zarr.json" if zarr_format == 3 else ".zgroup"
    check = publish.check_held
    calls = []

    def check_then_lose(*arguments: Any) -> None:
        check(*arguments)
        calls.append(1)
        if len(calls) == 2:
            (store / name).write_text("theirs")

    monkeypatch.setattr(publish, "check_held", check_then_lose)
    with pytest.raises(Conflict, match=r"another writer published .* first"):
        write_dataset(request(few_source, store, zarr_format=zarr_format))
    assert (store / name).read_text() == "theirs"


def test_a_writer_at_work_is_left_alone(few_source: Path, tmp_path: Path) -> None:
    store = tmp_path / "air.zarr"
    with subprocess.Popen(["sleep", "60"]) as writer:
        document = json.loads(lock.Lock("another", "f", "2026-01-01T00:00:00+00:00").to_json())
        document |= {"pid": writer.pid, "process_began": lock._process_began(writer.pid)}
        sidecar(store).mkdir()
        (sidecar(store) / WRITING).write_text(json.dumps(document))
        with pytest.raises(Conflict, match=f"another writer is writing.*process {writer.pid} on .*since 2026-01-01"):
            write_dataset(request(few_source, store))
        assert files(tmp_path).keys() == {"air.nc", f"air.zarr.zarrstream/{WRITING}"}
        writer.kill()
    assert write_dataset(request(few_source, store)).action == "continue"
    assert_same(store, few_source)


@FORKS
def test_of_several_writers_one_goes_on(few_source: Path, tmp_path: Path) -> None:
    store = tmp_path / "air.zarr"
    outcomes = write_apart(*(request(few_source, store, chunks={"time": number + 1}) for number in range(5)))
    assert sorted(outcome.partition(":")[0] for outcome in outcomes) == [*["Conflict"] * 4, "create"], outcomes
    assert_same(store, few_source)


def test_a_store_that_was_published_meanwhile_is_left_alone(few_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, begin = tmp_path / "air.zarr", session.begin

    def begin_after_another(*arguments: Any, **options: Any) -> None:
        monkeypatch.undo()
        write_dataset(request(few_source, store, chunks={"time": 3}))
        begin(*arguments, **options)

    monkeypatch.setattr(session, "begin", begin_after_another)
    with pytest.raises(Conflict, match=r"published .* just now"):
        write_dataset(request(few_source, store, chunks={"time": 1}))
    assert_same(store, few_source)
    assert files(sidecar(store)).keys() == {MANIFEST}


def test_leftovers_of_another_plan_go(few_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "air.zarr"
    fail_at(monkeypatch, 40, refuse)
    with pytest.raises(ZarrstreamError, match="refused"):
        write_dataset(request(few_source, store, chunks={"time": 1}))
    monkeypatch.undo()
    assert "air/c/29/0/0" in files(store)
    (sidecar(store) / "parts" / ("0" * 32)).write_bytes(b"half")
    result = write_dataset(request(few_source, store, chunks={"time": 15}))
    assert result.action == "continue"
    assert len(files(store)) == result.objects
    assert_same(store, few_source)
    assert files(sidecar(store)).keys() == {MANIFEST}


def test_a_lock_that_stayed_behind_goes(few_source: Path, tmp_path: Path) -> None:
    store = tmp_path / "air.zarr"
    write_dataset(request(few_source, store))
    (sidecar(store) / WRITING).write_text('{"zarrstream_writing": 1}')
    assert preview(request(few_source, store)).action == "nothing"
    assert (sidecar(store) / WRITING).exists()
    assert not write_dataset(request(few_source, store)).changed
    assert files(sidecar(store)).keys() == {MANIFEST}


def test_a_foreign_file_in_the_folder_is_noticed(few_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, copy = tmp_path / "air.zarr", threads.copy_blocks

    def copy_and_litter(*arguments: Any, **options: Any) -> None:
        copy(*arguments, **options)
        (store / "air" / "litter").write_text("")

    monkeypatch.setattr(threads, "copy_blocks", copy_and_litter)
    with pytest.raises(Conflict, match=r"air\.zarr/air/litter appeared"):
        write_dataset(request(few_source, store))
    assert not opens(store)


@FORKS
@pytest.mark.parametrize("zarr_format", [pytest.param(2, marks=pytest.mark.thorough), 3])
def test_a_writer_killed_at_any_put_leaves_nothing_or_all(little: Path, tmp_path: Path, zarr_format: Format) -> None:
    wanted = request(little, tmp_path / "x.zarr", zarr_format=zarr_format, chunks={"x": 2})
    killed = killed_writes(tmp_path / f"create-{zarr_format}", source=wanted.source, zarr_format=zarr_format, chunks=wanted.chunks)
    assert killed[-1].point > 2 * preview(wanted).objects
    published = []
    for each in killed:
        store = each.store
        if opens(store):
            published.append(each)
            assert_same(store, little)
        for array in [path.parent for path in store.rglob("zarr.json" if zarr_format == 3 else ".zarray") if path.parent != store]:
            opened = zarr.open_array(array, mode="r")  # an array that opens alone is whole as well
            assert opened.nchunks_initialized == opened.nchunks, array
        marked = (sidecar(store) / WRITING).exists()
        assert marked or each in published or each.point < 4, each.told  # only the heartbeat comes before the lock
        result = write_dataset(dataclasses.replace(wanted, store=str(store)))
        assert result.action == ("nothing" if each in published else "continue" if marked else "create"), each.told
        assert_same(store, little)
        assert len(files(store)) == result.objects
        assert files(sidecar(store)).keys() == {MANIFEST}
    assert published == [each for each in killed if each.point >= published[0].point], killed[0].told


def test_a_reader_sees_nothing_until_everything_is_there(few_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, put_async, seen, stop = tmp_path / "air.zarr", FolderObjects.put_async, [], threading.Event()
    expected = decoded(few_source, "netcdf4")

    async def put_when_seen(self: FolderObjects, key: str, data: bytes) -> None:
        looks = len(seen)
        while len(seen) == looks and reader.is_alive():
            await asyncio.sleep(0.001)
        await put_async(self, key, data)

    def look() -> None:
        while not stop.is_set() or seen[-1] is None:  # at least once at the whole
            if opens(store):
                with xr.open_zarr(store) as opened:
                    seen.append(opened.load().identical(expected))
            else:
                seen.append(None)

    monkeypatch.setattr(FolderObjects, "put_async", put_when_seen)
    reader = threading.Thread(target=look, daemon=True)
    reader.start()
    write_dataset(request(few_source, store, chunks={"time": 1}))
    stop.set()
    reader.join(60)
    assert seen.count(None) > 5
    assert seen.count(True) > 0
    assert seen == [None] * seen.count(None) + [True] * seen.count(True)


def test_the_listing_finds_other_md5s(few_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket's ETags are MD5s: two bytes swapped on the way are found without reading an object."""
    store, listed = tmp_path / "air.zarr", FolderObjects.list

    def with_etags(self: FolderObjects, prefix: str) -> Any:
        for info in listed(self, prefix):
            md5 = md5_of((tmp_path / info.key).read_bytes()).md5
            yield dataclasses.replace(info, etag="0" * 32 if info.key.endswith("air/c/0/0/0") else md5)

    monkeypatch.setattr(FolderObjects, "list", with_etags)
    with pytest.raises(WriteError, match=r"air/c/0/0/0 has the MD5 0+, \w+ was sent.*Nothing was published"):
        write_dataset(request(few_source, store))
    assert not opens(store)


def test_a_writer_that_was_replaced_stops(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, put_async = tmp_path / "air.zarr", FolderObjects.put_async
    monkeypatch.setattr(lock, "CHECK_INTERVAL", 0)
    sent = []

    async def put_while_another_takes_over(self: FolderObjects, key: str, data: bytes) -> None:
        sent.append(key)
        theirs = sidecar(store) / f"theirs-{len(sent)}"
        theirs.write_text('{"write_id": "another", "pid": 7, "host": "elsewhere"}')
        theirs.replace(sidecar(store) / WRITING)
        await put_async(self, key, data)

    monkeypatch.setattr(FolderObjects, "put_async", put_while_another_takes_over)
    monkeypatch.setattr(import_module("zarrstream.planning.plan"), "BLOCK_TARGET", 1)
    with pytest.raises(Conflict, match="process 7 on elsewhere"):
        write_dataset(request(source, store, chunks={"time": 1}, memory=3000))
    assert len(sent) < 20  # of 128: those under way when it happened
    assert not opens(store)
