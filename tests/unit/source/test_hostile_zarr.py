"""Zarr that is made to do harm: a few bytes that stand for gigabytes, metadata that describe nothing. One error, in time and memory."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import random
import resource
import subprocess
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numcodecs
import numpy as np
import pytest
import zarr
import zstandard
from asking import check_store, write_request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import THOROUGH
from zarrstream.check.request import request_from
from zarrstream.commands.write import write_dataset
from zarrstream.errors import SourceError, ZarrstreamError
from zarrstream.metadata.decoded import SLACK, TooLarge, check_chunk
from zarrstream.metadata.layout import array_layout
from zarrstream.source.items import find_source
from zarrstream.source.open import open_items

pytestmark = pytest.mark.filterwarnings("ignore")

BIG = 2**26  # bytes: what the bombs of these tests stand for
ROOM = 2**25  # bytes that may be taken meanwhile
BYTES = {"name": "bytes", "configuration": {"endian": "little"}}


def blosc(size: int) -> bytes:
    return bytes([2, 1, 0x13, 4]) + size.to_bytes(4, "little") + (2**20).to_bytes(4, "little") + (48).to_bytes(4, "little") + b"\0" * 32


def zstd_unannounced(size: int) -> bytes:
    compressor = zstandard.ZstdCompressor().compressobj()
    return b"".join([*(compressor.compress(b"\0" * 2**20) for _ in range(size // 2**20)), compressor.flush()])


BOMBS: dict[str, Callable[[int], bytes]] = {
    "zlib": lambda size: zlib.compress(b"\0" * size, 1),
    "gzip": lambda size: gzip.compress(b"\0" * size, 1),
    "gzip, in members": lambda size: gzip.compress(b"\0" * 2**20, 9) * (size // 2**20),
    "bz2": lambda size: bz2.compress(b"\0" * size, 1),
    "lzma": lambda size: lzma.compress(b"\0" * size, preset=0),
    "zstd": lambda size: zstandard.ZstdCompressor().compress(b"\0" * size),
    "zstd, unannounced": zstd_unannounced,
    "blosc": blosc,
    "lz4": lambda size: size.to_bytes(4, "little") + b"\0" * 64,
}


@cache
def bomb(kind: str) -> bytes:
    return BOMBS[kind](BIG)


def store_v2(folder: Path, codec: str, chunk: bytes, **options: Any) -> Path:
    document = {
        "zarr_format": 2,
        "shape": [1],
        "chunks": [1],
        "dtype": "<f4",
        "compressor": {"id": codec},
        "filters": None,
        "fill_value": None,
        "order": "C",
        **options,
    }
    (folder / "in.zarr/v").mkdir(parents=True)
    (folder / "in.zarr/.zgroup").write_text('{"zarr_format": 2}')
    (folder / "in.zarr/v/.zarray").write_text(json.dumps(document))
    (folder / "in.zarr/v/.zattrs").write_text('{"_ARRAY_DIMENSIONS": ["x"]}')
    (folder / "in.zarr/v/0").write_bytes(chunk)
    return folder / "in.zarr"


def store_v3(folder: Path, chunk: bytes, codecs: list[Any], **options: Any) -> Path:
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [4],
        "data_type": "float32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4]}},
        "chunk_key_encoding": {"name": "default"},
        "fill_value": 0.0,
        "codecs": codecs,
        "dimension_names": ["x"],
        **options,
    }
    (folder / "in.zarr/v/c").mkdir(parents=True)
    (folder / "in.zarr/zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    (folder / "in.zarr/v/zarr.json").write_text(json.dumps(document))
    (folder / "in.zarr/v/c/0").write_bytes(chunk)
    return folder / "in.zarr"


def refused(store: Path, key: str) -> None:
    """Neither write nor check decode it, and both say which object it is."""
    peak, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(SourceError) as error:
        write_dataset(write_request(source=(str(store),), store=str(store.parent / "out.zarr")))
    assert key in str(error.value)
    assert str(store) in str(error.value)
    report = check_store(request_from({"store": str(store), "checks": ["decode"]}))
    assert not report.ok
    assert key in report.summary["line"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < ROOM // 1024
    assert time.process_time() - began < 20


@pytest.mark.parametrize("kind", BOMBS)
def test_a_chunk_of_format_2_decodes_to_no_more_than_its_array_announces(tmp_path: Path, kind: str) -> None:
    refused(store_v2(tmp_path, kind.partition(",")[0], bomb(kind)), "v/0")


@pytest.mark.parametrize("kind", ["gzip", "zstd", "zstd, unannounced", "blosc"])
@pytest.mark.parametrize("sharded", [False, True])
def test_a_chunk_of_format_3_decodes_to_no_more_than_its_array_announces(tmp_path: Path, kind: str, sharded: bool) -> None:
    data, name = bomb(kind), kind.partition(",")[0]
    configuration = {
        "gzip": {"level": 1},
        "zstd": {"level": 1, "checksum": False},
        "blosc": {"cname": "lz4", "clevel": 5, "shuffle": "noshuffle", "blocksize": 0, "typesize": 4},
    }[name]
    codecs: list[Any] = [BYTES, {"name": name, "configuration": configuration}]
    if sharded:
        index = np.array([0, len(data), 2**64 - 1, 2**64 - 1], "<u8").tobytes()
        inner = {"chunk_shape": [2], "codecs": codecs, "index_codecs": [BYTES], "index_location": "end"}
        data, codecs = data + index, [{"name": "sharding_indexed", "configuration": inner}]
    refused(store_v3(tmp_path, data, codecs), "v/c/0")


def test_a_part_of_a_shard_is_measured_too(tmp_path: Path) -> None:
    data = bomb("zstd")
    index = np.array([2**64 - 1, 2**64 - 1, 32, len(data)], "<u8").tobytes()
    inner = {"chunk_shape": [2], "codecs": [BYTES, {"name": "zstd", "configuration": {"level": 1, "checksum": False}}]}
    codecs = [{"name": "sharding_indexed", "configuration": {**inner, "index_codecs": [BYTES], "index_location": "start"}}]
    store = store_v3(tmp_path, index + data, codecs)
    source = open_items(find_source([str(store)], lambda _: pytest.fail("no bucket")))
    assert source.block("v", ((0, 2),)).values.tolist() == [0, 0]
    with pytest.raises(SourceError, match="bytes decode to"):
        source.block("v", ((2, 4),))


def test_text_has_as_many_elements_as_its_chunk(tmp_path: Path) -> None:
    huge = (2**31 - 1).to_bytes(4, "little") + b"\xff\xff\xff\x7f"
    store = store_v2(tmp_path, "", huge, dtype="|O", compressor=None, filters=[{"id": "vlen-utf8"}], fill_value="")
    with pytest.raises(SourceError, match="announces 2147483647 elements of any length where a chunk has 1"):
        write_dataset(write_request(source=(str(store),), store=str(tmp_path / "out.zarr")))
    assert "announces 2147483647 elements" in check_store(request_from({"store": str(store), "checks": ["decode"]})).summary["line"]


def test_an_object_beyond_all_measure_is_not_read(tmp_path: Path) -> None:
    store = store_v3(tmp_path, b"", [BYTES, {"name": "gzip", "configuration": {"level": 1}}])
    with (store / "v/c/0").open("wb") as file:
        file.truncate(2**40)  # a hole
    refused(store, "v/c/0")


CODECS = [
    numcodecs.Zlib(1),
    numcodecs.GZip(1),
    numcodecs.BZ2(1),
    numcodecs.LZMA(preset=0),
    numcodecs.LZMA(format=lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 0}]),
    numcodecs.Zstd(1),
    numcodecs.Blosc("zstd"),
    numcodecs.LZ4(),
]


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.codec_id)
@given(data=st.data())
@settings(max_examples=200 if THOROUGH else 8)
def test_what_an_honest_codec_wrote_passes_and_one_element_more_than_the_slack_does_not(codec: Any, data: st.DataObject) -> None:
    most = 1 if THOROUGH else 3  # to compress costs most of it
    count = data.draw(st.integers(1, 40_000 // most))
    more = data.draw(st.integers(SLACK // 4 + 1, 60_000 // most))
    noise = data.draw(st.booleans())
    values = np.random.default_rng(0).integers(0, 2**32 if noise else 2, count + more, dtype="u4")
    document = {"zarr_format": 2, "shape": [count], "chunks": [count], "dtype": "<u4", "compressor": codec.get_config(), "filters": None}
    layout = array_layout("v", document, {})
    check_chunk(layout, bytes(codec.encode(values[:count])), 4)
    with pytest.raises(TooLarge):
        check_chunk(layout, bytes(codec.encode(values)), 4)


def test_hdf5_that_inflates_to_more_than_its_chunk_is_refused(tmp_path: Path) -> None:
    for name in ("deflate", "zstd"):
        path = tmp_path / f"{name}.h5"
        with h5py.File(path, "w") as file:
            how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            how.set_chunk((4,))
            if name == "deflate":
                how.set_deflate(1)
            else:
                how.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (1,))
            space = h5py.h5s.create_simple((4,))
            h5py.h5d.create(file.id, b"v", h5py.h5t.NATIVE_FLOAT, space, dcpl=how).write_direct_chunk(
                (0,), bomb("zlib" if name == "deflate" else "zstd")
            )
        with pytest.raises(SourceError, match=r"'v' cannot be read at \[0:4\]: .*(a chunk has|announces no more)"):
            write_dataset(write_request(source=(str(path),), store=str(tmp_path / "out.zarr")))


def test_memory_stays_where_a_bomb_is_counted() -> None:
    document = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "<u4", "compressor": {"id": "gzip"}, "filters": None}
    data = bomb("gzip")
    tracemalloc.start()
    with pytest.raises(TooLarge):
        check_chunk(array_layout("v", document, {}), data, 4)
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


GOOD = {
    "zarr_format": 3,
    "node_type": "array",
    "shape": [4],
    "data_type": "float32",
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4]}},
    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
    "fill_value": 0.0,
    "codecs": [BYTES],
    "attributes": {},
    "dimension_names": ["x"],
}
NONSENSE: dict[str, tuple[Any, str]] = {
    "rank 500": (
        {"shape": [1] * 500, "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1] * 500}}},
        "shape has 500 numbers",
    ),
    "a negative size": ({"shape": [-4]}, "shape is [-4]"),
    "a size beyond all": ({"shape": [2**63]}, "shape is [9223372036854775808]"),
    "a fraction": ({"shape": [4.0]}, "shape is [4.0]"),
    "true": ({"shape": [True]}, "shape is [True]"),
    "text": ({"shape": ["4"]}, "shape is ['4']"),
    "a chunk of none": ({"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [0]}}}, "chunk_shape [0] holds a 0"),
    "a negative chunk": ({"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [-1]}}}, "chunk_shape is [-1]"),
    "a chunk beyond all": (
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2**63]}}},
        "chunk_shape is [9223372036854775808]",
    ),
    "a chunk beyond memory": (
        {"shape": [2**40], "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2**40]}}},
        "are the most",
    ),
    "no type": ({"data_type": "numpy.object"}, "numpy.object"),
    "a fill value of another type": ({"fill_value": "0x"}, "0x"),
    "a fill value that is a list": ({"fill_value": [[0]]}, "fill"),
    "names for other dimensions": ({"dimension_names": ["x", "y"]}, "dimension_names ['x', 'y'] names 2 dimensions of 1"),
    "no names": ({"dimension_names": [1]}, "dimension_names is [1]"),
    "no codecs": ({"codecs": []}, "codecs is []"),
    "codecs that are text": ({"codecs": "zstd"}, "codecs is 'zstd'"),
    "a codec of nothing": ({"codecs": [{"name": "os.system", "configuration": {}}]}, "os.system"),
    "options of a codec": ({"codecs": [BYTES, {"name": "gzip", "configuration": {"level": "ls"}}]}, "level"),
    "options that are a list": ({"codecs": [{"name": "bytes", "configuration": [1]}]}, "codecs is"),
    "attributes that are a list": ({"attributes": [1]}, "attributes"),
    "a node of another kind": ({"node_type": "pickle"}, "node_type is 'pickle'"),
    "another format": ({"zarr_format": 9}, "zarr_format is 9"),
}
RAW: dict[str, tuple[bytes, str]] = {
    "depth": (b'{"zarr_format":3,"node_type":"group","attributes":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}", "not JSON"),
    "a number of 200,000 digits": (b'{"zarr_format":3,"node_type":"group","attributes":{"a":' + b"9" * 200_000 + b"}}", "not JSON"),
    "a field twice": (json.dumps(GOOD).encode()[:-1] + b',"shape":[8]}', "the field 'shape' is there twice"),
    "no UTF-8": (json.dumps(GOOD).encode().replace(b'"x"', b'"\xff\xfe"'), "not JSON"),
    "nothing": (b"", "empty"),
    "a list": (b"[]", "a JSON list where an object is needed"),
    "half": (json.dumps(GOOD).encode()[:40], "not JSON"),
}


def one_error(store: Path, *words: str) -> None:
    with pytest.raises(ZarrstreamError) as error:
        write_dataset(write_request(source=(str(store),), store=str(store.parent / "out.zarr")))
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 1000
    for word in words:
        assert word in str(error.value)
    assert not (store.parent / "out.zarr").exists()
    said = checked(store)
    assert said
    assert len(said) < 2000


def checked(store: Path) -> str:
    """What a check says that does not pass."""
    try:
        report = check_store(request_from({"store": str(store)}))
    except ZarrstreamError as error:
        return str(error)
    return "" if report.ok else str(report.summary["line"])


@pytest.mark.parametrize("kind", NONSENSE)
def test_nonsense_in_a_document_is_named_with_document_field_and_value(tmp_path: Path, kind: str) -> None:
    changes, words = NONSENSE[kind]
    store = store_v3(tmp_path, b"\0" * 16, [BYTES])
    (store / "v/zarr.json").write_text(json.dumps({**GOOD, **changes}))
    one_error(store, "v/zarr.json", words)


@pytest.mark.parametrize("kind", RAW)
def test_a_document_that_is_none_is_named(tmp_path: Path, kind: str) -> None:
    data, words = RAW[kind]
    store = store_v3(tmp_path, b"\0" * 16, [BYTES])
    (store / "v/zarr.json").write_bytes(data)
    one_error(store, "v/zarr.json", words)


def test_a_document_beyond_all_measure_is_not_read(tmp_path: Path) -> None:
    store = store_v3(tmp_path, b"\0" * 16, [BYTES])
    with (store / "v/zarr.json").open("r+b") as file:
        file.truncate(2**40)  # a hole
    one_error(store, "v/zarr.json")


def test_consolidated_names_lead_nowhere_else(tmp_path: Path) -> None:
    store = store_v3(tmp_path, b"\0" * 16, [BYTES])
    entries = {"kind": "inline", "must_understand": False, "metadata": {"../secret": GOOD, "v": GOOD}}
    (store / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group", "consolidated_metadata": entries}))
    one_error(store, "zarr.json", "'../secret'")


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["bytes", "zstd", "regular", "v2", "|O", "<f4"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "configuration", "chunk_shape", "id", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=300 if THOROUGH else 16, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.sampled_from(sorted(GOOD)), JUNK, min_size=1, max_size=2), chunk=st.binary(max_size=64))
def test_any_document_gives_a_store_or_one_error(tmp_path_factory: pytest.TempPathFactory, changes: dict[str, Any], chunk: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    store = store_v3(folder, chunk, [BYTES])
    (store / "v/zarr.json").write_text(json.dumps({**GOOD, **changes}))
    check_store(request_from({"store": str(store)}))
    said = written(store, folder / "out.zarr")
    assert len(said.splitlines()) < 2
    if not said:
        zarr.open_group(folder / "out.zarr", mode="r")


def written(source: Path, store: Path) -> str:
    """The error of a write, '' for none."""
    try:
        write_dataset(write_request(source=(str(source),), store=str(store)))
    except ZarrstreamError as error:
        return str(error)
    return ""


@pytest.fixture(scope="module")
def hdf5(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("hdf5") / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("g/packed", data=np.arange(64, dtype="i4").reshape(8, 8), chunks=(4, 4), compression="gzip", shuffle=True)
        file["plain"] = np.arange(4.0)
        file["plain"].attrs["units"] = "K"
        file["link"] = h5py.SoftLink("/plain")
    return path.read_bytes()


SCRIPT = """
import sys
from zarrstream.errors import ZarrstreamError
from zarrstream.write.request import request_from
from zarrstream.source.items import find_source
from zarrstream.commands.write import write_dataset
for line in sys.stdin:
    path = line.strip()
    try:
        write_dataset(request_from({"source": path, "store": path + ".zarr"}))
        print("written", flush=True)
    except ZarrstreamError as error:
        print("refused" if len(str(error).splitlines()) == 1 else "lines", flush=True)
    except BaseException as error:
        print("raw", type(error).__name__, error, flush=True)
"""


def test_any_damage_of_hdf5_gives_a_store_or_one_error(tmp_path: Path, hdf5: bytes) -> None:
    """In a process of its own: the HDF5 libraries crash on some damage, which no check can see, and which publishes nothing."""
    chance = random.Random(0)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "plugins/module_utils")}
    paths = []
    for number in range(400 if THOROUGH else 8):
        data = bytearray(hdf5)
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(8, len(data))] = chance.randrange(256)
        path = tmp_path / f"{number}.h5"
        path.write_bytes(data)
        paths.append(path)
    left, outcomes = list(paths), []
    while left:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            input="\n".join(map(str, left)),
            text=True,
            capture_output=True,
            env=environment,
            timeout=300,
            check=False,
        )
        found = done.stdout.splitlines()
        outcomes += found
        left = left[len(found) + 1 :] if done.returncode else []
        assert done.returncode <= 0, done.stderr
    assert [outcome for outcome in outcomes if outcome not in ("written", "refused")] == []
    assert {"written", "refused"} <= set(outcomes)
