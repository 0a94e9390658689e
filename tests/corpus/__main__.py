# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Write real files, and let others say what became of them: `make corpus` prints a table, and fails for any wrong copy or false alarm.

Each file is written, compared by readers that share no code with ours, checked with its source, written again, and opened by plain
xarray and tensorstore; in format 3, and with ZARRSTREAM_TESTS=all in format 2 too.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from corpus.listed import Corpus, NotFetched, fetch, read_list
from corpus.trying import Outcome, try_file
from running import THOROUGH

FORMATS = (3, 2) if THOROUGH else (3,)
COLUMNS = ("files", "written", "refused", "equal", "checked", "unchanged", "xarray", "tensorstore")


def _run(corpus: Corpus, folder: Path, names: Sequence[str], told: bool) -> tuple[dict[str, Counter[str]], list[str]]:
    table: dict[str, Counter[str]] = {}
    wrong: list[str] = []
    for package in corpus.packages:
        if names and package.name not in names:
            continue
        try:
            place = fetch(package)
        except NotFetched as error:
            wrong.append(f"not fetched: {error}")
            continue
        counts = table.setdefault(package.name, Counter())
        for file in package.files:
            for zarr_format in FORMATS:
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                try:
                    outcome = try_file(place / file, folder, zarr_format, corpus.refused.get(file, ""), corpus.decoded.get(file, ""))
                except Exception as error:  # noqa: BLE001 - it counts, and the others go on
                    outcome = Outcome(Counter(files=1), [f"{type(error).__name__}: {error}"])
                counts += outcome.counts
                wrong += [f"{package.name}: {file} in format {zarr_format}: {text}" for text in outcome.wrong]
                for note in outcome.notes if told else ():
                    sys.stdout.write(f"note: {file}: {note}\n")
    return table, wrong


def _lines(table: dict[str, Counter[str]]) -> Iterator[str]:
    total: Counter[str] = sum(table.values(), Counter())
    yield f"{'package':<24}" + "".join(f"{name:>12}" for name in COLUMNS)
    for name, counts in [*table.items(), ("all", total)]:
        yield f"{name:<24}" + "".join(f"{counts[column]:>12}" for column in COLUMNS)
    if not total["arrays read by tensorstore"]:
        yield "tensorstore is not installed."
    yield from (f"{name}: {total[name]}" for name in sorted(total.keys() - set(COLUMNS)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the corpus; the exit code is 1 where anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packages", nargs="*", help="only these")
    parser.add_argument("--notes", action="store_true", help="tell what is no fault too: refusals with their reason, warnings of checks")
    parsed = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as scratch:
        table, wrong = _run(read_list(), Path(scratch, "one"), parsed.packages, parsed.notes)
    sys.stdout.write("\n".join([*_lines(table), *(f"WRONG {text}" for text in wrong), f"{len(wrong)} wrong"]) + "\n")
    return 1 if wrong or not table else 0


if __name__ == "__main__":
    raise SystemExit(main())
