"""Every chunk inside every shard is counted by the indexes, of which nothing but they are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from asking import check_request, check_store
from running import THOROUGH
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec
from zarrstream.check import inner_chunks
from zarrstream.findings import CheckResult
from zarrstream.metadata.shards import crc32c
from zarrstream.storage.folder import FolderObjects

pytestmark = pytest.mark.filterwarnings("ignore")
INDEXES = [{}, {"index_location": "start", "index_codecs": [BytesCodec(endian="big"), Crc32cCodec()]}, {"index_codecs": [BytesCodec()]}]


def make(path: Path, fill: bool = True, **index: Any) -> Path:
    """10 by 9 values in 3 by 2 shards of 4 by 6, with chunks of 2 by 3: 15 lie within the array."""
    codec = ShardingCodec(chunk_shape=(2, 3), codecs=[BytesCodec()], **index)
    array = zarr.create_group(path).create_array(
        "a", shape=(10, 9), chunks=(4, 6), dtype="i4", fill_value=0, serializer=codec, compressors=None, config={"write_empty_chunks": fill}
    )
    array[...] = np.arange(1, 91).reshape(10, 9) if fill else np.r_[np.zeros(54), np.ones(36)].reshape(10, 9)
    return path


def check(path: Path, **options: Any) -> CheckResult:
    report = check_store(check_request(store=str(path), **{"checks": ("inner_chunks",), **options}))
    return next(result for result in report.checks if result.id == "inner_chunks")


@pytest.mark.parametrize("index", INDEXES)
def test_all_chunks_are_counted(tmp_path: Path, index: dict[str, Any]) -> None:
    found = check(make(tmp_path / "a.zarr", **index))
    assert found.status == "passed"
    size = 16 * 4 + (0 if index == INDEXES[2] else 4)
    assert found.evidence == {"shards": 6, "chunks": 15, "absent": 0, "bytes_read": 6 * size}


@pytest.mark.parametrize("index", INDEXES)
def test_chunks_that_are_not_stored_are_counted_as_fill_values(tmp_path: Path, index: dict[str, Any]) -> None:
    path = make(tmp_path / "a.zarr", fill=False, **index)
    stored = sorted(file.relative_to(path / "a/c").as_posix() for file in (path / "a/c").rglob("*") if file.is_file())
    assert stored == ["1/0", "1/1", "2/0", "2/1"]
    found = check(path)
    assert (found.status, found.severity) == ("failed", "error")
    assert "3 of 9 chunks inside shards are missing and would be read as fill values" in found.message
    assert found.evidence["findings"][0] == {
        "key": "a/c/1/0",
        "problem": "2 chunks of 4 not stored, such as [2, 0]: a reader gets fill values",
    }
    allowed = check(path, missing="fill")
    assert allowed.status == "passed"
    assert "6 chunks are in the indexes of 4 shards; 3 more read as fill values, as missing=fill allows" in allowed.message


def damage(path: Path, index: dict[str, Any], entry: tuple[int, int, int], number: int) -> None:
    """Another number in the index of a shard, with a checksum that fits."""
    data = bytearray(path.read_bytes())
    checksum = 0 if index == INDEXES[2] else 4
    start = 0 if index.get("index_location") == "start" else len(data) - 64 - checksum
    table = np.frombuffer(data[start : start + 64], ">u8" if index.get("index_location") == "start" else "<u8").reshape(2, 2, 2).copy()
    table[entry] = number
    data[start : start + 64] = table.tobytes()
    if checksum:
        data[start + 64 : start + 68] = crc32c(table.tobytes()).to_bytes(4, "little")
    path.write_bytes(data)


@pytest.mark.parametrize("index", INDEXES)
@pytest.mark.parametrize(("entry", "number"), [((0, 0, 0), 2**40), ((1, 1, 1), 2**40), ((1, 0, 1), 0), ((0, 1, 0), 2**64 - 1)])
def test_an_index_that_names_bytes_that_are_not_there_is_an_error(
    tmp_path: Path, index: dict[str, Any], entry: tuple[int, int, int], number: int
) -> None:
    path = make(tmp_path / "a.zarr", **index)
    damage(path / "a/c/0/0", index, entry, number)
    found = check(path, missing="fill")
    assert found.status == "failed"
    assert "1 of 6 shards with an index that cannot be used: a/c/0/0: its index names bytes for 1 chunks" in found.message


def test_an_index_with_another_checksum_or_too_few_bytes_is_an_error(tmp_path: Path) -> None:
    path = make(tmp_path / "a.zarr")
    data = (path / "a/c/0/0").read_bytes()
    (path / "a/c/0/0").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    (path / "a/c/0/1").write_bytes(b"short")
    found = check(path)
    assert found.status == "failed"
    problems = [item["problem"] for item in found.evidence["findings"]]
    assert problems == ["its index has another checksum than it was written with", "it has 5 bytes, fewer than its index, 68"]


def test_stores_without_shards_and_unknown_indexes_are_left_alone(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a.zarr", shape=(4,), chunks=(2,), dtype="i4")[...] = 1
    assert check(tmp_path / "a.zarr").message == "no array has shards"
    document = make(tmp_path / "b.zarr") / "a/zarr.json"
    metadata = json.loads(document.read_text())
    metadata["codecs"][0]["configuration"]["index_codecs"].append({"name": "crc32c"})
    document.write_text(json.dumps(metadata))
    assert check(tmp_path / "b.zarr").message == "1 arrays have indexes of an unknown kind"


@pytest.mark.parametrize("codecs", [[None], [{}], "bytes", [{"name": 1}]])
def test_codecs_of_an_index_that_are_none_are_no_crash(tmp_path: Path, codecs: Any) -> None:
    path = make(tmp_path / "a.zarr")
    document = json.loads((path / "a/zarr.json").read_bytes())
    document["codecs"][0]["configuration"]["index_codecs"] = codecs
    (path / "a/zarr.json").write_text(json.dumps(document))
    found = check(path)
    assert (found.status, found.message) == ("skipped", "1 arrays have indexes of an unknown kind")


def test_many_shards_are_read_only_where_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inner_chunks, "UNASKED", 5)
    path = make(tmp_path / "a.zarr")
    assert "a request for each of 6 shards" in check(path, checks=()).message
    assert check(path, checks=(), sample=None).status == check(path).status == "passed"


def test_a_thousandth_of_the_bytes_is_read_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """10,000 shards of a MiB in `make test-all`, which take no room: all of them but the index is a hole."""
    number, index = 10_000 if THOROUGH else 300, np.zeros((16, 2), "<u8")
    index[:, 0], index[:, 1] = np.arange(16) * 65536, 65536
    group = zarr.create_group(tmp_path / "a.zarr")
    group.create_array("a", shape=(number * 1024, 1024), shards=(1024, 1024), chunks=(64, 1024), dtype="u1", compressors=None)
    (tmp_path / "a.zarr/a/c").mkdir()
    for shard in range(number):
        (tmp_path / f"a.zarr/a/c/{shard}").mkdir()
        with (tmp_path / f"a.zarr/a/c/{shard}/0").open("wb") as file:
            file.seek(2**20)
            file.write(index.tobytes() + crc32c(index.tobytes()).to_bytes(4, "little"))
    read: list[int] = []
    part = FolderObjects.get_range

    def counted(self: FolderObjects, key: str, which: Any) -> bytes | None:
        data = part(self, key, which)
        read.append(len(data or b""))
        return data

    monkeypatch.setattr(FolderObjects, "get_range", counted)
    found = check(tmp_path / "a.zarr")
    assert found.status == "passed", found.message
    assert (found.evidence["shards"], found.evidence["chunks"]) == (number, 16 * number)
    assert found.evidence["bytes_read"] == number * 260 < number * 2**20 / 1000
    assert sum(read) < number * 2**20 / 1000, "with documents and all else that was read"
