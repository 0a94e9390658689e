"""The manifest: what goes in comes out, and nothing else is taken for one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zarrstream.errors import ZarrstreamError
from zarrstream.sidecar.manifest import Manifest, Stored, parse_manifest
from zarrstream.sidecar.records import outside

MD5 = st.text("0123456789abcdef", min_size=32, max_size=32)
VALUES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()
DOCUMENTS = st.dictionaries(st.text(), VALUES | st.lists(VALUES), max_size=4)


def make(**changes: object) -> Manifest:
    fields: dict = {
        "fingerprint": "f" * 64,
        "zarr_format": 3,
        "created": "2026-01-01T00:00:00+00:00",
        "request": {"chunks": {"time": 240}},
        "source": [{"name": "air.nc", "size": 5, "mtime_ns": 7, "digest": "d"}],
        "objects": {"zarr.json": Stored(10, "0" * 32), "air/c/0": Stored(20, "1" * 32)},
        "plan": {"chunks": 1},
    }
    return Manifest(**{**fields, **changes})


KEYS = st.lists(st.text(min_size=1).filter(lambda name: outside([name]) is None), min_size=1).map("/".join)


@given(
    objects=st.dictionaries(KEYS, st.builds(Stored, st.integers(0, 2**40), MD5), max_size=8),
    request=DOCUMENTS,
    plan=DOCUMENTS,
    source=st.lists(DOCUMENTS, max_size=3),
)
def test_a_manifest_survives_its_document(objects: dict[str, Stored], request: dict, plan: dict, source: list[dict]) -> None:
    manifest = make(objects=objects, request=request, plan=plan, source=source)
    assert parse_manifest(manifest.to_json(), "here") == manifest
    assert manifest.bytes_stored == sum(stored.size for stored in objects.values())


def test_the_order_of_the_objects_makes_no_difference() -> None:
    manifest = make()
    assert make(objects=dict(reversed(manifest.objects.items()))).to_json() == manifest.to_json()


def test_a_manifest_without_a_plan_is_read() -> None:
    document = json.loads(make().to_json())
    del document["plan"]
    assert parse_manifest(json.dumps(document).encode(), "here") == make(plan={})


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"no", b'{"zarrstream_manifest":1}', b'{"zarrstream_manifest":1,"objects":[]}', b"\xff"]
)
def test_what_is_no_manifest_is_named(data: bytes) -> None:
    with pytest.raises(ZarrstreamError, match="s3://b/a is not a manifest"):
        parse_manifest(data, "s3://b/a")


def test_a_later_version_is_named() -> None:
    with pytest.raises(ZarrstreamError, match="version 2; this release reads version 1"):
        parse_manifest(b'{"zarrstream_manifest":2}', "here")
