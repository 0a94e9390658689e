"""How sources are read: said in many ways, one value; in the fingerprint, the manifest, a check, and for workers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from asking import check_request, write_request
from zarrstream.errors import BadRequest
from zarrstream.source.joins import NOTHING_ASKED, parse_combine
from zarrstream.source.name_pattern import NamePattern
from zarrstream.source.reading import AS_FOUND, parse_reading
from zarrstream.write.fingerprint import fingerprint, respelled

SPELLINGS: list[Any] = [
    {"dim": "time"},
    {"dim": "time", "overlap": "last", "tolerance": "1e-6", "differing": ["history", "crs", "crs"]},
    {"tolerance": 1e-9, "static": "first"},
    {"dim": "Time", "value_from": {"scalar": "XTIME"}},
    [{"dim": "member", "value_from": {"filename": "r{}i1.nc"}}, {"dim": "time", "overlap": "first", "differing": "title"}],
]


@pytest.mark.parametrize("combine", SPELLINGS)
def test_the_normal_form_says_the_same(combine: Any) -> None:
    found = parse_combine(combine)
    assert found != NOTHING_ASKED
    assert parse_combine(json.loads(json.dumps(found.normal()))) == found


@pytest.mark.parametrize("combine", [None, {}, [], {"overlap": "refuse", "tolerance": 0, "static": "refuse", "differing": []}])
def test_other_words_for_the_defaults(combine: Any) -> None:
    wanted = write_request(["a.nc"], "b.zarr", combine=combine)
    assert wanted.reading == AS_FOUND
    assert wanted.reading.normal() == {"combine": [], "prepare": []}
    assert wanted.identity() == respelled(write_request(["a.nc"], "b.zarr").identity())


@pytest.mark.parametrize("combine", SPELLINGS)
def test_it_makes_another_store(combine: Any) -> None:
    plain, other = (write_request(["a.nc"], "b.zarr", **options).identity() for options in ({}, {"combine": combine}))
    assert fingerprint(plain, ["d"]) != fingerprint(other, ["d"])
    assert parse_reading(json.loads(json.dumps(other))) == parse_reading({"combine": combine})


@pytest.mark.parametrize(
    ("combine", "words"),
    [
        ("time", "it is a dictionary such as"),
        (["time"], "it is a dictionary such as"),
        ({"dims": "time"}, "combine has 'dims'.*Did you mean 'dim'"),
        ({"dim": ["time"]}, "combine.dim is"),
        ({"dim": "t", "overlap": "best"}, "combine.overlap is 'best': it is one of refuse, first, last"),
        ({"static": "last"}, "combine.static is 'last'"),
        ({"tolerance": -1}, "combine.tolerance is -1"),
        ({"tolerance": "nan"}, "combine.tolerance is 'nan'"),
        ({"tolerance": True}, "combine.tolerance is True"),
        ({"differing": {"a": 1}}, "combine.differing is"),
        ({"value_from": {"scalar": "t"}}, "without combine.dim"),
        ({"dim": "t", "value_from": "filename"}, "combine.value_from is 'filename'"),
        ({"dim": "t", "value_from": {"scalar": "a", "attribute": "b"}}, "combine.value_from is"),
        ({"dim": "t", "value_from": {"filename": "a.nc"}}, "one pair of braces"),
        ({"dim": "t", "value_from": {"filename": "{%y}.nc"}}, "in the braces of a date"),
        ({"dim": "t", "value_from": {"filename": "{year}.nc"}}, "in the braces of a date"),
        ([{"dim": "a"}, {"overlap": "first"}], "needs a 'dim' of its own"),
        ([{"dim": "a"}, {"dim": "a"}], "needs a 'dim' of its own"),
        ([{"dim": "a", "static": "first"}, {"dim": "b", "static": "refuse"}], "combine.static is said twice"),
    ],
)
def test_what_makes_no_sense_is_refused_at_the_door(combine: Any, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        write_request(["a.nc"], "b.zarr", combine=combine)


def test_a_check_takes_what_the_manifest_says_unless_told_otherwise() -> None:
    written = parse_reading({"combine": {"dim": "time", "overlap": "last"}}).normal()
    assert check_request("b.zarr").reading(written) == parse_reading(written)
    assert check_request("b.zarr").reading({}) == AS_FOUND
    assert check_request("b.zarr", combine={}).reading(written) == AS_FOUND
    assert check_request("b.zarr", combine={"dim": "x"}).reading(written).combine == parse_combine({"dim": "x"})


@pytest.mark.parametrize(
    ("pattern", "name", "value"),
    [
        ("r{}i1p1f1.nc", "r12i1p1f1.nc", "12"),
        ("tas_*_r{}i*_*.nc", "tas_Amon_M-1_hist_r3i1p1f2_gn_1850-1900.nc", "3"),
        ("*_{}.nc", "run_a_b.nc", "b"),
        ("m?_{}", "m1_x.y", "x.y"),
        ("wrfout_d01_{%Y-%m-%d_%H:%M:%S}", "wrfout_d01_2020-01-02_03:04:05", "2020-01-02T03:04:05+00:00"),
        ("*_s{%Y%j%H%M%S}*.nc", "OR_ABI-L2-CMIPF-M3C13_G16_s20172411507203_e1_c2.nc", "2017-08-29T15:07:20+00:00"),
    ],
)
def test_a_pattern_finds_the_value(pattern: str, name: str, value: str) -> None:
    found = NamePattern(pattern).value(name, name)
    assert (found if isinstance(found, str) else found.isoformat()) == value


@pytest.mark.parametrize(
    ("pattern", "name"), [("r{}.nc", "x1.nc"), ("r{}.nc", "r_.nc"), ("{%Y%m%d}", "20201301"), ("a{}", "a1\n" * 3 + "_")]
)
def test_a_name_that_does_not_fit_is_refused(pattern: str, name: str) -> None:
    with pytest.raises(Exception, match="does not fit the pattern"):
        NamePattern(pattern).value(name, f"/data/{name}")


def test_no_name_takes_long() -> None:
    pattern = NamePattern("*a" * 60 + "*{}b")
    with pytest.raises(Exception, match="does not fit"):
        pattern.value("a" * 255, str(Path("x")))
