# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who decodes and compares the objects of a check: threads of this host, or the workers of a cluster. ``commands`` chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from ..metadata.chunks import ChunkReader
from ..metadata.layout import ArrayLayout
from ..storage.traffic import Traffic
from .compare import Difference
from .reference import Reference
from .request import CheckRequest
from .snapshot import Snapshot


@dataclass(frozen=True)
class Task:
    """One object to decode."""

    layout: ArrayLayout
    place: tuple[int, ...]

    @property
    def key(self) -> str:
        """Its key, relative to the store."""
        return self.layout.key(self.place)


@dataclass(frozen=True)
class Outcome:
    """What became of one object: ``missing`` and ``problem`` for what kept it from being decoded."""

    task: Task
    missing: bool = False
    problem: str = ""
    stored: int = 0  # bytes as stored
    compared: bool = False
    source: int = 0  # bytes of the source that were compared
    difference: Difference | None = None


class Executor(Protocol):
    """Decodes and compares objects; what follows from the outcomes is said elsewhere."""

    @property
    def retries(self) -> int:
        """Requests that were sent again, beside those of the request's own transport."""

    @property
    def traffic(self) -> Traffic:
        """What came over the net for it, beside what the request's own reach fetched."""

    def prepare(self, shot: Snapshot, reader: ChunkReader, reference: Reference | None, layouts: list[ArrayLayout]) -> None:
        """Get ready to examine objects of these arrays; raises ZarrstreamError where that cannot go well."""

    def outcomes(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """What became of each task, in their order."""

    def shares(self) -> list[dict[str, Any]]:
        """What each worker of a cluster has done, as plain values."""

    def close(self) -> None:
        """Let nothing be under way any more."""


MakeExecutor: TypeAlias = Callable[[CheckRequest], Executor]
