# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A worker's part in a check: objects of the store, decoded and compared. What follows from the outcomes, the host says."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from ..check.contents import COPIES, Examiner, decoded_bytes
from ..check.executor import Outcome, Task
from ..check.reference import open_reference
from ..check.request import CheckRequest
from ..check.snapshot import Snapshot, open_for_reading
from ..errors import WriteError
from ..metadata.chunks import ChunkReader
from ..metadata.hierarchy import read_hierarchy
from ..parallel import each
from ..sidecar.manifest import Manifest
from ..source.reading import parse_reading
from .job import Job

Place = tuple[str, tuple[int, ...]]  # path of an array, and which of its objects


class CheckJob(Job):
    """Builds the store's arrays from the documents that the host has read."""

    def __init__(self, spec: Mapping[str, Any], worker: str) -> None:
        super().__init__(spec, worker)
        reading = parse_reading(spec["reading"])
        self.request = CheckRequest(
            **spec["request"],
            access=self.access,
            source_access=self.source_access,
            combine=reading.combine,
            prepare=reading.prepare,
        )
        self.transport = self.request.transport  # one for both
        self._taking = threading.Lock()

    def prepare(self) -> None:
        """Open store and source; reads a document again, to see now whether this worker is let in."""
        spec = self.spec
        tree = read_hierarchy(spec["documents"].get, list(spec["documents"]) if spec["listed"] else None)
        if tree is None:
            raise AssertionError("the host has read it")
        self.shot = Snapshot(self.request, open_for_reading(self.request), tree=tree)
        if spec["manifest"] is not None:
            self.shot.manifest = Manifest("", tree.zarr_format, "", spec["manifest"], [{"name": name} for name in spec["taken"]], {})
        if self.shot.fetch(tree.root_key) != spec["documents"][tree.root_key]:
            text = (
                f"store '{self.request.store}' is not the same place here as on the host. A folder has to be on a file system that all of "
                "them share; or it has changed just now."
            )
            raise WriteError(text, store=self.request.store)
        reader = ChunkReader(tree)
        reference = open_reference(self.shot, reader, self.find_items()) if spec["source"] else None
        self.examiner = Examiner(self.shot, reader, reference)
        self.layouts = tree.arrays
        for layout in self.layouts.values():
            reader.array_problem(layout)  # opens it
        self.shot.pace.take()

    @property
    def endpoint(self) -> str:
        """Where the store is; '' until it was opened."""
        return self.shot.objects.endpoint if "shot" in self.__dict__ else ""

    def release(self) -> None:
        """Close the source."""
        if self.examiner.reference:
            self.examiner.reference.close()

    def examine(self, number: int, places: Sequence[Place], threads: int) -> dict[str, Any]:
        """Decode and compare these objects; returns an outcome for each, and how fast they came."""

        def one(place: Place) -> dict[str, Any]:
            task = Task(self.layouts[place[0]], place[1])
            with self.room(COPIES * decoded_bytes(task.layout)):
                return plain_outcome(self.examiner.examine(task))

        outcomes = list(each(one, places, threads))
        return {"number": number, "outcomes": outcomes, "pace": self.shot.pace.take()}


def plain_outcome(outcome: Outcome) -> dict[str, Any]:
    """An outcome without its task, as plain values."""
    found = {field.name: getattr(outcome, field.name) for field in dataclasses.fields(outcome) if field.name != "task"}
    return {**found, "difference": dataclasses.asdict(outcome.difference) if outcome.difference else None}
