"""Whatever is written reads back to the last bit, in any type, shape, layout and codec."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from running import THOROUGH
from writing import raw, request
from zarrstream.commands.write import write_dataset
from zarrstream.write.verify import same_bits

TYPES = st.one_of(
    hnp.integer_dtypes(endianness="?", sizes=(8, 16, 32, 64)),
    hnp.unsigned_integer_dtypes(endianness="?", sizes=(8, 16, 32, 64)),
    hnp.floating_dtypes(endianness="?", sizes=(32, 64)),
)
ARRAYS = TYPES.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)))
COMPRESSORS = ["none", {"id": "zstd", "level": 3}, {"id": "gzip", "level": 1}, {"id": "blosc", "cname": "lz4", "shuffle": "bitshuffle"}]


@settings(max_examples=200 if THOROUGH else 12)
@given(
    values=ARRAYS,
    lengths=st.tuples(*[st.integers(1, 6)] * 3),
    zarr_format=st.sampled_from([2, 3]),
    compressor=st.sampled_from([{}, *({"compressor": codec} for codec in COMPRESSORS)]),
)
@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")
def test_values_come_back(values: np.ndarray, lengths: tuple[int, ...], zarr_format: Any, compressor: dict[str, Any]) -> None:
    """NaN payloads, -0.0, the byte order of the source, edges of chunks, nothing at all."""
    dims = "xyz"[: values.ndim]
    with tempfile.TemporaryDirectory() as folder:
        source, store = Path(folder, "a.nc"), Path(folder, "a.zarr")
        xr.Dataset({"a": (tuple(dims), values)}).to_netcdf(source, engine="netcdf4", encoding={"a": {"_FillValue": None}})
        chunks = {dim: min(length, size) for dim, length, size in zip(dims, lengths, values.shape, strict=False) if size} or None
        wanted = request(
            source, store, zarr_format=zarr_format, chunks=chunks, encoding={"a": compressor} if compressor else {}, verify="full"
        )
        write_dataset(wanted)
        found = raw(store, "zarr")["a"].values
        assert same_bits(found, values.astype(values.dtype.newbyteorder("=")))
        assert not write_dataset(wanted).changed
