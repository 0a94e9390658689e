# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A check as module, command and API call it: chooses who decodes objects, and writes the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..check.executor import MakeExecutor
from ..check.pictures.files import page_path, write_report
from ..check.pictures.portrait import portray
from ..check.report import Report
from ..check.request import CheckRequest
from ..check.run import inspect_store
from ..check.threads import Threads

if TYPE_CHECKING:
    from ..dask.check_executor import CheckCluster


@dataclass(frozen=True)
class Checked:
    """A report, and the path of the file that has it; ``changed`` where that file says something new but its times."""

    report: Report
    path: str | None = None
    changed: bool = False

    @property
    def page(self) -> str | None:
        """The path of the page with pictures."""
        return page_path(self.path) if self.path else None

    def as_result(self) -> dict[str, Any]:
        """The result as the module returns it."""
        return {**self.report.as_result(), "report": self.path, "page": self.page, "changed": self.changed}


def check_store(request: CheckRequest, *, dry_run: bool = False) -> Checked:
    """Check a store, and write the report where the request names a folder for it and this is no ``dry_run``.

    Findings are in the report; raises ZarrstreamError for what is no finding, such as a dead endpoint.
    """
    inspection = inspect_store(request, executor_for(request))
    report = inspection.report
    if not request.report:
        return Checked(report)
    path, changed = write_report(
        report, request.report, lambda: portray(inspection.shot, inspection.reader, inspection.tally), dry_run=dry_run
    )
    return Checked(report, path, changed)


def executor_for(request: CheckRequest) -> MakeExecutor:
    """Threads of this host, or the workers of the cluster that the request names."""
    return _on_cluster if request.scheduler else Threads


def _on_cluster(request: CheckRequest) -> CheckCluster:
    """Dask is imported, and the scheduler asked, only where objects are to be read."""
    from ..dask.check_executor import CheckCluster

    return CheckCluster(request)
