"""Whether the writer that a lock names is there yet, on this host and on others."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from writing import assert_same, fail_at, files, lie, request, sidecar
from zarrstream.commands.write import preview, write_dataset
from zarrstream.errors import Conflict, WriteError
from zarrstream.sidecar import lock
from zarrstream.sidecar.manifest import MANIFEST, WRITING
from zarrstream.storage.folder import FolderObjects

THEIRS = "0" * 32


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "SETTLE", 0.01)


def leave(store: Path, *, beat: float | None, **who: Any) -> None:
    """What a writer left there that is neither here nor gone for certain; its last beat is so many seconds old."""
    document = json.loads(lock.Lock(THEIRS, "f", "2026-01-01T00:00:00+00:00").to_json())
    sidecar(store).mkdir()
    (sidecar(store) / WRITING).write_text(json.dumps({**document, **who}))
    if beat is not None:
        path = sidecar(store) / "alive" / THEIRS
        path.parent.mkdir()
        path.touch()
        os.utime(path, (time.time() - beat, time.time() - beat))


@pytest.mark.parametrize("who", [{"host": "far-away"}, {"processes": "another start of this host, or another container"}])
def test_a_writer_elsewhere_has_a_minute(little: Path, tmp_path: Path, who: dict[str, str]) -> None:
    store = tmp_path / "x.zarr"
    leave(store, beat=40, **who)
    before = files(sidecar(store))
    with pytest.raises(Conflict, match=r"another writer is writing .* since 2026-01-01.* its place is free in (1\d|20) s"):
        write_dataset(request(little, store))
    with pytest.raises(Conflict, match=r"another writer is writing .* its place is free in (1\d|20) s"):
        preview(request(little, store))
    assert files(sidecar(store)) == before
    os.utime(sidecar(store) / "alive" / THEIRS, (time.time() - 61, time.time() - 61))
    assert preview(request(little, store)).action == "continue"
    assert write_dataset(request(little, store)).action == "continue"
    assert_same(store, little)
    assert files(sidecar(store)).keys() == {MANIFEST}


def test_a_writer_elsewhere_that_took_its_heartbeat_away_is_gone(little: Path, tmp_path: Path) -> None:
    store = tmp_path / "x.zarr"
    leave(store, beat=None, host="far-away")
    assert write_dataset(request(little, store)).action == "continue"


def test_nobody_is_judged_by_a_heartbeat_that_did_not_arrive(little: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "x.zarr"
    leave(store, beat=0, host="far-away")
    monkeypatch.setattr(FolderObjects, "put", lie)
    with pytest.raises(WriteError, match=r"alive/.* although .* acknowledged it"):
        write_dataset(request(little, store))


def test_a_failure_leaves_the_place_to_others(little: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "x.zarr"
    fail_at(monkeypatch, 3, lie)
    with pytest.raises(WriteError):
        write_dataset(request(little, store))
    assert [name for name in files(sidecar(store)) if name.startswith("alive/")] == []


def test_a_writer_whose_parent_sleeps_is_gone_all_the_same() -> None:
    """It keeps its number until its parent asks how it ended."""
    with subprocess.Popen(["true"]) as ended:
        while Path(f"/proc/{ended.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            time.sleep(0.01)
        assert lock._process_began(ended.pid) is None
    assert lock._process_began(os.getpid()) is not None
