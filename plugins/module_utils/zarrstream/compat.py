# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What other libraries keep to themselves, and the core needs: here and nowhere else.

Each has the version in which it was seen. ``tests/unit/ground/test_compat.py`` tells when it moves: its tests have the functions' names.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numcodecs import Zstd
    from zarr.abc.buffer import Buffer, BufferPrototype
    from zarr.codecs import ZstdCodec
    from zarr.storage import MemoryStore

_FUSED = "FusedCodecPipeline"


@lru_cache(1)  # zarr looks it up in its settings, which takes as long as a small chunk
def default_prototype() -> BufferPrototype:
    """What makes zarr's buffers (zarr 3.4.2; public as ``zarr.buffer``, but not in 3.1)."""
    from zarr.core.buffer import default_buffer_prototype

    return default_buffer_prototype()


def as_buffer(data: bytes, prototype: BufferPrototype | None = None) -> Buffer:
    """Bytes as zarr takes them from a store."""
    return (prototype or default_prototype()).buffer.from_bytes(data)


def wait_for(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that runs in zarr's own event loop (zarr 3.4.2)."""
    from zarr.core.sync import sync

    return sync(work)


def fused_pipeline() -> dict[str, Any]:
    """The setting for zarr's pipeline without a coroutine for each codec of each chunk, which it has since 3.4 (zarr 3.4.2)."""
    import zarr.core.codec_pipeline as pipelines

    return {"codec_pipeline.path": f"{pipelines.__name__}.{_FUSED}"} if hasattr(pipelines, _FUSED) else {}


def zstd_codec(make: Callable[..., Zstd]) -> type[ZstdCodec]:
    """Zarr's Zstandard with what ``make`` gives in place of the codec of numcodecs (zarr 3.4.2)."""
    from zarr.codecs import ZstdCodec

    class Codec(ZstdCodec):
        @cached_property
        def _zstd_codec(self) -> Zstd:
            return make(self.level, checksum=self.checksum)

    return Codec


def held_by(store: MemoryStore) -> Any:
    """The objects of a store in memory, by key, to add to and to take from without a coroutine (zarr 3.4.2)."""
    return store._store_dict


def text_dtype() -> Any:
    """The dtype of objects by which xarray knows text of any length (xarray 2026.9.0)."""
    from xarray.coding.strings import create_vlen_dtype

    return create_vlen_dtype(str)  # type: ignore[no-untyped-call]


def date_of(value: float, units: str, calendar: str) -> Any:
    """The date that a number stands for (xarray 2026.9.0)."""
    from xarray.coding.times import decode_cf_datetime

    return decode_cf_datetime([value], units, calendar)[0]


def netcdf_lock() -> Any:
    """What xarray holds while it calls the NetCDF library, which takes one thread at a time (xarray 2026.9.0)."""
    from xarray.backends.netCDF4_ import NETCDF4_PYTHON_LOCK

    return NETCDF4_PYTHON_LOCK


def same_file(store: Any, group: str) -> Any:
    """Another group of an open NetCDF file of xarray's, by the same handle (xarray 2026.9.0)."""
    return type(store)(store._manager, group=group, lock=store.lock)


def lazy_array(variable: Any) -> Any:
    """What reads a variable that xarray has opened and not read; None where there is none (xarray 2026.9.0)."""
    return getattr(variable._data, "array", None)


def indexing() -> Any:
    """What xarray tells makers of a backend to index with (xarray 2026.9.0)."""
    from xarray.core import indexing as found

    return found


@contextmanager
def without_dask() -> Iterator[None]:
    """Let xarray not import Dask to see whether something is of Dask: what was never imported made nothing (xarray 2026.9.0)."""
    from xarray.namedarray import utils

    asked = utils.is_dask_collection
    utils.is_dask_collection = lambda value: "dask.base" in sys.modules and asked(value)  # type: ignore[assignment]
    try:
        yield
    finally:
        utils.is_dask_collection = asked


def stay_away(client: Any) -> None:
    """Let a client of Dask not come back to a scheduler that was lost (distributed 2026.8.0)."""
    client._timeout = 0


def unregister(client: Any, plugin: str, seconds: float) -> None:
    """Take a plugin from the workers within a time, for which ``unregister_worker_plugin`` has no room (distributed 2026.8.0)."""
    client.sync(client._unregister_worker_plugin, name=plugin, nanny=False, callback_timeout=seconds)


def cloud_files(config: Any) -> list[str]:
    """Where openstacksdk looks for clouds.yaml (openstacksdk 4.22.0)."""
    return [path for path in map(str, config._config_files) if path.endswith("clouds.yaml")]


def arguments_of(parser: argparse.ArgumentParser) -> Iterable[argparse.Action]:
    """All arguments of a parser, those of its commands included (Python 3.13)."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from arguments_of(command)
