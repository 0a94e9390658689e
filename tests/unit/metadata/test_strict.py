"""Attributes as strict JSON: each value that JSON lacks has one spelling, and what xarray interprets means the same."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from zarrstream.metadata.strict import storable, strict_problem

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (NAN, "NaN"),
        (np.float32("nan"), "NaN"),
        (INF, "Infinity"),
        (-INF, "-Infinity"),
        (np.array([-np.inf, 1, np.nan], "f4"), ["-Infinity", 1.0, "NaN"]),
        ([1, [NAN, {"deep": INF}]], [1, ["NaN", {"deep": "Infinity"}]]),
        (b"caf\xc3\xa9", "café"),
        (b"\xb0C", "°C"),
        ("half \ud800", "half \\ud800"),
    ],
)
def test_what_json_lacks_has_one_spelling_and_is_noted(value: Any, stored: Any) -> None:
    found = storable({"it": value})
    assert found.attrs == {"it": stored}
    assert not strict_problem(json.dumps(found.attrs))
    assert len(found.notes) == (value != b"caf\xc3\xa9" if isinstance(value, bytes) else 1)
    assert storable(found.attrs).attrs == found.attrs
    assert not storable(found.attrs).notes


@pytest.mark.parametrize("value", [1, "NaN", "°☃", [1, 2.5], np.int8(-1), np.uint64(2**64 - 1), True, [], {"a": None}])
def test_all_else_stays(value: Any) -> None:
    found = storable({"it": value}, "f")
    assert found.attrs == {"it": value}
    assert not found.notes


@pytest.mark.parametrize(
    ("attrs", "kind", "stored"),
    [
        ({"missing_value": NAN, "_FillValue": NAN}, "f", {"_FillValue": NAN}),
        ({"missing_value": np.array([np.nan, -9.0])}, "f", {"missing_value": -9.0}),
        ({"missing_value": [NAN, -9, -8]}, "i", {"missing_value": [-9, -8]}),
        ({"missing_value": INF}, "i", {}),
        ({"missing_value": INF}, "f", {"_FillValue": INF}),
        ({"missing_value": "NaN"}, "f", {"missing_value": "NaN"}),
    ],
)
def test_missing_values_mean_what_they_meant(attrs: dict, kind: str, stored: dict) -> None:
    found = storable(attrs, kind)
    assert str(found.attrs) == str(stored)
    assert bool(found.notes) == (str(attrs) != str(stored))
    assert not found.refused


@pytest.mark.parametrize(
    ("attrs", "named"),
    [({"scale_factor": NAN}, "scale_factor"), ({"add_offset": -INF}, "add_offset"), ({"missing_value": [INF, 1.0]}, "missing_value")],
)
def test_what_no_reader_would_decode_is_refused(attrs: dict, named: str) -> None:
    assert storable(attrs, "f").refused.startswith(named)


@pytest.mark.parametrize(
    ("kind", "attrs", "stored", "fill"),
    [
        ("S", {"_FillValue": np.bytes_(b"?")}, {}, b"?"),
        ("T", {"_FillValue": "none"}, {"missing_value": "none"}, "none"),
        ("O", {"_FillValue": "none", "missing_value": "none"}, {"missing_value": "none"}, "none"),
        ("U", {"_FillValue": "none", "missing_value": "gone"}, {"missing_value": ["gone", "none"]}, "none"),
    ],
)
def test_text_in_format_3_keeps_its_fill_value_where_xarray_reads_it(kind: str, attrs: dict, stored: dict, fill: Any) -> None:
    found = storable(attrs, kind, 3)
    assert (found.attrs, found.fill_value, len(found.notes)) == (stored, fill, 1)
    assert storable(attrs, kind, 2).attrs == attrs


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b'{"a": 1.5, "b": ["NaN"]}', ""),
        (b'{"a": NaN}', "has NaN"),
        (b'{"a": [-Infinity]}', "has -Infinity"),
        (b'{"a": "\xb0C"}', "is not UTF-8"),
        (b'\xef\xbb\xbf{"a": 1}', "byte order mark"),
        (b'{"a": "\\ud800"}', "surrogates"),
        (b'{"a": "\\ud83d\\ude00"}', ""),
        (b"{", "Expecting"),
        (b"[" * 100_000, "recursion"),
    ],
)
def test_a_document_is_strict_json_or_says_why_not(data: bytes, problem: str) -> None:
    assert problem in strict_problem(data)
    assert bool(strict_problem(data)) == bool(problem)


def test_infinity_is_no_number_of_json() -> None:
    assert math.isinf(json.loads("Infinity"))  # which is why Python's own reader tells nothing
    assert strict_problem("Infinity")
