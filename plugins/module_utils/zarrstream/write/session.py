# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A write with its source open: copied, proved, published. ``append`` and ``replace`` do some of it in ways of their own."""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from ..encoding.codecs import parse_encoding
from ..errors import WriteError, ZarrstreamError
from ..metadata.hierarchy import is_document
from ..planning.memory import parse_memory, usable_memory
from ..planning.plan import Block, WritePlan, make_plan
from ..sidecar.journal import Journal, make_binding, still_there
from ..sidecar.lock import Marker, leave
from ..sidecar.manifest import Manifest, Stored, md5_of
from ..sidecar.records import Records, plan_keys
from ..source.items import stat_items, take_digests
from .destination import records_of, refuse_foreign, refuse_nested
from .progress import ProgressReporter
from .publish import begin, check_listing, finish, locate, publish, staging, unpublished
from .request import WriteRequest, chunk_lengths, shard_lengths
from .result import Situation, WriteResult

if TYPE_CHECKING:
    import numpy as np

    from ..dask.write_executor import WriteCluster
    from ..encoding.encoder import Encoder
    from ..planning.chunking import Region
    from .recording import Copying
    from .staging import Staged, StagedArray
    from .template import Template


class Work:
    """Making one checks all of the request against source and destination, and changes nothing."""

    encoder: Encoder
    plan: WritePlan
    template: Template
    mode = "create"

    def __init__(self, request: WriteRequest, situation: Situation) -> None:
        from ..source.open import open_items

        self.request, self.situation = request, situation
        self.objects = situation.objects
        self.records: dict[str, Stored] = {}
        self.kept: dict[str, Stored] = {}
        self.staged: frozenset[str] = frozenset()  # keys of objects that wait beside the store
        self.before: Collection[str] = ()  # keys of the objects of the store that is there
        self.write_id = uuid.uuid4().hex
        self.source = open_items(situation.items)
        self.cluster: WriteCluster | None = None
        try:
            self.cluster = self._join_cluster()
            self.prepare()
            if situation.refusal:
                raise situation.refusal
            self.recorded = self._refuse_what_is_not_ours()
            if self.cluster:
                self.cluster.prepare(self)
            self.binding = make_binding(situation.fingerprint, [stat.to_dict() for stat in situation.stats], self.template.documents)
        except BaseException:
            self.close()
            raise
        self.plan_dict = self.describe()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the source, and leave the cluster."""
        if self.cluster:
            self.cluster.close()
        self.source.close()

    def _join_cluster(self) -> WriteCluster | None:
        if not self.request.scheduler:
            return None
        from ..dask.write_executor import WriteCluster

        return WriteCluster(self.request)

    def prepare(self) -> None:
        """Work out encoder, plan and template; raises for a request that does not fit the source."""
        from ..encoding.encoder import Encoder, check_encodings
        from .template import make_template

        request = self.request
        self.source.select(request.variables)
        encodings = parse_encoding(request.encoding)
        self.encoder = Encoder(self.source, encodings)
        check_encodings(self.encoder, encodings, request.zarr_format)
        self.plan = self.lay_out(chunk_lengths(request.chunks), shard_lengths(request.shards))
        self.template = make_template(self.encoder, self.plan, zarr_format=request.zarr_format, consolidated=request.consolidated)

    def lay_out(self, chunks: dict[str, int] | None, shards: dict[str, int] | None = None) -> WritePlan:
        """The plan of the encoder's arrays, for the memory of those who write."""
        asked, arrays = parse_memory(self.request.memory), self.encoder.arrays()
        if self.cluster:
            return self.cluster.plan(arrays, chunks, shards, asked)
        return make_plan(arrays, chunks, shards, memory=asked or usable_memory())

    @property
    def encodings(self) -> dict[str, Any]:
        """How variables are encoded, as the manifest spells it."""
        return self.situation.normal["encoding"]

    @property
    def retries(self) -> int:
        """Requests that were sent again, by this host and by workers."""
        return self.request.transport.retries + (self.cluster.retries if self.cluster else 0)

    @property
    def anything(self) -> bool:
        """Whether there is anything to write."""
        return True

    def blocks(self) -> Iterable[Block]:
        """The tasks."""
        return self.plan.blocks()

    def sample(self) -> Iterable[Block]:
        """Some of what was written, to be read back."""
        from .verify import sample_blocks

        return sample_blocks(self.plan, self.situation.fingerprint)

    def free_blocks(self) -> Iterable[Block]:
        """The tasks that can be done at any time, several at once."""
        return self.blocks()

    def source_region(self, block: Block) -> Region | None:
        """Where the values of a block are in the source; None where some are in the store."""
        return block.region

    def describe(self) -> dict[str, Any]:
        """The plan of the whole store, as plain values."""
        return self.plan.to_dict(len(self.template.documents))

    def publish(self, marker: Marker) -> None:
        """Make it visible."""
        publish(self.objects, self.template, self.manifest(), marker, read_back=self.request.verify != "none")

    def preview(self) -> WriteResult:
        """The result that a run would have, as far as it can be known."""
        self._find_kept(None)
        objects = self.plan_dict["objects"]
        written = sum(1 for _unused in self.keys()) + len(self.template.documents) - len(self.kept)
        return self.result(objects, written, verification={"level": self.request.verify})

    def keys(self) -> Iterable[str]:
        """The keys of all objects that the blocks consist of."""
        from .recording import keys_of

        arrays = self.open_arrays()
        for block in self.blocks():
            yield from keys_of(block, arrays)

    def open_arrays(self, staged: Staged | None = None) -> dict[str, StagedArray]:
        """The arrays of a staged store; without one, for what can be said of them without any chunk."""
        from .staging import Staged, open_staged

        staged = staged or Staged(self.template.documents)
        return {array.name: open_staged(staged, array.name, self.request.zarr_format) for array in self.plan.arrays}

    def run(self, reporter: ProgressReporter) -> WriteResult:
        """Copy, prove, publish."""
        situation, state = self.situation, self.situation.state
        self.objects = self.request.open_place(situation.place, make_folders=True)
        known = state.marker or {}
        marker = Marker(
            write_id=self.write_id,
            fingerprint=situation.fingerprint,
            started=now(),
            mode=self.mode,
            binding=self.binding,
            source=[stat.to_dict() for stat in situation.stats],
            rewritten=known.get("rewritten") or {},
            plans=self._plans(known),
        )
        reporter.begin("preparing", self.plan_dict["objects"])
        failure: ZarrstreamError | None = None
        try:
            begin(self.objects, marker, state, self.recorded)
            reporter.begin("copying", self.plan_dict["objects"])
            written = self._copy(marker, reporter)
            self._check_source()
            reporter.begin("verifying")
            verification = self._verify()
            if self.cluster:
                self.cluster.close()  # nothing of this write is at work any more when readers may find it
                self.objects.sweep()  # what a killed worker has left half-written
            reporter.begin("publishing")
            self.publish(marker)
        except ZarrstreamError as error:
            failure = error
            raise self.failure(error) from error
        finally:
            if self.cluster:
                self.cluster.close()
            leave(marker, failure)
        finish(self.objects, marker)
        for data in self.template.documents.values():
            reporter.stored(len(data))
        written += len(self.template.documents)
        return self.result(len(self.records), written, verification, reporter.bytes_read)

    def _refuse_what_is_not_ours(self) -> Records:
        """What is recorded of the destination; raises Conflict for what is not and lies there."""
        state, objects = self.situation.state, self.situation.objects
        records = records_of(objects, state)
        if not state.found.root:
            refuse_nested(objects)
        refuse_foreign(objects, records)
        return records

    def _plans(self, known: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What this write may send, and those whose leftovers it found."""
        own = plan_keys(self.template.documents).to_dict()
        return [own, *(plan for plan in known.get("plans") or () if plan != own)]

    def failure(self, error: ZarrstreamError) -> ZarrstreamError:
        """The error with what it left behind."""
        return unpublished(error, self.records.values(), over=self.situation.state.found.root)

    def result(self, objects: int, written: int, verification: dict[str, Any], bytes_read: int = 0) -> WriteResult:
        """The result, as far as the write has come."""
        situation = self.situation
        seconds = time.monotonic() - situation.began
        manifest = situation.state.manifest
        return WriteResult(
            changed=True,
            action=situation.action,
            resumed=situation.resumed,
            store=situation.place.url,
            fingerprint=situation.fingerprint,
            manifest=situation.manifest_url,
            plan=self.plan_dict,
            objects=objects,
            objects_written=written,
            objects_kept=objects - written,
            bytes_read=bytes_read,
            bytes_stored=sum(stored.size for stored in self.records.values()),
            seconds=round(seconds, 3),
            mib_per_second=round(bytes_read / 2**20 / seconds, 1),
            retries=self.retries,
            verification=verification,
            workers=self.cluster.shares() if self.cluster else [],
            before={"plan": manifest.plan, "fingerprint": manifest.fingerprint} if manifest else {},
        )

    def manifest(self) -> Manifest:
        """The record of the store to be."""
        return Manifest(
            fingerprint=self.situation.fingerprint,
            zarr_format=self.request.zarr_format,
            created=now(),
            request=self.situation.normal,
            source=[stat.to_dict() for stat in self.situation.stats],
            objects=self.records,
            plan=self.plan_dict,
        )

    def where(self, key: str) -> str:
        """The place of an object, by its key below the store."""
        return locate(self.objects, key, self.staged)

    def _find_kept(self, marker: Marker | None) -> Journal | None:
        """What a run that was broken off has sent already and is there as it was sent; without a marker nothing is changed."""
        known = self.situation.state.marker
        journal = Journal(self.objects, self.binding, marker.write_id if marker else "")
        if known is not None:
            noted = journal.load_and_remove_others() if marker else journal.load()
            if known.get("binding") == self.binding:
                staged = {key: stored for key, stored in noted.items() if key in self.staged}
                others = {key: stored for key, stored in noted.items() if key not in self.staged}
                self.kept = still_there(self.objects, others, self.objects.place.key) if others else {}
                self.kept |= still_there(self.objects, staged, staging(self.objects)) if staged else {}
        return journal if marker else None

    def _copy(self, marker: Marker, reporter: ProgressReporter) -> int:
        """Send what is not there yet; returns the number of objects that were sent."""
        from .recording import Copying

        journal = self._find_kept(marker)
        if journal is None:
            raise AssertionError("there is a marker")
        copying = Copying(self, marker, journal, reporter)
        failure: BaseException | None = None
        try:
            copying.run()
            self.copy_rest(copying)
        except BaseException as error:
            failure = error
            raise
        finally:
            journal.close(failure, last=bool(self.before))
        self.complete()
        return copying.sent

    def copy_rest(self, copying: Copying) -> None:
        """What can only be written when all else is there; nothing here."""

    def check_block(self, block: Block, values: np.ndarray) -> None:
        """Raises SourceError for values that lossy codecs would spoil."""
        from ..encoding.lossy import check_block

        check_block(self.encoder, self.template.arrays, block, values, self.request.zarr_format)

    def complete(self) -> None:
        """Raises WriteError where anything is missing; then the metadata documents count as well."""
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

    def _verify(self) -> dict[str, Any]:
        from .verify import compare_values

        level, again = self.request.verify, self.situation.state.marker is not None
        verification: dict[str, Any] = {"level": level, "objects": 0, "bytes": 0}
        chunks = {key: stored for key, stored in self.records.items() if not is_document(key)}
        if level != "none" or again:
            listed = check_listing(self.objects, chunks, self.recorded, staged=self.staged, others=self.before)
            self.objects.delete(listed.leftovers)
            verification["objects"] = listed.compared
        if level in ("sample", "full"):
            blocks = self.blocks() if level == "full" else self.sample()
            if self.cluster:
                blocks = list(blocks)
                verification["bytes"] = self.cluster.compare(self, blocks)
                blocks = [block for block in blocks if self.source_region(block) is None]
            verification["bytes"] += compare_values(
                self.objects, self.encoder, self.plan, self.template, self.records, blocks, self.request.zarr_format, self.where
            )
        return verification


def now() -> str:
    """The time, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
