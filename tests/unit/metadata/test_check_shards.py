"""Chunks that a shard leaves out are found, wherever its index lies; those beyond the array are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from asking import check_request, check_store
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec, ZstdCodec
from zarrstream.findings import CheckResult
from zarrstream.metadata.layout import array_layout
from zarrstream.metadata.shards import left_out

pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata")
INDEXES = [
    {},
    {"index_location": "start"},
    {"index_codecs": [BytesCodec(endian="big")]},
    {"index_location": "start", "index_codecs": [BytesCodec(endian="big"), Crc32cCodec()]},
]


def make_store(path: Path, *, keep_all: bool, **index: Any) -> Path:
    """7 by 5 values in shards of 4 by 6, chunks of 2 by 2; those of the chunks (1, 0) and (3, 2) are the fill value."""
    group = zarr.create_group(path)
    codec = ShardingCodec(chunk_shape=(2, 2), codecs=[BytesCodec(), ZstdCodec(checksum=True)], **index)
    array = group.create_array(
        "a",
        shape=(7, 5),
        chunks=(4, 6),
        dtype="i4",
        fill_value=0,
        serializer=codec,
        compressors=None,
        config={"write_empty_chunks": keep_all},
    )
    values = np.arange(1, 36, dtype="i4").reshape(7, 5)
    values[2:4, 0:2] = 0
    values[6:, 4:] = 0
    array[...] = values
    return path


def decode(path: Path, **options: Any) -> CheckResult:
    report = check_store(check_request(store=str(path), checks=("decode",), sample=None, **options))
    return next(result for result in report.checks if result.id == "decode")


@pytest.mark.parametrize("index", INDEXES)
def test_the_index_tells_what_is_left_out(tmp_path: Path, index: dict[str, Any]) -> None:
    for keep_all, expected in ((False, {(0, 0): [(1, 0)], (1, 0): [(3, 2)]}), (True, {(0, 0): [], (1, 0): []})):
        path = make_store(tmp_path / f"{keep_all}.zarr", keep_all=keep_all, **index)
        layout = array_layout("a", json.loads((path / "a/zarr.json").read_text()), {})
        found = {place: left_out(layout, place, (path / layout.key(place)).read_bytes()) for place in expected}
        assert found == expected


@pytest.mark.parametrize("index", INDEXES)
def test_what_a_shard_leaves_out_is_missing_unless_fill_values_are_allowed(tmp_path: Path, index: dict[str, Any]) -> None:
    path = make_store(tmp_path / "a.zarr", keep_all=False, **index)
    result = decode(path)
    assert (result.status, result.evidence["count"]) == ("failed", 2)
    assert "a/c/0/0: 1 chunk missing within the shard, such as [1, 0]" in result.message
    assert decode(path, missing="fill").status == "passed"
    assert decode(make_store(tmp_path / "b.zarr", keep_all=True, **index)).status == "passed"


def test_a_whole_shard_that_is_not_there_is_one_finding(tmp_path: Path) -> None:
    path = make_store(tmp_path / "a.zarr", keep_all=True)
    (path / "a/c/1/0").unlink()
    assert decode(path).evidence["count"] == 1
