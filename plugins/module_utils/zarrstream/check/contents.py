# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks that read objects: a sample of them, or all, is decoded and compared with the source."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..errors import AccessRefused, Unreachable, ZarrstreamError
from ..findings import CheckResult, Findings, found, passed, skipped
from ..metadata.chunks import ChunkReader
from ..metadata.decoded import LARGEST, most_stored
from ..metadata.layout import ArrayLayout, count_to, item_bytes
from ..metadata.shards import left_out
from ..parallel import REQUESTS
from ..text import human_bytes, many, one_line
from .compare import Difference, EncodedValues, Rule, difference, rule_for
from .executor import Executor, Outcome, Task
from .reference import Reference
from .registry import CHECKS
from .snapshot import Snapshot
from .structure import wanted_but_absent

BUDGET = 1024**3  # bytes in all objects under way together, their copies included
COPIES = 4  # as stored, decoded, the source's, and what comparing them takes
SEEN = 200_000  # objects of which a tally remembers what became of them
TEXT_ITEM = 64  # bytes that an element of unknown size counts for


@dataclass
class Tally:
    """All outcomes, counted."""

    decoded: int = 0
    compared: int = 0
    stored: int = 0
    allowed: int = 0  # missing, as the request allows
    faults: Findings = field(default_factory=Findings)
    differences: Findings = field(default_factory=Findings)
    seen: dict[str, str] = field(default_factory=dict, repr=False)  # the first objects with what is wrong with them, or ''


def examine(shot: Snapshot, reader: ChunkReader, reference: Reference | None, executor: Executor) -> Tally:
    """Decode the objects that the request asks for, each once, and compare them with the source where there is one."""
    layouts = [layout for _path, layout in sorted(reader.tree.arrays.items())]
    readable = [layout for layout in layouts if not reader.missing_codecs(layout) and not reader.array_problem(layout)]
    tasks, tally = _tasks(shot, readable), Tally()
    executor.prepare(shot, reader, reference, readable)
    for outcome in executor.outcomes(tasks):
        _count(shot, tally, outcome)
    if shot.request.sample is None and shot.listing is not None:
        for layout in readable:
            _count_absent(shot, tally, layout)
    return tally


def _tasks(shot: Snapshot, layouts: list[ArrayLayout]) -> Iterator[Task]:
    """What to decode. Of everything, only what is listed: what a damaged shape announces has no end."""
    if shot.request.sample is None and shot.listing is not None and shot.tree is not None:
        paths = {layout.path for layout in layouts}
        for key in sorted(shot.listing):
            owner = shot.tree.owner(key)
            place = owner.coordinates_of(key) if owner is not None and owner.path in paths else None
            if owner is not None and place is not None:
                yield Task(owner, place)
        return
    for layout in layouts:
        for number in sample_numbers(layout, shot.request.sample, shot.request.seed):
            yield Task(layout, layout.coordinates(number))


def sample_numbers(layout: ArrayLayout, sample: int | None, seed: int) -> Iterator[int]:
    """Numbers of the objects to decode: the last, which is cut at the edges, and others by chance, the same for the same seed."""
    count = layout.count
    if sample is None or count <= sample:
        yield from count_to(count)
        return
    if sample == 0:
        return
    chance = random.Random(f"{seed}:{layout.path}")  # noqa: S311 - a sample, not a secret
    chosen = {count - 1} if sample > 1 else set()
    while len(chosen) < sample:
        chosen.add(chance.randrange(count))
    yield from sorted(chosen)


def decoded_bytes(layout: ArrayLayout) -> int:
    """Memory that the values of one object take."""
    return math.prod(layout.chunks) * (item_bytes(layout) or TEXT_ITEM)


def workers_for(layouts: list[ArrayLayout], budget: int = BUDGET) -> int:
    """How many objects may be under way at a time, for ``budget`` bytes of memory."""
    largest = max(map(decoded_bytes, layouts), default=1)
    fitting = budget // max(1, COPIES * min(largest, LARGEST))
    return max(1, min(REQUESTS, 4 * (os.cpu_count() or 1), fitting))


def _rules(reader: ChunkReader, reference: Reference) -> dict[str, Rule]:
    return {
        name: rule_for(reader.tree.arrays[name], *reference.empty_blocks(name), repacked=reference.repacked(name))
        for name in reference.common
        if name in reader.tree.arrays and reference.comparable(name)
    }


class Examiner:
    """Decodes objects of a store and compares them with the source, if there is one. Safe for several threads."""

    def __init__(self, shot: Snapshot, reader: ChunkReader, reference: Reference | None) -> None:
        self.shot, self.reader, self.reference = shot, reader, reference
        self._rules = _rules(reader, reference) if reference else {}

    def examine(self, task: Task) -> Outcome:
        """What becomes of one object."""
        data = _fetch(self.shot, task)
        if isinstance(data, Outcome):
            return data
        try:
            values = self.reader.decode(task.layout, task.place, data)
        except Exception as error:  # noqa: BLE001 - codecs raise anything for damaged bytes
            return Outcome(task, problem=f"does not decode: {one_line(error)}", stored=len(data))
        if self.shot.request.missing == "error" and (absent := left_out(task.layout, task.place, data)):
            text = f"{many(len(absent), 'chunk')} missing within the shard, such as {list(absent[0])}: a reader gets fill values"
            return Outcome(task, problem=text, stored=len(data))
        rule = self._rules.get(task.layout.path)
        if self.reference is None or rule is None:
            return Outcome(task, stored=len(data))
        source = self.reference.source_block(task.layout.path, task.layout.region(task.place))
        stored = EncodedValues(values, self.reference.stored[task.layout.path].attrs)
        try:
            unequal = difference(rule, stored, source)
        except (ValueError, TypeError, OverflowError) as error:  # attributes that unpack to nothing
            unequal = Difference(values.size, (), f"not comparable: {one_line(error)}", "")
        return Outcome(task, stored=len(data), compared=True, source=source.values.nbytes, difference=unequal)


def _fetch(shot: Snapshot, task: Task) -> bytes | Outcome:
    size = decoded_bytes(task.layout)
    if size > LARGEST:
        text = f"its values take {human_bytes(size)}; a check decodes no more than {human_bytes(LARGEST)} at once"
        return Outcome(task, problem=text)
    if shot.listing is not None and task.key not in shot.listing:
        return Outcome(task, missing=True)
    stored, most = shot.listing[task.key].size if shot.listing is not None else 0, most_stored(task.layout, item_bytes(task.layout))
    if stored > most:
        text = f"it has {human_bytes(stored)}, and its array announces no more than {human_bytes(most)}: it is not read"
        return Outcome(task, problem=text)
    try:
        data = shot.fetch(task.key)
    except Unreachable:
        raise
    except AccessRefused as error:
        return Outcome(task, problem=f"not allowed: {error}")
    except ZarrstreamError as error:
        return Outcome(task, problem=f"cannot be read: {error}")
    return Outcome(task, missing=True) if data is None else data


def _count(shot: Snapshot, tally: Tally, outcome: Outcome) -> None:
    key = outcome.task.key
    if not outcome.missing and len(tally.seen) < SEEN:
        tally.seen[key] = outcome.problem or ("differs from the source" if outcome.difference else "")
    if outcome.missing:
        if shot.may_be_missing(key):
            tally.allowed += 1
        else:
            tally.faults.add({"key": key, "problem": "missing: a reader gets fill values"})
        return
    if outcome.problem:
        tally.faults.add({"key": key, "problem": outcome.problem})
        return
    tally.decoded += 1
    tally.stored += outcome.stored
    tally.compared += outcome.compared
    if outcome.difference:
        tally.differences.add(_evidence(outcome.task, outcome.difference))


def _count_absent(shot: Snapshot, tally: Tally, layout: ArrayLayout) -> None:
    wanted, keys = wanted_but_absent(shot, layout)
    tally.faults.add_many(wanted, ({"key": key, "problem": "missing: a reader gets fill values"} for key in keys))
    tally.allowed += layout.count - shot.census.present[layout.path] - wanted


def _evidence(task: Task, unequal: Difference) -> dict[str, object]:
    region = task.layout.region(task.place)
    index = [part.start + offset for part, offset in zip(region, unequal.index, strict=True)] if unequal.index else []
    return {
        "array": task.layout.path or "/",
        "key": task.key,
        "index": index,
        "stored": unequal.stored,
        "source": unequal.source,
        "elements": unequal.count,
        "problem": f"{unequal.count} elements differ, first at {index}: stored {unequal.stored}, in the source {unequal.source}",
    }


@CHECKS.check("decode", "store", "objects", place=90)
def check_decode(shot: Snapshot, tally: Tally) -> CheckResult:
    """What was sampled is there, may be read, and decodes."""
    total = tally.decoded + tally.faults.count
    if tally.faults:
        return found(tally.faults, f"{tally.faults.count} of {total} objects cannot be decoded", decoded=tally.decoded)
    scope = "all" if shot.request.sample is None else f"a sample of (seed {shot.request.seed})"
    note = f"; {tally.allowed} more are not stored, as missing={shot.request.missing} allows" if tally.allowed else ""
    text = f"decoded {scope} {tally.decoded} objects, {human_bytes(tally.stored)}{note}"
    return passed(text, decoded=tally.decoded, bytes=tally.stored)


@CHECKS.check("values", "root", "source", "objects", place=120)
def check_values(reader: ChunkReader, reference: Reference, tally: Tally) -> CheckResult:
    """Decoded values are the source's: in encoded form bit for bit, NaN payloads and -0.0 included, where both are encoded alike."""
    rules = _rules(reader, reference)
    loose = {name: rule.text for name, rule in rules.items() if not rule.exact}
    if not reference.common:
        return skipped(reference.problem or "store and source have no variable in common")
    other_shapes = Findings.of({"array": name, "problem": _shapes(reference, name)} for name in reference.common if name not in rules)
    if other_shapes:
        return found(other_shapes, f"{many(other_shapes.count, 'variable')} not to be compared with the source")
    if tally.differences:
        text = f"{tally.differences.count} of {tally.compared} objects differ from the source"
        return found(tally.differences, text, tolerances=loose)
    how = "bit for bit" if not loose else f"bit for bit, but {'; '.join(f'{name} {text}' for name, text in sorted(loose.items()))}"
    return passed(f"{tally.compared} objects of {len(rules)} variables equal the source {how}", tolerances=loose)


def _shapes(reference: Reference, name: str) -> str:
    return f"shape {list(reference.stored[name].shape)} in the store, {list(reference.source.variables[name].shape)} in the source"
