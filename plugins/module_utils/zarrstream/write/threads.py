# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A write whose blocks are copied and read back by threads of this host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..parallel import EARLY, copy_blocks
from ..planning.chunking import ArraySource
from ..planning.memory import for_blocks, usable_memory
from ..planning.plan import Block, WritePlan, make_plan
from ..sidecar.manifest import Stored
from ..storage.objects import Objects
from ..storage.traffic import Traffic
from .request import WriteRequest
from .result import Situation

if TYPE_CHECKING:
    from .plans import StorePlan
    from .recording import Copying


class Threads:
    """Some threads make blocks, others send them. Satisfies ``executor.Executor``."""

    retries, traffic = 0, Traffic()

    def __init__(self, request: WriteRequest) -> None:
        """Raises BadRequest for an amount of memory that is none. The request has no scheduler."""
        if request.scheduler:
            raise AssertionError("commands.write chooses who writes")
        self._asked = request.memory

    def lay_out(self, arrays: Sequence[ArraySource], chunks: dict[str, int] | None, shards: dict[str, int] | None) -> WritePlan:
        """The plan of these arrays for the memory that was asked for, or is free; raises BadRequest or PlanError."""
        return make_plan(arrays, chunks, shards, memory=self._asked or usable_memory())

    def prepare(self, plan: StorePlan, situation: Situation, write_id: str) -> None:
        """Nothing is asked of anybody."""

    def copy(self, copying: Copying, blocks: Iterable[Block]) -> None:
        """Write these blocks; reading and encoding begin while nothing may be sent yet."""
        memory = for_blocks(copying.plan.extent.arrays.memory, copying.plan.encoder.source.held)
        copy_blocks(blocks, copying.encode, copying.send, memory, early=lambda: 0 if copying.alone.settled else EARLY)

    def compare(self, plan: StorePlan, objects: Objects, records: Mapping[str, Stored], blocks: Iterable[Block]) -> int:
        """Read these blocks back and compare them with the source; returns the bytes compared, or raises WriteError."""
        from .verify import compare_values

        return compare_values(plan, objects, records, blocks)

    def settle(self, objects: Objects) -> None:
        """Threads have ended with their blocks."""

    def shares(self) -> list[dict[str, Any]]:
        """There are no workers."""
        return []

    def close(self) -> None:
        """Threads have ended with their blocks."""
