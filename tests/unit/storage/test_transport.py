"""Requests on their way to a server that misbehaves as told. The real Swift behind a fault proxy is in tests/faults."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import zarr
from asking import check_request, check_store, write_request
from zarrstream.commands.write import write_dataset
from zarrstream.errors import AccessRefused, BadRequest, Conflict, Unreachable, ZarrstreamError
from zarrstream.sidecar.lock import create
from zarrstream.sidecar.manifest import md5_of
from zarrstream.storage import clients as clients_module
from zarrstream.storage import retry as transport_module
from zarrstream.storage.access import Access
from zarrstream.storage.limiter import MOST, START, Limiter
from zarrstream.storage.location import parse_store
from zarrstream.storage.objects import Objects
from zarrstream.storage.open import open_objects
from zarrstream.storage.retry import GaveUp, Lane, Transport

Fault = Callable[["Handler"], bool]  # answers the request, or lets it through with False
PAGE = 3  # keys of a listing


class Handler(BaseHTTPRequestHandler):
    """As much of S3 as is needed here. ``faults`` are used up, one for each request to a key with ``where`` in it."""

    objects: ClassVar[dict[str, bytes]]
    faults: ClassVar[Iterator[Fault]]
    where: ClassVar[str]
    seen: ClassVar[list[str]]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments: Any) -> None:
        pass

    def serve(self) -> None:
        url = urlsplit(self.path)
        self.key = unquote(url.path).removeprefix("/data").strip("/")
        self.body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.seen.append(f"{self.command} {self.key}")
        fault = next(self.faults, None) if self.where in self.key else None
        if fault is None or not fault(self):
            getattr(self, f"s3_{self.command.lower()}")(parse_qs(url.query))

    do_GET = do_PUT = do_HEAD = do_POST = serve  # noqa: N815 - http.server's names

    def answer(self, status: int, body: bytes = b"", length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body) if length is None else length))
        self.send_header("etag", f'"{md5_of(body).md5}"')
        self.send_header("last-modified", "Tue, 24 Nov 2026 00:00:00 GMT")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str) -> None:
        self.answer(status, f"<Error><Code>{code}</Code></Error>".encode())

    def s3_put(self, _query: dict[str, list[str]]) -> None:
        if self.headers.get("if-none-match") == "*" and self.key in self.objects:
            return self.refuse(412, "PreconditionFailed")
        self.objects[self.key] = self.body
        return self.answer(200)

    def s3_get(self, query: dict[str, list[str]]) -> None:
        if "prefix" in query:
            after = query.get("continuation-token", query.get("start-after", [""]))[0]
            keys = [key for key in sorted(self.objects) if key.startswith(query["prefix"][0]) and key > after]
            entry = "<Contents><Key>{}</Key><Size>{}</Size><LastModified>2026-11-24T00:00:00.000Z</LastModified><ETag>{}</ETag></Contents>"
            text = "".join(entry.format(key, len(self.objects[key]), md5_of(self.objects[key]).md5) for key in keys[:PAGE])
            more = f"<NextContinuationToken>{keys[PAGE - 1]}</NextContinuationToken>" if len(keys) > PAGE else ""
            cut = "true" if more else "false"
            self.answer(200, f"<ListBucketResult><IsTruncated>{cut}</IsTruncated>{text}{more}</ListBucketResult>".encode())
        elif self.key in self.objects:
            self.answer(200, self.objects[self.key])
        else:
            self.refuse(404, "NoSuchKey")

    s3_head = s3_get

    def s3_post(self, _query: dict[str, list[str]]) -> None:
        keys = re.findall("<Key>(.*?)</Key>", self.body.decode())
        for key in keys:
            self.objects.pop(key, None)
        deleted = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        self.answer(200, f"<DeleteResult>{deleted}</DeleteResult>".encode())


def says(status: int, code: str) -> Fault:
    def fault(handler: Handler) -> bool:
        handler.refuse(status, code)
        return True

    return fault


def passes(_: Handler) -> bool:
    """No fault."""
    return False


def resets(handler: Handler) -> bool:
    """Break the connection off before anything is done."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True
    return True


def loses_the_answer(handler: Handler) -> bool:
    """Do it, and break the connection off instead of an answer."""
    handler.objects[handler.key] = handler.body
    return resets(handler)


def cuts_short(handler: Handler) -> bool:
    """Half of an object, and the end of the connection."""
    data = handler.objects[handler.key]
    handler.answer(200, data[: len(data) // 2], length=len(data))
    handler.close_connection = True
    return True


def hangs(handler: Handler) -> bool:
    """Nothing, for longer than anybody here waits."""
    handler.server.stop.wait(20)  # type: ignore[attr-defined]
    handler.close_connection = True
    return True


def dribbles(handler: Handler) -> bool:
    """Always a little of the head of an answer, never all of it."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(200):
        if handler.server.stop.wait(0.1):  # type: ignore[attr-defined]
            break
        try:
            handler.wfile.write(f"X-{number}: 1\r\n".encode())
        except OSError:
            break
    handler.close_connection = True
    return True


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        class Own(Handler):
            objects: ClassVar[dict[str, bytes]] = {}
            faults: ClassVar[Iterator[Fault]] = iter(())
            where: ClassVar[str] = ""
            seen: ClassVar[list[str]] = []

        super().__init__(("127.0.0.1", 0), Own)
        self.own, self.stop = Own, threading.Event()

    def handle_error(self, *arguments: Any) -> None:
        pass  # a client that went away is what is tested here

    def misbehave(self, *faults: Fault, where: str = "") -> None:
        self.own.faults, self.own.where = iter(faults), where


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.stop.set()
    server.shutdown()
    thread.join()
    server.server_close()


def objects_at(endpoint: str, folder: Path, transport: Transport, store: str = "s3://data/air.zarr") -> Objects:
    config = folder / "config"
    config.write_text(
        f"[profile zarr]\naws_access_key_id = AKIA0123\naws_secret_access_key = secret\nregion = RegionOne\nendpoint_url = {endpoint}\n"
    )
    return open_objects(parse_store(store), Access("zarr", config_file=str(config)), transport=transport)


@pytest.fixture
def transport() -> Transport:
    return Transport(5)


@pytest.fixture
def bucket(server: Server, tmp_path: Path, transport: Transport) -> Objects:
    return objects_at(f"http://127.0.0.1:{server.server_port}", tmp_path, transport)


@pytest.mark.parametrize(
    "fault",
    [
        says(503, "SlowDown"),
        says(429, "TooManyRequests"),
        says(500, "InternalError"),
        says(502, ""),
        says(400, "RequestTimeout"),
        says(400, "BadDigest"),
        resets,
    ],
)
def test_what_passes_is_repeated_and_counted(server: Server, bucket: Objects, transport: Transport, fault: Fault) -> None:
    server.misbehave(fault, fault)
    bucket.put("air.zarr/zarr.json", b"{}")
    server.misbehave(fault)
    assert bucket.get("air.zarr/zarr.json") == b"{}"
    server.misbehave(fault)
    asyncio.run(bucket.put_async("air.zarr/a/c/0", b"1"))
    server.misbehave(fault)
    assert [info.key for info in bucket.list("air.zarr")] == ["air.zarr/a/c/0", "air.zarr/zarr.json"]
    assert transport.retries == 5


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (403, "AccessDenied", AccessRefused, "has no right"),
        (403, "SignatureDoesNotMatch", AccessRefused, r"profile 'zarr' \(access key …0123\)"),
        (403, "QuotaExceeded", AccessRefused, "quota"),
        (413, "", AccessRefused, "quota"),
        (507, "", AccessRefused, "quota"),
        (403, "RequestTimeTooSkewed", AccessRefused, r"this host says .* UTC, the server .* UTC"),
        (412, "PreconditionFailed", Conflict, "exists already"),
        (501, "NotImplemented", ZarrstreamError, "NotImplemented"),
    ],
)
def test_what_stays_is_not(server: Server, bucket: Objects, transport: Transport, status: int, code: str, kind: type, words: str) -> None:
    server.misbehave(says(status, code))
    with pytest.raises(kind, match=words):
        bucket.put("air.zarr/zarr.json", b"{}")
    assert transport.retries == 0
    assert server.own.seen.count("PUT air.zarr/zarr.json") == 1


def test_an_object_that_comes_in_half_is_read_again(server: Server, bucket: Objects, transport: Transport) -> None:
    data = random.Random(1).randbytes(2**17)
    server.own.objects["air.zarr/a/c/0"] = data
    server.misbehave(cuts_short)
    assert bucket.get("air.zarr/a/c/0") == data
    assert transport.retries == 1


def test_a_listing_that_breaks_off_goes_on_where_it_was(server: Server, bucket: Objects, transport: Transport) -> None:
    keys = [f"air.zarr/a/c/{number}" for number in range(8)]
    server.own.objects |= dict.fromkeys(keys, b"1")
    server.misbehave(passes, says(503, "SlowDown"), says(503, "SlowDown"), passes, resets)
    assert [info.key for info in bucket.list("air.zarr")] == keys
    assert transport.retries == 3


def test_a_creation_whose_answer_was_lost_is_ours(server: Server, bucket: Objects) -> None:
    server.misbehave(loses_the_answer, says(503, "SlowDown"))
    assert create(bucket, "air.zarr.zarrstream/writing.json", b"me")
    assert not create(bucket, "air.zarr.zarrstream/writing.json", b"another")
    assert server.own.objects["air.zarr.zarrstream/writing.json"] == b"me"


def test_a_deletion_whose_answer_was_lost_is_done(server: Server, bucket: Objects) -> None:
    bucket.put("air.zarr/zarr.json", b"{}")

    def delete(handler: Handler) -> bool:
        del handler.objects["air.zarr/zarr.json"]
        return resets(handler)

    server.misbehave(delete)
    bucket.delete(["air.zarr/zarr.json"])
    assert bucket.get("air.zarr/zarr.json") is None


def test_forty_refusals_are_survived_within_the_timeout(server: Server, tmp_path: Path) -> None:
    transport = Transport(60)
    transport_waits = transport_module.LONGEST_WAIT
    bucket = objects_at(f"http://127.0.0.1:{server.server_port}", tmp_path, transport)
    server.misbehave(*[says(503, "SlowDown")] * 40, where="/c/")
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: bucket.put(f"air.zarr/a/c/{number}", b"1"), range(24)))
    assert len(server.own.objects) == 24
    assert transport.retries == 40
    assert 40 * transport_waits / 2 < 60  # so that even one request that gets them all survives, on average


@pytest.mark.parametrize("fault", [hangs, dribbles])
@pytest.mark.parametrize("verb", ["get", "put", "put_async", "list"])
def test_a_request_that_hangs_ends_in_time(
    server: Server, tmp_path: Path, fault: Fault, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients_module, "_SIZES", (0, 2**40))  # no time for sizes
    monkeypatch.setattr(clients_module, "_READ_SIZE", 0)
    bucket = objects_at(f"http://127.0.0.1:{server.server_port}", tmp_path, Transport(0.5))
    server.misbehave(*[fault] * 20)
    calls: dict[str, Callable[[], Any]] = {
        "get": lambda: bucket.get("k"),
        "put": lambda: bucket.put("k", b""),
        "put_async": lambda: asyncio.run(bucket.put_async("k", b"")),
        "list": lambda: list(bucket.list("air.zarr")),
    }
    began = time.monotonic()
    with pytest.raises(Unreachable, match=r"no answer in time \(\d attempts? in \d+ s\)"):
        calls[verb]()
    assert time.monotonic() - began < 15  # the server says nothing for longer


def test_sending_may_take_longer_than_an_answer(server: Server, tmp_path: Path) -> None:
    """A time-out of obstore's counts the sending as time without an answer, so that large objects never arrived over slow lines."""
    bucket = objects_at(f"http://127.0.0.1:{server.server_port}", tmp_path, Transport(0.5))
    bucket.put("k", b"1")

    def slowly(handler: Handler) -> bool:
        return handler.server.stop.wait(1.2)  # type: ignore[attr-defined]

    server.misbehave(slowly)
    bucket.put("air.zarr/a/c/0", b"1" * 2**20)
    assert server.own.seen.count("PUT air.zarr/a/c/0") == 1


def test_a_server_that_is_gone_is_named_at_once_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "ABSENT", 1.0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        bucket = objects_at(endpoint, tmp_path, Transport(60))
        began = time.monotonic()
        with ThreadPoolExecutor(10) as pool:
            found = [future.exception() for future in [pool.submit(bucket.get, f"k{number}") for number in range(10)]]
        assert time.monotonic() - began < 30  # of the 60 that each request has
    assert {type(error) for error in found} == {Unreachable}
    assert all(f"at {endpoint}: connection refused (" in str(error) for error in found)


def test_a_name_without_address_is_not_asked_for_again(tmp_path: Path) -> None:
    transport = Transport()
    bucket = objects_at("http://no.such.host.invalid", tmp_path, transport)
    with pytest.raises(Unreachable, match="no address is known for this name"):
        bucket.get("k")
    assert transport.retries == 0


def test_one_bad_object_does_not_count_as_a_dead_server(server: Server, tmp_path: Path) -> None:
    bucket = objects_at(f"http://127.0.0.1:{server.server_port}", tmp_path, Transport(1.5))
    server.misbehave(*[says(500, "InternalError")] * 100, where="bad")
    server.own.objects["good"] = b"1"
    stop = threading.Event()

    def read_the_others() -> None:
        while not stop.is_set():
            assert bucket.get("good") == b"1"
            time.sleep(0.05)

    with ThreadPoolExecutor(1) as pool:
        others = pool.submit(read_the_others)
        with pytest.raises(ZarrstreamError, match=r"500 InternalError \(\d+ attempts in \d s\)") as found:
            bucket.get("bad")
        stop.set()
        others.result()
    assert not isinstance(found.value, Unreachable)


def test_a_write_and_a_check_count_what_was_sent_again(server: Server, bucket: Objects, source: Path, tmp_path: Path) -> None:
    access = {"profile": "zarr", "config_file": str(tmp_path / "config"), "timeout": 20.0}
    progress = tmp_path / "progress.json"
    server.misbehave(says(503, "SlowDown"), resets, loses_the_answer, where="/c/")
    result = write_dataset(write_request((str(source),), bucket.place.url, progress_path=str(progress), **access))
    assert result.retries == 3
    assert json.loads(progress.read_text())["retries"] == 3
    server.misbehave(says(503, "SlowDown"), cuts_short, where="/c/")
    report = check_store(check_request(bucket.place.url, source=(str(source),), sample=None, **access))
    assert report.ok, report.summary
    assert report.as_result()["retries"] == 2
    assert write_dataset(write_request((str(source),), bucket.place.url, **access)).retries == 0


def test_zarr_reads_on_through_faults(server: Server, bucket: Objects, transport: Transport) -> None:
    memory = zarr.storage.MemoryStore()
    zarr.create_array(memory, shape=(4,), chunks=(2,), dtype="i4", zarr_format=3)[:] = [1, 2, 3, 4]
    server.own.objects |= {f"air.zarr/{key}": data.to_bytes() for key, data in memory._store_dict.items()}
    server.misbehave(*itertools.chain.from_iterable([(says(503, "SlowDown"), passes)] * 3), where="air.zarr")
    assert zarr.open_array(bucket.zarr_store(), mode="r")[:].tolist() == [1, 2, 3, 4]
    assert transport.retries == 3
    server.misbehave(says(403, "AccessDenied"), where="c/0")
    with pytest.raises(AccessRefused, match="has no right"):
        zarr.open_array(bucket.zarr_store(), mode="r")[:]


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), True])
def test_a_timeout_that_is_none_is_refused(timeout: float) -> None:
    with pytest.raises(BadRequest, match="timeout is"):
        Access(timeout=timeout)


def test_waits_double_up_to_a_limit_and_are_random(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    clock = itertools.count(0.0, 0.001)
    monkeypatch.setattr(transport_module.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(transport_module.random, "uniform", lambda _, high: high)
    lane, left = Lane(60), iter(range(7))
    monkeypatch.setattr(lane._abandoned, "wait", waits.append)

    def send() -> None:
        if next(left, None) is not None:
            raise RuntimeError("status code: 503")

    lane.call(send)
    assert waits == [0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0]
    assert lane.retries == 7


def test_the_clock_begins_with_the_first_attempt_and_ends_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock on which an attempt takes no time, and a wait no more than it is to take."""
    lane, waits = Lane(0.3), [0.0]
    monkeypatch.setattr(transport_module.time, "monotonic", lambda: sum(waits))
    monkeypatch.setattr(lane._abandoned, "wait", waits.append)
    with pytest.raises(GaveUp) as found:
        lane.call(lambda: (_ for _ in ()).throw(RuntimeError("status code: 503")))
    assert found.value.dead
    assert found.value.attempts > 1
    assert found.value.seconds <= 0.3


def test_the_limit_grows_with_use_and_halves_once_for_all_that_were_in_flight() -> None:
    limiter = Limiter()
    idle = limiter.enter().result()
    limiter.leave(idle, overloaded=False)
    assert limiter.limit == START  # nobody reached it

    def fill() -> list[int]:
        return [limiter.enter().result() for _ in range(limiter.limit)]

    for _ in range(8):
        for place in fill():
            limiter.leave(place, overloaded=False)
    grown = limiter.limit
    assert START < grown <= MOST
    places = fill()
    for place in places:
        limiter.leave(place, overloaded=True)
    assert limiter.limit == grown // 2
    for _ in range(8):
        limiter.leave(limiter.enter().result(), overloaded=True)
    assert limiter.limit == 1
    limiter.leave(limiter.enter().result(), overloaded=False)
    assert limiter.limit == 2


def test_no_more_are_in_flight_than_the_limit_and_those_who_come_again_go_first() -> None:
    limiter = Limiter()
    first = [limiter.enter() for _ in range(START)]
    assert all(place.done() for place in first)
    new, gone, again = limiter.enter(), limiter.enter(), limiter.enter(again=True)
    assert not new.done()
    gone.cancel()
    limiter.leave(first[0].result(), overloaded=True)
    for place in first[1:5]:
        limiter.leave(place.result(), overloaded=False)
    assert again.done()
    assert not new.done()
    limiter.leave(again.result(), overloaded=False)
    assert new.done()


def test_a_task_that_is_cancelled_keeps_no_place() -> None:
    lane = Lane(5)

    async def work() -> None:
        async def forever() -> None:
            await asyncio.sleep(60)

        tasks = [asyncio.create_task(lane.call_async(forever)) for _ in range(2 * START)]
        await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(work())
    assert all(lane.limiter.enter().done() for _ in range(START))


def test_nothing_goes_on_after_a_write_that_failed(server: Server, bucket: Objects, source: Path, tmp_path: Path) -> None:
    access = {"profile": "zarr", "config_file": str(tmp_path / "config"), "timeout": 1.5, "chunks": {"time": 1}}
    server.misbehave(*[says(503, "SlowDown")] * 10_000, where="/c/")
    # Whether the server counts as gone depends on what else it has answered meanwhile.
    with pytest.raises(ZarrstreamError, match=r"503 SlowDown \(\d+ attempts in \d+ s\).*Nothing was published"):
        write_dataset(write_request((str(source),), bucket.place.url, **access))
    sent = len(server.own.seen)
    time.sleep(0.5)
    assert len(server.own.seen) == sent
