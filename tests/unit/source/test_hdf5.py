"""HDF5 that no NetCDF library wrote: read where it can be, and refused where data would be lost or the process crash."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from asking import write_request
from writing import FORKS, write_apart
from zarrstream.commands.write import preview, write_dataset
from zarrstream.errors import SourceError

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have a Zarr V3 specification", "ignore:Consolidated metadata")


def references(file: h5py.File) -> None:
    file["r"] = np.array([file.create_dataset("a", data=[1, 2]).ref], dtype=h5py.ref_dtype)


@FORKS
@pytest.mark.parametrize(
    ("fill", "words"),
    [
        (lambda file: file.create_dataset("r", data=np.array([1, 2], "f2")), "floats of 16 bits"),
        (lambda file: file.create_dataset("r", data=np.array([1, 2], "g")), "floats of 128 bits"),
        (references, "references"),
        (lambda file: file.create_dataset("r", data=np.array([b"ab"], "V2")), "opaque"),
        (lambda file: file.create_dataset("r", data=h5py.Empty("f4")), "without even a shape"),
    ],
)
def test_what_netcdf_leaves_out_or_crashes_on_is_refused(tmp_path: Path, fill: Callable[[h5py.File], Any], words: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["b"] = np.arange(3)
        fill(file)
    # A process of its own: a crash is a failure of this test only.
    (outcome,) = write_apart(write_request(source=(str(tmp_path / "a.h5"),), store=str(tmp_path / "a.zarr")))
    assert outcome.startswith("SourceError")
    assert words in outcome
    assert "'r'" in outcome
    assert not (tmp_path / "a.zarr").exists()


@pytest.mark.parametrize(
    ("values", "dims"),
    [
        (np.arange(12.0).reshape(3, 4), ("phony_dim_0", "phony_dim_1")),
        (np.arange(25.0).reshape(5, 5), ("phony_dim_0", "phony_dim_1")),
        (np.arange(5, dtype=">f4"), ("phony_dim_0",)),
        (np.arange(5, dtype=">i8"), ("phony_dim_0",)),
        (np.array(3.5, "f4"), ()),
        (np.array([0x7FC00001, 0x80000000], "u4").view("f4"), ("phony_dim_0",)),
        (np.array([True, False]), ("phony_dim_0",)),
    ],
)
def test_data_sets_without_dimension_scales_are_read(tmp_path: Path, values: np.ndarray, dims: tuple[str, ...]) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = values
    write_dataset(write_request(source=(str(tmp_path / "a.h5"),), store=str(tmp_path / "a.zarr"), verify="full"))
    found = zarr.open_array(tmp_path / "a.zarr/a", mode="r")
    assert (found.metadata.dimension_names or ()) == dims  # type: ignore[union-attr]
    assert np.asarray(found[...]).tobytes() == values.astype(values.dtype.newbyteorder("=")).tobytes()


def test_an_unlimited_dimension_may_be_empty(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", shape=(0, 4), maxshape=(None, 4), dtype="f4", chunks=(10, 4))
    write_dataset(write_request(source=(str(tmp_path / "a.h5"),), store=str(tmp_path / "a.zarr"), verify="full"))
    assert zarr.open_array(tmp_path / "a.zarr/a", mode="r").shape == (0, 4)


def test_a_truncated_file_is_named_as_such(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = np.arange(10_000)
    (tmp_path / "a.h5").write_bytes((tmp_path / "a.h5").read_bytes()[:5000])
    with pytest.raises(SourceError, match="truncated or damaged"):
        preview(write_request(source=(str(tmp_path / "a.h5"),), store=str(tmp_path / "a.zarr")))
