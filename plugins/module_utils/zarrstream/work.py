# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A write with its source open: copied, proved, published. ``append`` and ``replace`` do some of it in ways of their own."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from .encoding import parse_encoding
from .errors import WriteError, ZarrstreamError
from .journal import Journal, make_binding, still_there
from .manifest import Manifest, Stored, md5_of
from .marker import Marker, Watch, leave
from .memory import parse_memory, usable_memory
from .plan import Block, WritePlan, make_plan
from .progress import ProgressReporter
from .publish import begin, check_listing, finish, locate, publish, staging, unpublished
from .request import WriteRequest, chunk_lengths, shard_lengths
from .situation import Situation, WriteResult
from .source import stat_items, take_digests
from .transfer import is_metadata

if TYPE_CHECKING:
    import numpy as np
    import zarr

    from .template import Encoder, Template


Done = Callable[[str, Stored], None]


class Work:
    """Making one checks all of the request against source and destination, and changes nothing."""

    encoder: Encoder
    plan: WritePlan
    template: Template
    mode = "create"

    def __init__(self, request: WriteRequest, situation: Situation) -> None:
        from .dataset import open_items

        self.request, self.situation = request, situation
        self.objects = situation.objects
        self.records: dict[str, Stored] = {}
        self.kept: dict[str, Stored] = {}
        self.staged: frozenset[str] = frozenset()  # keys of objects that wait beside the store
        self.before: Collection[str] = ()  # keys of the objects of the store that is there
        self.source = open_items(situation.items)
        try:
            self.prepare()
            if situation.refusal:
                raise situation.refusal
            self.binding = make_binding(situation.fingerprint, [stat.to_dict() for stat in situation.stats], self.template.documents)
        except BaseException:
            self.source.close()
            raise
        self.plan_dict = self.describe()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.source.close()

    def prepare(self) -> None:
        """Work out encoder, plan and template; raises for a request that does not fit the source."""
        from .template import Encoder, check_encodings, make_template

        request = self.request
        self.source.select(request.variables)
        encodings = parse_encoding(request.encoding)
        self.encoder = Encoder(self.source, encodings)
        check_encodings(self.encoder, encodings, request.zarr_format)
        self.plan = make_plan(
            self.encoder.arrays(),
            chunk_lengths(request.chunks),
            shard_lengths(request.shards),
            memory=parse_memory(request.memory) or usable_memory(),
        )
        self.template = make_template(self.encoder, self.plan, zarr_format=request.zarr_format, consolidated=request.consolidated)

    @property
    def anything(self) -> bool:
        """Whether there is anything to write."""
        return True

    def blocks(self) -> Iterable[Block]:
        """The tasks."""
        return self.plan.blocks()

    def sample(self) -> Iterable[Block]:
        """Some of what was written, to be read back."""
        from .readback import sample_blocks

        return sample_blocks(self.plan, self.situation.fingerprint)

    def free_blocks(self) -> Iterable[Block]:
        """The tasks that can be done at any time, several at once."""
        return self.blocks()

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
        written = sum(1 for _ in self.keys()) + len(self.template.documents) - len(self.kept)
        return self.result(objects, written, verification={"level": self.request.verify})

    def keys(self) -> Iterable[str]:
        """The keys of all objects that the blocks consist of."""
        from .transfer import block_keys, staged_store

        arrays = self._open(staged_store(self.objects, self.template.documents))
        for block in self.blocks():
            yield from block_keys(arrays[block.array], block.array, block.region)

    def run(self, reporter: ProgressReporter) -> WriteResult:
        """Copy, prove, publish."""
        situation, state = self.situation, self.situation.state
        self.objects = self.request.open_place(situation.place, make_folders=True)
        known = state.marker or {}
        marker = Marker(
            write_id=uuid.uuid4().hex,
            fingerprint=situation.fingerprint,
            started=now(),
            mode=self.mode,
            binding=self.binding,
            source=[stat.to_dict() for stat in situation.stats],
            rewritten=known.get("rewritten") or {},
        )
        reporter.begin("preparing", self.plan_dict["objects"])
        try:
            begin(self.objects, marker, state)
            reporter.begin("copying", self.plan_dict["objects"])
            written = self._copy(marker, reporter)
            self._check_source()
            reporter.begin("verifying")
            verification = self._verify()
            reporter.begin("publishing")
            self.publish(marker)
        except ZarrstreamError as error:
            raise self.failure(error) from error
        finally:
            leave(marker)
        finish(self.objects, marker)
        for data in self.template.documents.values():
            reporter.stored(len(data))
        written += len(self.template.documents)
        return self.result(len(self.records), written, verification, reporter.bytes_read)

    def failure(self, error: ZarrstreamError) -> ZarrstreamError:
        """The error with what it left behind."""
        return unpublished(error, over=self.situation.state.found.root)

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
            retries=self.request.transport.retries,
            verification=verification,
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
            noted = journal.load(clear=marker is not None)
            if known.get("binding") == self.binding:
                staged = {key: stored for key, stored in noted.items() if key in self.staged}
                others = {key: stored for key, stored in noted.items() if key not in self.staged}
                self.kept = still_there(self.objects, others, self.objects.place.key) if others else {}
                self.kept |= still_there(self.objects, staged, staging(self.objects)) if staged else {}
        return journal if marker else None

    def _copy(self, marker: Marker, reporter: ProgressReporter) -> int:
        """Send what is not there yet; returns the number of objects that were sent."""
        from .transfer import block_keys, copy_blocks, staged_store

        journal = self._find_kept(marker)
        assert journal is not None  # noqa: S101 - there is a marker
        sent: list[str] = []

        def on_stored(key: str, stored: Stored) -> None:
            self.records[key] = stored
            if self.kept.get(key) != stored:
                sent.append(key)
                journal.note(key, stored)
            reporter.stored(stored.size)

        store = staged_store(self.objects, self.template.documents, where=self.where, on_stored=on_stored, kept=self.kept)
        arrays = self._open(store)

        def missing(block: Block) -> bool:
            keys = list(block_keys(arrays[block.array], block.array, block.region))
            if not all(key in self.kept for key in keys):
                return True
            for key in keys:
                on_stored(key, self.kept[key])
            return False

        def read(block: Block) -> np.ndarray:
            values = self.encoder.values(block.array, block.region)
            reporter.read(values.nbytes)
            return values

        self.alone = Watch(self.objects, marker)  # reading begins meanwhile

        def write(block: Block, values: np.ndarray) -> None:
            self.alone.check()
            self.check_block(block, values)
            arrays[block.array][tuple(slice(start, stop) for start, stop in block.region)] = values
            journal.flush()

        failure: BaseException | None = None
        try:
            copy_blocks((block for block in self.free_blocks() if missing(block)), read, write, self.plan.memory)
            self.copy_rest(missing, read, on_stored, marker)
        except BaseException as error:
            failure = error
            raise
        finally:
            journal.close(failure, last=bool(self.before))
        self.complete()
        return len(sent)

    def copy_rest(self, missing: Callable[[Block], bool], read: Callable[[Block], np.ndarray], done: Done, marker: Marker) -> None:
        """What can only be written when all else is there; nothing here."""

    def check_block(self, block: Block, values: np.ndarray) -> None:
        """Raises SourceError for values that lossy codecs would spoil."""
        encoding = self.encoder.encodings[block.array]
        if encoding.lossy(values.dtype):
            from .lossy import check_missing, through_codecs

            after = through_codecs(self.template.arrays, block, values, self.request.zarr_format)
            check_missing(block.array, self.encoder.placeholder(block.array).attrs, values, after)

    def complete(self) -> None:
        """Raises WriteError where anything is missing; then the metadata documents count as well."""
        sent, planned = len(self.records), self.plan.objects
        if sent != planned:
            raise WriteError(f"{sent} objects were sent where {planned} were planned: this is a fault of Zarrstream.")
        self.records |= {key: md5_of(data) for key, data in self.template.documents.items()}

    def _open(self, store: Any) -> dict[str, zarr.Array]:
        from .transfer import open_staged

        return {array.name: open_staged(store, array.name, self.request.zarr_format) for array in self.plan.arrays}

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
        from .readback import compare_values

        level, again = self.request.verify, self.situation.state.marker is not None
        verification: dict[str, Any] = {"level": level, "objects": 0, "bytes": 0}
        chunks = {key: stored for key, stored in self.records.items() if not is_metadata(key)}
        if level != "none" or again:
            verification["objects"] = check_listing(self.objects, chunks, again=again, staged=self.staged, others=self.before)
        if level in ("sample", "full"):
            blocks = self.blocks() if level == "full" else self.sample()
            verification["bytes"] = compare_values(
                self.objects, self.encoder, self.plan, self.template, self.records, blocks, self.request.zarr_format, self.where
            )
        return verification


def now() -> str:
    """The time, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
