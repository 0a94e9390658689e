"""The fingerprint: the same for the same contents and request, another for anything else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zarrstream.encoding.codecs import parse_encoding
from zarrstream.write.fingerprint import fingerprint, normal_request

BASE: dict[str, Any] = {"zarr_format": 3, "consolidated": True, "variables": None, "chunks": None, "encoding": {}}


def request(**changes: Any) -> dict[str, Any]:
    options = {**BASE, **changes}
    options["encoding"] = {name: encoding.normal() for name, encoding in parse_encoding(options["encoding"]).items()}
    return normal_request(**options)


@pytest.mark.parametrize(
    "changes",
    [
        {"variables": []},
        {"chunks": {}},
        {"encoding": {"air": {}}},
        {"encoding": {"air": {"compressor": "zstd"}}},
        {"encoding": {"air": {"compressor": {"name": "zstd"}, "filters": []}}},
    ],
)
def test_other_words_for_the_defaults_make_no_difference(changes: dict[str, Any]) -> None:
    assert fingerprint(request(**changes), ["d"]) == fingerprint(request(), ["d"])


def test_order_makes_no_difference() -> None:
    one = request(
        variables=["a", "b"], chunks={"x": 1, "y": 2}, encoding={"a": {"dtype": "int16", "scale_factor": 2}, "b": {"dtype": "f4"}}
    )
    two = request(
        variables=["b", "a"], chunks={"y": 2, "x": 1}, encoding={"b": {"dtype": "float32"}, "a": {"scale_factor": 2, "dtype": "<i2"}}
    )
    assert fingerprint(one, ["d"]) == fingerprint(two, ["d"])


@pytest.mark.parametrize(
    "changes",
    [
        {"zarr_format": 2},
        {"consolidated": False},
        {"variables": ["air"]},
        {"chunks": {"time": 1}},
        {"encoding": {"air": {"compressor": "none"}}},
        {"encoding": {"air": {"compressor": {"name": "zstd", "level": 9}}}},
        {"encoding": {"air": {"filters": ["delta"]}}},
        {"encoding": {"air": {"_FillValue": float("nan")}}},
    ],
)
def test_any_other_request_is_another(changes: dict[str, Any]) -> None:
    assert fingerprint(request(**changes), ["d"]) != fingerprint(request(), ["d"])


def test_contents_and_their_order_count() -> None:
    digests = [fingerprint(request(), source) for source in (["a"], ["b"], ["a", "b"], ["b", "a"], ["ab"], [])]
    assert len(set(digests)) == len(digests)


@given(
    chunks=st.dictionaries(st.text(min_size=1), st.integers(1, 10**6), max_size=3), variables=st.none() | st.lists(st.text(), max_size=3)
)
def test_the_request_in_a_manifest_is_the_request(chunks: dict[str, int], variables: list[str] | None) -> None:
    normal = request(chunks=chunks, variables=variables, encoding={"a": {"_FillValue": float("nan"), "filters": ["delta"]}})
    assert json.loads(json.dumps(normal, allow_nan=False)) == normal
