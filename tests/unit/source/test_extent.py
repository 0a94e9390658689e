"""Data sets that end before their dimensions do, chunks that were never written, and the second reader that proves values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
from asking import check_request, check_store
from writing import raw, request
from zarrstream.commands.write import write_dataset
from zarrstream.errors import SourceError, WriteError
from zarrstream.source.hdf5_chunks import Chunked
from zarrstream.source.hdf5_read import DataSet
from zarrstream.source.items import Item
from zarrstream.source.open import open_items
from zarrstream.source.proof import another_reader


def everything(path: Path) -> dict[str, np.ndarray]:
    """All variables; each reader gives the same."""
    source = open_items([Item("netcdf", str(path))])
    try:
        regions = {name: tuple((0, size) for size in variable.shape) for name, variable in source.variables.items()}
        found = {name: source.block(name, region).values for name, region in regions.items()}
        with another_reader():
            for name, region in regions.items():
                np.testing.assert_array_equal(source.block(name, region).values, found[name])
                assert source.block(name, region).values.dtype == found[name].dtype
    finally:
        source.close()
    return found


def short(path: Path, **how: Any) -> None:
    """As compliance-checker's bad_missing_data.nc: an unlimited dimension twice, a second one, and variables that end before."""
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("time", None)
        file.createDimension("x", None)
        file.createDimension("letters", 3)
        file.createVariable("time", "f8", ("time",), fill_value=-999.9)[:2] = [0, 1]
        file.createVariable("long", "i4", ("time", "x"))[:4, :5] = 1
        file.createVariable("twice", "i8", ("time", "time"), fill_value=-999, **how)[:2, :3] = np.arange(6).reshape(2, 3)
        file.createVariable("second", "i2", ("time", "x"), **how)[:3, :2] = 7
        file.createVariable("text", str, ("x",))[:2] = np.array(["a", "ü"], object)
        file.createVariable("chars", "S1", ("x", "letters"))[:1] = np.array([list("abc")], "S1")


@pytest.mark.parametrize("how", [{"zlib": True}, *(pytest.param(how, marks=pytest.mark.thorough) for how in ({}, {"fletcher32": True}))])
def test_what_lies_beyond_a_data_set_is_its_fill_value(tmp_path: Path, how: dict[str, Any]) -> None:
    short(tmp_path / "a.nc", **how)
    found = everything(tmp_path / "a.nc")
    assert found["time"].tolist() == [0, 1, -999.9, -999.9]
    fill = [-999] * 4
    assert found["twice"].tolist() == [[0, 1, 2, -999], [3, 4, 5, -999], fill, fill]
    default = netCDF4.default_fillvals["i2"]
    assert found["second"].tolist() == [[7, 7, *[default] * 3]] * 3 + [[default] * 5]
    assert found["text"].tolist() == ["a", "ü", "", "", ""]
    assert [bytes(text) for text in found["chars"]] == [b"abc", b"", b"", b"", b""]
    write_dataset(request(tmp_path / "a.nc", tmp_path / "a.zarr", verify="full"))
    stored = raw(tmp_path / "a.zarr", "zarr")
    for name in ("time", "twice", "second"):
        np.testing.assert_array_equal(stored[name].values, found[name])


def test_several_files_with_short_data_sets_are_joined(tmp_path: Path) -> None:
    for number in (0, 1):
        with netCDF4.Dataset(tmp_path / f"{number}.nc", "w") as file:
            file.createDimension("time", None)
            file.createDimension("x", None)
            file.createVariable("time", "f8", ("time",))[:2] = np.arange(2) + 2 * number
            file.createVariable("x", "f8", ("x",))[:3] = np.arange(3)
            file.createVariable("a", "i2", ("time", "x"), fill_value=-1)[:1, :2] = number
    write_dataset(request(str(tmp_path / "*.nc"), tmp_path / "a.zarr", verify="full"))
    assert raw(tmp_path / "a.zarr", "zarr")["a"].values.tolist() == [[0, 0, -1], [-1] * 3, [1, 1, -1], [-1] * 3]


def never_filled(file: h5py.File, name: str, chunks: tuple[int, ...] | None, **filters: Any) -> h5py.Dataset:
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    if chunks:
        plist.set_chunk(chunks)
    if filters:
        plist.set_filter(h5py.h5z.FILTER_LZF, h5py.h5z.FLAG_OPTIONAL)
    identity = h5py.h5d.create(file.id, name.encode(), h5py.h5t.NATIVE_INT32, h5py.h5s.create_simple((4, 4)), plist)
    return h5py.Dataset(identity)


def test_what_was_never_written_and_is_not_filled_is_not_what_lies_in_memory(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, filters in (("past", {}), ("library", {"lzf": True})):
            never_filled(file, name, (2, 2), **filters)[:2, :2] = 1
            never_filled(file, f"{name}_none", (2, 2), **filters)
        never_filled(file, "whole", None)
    found, fill = everything(tmp_path / "a.h5"), netCDF4.default_fillvals["i4"]
    assert found["whole"].tolist() == [[fill] * 4] * 4
    for name in ("past", "library"):
        expected = np.full((4, 4), fill)
        assert found[f"{name}_none"].tolist() == expected.tolist()
        expected[:2, :2] = 1
        assert found[name].tolist() == expected.tolist()


def plain(path: Path) -> None:
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("x", 6)
        file.createVariable("past", "i4", ("x",), chunksizes=(3,), zlib=True)[:] = np.arange(6)
        file.createVariable("library", "i4", ("x",))[:] = np.arange(6)
        kind = file.createEnumType("u1", "sky", {"clear": 0, "cloud": 1})
        file.createVariable("enum", kind, ("x",))[:] = np.array([0, 1, 0, 1, 1, 0], "u1")
        file.createVariable("text", str, ("x",))[:] = np.array(list("abcdef"), object)


def wrong(change: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments: np.asarray(change(*arguments)) + 1


@pytest.mark.parametrize(("kind", "reads", "name"), [(Chunked, "read", "past"), (DataSet, "by_h5py", "library")])
def test_the_proof_reads_by_another_library_than_the_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any, reads: str, name: str
) -> None:
    plain(tmp_path / "a.nc")
    everything(tmp_path / "a.nc")
    write_dataset(request(tmp_path / "a.nc", tmp_path / "good.zarr", verify="full"))
    asked = check_request(str(tmp_path / "good.zarr"), None, [str(tmp_path / "a.nc")])
    assert check_store(asked).ok
    monkeypatch.setattr(kind, reads, wrong(getattr(kind, reads)))
    with pytest.raises(WriteError, match=f"'{name}' .* other values than the source has"):
        write_dataset(request(tmp_path / "a.nc", tmp_path / "b.zarr", verify="full", variables=[name]))
    if name == "library":
        assert not check_store(asked).ok


def test_a_filter_of_h5py_alone_is_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("v", data=np.arange(8), chunks=(4,), compression="lzf")
    write_dataset(request(tmp_path / "a.h5", tmp_path / "a.zarr", verify="full"))
    assert raw(tmp_path / "a.zarr", "zarr")["v"].values.tolist() == list(range(8))


def test_a_dimension_that_is_a_single_value_too_is_named_with_a_way_out(tmp_path: Path) -> None:
    path = tmp_path / "minc.mnc"
    with netCDF4.Dataset(path, "w", format="NETCDF3_CLASSIC") as file:
        file.createDimension("zspace", 3)
        file.createVariable("zspace", "i4", ()).step = 2.0
        file.createVariable("image", "i1", ("zspace",))[:] = 1
    with pytest.raises(SourceError, match=r"'zspace' is a dimension and a single value at once.*ncrename -v zspace,zspace_info") as error:
        open_items([Item("netcdf", str(path))])
    assert "damaged" not in str(error.value)
    with netCDF4.Dataset(path, "a") as file:
        file.renameVariable("zspace", "zspace_info")  # as ncrename does
    write_dataset(request(path, tmp_path / "a.zarr", verify="full"))
    assert raw(tmp_path / "a.zarr", "zarr")["zspace_info"].attrs["step"] == 2.0


def test_what_h5py_alone_reads_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["v"] = np.arange(3)

    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise OSError("NetCDF: Can't open HDF5 attribute")

    monkeypatch.setattr("zarrstream.source.netcdf._open_netcdf", refuse)
    with pytest.raises(SourceError, match=r"h5py opens it, but the NetCDF library and xarray do not .*HDF5 attribute.*h5copy"):
        open_items([Item("netcdf", str(tmp_path / "a.h5"))])
