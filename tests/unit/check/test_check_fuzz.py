"""Whatever the metadata of a store have become, a check ends with a report: never with a traceback, never without end."""

from __future__ import annotations

import copy
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from asking import check_request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import THOROUGH
from zarrstream.check.pictures.page import make_page
from zarrstream.check.pictures.portrait import portray
from zarrstream.check.run import CHECKS, inspect_store
from zarrstream.check.threads import Threads
from zarrstream.errors import ZarrstreamError
from zarrstream.sidecar.manifest import Manifest, Stored

pytestmark = pytest.mark.filterwarnings("ignore")
SETTINGS = settings(max_examples=200 if THOROUGH else 4, suppress_health_check=[HealthCheck.too_slow])

SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 5),
    st.sampled_from([2**31, 2**63, 10**30, -(2**63)]),
    st.floats(),
    st.sampled_from(["", "NaN", "v2", "default", ".", "/", "array", "group", "float32", "<f4", "|O", "..", "bytes", "a\x00b", "é"]),
)
JSON = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)), max_leaves=6
)


def make_store(path: Path, zarr_format: Any) -> dict[str, bytes]:
    root = zarr.create_group(path, zarr_format=zarr_format, attributes={"title": "t"})
    names: Any = {"dimension_names": ["x", "y"]} if zarr_format == 3 else {"attributes": {"_ARRAY_DIMENSIONS": ["x", "y"]}}
    more: Any = {"shards": (4, 4), "compressors": zarr.codecs.GzipCodec()} if zarr_format == 3 else {}
    root.create_array("a", shape=(4, 6), chunks=(2, 2), dtype="f4", **names, **more)[...] = np.ones((4, 6))
    root.create_group("g").create_array("b", shape=(3,), chunks=(2,), dtype="i2")[...] = 7
    zarr.consolidate_metadata(path, zarr_format=zarr_format)
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, bytes]]:
    return {number: make_store(tmp_path_factory.mktemp("stores") / f"{number}.zarr", number) for number in (2, 3)}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document at which something can be put."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in inner for place in places(child, (*path, key)))]


def put(document: Any, place: tuple[Any, ...], value: Any, remove: bool) -> Any:
    if not place:
        return value
    changed = copy.deepcopy(document)
    target = changed
    for key in place[:-1]:
        target = target[key]
    if remove and isinstance(target, dict):
        del target[place[-1]]
    else:
        target[place[-1]] = value
    return changed


def check(objects: dict[str, bytes], manifest: bytes | None = None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.zarr"
        for key, data in objects.items():
            (path / key).parent.mkdir(parents=True, exist_ok=True)
            (path / key).write_bytes(data)
        if manifest is not None:
            beside = Path(folder) / "a.zarr.zarrstream"
            beside.mkdir()
            (beside / "manifest.json").write_bytes(manifest)
        inspection = inspect_store(check_request(store=str(path), sample=None), Threads)
        report = inspection.report
        assert [result.id for result in report.checks] == list(CHECKS)
        assert all(result.message and result.status in ("passed", "failed", "warning", "skipped") for result in report.checks)
        json.dumps(report.as_document())
        portrait = portray(inspection.shot, inspection.reader, inspection.tally)
        assert make_page(report, portrait).encode().endswith(b"</html>\n")


def documents(objects: dict[str, bytes]) -> list[str]:
    return sorted(key for key in objects if key.endswith((".json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")))


@pytest.mark.parametrize("zarr_format", [pytest.param(2, marks=pytest.mark.thorough), 3])
@SETTINGS
@given(data=st.data())
def test_a_document_with_a_value_changed(stores: dict[int, dict[str, bytes]], zarr_format: int, data: st.DataObject) -> None:
    objects = dict(stores[zarr_format])
    for _ in range(data.draw(st.integers(1, 2))):
        key = data.draw(st.sampled_from(documents(objects)))
        try:
            document = json.loads(objects[key])
        except ValueError:
            continue
        changed = put(document, data.draw(st.sampled_from(places(document))), data.draw(JSON), data.draw(st.booleans()))
        objects[key] = json.dumps(changed).encode()
    check(objects)


@pytest.mark.parametrize("zarr_format", [2, pytest.param(3, marks=pytest.mark.thorough)])
@SETTINGS
@given(data=st.data())
def test_an_object_with_bytes_changed(stores: dict[int, dict[str, bytes]], zarr_format: int, data: st.DataObject) -> None:
    objects = dict(stores[zarr_format])
    key = data.draw(st.sampled_from(sorted(objects)))
    content = bytearray(objects[key])
    for _ in range(data.draw(st.integers(1, 4))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    objects[key] = bytes(content[: data.draw(st.integers(0, len(content)))]) if data.draw(st.booleans()) else bytes(content)
    check(objects)


@SETTINGS
@given(data=st.data())
def test_objects_removed_and_added(stores: dict[int, dict[str, bytes]], data: st.DataObject) -> None:
    objects = dict(stores[data.draw(st.sampled_from([2, 3]))])
    for key in data.draw(st.lists(st.sampled_from(sorted(objects)), max_size=6)):
        objects.pop(key, None)
    # A name that is a file in one key and a folder in another cannot be on a disk.
    names = st.sampled_from(
        ["zarr.json", ".zgroup", ".zarray", "a/.zattrs", "q/zarr.json", "g/b/zarr.json", "a/c/9/9", "a/9.9", "x y/é", "g/.zarray"]
    )
    for key in data.draw(st.lists(names, max_size=4)):
        objects.setdefault(key, data.draw(st.sampled_from([b"", b"{}", b"null", b'{"zarr_format": 2}', *stores[3].values()])))
    check({key: value for key, value in objects.items() if not any(other.startswith(f"{key}/") for other in objects)})


@SETTINGS
@given(data=st.data())
def test_a_manifest_with_a_value_changed(stores: dict[int, dict[str, bytes]], data: st.DataObject) -> None:
    stored = {key: Stored(len(content), hashlib.md5(content).hexdigest()) for key, content in stores[3].items()}
    document = json.loads(Manifest("f", 3, "2026-01-01T00:00:00Z", {}, [], stored).to_json())
    changed = put(document, data.draw(st.sampled_from(places(document))), data.draw(JSON), data.draw(st.booleans()))
    check(stores[3], json.dumps(changed).encode())


@pytest.mark.parametrize("key", ["..", "a/../../b", "/etc", "a//b", "", ".", "a/./b"])
def test_no_name_in_the_metadata_leads_out_of_the_store(stores: dict[int, dict[str, bytes]], key: str) -> None:
    objects = dict(stores[3])
    root = json.loads(objects["zarr.json"])
    root["consolidated_metadata"]["metadata"][key] = {"zarr_format": 3, "node_type": "group"}
    objects["zarr.json"] = json.dumps(root).encode()
    try:
        check(objects)
    except ZarrstreamError as error:
        pytest.fail(str(error))
