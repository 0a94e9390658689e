"""Codecs by name, packing by the CF conventions, and what cannot be stored that way."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import xarray as xr
import yaml
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from running import THOROUGH
from zarrstream.encoding.codecs import CODECS, COMPRESSORS, FILTERS, Encoding, codec_arguments, parse_encoding, rehearse
from zarrstream.errors import BadRequest, SourceError
from zarrstream.metadata import decoded
from zarrstream.source.packing import Packer

PARAMETERS: dict[str, Any] = {
    "bitround": {"keepbits": 10},
    "quantize": {"digits": 3},
    "fixedscaleoffset": {"offset": 0, "scale": 100, "astype": "i4"},
    "astype": {"encode_dtype": "f4"},
}


def parsed(**options: Any) -> Encoding:
    return parse_encoding({"air": options})["air"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"compresor": "zstd"}, ["compresor", "compressor, filters, dtype"]),
        ({"compressor": "zstandard"}, ["encoding.air.compressor", "zstandard", "zstd, blosc"]),
        ({"compressor": {"level": 3}}, ["unknown", "zstd"]),
        ({"filters": ["sharpen"]}, ["encoding.air.filters", "sharpen", "delta"]),
        ({"scale_factor": "0.1"}, ["encoding.air.scale_factor", "number"]),
        ({"scale_factor": True}, ["encoding.air.scale_factor", "number"]),
        ({"scale_factor": 0}, ["scale_factor is 0"]),
        ({"dtype": "int17"}, ["encoding.air.dtype", "int17"]),
    ],
)
def test_unknown_keys_and_codecs_are_named(options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(BadRequest) as error:
        parsed(**options)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_an_encoding_is_a_dictionary() -> None:
    with pytest.raises(BadRequest, match=r"encoding\.air is 'zstd'"):
        parse_encoding({"air": "zstd"})


def test_the_documentation_of_zarr_write_says_of_codecs_what_their_table_says() -> None:
    source = (Path(__file__).parents[3] / "plugins/modules/zarr_write.py").read_text()
    documentation = yaml.safe_load(re.findall(r'^DOCUMENTATION = r"""\n(.*?)^"""', source, re.DOTALL | re.MULTILINE)[0])
    text = " ".join(documentation["options"]["encoding"]["description"])

    def named(begin: str, end: str) -> tuple[str, ...]:
        return tuple(re.findall(r"V\((\w+)\)", re.findall(f"{begin}.*?{end}", text)[0]))

    assert named(r"C\(compressor\) is one", "Without") == (*COMPRESSORS,)
    assert named(r"C\(filters\) is", "dictionaries") == (*FILTERS,)
    assert named("In format 3 the filters", "are") == tuple(name for name in COMPRESSORS if "numcodecs" in CODECS[name].v3)
    assert named("Format 2 has no", "stay") == tuple(name for name in COMPRESSORS if not CODECS[name].checksum)


def test_what_every_compressor_inflates_to_is_measured_before_it_is_decoded() -> None:
    assert set(COMPRESSORS) - {"none"} == set(decoded._MEASURES)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("name", [*COMPRESSORS, *FILTERS])
def test_every_codec_works_and_reads_back_with_plain_zarr(tmp_path: Path, name: str, zarr_format: Literal[2, 3]) -> None:
    dtype = np.dtype(bool if name == "packbits" else "f8")
    entry = {"name": name, **PARAMETERS.get(name, {})}
    encoding = parsed(compressor=entry) if name in COMPRESSORS else parsed(filters=[entry])
    rehearse(encoding, dtype, zarr_format)
    values = np.arange(64).astype(dtype) % (2 if name == "packbits" else 64)
    made = zarr.create_array(
        tmp_path / "a", shape=(64,), chunks=(16,), dtype=dtype, zarr_format=zarr_format, **codec_arguments(encoding, dtype, zarr_format)
    )
    made[:] = values
    np.testing.assert_allclose(zarr.open_array(tmp_path / "a", mode="r")[:].astype("f8"), values.astype("f8"), rtol=1e-2)


@pytest.mark.parametrize(
    "options",
    [
        {"compressor": {"name": "zstd", "levle": 3}},
        {"compressor": {"name": "zstd", "level": "high"}},
        {"compressor": {"name": "blosc", "cname": "middle-out"}},
        {"filters": ["bitround"]},
        {"filters": [{"name": "bitround", "keepbits": 99}]},
        {"filters": ["packbits"]},
        {"filters": [{"name": "fixedscaleoffset", "offset": 1}]},
    ],
)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_parameters_that_a_codec_does_not_take_are_refused_before_any_write(options: dict[str, Any], zarr_format: Literal[2, 3]) -> None:
    with pytest.raises(BadRequest, match=r"encoding\.air: .* does not work"):
        rehearse(parsed(**options), np.dtype("f4"), zarr_format)


UNCHECKED_ZSTD = {"name": "zstd", "checksum": False}


@pytest.mark.parametrize(
    ("compressor", "zarr_format", "shards"),
    [
        *((name, 3, None) for name in ("zstd", UNCHECKED_ZSTD, "blosc", "lz4", "none", "gzip", "zlib")),
        *((name, 3, (1000,)) for name in ("zstd", "blosc", "none")),
        *((name, 2, None) for name in ("zstd", "gzip", "zlib", "bz2")),
    ],
)
def test_no_flipped_bit_passes(tmp_path: Path, compressor: Any, zarr_format: Literal[2, 3], shards: tuple[int] | None) -> None:
    values = np.random.default_rng(1).random(1000)
    arguments = codec_arguments(parsed(compressor=compressor), values.dtype, zarr_format)
    chunks = (250,) if shards else (1000,)
    made = zarr.create_array(tmp_path / "a", shape=1000, chunks=chunks, shards=shards, dtype="f8", zarr_format=zarr_format, **arguments)
    made[:] = values
    path = tmp_path / "a" / ("c/0" if zarr_format == 3 else "0")
    whole = path.read_bytes()
    for position in range(20, len(whole), len(whole) // (40 if THOROUGH else 15)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        try:
            found = zarr.open_array(tmp_path / "a", mode="r")[:]
        except Exception:  # noqa: BLE001 - each codec has its own
            continue
        assert np.array_equal(found, values), position


def packer(values: Any, attrs: dict[str, Any] | None = None, **packing: Any) -> tuple[Packer, xr.Variable]:
    variable = xr.Variable(("x",), np.asarray(values), attrs or {})
    return Packer("air", variable, parsed(**packing).packing), variable


def decode(values: np.ndarray, attrs: dict[str, Any]) -> np.ndarray:
    return xr.decode_cf(xr.Dataset({"air": ("x", values, attrs)})).air.values


def test_floats_are_packed_as_asked() -> None:
    made, variable = packer([250.0, 273.15, np.nan], dtype="int16", scale_factor=0.01, add_offset=273.15, _FillValue=-32768)
    assert made.attrs == {"scale_factor": 0.01, "add_offset": 273.15, "_FillValue": -32768}
    assert made.pack(variable).tolist() == [-2315, 0, -32768]
    assert made.pack(variable).dtype == np.int16


def test_packed_integers_are_unpacked_first() -> None:
    attrs = {"scale_factor": 0.5, "_FillValue": np.int16(-1), "units": "K"}
    made, variable = packer(np.array([2, -1, 5], "i2"), attrs, dtype="float32")
    stored = made.pack(variable)
    assert made.attrs.keys() == {"units", "_FillValue"}
    np.testing.assert_array_equal(stored, np.array([1, np.nan, 2.5], "f4"))


def test_another_fill_value_replaces_the_old_one() -> None:
    made, variable = packer(np.array([1, np.nan, -999], "f4"), {"_FillValue": np.float32(-999)}, _FillValue=-1e4)
    assert made.pack(variable).tolist() == [1, -1e4, -1e4]
    assert made.attrs == {"_FillValue": -1e4}


@pytest.mark.parametrize(
    ("values", "packing", "words"),
    [
        ([400.0], {"dtype": "int8", "scale_factor": 1}, "beyond int8"),
        ([-1.0], {"dtype": "uint8"}, "beyond uint8"),
        ([np.inf], {"dtype": "int16", "_FillValue": -1}, "beyond int16"),
        ([1.0, np.nan], {"dtype": "int16"}, "no _FillValue"),
        ([5.0, -1.0], {"dtype": "int16", "_FillValue": -1}, "pack to -1, the _FillValue"),
        ([2**40], {"dtype": "int32"}, "beyond int32"),
    ],
)
@pytest.mark.filterwarnings("ignore:saving variable air with floating point data as an integer")
def test_values_that_do_not_fit_are_refused(values: list[float], packing: dict[str, Any], words: str) -> None:
    made, variable = packer(values, **packing)
    with pytest.raises(SourceError, match=words):
        made.pack(variable)


@pytest.mark.parametrize(
    ("values", "packing", "words"),
    [
        ([1.0], {"scale_factor": 0.1}, "no dtype"),
        ([1.0], {"dtype": "int8", "_FillValue": -999}, "int8 cannot hold it"),
        ([1.0], {"dtype": "int8", "_FillValue": float("nan")}, "int8 cannot hold it"),
        ([1.0], {"dtype": "int8", "_FillValue": "x"}, "int8 cannot hold it"),
        ([1.0], {"dtype": "datetime64[s]"}, "only numbers are packed"),
        (["a"], {"dtype": "int8"}, "only numbers are packed"),
    ],
)
def test_packing_that_cannot_be_is_refused_at_once(values: list[Any], packing: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        packer(values, **packing)


@settings(max_examples=100 if THOROUGH else 25)
@given(
    values=hnp.arrays("f8", st.integers(1, 50), elements=st.floats(-300, 300) | st.just(np.nan)),
    scale=st.sampled_from([0.01, 0.1, 1, 3]),
    offset=st.sampled_from([0, 273.15, -5]),
)
def test_packed_values_decode_to_within_half_a_step(values: np.ndarray, scale: float, offset: float) -> None:
    made, variable = packer(values, dtype="int32", scale_factor=scale, add_offset=offset, _FillValue=-(2**31))
    decoded = decode(made.pack(variable), made.attrs)
    assert np.array_equal(np.isnan(decoded), np.isnan(values))
    np.testing.assert_allclose(decoded, values, rtol=0, atol=scale / 2 * 1.0001)


@settings(max_examples=50 if THOROUGH else 15)
@given(values=hnp.arrays("i2", st.integers(1, 50)))
def test_pieces_pack_as_the_whole_does(values: np.ndarray) -> None:
    made, variable = packer(values, {"scale_factor": 0.5, "_FillValue": np.int16(7)}, dtype="float32")
    pieces = [made.pack(variable[index : index + 7]) for index in range(0, len(values), 7)]
    assert np.concatenate(pieces).tobytes() == made.pack(variable).tobytes()
