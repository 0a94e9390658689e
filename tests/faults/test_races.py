"""Several writers at one place: exactly one wins, or all agree, and the store is whole. Row 19 of the table in docs/faults.md."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from faults import writers
from faults.actions import acknowledged_only, once, unconditional
from faults.killing import killed
from faults.places import Place, said_well, secret_of
from faults.proxy import EVER, Answer, Exchange, FaultProxy, Rule
from running import THOROUGH
from zarrstream.commands.write import preview, write_dataset
from zarrstream.errors import Conflict
from zarrstream.sidecar import heartbeat, lock
from zarrstream.sidecar.lock import create
from zarrstream.sidecar.manifest import MANIFEST, WRITING
from zarrstream.storage.location import parse_store
from zarrstream.write.request import WriteRequest

MARKER = r"writing\.json$"
Racers = Callable[..., list[str]]


@pytest.fixture
def race(place: Place) -> Racers:
    """Start all at the same moment; returns what each did. Losers say so clearly."""

    def run(*wanted: WriteRequest) -> list[str]:
        start = time.time() + 1.0
        started = [writers.start(one, at=start) for one in wanted]
        outcomes = [writer.outcome() or "killed" for writer in started]
        for one, outcome in zip(wanted, outcomes, strict=True):
            if outcome.startswith("error"):
                said_well(outcome, one.store, secret=secret_of(place.config))
        return outcomes

    return run


def whole(place: Place, source: Path) -> bool:
    """Whether the store is exactly this source, and nothing else is left there."""
    left = {name for name in place.names() if not name.startswith("air.zarr/")}
    return (
        place.shows(it=source) == "it"
        and (not THOROUGH or place.check(source=(str(source),), sample=None).ok)
        and left == {f"air.zarr.zarrstream/{MANIFEST}"}
    )


def test_swift_creates_only_where_nothing_is(place: Place, source: Path) -> None:
    """What the documentation of Swift's s3api leaves open."""
    objects = place.request(source).open_place(parse_store(place.store))
    assert create(objects, f"{place.key}/x", b"one")
    assert not create(objects, f"{place.key}/x", b"two")
    assert objects.get(f"{place.key}/x") == b"one"


@pytest.mark.parametrize("honoured", [True, False], ids=["conditional", "unconditional"])
def test_row_19_of_five_writers_one_wins(place: Place, proxy: FaultProxy, sources: dict[str, Path], race: Racers, honoured: bool) -> None:
    """Of different sources and chunks, at a server that honours If-None-Match, and at one that overwrites."""
    if not honoured:
        proxy.misbehave(Rule("PUT", "", unconditional(place.overwrite), count=EVER))
    names = ["air", "other", "more", "all", "other"]
    wanted = [place.request(sources[name], chunks={"time": number + 2}) for number, name in enumerate(names)]
    outcomes = race(*wanted)
    assert sum(not outcome.startswith("error: ") for outcome in outcomes) == 1, outcomes
    assert all("another writer" in outcome or "was written" in outcome for outcome in outcomes if outcome.startswith("error: ")), outcomes
    winner = next(number for number, outcome in enumerate(outcomes) if not outcome.startswith("error: "))
    assert whole(place, sources[names[winner]])
    assert not write_dataset(wanted[winner]).changed


@pytest.mark.thorough
def test_row_19_three_replacements(written: Place, sources: dict[str, Path], race: Racers) -> None:
    names = ["other", "all", "more"]
    outcomes = race(*(written.request(sources[name], mode="replace") for name in names))
    won = [name for name, outcome in zip(names, outcomes, strict=True) if outcome == "replace"]
    assert won, outcomes
    assert all(outcome == "replace" or "another writer" in outcome for outcome in outcomes), outcomes
    assert any(whole(written, sources[name]) for name in won), outcomes


def test_row_19_three_appends(written: Place, sources: dict[str, Path], race: Racers) -> None:
    wanted = written.request(sources["more"], mode="append", append_dim="time", chunks=None)
    outcomes = race(wanted, wanted, wanted)
    assert "append" in outcomes, outcomes
    assert all(outcome in ("append", "nothing") or "another writer" in outcome for outcome in outcomes), outcomes
    assert whole(written, sources["all"])


def test_row_19_a_lock_that_comes_late(place: Place, proxy: FaultProxy, sources: dict[str, Path]) -> None:
    """At a server that overwrites, the second lock comes when the first writer is at work, which gives way."""
    landed: list[str] = []

    async def overwrite(exchange: Exchange) -> Answer | None:
        answer = await unconditional(place.overwrite)(exchange)
        landed.append(exchange.request.path)
        return answer

    proxy.misbehave(
        Rule("PUT", MARKER, once(lambda: proxy.count("GET", MARKER) >= 2)),  # both have seen that nobody is there
        Rule("PUT", MARKER, once(lambda: proxy.count("PUT", "/c/") > 0, overwrite), first=2),
        Rule("PUT", "/c/", once(lambda: bool(landed))),  # the first is under way with a chunk meanwhile
    )
    started = [writers.start(place.request(sources[name], timeout=60)) for name in ("air", "other")]
    outcomes = [writer.outcome() or "killed" for writer in started]
    assert len(landed) == 1
    assert sorted("another writer" in outcome for outcome in outcomes) == [False, True], outcomes
    assert whole(place, sources["air" if outcomes[0] == "create" else "other"])


@pytest.fixture
def elsewhere(place: Place, proxy: FaultProxy, source: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Leaves what a writer on another host leaves that was killed while it wrote ``source``, its last beat included."""

    def leave() -> None:
        assert killed(proxy, place.request(source), "PUT", "/c/5/0$", SETTLE=0.02)
        document = json.loads(place.get(f"air.zarr.zarrstream/{WRITING}"))
        place.put(f"air.zarr.zarrstream/{WRITING}", json.dumps({**document, "host": "far-away"}).encode())

    monkeypatch.setattr(lock, "SETTLE", 0.02)
    return leave


def test_a_writer_on_another_host_is_not_robbed_while_it_lives(place: Place, source: Path, elsewhere: Callable[[], None]) -> None:
    elsewhere()
    before = place.objects()
    for run in (preview, write_dataset):
        with pytest.raises(Conflict) as error:
            run(place.request(source))
        said_well(str(error.value), "another writer is writing", "on far-away", "its place is free in", secret=secret_of(place.config))
    assert place.objects() == before


def test_a_writer_that_died_on_another_host_is_succeeded(
    place: Place, source: Path, elsewhere: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere()
    monkeypatch.setattr(heartbeat, "EXPIRY", 1.0)  # rather than to wait for a minute
    time.sleep(2.1)  # Last-Modified is in whole seconds
    assert preview(place.request(source)).resumed
    assert place.converges(place.request(source), source).resumed


def test_a_writer_that_failed_on_another_host_leaves_its_place_at_once(
    place: Place, proxy: FaultProxy, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "SETTLE", 0.02)
    proxy.misbehave(Rule("PUT", "/c/5/0$", acknowledged_only))
    writer = writers.start(place.request(source), SETTLE=0.02)
    assert "acknowledged it" in (writer.outcome() or "")
    document = json.loads(place.get(f"air.zarr.zarrstream/{WRITING}"))
    place.put(f"air.zarr.zarrstream/{WRITING}", json.dumps({**document, "host": "far-away"}).encode())
    assert place.converges(place.request(source), source).resumed


def test_a_long_write_goes_on_beating(place: Place, proxy: FaultProxy, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "SETTLE", 0.02)
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.1)
    proxy.misbehave(Rule("PUT", "/c/5/0$", once(lambda: proxy.count("PUT", "/alive/") > 3)))
    assert write_dataset(place.request(source)).action == "create"
    assert proxy.count("PUT", "/alive/") > 3
    for thread in threading.enumerate():
        if "heartbeat" in thread.name:
            thread.join(30)  # a beat may be under way
            assert not thread.is_alive()
