# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A check whose objects are decoded and compared by the workers of a cluster; the findings, their order and the report are the host's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from itertools import count, islice
from typing import Any

from ..check.compare import Difference
from ..check.contents import BUDGET, COPIES, decoded_bytes, workers_for
from ..check.executor import Outcome, Task
from ..check.reference import Reference, files_taken
from ..check.request import CheckRequest
from ..check.snapshot import Snapshot
from ..errors import BadRequest
from ..metadata.chunks import ChunkReader
from ..metadata.layout import ArrayLayout
from ..source.items import Stat, stat_items, take_digests
from ..source.reading import AS_FOUND
from ..storage.source_access import plain_source_access
from ..text import human_bytes
from .check_job import CheckJob
from .connection import Cluster
from .job import follow_of, urls_of

_APART = ("access", "source_access", "scheduler", "combine", "prepare", "expectations")  # as plain values, or with the host alone
TOGETHER = 16  # objects a task: they wait for the server, not for the worker


class CheckCluster(Cluster):
    """The workers of one check. Satisfies ``check.executor.Executor``."""

    def __init__(self, request: CheckRequest) -> None:
        """Connect to the scheduler of the request."""
        if request.scheduler is None:
            raise AssertionError("else the host checks by itself")
        super().__init__(request.scheduler, request.access.timeout)
        self._budget = min(BUDGET, self.memory or BUDGET)

    def prepare(self, shot: Snapshot, _reader: ChunkReader, reference: Reference | None, layouts: list[ArrayLayout]) -> None:
        """Let each worker see whether it can do its part; raises what the first one says that cannot."""
        if shot.tree is None:
            raise AssertionError("else nothing is decoded")
        self._shot = shot
        self._check_memory(layouts)
        threads = max(seat.threads for seat in self.seats)
        self._threads = max(1, workers_for(layouts, self._budget) // threads)
        request, place = shot.request, shot.place
        local = place.parent is not None
        asked = {field.name: getattr(request, field.name) for field in fields(request) if field.name not in _APART}
        items = reference.items if reference else ()
        self.start(
            CheckJob,
            {
                "memory": self._budget,
                "access": request.access.to_dict(),
                "source_access": plain_source_access(request.source_access),
                "request": {**asked, "store": str(place.parent / place.key) if place.parent and local else place.url},
                "source": urls_of(items, self.scheduler),
                "follow": follow_of(request),
                "reading": (reference.reading if reference else AS_FOUND).normal(),
                "stats": [stat.to_dict() for stat in _stats(shot, reference)] if reference else [],
                "documents": shot.tree.raw,
                "listed": shot.listing is not None,
                "manifest": shot.manifest.request if shot.manifest else None,
                "taken": files_taken(shot),
            },
        )

    def outcomes(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """What became of each task, in their order."""
        shot = self._shot
        waiting: dict[int, list[Task]] = {}
        ready: dict[int, list[Outcome]] = {}

        def calls() -> Iterator[tuple[Any, ...]]:
            ahead = iter(tasks)
            for number in count():
                batch = waiting[number] = list(islice(ahead, TOGETHER))
                if not batch:
                    return
                there = [task for task in batch if shot.listing is None or task.key in shot.listing]
                yield number, [(task.layout.path, task.place) for task in there], self._threads

        following = 0
        for reply in self.run("examine", calls()):
            number = reply.value["number"]
            ready[number] = _outcomes(shot, waiting.pop(number), reply.value["outcomes"])
            shot.pace.add(reply.value["pace"])
            reply.share.objects += len(reply.value["outcomes"])
            reply.share.bytes_stored += sum(outcome["stored"] for outcome in reply.value["outcomes"])
            reply.share.bytes_read += sum(outcome["source"] for outcome in reply.value["outcomes"])
            while following in ready:
                yield from ready.pop(following)
                following += 1

    def _check_memory(self, layouts: list[ArrayLayout]) -> None:
        largest = max(layouts, key=decoded_bytes, default=None)
        if largest is None or not self.memory or COPIES * decoded_bytes(largest) <= self.memory:
            return
        smallest = self.smallest
        raise BadRequest(
            f"an object of '{largest.path}' takes {human_bytes(COPIES * decoded_bytes(largest))} to decode and compare, and worker "
            f"{smallest.address} has a memory limit of {human_bytes(smallest.memory_limit)}, of which data may take "
            f"{human_bytes(self.memory)}. Give workers more, or leave out 'scheduler'.",
        )


def _outcomes(shot: Snapshot, tasks: list[Task], found: list[dict[str, Any]]) -> list[Outcome]:
    """The outcomes of these tasks: those of objects that the listing has are ``found``, the others are missing."""
    answers = iter(found)
    outcomes = []
    for task in tasks:
        if shot.listing is not None and task.key not in shot.listing:
            outcomes.append(Outcome(task, missing=True))
            continue
        answer = next(answers)
        unequal = answer["difference"]
        outcomes.append(Outcome(task, **{**answer, "difference": Difference(**unequal) if unequal else None}))
    return outcomes


def _stats(shot: Snapshot, reference: Reference) -> list[Stat]:
    """The source as it stands: digests are those of the write, if nothing has changed since; none is taken from files anew."""
    written = [Stat(**entry) for entry in shot.manifest.source] if shot.manifest else []
    digests = {(stat.name, stat.size, stat.mtime_ns): stat.digest for stat in written}
    return [
        Stat(stat.name, stat.size, stat.mtime_ns, digests.get((stat.name, stat.size, stat.mtime_ns), ""))
        if stat.mtime_ns
        else take_digests([item], [stat])[0]  # of a listing
        for item, stat in zip(reference.items, stat_items(reference.items), strict=True)
    ]
