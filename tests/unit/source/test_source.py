"""What a request names as its source: found, or refused with one line; identified by contents."""

from __future__ import annotations

import os
import shutil
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from zarrstream.errors import BadRequest, SourceError, ZarrstreamError
from zarrstream.source.items import Item, Stat, check_apart, find_source, stat_items, take_digests
from zarrstream.source.netcdf3 import required_size
from zarrstream.storage.location import StoreUrl, parse_store

CLASSIC = ("NETCDF3_CLASSIC", "NETCDF3_64BIT", "NETCDF3_64BIT_DATA")


def no_bucket(place: StoreUrl) -> None:
    raise AssertionError(place)


def find(*source: str | Path) -> tuple[Item, ...]:
    return find_source([str(text) for text in source], no_bucket)  # type: ignore[arg-type]


@pytest.fixture
def dataset() -> xr.Dataset:
    values = np.arange(30, dtype="f4").reshape(10, 3)
    return xr.Dataset({"a": (("t", "x"), values), "b": ("t", np.arange(10, dtype="i2")), "s": ((), np.int8(1))}, {"t": np.arange(10)})


def write(dataset: xr.Dataset, path: Path, **options: object) -> Path:
    dataset.to_netcdf(path, engine="netcdf4", **options)
    return path


@pytest.mark.parametrize("kind", ["NETCDF4", "NETCDF4_CLASSIC", *CLASSIC])
def test_every_netcdf_is_found_by_its_first_bytes(dataset: xr.Dataset, tmp_path: Path, kind: str) -> None:
    path = write(dataset, tmp_path / "without-suffix", format=kind)
    assert [(item.kind, item.place, item.name) for item in find(path)] == [("netcdf", str(path), "without-suffix")]


def test_hdf5_behind_a_user_block_is_found(dataset: xr.Dataset, tmp_path: Path) -> None:
    path = write(dataset, tmp_path / "a.nc")
    behind = tmp_path / "b.h5"
    behind.write_bytes(b"hello".ljust(512, b"\0") + path.read_bytes())
    assert find(behind)[0].kind == "netcdf"


@pytest.mark.parametrize("unlimited", [pytest.param([], marks=pytest.mark.thorough), ["t"]])
@pytest.mark.parametrize("kind", CLASSIC)
def test_the_header_of_a_classic_file_tells_its_length(dataset: xr.Dataset, tmp_path: Path, kind: str, unlimited: list[str]) -> None:
    whole = write(dataset, tmp_path / "a.nc", format=kind, unlimited_dims=unlimited)
    size = whole.stat().st_size
    assert size - 4 < required_size(whole) <= size  # the last value may be followed by up to three bytes of padding
    cut = tmp_path / "cut.nc"
    for length in range(8, required_size(whole)):
        cut.write_bytes(whole.read_bytes()[:length])
        with pytest.raises(SourceError, match=r"cut\.nc' is truncated"):
            find(cut)


def test_one_record_variable_of_bytes_is_not_padded(tmp_path: Path) -> None:
    path = write(xr.Dataset({"a": (("t", "x"), np.ones((7, 3), "i1"))}), tmp_path / "a.nc", format="NETCDF3_CLASSIC", unlimited_dims=["t"])
    assert required_size(path) <= path.stat().st_size < required_size(path) + 4


def test_a_file_without_values_has_a_length_too(tmp_path: Path) -> None:
    path = write(xr.Dataset(attrs={"title": "nothing"}), tmp_path / "a.nc", format="NETCDF3_CLASSIC")
    assert find(path)[0].kind == "netcdf"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("gone.nc", None, "does not exist on this host"),
        ("text.nc", b"time,air\n1,2\n", "neither NetCDF nor HDF5"),
        ("empty.nc", b"", "neither NetCDF nor HDF5"),
        ("header.nc", b"CDF\x01\x00\x00", "truncated or damaged"),
        ("junk.nc", b"CDF\x01" + b"\xff" * 100, "truncated or damaged"),
        ("none*.nc", None, "matches no file"),
    ],
)
def test_what_is_no_source_is_named(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=words) as error:
        find(tmp_path / name)
    assert name in str(error.value)


def test_a_folder_is_no_source_unless_it_is_a_store(tmp_path: Path, dataset: xr.Dataset) -> None:
    with pytest.raises(SourceError, match=r"without Zarr metadata.*/\*\.nc"):
        find(tmp_path)
    dataset.to_zarr(tmp_path / "a.zarr", consolidated=False)
    assert find(tmp_path / "a.zarr")[0].kind == "zarr"


def test_globs_and_lists(tmp_path: Path, dataset: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.nc", "a.nc", "c[1].nc"):
        write(dataset, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert [item.name for item in find("*.nc")] == ["a.nc", "b.nc", "c[1].nc"]
    assert [item.name for item in find("b.nc", "a.nc")] == ["b.nc", "a.nc"]
    assert [item.name for item in find("c[1].nc")] == ["c[1].nc"]  # a file of that very name
    with pytest.raises(SourceError, match=r"a\.nc twice"):
        find("a.nc", "*.nc")
    with pytest.raises(BadRequest, match="empty"):
        find()


def test_other_schemes_and_mixtures_are_refused(tmp_path: Path, dataset: xr.Dataset) -> None:
    dataset.to_zarr(tmp_path / "a.zarr", consolidated=False)
    path = write(dataset, tmp_path / "a.nc")
    with pytest.raises(BadRequest, match="Zarr store beside others"):
        find(path, tmp_path / "a.zarr")
    for url in ("https://host/", "gs://bucket/a.zarr", "s3://", "s3://bucket/../a.zarr"):
        with pytest.raises(BadRequest, match="source"):
            find(url)


@pytest.mark.parametrize("store", ["a.zarr", "a.zarr/inner", ".", "a.zarr/"])
def test_a_store_within_its_source_is_refused(tmp_path: Path, dataset: xr.Dataset, store: str) -> None:
    dataset.to_zarr(tmp_path / "a.zarr", consolidated=False)
    (tmp_path / "link").symlink_to(tmp_path)
    for root in (tmp_path, tmp_path / "link"):
        with pytest.raises(BadRequest, match="lie in one another"):
            check_apart(find(root / "a.zarr"), parse_store(str(tmp_path / store) if store != "." else str(tmp_path)))
    check_apart(find(tmp_path / "a.zarr"), parse_store(str(tmp_path / "a.zarr2")))


def test_contents_identify_a_file(tmp_path: Path, dataset: xr.Dataset) -> None:
    first = write(dataset, tmp_path / "a.nc")
    copy = tmp_path / "copy.nc"
    shutil.copy(first, copy)
    os.utime(copy, ns=(1, 1))
    items = find(first, copy)
    one, two = take_digests(items, stat_items(items))
    assert (one.digest, one.size) == (two.digest, two.size)
    assert (one.mtime_ns, one.name) != (two.mtime_ns, two.name)


def test_a_file_that_did_not_change_is_not_read(tmp_path: Path, dataset: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    items = find(write(dataset, tmp_path / "a.nc"))
    known = take_digests(items, stat_items(items))
    monkeypatch.setattr(import_module("zarrstream.source.items"), "_file_digest", lambda _: pytest.fail("the file was read"))
    assert take_digests(items, stat_items(items), known) == known
    monkeypatch.setattr(import_module("zarrstream.source.items"), "_file_digest", lambda _: "read")
    os.utime(items[0].place, ns=(1, 1))
    assert [stat.digest for stat in take_digests(items, stat_items(items), known)] == ["read"]


def test_a_folder_of_zarr_is_one_item(tmp_path: Path, dataset: xr.Dataset) -> None:
    dataset.to_zarr(tmp_path / "a.zarr", consolidated=False)
    shutil.copytree(tmp_path / "a.zarr", tmp_path / "b.zarr")
    digests = [take_digests(find(tmp_path / name), stat_items(find(tmp_path / name)))[0].digest for name in ("a.zarr", "b.zarr")]
    assert digests[0] == digests[1]
    (tmp_path / "b.zarr" / "zarr.json").rename(tmp_path / "b.zarr" / ".zgroup")
    assert take_digests(find(tmp_path / "b.zarr"), stat_items(find(tmp_path / "b.zarr")))[0].digest != digests[0]


def test_a_file_that_vanishes_is_an_error_of_ours(tmp_path: Path, dataset: xr.Dataset) -> None:
    items = find(write(dataset, tmp_path / "a.nc"))
    (tmp_path / "a.nc").unlink()
    with pytest.raises(ZarrstreamError, match="cannot be read"):
        stat_items(items)
    with pytest.raises(ZarrstreamError, match="cannot be read"):
        take_digests(items, [Stat("a.nc", 1, 1)])
