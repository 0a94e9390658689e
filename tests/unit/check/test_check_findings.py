"""Every check that needs no server passes on a sound store of each kind, and fails on the damage it is made for."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from asking import check_request, check_store
from writing import made_once
from zarrstream.check.run import CHECKS
from zarrstream.errors import BadRequest, ZarrstreamError
from zarrstream.findings import CheckResult
from zarrstream.sidecar.manifest import Manifest, Stored

pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata", "ignore:.*vlen", "ignore:.*Zarr format 3")
KINDS = ("v2", "v2-slash", "v3", "v3-dot", "v3-v2keys", "sharded")
VALUES = np.arange(4 * 5 * 6, dtype="f4").reshape(4, 5, 6) + 1


def make_store(path: Path, kind: str = "v3", consolidated: bool = True) -> Path:
    return made_once(path, lambda path: fill_store(path, kind, consolidated), "findings", kind, consolidated)


def fill_store(path: Path, kind: str, consolidated: bool) -> None:
    """A store with a 3-d array, a coordinate, a 0-d and an empty array, and one in a nested group; beside it a manifest."""
    zarr_format: Any = 2 if kind.startswith("v2") else 3
    options: dict[str, Any] = {"config": {"write_empty_chunks": True}}
    if kind == "v2-slash":
        options["chunk_key_encoding"] = {"name": "v2", "separator": "/"}
    if kind in ("v3-dot", "v3-v2keys"):
        options["chunk_key_encoding"] = {"name": "default" if kind == "v3-dot" else "v2", "separator": "."}
    root = zarr.create_group(path, zarr_format=zarr_format, attributes={"title": "test"})
    inner = root.create_group("north").create_group("deep")

    def add(group: zarr.Group, name: str, values: np.ndarray, chunks: tuple[int, ...], dims: list[str], **more: Any) -> None:
        names = {"dimension_names": dims} if zarr_format == 3 else {"attributes": {"_ARRAY_DIMENSIONS": dims}}
        fill = None if zarr_format == 2 else 0
        array = group.create_array(name, shape=values.shape, dtype=values.dtype, chunks=chunks, fill_value=fill, **options, **names, **more)
        array[...] = values

    shards = {"shards": (2, 6, 6)} if kind == "sharded" else {}
    add(root, "temp", VALUES, (2, 3, 3), ["time", "y", "x"], **shards)
    add(root, "time", np.arange(4, dtype="i8"), (4,), ["time"], compressors=None)
    root["time"].attrs["units"] = "days since 2000-01-01"
    add(root, "crs", np.array(7, dtype="i4"), (), [])
    add(root, "none", np.zeros((0, 6), dtype="f8"), (1, 6), ["nothing", "x"])
    add(inner, "depth", np.arange(10, dtype="i2"), (4,), ["z"])
    if consolidated:
        zarr.consolidate_metadata(path, zarr_format=zarr_format)
    write_manifest(path)


def write_manifest(path: Path) -> None:
    objects = {
        str(file.relative_to(path)): Stored(file.stat().st_size, hashlib.md5(file.read_bytes()).hexdigest())
        for file in path.rglob("*")
        if file.is_file()
    }
    beside = path.parent / f"{path.name}.zarrstream"
    beside.mkdir(exist_ok=True)
    (beside / "manifest.json").write_bytes(Manifest("f", 3, "2026-01-01T00:00:00Z", {}, [], objects).to_json())


def check(path: Path, *checks: str, **options: Any) -> dict[str, CheckResult]:
    report = check_store(check_request(store=str(path), checks=checks, **options))
    return {result.id: result for result in report.checks}


def items(result: CheckResult) -> str:
    return json.dumps(result.evidence["findings"])


def edit(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("kind", "consolidated", "sample"),
    [
        # In `make test` each kind once, in turn consolidated in full and not consolidated by sample.
        pytest.param(kind, *each, marks=[] if each == ((True, None), (False, 4))[number % 2] else pytest.mark.thorough)
        for number, kind in enumerate(KINDS)
        for each in itertools.product((True, False), (None, 4))
    ],
)
def test_a_sound_store_passes(tmp_path: Path, kind: str, consolidated: bool, sample: int | None) -> None:
    found = check(make_store(tmp_path / "a.zarr", kind, consolidated), sample=sample)
    without_an_option = ("fresh", "nan_share", "range", "roundtrip", "values", "anonymous")
    expected = dict.fromkeys(CHECKS, "passed") | dict.fromkeys(without_an_option, "skipped")
    if not consolidated:
        expected["consolidated"] = "skipped"
    if kind != "sharded":
        expected["inner_chunks"] = "skipped"
    assert {name: result.status for name, result in found.items()} == expected
    objects = {"sharded": 2}.get(kind, 8) + 1 + 1 + 3
    assert found["complete"].evidence["expected"] == objects
    assert all(result.message for result in found.values())
    assert "keeps no ETags" in found["manifest"].message


def test_a_single_array_is_a_store_too(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a.zarr", shape=(4,), chunks=(2,), dtype="i4")[...] = 5
    found = check(tmp_path / "a.zarr")
    assert found["open"].status == found["complete"].status == found["decode"].status == found["strays"].status == "passed"
    (tmp_path / "a.zarr/c/1").unlink()
    assert "c/1" in check(tmp_path / "a.zarr", "complete")["complete"].message


# open


def test_open_fails_where_nothing_is(tmp_path: Path) -> None:
    found = check(tmp_path / "a.zarr")
    assert found["open"].status == "failed"
    assert found["open"].message.startswith(f"no Zarr at {tmp_path}/a.zarr: nothing is there")
    assert {result.status for name, result in found.items() if name != "open"} == {"skipped"}


def test_open_tells_of_objects_without_a_root(tmp_path: Path) -> None:
    (make_store(tmp_path / "a.zarr") / "zarr.json").unlink()
    assert "objects are there (crs/c, " in check(tmp_path / "a.zarr", "open")["open"].message


@pytest.mark.parametrize("root", [False, True])
def test_open_tells_of_a_write_under_way(tmp_path: Path, root: bool) -> None:
    path = make_store(tmp_path / "a.zarr")
    if not root:
        (path / "zarr.json").unlink()
    (tmp_path / "a.zarr.zarrstream/writing.json").write_text('{"started": "2026-03-04T05:06:07Z"}')
    result = check(path, "open")["open"]
    assert result.status == ("warning" if root else "failed")
    assert "under way or was interrupted since 2026-03-04T05:06:07" in result.message


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"zarr_format": 3}', '{"zarr_format": 4, "node_type": "group"}', "[" * 100_000])
def test_open_fails_on_a_damaged_root(tmp_path: Path, text: str) -> None:
    (make_store(tmp_path / "a.zarr") / "zarr.json").write_text(text)
    result = check(tmp_path / "a.zarr", "open")["open"]
    assert result.status == "failed"
    assert "zarr.json" in result.message


# metadata and consolidated


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda document: document.update(shape=[4, 5]), "differ in their number of dimensions"),
        (lambda document: document.update(shape=[4, 5, 7]), "dimension 'x' has length"),
        (lambda document: document.update(data_type="float99"), "zarr-python refuses it"),
        (lambda document: document.update(node_type="grop"), "node_type"),
        (lambda document: document.update(zarr_format=2), "zarr_format"),
        (lambda document: document.pop("fill_value"), "zarr-python refuses it"),
    ],
)
def test_metadata_fails_on_an_edited_document(tmp_path: Path, change: Callable[[dict[str, Any]], object], problem: str) -> None:
    path = make_store(tmp_path / "a.zarr")
    edit(path / "temp/zarr.json", change)
    result = check(path, "metadata")["metadata"]
    assert result.status == "failed"
    assert problem in items(result)
    assert "temp" in items(result)


def test_metadata_fails_on_text_that_is_no_json(tmp_path: Path) -> None:
    path = make_store(tmp_path / "a.zarr", "v2")
    (path / "temp/.zarray").write_text("{'shape': 1}")
    found = check(path)
    assert "temp/.zarray: not JSON" in found["metadata"].message
    assert "were not judged" in found["strays"].message


def test_metadata_fails_on_a_node_without_a_parent(tmp_path: Path) -> None:
    path = make_store(tmp_path / "a.zarr", consolidated=False)
    (path / "north/zarr.json").unlink()
    assert "no group document above it, in 'north'" in check(path, "metadata")["metadata"].message


def test_metadata_fails_on_an_array_inside_an_array(tmp_path: Path) -> None:
    path = make_store(tmp_path / "a.zarr", consolidated=False)
    (path / "temp/c/zarr.json").write_bytes((path / "time/zarr.json").read_bytes())
    assert "lies inside the array 'temp'" in items(check(path, "metadata")["metadata"])


def test_metadata_fails_on_two_formats_side_by_side(tmp_path: Path) -> None:
    path = make_store(tmp_path / "a.zarr")
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    assert "v2 and v3 side by side" in items(check(path, "metadata")["metadata"])


@pytest.mark.parametrize("kind", ["v2", "v3"])
def test_consolidated_fails_where_it_differs(tmp_path: Path, kind: str) -> None:
    path = make_store(tmp_path / "a.zarr", kind)
    name = ".zattrs" if kind == "v2" else "zarr.json"
    target = (lambda document: document) if kind == "v2" else (lambda document: document["attributes"])
    edit(path / "time" / name, lambda document: target(document).update(units="days since 1970-01-01"))
    result = check(path, "consolidated")["consolidated"]
    assert result.status == "failed"
    assert f"time/{name}: differs from the consolidated metadata in" in result.message


@pytest.mark.parametrize("kind", ["v2", "v3"])
def test_consolidated_fails_where_a_node_is_not_in_it(tmp_path: Path, kind: str) -> None:
    path = make_store(tmp_path / "a.zarr", kind)
    zarr.open_group(path, use_consolidated=False).create_array("late", shape=(1,), dtype="i4")[...] = 1
    result = check(path, "consolidated")["consolidated"]
    assert "late/" in result.message
    assert "do not see this node" in result.message


@pytest.mark.parametrize("kind", ["v2", "v3"])
def test_consolidated_and_complete_fail_where_a_document_is_gone(tmp_path: Path, kind: str) -> None:
    path = make_store(tmp_path / "a.zarr", kind)
    name = ".zarray" if kind == "v2" else "zarr.json"
    (path / "temp" / name).unlink()
    found = check(path)
    assert f"temp/{name}" in found["consolidated"].message
    assert f"temp/{name}: missing" in found["complete"].message
    assert found["strays"].status == "passed"


@pytest.mark.parametrize("part", [7, [], {"metadata": 7}, {"metadata": {"a/../b": {}}}, {"metadata": {"temp": 3}}])
def test_consolidated_fails_on_nonsense(tmp_path: Path, part: Any) -> None:
    path = make_store(tmp_path / "a.zarr")
    edit(path / "zarr.json", lambda document: document.update(consolidated_metadata=part))
    assert check(path, "consolidated")["consolidated"].status == "failed"


# listing


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("v2", "temp/1.0.1"),
        ("v2-slash", "temp/1/0/1"),
        ("v3", "temp/c/1/0/1"),
        ("v3-dot", "temp/c.1.0.1"),
        ("v3-v2keys", "temp/1.0.1"),
        ("sharded", "temp/c/1/0/0"),
        ("v3", "crs/c"),
        ("v2", "crs/0"),
        ("v3", "north/deep/depth/c/2"),
    ],
)
def test_a_missing_object_is_named_and_never_read_as_fill_values(tmp_path: Path, kind: str, key: str) -> None:
    path = make_store(tmp_path / "a.zarr", kind)
    (path / key).unlink()
    found = check(path, sample=None)
    for name in ("complete", "decode", "manifest"):
        assert found[name].status == "failed"
        assert found[name].evidence["count"] == 1
        assert f"{key}: missing" in found[name].message


def test_missing_fill_allows_it_and_missing_manifest_only_what_was_never_written(tmp_path: Path) -> None:
    path = make_store(tmp_path / "a.zarr")
    (path / "temp/c/1/0/1").unlink()
    found = check(path, missing="fill", sample=None)
    assert found["complete"].status == found["decode"].status == "passed"
    assert "1 more are not stored, as missing=fill allows" in found["complete"].message
    found = check(path, missing="manifest", sample=None)
    assert found["complete"].status == found["decode"].status == "failed"
    write_manifest(path)
    found = check(path, missing="manifest", sample=None)
    assert found["complete"].status == found["decode"].status == "passed"
    (tmp_path / "a.zarr.zarrstream/manifest.json").unlink()
    assert check(path, "complete", missing="manifest")["complete"].status == "failed"


def test_missing_fill_excuses_no_metadata(tmp_path: Path) -> None:
    path = make_store(tmp_path / "a.zarr")
    (path / "temp/zarr.json").unlink()
    assert check(path, "complete", missing="fill")["complete"].status == "failed"


def test_evidence_is_bounded_and_counted_for_any_announced_number(tmp_path: Path) -> None:
    path = make_store(tmp_path / "a.zarr", consolidated=False)
    edit(path / "temp/zarr.json", lambda document: document.update(shape=[10**15, 10**15, 6]))
    result = check(path, "complete")["complete"]
    assert result.evidence["count"] > 10**28
    assert len(result.evidence["findings"]) == 20
    assert check(path, "decode", missing="fill")["decode"].status == "passed"


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("temp/c/2/0/0", "beyond the shape [4, 5, 6] of 'temp'"),
        ("temp/c/0/0/0.tmp", "no chunk of 'temp'"),
        ("notes.txt", "belongs to no array"),
        ("old/c/0", "belongs to no array"),
        ("temp/.zattrs", "no chunk of 'temp'"),
    ],
)
def test_strays_are_told_with_their_reason(tmp_path: Path, key: str, reason: str) -> None:
    path = make_store(tmp_path / "a.zarr")
    (path / key).parent.mkdir(parents=True, exist_ok=True)
    (path / key).write_text("x")
    result = check(path, "strays")["strays"]
    assert (result.status, result.severity) == ("warning", "warning")
    assert f"first {key}: {reason}" in result.message or f": {key}: {reason}" in result.message


@pytest.mark.parametrize(("kind", "key"), [("v3", "temp/c/0/0/0"), ("v2", "temp/0.0.0"), ("sharded", "temp/c/0/0/0"), ("v3", "crs/c")])
def test_sizes_fails_on_an_empty_object(tmp_path: Path, kind: str, key: str) -> None:
    (make_store(tmp_path / "a.zarr", kind) / key).write_bytes(b"")
    assert f"{key}: empty" in check(tmp_path / "a.zarr", "sizes")["sizes"].message


@pytest.mark.parametrize(
    ("kind", "key", "size", "problem"),
    [
        ("v3", "time/c/0", 24, "24 bytes where its uncompressed data take 32"),
        ("v3", "temp/c/0/0/0", 5, "too few"),
        ("v2", "temp/0.0.0", 5, "too few"),
        ("sharded", "temp/c/0/0/0", 60, "too few"),
    ],
)
def test_sizes_fails_on_a_truncated_object(tmp_path: Path, kind: str, key: str, size: int, problem: str) -> None:
    file = make_store(tmp_path / "a.zarr", kind) / key
    file.write_bytes(file.read_bytes()[:size])
    found = check(tmp_path / "a.zarr", sample=None)
    assert found["sizes"].status == found["manifest"].status == found["decode"].status == "failed"
    assert problem in found["sizes"].message
    assert key in found["decode"].message


def test_manifest_fails_on_sizes_and_on_objects_that_came_later(tmp_path: Path) -> None:
    path = make_store(tmp_path / "a.zarr")
    (path / "later").write_text("x")
    (path / "time/c/0").write_bytes(b"x" * 33)
    result = check(path, "manifest")["manifest"]
    assert result.status == "failed"
    assert "time/c/0" in items(result)
    assert "33 bytes, 32 were written" in items(result)
    assert "was not there when the store was written" in items(result)


@pytest.mark.parametrize("text", ["", "{}", '{"zarrstream_manifest": 99}', "[" * 100_000])
def test_manifest_fails_where_it_cannot_be_read(tmp_path: Path, text: str) -> None:
    path = make_store(tmp_path / "a.zarr")
    (tmp_path / "a.zarr.zarrstream/manifest.json").write_text(text)
    assert check(path, "manifest")["manifest"].status == "failed"


def test_manifest_is_skipped_where_there_is_none(tmp_path: Path) -> None:
    path = make_store(tmp_path / "a.zarr")
    (tmp_path / "a.zarr.zarrstream/manifest.json").unlink()
    result = check(path, "manifest")["manifest"]
    assert (result.status, result.message) == ("skipped", "there is no manifest beside the store: it was not written by Zarrstream")


# codecs, fill values, decoding, advice


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("v3", lambda document: document["codecs"].append({"name": "squeeze", "configuration": {}})),
        ("v3", lambda document: document["codecs"][-1].update(configuration={"level": "high"})),
        ("v2", lambda document: document.update(compressor={"id": "squeeze"})),
        ("v2", lambda document: document.update(filters=[{"id": "squeeze"}])),
        ("sharded", lambda document: document["codecs"][0]["configuration"]["codecs"].append({"name": "squeeze"})),
    ],
)
def test_codecs_fails_on_one_that_is_not_here(tmp_path: Path, kind: str, change: Callable[[dict[str, Any]], object]) -> None:
    path = make_store(tmp_path / "a.zarr", kind, consolidated=False)
    edit(path / ("temp/.zarray" if kind == "v2" else "temp/zarr.json"), change)
    found = check(path)
    assert found["codecs"].status == "failed"
    assert "temp" in found["codecs"].message
    assert found["complete"].status == found["metadata"].status == "passed"
    assert "3 objects" in check(path, "decode", sample=1)["decode"].message, "the other arrays are decoded all the same"


@pytest.mark.parametrize("dtype", ["i2", "f4"])
def test_fill_value_warns_of_zeros_that_read_as_missing(tmp_path: Path, dtype: str) -> None:
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=2)
    group.create_array("rain", shape=(4,), dtype=dtype, fill_value=0, attributes={"_ARRAY_DIMENSIONS": ["x"]})[...] = 1
    result = check(tmp_path / "a.zarr", "fill_value")["fill_value"]
    assert (result.status, result.severity) == ("warning", "warning")
    assert "rain: fill_value is 0" in result.message
    assert "reads every 0 as missing" in result.message


@pytest.mark.parametrize(
    ("dtype", "value", "good"), [("f4", "AAAAAAAA+H8=", True), ("f4", 1.5, False), ("f4", "x", False), ("u1", -9, False)]
)
def test_fill_value_fails_on_an_attribute_that_xarray_cannot_read(tmp_path: Path, dtype: str, value: Any, good: bool) -> None:
    group = zarr.create_group(tmp_path / "a.zarr")
    group.create_array("rain", shape=(4,), dtype=dtype, attributes={"_FillValue": value})[...] = 1
    assert check(tmp_path / "a.zarr", "fill_value")["fill_value"].status == ("passed" if good else "failed")


def test_decode_fails_on_a_flipped_bit_under_a_checksum(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "a.zarr")
    group.create_array("temp", shape=(64,), chunks=(16,), dtype="f4", compressors=zarr.codecs.GzipCodec())[...] = np.arange(64)
    file = tmp_path / "a.zarr/temp/c/2"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    result = check(tmp_path / "a.zarr", "decode")["decode"]
    assert result.status == "failed"
    assert "temp/c/2: does not decode" in result.message
    assert result.evidence["decoded"] == 3


def test_decode_reads_what_sample_says(tmp_path: Path) -> None:
    path = make_store(tmp_path / "a.zarr")
    assert [check(path, "decode", sample=number)["decode"].evidence.get("decoded") for number in (0, 1, 2, 4, None)] == [None, 4, 6, 9, 13]
    assert check(path, "decode", sample=0)["decode"].status == "skipped"


def test_decode_refuses_what_no_memory_holds(tmp_path: Path) -> None:
    path = make_store(tmp_path / "a.zarr", consolidated=False)
    huge = {"name": "regular", "configuration": {"chunk_shape": [2**40, 3, 3]}}
    edit(path / "temp/zarr.json", lambda document: document.update(chunk_grid=huge))
    assert "a check decodes no more than 4.0 GiB" in check(path, "decode")["decode"].message


def test_chunk_size_advises_against_many_small_objects(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a.zarr", shape=(120,), chunks=(1,), dtype="i4")[...] = 5
    result = check(tmp_path / "a.zarr", "chunk_size")["chunk_size"]
    assert (result.status, result.severity) == ("warning", "info")
    assert "120 objects below 100.0 KiB" in result.message


def test_chunk_size_advises_against_a_huge_object(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a.zarr", shape=(4,), chunks=(4,), dtype="i4")[...] = 5
    with (tmp_path / "a.zarr/c/0").open("r+b") as file:
        file.truncate(600 * 1024**2)  # a sparse file
    result = check(tmp_path / "a.zarr", "chunk_size")["chunk_size"]
    assert "c/0: 600.0 MiB" in result.message


# the request


@pytest.mark.parametrize(
    "options", [{"checks": ("opne",)}, {"sample": -1}, {"missing": "maybe"}, {"fail_on": "info"}, {"store": "ftp://a/b"}]
)
def test_a_bad_request_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        check_store(check_request(**{"store": "/nowhere/a.zarr", **options}))


def test_a_missing_profile_is_an_error_and_no_finding(tmp_path: Path) -> None:
    with pytest.raises(ZarrstreamError, match="profile 'nobody'"):
        check_store(check_request(store="s3://bucket/a.zarr", profile="nobody", config_file=str(tmp_path / "config")))


def test_a_link_that_is_named_is_followed_and_none_below_the_store(tmp_path: Path) -> None:
    store, link, elsewhere = make_store(tmp_path / "s.zarr"), tmp_path / "latest.zarr", tmp_path / "elsewhere"
    link.symlink_to(store)
    assert all(result.status in ("passed", "skipped") for result in check(link).values())
    chunk = next(path for path in sorted(store.rglob("c/*")) if path.is_file())
    chunk.rename(elsewhere)
    chunk.symlink_to(elsewhere)
    assert "symbolic link" in check(link, "decode", sample=None)["decode"].message
