"""Sources that are read by ranges from servers that misbehave as told: never a byte of another version, one clear message each."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from itertools import repeat
from types import SimpleNamespace
from typing import Any

import pytest
from ports import free_ports
from web_server import DATE, FAR, Fault, Handler, Server, Thing, becomes, hangs, passes, resets, says, sends, web_server
from zarrstream.errors import BadRequest, SourceError
from zarrstream.storage import remote_object, retry
from zarrstream.storage.remote import UNKNOWN, RemoteObject, SourceAccess
from zarrstream.storage.remote_errors import SourceChanged, SourceUnreachable
from zarrstream.storage.remote_http import Reply, retry_after
from zarrstream.storage.remote_reach import RemoteReach

DATA = random.Random(1).randbytes(200_000)
OTHER = random.Random(2).randbytes(200_000)
START, STOP = 50_000, 150_000
PLACE = "/folder/air.nc"
SHORT = 0.6  # seconds of a request, where the server is meant to be too slow for them


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    with web_server() as server:
        yield server


@pytest.fixture
def server(shared: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("NETRC", os.devnull)
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.01)
    shared.clear()
    shared.things[PLACE] = Thing(DATA)
    return shared


def reach(timeout: float = 30.0, **options: Any) -> RemoteReach:
    return RemoteReach(SourceAccess(timeout=timeout, **options))


def opened(server: Server, *faults: Fault, timeout: float = 30.0) -> RemoteObject:
    """The object, whose further requests meet the faults."""
    found = reach(timeout).open(server.url + PLACE)
    server.faults[PLACE] = iter(faults)
    return found


def test_ranges_that_come_with_the_status_of_a_whole_are_ranges(server: Server):
    """As rclone's server of buckets sends them: the first answer would pass for the whole of a small object."""

    def part(handler: Handler) -> bool:
        start, stop = handler.wanted() or (0, len(DATA))
        handler.answer(200, DATA[start:stop], **{"content-range": f"bytes {start}-{stop - 1}/{len(DATA)}", **Thing(DATA).headers()})
        return True

    server.faults[PLACE] = repeat(part)
    found = reach().open(server.url + PLACE)
    assert (found.version.size, found.ranges) == (len(DATA), True)
    assert found.read(START, STOP) == DATA[START:STOP]


def test_first_answer_tells_size_and_version(server: Server):
    found = reach().open(server.url + PLACE)
    assert (found.version.size, found.version.last_modified, found.ranges) == (len(DATA), DATE, True)
    assert found.version.known
    assert found.head == DATA[:16_384]
    assert [headers["range"] for _path, headers in server.seen] == ["bytes=0-16383"]
    assert server.seen[0][1]["user-agent"].startswith("zarrstream/")
    assert server.seen[0][1]["accept-encoding"] == "identity"


def test_ranges_are_read_exactly_and_counted(server: Server):
    mine = reach()
    found = mine.open(server.url + PLACE)
    assert found.read(START, STOP) == DATA[START:STOP]
    assert found.read(len(DATA) - 1, len(DATA)) == DATA[-1:]
    assert found.read(100, 200) == DATA[100:200]  # of the head: no request
    assert found.read(7, 7) == b""
    assert (mine.fetched.requests, mine.fetched.size) == (3, 16_384 + STOP - START + 1)
    assert mine.fetched.seconds > 0
    assert server.seen[-1][1]["if-match"] == server.things[PLACE].headers()["etag"]
    with pytest.raises(SourceError, match=f"bytes 199999-200000 of source '{server.url}{PLACE}': it has 200000 bytes"):
        found.read(len(DATA) - 1, len(DATA) + 1)


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("size", [0, 1, 16_383, 16_384])
def test_little_objects_come_with_the_first_answer(server: Server, size: int, ranges: bool):
    server.things[PLACE] = Thing(DATA[:size], ranges=ranges)
    found, got = reach().open(server.url + PLACE), bytearray()
    assert (found.version.size, found.head) == (size, DATA[:size])
    found.read_all(got.extend)
    assert got == DATA[:size]
    assert len(server.seen) == 1


def test_objects_beyond_4_gib(server: Server):
    server.things[PLACE] = Thing(size=FAR)
    found = reach().open(server.url + PLACE)
    assert found.version.size == FAR
    assert found.read(FAR - 3, FAR) == bytes(3)
    assert server.seen[-1][1]["range"] == f"bytes={FAR - 3}-{FAR - 1}"


def test_large_ranges_are_several_requests(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(remote_object, "MOST", 30_000)
    assert opened(server).read(START, STOP) == DATA[START:STOP]
    assert len(server.seen) == 1 + 4


@pytest.mark.parametrize("name", ["å b+c.nc", "a%20b.nc", "a'(1);x=y.nc", "folder//two.nc"])
def test_names_arrive_as_they_are(server: Server, name: str):
    from urllib.parse import unquote

    server.things[f"/{unquote(name)}"] = Thing(DATA)
    assert reach().open(f"{server.url}/{name}").version.size == len(DATA)


def test_ipv6():
    try:
        context = web_server(host="::1")
        six = context.__enter__()
    except OSError:
        pytest.skip("this machine has no IPv6 on loopback")
    try:
        six.things[PLACE] = Thing(DATA)
        assert reach().open(six.url + PLACE).read(START, STOP) == DATA[START:STOP]
    finally:
        context.__exit__(None, None, None)


PAGE = b"\n<!DOCTYPE html><html><body>Log in</body></html>"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (says(404), r"it is not there \(404 Not Found, with no credentials\). Look at the URL"),
        (says(410), "it is not there"),
        (says(401), r"401 Unauthorized with no credentials: If it is not public, write an entry for '127.0.0.1' into ~/.netrc"),
        (says(403), "403 Forbidden with no credentials: If it is not public"),
        (says(407), "407 .*the proxy that the environment names wants credentials"),
        (says(418), "418"),
        (says(200, PAGE, content_type="text/html"), r"a web page came instead of a file \(text/html, with no credentials\): .* login"),
        (says(206, PAGE, content_range=f"bytes 0-{len(PAGE) - 1}/{len(PAGE)}"), "a web page came instead of a file"),
        (says(206, DATA[:16_384]), "206 without saying which bytes"),
        (says(206, DATA[:16_384], content_range="bytes 5-16388/200000"), "was asked for bytes 0-16383 and sent others"),
        (says(206, DATA[:100], content_range="bytes 0-99/200000"), "was asked for bytes 0-16383 and sent others"),
        (says(206, DATA[:16_384], content_range="bytes 0-16383/*"), "was asked for bytes 0-16383 and sent others"),
        (says(200, DATA, content_encoding="gzip"), r"sends it compressed \(gzip\), though it was asked not to"),
        (says(416, content_range="bytes */17"), "refuses to send its beginning"),
        (says(302), "to no place on the web"),
        (says(302, location="ftp://127.0.0.1/x"), r"to no place on the web \('ftp://127.0.0.1/x'\)"),
    ],
)
def test_what_is_no_file_is_said(server: Server, fault: Fault, words: str):
    server.faults[PLACE] = repeat(fault)
    with pytest.raises(SourceError, match=words) as caught:
        reach().open(server.url + PLACE)
    assert server.url + PLACE in str(caught.value)
    assert len(server.seen) == 1, "no such answer is worth another request"


def test_nobody_there(monkeypatch: pytest.MonkeyPatch):
    (port,) = free_ports(1)
    with pytest.raises(SourceUnreachable, match=rf"connection refused \(\d+ attempts? in .*Is 127.0.0.1:{port} right"):
        reach(0.3).open(f"http://127.0.0.1:{port}/a.nc")
    with pytest.raises(SourceError, match="no address is known for this name"):
        reach(1).open("http://nowhere.invalid/a.nc")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_passes_is_asked_again_and_counted(server: Server, status: int):
    mine = reach()
    found = mine.open(server.url + PLACE)
    server.faults[PLACE] = iter([says(status), says(status)])
    assert found.read(START, STOP) == DATA[START:STOP]
    assert mine.retries == 2
    assert mine.fetched.requests == 4


def test_what_does_not_pass_is_an_error_in_time(server: Server):
    found = opened(server, *[says(503)] * 1000, timeout=SHORT)
    began = time.monotonic()
    with pytest.raises(SourceUnreachable, match=r"bytes 50000-149999 of source .*503 Service Unavailable \(\d+ attempts in [01] s\)"):
        found.read(START, STOP)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("pause", ["1", "a date"])
def test_server_is_left_alone_as_long_as_it_asks(server: Server, pause: str):
    if pause == "a date":
        pause = formatdate(time.time() + 3600, usegmt=True)
        with pytest.raises(SourceError, match=r"503 .* asks for a pause of 3[56]\d\d s \(Retry-After\), timeout is 30 s"):
            opened(server, says(503, retry_after=pause)).read(START, STOP)
        return
    found = opened(server, says(429, retry_after=pause))
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(found.read, START, STOP)
        while len(server.seen) < 2:
            time.sleep(0.005)
        time.sleep(0.1)
        second = pool.submit(found.read, START, STOP)  # another request waits as well
        assert first.result() == second.result() == DATA[START:STOP]
    assert time.monotonic() - began >= 1
    assert len(server.seen) == 4


def test_retry_after_is_understood():
    assert retry_after({"retry-after": "17"}) == 17
    assert retry_after({"retry-after": formatdate(time.time() + 100, usegmt=True)}) == pytest.approx(100, abs=3)
    assert [retry_after({"retry-after": text}) for text in ("", "soon", "-1", DATE.replace("2026", "1999"))] == [0, 0, 0, 0]


def replaced(name: str, value: str) -> Fault:
    return sends(lambda headers: headers.update({name: value}))


def without(*names: str) -> Fault:
    return sends(lambda headers: [headers.pop(name) for name in names])


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (becomes(Thing(OTHER)), r"another version now \(412\)"),
        (says(412), r"another version now \(412\)"),
        (says(416), r"ends before these \(416\)"),
        (becomes(Thing(b"")), r"another version now|ends before these"),
        (replaced("etag", '"new"'), 'ETag was "[0-9a-f]+", and is "new"'),
        (replaced("last-modified", DATE.replace("24", "25")), "Last-Modified was .* 24 .*, and is .* 25 "),
        (replaced("content-range", "bytes 50000-149999/200001"), "had 200000 bytes, and now has 200001"),
        (without("etag", "last-modified"), "no longer says which version"),
    ],
)
def test_nothing_of_another_version_is_used(server: Server, fault: Fault, words: str):
    found = opened(server, fault)
    with pytest.raises(SourceChanged, match=rf"changed while it was being read \(bytes 50000-149999\): .*{words}.* Nothing of it was used"):
        found.read(START, STOP)
    assert len(server.seen) == 2


def test_changed_object_without_etag_is_seen(server: Server):
    """By Last-Modified alone."""
    server.things[PLACE] = Thing(DATA, etag="")
    found = opened(server, becomes(Thing(OTHER, etag="", modified=DATE.replace("24", "25"))))
    with pytest.raises(SourceChanged, match="Last-Modified was"):
        found.read(START, STOP)
    assert server.seen[-1][1]["if-unmodified-since"] == DATE
    assert "if-match" not in server.seen[-1][1]


def test_weak_etags_are_compared_and_not_sent(server: Server):
    server.things[PLACE] = Thing(DATA, etag='W/"1"')
    found = opened(server, passes, becomes(Thing(OTHER, etag='W/"2"')))
    assert found.read(START, STOP) == DATA[START:STOP]
    assert "if-match" not in server.seen[-1][1]
    with pytest.raises(SourceChanged, match='ETag was W/"1", and is W/"2"'):
        found.read(START, STOP)


def test_server_that_tells_no_version(server: Server):
    server.things[PLACE] = Thing(DATA, etag="", modified="")
    found = opened(server)
    assert not found.version.known
    assert found.read(START, STOP) == DATA[START:STOP]
    server.things[PLACE] = Thing(OTHER[:-1], etag="", modified="")
    with pytest.raises(SourceChanged, match="had 200000 bytes, and now has 199999"):
        found.read(START, STOP)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (replaced("content-range", "bytes 50001-150000/200000"), "was asked for bytes 50000-149999 and sent others"),
        (replaced("content-range", "bytes 50000-140000/200000"), "was asked for bytes 50000-149999 and sent others"),
        (replaced("content-range", "rows 1-2"), "206 without saying which bytes"),
        (without("content-range"), "206 without saying which bytes"),
        (
            sends(lambda headers: headers.update({"content-length": "99999"})),
            r"announces 100000 bytes .* and sends 99999 \(Content-Length\)",
        ),
        (sends(lambda headers: headers.update({"content-length": "100001"})), "and sends 100001"),
        (replaced("content-encoding", "br"), r"compressed \(br\)"),
        (says(200, DATA, etag='"other"'), "ETag was"),
        (says(200, DATA, etag=Thing(DATA).headers()["etag"], last_modified=DATE), "sent ranges before, and now all of it"),
        (says(404), "it is not there"),
        (says(403), "403 Forbidden"),
    ],
)
def test_answers_that_are_none_to_the_question(server: Server, fault: Fault, words: str):
    with pytest.raises(SourceError, match=words) as caught:
        opened(server, fault).read(START, STOP)
    assert "bytes 50000-149999" in str(caught.value)
    assert len(server.seen) == 2


SHORT_OF = sends(cut=0.5)
NOTHING = sends(cut=0)
ENDLESS = sends(lambda headers: headers.pop("content-length"), cut=0.5)  # its end is that of the connection


@pytest.mark.parametrize("fault", [SHORT_OF, NOTHING, ENDLESS, resets], ids=["half", "nothing", "no length", "reset"])
def test_what_comes_short_is_asked_again(server: Server, fault: Fault):
    assert opened(server, fault, fault).read(START, STOP) == DATA[START:STOP]
    with pytest.raises(SourceError, match=r"bytes 50000-149999 of source .*the (answer|connection) was interrupted"):
        opened(server, *[fault] * 1000, timeout=SHORT).read(START, STOP)


def test_how_it_was_sent_to_the_bucket_is_no_compression(server: Server):
    server.things[PLACE] = Thing(DATA, extra={"content-encoding": "aws-chunked"})
    assert opened(server).read(START, STOP) == DATA[START:STOP]


def test_body_without_length_is_counted(server: Server):
    assert opened(server, without("content-length")).read(START, STOP) == DATA[START:STOP]


@pytest.mark.parametrize("fault", [hangs, sends(pause=0.01)], ids=["hang", "drip"])
def test_what_takes_too_long_is_given_up(server: Server, fault: Fault, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("zarrstream.storage.remote_requests.LATER", 0.2)
    monkeypatch.setattr("zarrstream.storage.remote_requests.SLOWEST", 2**30)
    found = opened(server, *[fault] * 1000, timeout=SHORT)
    began = time.monotonic()
    with pytest.raises(SourceUnreachable, match=r"bytes 50000-149999 of source .*no answer in time"):
        found.read(START, STOP)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("read_by_another", [True, False])
def test_no_close_waits_for_a_reader(read_by_another: bool):
    """As urllib3 before 2.3 would, which cannot wake him."""
    closed: list[bool] = []
    raw = SimpleNamespace(headers={}, close=lambda: closed.append(True), read=lambda _most: reply.stop() or b"")
    reply = Reply(SimpleNamespace(raw=raw, status_code=200))
    if read_by_another:
        assert reply.read(1) == b""
        assert not closed
    reply.stop()
    assert closed


def test_never_more_requests_than_allowed_over_kept_connections(server: Server):
    arrived, together = threading.Semaphore(0), threading.Event()

    def waits(_handler: Any) -> bool:
        arrived.release()
        together.wait(10)
        return False

    mine = reach(concurrency=3)
    found = [mine.open(server.url + PLACE) for _ in range(2)]
    server.faults[PLACE] = repeat(waits)
    with ThreadPoolExecutor(12) as pool:
        parts = [pool.submit(found[at % 2].read, START + at, STOP) for at in range(24)]
        for _ in range(3):
            assert arrived.acquire(timeout=10)
        assert not arrived.acquire(timeout=0.1)
        together.set()
        assert [part.result() for part in parts] == [DATA[START + at : STOP] for at in range(24)]
    assert server.most == 3
    assert server.connections <= 3


def test_ctrl_c_lets_go(server: Server):
    mine = reach()
    found = mine.open(server.url + PLACE)
    came = threading.Event()

    def comes_and_hangs(handler: Any) -> bool:
        came.set()
        return hangs(handler)

    server.faults[PLACE] = repeat(comes_and_hangs)
    with ThreadPoolExecutor(1) as pool:
        part = pool.submit(found.read, START, STOP)
        assert came.wait(10)
        mine.abandon()
        with pytest.raises(KeyboardInterrupt):
            part.result(5)
    with pytest.raises(KeyboardInterrupt):
        found.read(START, STOP)


# Servers without ranges.


def streamed(server: Server, *faults: Fault, timeout: float = 30.0, thing: Thing | None = None) -> tuple[RemoteObject, list[bytes]]:
    server.things[PLACE] = thing or Thing(BIG, ranges=False)
    found = opened(server, *faults, timeout=timeout)
    assert not found.ranges
    pieces: list[bytes] = []
    found.read_all(lambda data: pieces.append(data) if data else pieces.clear())
    return found, pieces


BIG = random.Random(3).randbytes(2**20 * 2 + 5)


def cut(handler: Any) -> bool:
    """Half of all bytes."""
    thing = handler.server.things[handler.place]
    handler.answer(200, thing.data[: len(thing.data) // 2], length=len(thing.data), **thing.headers())
    handler.close_connection = True
    return True


def chunked(handler: Any) -> bool:
    """All bytes, without a word about how many."""
    thing = handler.server.things[handler.place]
    handler.send_response(200)
    handler.send_header("transfer-encoding", "chunked")
    for name, value in thing.headers().items():
        handler.send_header(name, value)
    handler.end_headers()
    for at in range(0, len(thing.data), 2**16):
        piece = thing.data[at : at + 2**16]
        handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
    handler.wfile.write(b"0\r\n\r\n")
    return True


def test_server_without_ranges_is_read_as_a_whole(server: Server):
    found, pieces = streamed(server)
    assert (found.version.size, found.head) == (len(BIG), BIG[:16_384])
    assert b"".join(pieces) == BIG
    assert max(map(len, pieces)) <= 2**20
    assert "range" not in server.seen[-1][1]


def test_whole_answer_that_breaks_off_begins_again(server: Server):
    _found, pieces = streamed(server, cut, resets)
    assert b"".join(pieces) == BIG
    assert len(server.seen) == 4
    with pytest.raises(SourceError, match=r"all bytes of source .*the answer was interrupted"):
        streamed(server, *[cut] * 1000, timeout=SHORT)


def test_time_of_a_long_answer_is_not_that_of_a_request(server: Server, monkeypatch: pytest.MonkeyPatch):
    """What breaks off after a minute is asked for again, but not for ever."""
    clock, passed = time.monotonic, [0.0]
    monkeypatch.setattr(remote_object, "PIECE", 2**18)
    monkeypatch.setattr(retry, "time", SimpleNamespace(monotonic=lambda: clock() + passed[0]))

    def cut_after_a_minute(handler: Any) -> bool:
        passed[0] += 60
        return cut(handler)

    _found, pieces = streamed(server, cut_after_a_minute, cut_after_a_minute)
    assert b"".join(pieces) == BIG
    with pytest.raises(SourceError, match=r"interrupted \(3 attempts"):
        streamed(server, *[cut_after_a_minute] * 3)


def test_whole_answer_of_another_version(server: Server):
    with pytest.raises(SourceChanged, match="another version"):
        streamed(server, becomes(Thing(BIG[::-1], ranges=False)))
    with pytest.raises(SourceChanged, match=r"had 2097157 bytes, and now has 2097156"):
        streamed(server, becomes(Thing(BIG[:-1], etag='"1"', ranges=False)), thing=Thing(BIG, etag='"1"', ranges=False))


def test_whole_answer_of_unknown_length(server: Server):
    server.things[PLACE] = Thing(BIG, ranges=False)
    server.faults[PLACE] = repeat(chunked)
    found = reach().open(server.url + PLACE)
    assert found.version.size == UNKNOWN
    pieces: list[bytes] = []
    found.read_all(pieces.append)
    assert b"".join(pieces) == BIG
    assert found.version.size == len(BIG)


def test_answer_whose_end_cannot_be_told(server: Server):
    def ends_somewhere(handler: Any) -> bool:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(DATA)
        handler.close_connection = True
        return True

    server.faults[PLACE] = repeat(ends_somewhere)
    with pytest.raises(SourceError, match="nobody could tell whether all of it came"):
        reach().open(server.url + PLACE)


def test_all_of_an_object_by_ranges(server: Server):
    server.things[PLACE], got = Thing(BIG), bytearray()
    opened(server, says(503)).read_all(got.extend)
    assert got == BIG


@pytest.mark.parametrize(
    "url", ["https://host", "https://host/", "https:///a.nc", "ftp://host/a.nc", "http://host:x/a.nc", "s3://b", "s3://b/"]
)
def test_what_names_no_file(url: str):
    with pytest.raises(BadRequest, match="source '"):
        reach().open(url)
