# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A write whose blocks are copied and compared by the workers of a cluster; all else is as on one machine, and done by ``work``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import BadRequest, PlanError
from ..planning.chunking import ArraySource
from ..planning.memory import FALLBACK
from ..planning.plan import BLOCK_TARGET, Block, WritePlan, make_plan
from ..scheduler import parse_scheduler
from ..sidecar.manifest import Stored
from ..write.recording import keys_of
from ..write.request import WriteRequest
from .connection import Cluster
from .job import access_of, follow_of, plain_place
from .write_job import WriteJob

if TYPE_CHECKING:
    from ..write.recording import Copying
    from ..write.session import Work

TURNS = 4  # tasks for each thread, at least
LEAST_BLOCK = 2**20  # bytes of a task, below which sending tasks around takes longer than doing them


class WriteCluster(Cluster):
    """The workers of one write."""

    def __init__(self, request: WriteRequest) -> None:
        """Connect to the scheduler of the request."""
        scheduler = parse_scheduler(request.scheduler, request.scheduler_tls)
        if scheduler is None:
            raise AssertionError("else the host writes by itself")
        super().__init__(scheduler, request.transport.timeout)

    def plan(
        self, arrays: Sequence[ArraySource], chunks: dict[str, int] | None, shards: dict[str, int] | None, asked: int | None
    ) -> WritePlan:
        """The plan for what each worker can hold; raises BadRequest or PlanError where it cannot hold what is asked for."""
        room, smallest = self.memory, self.smallest
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

    def prepare(self, work: Work) -> None:
        """Let each worker see whether it can do its part; raises what the first one says that cannot. Nothing is written."""
        request, situation = work.request, work.situation
        self.start(
            WriteJob,
            {
                "timeout": self.timeout,
                "memory": work.plan.memory,
                "access": access_of(request),
                "source": [item.place for item in situation.items],
                "follow": follow_of(request),
                "stats": [stat.to_dict() for stat in situation.stats],
                "store": plain_place(situation.place),
                "encodings": work.encodings,
                "roots": dict(situation.state.roots) if work.mode == "append" else {},
                "documents": work.template.documents,
                "staged": work.staged,
                "zarr_format": request.zarr_format,
                "write_id": work.write_id,
                "arrays": [array.name for array in work.plan.arrays],
            },
        )

    def copy(self, copying: Copying, blocks: Iterable[Block]) -> None:
        """Let workers write these blocks."""
        work = copying.work

        def calls() -> Iterator[tuple[Any, ...]]:
            for block in blocks:
                keys = keys_of(block, copying.arrays) if work.kept else ()
                kept = {key: _plain(work.kept[key]) for key in keys if key in work.kept}
                yield block.array, block.region, work.source_region(block), block.memory, kept

        copying.alone.check()
        self.everywhere("join")
        for reply in self.run("write", calls()):
            copying.alone.check()
            copying.reporter.read(reply.value["read"])
            reply.share.bytes_read += reply.value["read"]
            for key, record in reply.value["stored"].items():
                stored = Stored(*record)
                copying.done(key, stored)
                reply.share.objects += work.kept.get(key) != stored
                reply.share.bytes_stored += stored.size
            copying.journal.flush()
        self.everywhere("unchanged")

    def compare(self, work: Work, blocks: Iterable[Block]) -> int:
        """Let workers compare these blocks with the source, those that are all from it; returns the bytes compared."""
        arrays = work.open_arrays()
        calls = (
            (block.array, block.region, region, block.memory, {key: _plain(work.records[key]) for key in keys_of(block, arrays)})
            for block in blocks
            if (region := work.source_region(block)) is not None
        )
        return sum(reply.value for reply in self.run("compare", calls))


def _plain(stored: Stored) -> tuple[int, str]:
    return stored.size, stored.md5
