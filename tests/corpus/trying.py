# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All that is done with one file of the corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from asking import check_request, check_store, write_request
from corpus.independent import differences, read_file, read_store
from corpus.readers import NOT_INSTALLED, tensorstore_problem, xarray_problem
from zarrstream.commands.write import write_dataset
from zarrstream.errors import ZarrstreamError

WARNINGS = ("order", "gaps", "fill_value", "chunk_size")  # what they find is in the source too: no false alarm, and counted


@dataclass
class Outcome:
    """What became of one file in one format: the columns that it counts in, what is wrong, what is worth a word."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def try_file(path: Path, folder: Path, zarr_format: int, refused: str = "", decoded: str = "") -> Outcome:
    """All that is done with a file. ``refused`` is the reason why it need not be written, ``decoded`` why xarray may see something else."""
    outcome = Outcome()
    outcome.counts["files"] += 1
    store = folder / "store.zarr"
    request = write_request(source=(str(path),), store=str(store), zarr_format=zarr_format)
    try:
        write_dataset(request)
    except ZarrstreamError as error:
        outcome.counts["refused"] += 1
        (outcome.notes if refused else outcome.wrong).append(f"refused: {error}")
        return outcome
    outcome.counts["written"] += 1
    if refused:
        outcome.notes.append("is written now: take it off the list of those that are refused")
    source = read_file(path)
    _verdict(outcome, "equal", differences(source, read_store(store)))
    _verdict(outcome, "checked", list(_alarms(path, store, outcome)))
    again = write_dataset(request)
    _verdict(outcome, "unchanged", [f"written again: {again.action}"] if again.changed else [])
    text = xarray_problem(path, store, sorted(source.groups))
    _verdict(outcome, "xarray", [text] if text and not decoded else [])
    outcome.notes += [f"{text}: {decoded}"] if text and decoded else []
    text, read, unknown = tensorstore_problem(store, zarr_format)
    if text != NOT_INSTALLED:
        _verdict(outcome, "tensorstore", [text] if text else [])
        outcome.counts["arrays read by tensorstore"] += read
        outcome.counts["arrays that it has no way to read (docs/readers.md)"] += unknown
    return outcome


def _verdict(outcome: Outcome, column: str, wrong: list[str]) -> None:
    outcome.counts[column] += not wrong
    outcome.wrong += [f"{column}: {text}" for text in wrong]


def _alarms(path: Path, store: Path, outcome: Outcome) -> Iterator[str]:
    report = check_store(check_request(store=str(store), source=(str(path),), sample=None))
    for result in report.checks:
        if result.status == "warning" and result.id in WARNINGS:
            outcome.counts[f"warned of by {result.id}"] += 1
            outcome.notes.append(f"{result.id}: {result.message}")
        elif result.status not in ("passed", "skipped"):
            yield f"{result.id}: {result.message}"
