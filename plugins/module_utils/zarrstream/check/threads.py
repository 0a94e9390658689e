# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A check whose objects are decoded and compared by threads of this host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..metadata.chunks import ChunkReader
from ..metadata.layout import ArrayLayout
from ..parallel import each
from ..storage.traffic import Traffic
from .contents import Examiner, workers_for
from .executor import Outcome, Task
from .reference import Reference
from .request import CheckRequest
from .snapshot import Snapshot


class Threads:
    """As many threads as there is memory for what they decode. Satisfies ``executor.Executor``."""

    retries, traffic = 0, Traffic()

    def __init__(self, request: CheckRequest) -> None:
        """Raises nothing; the request has no scheduler."""
        if request.scheduler:
            raise AssertionError("commands.check chooses who checks")

    def prepare(self, shot: Snapshot, reader: ChunkReader, reference: Reference | None, layouts: list[ArrayLayout]) -> None:
        """Nothing is asked of anybody."""
        self._examiner, self._workers = Examiner(shot, reader, reference), workers_for(layouts)

    def outcomes(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """What became of each task, in their order."""
        return each(self._examiner.examine, tasks, self._workers)

    def shares(self) -> list[dict[str, Any]]:
        """There are no workers."""
        return []

    def close(self) -> None:
        """Threads end with their tasks."""
