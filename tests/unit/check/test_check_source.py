"""The checks against a source: a store that was made from a NetCDF file passes, and each change to it is found."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from asking import check_request, check_store, write_request
from writing import made_once
from zarrstream.commands.write import write_dataset
from zarrstream.errors import SourceError
from zarrstream.findings import CheckResult
from zarrstream.sidecar.manifest import Manifest

pytestmark = pytest.mark.filterwarnings("ignore")
ODD = struct.unpack("<f", bytes.fromhex("0100c17f"))[0]  # a NaN with a payload of its own


def odd_values() -> np.ndarray:
    values = np.linspace(-5, 5, 4 * 6, dtype="f4").reshape(4, 6)
    values.view("u4")[0, 0] = 0x7FC10001  # NaN with a payload
    values[0, 1], values[0, 2], values[1, 0] = -0.0, np.inf, np.nan
    return values


def dataset() -> xr.Dataset:
    """Values as they are stored: packed, with numbers for times."""
    variables = {
        "temp": (("time", "x"), odd_values(), {"units": "K", "long_name": "Témperature", "valid_range": np.array([1, 2], "f4")}),
        "rain": (
            ("time", "x"),
            np.arange(24, dtype="i2").reshape(4, 6) - 9,
            {"scale_factor": 0.1, "add_offset": 5.0, "_FillValue": np.int16(-9)},
        ),
        "flag": (("x",), np.arange(6, dtype="u1"), {"missing_value": np.uint8(255)}),
        "name": (("x",), np.array(["a", "bé", "", "d", "e", "f"], dtype=object)),
        "crs": ((), np.int32(7), {"grid_mapping_name": "latitude_longitude"}),
        "time": (("time",), np.arange(4, dtype="i4") * 6, {"units": "hours since 2000-02-28", "calendar": "noleap"}),
        "x": (("x",), np.arange(6, dtype="f8")),
    }
    return xr.Dataset(variables, attrs={"title": "test", "Conventions": "CF-1.8", "numbers": np.array([1.5, np.nan])})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    encoding = {name: {"_FillValue": None} for name in ("temp", "x")}
    return made_once(tmp_path / "a.nc", lambda path: dataset().to_netcdf(path, engine="netcdf4", encoding=encoding), "check")


def write_store(
    source: Path,
    zarr_format: Any = 3,
    *,
    decoded: bool = False,
    consolidated: bool = True,
    request: dict[str, Any] | None = None,
    **options: Any,
) -> Path:
    """A store of the source, written by xarray in encoded form, or the way most people do it: decoded and encoded anew."""
    key = ("check", zarr_format, decoded, consolidated, repr(request), repr(options))

    def make(path: Path) -> None:
        fill_store(path, source, decoded, zarr_format=zarr_format, consolidated=consolidated, **options)
        if request is not None:
            beside = path.with_name("a.zarr.zarrstream")
            beside.mkdir()
            (beside / "manifest.json").write_bytes(Manifest("f", zarr_format, "2026-01-01T00:00:00Z", request, [], {}).to_json())

    return made_once(source.with_name("a.zarr"), make, *key)


def fill_store(path: Path, source: Path, decoded: bool, **options: Any) -> None:
    with xr.open_dataset(source, engine="netcdf4", decode_cf=decoded) as opened:
        loaded = opened.load()
    for name, variable in loaded.variables.items():
        variable.encoding = {}
        if not decoded and variable.dtype.kind == "f":
            variable.encoding["_FillValue"] = None
        if name in ("temp", "rain") and "shards" not in options.get("encoding", {}).get(name, {}):
            variable.encoding["chunks"] = (2, 3)
    loaded.to_zarr(path, **options)


def check(path: Path, source: Path, **options: Any) -> dict[str, CheckResult]:
    request = check_request(store=str(path), source=(str(source),), checks=("decode", "roundtrip", "values"), **{"sample": None, **options})
    return {result.id: result for result in check_store(request).checks}


def change_value(path: Path, name: str, index: tuple[int, ...], value: Any) -> None:
    array = zarr.open_group(path, mode="r+")[name]
    assert isinstance(array, zarr.Array)
    array[index] = value


def change_attribute(path: Path, name: str, **attributes: Any) -> None:
    """Set attributes, or with None remove them."""
    document = json.loads((path / name / "zarr.json").read_text())
    changed = document["attributes"] | attributes
    document["attributes"] = {key: value for key, value in changed.items() if value is not None}
    (path / name / "zarr.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("sample", "zarr_format"), [(1, 3), (None, 2), *(pytest.param(*each, marks=pytest.mark.thorough) for each in ((1, 2), (None, 3)))]
)
def test_a_store_in_encoded_form_equals_its_source_bit_for_bit(source: Path, zarr_format: int, sample: int | None) -> None:
    found = check(write_store(source, zarr_format), source, sample=sample)
    assert {name: result.status for name, result in found.items()} == {"decode": "passed", "roundtrip": "passed", "values": "passed"}
    assert found["values"].message.endswith("7 variables equal the source bit for bit")
    assert found["values"].evidence["tolerances"] == {}


def test_shards_equal_the_source_too(source: Path) -> None:
    path = write_store(source, encoding={"temp": {"chunks": (2, 3), "shards": (4, 6)}})
    assert check(path, source)["values"].status == "passed"


def test_a_store_of_decoded_values_is_compared_within_what_its_encoding_costs(source: Path) -> None:
    found = check(write_store(source, decoded=True), source)
    assert {name: result.status for name, result in found.items()} == {"decode": "passed", "roundtrip": "passed", "values": "passed"}
    assert "rain" in found["roundtrip"].evidence["repacked"]


@pytest.mark.parametrize(
    ("name", "index", "value", "texts"),
    [
        ("temp", (3, 5), 4.9999995, ["first at [3, 5]", "4.99999", "temp/c/1/1"]),
        ("temp", (0, 1), 0.0, ["stored 0.0, in the source -0.0"]),
        ("temp", (0, 0), np.nan, ["bytes 0000c07f", "bytes 0100c17f"]),
        ("rain", (2, 2), 77, ["stored 77, in the source 5"]),
        ("flag", (5,), 255, ["stored 255, in the source 5"]),
        ("name", (1,), "be", ["stored 'be', in the source 'bé'"]),
        ("crs", (), 8, ["stored 8, in the source 7", "first at []"]),
        ("x", (0,), 1e-300, ["stored 1e-300"]),
        ("time", (1,), 7, ["stored 7, in the source 6"]),
    ],
)
def test_values_names_one_changed_element(source: Path, name: str, index: tuple[int, ...], value: Any, texts: list[str]) -> None:
    path = write_store(source)
    change_value(path, name, index, value)
    result = check(path, source)["values"]
    assert result.status == "failed"
    assert result.evidence["count"] == 1
    (item,) = result.evidence["findings"]
    assert (item["array"], item["index"], item["elements"]) == (name, list(index), 1)
    for text in texts:
        assert text in json.dumps(item, ensure_ascii=False)


def test_values_and_decode_name_a_missing_chunk_rather_than_its_fill_values(source: Path) -> None:
    path = write_store(source)
    (path / "temp/c/0/1").unlink()
    found = check(path, source)
    assert "temp/c/0/1: missing" in found["decode"].message
    assert found["values"].status == "passed", "what is missing is no other value"


def test_the_sample_is_the_same_in_each_run_and_another_for_another_seed(tmp_path: Path) -> None:
    values = xr.Dataset({"a": (("x",), np.arange(200, dtype="i4"))})
    values.to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    path = tmp_path / "a.zarr"
    values.to_zarr(path, encoding={"a": {"chunks": (1,)}}, consolidated=True)
    zarr.open_group(path, mode="r+")["a"][...] = np.arange(200) + 1  # type: ignore[index]

    def keys(seed: int) -> list[str]:
        return [item["key"] for item in check(path, tmp_path / "a.nc", sample=5, seed=seed)["values"].evidence["findings"]]

    assert keys(0) == keys(0) != keys(1)
    assert len(set(keys(0))) == 5
    assert keys(0)[-1] == "a/c/199"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda path: change_attribute(path, "temp", units="degC"), 'temp: attribute \'units\' is "degC", in the source "K"'),
        (lambda path: change_attribute(path, "", title="other"), "/: attribute 'title'"),
        (lambda path: change_attribute(path, "temp", extra=1), "attribute 'extra' is not in the source"),
        (lambda path: change_attribute(path, "crs", grid_mapping_name=None), "attribute 'grid_mapping_name' of the source is missing"),
        (lambda path: change_attribute(path, "rain", _FillValue=-8), "attribute '_FillValue' is -8, in the source -9"),
        (lambda path: change_attribute(path, "rain", scale_factor=0.2), "attribute 'scale_factor' is 0.2, in the source 0.1"),
        (lambda path: change_attribute(path, "time", calendar="standard"), "attribute 'calendar'"),
        (lambda path: change_attribute(path, "temp", coordinates="lat lon"), "coordinates 'lat lon'"),
        (
            lambda path: zarr.open_group(path, mode="r+").create_array("more", shape=(2,), dtype="i4", dimension_names=["q"]),
            "not in the source",
        ),
        (lambda path: (path / "flag/zarr.json").unlink(), "flag: in the source, not in the store"),
    ],
)
def test_roundtrip_names_what_differs(source: Path, change: Callable[[Path], object], text: str) -> None:
    path = write_store(source, request={"variables": None, "encoding": {}}, consolidated=False)
    change(path)
    result = check(path, source)["roundtrip"]
    assert result.status == "failed"
    assert text in result.message


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda made: made.assign(flag=made.flag.astype("i4")), "flag: dtype int32, in the source uint8"),
        (lambda made: made.assign(temp=made.temp.T), "temp: dimensions ['x', 'time'], in the source ['time', 'x']"),
        (lambda made: made.isel(time=slice(3)), "shape [3, 6], in the source [4, 6]"),
    ],
)
def test_roundtrip_names_other_shapes_and_types(source: Path, change: Callable[[xr.Dataset], xr.Dataset], text: str) -> None:
    path = write_store(source, request={"variables": None, "encoding": {}})
    made = change(dataset())
    made.to_zarr(path, mode="w")
    found = check(path, source)
    assert found["roundtrip"].status == found["values"].status == "failed"
    assert text in found["roundtrip"].message


@pytest.mark.parametrize("attributes", [{"units": "hours since 2000-02-27"}, {"calendar": "standard"}, {"units": "hours since the flood"}])
def test_roundtrip_decodes_times(source: Path, attributes: dict[str, str]) -> None:
    path = write_store(source)
    change_attribute(path, "time", **attributes)
    result = check(path, source)["roundtrip"]
    assert result.status == "failed"
    assert result.evidence["findings"][0]["array"] == "time"


def test_only_the_variables_that_were_asked_for_are_expected(source: Path) -> None:
    path = write_store(source, request={"variables": ["temp", "time", "x"], "encoding": {}}, consolidated=False)
    for name in ("rain", "flag", "name", "crs"):
        (path / name / "zarr.json").unlink()
    assert check(path, source)["roundtrip"].status == "passed"


@pytest.mark.parametrize(
    ("codec", "good"),
    [(zarr.codecs.numcodecs.BitRound(keepbits=6), True), (zarr.codecs.numcodecs.BitRound(keepbits=20), False)],
)
def test_a_lossy_filter_gives_the_tolerance(source: Path, codec: Any, good: bool) -> None:
    path = write_store(source, encoding={"temp": {"filters": (zarr.codecs.numcodecs.BitRound(keepbits=6),)}})
    document = json.loads((path / "temp/zarr.json").read_text())
    for entry in document["codecs"]:
        if entry["name"] == "numcodecs.bitround":
            entry["configuration"] = {"keepbits": codec.to_dict()["configuration"]["keepbits"]}
    (path / "temp/zarr.json").write_text(json.dumps(document))
    result = check(path, source)["values"]
    assert result.status == ("passed" if good else "failed")
    assert "bitround keepbits" in json.dumps(result.evidence["tolerances"])


def test_packing_that_was_asked_for_is_compared_within_half_a_step(source: Path) -> None:
    request = {"variables": None, "encoding": {"x": {"packing": {"dtype": "int16", "scale_factor": 0.5}}}}
    path = write_store(source, request=request)
    made = xr.open_zarr(path, decode_cf=False).load()
    for variable in made.variables.values():
        variable.encoding = {}
    made["x"] = (("x",), np.arange(6, dtype="i2") * 2, {"scale_factor": 0.5})
    made.to_zarr(path, mode="w")
    found = check(path, source)
    assert (found["roundtrip"].status, found["roundtrip"].evidence["repacked"]) == ("passed", ["x"])
    assert found["values"].status == "passed"
    assert "scale_factor=0.5" in found["values"].message
    change_value(path, "x", (3,), 8)
    assert "in the source 3.0" in check(path, source)["values"].message


ENCODINGS: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    ({"compressor": "gzip", "filters": ["shuffle"]}, ""),
    ({"compressor": "none"}, ""),
    ({"dtype": "int16", "scale_factor": 0.01, "add_offset": 280, "_FillValue": -32768}, "scale_factor=0.01"),
    ({"dtype": "int32", "scale_factor": 0.01, "add_offset": 20000, "_FillValue": -32768}, "scale_factor=0.01"),
    ({"dtype": "int32", "scale_factor": 1e-4, "add_offset": 280}, "scale_factor=0.0001"),
    ({"dtype": "float64"}, "stored as float64"),
    ({"_FillValue": -9999.0}, "decoded values"),
    ({"filters": [{"name": "bitround", "keepbits": 10}]}, "bitround keepbits=10"),
    ({"filters": [{"name": "quantize", "digits": 2}]}, "quantize digits=2"),
    ({"filters": [{"name": "fixedscaleoffset", "offset": 280, "scale": 100, "astype": "i4"}]}, "fixedscaleoffset scale=100"),
]


@pytest.mark.parametrize(
    ("encoding", "rule", "zarr_format"),
    [
        # In `make test` each encoding once, formats in turn.
        pytest.param(*each, zarr_format, marks=[] if zarr_format == 2 + number % 2 else pytest.mark.thorough)
        for number, each in enumerate(ENCODINGS)
        for zarr_format in (2, 3)
    ],
)
def test_what_our_writer_makes_of_an_encoding_passes(tmp_path: Path, zarr_format: Any, encoding: dict[str, Any], rule: str) -> None:
    values = np.random.default_rng(0).normal(280, 5, (40, 60)).astype("f4")
    xr.Dataset({"temp": (("time", "x"), values)}).to_netcdf(tmp_path / "a.nc", encoding={"temp": {"_FillValue": None}})
    request = {"source": (str(tmp_path / "a.nc"),), "store": str(tmp_path / "a.zarr"), "zarr_format": zarr_format, "chunks": {"time": 15}}
    write_dataset(write_request(**request, encoding={"temp": encoding} if encoding else {}))
    report = check_store(check_request(store=request["store"], source=request["source"], sample=None))
    assert [(result.id, result.message) for result in report.checks if result.status in ("failed", "warning")] == []
    loose = {result.id: result for result in report.checks}["values"].evidence["tolerances"]
    assert (rule in loose["temp"]) if rule else loose == {}


def test_a_source_that_is_missing_is_an_error_and_no_finding(source: Path) -> None:
    path = write_store(source)
    with pytest.raises(SourceError, match="does not exist"):
        check(path, source.with_name("b.nc"))


def test_without_a_source_nothing_is_compared(source: Path) -> None:
    report = check_store(check_request(store=str(write_store(source)), checks=("roundtrip", "values")))
    assert [(result.id, result.status, result.message) for result in report.checks] == [
        ("roundtrip", "skipped", "no source is given"),
        ("values", "skipped", "no source is given"),
    ]
