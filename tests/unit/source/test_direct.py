# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""HDF5 chunks that are read past the library: the same bits as the library reads, and the library where anything is odd."""

from __future__ import annotations

import threading
import zlib
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import THOROUGH
from zarrstream.errors import SourceError
from zarrstream.source.hdf5_chunks import Chunked
from zarrstream.source.hdf5_read import find_data_sets
from zarrstream.source.items import Item
from zarrstream.source.local_file import SourceFile
from zarrstream.source.netcdf import open_file
from zarrstream.source.open import open_items

pytestmark = pytest.mark.filterwarnings("ignore:endian-ness of dtype")

LOCK = threading.Lock()
FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "deflate": {"zlib": True, "complevel": 1},
    "shuffled": {"zlib": True, "complevel": 4, "shuffle": True},
    "checked": {"zlib": True, "fletcher32": True},
    "checked only": {"fletcher32": True},
    "zstd": {"compression": "zstd"},
}
TYPES = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]


def find_chunked(file: SourceFile) -> dict[str, Chunked]:
    return {name: data.past for name, data in find_data_sets(file).items() if isinstance(data.past, Chunked)}


def safe(path: Path, name: str) -> np.ndarray:
    with netCDF4.Dataset(path) as file:
        file.set_auto_maskandscale(False)
        return np.asarray(file[name][...])


def block(path: Path, name: str, region: tuple[tuple[int, int], ...]) -> np.ndarray:
    source = open_items([Item("netcdf", str(path))])
    try:
        return source.block(name, region).values
    finally:
        source.close()


@st.composite
def layouts(draw: st.DrawFn) -> dict[str, Any]:
    shape = draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))
    fill = draw(st.sampled_from([None, False, 7]))
    some = [tuple(sorted(draw(st.tuples(st.integers(0, size), st.integers(0, size))))) for size in shape]
    return {
        "shape": shape,
        "chunks": [draw(st.integers(1, size)) for size in shape],
        "dtype": draw(st.sampled_from(TYPES)),
        "endian": draw(st.sampled_from(["<", ">"])),
        "filters": FILTERS[draw(st.sampled_from(sorted(FILTERS)))],
        "fill": fill,
        "unlimited": draw(st.booleans()),
        "written": [(0, size) for size in shape] if fill is False else some,  # without fill values the rest would be anything
        "region": tuple(tuple(sorted(draw(st.tuples(st.integers(0, size), st.integers(0, size))))) for size in shape),
        "group": draw(st.sampled_from(["", "a", "a/b"])),
    }


@settings(max_examples=200 if THOROUGH else 20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(layout=layouts(), seed=st.integers(0, 2**32 - 1))
def test_every_layout_reads_as_the_library_reads_it(tmp_path: Path, layout: dict[str, Any], seed: int) -> None:
    path, dims = tmp_path / "a.nc", [f"d{axis}" for axis in range(len(layout["shape"]))]
    dtype = np.dtype(layout["endian"] + layout["dtype"])
    bits = np.random.default_rng(seed).integers(0, 256, (*layout["shape"], dtype.itemsize), dtype="u1")
    values = bits.view(dtype)[..., 0]  # NaN payloads and -0.0 among them
    with netCDF4.Dataset(path, "w") as file:
        group = file.createGroup(layout["group"]) if layout["group"] else file
        for number, (dim, size) in enumerate(zip(dims, layout["shape"], strict=True)):
            file.createDimension(dim, None if layout["unlimited"] and number == 0 else size)
        file.createVariable("whole", "i1", dims[:1])[: layout["shape"][0]] = 1  # an unlimited dimension gets its length
        variable = group.createVariable("v", dtype, dims, chunksizes=layout["chunks"], fill_value=layout["fill"], **layout["filters"])
        variable.set_auto_maskandscale(False)
        some = tuple(slice(*part) for part in layout["written"])  # chunks beyond this are never allocated
        variable[some] = values[some]
    name = f"{layout['group']}/v".lstrip("/")
    expected, region = safe(path, name), layout["region"]
    selection = tuple(slice(*part) for part in region)
    wanted = expected[selection].astype(dtype.newbyteorder("="))
    assert block(path, name, region).tobytes() == wanted.tobytes()
    chunked = find_chunked(SourceFile.look(str(path))).get(name)
    if chunked and chunked.shape == expected.shape:  # else the library alone was asked
        assert chunked.read(region, LOCK).astype(dtype.newbyteorder("=")).tobytes() == wanted.tobytes()
    else:
        assert layout["unlimited"] or layout["fill"] is False, "all of these layouts are well known"


def test_a_chunk_that_was_stored_without_its_filters_is_read_so(tmp_path: Path) -> None:
    path, values = tmp_path / "a.h5", np.arange(12, dtype="<i4").reshape(3, 4)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("v", (3, 4), "<i4", chunks=(1, 4), shuffle=True, compression="gzip")
        shuffled = values[1].view("u1").reshape(4, 4).T.tobytes()
        data.id.write_direct_chunk((0, 0), values[0].tobytes(), filter_mask=0b11)
        data.id.write_direct_chunk((1, 0), shuffled, filter_mask=0b10)
        data.id.write_direct_chunk((2, 0), zlib.compress(values[2].tobytes()), filter_mask=0b01)
    assert find_chunked(SourceFile.look(str(path)))["v"].read(((0, 3), (0, 4)), LOCK).tolist() == values.tolist()
    assert safe(path, "v").tolist() == values.tolist()


@pytest.mark.parametrize("dtype", ["i2", "f4", "f8"])
@pytest.mark.parametrize("size", [1, 3])
def test_a_checksum_that_was_shuffled_with_the_values_is_no_trouble(tmp_path: Path, dtype: str, size: int) -> None:
    path, values = tmp_path / "a.nc", np.arange(size, dtype=dtype)
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("x", size)
        file.createVariable("v", dtype, ("x",), chunksizes=(size,), zlib=True, shuffle=True, fletcher32=True)[:] = values
    assert find_chunked(SourceFile.look(str(path)))["v"].read(((0, size),), LOCK).tolist() == values.tolist()


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda file: file.create_dataset("v", data=np.arange(8), chunks=(4,), compression="lzf"), "a filter that is not well known"),
        (lambda file: file.create_dataset("v", data=np.arange(8)), "no chunks"),
        (lambda file: file.create_dataset("v", data=np.arange(8) > 3, chunks=(4,)), "an enumeration"),
        (lambda file: file.create_dataset("v", data=np.array([b"ab"] * 8), chunks=(4,)), "text"),
        (lambda file: file.create_dataset("v", data=np.arange(8) * 1j, chunks=(4,)), "a compound"),
    ],
)
def test_what_is_not_well_known_is_left_to_the_library(tmp_path: Path, make: Any, why: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        make(file)
    assert find_chunked(SourceFile.look(str(tmp_path / "a.h5"))) == {}, why


def test_a_block_before_the_file_is_left_to_the_library(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=512) as file:
        file.create_dataset("v", data=np.arange(8), chunks=(4,))
    assert find_chunked(SourceFile.look(str(tmp_path / "a.h5"))) == {}
    assert block(tmp_path / "a.h5", "v", ((1, 7),)).tolist() == list(range(1, 7))


def test_a_variable_with_the_name_of_a_dimension_is_not_taken_for_it(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("x", None)
        file.createDimension("y", 4)
        file.createVariable("long", "f4", ("x",))[:4] = 1
        file.createVariable("x", "f4", ("y",), chunksizes=(2,))[:] = [1, 2, 3, 4]
    assert block(path, "x", ((0, 4),)).tolist() == [1, 2, 3, 4]


def test_a_variable_shorter_than_its_unlimited_dimension_ends_in_fill_values(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("x", None)
        file.createVariable("long", "i4", ("x",))[:9] = 1
        file.createVariable("short", "i4", ("x",), fill_value=-5, chunksizes=(2,))[:3] = 1
    assert block(path, "short", ((0, 9),)).tolist() == [1, 1, 1] + 6 * [-5]


def test_steps_and_single_elements(tmp_path: Path) -> None:
    path, values = tmp_path / "a.nc", np.arange(60).reshape(6, 10)
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("y", 6)
        file.createDimension("x", 10)
        file.createVariable("v", "i8", ("y", "x"), chunksizes=(4, 3), zlib=True)[:] = values
    with open_file(SourceFile.look(str(path))) as dataset:
        variable = dataset.variables["v"]
        for key in [(2, slice(None)), (slice(5, 0, -2), slice(1, 9, 3)), (-1, -1), (slice(3, 3), 0), ([0, 5, 2], slice(2, 4))]:
            assert variable[key].values.tolist() == values[key].tolist(), key


def damage(path: Path) -> Chunked:
    """A file of one good chunk and one whose bytes are damaged."""
    with h5py.File(path, "w") as file:
        file.create_dataset("v", data=np.arange(2000), chunks=(1000,), compression="gzip", fletcher32=True)
        where = file["v"].id.get_chunk_info(1).byte_offset
    with path.open("r+b") as file:
        file.seek(where + 100)
        file.write(b"\xff" * 8)
    return find_chunked(SourceFile.look(str(path)))["v"]


def test_damage_is_told_in_the_words_of_the_library(tmp_path: Path) -> None:
    chunked = damage(tmp_path / "a.h5")
    with pytest.raises(RuntimeError):
        chunked.read(((0, 2000),), LOCK)
    assert block(tmp_path / "a.h5", "v", ((0, 1000),)).tolist() == list(range(1000))
    with pytest.raises(SourceError, match=r"'v' cannot be read at .*HDF error"):
        block(tmp_path / "a.h5", "v", ((0, 2000),))


def test_several_threads_read_at_once(tmp_path: Path) -> None:
    """While one has the lock of the library, as it has for the whole of a read by the library."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("v", data=np.arange(1000), chunks=(10,), compression="gzip")
    chunked = find_chunked(SourceFile.look(str(path)))["v"]
    chunked.read(((0, 10),), LOCK)
    with LOCK:
        assert chunked.read(((5, 15),), LOCK).tolist() == list(range(5, 15))
