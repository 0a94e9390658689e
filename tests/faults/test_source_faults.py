"""Rows S1 to S12 of the table in docs/faults.md: what goes wrong between a writer and the web server that its source is on."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from asking import write_request
from faults.actions import call, hang, reset
from faults.killing import killed
from faults.origin import web_server
from faults.proxy import EVER, Action, Exchange, FaultProxy, Rule
from faults.web_actions import (
    answered,
    cut,
    dripping,
    no_conditions,
    no_etag,
    no_ranges,
    no_version,
    no_word_of_ranges,
    other_range,
    stalled,
    too_short,
    unconditional,
)
from faults.web_places import TOKEN, WebPlace, differing, objects
from running import THOROUGH
from zarrstream.commands.write import write_dataset
from zarrstream.errors import SourceError, ZarrstreamError
from zarrstream.sidecar import lock
from zarrstream.source import fetching
from zarrstream.storage import retry
from zarrstream.write.request import WriteRequest

SEED = int(os.environ.get("FAULTS_SEED") or random.randrange(10**6))
QUICK = {"SETTLE": 0.02, "_REQUEST": 2**18}  # nobody else writes here; and a request for each chunk of a file of a few MiB
thorough = pytest.mark.thorough
PAGE = b"<!DOCTYPE html>\n<html><head><title>Please log in</title></head><body><form></form></body></html>"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here too: the first requests are for the description, those from the fourth on for chunks."""
    monkeypatch.setattr(lock, "SETTLE", QUICK["SETTLE"])
    monkeypatch.setattr(fetching, "_REQUEST", QUICK["_REQUEST"])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """``old`` and ``new`` are alike but for their values: 16 chunks of 250 KiB that deflate cannot make smaller."""
    folder, dice = tmp_path_factory.mktemp("files"), np.random.default_rng(3)
    for name in ("old", "new"):
        field = dice.integers(0, 2**16, (16, 250, 256), dtype="u2").astype("i4") - 2**15
        data = xr.Dataset({"air": (("time", "lat", "lon"), field)}, {"time": np.arange(16), "lat": np.linspace(-60, 60, 250)})
        data.time.attrs = {"units": "hours since 2000-01-01"}
        how: dict[str, Any] = {"zlib": True, "complevel": 1, "chunksizes": (1, 250, 256)}
        data.to_netcdf(folder / f"{name}.nc", engine="netcdf4", encoding={"air": how, "lat": {"_FillValue": None}})
    return {name: folder / f"{name}.nc" for name in ("old", "new")}


@pytest.fixture(scope="module")
def undisturbed(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """The store of ``new`` as it is written from the disk: at once, and in the place of ``old``, where chunks get other names."""
    found = {}
    for name, steps in {"new": [("new", "create")], "replaced": [("old", "create"), ("new", "replace")]}.items():
        store = tmp_path_factory.mktemp("undisturbed") / "air.zarr"
        for file, mode in steps:
            write_dataset(write_request((str(files[file]),), str(store), chunks={"time": 1}, mode=mode))
        found[name] = objects(store)
    return found


@pytest.fixture(scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FaultProxy, Path]]:
    served = tmp_path_factory.mktemp("served")
    with web_server(served) as address, FaultProxy(address).running() as proxy:
        yield proxy, served


@pytest.fixture
def web(_server: tuple[FaultProxy, Path], files: dict[str, Path], tmp_path: Path) -> Iterator[WebPlace]:
    """``new`` on the web server, and nothing in the folder."""
    proxy, served = _server
    place = WebPlace(proxy, Path(tempfile.mkdtemp(dir=served, prefix="test")), tmp_path / "air.zarr")
    place.serve(files["new"])
    proxy.misbehave()
    yield place
    proxy.misbehave()


def thoroughly(*values: Any) -> Any:
    """A case that only `make test-all` has."""
    return pytest.param(*values, marks=thorough)


@pytest.mark.parametrize(
    ("status", "first", "words"),
    [
        (404, 1, "it is not there"),
        (403, 4, "403"),
        *(thoroughly(*case) for case in ((403, 1, "403"), (404, 4, "it is not there"), (401, 4, "401"), (410, 1, "it is not there"))),
    ],
)
def test_row_s1_a_request_is_refused(
    web: WebPlace, files: dict[str, Path], undisturbed: dict[str, dict[str, bytes]], status: int, first: int, words: str
) -> None:
    web.proxy.misbehave(web.rule(answered(status), first=first, count=EVER))
    text = web.fails(words, kind=SourceError)
    assert ("bytes " in text) is (first > 1), text
    assert "attempts" not in text
    assert web.shows(new=files["new"]) == "nothing"
    web.converges(files["new"], undisturbed["new"])


def test_row_s2_the_server_has_too_much_to_do(web: WebPlace, files: dict[str, Path], undisturbed: dict[str, dict[str, bytes]]) -> None:
    """At the first request, at those for metadata, and for chunks."""
    kinds = [answered(500), answered(503, Retry_After="1"), answered(429), answered(502), answered(504)]
    web.proxy.misbehave(*(web.rule(kind, first=first) for first, kind in zip((1, 2, 4, 5, 6), kinds, strict=True)))
    done = write_dataset(web.request())
    assert sum(rule.suffered for rule in web.proxy.rules) == len(kinds)
    assert done.retries == len(kinds)
    assert web.shows(new=files["new"]) == "new"
    assert differing(objects(web.store), undisturbed["new"]) == []


@pytest.mark.parametrize("first", [4, thoroughly(1)])
def test_row_s2_and_goes_on_to_have(
    web: WebPlace, files: dict[str, Path], undisturbed: dict[str, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    monkeypatch.setattr(retry, "LONGEST_WAIT", 0.5)
    web.proxy.misbehave(web.rule(answered(503), first=first, count=EVER))
    web.fails("503", "attempts in", "source_concurrency", kind=SourceError, timeout=2)
    assert web.shows(new=files["new"]) == "nothing"
    web.converges(files["new"], undisturbed["new"])


def test_row_s2_a_pause_that_is_longer_than_the_time(web: WebPlace, files: dict[str, Path]) -> None:
    web.proxy.misbehave(web.rule(answered(503, Retry_After="900"), first=3, count=EVER))
    web.fails("503", "900 s", "Retry-After", kind=SourceError, timeout=2)
    assert web.proxy.rules[0].suffered <= 16
    assert web.shows(new=files["new"]) == "nothing"


def test_row_s3_answers_break_off(web: WebPlace, files: dict[str, Path], undisturbed: dict[str, dict[str, bytes]]) -> None:
    """The connection is reset before an answer, in its head, and anywhere in its body."""
    dice = random.Random(SEED)
    actions: list[Action] = [reset, cut(0.0), *(cut(dice.random()) for _ in range(12 if THOROUGH else 3))]
    web.proxy.misbehave(*(web.rule(action, first=1 + number) for number, action in enumerate(actions)))
    done = write_dataset(web.request(timeout=60))
    suffered = sum(rule.suffered for rule in web.proxy.rules)
    assert done.retries == suffered > 2, f"FAULTS_SEED={SEED}"
    assert web.shows(new=files["new"]) == "new", f"FAULTS_SEED={SEED}"
    assert differing(objects(web.store), undisturbed["new"]) == [], f"FAULTS_SEED={SEED}"


@pytest.mark.parametrize("action", [reset, thoroughly(cut(0.5))])
def test_row_s3_and_always_break_off(
    web: WebPlace, files: dict[str, Path], undisturbed: dict[str, dict[str, bytes]], action: Action
) -> None:
    web.proxy.misbehave(web.rule(action, first=4, count=EVER))
    web.fails("bytes ", "interrupted", "attempt", kind=SourceError, timeout=2)
    assert web.shows(new=files["new"]) == "nothing"
    web.converges(files["new"], undisturbed["new"])


@pytest.mark.parametrize(("name", "first"), [("stalled", 4), thoroughly("hang", 1), thoroughly("hang", 4), thoroughly("dripping", 4)])
def test_row_s4_an_answer_does_not_come_on(
    web: WebPlace, files: dict[str, Path], undisturbed: dict[str, dict[str, bytes]], name: str, first: int
) -> None:
    actions: dict[str, Action] = {"stalled": stalled, "hang": hang(), "dripping": dripping()}
    web.proxy.misbehave(web.rule(actions[name], first=first, count=EVER))
    web.fails("no answer in time" if name == "hang" else "", kind=SourceError, timeout=2)
    assert web.shows(new=files["new"]) == "nothing"
    web.converges(files["new"], undisturbed["new"])


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (too_short, ("Content-Range", "Content-Length")),
        (other_range, ("was asked for bytes ", "and sent others")),
        thoroughly(no_word_of_ranges, ("without saying which bytes",)),
        thoroughly(no_ranges, ("sent ranges before, and now all of it",)),
        thoroughly(answered(206, b"x" * 10), ("no longer says which version it sends",)),
    ],
)
def test_row_s5_other_bytes_than_were_asked_for(
    web: WebPlace, files: dict[str, Path], undisturbed: dict[str, dict[str, bytes]], action: Action, words: tuple[str, ...]
) -> None:
    web.proxy.misbehave(web.rule(action, first=4, count=EVER))
    web.fails("bytes ", *words, kind=SourceError)
    assert web.shows(new=files["new"]) == "nothing"
    web.converges(files["new"], undisturbed["new"])


@pytest.mark.parametrize(
    "server",
    [(), (no_conditions,), (no_etag,), thoroughly((no_conditions, no_etag))],
    ids=lambda server: " ".join(each.__name__ for each in server),
)
def test_row_s6_the_object_changes_while_it_is_read(
    web: WebPlace, files: dict[str, Path], undisturbed: dict[str, dict[str, bytes]], server: tuple[Action, ...]
) -> None:
    """Also where the server does not know conditions, and where only the date tells."""
    web.serve(files["old"])
    changed: list[bool] = []

    async def change(exchange: Exchange) -> Any:
        if not changed:
            changed.append(True)
            web.serve(files["new"])
        return await as_ever(exchange)

    async def as_ever(exchange: Exchange) -> Any:
        if no_conditions in server:
            unconditional(exchange)
        return await (no_etag(exchange) if no_etag in server else exchange.forward())

    web.proxy.misbehave(web.rule(change, first=5, count=EVER), web.rule(as_ever, count=EVER))
    web.fails("changed while it was being read", "bytes ", kind=SourceError)
    assert web.shows(old=files["old"], new=files["new"]) == "nothing"
    web.converges(files["new"], undisturbed["new"])


def test_row_s6_the_object_changes_between_two_runs(
    web: WebPlace, files: dict[str, Path], undisturbed: dict[str, dict[str, bytes]]
) -> None:
    """What an interrupted write has of the old object is not taken for the new one's."""
    web.serve(files["old"])
    web.proxy.misbehave(web.rule(answered(403), first=6, count=EVER))
    web.fails("403", source_concurrency=1)
    web.serve(files["new"])
    web.converges(files["new"], undisturbed["new"])


@pytest.mark.parametrize("action", [no_ranges, thoroughly(no_version)])
def test_row_s7_a_server_without_ranges_or_versions(
    web: WebPlace, files: dict[str, Path], undisturbed: dict[str, dict[str, bytes]], action: Action
) -> None:
    web.proxy.misbehave(web.rule(action, count=EVER))
    done = write_dataset(web.request())
    assert web.shows(new=files["new"]) == "new"
    assert differing(objects(web.store), undisturbed["new"]) == []
    assert any(web.url in note for note in done.notes), done.notes
    assert not write_dataset(web.request()).changed


def test_row_s8_a_login_page_comes_instead(web: WebPlace, files: dict[str, Path]) -> None:
    web.proxy.misbehave(web.rule(answered(200, PAGE), count=EVER))
    web.fails("a web page came instead of a file", "login", kind=SourceError)
    assert web.shows(new=files["new"]) == "nothing"


def test_row_s8_a_redirect_to_another_host(
    web: WebPlace, files: dict[str, Path], undisturbed: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    """Refused, unless its host is named; the token goes to the first server alone."""
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    seen: list[str] = []

    async def listen(exchange: Exchange) -> Any:
        seen.append(exchange.headers.get("Authorization", ""))
        return await exchange.forward()

    with FaultProxy(web.proxy.server).running() as elsewhere:
        elsewhere.misbehave(Rule("GET", "", listen, count=EVER))
        away = answered(302, Location=f"http://localhost:{elsewhere.port}{web.path}")
        web.proxy.misbehave(web.rule(away, count=EVER))
        web.fails("another host", f"localhost:{elsewhere.port}", "source_hosts", kind=SourceError, source_token_file=str(token))
        assert elsewhere.count("GET") == 0
        write_dataset(web.request(source_hosts=["localhost"], source_token_file=str(token)))
    assert set(seen) == {""}
    assert web.shows(new=files["new"]) == "new"
    assert differing(objects(web.store), undisturbed["new"]) == []


def test_row_s9_the_token_expires(web: WebPlace, files: dict[str, Path], undisturbed: dict[str, dict[str, bytes]], tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    expired = answered(401, WWW_Authenticate='Bearer error="invalid_token", error_description="The access token expired"')
    web.proxy.misbehave(web.rule(expired, first=5, count=EVER))
    web.fails("401", str(token), "expired", kind=SourceError, source_token_file=str(token))
    assert web.shows(new=files["new"]) == "nothing"
    web.converges(files["new"], undisturbed["new"], source_token_file=str(token))
    assert not any(TOKEN.encode() in data for data in objects(web.store).values())


@pytest.mark.parametrize("share", [0.6, thoroughly(0.001), thoroughly(0.999)])
def test_row_s10_the_object_is_truncated(
    web: WebPlace, files: dict[str, Path], undisturbed: dict[str, dict[str, bytes]], tmp_path: Path, share: float
) -> None:
    data = files["new"].read_bytes()
    (tmp_path / "part.nc").write_bytes(data[: int(share * len(data))])
    web.serve(tmp_path / "part.nc")
    web.fails(kind=SourceError)
    assert web.shows(new=files["new"]) == "nothing"
    web.serve(files["new"])
    web.converges(files["new"], undisturbed["new"])


@pytest.mark.parametrize("mode", ["create", "replace"])
def test_row_s11_a_writer_is_killed_while_it_reads(
    web: WebPlace, files: dict[str, Path], undisturbed: dict[str, dict[str, bytes]], mode: str
) -> None:
    """At a request for its source: one of each kind of write, another one each time; in `make test-all` at each."""
    options, before, after_it = ({"mode": mode}, "old", "replaced") if mode == "replace" else ({}, "nothing", "new")
    dice = random.Random(f"{SEED} {mode}")
    _begin(web, files, mode)
    write_dataset(web.request(**options))
    requests = web.requests
    assert requests > 4
    for point in range(1, requests + 1) if THOROUGH else [dice.randint(2, requests)]:
        _begin(web, files, mode)
        after = dice.random() < 0.5
        told = f"FAULTS_SEED={SEED}: {mode}, killed {'after' if after else 'before'} request {point} of {requests}"
        if not killed(web.proxy, web.request(**options), "GET", f"^{web.path}$", first=point, after=after, **QUICK):
            continue  # how many requests there are depends on who comes first
        assert web.shows(old=files["old"], new=files["new"]) == before, told
        web.converges(files["new"], undisturbed[after_it], **options)


def _begin(web: WebPlace, files: dict[str, Path], mode: str) -> None:
    """What is there before: nothing, or the store of the old file."""
    for folder in (web.store, Path(f"{web.store}.zarrstream")):
        shutil.rmtree(folder, ignore_errors=True)
    web.proxy.misbehave()
    if mode == "replace":
        web.serve(files["old"])
        write_dataset(web.request())
        web.serve(files["new"])
    web.proxy.misbehave()


@thorough
def test_row_s12_a_worker_is_killed_while_it_reads(
    web: WebPlace, files: dict[str, Path], undisturbed: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    """Its part is read by another one; or the write fails, and the next one goes on."""
    from clusters import local_cluster, make_certificates

    certificates = make_certificates(tmp_path / "tls")
    with local_cluster(certificates, n_workers=2) as cluster:
        asked = {"scheduler": cluster.scheduler_address, "scheduler_tls": certificates.files}
        victim = cluster.workers[0].pid
        web.proxy.misbehave(web.rule(call(lambda: os.kill(victim, 9)), first=6))
        said = _attempt(web.request(**asked))
        assert web.proxy.rules[0].suffered == 1
        assert "\n" not in said
        assert web.shows(new=files["new"]) == ("nothing" if said else "new")
        if said:
            web.converges(files["new"], undisturbed["new"], **asked)
        assert differing(objects(web.store), undisturbed["new"]) == []


def _attempt(wanted: WriteRequest) -> str:
    """Write; what the error says, '' where there was none."""
    try:
        write_dataset(wanted)
    except ZarrstreamError as error:
        return str(error)
    return ""
