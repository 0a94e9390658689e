# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Chunks on their way: encoded while they wait, sent only when they may be, and counted only when they have arrived."""

from __future__ import annotations

import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore
from zarrstream.parallel import copy_blocks
from zarrstream.planning.plan import Block
from zarrstream.sidecar.manifest import Stored, md5_of
from zarrstream.storage.location import parse_store
from zarrstream.storage.objects import Objects
from zarrstream.storage.open import open_objects
from zarrstream.write.staging import Outgoing, ReadBack, StagedArray, open_staged

VALUES = np.arange(24, dtype="i4").reshape(4, 6)
KEYS = {"a/c/0/0", "a/c/0/1", "a/c/1/0", "a/c/1/1"}


def documents() -> dict[str, bytes]:
    made = MemoryStore()
    zarr.create_array(made, name="a", shape=VALUES.shape, chunks=(2, 3), dtype="i4")
    return {key: data.to_bytes() for key, data in made._store_dict.items()}


def objects_in(folder: Path) -> Objects:
    return open_objects(parse_store(str(folder / "a.zarr")), make_folders=True)


def staged(folder: Path, records: dict[str, Stored], put: Any = None, **options: Any) -> StagedArray:
    objects = objects_in(folder)
    put = put or (lambda key, data: objects.put_async(f"{objects.place.key}/{key}", data))
    return open_staged(Outgoing(documents(), put, records.__setitem__, **options), "a", 3)


def write(array: StagedArray) -> None:
    region = ((0, 4), (0, 6))
    array.encode(region, VALUES)
    array.send(region)


@pytest.mark.parametrize("pipeline", ["fused", "batched"])
def test_nothing_is_sent_before_it_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pipeline: str) -> None:
    """By the pipeline of zarr 3.4, and by the one that all releases have."""
    if pipeline == "batched":
        monkeypatch.setattr(import_module("zarrstream.compat"), "_FUSED", "NotYet")
    records: dict[str, Stored] = {}
    there: list[int] = []

    def ready() -> None:
        there.append(len(list((tmp_path / "a.zarr").rglob("*"))) + len(records))

    array = staged(tmp_path, records, ready=ready)
    assert type(array.array.async_array.codec_pipeline).__name__.lower().startswith(pipeline)
    write(array)
    assert there == [0]
    assert {key: md5_of((tmp_path / "a.zarr" / key).read_bytes()) for key in KEYS} == records
    back = ReadBack(documents(), objects_in(tmp_path), lambda key: f"a.zarr/{key}", lambda key, stored: records[key] == stored)
    again = open_staged(back, "a", 3)
    assert again[slice(0, 4), slice(0, 6)].tolist() == VALUES.tolist()


def test_a_refusal_sends_nothing(tmp_path: Path) -> None:
    records: dict[str, Stored] = {}

    def refuse() -> None:
        raise PermissionError("another writer")

    array = staged(tmp_path, records, ready=refuse)
    with pytest.raises(PermissionError):
        write(array)
    assert records == {}
    assert not list(tmp_path.rglob("c"))


def test_what_fails_does_not_count_as_sent(tmp_path: Path) -> None:
    records: dict[str, Stored] = {}

    async def send(key: str, _data: bytes) -> None:
        if key == "a/c/1/0":
            raise OSError("lost")

    array = staged(tmp_path, records, send)
    with pytest.raises(OSError, match="lost"):
        write(array)
    assert "a/c/1/0" not in records


def test_what_was_kept_with_the_same_bytes_is_not_sent_again(tmp_path: Path) -> None:
    kept: dict[str, Stored] = {}
    write(staged(tmp_path, kept))
    sent: list[str] = []

    async def send(key: str, _data: bytes) -> None:
        sent.append(key)

    kept["a/c/0/1"] = Stored(1, "other")
    records: dict[str, Stored] = {}
    write(staged(tmp_path, records, send, kept=kept))
    assert sent == ["a/c/0/1"]
    assert records.keys() == KEYS


@pytest.mark.parametrize(("early", "memory", "expected"), [(0, 100, 2), (3, 100, 5), (3, 4, 4)])
def test_more_blocks_are_made_while_none_may_be_sent(early: int, memory: int, expected: int) -> None:
    made: list[Block] = []
    sent: list[Block] = []
    enough, may_send = threading.Event(), threading.Event()

    def make(block: Block) -> None:
        made.append(block)
        if len(made) == expected:
            enough.set()

    def send(block: Block, _made: None) -> None:
        may_send.wait(60)
        sent.append(block)

    blocks = [Block("a", ((number, number + 1),), memory=1) for number in range(12)]
    copying = threading.Thread(
        target=copy_blocks, args=(blocks, make, send, memory, 2), kwargs={"early": lambda: 0 if may_send.is_set() else early}
    )
    copying.start()
    assert enough.wait(60)
    time.sleep(0.1)
    assert len(made) == expected
    may_send.set()
    copying.join(60)
    assert sorted(sent, key=lambda block: block.region) == blocks
