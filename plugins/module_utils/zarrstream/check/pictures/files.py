# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files of a report: JSON for programs, and beside it a page with pictures for people."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import BadRequest
from ...libraries import missing_libraries_named
from ...text import shown_json
from ..report import Report
from .page import make_page
from .portrait import Portrait

_TIMES = ("checked", "seconds", "retries", "fetched", "waited", "workers")


def report_path(report: Report, folder: str) -> Path:
    """Where the report of a store is written: ``<folder>/<name of the store>.json``."""
    return Path(folder).expanduser() / f"{report.store.rstrip('/').rpartition('/')[2]}.json"


def page_path(path: str) -> str:
    """The page beside the report at ``path``."""
    return str(Path(path).with_suffix(".html"))


def write_report(report: Report, folder: str, portray: Callable[[], Portrait], *, dry_run: bool = False) -> tuple[str, bool]:
    """Write report and page into ``folder``; gives the report's path, and whether it says anything new but its times.

    ``portray`` gathers what the pictures show; it is called where a page is written.

    A report that says the same of the same listing is left alone, times included: it tells since when the store is as it is.
    """
    path, document = report_path(report, folder), report.as_document()
    page = Path(page_path(str(path)))
    if _without_times(_read(path)) == _without_times(json.loads(json.dumps(document))) and page.is_file():
        return str(path), False
    if not dry_run:
        with missing_libraries_named():
            html = make_page(report, portray())
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # The report last: whoever finds a new one finds its page.
            _replace(page, html)
            _replace(path, shown_json(document, indent=2) + "\n")
        except OSError as error:
            raise BadRequest(f"report is '{folder}': {path} cannot be written ({error.strerror}). Name a folder that can.") from None
    return str(path), True


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _without_times(document: Any) -> Any:
    return {name: value for name, value in document.items() if name not in _TIMES} if isinstance(document, dict) else document


def _replace(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
