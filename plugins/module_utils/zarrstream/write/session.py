# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A plan carried out: copied, proved, published. What is in the plan, and who moves its blocks, it is told."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ..errors import BadRequest, WriteError, ZarrstreamError
from ..metadata.hierarchy import is_document
from ..sidecar.journal import Journal, make_binding, still_there
from ..sidecar.lock import Lock, release
from ..sidecar.manifest import Stored, md5_of
from ..sidecar.records import Records, plan_keys
from ..source.dataset import Source
from ..source.fetching import means_of
from ..source.items import find_again, read_at_each_run, stat_items, take_digests
from ..source.open import open_items
from ..storage.traffic import Traffic
from .destination import records_of, refuse_foreign, refuse_nested
from .executor import Executor, MakeExecutor
from .opening import check_documents, check_opens
from .plans import StorePlan
from .progress import ProgressReporter
from .publish import Publication, begin, check_listing, finish, staging, unpublished
from .recording import Copying
from .request import WriteRequest
from .result import Situation, WriteResult, files_of, gone_notes
from .rewriting import rewrite_last
from .rows import OtherPlaces


@contextmanager
def open_session(request: WriteRequest, situation: Situation, make_executor: MakeExecutor) -> Iterator[Session]:
    """A write with its source open and its executor ready; all of the request is checked, and nothing changed."""
    means = means_of(request.source_access, request.memory)
    with ExitStack() as opened:
        source = opened.enter_context(closing(open_items(situation.items, situation.reading, means)))
        executor = opened.enter_context(closing(make_executor(request)))
        if source.problem and situation.action not in ("append", "update"):
            raise BadRequest(source.problem)
        try:
            plan = _plan(request, situation, source, executor)
        except OtherPlaces as other:
            from .update import instead

            situation = instead(request, situation, other)
            source.close()
            source = opened.enter_context(closing(open_items(situation.items, situation.reading, means)))
            plan = _plan(request, situation, source, executor)
            source.notes.append(f"The store is written anew from all its files: {other}.")
        if situation.refusal:
            raise situation.refusal
        check_documents(plan)
        session = Session(request, situation, plan, executor, _refuse_what_is_not_ours(situation))
        executor.prepare(plan, situation, session.write_id)
        yield session


def _plan(request: WriteRequest, situation: Situation, source: Source, executor: Executor) -> StorePlan:
    if situation.action == "append":
        from .append import plan_append as plan
    elif situation.action == "update":
        from .update import plan_update as plan
    elif situation.action == "replace" or situation.state.replacing:
        from .replace import plan_replace as plan
    else:
        from .create import plan_create as plan
    return plan(request, situation, source, executor)


def _refuse_what_is_not_ours(situation: Situation) -> Records:
    """What is recorded of the destination; raises Conflict for what is not and lies there."""
    state, objects = situation.state, situation.objects
    records = records_of(objects, state)
    if not state.found.root:
        refuse_nested(objects)
    refuse_foreign(objects, records)
    return records


class Session:
    """One plan on its way to be a store. ``recorded`` is what records say of the destination."""

    def __init__(self, request: WriteRequest, situation: Situation, plan: StorePlan, executor: Executor, recorded: Records) -> None:
        self.request, self.situation, self.plan, self.executor, self.recorded = request, situation, plan, executor, recorded
        self.objects = situation.objects
        self.write_id = uuid.uuid4().hex
        self.binding = make_binding(situation.fingerprint, [stat.to_dict() for stat in situation.stats], plan.template.documents)
        self.records: dict[str, Stored] = {}
        self.kept: dict[str, Stored] = {}
        self.publication: Publication | None = None
        self.notes = [*plan.encoder.source.notes, *plan.template.notes, *_unknown(situation), *gone_notes(situation)]

    @property
    def retries(self) -> int:
        """Requests that were sent again, by this host and by workers."""
        return self.request.transport.retries + self.executor.retries

    @property
    def traffic(self) -> Traffic:
        """What came over the net, here and at workers."""
        return self.request.traffic(self.situation.objects.endpoint) + self.executor.traffic

    def preview(self) -> WriteResult:
        """The result that a run would have, as far as it can be known."""
        self._find_kept(None)
        written = self.plan.extent.objects + len(self.plan.template.documents) - len(self.kept)
        return self._result(self.plan.manifest.plan["objects"], written, verification={"level": self.request.verify})

    def run(self, reporter: ProgressReporter) -> WriteResult:
        """Copy, prove, publish."""
        situation, plan = self.situation, self.plan
        self.objects = self.request.open_place(situation.place, make_folders=True)
        lock = self._new_lock()
        reporter.begin("preparing", self.plan.manifest.plan["objects"])
        failure: ZarrstreamError | None = None
        try:
            begin(self.objects, lock, situation.state, self.recorded)
            reporter.begin("copying", self.plan.manifest.plan["objects"])
            written = self._copy(lock, reporter)
            self._check_source()
            reporter.begin("verifying")
            verification = self._verify()
            self.executor.settle(self.objects)
            self.notes += check_opens(plan, self.objects)
            reporter.begin("publishing")
            self._publish(lock)
        except ZarrstreamError as error:
            failure = error
            readable = situation.state.found.root and not (self.publication and self.publication.withdrawn)
            raise unpublished(error, self.records.values(), over=readable) from error
        finally:
            self.executor.close()
            release(lock, failure)
        finish(self.objects, lock)
        for data in self.plan.template.documents.values():
            reporter.stored(len(data))
        written += len(self.plan.template.documents)
        return self._result(len(self.records), written, verification, reporter.bytes_read)

    def _new_lock(self) -> Lock:
        known = self.situation.state.lock or {}
        return Lock(
            write_id=self.write_id,
            fingerprint=self.situation.fingerprint,
            started=now(),
            mode=self.plan.mode,
            binding=self.binding,
            source=[stat.to_dict() for stat in self.situation.stats],
            rewritten=known.get("rewritten") or {},
            plans=self._plans(known),
        )

    def _plans(self, known: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What this write may send, and those whose leftovers it found."""
        own = plan_keys(self.plan.template.documents).to_dict()
        return [own, *(plan for plan in known.get("plans") or () if plan != own)]

    def _find_kept(self, lock: Lock | None) -> Journal:
        """What a run that was interrupted has sent already and is there as it was sent; without a lock nothing is changed."""
        known, waiting = self.situation.state.lock, self.plan.staged
        journal = Journal(self.objects, self.binding, lock.write_id if lock else "")
        if known is not None:
            noted = journal.load_and_remove_others() if lock else journal.load()
            if known.get("binding") == self.binding:
                staged = {key: stored for key, stored in noted.items() if key in waiting}
                others = {key: stored for key, stored in noted.items() if key not in waiting}
                self.kept = still_there(self.objects, others, self.objects.place.key) if others else {}
                self.kept |= still_there(self.objects, staged, staging(self.objects)) if staged else {}
        return journal

    def _copy(self, lock: Lock, reporter: ProgressReporter) -> int:
        """Send what is not there yet; returns the number of objects that were sent."""
        plan, journal = self.plan, self._find_kept(lock)
        copying = Copying(plan, self.objects, lock, journal, reporter, kept=self.kept, records=self.records)
        failure: BaseException | None = None
        try:
            self.executor.copy(copying, copying.waiting())
            rewrite_last(copying)
        except BaseException as error:
            failure = error
            raise
        finally:
            journal.close(failure, last=bool(plan.before))
        self._complete()
        return copying.sent

    def _complete(self) -> None:
        """Raises WriteError where anything is missing; then what stays of the old store and the metadata documents count as well."""
        sent, planned = len(self.records), self.plan.extent.objects
        if sent != planned:
            raise WriteError(f"{sent} objects were sent where {planned} were planned: this is a fault of Zarrstream.")
        documents = {key: md5_of(data) for key, data in self.plan.template.documents.items()}
        self.records = {**self.plan.inherited, **self.records, **documents}

    def _check_source(self) -> None:
        before, items = self.situation.stats, find_again(self.situation.items, self.request)
        for item, one, two in zip(items, before, stat_items(items), strict=True):
            # What a server says of an object, and a listing of a bucket, is one digest already; neither knows an mtime.
            digest = one.digest if two.mtime_ns else take_digests([item], [two])[0].digest
            if (one.size, one.mtime_ns, one.digest) != (two.size, two.mtime_ns, digest):
                text = f"source '{item.place}' changed while it was being copied. Run again when it is complete."
                raise WriteError(text, source=item.place)

    def _verify(self) -> dict[str, Any]:
        plan, level, again = self.plan, self.request.verify, self.situation.state.lock is not None
        verification: dict[str, Any] = {"level": level, "objects": 0, "bytes": 0}
        chunks = {key: stored for key, stored in self.records.items() if not is_document(key)}
        if level != "none" or again:
            listed = check_listing(self.objects, chunks, self.recorded, staged=plan.staged, others=plan.before)
            self.objects.delete(listed.leftovers)
            verification["objects"] = listed.compared
        if level in ("sample", "full"):
            blocks = plan.blocks() if level == "full" else plan.extent.sample(self.situation.fingerprint)
            verification["bytes"] = self.executor.compare(plan, self.objects, self.records, blocks)
        return verification

    def _publish(self, lock: Lock) -> None:
        """Make it visible."""
        plan, read_back, moment = self.plan, self.request.verify != "none", now()
        template = plan.stamp(plan.template, moment)
        self.records |= {key: md5_of(data) for key, data in template.documents.items()}
        manifest = replace(plan.manifest, created=moment, objects=self.records)
        self.publication = Publication(self.objects, template, manifest, lock, read_back, plan.before, plan.staged)
        plan.publish(self.publication)

    def _result(self, objects: int, written: int, verification: dict[str, Any], bytes_read: int = 0) -> WriteResult:
        """The result, as far as the write has come."""
        situation = self.situation
        seconds = time.monotonic() - situation.began
        manifest, traffic = situation.state.manifest, self.traffic
        return WriteResult(
            changed=True,
            action=situation.action,
            resumed=situation.resumed,
            store=situation.place.url,
            fingerprint=situation.fingerprint,
            manifest=situation.manifest_url,
            plan=self.plan.manifest.plan,
            objects=objects,
            objects_written=written,
            objects_kept=objects - written,
            bytes_read=bytes_read,
            bytes_stored=sum(stored.size for stored in self.records.values()),
            seconds=round(seconds, 3),
            mib_per_second=round(bytes_read / 2**20 / seconds, 1),
            retries=self.retries,
            fetched=traffic.fetched_figures(),
            waited=traffic.waited_figures(),
            verification=verification,
            workers=self.executor.shares(),
            notes=self.notes,
            before={"plan": manifest.plan, "fingerprint": manifest.fingerprint} if manifest else {},
            files=files_of(situation, self.plan.manifest.steps),
            codecs={array.name: self.plan.encoder.encodings[array.name].names for array in self.plan.extent.arrays.arrays},
        )


def _unknown(situation: Situation) -> list[str]:
    """What to know of sources whose server does not tell whether they have changed."""
    places = read_at_each_run(situation.items)
    if not places:
        return []
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    text = "its server tells neither tag nor time of change, so that all of it is read in each run to see whether it has changed"
    return [f"source '{places[0]}'{more}: {text}"]


def now() -> str:
    """The time, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
