# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The blocks of a write on their way: what was kept of an earlier run is passed over, what arrives is recorded and noted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..parallel import EARLY, copy_blocks
from ..planning.memory import for_blocks
from ..planning.plan import Block
from ..sidecar.journal import Journal
from ..sidecar.lock import Marker, Watch
from ..sidecar.manifest import Stored
from .progress import ProgressReporter
from .staging import Outgoing, block_keys

if TYPE_CHECKING:
    import numpy as np

    from .session import Work
    from .staging import Data, StagedArray


class Copying:
    """One write's way from source to store, by threads of this host or by the workers of a cluster."""

    def __init__(self, work: Work, marker: Marker, journal: Journal, reporter: ProgressReporter) -> None:
        self.work, self.marker, self.journal, self.reporter = work, marker, journal, reporter
        self.sent = 0
        self.alone = Watch(work.objects, marker)  # reading and encoding begin meanwhile
        staged = Outgoing(work.template.documents, self._put, self.done, kept=work.kept, ready=self.alone.check)
        self.arrays = work.open_arrays(staged)

    def run(self) -> None:
        """Copy the blocks that can be written at any time."""
        waiting = (block for block in self.work.free_blocks() if self.missing(block))
        if self.work.cluster:
            self.work.cluster.copy(self, waiting)
        else:
            memory = for_blocks(self.work.plan.memory)
            copy_blocks(waiting, self._encode, self._send, memory, early=lambda: 0 if self.alone.settled else EARLY)

    def done(self, key: str, stored: Stored) -> None:
        """An object is there, sent by this run or kept."""
        self.work.records[key] = stored
        if self.work.kept.get(key) != stored:
            self.sent += 1
            self.journal.note(key, stored)
        self.reporter.stored(stored.size)

    def missing(self, block: Block) -> bool:
        """Whether a block has to be written; what was kept of it whole counts as done."""
        keys = keys_of(block, self.arrays)
        if not all(key in self.work.kept for key in keys):
            return True
        for key in keys:
            self.done(key, self.work.kept[key])
        return False

    def read(self, block: Block) -> np.ndarray:
        """The values of a block, as they get stored."""
        values = self.work.encoder.values(block.array, block.region)
        self.reporter.read(values.nbytes)
        return values

    async def _put(self, key: str, data: Data) -> None:
        await self.work.objects.put_async(self.work.where(key), data)

    def _encode(self, block: Block) -> None:
        values = self.read(block)
        self.work.check_block(block, values)
        self.arrays[block.array].encode(block.region, values)

    def _send(self, block: Block, _encoded: None) -> None:
        self.arrays[block.array].send(block.region)
        self.journal.flush()


def keys_of(block: Block, arrays: Mapping[str, StagedArray]) -> list[str]:
    """The keys of the objects of a block."""
    return list(block_keys(arrays[block.array], block.array, block.region))
