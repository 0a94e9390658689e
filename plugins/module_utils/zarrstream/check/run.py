# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The way in: take a snapshot of a store, run the checks that apply, give a report."""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ..errors import BadRequest
from ..findings import Check, CheckResult
from ..interrupt import GRACE, on_interrupt
from ..libraries import missing_libraries_named
from ..metadata.chunks import ChunkReader
from ..storage.traffic import Traffic
from ..text import meant
from . import access, growing, inner_chunks, registry, roundtrip, steps, structure  # noqa: F401 - where checks are entered; pylint: disable=unused-import
from .axes import Axis, read_axes
from .contents import Tally, examine
from .executor import Executor, MakeExecutor
from .meaning import check_open
from .newest import Newest, read_newest
from .reference import Reference, open_reference
from .report import Report
from .request import CheckRequest
from .snapshot import Snapshot, take_snapshot

CHECKS = tuple(check.id for check in registry.CHECKS)


@dataclass(frozen=True)
class Inspection:
    """A store that was checked: the report, and for pictures of it what that was made from."""

    report: Report
    shot: Snapshot
    reader: ChunkReader | None
    tally: Tally | None


def inspect_store(request: CheckRequest, make_executor: MakeExecutor) -> Inspection:
    """Check a store. Findings are in the report; raises ZarrstreamError for what is no finding, such as a dead endpoint.

    ``make_executor`` is called where objects are to be read.
    """
    started = time.monotonic()
    chosen = _chosen(request.checks)
    request = replace(request)  # with a transport of its own
    with missing_libraries_named(), closing(request), on_interrupt(GRACE, request.transport.abandon):
        import zarr  # noqa: F401 - named here rather than in the middle of a check

        shot = take_snapshot(request)
        reader = ChunkReader(shot.tree) if shot.tree is not None else None
        with _executor(request, chosen, make_executor) as executor:
            results, tally = _run(shot, reader, chosen, executor)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    report = Report(
        store=shot.place.url,
        checks=tuple(results),
        fail_on=request.fail_on,
        checked=now,
        seconds=round(time.monotonic() - started, 3),
        listing=shot.digest,
        retries=request.transport.retries + (executor.retries if executor else 0),
        traffic=request.traffic(shot.objects.endpoint) + (executor.traffic if executor else Traffic()),
        workers=executor.shares() if executor else [],
    )
    return Inspection(report, shot, reader, tally)


def _chosen(names: Collection[str]) -> list[Check]:
    """The checks of these names, all for none, in the order of their results. Raises BadRequest."""
    unknown = next((name for name in names if name not in CHECKS), None)
    if unknown is not None:
        raise BadRequest(f"checks names '{unknown}', which is none.{meant(unknown, CHECKS)} There are: {', '.join(CHECKS)}.")
    return [check for check in registry.CHECKS if check.id in (names or CHECKS)]


def _executor(request: CheckRequest, chosen: list[Check], make: MakeExecutor) -> AbstractContextManager[Executor | None]:
    """Who reads objects; None where none are to be read."""
    reading = request.sample != 0 and any("objects" in check.needs for check in chosen)
    return closing(make(request)) if reading else nullcontext()


def _run(
    shot: Snapshot, reader: ChunkReader | None, chosen: list[Check], executor: Executor | None
) -> tuple[list[CheckResult], Tally | None]:
    """The results. Objects are read once, for all checks that need them, and tallied."""
    there: dict[str, tuple[Any, str]] = {"store": (shot, ""), "documents": (reader, "")}
    opened = check_open.of(there)
    root = reader if reader is not None and reader.tree.root_key not in reader.tree.problems else None
    closed = "" if root else f"the store does not open ({opened.message})"
    with _reference(shot, root, chosen) as reference:
        tally = _tally(shot, root, reference, chosen, executor) if root and executor else None
        axes = _axes(shot, root, chosen)
        there |= {
            "root": (root, closed),
            "listing": (shot if root and shot.listing is not None else None, closed or shot.listing_problem),
            "source": (reference, closed or "no source is given"),
            "objects": (tally, closed or "sample is 0: no object is read"),
            "axes": (axes, closed or "sample is 0: no object is read"),
            "newest": (_newest(shot, root, axes, chosen), closed or "sample is 0: no object is read"),
        }
        return [opened if check is check_open else check.of(there) for check in chosen], tally


def _axes(shot: Snapshot, root: ChunkReader | None, chosen: list[Check]) -> list[Axis] | None:
    """The coordinates, read once for all checks that need them."""
    return (
        read_axes(shot, root)
        if root and shot.request.sample != 0 and any({"axes", "newest"} & {*check.needs} for check in chosen)
        else None
    )


def _newest(shot: Snapshot, root: ChunkReader | None, axes: list[Axis] | None, chosen: list[Check]) -> list[Newest] | None:
    """The newest steps, read once for all checks that need them, where any of these was asked for; none else."""
    expected = shot.request.expectations
    asked = [check for check in chosen if "newest" in check.needs and getattr(expected, check.id) is not None]
    if not asked or root is None or axes is None:
        return [] if axes is not None else None
    newest = read_newest(shot, root, axes)
    known = sorted(each.name for each in newest)
    for option, names in expected.named.items():
        if strange := next((name for name in names if name not in known), None):
            there = f"These do: {', '.join(known)}." if known else "None does."
            raise BadRequest(
                f"{option} names '{strange}', and no variable of that name goes along a coordinate of time. {there}", variable=strange
            )
    return newest


def _reference(shot: Snapshot, root: ChunkReader | None, chosen: list[Check]) -> AbstractContextManager[Reference | None]:
    """What the store was made from, where that is known and needed."""
    comparing = shot.request.source and any("source" in check.needs for check in chosen)
    return closing(open_reference(shot, root)) if root and comparing else nullcontext()


def _tally(shot: Snapshot, root: ChunkReader, reference: Reference | None, chosen: list[Check], executor: Executor) -> Tally | None:
    """What became of the objects; None where none of the checks can do with them."""
    reading = [check for check in chosen if "objects" in check.needs and (reference is not None or "source" not in check.needs)]
    comparing = any("source" in check.needs for check in reading)
    return examine(shot, root, reference if comparing else None, executor) if reading else None
