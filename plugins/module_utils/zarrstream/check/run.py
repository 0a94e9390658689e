# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The way in: take a snapshot of a store, run the checks that apply, give a report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

from ..errors import BadRequest
from ..interrupt import GRACE, on_interrupt
from ..libraries import missing_libraries_named
from ..metadata.chunks import ChunkReader
from .access import check_anonymous
from .contents import Tally, check_decode, check_values, examine
from .executor import Executor, MakeExecutor
from .meaning import check_codecs, check_consolidated, check_fill_value, check_metadata, check_open
from .reference import Reference, open_reference
from .report import CHECKS, CheckResult, Report, skipped
from .roundtrip import check_roundtrip
from .snapshot import CheckRequest, Snapshot, take_snapshot
from .structure import check_chunk_size, check_complete, check_manifest, check_sizes, check_strays
from .threads import Threads


@dataclass(frozen=True)
class Inspection:
    """A store that was checked: the report, and for pictures of it what that was made from."""

    report: Report
    shot: Snapshot
    reader: ChunkReader | None
    tally: Tally | None


def request_from(options: Mapping[str, Any]) -> CheckRequest:
    """The request in options as people write them: ``sample`` may be 'all', ``source`` one text or a list."""
    known = {item.name for item in fields(CheckRequest)} - {"sample", "source", "follow", "checks"}
    return CheckRequest(
        sample=_sample(options.get("sample", 4)),
        source=_source(options.get("source")),
        follow=tuple(options.get("follow") or ()),
        checks=tuple(options.get("checks") or ()),
        **{name: value for name, value in options.items() if name in known},
    )


def _sample(value: Any) -> int | None:
    text = str(value).strip()
    if text == "all":
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise BadRequest(f"sample is '{value}': give the number of objects to decode for each array, 0 or more, or 'all'.")
    return int(text)


def _source(value: Any) -> tuple[str, ...]:
    if not value:
        return ()
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadRequest(f"source is {value!r}: give a path, a glob, a URL, or a list of them.")
    return tuple(names)


def check_store(request: CheckRequest) -> Report:
    """Check a store by threads of this host; the report of ``inspect_store``."""
    return inspect_store(request, Threads).report


def inspect_store(request: CheckRequest, make_executor: MakeExecutor) -> Inspection:
    """Check a store. Findings are in the report; raises ZarrstreamError for what is no finding, such as a dead endpoint.

    ``make_executor`` is called where objects are to be read.
    """
    started = time.monotonic()
    request = replace(request)  # with a transport of its own
    with missing_libraries_named(), closing(request.transport), on_interrupt(GRACE, request.transport.abandon):
        import zarr  # noqa: F401 - named here rather than in the middle of a check

        shot = take_snapshot(request)
        reader = ChunkReader(shot.tree) if shot.tree is not None else None
        with _executor(request, make_executor) as executor:
            results, tally = _run(shot, reader, request, executor)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    report = Report(
        store=shot.place.url,
        checks=tuple(results),
        fail_on=request.fail_on,
        checked=now,
        seconds=round(time.monotonic() - started, 3),
        listing=shot.digest,
        retries=request.transport.retries + (executor.retries if executor else 0),
        workers=executor.shares() if executor else [],
    )
    return Inspection(report, shot, reader, tally)


@contextmanager
def _executor(request: CheckRequest, make: MakeExecutor) -> Iterator[Executor | None]:
    """Who reads objects; None where none are to be read."""
    if request.sample == 0 or not {"decode", "values"} & set(request.checks or CHECKS):
        yield None
        return
    with closing(make(request)) as executor:
        yield executor


def _run(
    shot: Snapshot, reader: ChunkReader | None, request: CheckRequest, executor: Executor | None
) -> tuple[list[CheckResult], Tally | None]:
    chosen, tally = request.checks or CHECKS, None
    opened = check_open(shot, reader)
    table: dict[str, Callable[[], CheckResult]] = {
        "open": lambda: opened,
        "manifest": lambda: check_manifest(shot),
        "anonymous": lambda: _anonymous(shot, reader),
    }
    if reader is not None and reader.tree.root_key not in reader.tree.problems:
        checks, tally = _checks_of(shot, reader, chosen, executor)
        table |= checks
    closed = f"the store does not open ({opened.message})"
    results = [table[check]() if check in table else skipped(check, closed, _severity(check)) for check in CHECKS if check in chosen]
    return results, tally


def _checks_of(
    shot: Snapshot, reader: ChunkReader, chosen: tuple[str, ...], executor: Executor | None
) -> tuple[dict[str, Callable[[], CheckResult]], Tally | None]:
    """The checks of a store whose root can be read. Objects are read once, for all checks that want them, and tallied."""
    with_source = bool(shot.request.source) and bool({"roundtrip", "values"} & set(chosen))
    reference: Reference | None = open_reference(shot, reader) if with_source else None
    reading = "decode" in chosen or ("values" in chosen and reference is not None)
    tally: Tally | None = None
    try:
        if reading and executor is not None:
            tally = examine(shot, reader, reference if "values" in chosen else None, executor)
        roundtrip = check_roundtrip(shot, reader, reference) if "roundtrip" in chosen else None
        values = check_values(reader, reference, tally) if "values" in chosen else None
    finally:
        if reference is not None:
            reference.source.close()
    table: dict[str, Callable[[], CheckResult]] = {
        "metadata": lambda: check_metadata(shot, reader),
        "consolidated": lambda: check_consolidated(shot, reader),
        "complete": lambda: check_complete(shot),
        "strays": lambda: check_strays(shot),
        "sizes": lambda: check_sizes(shot),
        "codecs": lambda: check_codecs(reader),
        "decode": lambda: check_decode(shot, tally),
        "fill_value": lambda: check_fill_value(reader),
        "chunk_size": lambda: check_chunk_size(shot),
    }
    for check, result in (("roundtrip", roundtrip), ("values", values)):
        if result is not None:
            table[check] = lambda result=result: result  # type: ignore[misc]
    return table, tally


def _anonymous(shot: Snapshot, reader: ChunkReader | None) -> CheckResult:
    if not shot.request.anonymous and "anonymous" not in shot.request.checks:
        return skipped("anonymous", "not asked for: set anonymous, or name it in checks, for a store that is published")
    return check_anonymous(shot, reader)


def _severity(check: str) -> str:
    return {"strays": "warning", "fill_value": "warning", "chunk_size": "info"}.get(check, "error")
