"""The fingerprint: the same for the same contents and request, another for anything else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zarrstream.encoding.codecs import parse_encoding
from zarrstream.write.fingerprint import fingerprint, normal_request
from zarrstream.write.request import request_from

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


# As b0e6c44 found them, whose stores are to stay unchanged.
KEPT = [
    ({}, "d31502586fca6a91e4ac30973cfa543da0bbbd80520191c1e2c946b8dda725e8"),
    (
        {"chunks": "auto", "shards": None, "memory": None, "encoding": {"v": {}, "u": {"compressor": "zstd"}}},
        "d31502586fca6a91e4ac30973cfa543da0bbbd80520191c1e2c946b8dda725e8",
    ),
    ({"chunks": {"time": "240", "lat": " 90 ", "lon": "auto"}}, "086bca1746ff2768db150646ee756d917b35ca59cff0a2f7ce4fc0f8aef998e3"),
    (
        {"chunks": {"lat": 90, "time": 240}, "memory": "2GiB", "timeout": 5, "profile": "zarr"},
        "086bca1746ff2768db150646ee756d917b35ca59cff0a2f7ce4fc0f8aef998e3",
    ),
    ({"chunks": {"time": 24}, "shards": {"time": "240"}}, "743f78f3bbc493aed76d8209e82d121a08f75e65dc79be2acbc6e9f83683e3ca"),
    ({"shards": "auto", "scheduler": "tcp://10.0.0.5:8786"}, "865261f851f234cda13056219d139e5edf47839d82ff2d454e2fa332ac4a9919"),
    (
        {"zarr_format": 2, "consolidated": False, "variables": ["v", "u", "v"]},
        "d8b24e7e563d316f94640efd2c3115d8aebfb59777b513ccf9386af1b3140da6",
    ),
    (
        {"encoding": {"u": {"compressor": "blosc"}, "v": {"compressor": {"name": "zstd", "level": 9}, "filters": ["shuffle"]}}},
        "1e4f14e923a60a3e9a65311fec39b5fa6b27e071e1cb1e1923cd467d116f96bb",
    ),
    (
        {"encoding": {"v": {"dtype": "int16", "scale_factor": 0.1, "add_offset": 1, "_FillValue": -1}, "u": {"_FillValue": "NaN"}}},
        "86fe010df2b3d28bb2515955ab4957ee55b7f1991588428aea01ef2416d1f467",
    ),
]


@pytest.mark.parametrize(("options", "expected"), KEPT)
def test_requests_keep_their_fingerprints(options: dict[str, Any], expected: str) -> None:
    wanted = request_from({"source": "a.nc", "store": "b.zarr", **options})
    assert fingerprint(wanted.identity(), ["1", "2"]) == expected


def test_contents_and_their_order_count() -> None:
    digests = [fingerprint(request(), source) for source in (["a"], ["b"], ["a", "b"], ["b", "a"], ["ab"], [])]
    assert len(set(digests)) == len(digests)


@given(
    chunks=st.dictionaries(st.text(min_size=1), st.integers(1, 10**6), max_size=3), variables=st.none() | st.lists(st.text(), max_size=3)
)
def test_the_request_in_a_manifest_is_the_request(chunks: dict[str, int], variables: list[str] | None) -> None:
    normal = request(chunks=chunks, variables=variables, encoding={"a": {"_FillValue": float("nan"), "filters": ["delta"]}})
    assert json.loads(json.dumps(normal, allow_nan=False)) == normal
