# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One thing that is measured, in a process of its own: ``ways.py NAME JSON`` prints the seconds that it took without its imports.

The options are ``source`` (a NetCDF file), ``chunks``, ``size`` (MiB), ``place`` (bucket/key), ``folder``, ``endpoint``,
``region``, ``config_file``, ``sample``, ``memory``, ``bare``, ``names`` (variables), ``request`` (more options of zarr_write) and
``figures`` (a file for the result's). Clients other than Zarrstream find their keys in the environment.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "plugins" / "module_utils"))

PROFILE = "bench"
NAME = "t2m"
DIMS = ("time", "lat", "lon")
LEVEL = 3  # of Zstandard, with its checksum: Zarrstream's default, and so everybody's here
REQUESTS = 16  # at a time
Options = dict[str, Any]


def make_data(options: Options) -> float:
    """Temperatures as archives keep them: weather of all scales, to a hundredth of a kelvin, float32, shuffled and deflated."""
    import netCDF4
    import numpy as np

    start = time.perf_counter()
    chunks = options["chunks"]
    names = options.get("names", [NAME])
    steps = max(chunks[0], int(options["size"] * 2**20) // (4 * chunks[1] * chunks[2] * len(names)) // chunks[0] * chunks[0])
    together = chunks[0] * max(1, 2**20 // (chunks[0] * chunks[1] * chunks[2]))  # steps made at a time
    random = np.random.default_rng(1)
    lat = np.linspace(0, np.pi, chunks[1], dtype="f4")[:, None]
    lon = np.linspace(0, 2 * np.pi, chunks[2], dtype="f4")[None]
    weather = _weather(random, chunks[1:])
    with netCDF4.Dataset(options["source"], "w") as file:
        for dim, length in zip(DIMS, (steps, *chunks[1:]), strict=True):
            file.createDimension(dim, length)
        how: dict[str, Any] = {"zlib": True, "complevel": 4, "shuffle": True, "chunksizes": chunks}
        variables = [file.createVariable(name, "f4", DIMS, **how) for name in names]
        for first in range(0, steps, together):
            numbers = range(first, min(steps, first + together))
            moments = np.array(numbers, dtype="f4")[:, None, None]
            moved = np.stack([np.roll(weather, 7 * number, 1) for number in numbers])
            for variable in variables:
                noise = random.standard_normal(moved.shape, dtype="f4") * np.float32(0.05)
                values = 280 + 20 * np.sin(lat) + 5 * np.cos(3 * lon + moments / 10) * np.sin(2 * lat) + moved + noise
                variable[numbers.start : numbers.stop] = np.rint(values * 128) / 128  # so that the last bits are zeros
    return time.perf_counter() - start


def _weather(random: Any, shape: Sequence[int]) -> Any:
    """A field with a standard deviation of 6 and the spectrum of turbulence, in which neighbours are alike."""
    import numpy as np

    waves = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    waves[0, 0] = np.inf
    field = np.fft.irfft2(waves ** (-4 / 3) * np.fft.rfft2(random.standard_normal(tuple(shape))), tuple(shape))
    return (6 / field.std() * field).astype("f4")


def ours(options: Options) -> float:
    """What the module zarr_write does."""
    if not options.get("bare"):  # then it imports what it needs itself, and that counts
        _import_ours()
    from zarrstream.commands.write import write_dataset
    from zarrstream.write.request import request_from

    request = request_from(
        {
            "source": options["source"],
            "store": f"s3://{options['place']}",
            "profile": PROFILE,
            "config_file": options["config_file"],
            "chunks": dict(zip(DIMS, options["chunks"], strict=True)),
            "memory": options.get("memory"),
            **options.get("request", {}),
        }
    )
    start = time.perf_counter()
    done = write_dataset(request)
    seconds = time.perf_counter() - start
    if "figures" in options:
        Path(options["figures"]).write_text(json.dumps(done.to_dict(), default=str))
    return seconds


def imports(options: Options) -> float:
    """What ``ours`` takes before it begins: for its memory."""
    _import_ours()
    return float(not options)


def tutorial(options: Options) -> float:
    """The tutorial's way: xarray to s3fs."""
    _import_all()
    files = _s3fs(options)
    start = time.perf_counter()
    _to_zarr(options, files.get_mapper(options["place"]))
    return time.perf_counter() - start


def local(options: Options) -> float:
    """The first half of 'write here, then copy'."""
    _import_all()
    start = time.perf_counter()
    _to_zarr(options, options["folder"])
    return time.perf_counter() - start


def _import_all() -> None:
    """What xarray imports to write, some of it only when it begins: no way is charged for that."""
    for name in ("dask.array", "distributed", "netCDF4", "xarray", "zarr.codecs.numcodecs"):
        import_module(name)


def _import_ours() -> None:
    """The same for zarr_write."""
    for name in ("botocore.session", "dask.array", "h5py", "netCDF4", "obstore", "xarray", "zarr.codecs.numcodecs", "zlib_ng", "zstandard"):
        import_module(name)
    for name in (
        "encoding.zstd",
        "profiles.profile",
        "source.hdf5_chunks",
        "source.hdf5_read",
        "write.create",
        "write.recording",
        "write.session",
        "write.template",
        "write.verify",
    ):
        import_module(f"zarrstream.{name}")


def from_the_web(options: Options) -> float:
    """Read by fsspec and h5netcdf, and write to a folder."""
    import fsspec

    _import_all()
    import_module("h5netcdf")
    start = time.perf_counter()
    with fsspec.open(options["source"]) as file:
        _to_zarr(options | {"source": file}, options["folder"], engine="h5netcdf")
    return time.perf_counter() - start


def many(options: Options) -> float:
    """Join files of a folder, and write to a folder."""
    _import_all()
    import xarray as xr

    start = time.perf_counter()
    with xr.open_mfdataset(sorted(Path(options["source"]).glob("*.nc"))) as dataset:
        _write(options, dataset, options["folder"])
    return time.perf_counter() - start


def _to_zarr(options: Options, store: Any, **how: Any) -> None:
    import xarray as xr

    with xr.open_dataset(options["source"], chunks={}, **how) as dataset:
        _write(options, dataset, store)


def _write(options: Options, dataset: Any, store: Any) -> None:
    import zarr

    codec = zarr.codecs.ZstdCodec(level=LEVEL, checksum=True)
    encoding = {name: {"compressors": (codec,), "chunks": tuple(options["chunks"])} for name in options.get("names", [NAME])}
    dataset.to_zarr(store, mode="w", zarr_format=3, encoding=encoding)


def recode(options: Options) -> float:
    """Decode and encode all chunks with all processors, and do nothing else: no lock of HDF5, no transport."""
    import h5py
    from numcodecs import Shuffle, Zstd
    from zarrstream.encoding.zstd import small_zstd
    from zarrstream.source.hdf5_chunks import inflate

    shuffle, zstd, length = Shuffle(4), (small_zstd() or Zstd)(LEVEL, checksum=True), 4 * math.prod(options["chunks"])
    start = time.perf_counter()
    with h5py.File(options["source"]) as file:
        places: list[tuple[int, int]] = []
        file[NAME].id.chunk_iter(lambda chunk: places.append((chunk.byte_offset, chunk.size)))
    with Path(options["source"]).open("rb") as raw, ThreadPoolExecutor(os.cpu_count()) as threads:

        def one(place: tuple[int, int]) -> int:
            return len(zstd.encode(shuffle.decode(inflate(os.pread(raw.fileno(), place[1], place[0]), length))))

        sum(threads.map(one, places))
    return time.perf_counter() - start


def put(options: Options) -> float:
    """Send ready objects from memory."""
    import asyncio

    import obstore

    folder = Path(options["folder"])
    objects = {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    store, prefix = _obstore(options)

    async def send() -> None:
        limit = asyncio.Semaphore(REQUESTS)

        async def one(key: str, data: bytes) -> None:
            async with limit:
                await obstore.put_async(store, f"{prefix}/{key}", data)

        await asyncio.gather(*(one(key, data) for key, data in objects.items()))

    start = time.perf_counter()
    asyncio.run(send())
    return time.perf_counter() - start


def list_all(options: Options) -> float:
    """List a store and nothing else."""
    import obstore

    store, prefix = _obstore(options)
    start = time.perf_counter()
    found = sum(len(page) for page in obstore.list(store, prefix))
    if not found:
        raise SystemExit(f"{options['place']} is empty.")
    return time.perf_counter() - start


def get_all(options: Options) -> float:
    """List a store and fetch all its objects, undecoded."""
    import asyncio

    import obstore

    store, prefix = _obstore(options)

    async def fetch() -> None:
        limit = asyncio.Semaphore(REQUESTS)

        async def one(key: str) -> None:
            async with limit:
                await (await obstore.get_async(store, key)).bytes_async()

        await asyncio.gather(*(one(item["path"]) for page in obstore.list(store, prefix) for item in page))

    start = time.perf_counter()
    asyncio.run(fetch())
    return time.perf_counter() - start


def check(options: Options) -> float:
    """What the module zarr_check does."""
    import obstore  # noqa: F401
    import xarray  # noqa: F401
    import zarr  # noqa: F401
    from zarrstream.check.request import request_from
    from zarrstream.commands.check import check_store

    given = {"store": f"s3://{options['place']}", "profile": PROFILE, "config_file": options["config_file"], "sample": options["sample"]}
    request = request_from(given)
    start = time.perf_counter()
    report = check_store(request).report
    if not report.ok:
        raise SystemExit(report.summary["line"])
    return time.perf_counter() - start


def remove(options: Options) -> float:
    """What the module zarr_write does with state absent."""
    from zarrstream.write.remove import remove_store, request_from

    start = time.perf_counter()
    result = remove_store(request_from({"store": f"s3://{options['place']}", "profile": PROFILE, "config_file": options["config_file"]}))
    if not result.changed or result.foreign_count:
        raise SystemExit(f"removed {result.objects_removed} objects, {result.foreign_count} are foreign")
    return time.perf_counter() - start


def read(options: Options) -> float:
    """Read a store as a careful user would prove it: every value, through xarray."""
    import xarray as xr

    files = _s3fs(options)
    start = time.perf_counter()
    with xr.open_zarr(files.get_mapper(options["place"]), chunks={}) as dataset:
        dataset[NAME].sum().compute()
    return time.perf_counter() - start


def _s3fs(options: Options) -> Any:
    import s3fs

    return s3fs.S3FileSystem(endpoint_url=options["endpoint"], client_kwargs={"region_name": options["region"]})


def _obstore(options: Options) -> tuple[Any, str]:
    from obstore.store import S3Store

    bucket, _, prefix = options["place"].partition("/")
    settings: Any = {"endpoint": options["endpoint"], "region": options["region"]}
    return S3Store(bucket, **settings, virtual_hosted_style_request=False, client_options={"allow_http": True}), prefix


WAYS: dict[str, Callable[[Options], float]] = {
    way.__name__: way
    for way in (make_data, ours, imports, tutorial, local, from_the_web, many, recode, put, list_all, get_all, check, remove, read)
}

if __name__ == "__main__":
    print(json.dumps(WAYS[sys.argv[1]](json.loads(sys.argv[2]))), flush=True)  # noqa: T201 - its result
    # Threads of obstore's that have just ended a request abort a process now and then that finalizes at that moment
    # (pyo3-async-runtimes, issue 40): seen after 3 of 50 runs of bare requests, after none of 120 of Zarrstream's.
    os._exit(0)
