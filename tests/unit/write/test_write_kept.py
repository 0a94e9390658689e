"""A Zarr source keeps chunks, shards, codecs and fill values; ``*`` and lengths by variable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numcodecs
import numpy as np
import pytest
import xarray as xr
import zarr
import zarr.codecs
import zarr.codecs.numcodecs as v3
from writing import made_once, raw, request
from zarrstream.commands.write import preview, write_dataset
from zarrstream.encoding.lossy import check_unchanged
from zarrstream.errors import BadRequest, SourceError, ZarrstreamError
from zarrstream.sidecar.manifest import MANIFEST
from zarrstream.write.request import WriteRequest

AIR = np.arange(12 * 180 * 4, dtype="i2").reshape(12, 180, 4)


def dataset(**more: Any) -> xr.Dataset:
    air = (("time", "lat", "lon"), AIR, {"units": "K", "coordinates": "station"})
    station = ("lon", np.array(["a", "bc", "d", "e"], object))
    time = ("time", np.arange(12), {"units": "days since 2000-01-01"})
    return xr.Dataset({"air": air, **more}, {"time": time, "lat": np.arange(180.0), "station": station}).drop_encoding()


def netcdf(folder: Path, **more: Any) -> Path:
    path = folder / "a.nc"
    dataset(**more).to_netcdf(path)
    return path


TUNED: dict[str, Any] = {
    "encoding": {"air": {"compressor": {"name": "blosc", "cname": "lz4", "clevel": 7, "shuffle": "bitshuffle"}, "filters": ["delta"]}},
    "chunks": {"time": 4, "lat": 90, "lon": 4},
}


def document(store: Path, name: str = "air") -> dict[str, Any]:
    for file in (store / name / "zarr.json", store / name / ".zarray"):
        if file.exists():
            found: dict[str, Any] = json.loads(file.read_text())
            return found
    raise AssertionError(f"{store} has no {name}")


def written(source: Any, store: Path, **options: Any) -> Any:
    return write_dataset(request(source, store, verify="full", **options))


@pytest.mark.parametrize("formats", [(2, 3), *(pytest.param(each, marks=pytest.mark.thorough) for each in ((3, 2), (3, 3), (2, 2)))])
def test_locally_first_and_then_to_the_bucket_keeps_the_tuning(tmp_path: Path, formats: tuple[Literal[2, 3], Literal[2, 3]]) -> None:
    first, second, third = (tmp_path / f"{name}.zarr" for name in "abc")
    written(netcdf(tmp_path), first, zarr_format=formats[0], **TUNED)
    result = written(first, second, zarr_format=formats[1])
    assert (result.codecs["air"], result.notes) == (["delta", "blosc"], [])
    assert [array["chunks"] for array in result.plan["arrays"] if array["name"] == "air"] == [[4, 90, 4]]
    written(second, third, zarr_format=formats[0])
    for name in ("air", "time", "lat", "station"):
        assert document(third, name) == document(first, name)
    xr.testing.assert_identical(raw(second, "zarr").drop_encoding(), raw(first, "zarr").drop_encoding())
    assert not written(first, second, zarr_format=formats[1]).changed


def test_shards_and_the_fill_value_of_format_3_are_kept(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.zarr", tmp_path / "theirs.zarr"
    encoding = {"chunks": (2, 30, 4), "shards": (6, 90, 4), "fill_value": np.int16(7), "compressors": [zarr.codecs.GzipCodec(level=2)]}
    dataset().to_zarr(theirs, zarr_format=3, encoding={"air": encoding})
    written(theirs, ours)
    there, here = document(theirs), document(ours)
    assert (here["chunk_grid"], here["codecs"], here["fill_value"]) == (there["chunk_grid"], there["codecs"], there["fill_value"])
    result = written(theirs, tmp_path / "two.zarr", zarr_format=2)
    assert "shards of air" in result.notes[0]
    assert document(tmp_path / "two.zarr")["chunks"] == [2, 30, 4]


@pytest.mark.parametrize(
    ("options", "chunks", "shards", "codecs"),
    [
        ({"chunks": "auto"}, (6, 90, 4), (6, 90, 4), ["gzip"]),  # automatic ones divide shards that are kept
        pytest.param(*({"chunks": "auto", "shards": "none"}, (12, 180, 4), None, ["gzip"]), marks=pytest.mark.thorough),
        ({"shards": "none"}, (2, 30, 4), None, ["gzip"]),
        pytest.param(*({"chunks": {"time": 3}}, (3, 30, 4), (6, 90, 4), ["gzip"]), marks=pytest.mark.thorough),
        ({"chunks": {"time": 4}}, (4, 30, 4), (4, 90, 4), ["gzip"]),  # a shard that was kept gives way
        pytest.param(*({"shards": {"time": 3}}, (1, 30, 4), (3, 180, 4), ["gzip"]), marks=pytest.mark.thorough),
        pytest.param(
            *({"encoding": {"air": {"chunks": [3, 60, 2], "shards": "none"}}}, (3, 60, 2), None, ["gzip"]), marks=pytest.mark.thorough
        ),
        ({"encoding": {"*": {"chunks": {"time": 1}}, "air": {"compressor": "zstd"}}}, (1, 30, 4), (6, 90, 4), ["zstd"]),
    ],
)
def test_what_the_request_names_goes_before_what_the_source_has(
    tmp_path: Path, options: dict[str, Any], chunks: tuple[int, ...], shards: tuple[int, ...] | None, codecs: list[str]
) -> None:
    encoding = {"chunks": (2, 30, 4), "shards": (6, 90, 4), "compressors": [zarr.codecs.GzipCodec(level=2)]}
    made_once(tmp_path / "a.zarr", lambda path: dataset().to_zarr(path, zarr_format=3, encoding={"air": encoding}), "sharded")
    result = written(tmp_path / "a.zarr", tmp_path / "b.zarr", **options)
    array = zarr.open_array(tmp_path / "b.zarr", path="air", mode="r")
    assert (array.chunks, array.shards, result.codecs["air"]) == (chunks, shards, codecs)
    assert not written(tmp_path / "a.zarr", tmp_path / "b.zarr", **options).changed
    with pytest.raises(ZarrstreamError):
        written(tmp_path / "a.zarr", tmp_path / "b.zarr")


def test_a_codec_that_is_not_written_is_replaced_and_said(tmp_path: Path) -> None:
    z = zarr.create_group(tmp_path / "a.zarr", zarr_format=3)
    z.create_array(
        "a", data=AIR[0], dimension_names=("x", "y"), filters=[zarr.codecs.TransposeCodec(order=(1, 0))], compressors=[v3.CRC32()]
    )
    result = preview(request(tmp_path / "a.zarr", tmp_path / "b.zarr"))
    assert result.codecs["a"] == ["zstd"]
    assert "'a' is not encoded as in the source" in result.notes[0]
    assert "transpose; crc32" in result.notes[0]
    assert written(tmp_path / "a.zarr", tmp_path / "b.zarr").notes == result.notes


def test_lossy_filters_are_kept_where_they_change_nothing_more(tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(size=1000).astype("f4")
    z = zarr.create_group(tmp_path / "a.zarr", zarr_format=2)
    for lossy in (numcodecs.Delta("f4"), numcodecs.Quantize(2, "f4"), numcodecs.BitRound(keepbits=6)):
        name = lossy.codec_id
        z.create_array(name, data=values, chunks=(100,), filters=[lossy], attributes={"_ARRAY_DIMENSIONS": [name]})
    result = written(tmp_path / "a.zarr", tmp_path / "b.zarr")
    for name in ("delta", "quantize", "bitround"):
        assert result.codecs[name][0] == name
        np.testing.assert_array_equal(raw(tmp_path / "b.zarr", "zarr")[name], z[name][...])  # type: ignore[index]


def test_filters_that_would_change_values_once_more_are_refused(tmp_path: Path) -> None:
    before = np.array([1, 2], "f4")
    check_unchanged("a", ["delta"], before, before)
    with pytest.raises(SourceError, match=r"'a' has delta in the source.*2\.0 to 3\.0.*encoding\.a\.filters to \[\]"):
        check_unchanged("a", ["delta"], before, np.array([1, 3], "f4"))


def test_a_store_that_an_earlier_version_made_of_zarr_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, store, identity = tmp_path / "a.zarr", tmp_path / "b.zarr", WriteRequest.identity
    written(netcdf(tmp_path), source, **TUNED)
    with monkeypatch.context() as before:
        before.setattr(WriteRequest, "identity", lambda self, keeps=False: identity(self))  # noqa: ARG005
        written(source, store)
    request_then = json.loads((tmp_path / f"b.zarr.zarrstream/{MANIFEST}").read_text())["request"]
    assert "explicit" not in request_then
    assert not written(source, store).changed
    assert not written(source, store, chunks="auto", encoding={"air": {"compressor": "zstd"}}).changed
    assert not written(source, store, mode="replace").changed
    with pytest.raises(ZarrstreamError, match="other chunks"):
        written(source, store, chunks={"time": 1})
    written(source, store, chunks={"time": 1}, mode="replace")
    assert document(store)["chunk_grid"]["configuration"]["chunk_shape"] == [1, 90, 4]


def test_an_append_takes_what_the_store_has(tmp_path: Path) -> None:
    first, store = tmp_path / "a.zarr", tmp_path / "b.zarr"
    written(netcdf(tmp_path), first, **TUNED)
    written(first, store)
    before = document(store)
    later = dataset().assign_coords(time=("time", np.arange(12, 24), {"units": "days since 2000-01-01"}))
    later.to_netcdf(tmp_path / "later.nc")
    result = written(tmp_path / "later.nc", store, mode="append", append_dim="time")
    assert (result.action, result.codecs["air"]) == ("append", ["delta", "blosc"])
    assert document(store) == {**before, "shape": [24, 180, 4]}
    np.testing.assert_array_equal(raw(store, "zarr")["air"].values, np.concatenate([AIR, AIR]))


MORE: dict[str, Any] = {
    "wind": (("time", "lat"), np.linspace(0, 5, 12 * 180).reshape(12, 180), {"units": "m s-1"}),
    "mask": (("lat",), np.arange(180, dtype="i1"), {"flag_values": [0, 1]}),
    "count": (("lat",), np.arange(180, dtype="i4")),
    "begin": (("time",), np.arange(12, dtype="f8"), {"units": "days since 2000-01-01"}),
    "old": (("lat",), np.arange(180, dtype="i2"), {"scale_factor": 0.5}),
    "crs": ((), np.int32(0)),
    "name": (("lat",), np.array(["x"] * 180, object)),
}


def test_what_is_said_of_all_reaches_what_can_take_it(tmp_path: Path) -> None:
    packing = {"dtype": "int32", "scale_factor": 0.5, "_FillValue": -1}
    every = {"compressor": "blosc", "filters": [{"name": "bitround", "keepbits": 9}], "chunks": {"lat": 60}}
    store = tmp_path / "a.zarr"
    result = written(netcdf(tmp_path, **MORE), store, encoding={"*": every, "count": {"filters": ["delta"]}})
    assert result.codecs == {
        **{name: ["blosc"] for name in ("time", "lat", "station", "air", "mask", "crs", "name", "old")},
        **{name: ["bitround", "blosc"] for name in ("wind", "begin")},
        "count": ["delta", "blosc"],
    }
    chunks = {array["name"]: array["chunks"] for array in result.plan["arrays"]}
    assert (chunks["wind"], chunks["count"], chunks["lat"], chunks["time"]) == ([12, 60], [60], [180], [12])
    packed = tmp_path / "b.zarr"
    written(tmp_path / "a.nc", packed, encoding={"*": packing, "wind": {"scale_factor": 0.01}})
    found = xr.open_zarr(packed, decode_cf=False)
    scales = {
        str(name): float(variable.attrs["scale_factor"]) for name, variable in found.variables.items() if "scale_factor" in variable.attrs
    }
    assert scales == {"old": 0.5, "wind": 0.01}
    assert {str(name) for name in found if found[name].attrs.get("_FillValue") == -1} == {"old", "wind"}


def test_filters_that_no_variable_takes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"encoding\.\*.*bitround"):
        written(netcdf(tmp_path), tmp_path / "a.zarr", encoding={"*": {"filters": ["bitround"]}})
    assert not (tmp_path / "a.zarr").exists()


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ({"air": {"chunks": {"time": 0}}}, ["encoding.air.chunks.time is 0", "above 0"]),
        ({"air": {"chunks": {"time": "many"}}}, ["encoding.air.chunks.time is 'many'", "whole number"]),
        ({"air": {"chunks": {"time": 13}}}, ["encoding.air.chunks.time is 13", "1 to 12", "Use 12"]),
        ({"air": {"chunks": {"tme": 1}}}, ["encoding.air.chunks names the dimension 'tme'", "time (12)"]),
        ({"air": {"chunks": [1, 2]}}, ["encoding.air.chunks has 2 lengths", "time (12), lat (180), lon (4)"]),
        ({"air": {"chunks": 5}}, ["encoding.air.chunks is 5", "dictionary", "list"]),
        ({"*": {"chunks": [1, 2, 3]}}, ["encoding.*.chunks", "by dimension"]),
        ({"*": {"shards": {"tme": 1}}}, ["encoding.*.shards names the dimension 'tme'"]),
        ({"air": {"chunks": {"time": 4}, "shards": {"time": 6}}}, ["encoding.air.shards.time is 6", "whole chunks of 4", "Use 4 or 8"]),
        ({"aire": {"compressor": "zstd"}}, ["'aire'", "air", "* means all"]),
    ],
)
def test_wrong_lengths_of_a_variable_are_named(tmp_path: Path, encoding: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(BadRequest) as error:
        preview(request(netcdf(tmp_path), tmp_path / "a.zarr", encoding=encoding))
    assert all(word in str(error.value) for word in words), str(error.value)


def test_format_2_has_no_shards_by_variable_either(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"encoding\.air\.shards: Zarr of format 2 has none"):
        request(netcdf(tmp_path), tmp_path / "a.zarr", zarr_format=2, encoding={"air": {"shards": "auto"}})


def test_lengths_of_a_variable_have_one_spelling(tmp_path: Path) -> None:
    source, store = netcdf(tmp_path), tmp_path / "a.zarr"
    written(source, store, chunks={"time": 6}, encoding={"air": {"chunks": [3, 90, 4]}, "time": {"chunks": {"time": 4}}})
    assert [document(store, name)["chunk_grid"]["configuration"]["chunk_shape"] for name in ("air", "time")] == [[3, 90, 4], [4]]
    again = {"time": {"chunks": ["4"]}, "air": {"chunks": {"lon": 4, "time": "3", "lat": 90}}}
    assert not written(source, store, chunks={"time": 6}, encoding=again).changed
    with pytest.raises(ZarrstreamError, match="other encoding"):
        written(source, store, chunks={"time": 6}, encoding={"air": {"chunks": [3, 90, 2]}})
