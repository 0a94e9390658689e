"""Which objects an array consists of, from its metadata document alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zarrstream.check.census import size_rule
from zarrstream.metadata.layout import ArrayLayout, BadDocument, array_layout

ZSTD = {"name": "zstd", "configuration": {"level": 0}}


def v3(shape: list[int], chunks: list[int], **changes: Any) -> dict[str, Any]:
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": "float32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
    } | changes


def v2(shape: list[int], chunks: list[int], **changes: Any) -> dict[str, Any]:
    return {"zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": "<f4", "compressor": None, "filters": None} | changes


def sharded(inner: list[int], **changes: Any) -> list[dict[str, Any]]:
    codecs = [{"name": "bytes"}, ZSTD]
    return [{"name": "sharding_indexed", "configuration": {"chunk_shape": inner, "codecs": codecs} | changes}]


@pytest.mark.parametrize(
    ("document", "keys"),
    [
        (v3([4, 5], [2, 3]), ["a/c/0/0", "a/c/0/1", "a/c/1/0", "a/c/1/1"]),
        (v3([3], [2], chunk_key_encoding={"name": "default", "configuration": {"separator": "."}}), ["a/c.0", "a/c.1"]),
        (v3([3], [2], chunk_key_encoding="default"), ["a/c/0", "a/c/1"]),
        (v3([2, 2], [2, 1], chunk_key_encoding={"name": "v2"}), ["a/0.0", "a/0.1"]),
        (v3([], []), ["a/c"]),
        (v3([], [], chunk_key_encoding={"name": "v2"}), ["a/0"]),
        (v3([0, 5], [1, 5]), []),
        (v3([8], [4], codecs=sharded([2])), ["a/c/0", "a/c/1"]),
        (v2([3, 2], [2, 2]), ["a/0.0", "a/1.0"]),
        (v2([3, 2], [2, 2], dimension_separator="/"), ["a/0/0", "a/1/0"]),
        (v2([], []), ["a/0"]),
        (v2([0], [1]), []),
    ],
)
def test_the_objects_of_an_array(document: dict[str, Any], keys: list[str]) -> None:
    layout = array_layout("a", document, {})
    assert list(layout.object_keys()) == keys
    assert layout.count == len(keys)
    assert [layout.key(layout.coordinates(number)) for number in range(layout.count)] == keys
    assert [layout.key(place) for key in keys if (place := layout.coordinates_of(key)) is not None] == keys


@pytest.mark.parametrize(
    "key", ["a/c/2/0", "a/c/0", "a/c/0/0/0", "a/c/00/0", "a/c/-1/0", "a/c/x/0", "a/0/0", "a/c.0.0", "a/c/0/ 1", "a/c/٣/0"]
)
def test_what_is_no_object_of_an_array(key: str) -> None:
    assert array_layout("a", v3([4, 5], [2, 3]), {}).coordinates_of(key) is None


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (v3([4], [2, 2]), "chunk_shape"),
        (v3([4], [0]), "chunk_shape"),
        (v3([-4], [2]), "shape"),
        (v3([True], [1]), "shape"),
        (v3([4.0], [2]), "shape"),  # type: ignore[list-item]
        (v3([4] * 65, [4] * 65), "shape"),
        (v3([4], [2], chunk_grid={"name": "rectilinear", "configuration": {}}), "rectilinear"),
        (v3([4], [2], chunk_grid=7), "chunk_grid"),
        (v3([4], [2], chunk_key_encoding={"name": "fancy"}), "fancy"),
        (v3([4], [2], chunk_key_encoding={"name": "default", "configuration": {"separator": "-"}}), "separator"),
        (v3([4], [2], codecs=[]), "codecs"),
        (v3([4], [2], codecs=[{"nom": "bytes"}]), "codecs"),
        (v3([8], [4], codecs=sharded([3])), "does not divide"),
        (v3([8], [4], codecs=sharded([2], codecs=None)), "codecs is missing"),
        (v3([8], [4], codecs=sharded([2], codecs=sharded([1], codecs=[7]))), "codecs is 7"),
        (v3([4], [2], dimension_names=["x", "y"]), "dimension_names"),
        (v3([4], [2], attributes=[1]), "attributes"),
        (v2([4], [2], compressor="zlib"), "compressor"),
        (v2([4], [2], filters={"id": "delta"}), "filters"),
        (v2([4], [2], dimension_separator="_"), "dimension_separator"),
        (v2([4], None), "chunks"),  # type: ignore[arg-type]
    ],
)
def test_a_document_that_describes_no_array_is_refused_by_field(document: dict[str, Any], field: str) -> None:
    with pytest.raises(BadDocument, match=field):
        array_layout("a", document, {})


@pytest.mark.parametrize(
    ("document", "least", "exact"),
    [
        (v3([4, 6], [2, 3]), 1, 24),
        (v3([4, 6], [2, 3], codecs=[{"name": "bytes"}, {"name": "crc32c"}]), 5, 28),
        (v3([4], [2], codecs=[{"name": "bytes"}, ZSTD]), 9, None),
        (v3([8], [8], codecs=sharded([2])), 64, None),
        (v3([4], [2], data_type="string", codecs=[{"name": "vlen-utf8"}]), 1, None),
        (v3([4], [2], data_type={"name": "fixed_length_utf32", "configuration": {"length_bytes": 12}}), 1, 24),
        (v3([4], [2], data_type="bool"), 1, 2),
        (v2([4], [2]), 1, 8),
        (v2([4], [2], dtype="<U3"), 1, 24),
        (v2([4], [2], dtype="|O", filters=[{"id": "vlen-utf8"}]), 1, None),
        (v2([4], [2], compressor={"id": "blosc"}), 16, None),
    ],
)
def test_what_size_an_object_can_have(document: dict[str, Any], least: int, exact: int | None) -> None:
    rule = size_rule(array_layout("a", document, {}))
    assert (rule.least, rule.exact) == (least, exact)


@st.composite
def layouts(draw: st.DrawFn) -> ArrayLayout:
    shape = draw(st.lists(st.integers(0, 9), max_size=4))
    chunks = [draw(st.integers(1, 10)) for _ in shape]
    encoding = draw(st.sampled_from(["default", "v2"]))
    separator = draw(st.sampled_from([".", "/"]))
    path = draw(st.sampled_from(["", "a", "a/b"]))
    return array_layout(path, v3(shape, chunks, chunk_key_encoding={"name": encoding, "configuration": {"separator": separator}}), {})


@given(layouts())
def test_keys_regions_and_places_belong_together(layout: ArrayLayout) -> None:
    covered = 0
    for number, key in enumerate(layout.object_keys()):
        place = layout.coordinates(number)
        assert layout.coordinates_of(key) == place
        elements = 1
        for part, size in zip(layout.region(place), layout.shape, strict=True):
            assert 0 <= part.start < part.stop <= size
            elements *= part.stop - part.start
        covered += elements
    total = 1
    for size in layout.shape:
        total *= size
    assert covered == total
