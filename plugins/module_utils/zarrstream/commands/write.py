# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A write as module, command and API call it: chooses who copies."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..write import run
from ..write.progress import Progress
from ..write.request import WriteRequest
from ..write.result import WriteResult
from ..write.threads import Threads

if TYPE_CHECKING:
    from ..dask.write_executor import WriteCluster
    from ..write.executor import MakeExecutor


def preview(request: WriteRequest) -> WriteResult:
    """What ``write_dataset`` would do; changes nothing, and raises what it would raise before its first change."""
    return run.preview(request, executor_for(request))


def write_dataset(request: WriteRequest, progress: Callable[[Progress], None] | None = None) -> WriteResult:
    """Write the data set, or find that it is written already. ``progress`` is called about once a second.

    Raises a ZarrstreamError; after the first change its message says that nothing was published, or what was.
    """
    return run.write_dataset(request, executor_for(request), progress)


def executor_for(request: WriteRequest) -> MakeExecutor:
    """Threads of this host, or the workers of the cluster that the request names."""
    return _on_cluster if request.scheduler else Threads


def _on_cluster(request: WriteRequest) -> WriteCluster:
    """Dask is imported, and the scheduler asked, only where there may be something to write."""
    from ..dask.write_executor import WriteCluster

    return WriteCluster(request)
