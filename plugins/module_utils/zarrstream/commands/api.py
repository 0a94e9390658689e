# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The work of the modules for Python: ``from zarrstream import check, probe, write``.

The arguments are the options of the modules ``zarr_write``, ``zarr_check`` and ``s3_probe``, by the same names and with the same
defaults; results are plain values. All errors are a ``ZarrstreamError``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..check.report import Report
from ..check.request import request_from as check_request_from
from ..libraries import missing_libraries_named
from ..probe.run import ProbeReport
from ..probe.run import request_from as probe_request_from
from ..probe.run import run as run_probe
from ..storage.remote import CONCURRENCY
from ..write.progress import Progress
from ..write.request import MAX_REVISED, request_from
from ..write.result import WriteResult
from .check import check_store
from .write import preview, write_dataset

__all__ = ["ProbeReport", "Progress", "Report", "WriteResult", "check", "probe", "write"]

if TYPE_CHECKING:
    # For readers of types alone, of Python 3.11; pylint: disable=unsupported-binary-operation
    AnyPath = str | os.PathLike[str]
    Lengths = Mapping[str, int | str]
    Joining = Mapping[str, Any] | Sequence[Mapping[str, Any]]
    # pylint: enable=unsupported-binary-operation

# What may begin with ~. Sources and stores may be URLs and see to it themselves.
_FILES = ("config_file", "ca_bundle", "progress_path", "report", "debug_log", "source_ca_bundle", "source_token_file", "spool")


def write(
    source: AnyPath | Sequence[AnyPath],
    store: AnyPath,
    *,
    profile: str | None = None,
    endpoint_url: str | None = None,
    config_file: AnyPath | None = None,
    ca_bundle: AnyPath | None = None,
    follow: Sequence[AnyPath] = (),
    zarr_format: Literal[2, 3] = 3,
    variables: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    chunks: Lengths | Literal["auto"] | None = None,
    shards: Lengths | Literal["auto", "none"] | None = None,
    memory: str | None = None,
    encoding: Mapping[str, Mapping[str, Any]] | None = None,
    combine: Joining | None = None,
    prepare: Sequence[Mapping[str, Any]] = (),
    consolidated: bool = True,
    portable: bool = False,
    mode: Literal["create", "replace", "append", "update"] = "create",
    append_dim: str | None = None,
    max_revised: float = MAX_REVISED,
    scheduler: str | None = None,
    scheduler_tls: Mapping[str, AnyPath] | None = None,
    source_profile: str | None = None,
    source_endpoint_url: str | None = None,
    source_anonymous: bool = False,
    source_ca_bundle: AnyPath | None = None,
    source_token_file: AnyPath | None = None,
    source_hosts: Sequence[str] = (),
    source_concurrency: int = CONCURRENCY,
    spool: AnyPath | None = None,
    verify: Literal["none", "manifest", "sample", "full"] = "manifest",
    progress_path: AnyPath | None = None,
    timeout: float | None = None,
    progress: Callable[[Progress], None] | None = None,
    dry_run: bool = False,
) -> WriteResult:
    """Write NetCDF, HDF5 or Zarr as a Zarr store that is published only when it is whole.

    Where the store is there already, and was written from the same source by the same request, nothing is done and ``changed`` is
    false. Interrupt it, and the next call goes on from there. One write at a time in a process: the library that reads NetCDF does
    not bear more.

    Args:
        source: Files, globs of them, or one Zarr store: paths, ``s3://`` or ``https://``, or a text file of URLs.
        store: Where to write, a path or ``s3://bucket/name.zarr``. The bucket exists.
        profile: The AWS profile with keys, region and endpoint; ``default`` if not given.
        endpoint_url: The S3 endpoint, where the profile has none.
        config_file: The file with the profile, if not ``~/.aws/config``.
        ca_bundle: The endpoint's CA, where the system does not know it.
        follow: Folders that links in the source may lead to.
        zarr_format: The version of the Zarr format.
        variables: The variables to write; all, if not given.
        exclude: Those that are not; the other way round.
        chunks: Lengths of chunks by dimension, counted in values, such as ``{"time": 240}``, or ``"auto"``. What is left out is as in the
            source, if that is a Zarr store, and automatic otherwise.
        shards: Lengths of shards by dimension, whole multiples of the chunks, ``"auto"`` or ``"none"``. If not given, those of a Zarr
            source, and otherwise none.
        memory: What the data may take at a time, such as ``"2GiB"``; half of what is free, if not given.
        combine: How several files are joined: some of dim, value_from, overlap, tolerance, static, differing; a list, outermost first, for
            several dimensions.
        prepare: What is done to each file before: a list of steps, each one of rename, drop, squeeze, transpose, select, attrs, repack.
        encoding: By variable, ``"*"`` for all, some of compressor, filters, dtype, scale_factor, add_offset, _FillValue, chunks, shards.
        consolidated: Write consolidated metadata.
        portable: Refuse or change encodings that readers other than zarr-python do not take.
        mode: What to do with a store that is there; ``create`` refuses another one.
        append_dim: The dimension that grows with ``append`` and ``update``.
        max_revised: The share of the steps that ``update`` may change or take away.
        scheduler: A Dask scheduler whose workers do the work, ``tls://host:port``; wants ``dask[distributed]``.
        scheduler_tls: The paths ``ca_file``, ``cert`` and ``key`` for it; Dask's own settings, if not given.
        source_profile: The AWS profile for sources in buckets; ``profile``, if not given.
        source_endpoint_url: Their S3 endpoint, where their profile has another.
        source_anonymous: Read them without keys.
        source_ca_bundle: The CA of servers of sources; ``ca_bundle``, if not given.
        source_token_file: A file with a bearer token for sources on the web; ``~/.netrc`` is asked, if not given.
        source_hosts: Hosts to which servers of sources may send requests on.
        source_concurrency: Requests to such a server at a time.
        spool: A folder for sources that cannot be read by ranges and do not fit into memory.
        verify: How it is proved before it is published.
        progress_path: A JSON file that tells how far the write is.
        timeout: Seconds that a request to the store may take with all its repetitions.
        progress: Called about once a second, in another thread, with how far the write is.
        dry_run: Change nothing, and tell what would be done.

    Returns:
        What was done, or would be: ``changed``, ``action``, ``plan`` (the shape, dtype, chunks and shards of each array, and how many
        objects), ``objects``, ``bytes_stored``, ``seconds`` and more; ``to_dict()`` has all as plain values.

    Raises:
        ZarrstreamError: A request without sense, a source that is damaged or contradicts itself, no access, something else in the
            place. Nothing was published, or the message says what.

    """
    request = request_from(_options(locals()))
    return preview(request) if dry_run else write_dataset(request, progress)


def check(
    store: AnyPath,
    *,
    profile: str | None = None,
    endpoint_url: str | None = None,
    config_file: AnyPath | None = None,
    ca_bundle: AnyPath | None = None,
    anonymous: bool = False,
    source: AnyPath | Sequence[AnyPath] | None = None,
    follow: Sequence[AnyPath] = (),
    combine: Joining | None = None,
    prepare: Sequence[Mapping[str, Any]] | None = None,
    checks: Sequence[str] | None = None,
    fresh: str | Mapping[str, Any] | None = None,
    gaps: str | Mapping[str, Any] | None = None,
    nan_share: float | Literal["history"] | Mapping[str, Any] | None = None,
    range: Mapping[str, Sequence[float | None]] | None = None,  # noqa: A002 - the option of the module
    sample: int | Literal["all"] = 4,
    missing: Literal["error", "fill", "manifest"] = "error",
    fail_on: Literal["error", "warning", "never"] = "error",
    report: AnyPath | None = None,
    scheduler: str | None = None,
    scheduler_tls: Mapping[str, AnyPath] | None = None,
    source_profile: str | None = None,
    source_endpoint_url: str | None = None,
    source_anonymous: bool = False,
    source_ca_bundle: AnyPath | None = None,
    source_token_file: AnyPath | None = None,
    source_hosts: Sequence[str] = (),
    source_concurrency: int = CONCURRENCY,
    spool: AnyPath | None = None,
    timeout: float | None = None,
) -> Report:
    """Prove that a Zarr store is whole, readable and equal to its source. The store is not changed.

    Args:
        store: The store, a path or ``s3://bucket/name.zarr``.
        profile: The AWS profile with keys, region and endpoint; ``default`` if not given.
        endpoint_url: The S3 endpoint, where the profile has none.
        config_file: The file with the profile, if not ``~/.aws/config``.
        ca_bundle: The endpoint's CA, where the system does not know it.
        anonymous: Read without credentials.
        source: What it was made from, to compare with.
        follow: Folders that links in the source may lead to.
        combine: How the files of the source are joined; as at the write, by its manifest, if not given.
        prepare: What is done to each file before; as at the write, if not given.
        checks: Those to make, by their ``id``; all that apply, if not given.
        fresh: How old the last step with a value may be, such as ``2d``.
        gaps: The step of time, such as ``1d`` or ``1mo``.
        nan_share: What of each of the newest steps may be missing.
        range: The least and the largest value, by variable.
        sample: How many objects of each array are decoded and compared.
        missing: Whether a chunk may be missing.
        fail_on: The severity from which on a finding makes ``ok`` false.
        report: A folder to write a report to, as JSON and as a page with pictures.
        scheduler: A Dask scheduler whose workers do the work, ``tls://host:port``; wants ``dask[distributed]``.
        scheduler_tls: The paths ``ca_file``, ``cert`` and ``key`` for it; Dask's own settings, if not given.
        source_profile: The AWS profile for sources in buckets; ``profile``, if not given.
        source_endpoint_url: Their S3 endpoint, where their profile has another.
        source_anonymous: Read them without keys.
        source_ca_bundle: The CA of servers of sources; ``ca_bundle``, if not given.
        source_token_file: A file with a bearer token for sources on the web; ``~/.netrc`` is asked, if not given.
        source_hosts: Hosts to which servers of sources may send requests on.
        source_concurrency: Requests to such a server at a time.
        spool: A folder for sources that cannot be read by ranges and do not fit into memory.
        timeout: Seconds that a request to the store may take with all its repetitions.

    Returns:
        ``ok``; ``checks``, each with ``id``, ``status`` (passed, failed, warning, skipped), ``severity``, ``message`` and ``evidence``;
        ``summary``; ``seconds``. What is wrong with the store is found here, and raises nothing.

    Raises:
        ZarrstreamError: What keeps the store from being looked at, such as wrong keys or a dead endpoint.

    """
    return check_store(check_request_from({"follow": (), **_options(locals())})).report


def probe(
    bucket: str | None = None,
    *,
    profile: str | None = None,
    endpoint_url: str | None = None,
    config_file: AnyPath | None = None,
    ca_bundle: AnyPath | None = None,
    write: bool = True,
    anonymous: bool | None = None,
    object_store_url: str | None = None,
    debug_log: AnyPath | None = None,
) -> ProbeReport:
    """Test the access to an S3 object store, and name what is wrong.

    Args:
        bucket: The bucket to try; without it, the buckets are listed only.
        profile: The AWS profile with keys, region and endpoint; ``default`` if not given.
        endpoint_url: The S3 endpoint, where the profile has none.
        config_file: The file with the profile, if not ``~/.aws/config``.
        ca_bundle: The endpoint's CA, where the system does not know it.
        write: Write a small object, read it, and remove it again.
        anonymous: True demands that a client without keys can read the bucket, False that it cannot.
        object_store_url: The project's Swift URL, where stock Swift serves anonymous clients.
        debug_log: A file for the debug stream of botocore and s3fs, without secrets.

    Returns:
        ``ok``; ``checks``, each with ``name``, ``ok``, ``message`` and ``seconds``; ``failure``, the error of the first that failed, or
        None; ``clock_skew_seconds`` (positive where this host is ahead); ``server``.

    Raises:
        ZarrstreamError: A request without sense, or a library that is missing. A step that fails raises nothing.

    """
    with missing_libraries_named():
        return run_probe(probe_request_from(_options(locals())))


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as the options of a module, which knows neither paths nor tuples. What was left out stays so."""
    options = {name: _plain(value) for name, value in given.items() if value is not None and name not in ("progress", "dry_run")}
    return {name: str(Path(value).expanduser()) if name in _FILES else value for name, value in options.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
