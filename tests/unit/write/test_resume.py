"""A write that was interrupted is finished by the next run: what is there and proved is kept, all else is sent again."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from writing import assert_same, fail_at, files, refuse, request, sidecar
from zarrstream.commands.write import preview, write_dataset
from zarrstream.errors import Unreachable, ZarrstreamError
from zarrstream.sidecar import journal
from zarrstream.sidecar.manifest import MANIFEST, WRITING
from zarrstream.storage.folder import FolderObjects
from zarrstream.storage.location import parse_store
from zarrstream.storage.open import open_objects

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have a Zarr V3 specification"),
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),
]


@pytest.fixture
def source(few_source: Path) -> Path:
    return few_source


def interrupted(source: Path, store: Path, monkeypatch: pytest.MonkeyPatch, at: int = 25, **options: Any) -> int:
    """Break a write off; returns the number of chunks it has left."""
    monkeypatch.setattr(import_module("zarrstream.planning.plan"), "BLOCK_TARGET", 1)
    fail_at(monkeypatch, at, refuse)
    with pytest.raises(ZarrstreamError, match="refused"):
        write_dataset(request(source, store, chunks={"time": 2}, **options))
    monkeypatch.undo()
    return len(files(store))


@pytest.mark.parametrize("zarr_format", [pytest.param(2, marks=pytest.mark.thorough), 3])
def test_the_next_run_sends_only_what_is_missing(source: Path, tmp_path: Path, zarr_format: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "air.zarr"
    left = interrupted(source, store, monkeypatch, zarr_format=zarr_format)
    assert left > 15
    monkeypatch.setattr(
        import_module("zarrstream.source.items"), "_file_digest", lambda _: pytest.fail("the source is read once more for its digest")
    )
    wanted = request(source, store, chunks={"time": 2}, zarr_format=zarr_format, verify="full")
    told = preview(wanted)
    read = write_dataset(wanted)
    assert (read.resumed, read.objects_kept, read.objects_written) == (True, left, read.objects - left)
    assert (told.resumed, told.objects_kept, told.objects_written) == (True, left, read.objects - left)
    assert_same(store, source)
    assert files(sidecar(store)).keys() == {MANIFEST}
    again = write_dataset(wanted)
    assert (again.changed, again.resumed, again.objects_written, again.objects_kept) == (False, False, 0, read.objects)


def test_a_first_write_keeps_nothing(source: Path, tmp_path: Path) -> None:
    result = write_dataset(request(source, tmp_path / "air.zarr"))
    assert (result.resumed, result.objects_kept, result.objects_written) == (False, 0, result.objects)


def test_what_is_kept_is_not_read(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "air.zarr"
    fresh = write_dataset(request(source, tmp_path / "fresh.zarr", chunks={"time": 2}))
    interrupted(source, store, monkeypatch)
    result = write_dataset(request(source, store, chunks={"time": 2}))
    assert 0 < result.bytes_read < fresh.bytes_read


@pytest.mark.parametrize("damage", ["gone", "flipped", "shortened"])
def test_what_is_not_as_it_was_sent_is_sent_again(source: Path, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "air.zarr"
    left = interrupted(source, store, monkeypatch)
    victim = store / "air/c/0/0/0"
    data = victim.read_bytes()
    victim.unlink()
    if damage == "flipped":
        victim.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "shortened":
        victim.write_bytes(data[:-1])
    result = write_dataset(request(source, store, chunks={"time": 2}))
    assert result.objects_kept == left - 1
    assert victim.read_bytes() == data
    assert_same(store, source)


def test_another_source_keeps_nothing(source: Path, few: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "air.zarr"
    interrupted(source, store, monkeypatch)
    few.assign(crs=few.crs + 1).to_netcdf(source, engine="netcdf4")
    result = write_dataset(request(source, store, chunks={"time": 2}))
    assert (result.resumed, result.objects_kept) == (True, 0)


def test_another_request_keeps_nothing_and_neither_does_the_first_one_after_it(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second writer has put chunks of its own over those of the first, under the same keys."""
    store, encoding = tmp_path / "air.zarr", {"air": {"compressor": "gzip"}}
    interrupted(source, store, monkeypatch)
    interrupted(source, store, monkeypatch, encoding=encoding)
    journals = {key.split("/")[1] for key in files(sidecar(store)) if key.startswith("journal/")}
    assert len(journals) == 1
    assert write_dataset(request(source, store, chunks={"time": 2})).objects_kept == 0
    assert_same(store, source)


def test_a_journal_that_is_broken_keeps_nothing(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "air.zarr"
    interrupted(source, store, monkeypatch)
    for path in sidecar(store).rglob("journal/*/*.json"):
        path.write_bytes(path.read_bytes()[:-9])
    assert write_dataset(request(source, store, chunks={"time": 2})).objects_kept == 0
    assert_same(store, source)


def test_a_server_that_is_gone_is_not_asked_to_take_notes(tmp_path: Path) -> None:
    objects = open_objects(parse_store(str(tmp_path / "a.zarr")), make_folders=True)
    notes = journal.Journal(objects, "b" * 40, "1" * 32)
    notes.note("x/c/0", journal.Stored(1, "m"))
    notes.close(Unreachable("gone"))
    assert list(objects.list("a.zarr.zarrstream")) == []
    notes.close(ZarrstreamError("another reason"))
    assert journal.Journal(objects, "b" * 40, "2" * 32).load() == {"x/c/0": journal.Stored(1, "m")}
    assert journal.Journal(objects, "c" * 40, "2" * 32).load_and_remove_others() == {}
    assert list(objects.list("a.zarr.zarrstream")) == []


def test_notes_are_taken_while_the_write_goes_on(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill leaves no time for any: those until about a second before have to be there."""
    store, put_async, noted = tmp_path / "air.zarr", FolderObjects.put_async, []
    monkeypatch.setattr(journal, "FLUSH_INTERVAL", 0.0)
    monkeypatch.setattr(import_module("zarrstream.planning.plan"), "BLOCK_TARGET", 1)

    async def count(self: FolderObjects, key: str, data: bytes) -> None:
        await put_async(self, key, data)
        noted.append(sum(len(json.loads(path.read_bytes())["objects"]) for path in sidecar(store).rglob("journal/*/*.json")))

    monkeypatch.setattr(FolderObjects, "put_async", count)
    write_dataset(request(source, store, chunks={"time": 2}))
    assert noted[-1] > len(noted) - 10


def test_a_lock_of_a_writer_that_is_not_done_stays(source: Path, tmp_path: Path) -> None:
    """A store that is as asked for may be under a replacement: whoever finds nothing to do must not end that."""
    store = tmp_path / "air.zarr"
    done = write_dataset(request(source, store))
    for fingerprint, stays in ((done.fingerprint[::-1], True), (done.fingerprint, False)):
        (sidecar(store) / WRITING).write_text(
            json.dumps({"zarrstream_writing": 1, "write_id": "a", "fingerprint": fingerprint, "mode": "replace"})
        )
        assert not write_dataset(request(source, store)).changed
        assert (sidecar(store) / WRITING).exists() is stays
