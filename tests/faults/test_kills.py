"""kill -9 in the middle of a write, an append and a replacement: row 2 of the table in docs/faults.md.

The proxy kills the writer when a certain request passes that changes something: just before the server hears of it, or just after it
has done it. FAULTS_SEED repeats the points of a run, FAULTS_POINTS says how many there are for each of the three: in `make test` two,
other ones each time; in `make test-all` every request.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from faults import writers
from faults.killing import killed
from faults.places import Place
from faults.proxy import EVER, FaultProxy
from running import THOROUGH
from zarrstream.sidecar import lock
from zarrstream.sidecar.manifest import WRITING

POINTS = int(os.environ.get("FAULTS_POINTS") or (EVER if THOROUGH else 2))  # of each
SEED = int(os.environ.get("FAULTS_SEED") or random.randrange(10**6))
CHANGING, STEPS = "PUT|POST|DELETE", "^(?!.*/(journal|alive)/)"  # those two come when time has gone by
QUICK = {"SETTLE": 0.02}  # nobody else writes here


@dataclass(frozen=True)
class Case:
    """What is killed: the sources of the store before and after it, and the request."""

    before: str | None
    source: str
    after: str
    options: dict[str, Any]


CASES = {
    "create": Case(None, "air", "air", {}),
    "append": Case("air", "more", "all", {"mode": "append", "append_dim": "time", "chunks": None}),
    "replace": Case("air", "other", "other", {"mode": "replace"}),
}


@pytest.mark.parametrize("name", CASES)
def test_row_02_a_writer_is_killed(
    place: Place, proxy: FaultProxy, sources: dict[str, Path], air_store: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    case, chooser = CASES[name], random.Random(f"{SEED} {name}")
    monkeypatch.setattr(lock, "SETTLE", QUICK["SETTLE"])
    template = air_store if case.before else {}
    requests = _requests(place.filled(template), proxy, case, sources)
    states: Counter[str] = Counter()
    kept = 0
    for point in _points(chooser, requests):
        after = chooser.random() < 0.5
        told = f"FAULTS_SEED={SEED}: {name}, killed {'after' if after else 'before'} request {point} of {requests}"
        here = place.filled(template)
        wanted = here.request(sources[case.source], **case.options)
        assert killed(proxy, wanted, CHANGING, STEPS, first=point, after=after, **QUICK), told
        candidates = {"old": sources[case.before]} if case.before else {}
        state = here.shows(**candidates, new=sources[case.after])
        assert state in ({"old", "new"} if name == "append" else {"old", "nothing", "new"}), told
        states[state] += 1
        marked = f"air.zarr.zarrstream/{WRITING}" in here.names()
        result = here.converges(wanted, sources[case.after])
        assert result.changed is (state != "new"), told
        assert result.resumed is (marked and state != "new"), told
        kept += result.objects_kept if result.changed and name != "append" else 0
    print(f"FAULTS_SEED={SEED}: {name}, {requests} requests, readers saw {dict(states)}, {kept} objects kept")  # noqa: T201 - for -rP


def _points(chooser: random.Random, requests: int) -> list[int]:
    """The numbers of the requests at which a writer is killed: by chance, one in each of so many equal parts of the write."""
    parts = min(POINTS, requests)
    return [chooser.randrange(1 + requests * part // parts, 1 + requests * (part + 1) // parts) for part in range(parts)]


def _requests(place: Place, proxy: FaultProxy, case: Case, sources: dict[str, Path]) -> int:
    """How many requests it takes when nobody kills it."""
    proxy.misbehave()
    writer = writers.start(place.request(sources[case.source], **case.options), **QUICK)
    assert writer.outcome() in ("create", "append", "replace")
    return proxy.count(CHANGING, STEPS)
