# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A write whose blocks are copied and compared by the workers of a cluster; all else is as on one machine."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import BadRequest, PlanError
from ..planning.chunking import ArraySource
from ..planning.memory import FALLBACK
from ..planning.plan import BLOCK_TARGET, Block, WritePlan, make_plan
from ..sidecar.manifest import Stored
from ..storage.objects import Objects
from ..storage.source_access import plain_source_access
from ..write.plans import StorePlan, keys_of
from ..write.recording import Copying
from ..write.request import WriteRequest
from ..write.result import Situation
from ..write.verify import compare_values
from .connection import Cluster
from .job import follow_of, plain_place, urls_of
from .write_job import WriteJob

TURNS = 4  # tasks for each thread, at least
LEAST_BLOCK = 2**20  # bytes of a task, below which sending tasks around takes longer than doing them


class WriteCluster(Cluster):
    """The workers of one write. Satisfies ``write.executor.Executor``."""

    def __init__(self, request: WriteRequest) -> None:
        """Connect to the scheduler of the request."""
        if request.scheduler is None:
            raise AssertionError("else the host writes by itself")
        super().__init__(request.scheduler, request.access.timeout)
        self._request = request

    def lay_out(self, arrays: Sequence[ArraySource], chunks: dict[str, int] | None, shards: dict[str, int] | None) -> WritePlan:
        """The plan for what each worker can hold; raises BadRequest or PlanError where it cannot hold what is asked for."""
        asked, room, smallest = self._request.memory, self.memory, self.smallest
        limit = f"worker {smallest.address} has a memory limit of {smallest.memory_limit // 2**20}MiB, of which data may take"
        if asked and room and asked > room:
            raise BadRequest(f"memory is {asked // 2**20}MiB: {limit} {room // 2**20}MiB. Set that or less, or give workers more.")
        try:
            return make_plan(arrays, chunks, shards, memory=asked or room or FALLBACK, block=self._block(arrays))
        except PlanError as error:
            if asked or not room:
                raise
            raise PlanError(f"{error} ({limit[0].upper()}{limit[1:]} {room // 2**20}MiB.)", **error.details) from None

    def _block(self, arrays: Sequence[ArraySource]) -> int:
        """Bytes of a task: small enough that each thread gets several, so that all end at about the same time."""
        threads = sum(seat.threads for seat in self.seats)
        return max(LEAST_BLOCK, min(BLOCK_TARGET, sum(array.itemsize * math.prod(array.shape) for array in arrays) // (TURNS * threads)))

    def prepare(self, plan: StorePlan, situation: Situation, write_id: str) -> None:
        """Let each worker see whether it can do its part; raises what the first one says that cannot. Nothing is written."""
        request, arrays = self._request, plan.extent.arrays
        self.start(
            WriteJob,
            {
                "memory": arrays.memory,
                "access": request.access.to_dict(),
                "source_access": plain_source_access(request.source_access),
                "source": urls_of(situation.items, self.scheduler),
                "follow": follow_of(request),
                "reading": situation.reading.normal(),
                "stats": [stat.to_dict() for stat in situation.stats],
                "store": plain_place(situation.place),
                "encodings": {name: encoding.to_dict() for name, encoding in plan.encoder.encodings.items()},
                "roots": dict(situation.state.roots) if plan.mode in ("append", "update") else {},
                "documents": plan.template.documents,
                "staged": plan.staged,
                "zarr_format": plan.zarr_format,
                "write_id": write_id,
                "arrays": [array.name for array in arrays.arrays],
            },
        )

    def copy(self, copying: Copying, blocks: Iterable[Block]) -> None:
        """Let workers write these blocks."""
        kept, extent = copying.kept, copying.plan.extent

        def calls() -> Iterator[tuple[Any, ...]]:
            for block in blocks:
                keys = keys_of(block, copying.arrays) if kept else ()
                there = {key: _plain(kept[key]) for key in keys if key in kept}
                yield block.array, block.region, extent.source_region(block), block.memory, there

        copying.alone.check()
        self.everywhere("join")
        for reply in self.run("write", calls()):
            copying.alone.check()
            copying.reporter.read(reply.value["read"])
            reply.share.bytes_read += reply.value["read"]
            for key, record in reply.value["stored"].items():
                stored = Stored(*record)
                copying.done(key, stored)
                reply.share.objects += kept.get(key) != stored
                reply.share.bytes_stored += stored.size
            copying.journal.flush()
        self.everywhere("unchanged")

    def compare(self, plan: StorePlan, objects: Objects, records: Mapping[str, Stored], blocks: Iterable[Block]) -> int:
        """Let workers compare these blocks with the source, and this host those that have rows of the store; returns the bytes."""
        arrays, own = plan.open_arrays(), []

        def calls() -> Iterator[tuple[Any, ...]]:
            for block in blocks:
                region = plan.extent.source_region(block)
                if region is None:
                    own.append(block)
                else:
                    sent = {key: _plain(records[key]) for key in keys_of(block, arrays)}
                    yield block.array, block.region, region, block.memory, sent

        compared = sum(reply.value for reply in self.run("compare", calls()))
        return compared + compare_values(plan, objects, records, own)

    def settle(self, objects: Objects) -> None:
        """Let workers end, and remove what one that was killed has left half-written."""
        self.close()
        objects.sweep()


def _plain(stored: Stored) -> tuple[int, str]:
    return stored.size, stored.md5
