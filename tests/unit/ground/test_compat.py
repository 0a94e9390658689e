# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What other libraries keep to themselves is where ``compat`` looks for it. A test that fails here says what has moved."""

from __future__ import annotations

import argparse
import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from numcodecs import Zstd
from xarray.backends import BackendArray, NetCDF4DataStore
from zarr.abc.codec import CodecPipeline
from zarr.codecs import ZstdCodec
from zarr.storage import MemoryStore
from zarrstream import compat

CORE = Path(compat.__file__).parent
# A worker gets these files without the rest of the core; each has a test of its own.
ALONE = {"compat.py", "dask/state/remote.py", "dask/tls_errors.py"}
PRIVATE = re.compile(r"\b(zarr|xarray|distributed|numcodecs|botocore)\.(\w+\.)*(core|_\w+|\w+_)\b|(?<!self)(?<!cls)\.(?!_exit\()_[a-z]\w*")


def array(**options: Any) -> zarr.Array:
    return zarr.create_array(MemoryStore(), name="a", shape=(4,), dtype="i4", **options)


@pytest.fixture
def opened(tmp_path: Path) -> NetCDF4DataStore:
    for group, mode in ((None, "w"), ("below", "a")):
        xr.Dataset({"a": ("x", np.arange(4))}).to_netcdf(tmp_path / "a.nc", mode, group=group, engine="netcdf4")
    with_lock = NetCDF4DataStore.open(tmp_path / "a.nc", lock=compat.netcdf_lock())
    yield with_lock
    with_lock.close()


def test_private_parts_are_used_in_one_file_alone() -> None:
    """Nor does a file of ours touch the private parts of another one."""
    for path in sorted(CORE.rglob("*.py")):
        if str(path.relative_to(CORE)) not in ALONE:
            code = re.sub(r'""".*?"""|"[^"\n]*"|#.*', "", path.read_text(), flags=re.DOTALL)
            assert [match[0] for match in PRIVATE.finditer(code)] == [], path


def test_each_says_where_it_was_seen_and_is_tested() -> None:
    for name, function in inspect.getmembers(compat, callable):
        if getattr(function, "__module__", None) == compat.__name__ and name != "as_buffer":
            assert re.search(r"\(\w+ \d+\.\d+", function.__doc__ or ""), name
            assert f"test_{name}" in globals(), name


def test_default_prototype() -> None:
    assert compat.as_buffer(b"ab").to_bytes() == compat.as_buffer(b"ab", compat.default_prototype()).to_bytes() == b"ab"


def test_wait_for() -> None:
    store = MemoryStore()
    compat.wait_for(store.set("key", compat.as_buffer(b"ab")))
    assert compat.wait_for(store.exists("key"))


def test_fused_pipeline() -> None:
    setting = compat.fused_pipeline()
    assert bool(setting) == (tuple(map(int, zarr.__version__.split(".")[:2])) >= (3, 4)), "faster than the one of zarr 3.3 and earlier"
    with zarr.config.set(setting):
        pipeline = array().async_array.codec_pipeline
    assert isinstance(pipeline, CodecPipeline)
    assert not setting or setting["codec_pipeline.path"].endswith(type(pipeline).__name__)


def test_zstd_codec() -> None:
    made: list[Zstd] = []

    def make(level: int, **options: Any) -> Zstd:
        made.append(Zstd(level, **options))
        return made[-1]

    codec = compat.zstd_codec(make)(level=7, checksum=True)
    stored = array(compressors=codec)
    stored[:] = 1
    assert {(each.level, each.checksum) for each in made} == {(7, True)}
    assert isinstance(codec, ZstdCodec)


def test_held_by() -> None:
    stored = array(chunks=(4,), compressors=None)
    compat.held_by(stored.store)["a/c/0"] = compat.as_buffer(np.arange(4, dtype="<i4").tobytes())
    assert stored[:].tolist() == [0, 1, 2, 3]
    del compat.held_by(stored.store)["a/c/0"]
    assert stored[:].tolist() == [0, 0, 0, 0]


def test_text_dtype() -> None:
    words = xr.Variable("x", np.array([], compat.text_dtype()))
    store = MemoryStore()
    xr.Dataset({"words": words}).to_zarr(store, zarr_format=2, consolidated=False)
    assert xr.open_zarr(store, zarr_format=2, consolidated=False, chunks=None)["words"].dtype.kind in "OT", "and not numbers"


def test_date_of() -> None:
    assert str(compat.date_of(1.5, "days since 2000-01-01", "standard")).startswith("2000-01-02T12:00:00")
    assert str(compat.date_of(59, "days since 2000-01-01", "360_day")).startswith("2000-02-30")


def test_netcdf_lock(opened: NetCDF4DataStore) -> None:
    with compat.netcdf_lock():
        assert opened.lock is compat.netcdf_lock()
    parameters = inspect.signature(NetCDF4DataStore.open).parameters
    assert "lock" in parameters
    assert "NETCDF4_PYTHON_LOCK" in inspect.getsource(NetCDF4DataStore.open), "xarray takes the same"


def test_same_file(opened: NetCDF4DataStore) -> None:
    below = compat.same_file(opened, "below")
    assert type(below) is type(opened)
    assert below.ds.parent is not None
    assert below.ds.parent.filepath() == opened.ds.filepath()


def test_lazy_array(opened: NetCDF4DataStore) -> None:
    variable = opened.open_store_variable("a", opened.ds.variables["a"])
    assert isinstance(compat.lazy_array(variable), BackendArray)
    assert compat.lazy_array(xr.Variable("x", [1])) is None


def test_indexing() -> None:
    index = compat.indexing()

    class Doubled(BackendArray):
        shape, dtype = (4,), np.dtype("i8")

        def __getitem__(self, key: Any) -> Any:
            return index.explicit_indexing_adapter(key, self.shape, index.IndexingSupport.BASIC, self.read)

        def read(self, key: tuple[Any, ...]) -> Any:
            return 2 * np.arange(4)[key]

    assert xr.Variable("x", index.LazilyIndexedArray(Doubled()))[1:3].values.tolist() == [2, 4]
    assert index.BasicIndexer((slice(1, 3),)).tuple == (slice(1, 3),)


def test_stay_away() -> None:
    from distributed import Client

    assert "timeout = self._timeout" in inspect.getsource(Client._reconnect)


def test_unregister() -> None:
    from distributed import Client

    assert {"name", "nanny"} <= inspect.signature(Client._unregister_worker_plugin).parameters.keys()
    assert "callback_timeout" in inspect.signature(Client.sync).parameters


def test_cloud_files() -> None:
    from openstack.config import OpenStackConfig

    files = compat.cloud_files(OpenStackConfig(load_envvars=False))
    assert "/etc/openstack/clouds.yaml" in files
    assert {Path(file).name for file in files} == {"clouds.yaml"}


def test_arguments_of() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--above")
    parser.add_subparsers().add_parser("command").add_argument("--below")
    assert {"above", "below"} <= {argument.dest for argument in compat.arguments_of(parser)}


def test_without_dask() -> None:
    from xarray.namedarray import utils

    asked = utils.is_dask_collection
    with compat.without_dask():
        assert utils.is_dask_collection is not asked
        assert not utils.is_duck_dask_array(np.arange(3))
        chunked = xr.Variable("x", np.arange(4)).chunk({"x": 2})
        assert utils.is_duck_dask_array(chunked.data), "what Dask made stays Dask's"
    assert utils.is_dask_collection is asked
