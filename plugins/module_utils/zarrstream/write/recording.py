# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The blocks of a write on their way: what was kept of an earlier run is passed over, what arrives is recorded and noted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ..encoding.lossy import check_block
from ..planning.plan import Block
from ..sidecar.journal import Journal
from ..sidecar.lock import Lock, LockWatch
from ..sidecar.manifest import Stored
from ..storage.objects import Objects
from .plans import StorePlan, keys_of
from .progress import ProgressReporter
from .publish import locate
from .staging import Outgoing

if TYPE_CHECKING:
    import numpy as np

    from .staging import Data


class Copying:
    """One write's way from source to store. ``kept`` is what an earlier run has sent, ``records`` takes what is there."""

    def __init__(
        self,
        plan: StorePlan,
        objects: Objects,
        lock: Lock,
        journal: Journal,
        reporter: ProgressReporter,
        *,
        kept: Mapping[str, Stored],
        records: dict[str, Stored],
    ) -> None:
        self.plan, self.objects, self.lock, self.journal, self.reporter = plan, objects, lock, journal, reporter
        self.kept, self.records, self.sent = kept, records, 0
        self.alone = LockWatch(objects, lock)  # reading and encoding begin meanwhile
        self.arrays = plan.open_arrays(Outgoing(plan.template.documents, self._put, self.done, kept=kept, ready=self.alone.check))

    def waiting(self) -> Iterator[Block]:
        """The blocks that can be written at any time and have to be."""
        return (block for block in self.plan.extent.free() if self.missing(block))

    def done(self, key: str, stored: Stored) -> None:
        """An object is there, sent by this run or kept."""
        self.records[key] = stored
        if self.kept.get(key) != stored:
            self.sent += 1
            self.journal.note(key, stored)
        self.reporter.stored(stored.size)

    def missing(self, block: Block) -> bool:
        """Whether a block has to be written; what was kept of it whole counts as done."""
        keys = keys_of(block, self.arrays)
        if not all(key in self.kept for key in keys):
            return True
        for key in keys:
            self.done(key, self.kept[key])
        return False

    def read(self, block: Block) -> np.ndarray:
        """The values of a block, as they get stored."""
        values = self.plan.encoder.values(block.array, block.region)
        self.reporter.read(values.nbytes)
        return values

    def check(self, block: Block, values: np.ndarray) -> None:
        """Raises SourceError for values that lossy codecs would spoil."""
        check_block(self.plan.encoder, self.plan.template.arrays, block, values, self.plan.zarr_format)

    def encode(self, block: Block) -> None:
        """Read and encode a block; it waits for ``send``."""
        values = self.read(block)
        self.check(block, values)
        self.arrays[block.array].encode(block.region, values)

    def send(self, block: Block, _encoded: None) -> None:
        """Send a block; when it returns it has arrived."""
        self.arrays[block.array].send(block.region)
        self.journal.flush()

    async def _put(self, key: str, data: Data) -> None:
        await self.objects.put_async(locate(self.objects, key, self.plan.staged), data)
