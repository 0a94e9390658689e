# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""NetCDF or Zarr in, Zarr out: found, planned, copied, proved, and only then published (``publish`` says in which order).

What only a real write needs (zarr, xarray, Dask) is imported when one begins: the second run of a request stays quick.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .encoding import parse_encoding
from .errors import WriteError, ZarrstreamError
from .existing import look, refusal
from .fingerprint import fingerprint, normal_request
from .libraries import missing_libraries_named
from .manifest import MANIFEST, Manifest, Stored, md5_of
from .memory import parse_memory, usable_memory
from .plan import Block, Decision, WritePlan, decide, make_plan
from .progress import Progress, ProgressReporter, check_path
from .publish import Marker, Watch, begin, check_listing, finish, leave, publish, unpublished
from .request import WriteRequest, check_request, chunk_lengths, shard_lengths
from .source import Item, Stat, check_apart, find_source, stat_items, take_digests
from .store import Objects, StoreUrl, parse_store

if TYPE_CHECKING:
    import numpy as np

    from .template import Encoder, Template


@dataclass(frozen=True)
class WriteResult:
    """What was done, or in a preview would be; the same fields in every case.

    ``objects`` and ``bytes_stored`` describe the store; ``bytes_read`` counts the source's bytes that were read, not compressed.
    """

    changed: bool
    action: Decision
    store: str
    fingerprint: str
    manifest: str
    plan: dict[str, Any]
    objects: int
    bytes_read: int
    bytes_stored: int
    seconds: float
    mib_per_second: float
    verification: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def diff(self) -> dict[str, str]:
        """The store before and after, a line for each array."""
        lines = [
            f"{array['name']}: {array['dtype']} {array['shape']} in "
            + (f"shards {array['shards']} of " if array.get("shards") else "")
            + f"chunks {array['chunks']}, {array['objects']} objects"
            for array in self.plan["arrays"]
        ]
        after = "\n".join([self.store, *lines, f"{self.plan['objects']} objects, fingerprint {self.fingerprint[:12]}", ""])
        return {"before": "" if self.changed else after, "after": after}


@dataclass(frozen=True)
class _Situation:
    """What is asked for and what was found: everything that is known without opening the source."""

    place: StoreUrl
    objects: Objects
    items: tuple[Item, ...]
    stats: tuple[Stat, ...]
    normal: dict[str, Any]
    fingerprint: str
    decision: Decision
    manifest: Manifest | None
    refusal: ZarrstreamError | None
    marker: bool
    began: float

    @property
    def manifest_url(self) -> str:
        return f"{self.place.url.rstrip('/')}.zarrstream/{MANIFEST}"


def preview(request: WriteRequest) -> WriteResult:
    """What ``write_dataset`` would do; changes nothing, and raises what it would raise before its first change."""
    check_path(request.progress_path)
    with missing_libraries_named():
        situation = _look_around(request)
        if situation.decision == "nothing":
            return _unchanged(situation)
        with _Work(request, situation) as work:
            return work.result(changed=True, objects=work.plan_dict["objects"], verification={"level": request.verify})


def write_dataset(request: WriteRequest, progress: Callable[[Progress], None] | None = None) -> WriteResult:
    """Write the data set, or find that it is written already. ``progress`` is called about once a second.

    Raises a ZarrstreamError; after the first change its message says that nothing was published, or what was.
    One at a time in a process: the library that reads NetCDF does not bear several threads that open files.
    """
    path = check_path(request.progress_path)
    with missing_libraries_named():
        situation = _look_around(request)
        if situation.decision == "nothing":
            if situation.marker:  # a write that was killed after it had published
                finish(situation.objects)
            return _unchanged(situation)
        with _Work(request, situation) as work, ProgressReporter(path, progress) as reporter:
            return work.run(reporter)


def _look_around(request: WriteRequest) -> _Situation:
    began = time.monotonic()
    check_request(request)
    encodings = parse_encoding(request.encoding)
    place = parse_store(request.store)
    items = find_source(request.source, request.open_place)
    check_apart(items, place)
    objects = request.open_place(place)
    found, manifest = look(objects)
    normal = normal_request(
        zarr_format=request.zarr_format,
        consolidated=request.consolidated,
        variables=request.variables,
        chunks=chunk_lengths(request.chunks),
        shards=shard_lengths(request.shards),
        encoding={name: encoding.normal() for name, encoding in encodings.items()},
    )
    known = [Stat(**entry) for entry in manifest.source] if manifest else []
    stats = take_digests(items, stat_items(items), known)
    wanted = fingerprint(normal, [stat.digest for stat in stats])
    decision = decide(wanted, found)
    return _Situation(
        place=place,
        objects=objects,
        items=items,
        stats=stats,
        normal=normal,
        fingerprint=wanted,
        decision=decision,
        manifest=manifest,
        refusal=refusal(objects, found, manifest, normal) if decision == "refuse" else None,
        marker=found.marker,
        began=began,
    )


def _unchanged(situation: _Situation) -> WriteResult:
    manifest = situation.manifest
    assert manifest is not None  # noqa: S101 - the decision was made from it
    return WriteResult(
        changed=False,
        action="nothing",
        store=situation.place.url,
        fingerprint=situation.fingerprint,
        manifest=situation.manifest_url,
        plan=manifest.plan,
        objects=len(manifest.objects),
        bytes_read=0,
        bytes_stored=manifest.bytes_stored,
        seconds=round(time.monotonic() - situation.began, 3),
        mib_per_second=0.0,
        verification={"level": "none"},
    )


class _Work:
    """A write with its source open. Making one checks all of the request against the source, and changes nothing."""

    def __init__(self, request: WriteRequest, situation: _Situation) -> None:
        from .dataset import open_items
        from .template import Encoder, check_encodings, make_template

        self.request, self.situation = request, situation
        self.source = open_items(situation.items)
        try:
            self.source.select(request.variables)
            encodings = parse_encoding(request.encoding)
            self.encoder: Encoder = Encoder(self.source, encodings)
            check_encodings(self.encoder, encodings, request.zarr_format)
            self.plan: WritePlan = make_plan(
                self.encoder.arrays(),
                chunk_lengths(request.chunks),
                shard_lengths(request.shards),
                memory=parse_memory(request.memory) or usable_memory(),
            )
            self.template: Template = make_template(
                self.encoder, self.plan, zarr_format=request.zarr_format, consolidated=request.consolidated
            )
            if situation.refusal:
                raise situation.refusal
        except BaseException:
            self.source.close()
            raise
        self.plan_dict = self.plan.to_dict(len(self.template.documents))
        self.records: dict[str, Stored] = {}

    def __enter__(self) -> _Work:
        return self

    def __exit__(self, *exception: object) -> None:
        self.source.close()

    def run(self, reporter: ProgressReporter) -> WriteResult:
        """Copy, prove, publish."""
        situation, request = self.situation, self.request
        objects = request.open_place(situation.place, make_folders=True)
        again = situation.decision == "continue"
        marker = Marker(uuid.uuid4().hex, situation.fingerprint, _now())
        reporter.begin("preparing", self.plan_dict["objects"])
        try:
            begin(objects, marker, again=again)
            reporter.begin("copying", self.plan_dict["objects"])
            self._copy(objects, marker, reporter)
            self._check_source()
            reporter.begin("verifying")
            verification = self._verify(objects, again)
            reporter.begin("publishing")
            publish(objects, self.template, self._manifest(), marker, read_back=request.verify != "none")
        except ZarrstreamError as error:
            raise unpublished(error) from error
        finally:
            leave(marker)
        finish(objects)
        for data in self.template.documents.values():
            reporter.stored(len(data))
        return self.result(changed=True, objects=len(self.records), verification=verification, bytes_read=reporter.bytes_read)

    def result(self, *, changed: bool, objects: int, verification: dict[str, Any], bytes_read: int = 0) -> WriteResult:
        """The result, as far as the write has come."""
        seconds = time.monotonic() - self.situation.began
        return WriteResult(
            changed=changed,
            action=self.situation.decision,
            store=self.situation.place.url,
            fingerprint=self.situation.fingerprint,
            manifest=self.situation.manifest_url,
            plan=self.plan_dict,
            objects=objects,
            bytes_read=bytes_read,
            bytes_stored=sum(stored.size for stored in self.records.values()),
            seconds=round(seconds, 3),
            mib_per_second=round(bytes_read / 2**20 / seconds, 1),
            verification=verification,
        )

    def _copy(self, objects: Objects, marker: Marker, reporter: ProgressReporter) -> None:
        from .transfer import copy_blocks, open_staged, staged_store

        def on_stored(key: str, stored: Stored) -> None:
            self.records[key] = stored
            reporter.stored(stored.size)

        store = staged_store(objects, self.template.documents, on_stored=on_stored)
        arrays = {array.name: open_staged(store, array, self.request.zarr_format) for array in self.plan.arrays}

        def read(block: Block) -> np.ndarray:
            values = self.encoder.values(block.array, block.region)
            reporter.read(values.nbytes)
            return values

        alone = Watch(objects, marker)  # reading begins meanwhile

        def write(block: Block, values: np.ndarray) -> None:
            alone.check()
            arrays[block.array][tuple(slice(start, stop) for start, stop in block.region)] = values

        copy_blocks(self.plan.blocks(), read, write, self.plan.memory)
        sent, planned = len(self.records), self.plan.objects
        if sent != planned:
            raise WriteError(f"{sent} objects were sent where {planned} were planned: this is a fault of Zarrstream.")
        self.records |= {key: md5_of(data) for key, data in self.template.documents.items()}

    def _check_source(self) -> None:
        before = self.situation.stats
        after = stat_items(self.situation.items)
        for item, one, two in zip(self.situation.items, before, after, strict=True):
            # A listing of a bucket is one digest already; it knows no mtime.
            digest = one.digest if two.mtime_ns else take_digests([item], [two])[0].digest
            if (one.size, one.mtime_ns, one.digest) != (two.size, two.mtime_ns, digest):
                text = f"source '{item.place}' changed while it was being copied. Run again when it is complete."
                raise WriteError(text, source=item.place)

    def _verify(self, objects: Objects, again: bool) -> dict[str, Any]:
        from .readback import compare_values, sample_blocks

        level = self.request.verify
        verification: dict[str, Any] = {"level": level, "objects": 0, "bytes": 0}
        chunks = {key: stored for key, stored in self.records.items() if key not in self.template.documents}
        if level != "none" or again:
            verification["objects"] = check_listing(objects, chunks, again=again)
        if level in ("sample", "full"):
            blocks = self.plan.blocks() if level == "full" else sample_blocks(self.plan, self.situation.fingerprint)
            verification["bytes"] = compare_values(
                objects, self.encoder, self.plan, self.template, self.records, blocks, self.request.zarr_format
            )
        return verification

    def _manifest(self) -> Manifest:
        return Manifest(
            fingerprint=self.situation.fingerprint,
            zarr_format=self.request.zarr_format,
            created=_now(),
            request=self.situation.normal,
            source=[stat.to_dict() for stat in self.situation.stats],
            objects=self.records,
            plan=self.plan_dict,
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
