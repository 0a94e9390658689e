# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Small chunks by another Zstandard: every reader reads them, the metadata do not know of it, and a mixture of both is whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
import zstandard
from asking import check_store
from numcodecs import Zstd
from writing import assert_same, fail_at, refuse, request
from zarr.storage import MemoryStore
from zarrstream.check.request import request_from
from zarrstream.commands.write import write_dataset
from zarrstream.encoding.zstd import SMALL, zstd_setting
from zarrstream.errors import ZarrstreamError
from zarrstream.write import staging as transfer

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have a Zarr V3 specification")


def array(store: MemoryStore, mode: Any = "r+", *, level: int = 3, size: int = 100, shards: int | None = None) -> zarr.Array:
    if mode == "w":
        shape, codec = (4 * size,), zarr.codecs.ZstdCodec(level=level, checksum=True)
        zarr.create_array(store, name="a", shape=shape, chunks=(size,), shards=shards, dtype="f8", compressors=codec)
    with zarr.config.set(zstd_setting()):
        return zarr.open_array(store, path="a", mode="r+")


def encoder(opened: zarr.Array) -> Zstd:
    last = opened.metadata.codecs[-1]  # type: ignore[union-attr]
    return getattr(last, "codecs", [last])[-1]._zstd_codec  # in shards, the last of theirs


@pytest.mark.parametrize("level", [-1, 0, 1, 3, 22])
@pytest.mark.parametrize("size", [1, 1000, SMALL, SMALL + 1])
def test_numcodecs_and_the_package_read_it(level: int, size: int) -> None:
    data = np.random.default_rng(size).integers(0, 9, size, "u1")
    made = bytes(encoder(array(MemoryStore(), "w", level=level)).encode(data))
    assert bytes(Zstd().decode(made)) == data.tobytes()
    assert zstandard.ZstdDecompressor().decompress(made) == data.tobytes()
    found, wanted = zstandard.get_frame_parameters(made), zstandard.get_frame_parameters(bytes(Zstd(level, checksum=True).encode(data)))
    assert (found.has_checksum, found.content_size) == (wanted.has_checksum, wanted.content_size) == (True, size)


def test_a_flipped_bit_shows() -> None:
    made = bytearray(encoder(array(MemoryStore(), "w")).encode(np.arange(1000)))
    made[-1] ^= 1
    with pytest.raises(RuntimeError, match="checksum"):
        Zstd().decode(bytes(made))


def test_the_same_from_every_thread() -> None:
    data = [np.random.default_rng(number).integers(0, 9, 50_000, "u1") for number in range(20)]
    encode = encoder(array(MemoryStore(), "w")).encode
    alone = [bytes(encode(part)) for part in data]
    with ThreadPoolExecutor(8) as threads:
        assert [bytes(made) for made in threads.map(encode, data * 5)] == alone * 5


@pytest.mark.parametrize("shards", [None, 200])
def test_metadata_and_other_arrays_stay_zarrs(shards: int | None) -> None:
    store = MemoryStore()
    opened = array(store, "w", shards=shards)
    before = store._store_dict["a/zarr.json"].to_bytes()
    opened[...] = np.arange(400.0)
    other = zarr.open_array(store, path="a", mode="r")
    assert other[...].tolist() == list(range(400))
    assert other.metadata.to_dict() == opened.metadata.to_dict()
    assert store._store_dict["a/zarr.json"].to_bytes() == before
    assert type(encoder(opened)) is not Zstd
    assert type(encoder(other)) is Zstd


def test_a_write_begun_with_one_library_is_finished_with_another(few_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose bytes differ: an object that was sent and not noted is sent again, one that was noted stays."""
    store = tmp_path / "air.zarr"
    wanted = request(few_source, store, chunks={"time": 1}, verify="full")
    monkeypatch.setattr(import_module("zarrstream.planning.plan"), "BLOCK_TARGET", 1)
    monkeypatch.setattr(Zstd, "encode", lambda _self, data: zstandard.ZstdCompressor(level=9, write_checksum=True).compress(data))
    monkeypatch.setattr(transfer, "zstd_setting", dict)
    fail_at(monkeypatch, 45, refuse)
    with pytest.raises(ZarrstreamError, match="refused"):
        write_dataset(wanted)
    monkeypatch.undo()
    kept = {path: path.read_bytes() for path in (store / "air" / "c").rglob("*") if path.is_file()}
    result = write_dataset(wanted)
    assert result.resumed
    assert 0 < result.objects_kept < result.objects
    assert any(path.read_bytes() == data for path, data in kept.items())
    assert_same(store, few_source)
    assert check_store(request_from({"store": str(store), "source": [str(few_source)], "sample": "all"})).ok
