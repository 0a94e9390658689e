"""Groups of NetCDF and Zarr become groups: values, dimensions of the parents, attributes, and the order of publishing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

import netCDF4
import numpy as np
import pytest
import xarray as xr
import zarr
from asking import check_request, check_store, write_request
from zarrstream.commands.write import write_dataset
from zarrstream.errors import BadRequest, SourceError, ZarrstreamError
from zarrstream.storage.folder import FolderObjects
from zarrstream.write.result import WriteResult

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have a Zarr V3 specification"),
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),
    pytest.mark.filterwarnings("ignore:Failed to open Zarr store with consolidated metadata"),
]
Format = Literal[2, 3]
GROUPS = ("/", "/model", "/model/deep", "/empty", "/other")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Dimensions and a coordinate of the root in nested groups, one name with two lengths, a group without anything."""
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as file:
        file.title = "grouped"
        file.createDimension("time", None)
        file.createDimension("x", 4)
        file.createVariable("time", "i4", ("time",))[:] = np.arange(20)
        file["time"].units = "days since 2000-01-01"
        model = file.createGroup("model")
        model.setncattr("kind", "model")
        air = model.createVariable("air", "i2", ("time", "x"), fill_value=-1, zlib=True, chunksizes=(5, 4))
        air.set_auto_maskandscale(False)
        air[:] = np.arange(80).reshape(20, 4)
        air.scale_factor, air.grid_mapping = 0.5, "crs"
        deep = model.createGroup("deep")
        deep.createDimension("x", 3)
        deep.createVariable("x", "f8", ("x",))[:] = [1, 2, 3]
        deep.createVariable("air", "f4", ("time", "x"))[:] = np.arange(60).reshape(20, 3)
        deep.createVariable("name", str, ("x",))[:] = np.array(["a", "", "ü"], object)
        model.createVariable("crs", "i4", ())[...] = 3
        file.createGroup("empty")
        file.createGroup("other").createVariable("count", "i8", ())[...] = 7
    return tmp_path / "a.nc"


def write(source: Path, store: Path, **options: Any) -> WriteResult:
    return write_dataset(write_request(source=(str(source),), store=str(store), **{"verify": "full", **options}))


def assert_same(store: Path, source: Path, **options: Any) -> None:
    # Not a DataTree, which takes no dimension of one name with two lengths.
    found, expected = xr.open_groups(store, engine="zarr", **options), xr.open_groups(source, engine="netcdf4")
    assert found.keys() == expected.keys() >= {"/", "/empty"}
    for path, group in expected.items():
        xr.testing.assert_identical(found[path].load(), group.load())
    for group in (*found.values(), *expected.values()):
        group.close()


@pytest.mark.parametrize(
    ("zarr_format", "consolidated"),
    [(3, False), *[pytest.param(*each, marks=pytest.mark.thorough) for each in ((2, True), (2, False), (3, True))]],
)
def test_groups_become_groups(source: Path, tmp_path: Path, zarr_format: Format, consolidated: bool) -> None:
    options: dict[str, Any] = {"zarr_format": zarr_format, "consolidated": consolidated, "chunks": {"time": 5, "x": 4}}
    options |= {"shards": "auto"} if zarr_format == 3 else {}
    result = write(source, tmp_path / "a.zarr", **options)
    assert_same(tmp_path / "a.zarr", source, consolidated=consolidated)
    root = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert (root.metadata.consolidated_metadata is not None) is consolidated
    assert sorted(f"/{name}" for name, node in root.members(max_depth=None) if isinstance(node, zarr.Group)) == sorted(GROUPS[1:])
    assert root["model/deep/air"].chunks == (5, 3)  # type: ignore[union-attr]
    assert {array["name"] for array in result.plan["arrays"]} == {
        "time", "model/air", "model/crs", "model/deep/x", "model/deep/air", "model/deep/name", "other/count",
    }  # fmt: skip
    checked = check_store(check_request(store=str(tmp_path / "a.zarr"), source=(str(source),), sample=None))
    assert checked.ok, checked.as_result()["checks"]
    assert not write(source, tmp_path / "a.zarr", **options).changed
    second = tmp_path / "b.zarr"
    write(tmp_path / "a.zarr", second, zarr_format=5 - zarr_format, chunks={"time": 7})
    assert_same(second, source)


def test_a_part_comes_with_what_it_means_in_its_group(source: Path, tmp_path: Path) -> None:
    write(source, tmp_path / "a.zarr", variables=("model/air",), encoding={"model/air": {"compressor": "gzip"}})
    root = zarr.open_group(tmp_path / "a.zarr", mode="r")
    nodes = dict(root.members(max_depth=None))
    assert set(nodes) == {"time", "model", "model/air", "model/crs"}
    assert "gzip" in str(nodes["model/air"].metadata.codecs).lower()  # type: ignore[union-attr]
    with pytest.raises(BadRequest, match=r"'air', which .* does not have\. It has: model/air, model/crs"):
        write(source, tmp_path / "b.zarr", variables=("air",))


@pytest.mark.parametrize("zarr_format", [pytest.param(2, marks=pytest.mark.thorough), 3])
def test_no_group_opens_before_all_that_lies_in_it_is_there(
    source: Path, tmp_path: Path, zarr_format: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, put = tmp_path / "a.zarr", FolderObjects.put
    whole: dict[str, set[str]] = {}

    def watching(self: FolderObjects, key: str, data: bytes, **options: Any) -> None:
        put(self, key, data, **options)
        for group in GROUPS:
            try:
                opened = zarr.open_group(store / group.strip("/"), mode="r", zarr_format=zarr_format, use_consolidated=False)
            except (FileNotFoundError, ValueError):
                continue
            whole.setdefault(group, set(dict(opened.members(max_depth=None))))

    monkeypatch.setattr(FolderObjects, "put", watching)
    write(source, store, zarr_format=zarr_format)
    for group in GROUPS:
        opened = zarr.open_group(store / group.strip("/"), mode="r", use_consolidated=False)
        assert whole[group] == set(dict(opened.members(max_depth=None))), group


def test_what_differs_in_a_group_is_found(source: Path, tmp_path: Path) -> None:
    write(source, tmp_path / "a.zarr")
    with netCDF4.Dataset(source, "a") as file:
        file["model"].kind = "another"
        file["model/deep"]["air"][3, 1] = -5
    report = check_store(check_request(store=str(tmp_path / "a.zarr"), source=(str(source),), sample=None))
    found = {result.id: result for result in report.checks}
    assert (found["roundtrip"].status, found["values"].status) == ("failed", "failed")
    assert "model: attribute 'kind'" in found["roundtrip"].message
    assert "model/deep/air" in found["values"].message


def test_several_files_have_no_groups(source: Path, tmp_path: Path) -> None:
    shutil.copy(source, tmp_path / "b.nc")
    with pytest.raises(SourceError, match="several files are joined only where they have none"):
        write(tmp_path / "*.nc", tmp_path / "a.zarr")


def test_a_broken_write_of_groups_is_finished(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put, count = FolderObjects.put, [0]

    def failing(self: FolderObjects, key: str, data: bytes, **options: Any) -> None:
        count[0] += 1
        if count[0] == 6:
            raise ZarrstreamError("no more")
        put(self, key, data, **options)

    with monkeypatch.context() as patched:
        patched.setattr(FolderObjects, "put", failing)
        with pytest.raises(ZarrstreamError, match="no more"):
            write(source, tmp_path / "a.zarr")
    write(source, tmp_path / "a.zarr")
    assert_same(tmp_path / "a.zarr", source)


def test_append_takes_no_groups(source: Path, tmp_path: Path) -> None:
    write(source, tmp_path / "a.zarr")
    with netCDF4.Dataset(source, "a") as file:
        file["time"][:] = np.arange(20, 40)
    with pytest.raises(SourceError, match="has groups: append adds to stores without any"):
        write(source, tmp_path / "a.zarr", mode="append", append_dim="time")
    assert xr.open_groups(tmp_path / "a.zarr", engine="zarr")["/model"].sizes["time"] == 20
