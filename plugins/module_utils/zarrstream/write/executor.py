# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who copies the blocks of a write and reads them back: threads of this host, or the workers of a cluster. ``commands`` chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from ..planning.chunking import ArraySource
from ..planning.plan import Block, WritePlan
from ..sidecar.manifest import Stored
from ..storage.objects import Objects
from ..storage.traffic import Traffic
from .plans import StorePlan
from .recording import Copying
from .request import WriteRequest
from .result import Situation


class Executor(Protocol):
    """Moves blocks; what is proved, published and recorded, and in which order, is not its affair."""

    @property
    def retries(self) -> int:
        """Requests that were sent again, beside those of the request's own transport."""

    @property
    def traffic(self) -> Traffic:
        """What came over the net for it, beside what the request's own reach fetched."""

    def lay_out(self, arrays: Sequence[ArraySource], chunks: dict[str, int] | None, shards: dict[str, int] | None) -> WritePlan:
        """The plan of these arrays for the memory that there is; raises BadRequest or PlanError where it cannot hold them."""

    def prepare(self, plan: StorePlan, situation: Situation, write_id: str) -> None:
        """Get ready; raises ZarrstreamError where that cannot go well. Nothing is written."""

    def copy(self, copying: Copying, blocks: Iterable[Block]) -> None:
        """Write these blocks; the first error ends it."""

    def compare(self, plan: StorePlan, objects: Objects, records: Mapping[str, Stored], blocks: Iterable[Block]) -> int:
        """Read these blocks back and compare them with the source; returns the bytes compared, or raises WriteError."""

    def settle(self, objects: Objects) -> None:
        """Nothing of this write is under way any more when readers may find it, nor half-written."""

    def shares(self) -> list[dict[str, Any]]:
        """What each worker of a cluster has done, as plain values."""

    def close(self) -> None:
        """Let nothing be under way any more. May be called twice."""


MakeExecutor: TypeAlias = Callable[[WriteRequest], Executor]
