"""Servers that never end: listings without progress, redirects, and Ctrl-C while something waits for them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import xarray as xr
from asking import write_request
from botocore.exceptions import ClientError
from zarr.abc.store import RangeByteRequest
from zarr.core.buffer import default_buffer_prototype
from zarrstream.commands.write import write_dataset
from zarrstream.errors import Unreachable, ZarrstreamError
from zarrstream.profiles.profile import read_profile
from zarrstream.sidecar.manifest import md5_of
from zarrstream.storage import listing
from zarrstream.storage.access import Access
from zarrstream.storage.boto import translate
from zarrstream.storage.location import parse_store
from zarrstream.storage.objects import Objects
from zarrstream.storage.open import open_objects
from zarrstream.storage.redirects import Redirect
from zarrstream.storage.retry import Transport

CORE = Path(__file__).parents[3] / "plugins/module_utils"
# Seconds in which a command ends after Ctrl-C, on a machine that others use too: alone it takes up to three. What it waits for takes sixty.
PROMPT = 15
IMPATIENT = 0.4  # seconds, where the server is meant to be too slow for them
ENTRY = "<Contents><Key>{}</Key><Size>1</Size><LastModified>2026-11-24T00:00:00.000Z</LastModified><ETag>x</ETag></Contents>"
Answer = Callable[["Handler", dict[str, list[str]]], Any]


class Handler(BaseHTTPRequestHandler):
    """Answers as the test says."""

    how: ClassVar[Answer]
    seen: ClassVar[list[str]]
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        pass

    def serve(self) -> None:
        url = urlsplit(self.path)
        self.body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.seen.append(f"{self.command} {self.path}")
        try:
            type(self).how(self, parse_qs(url.query))
        except OSError:
            self.close_connection = True

    do_GET = do_PUT = do_HEAD = do_POST = serve  # noqa: N815 - http.server's names

    def answer(self, status: int, body: str = "", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body.encode())))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())

    def page(self, *keys: str, more: str = "") -> None:
        token = f"<NextContinuationToken>{more}</NextContinuationToken>" if more else ""
        text = "".join(ENTRY.format(key) for key in keys)
        self.answer(200, f"<ListBucketResult><IsTruncated>{'true' if more else 'false'}</IsTruncated>{text}{token}</ListBucketResult>")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        class Own(Handler):
            seen: ClassVar[list[str]] = []

        super().__init__(("127.0.0.1", 0), Own)
        self.own, self.stop = Own, threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *arguments: Any) -> None:
        pass  # a client that went away is what is tested here


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


@pytest.fixture
def config(server: Server, tmp_path: Path) -> Path:
    keys = "aws_access_key_id = AKIA0123\naws_secret_access_key = secret"
    (tmp_path / "config").write_text(f"[profile zarr]\n{keys}\nregion = RegionOne\nendpoint_url = {server.url}\n")
    return tmp_path / "config"


def bucket(config: Path, timeout: float = 1.0) -> Objects:
    return open_objects(parse_store("s3://data/air.zarr"), Access("zarr", config_file=str(config)), transport=Transport(timeout))


def slowly(handler: Handler, _query: Any) -> None:
    """A byte now and then of an answer that would be fine."""
    handler.send_response(200)
    handler.send_header("content-length", "1000")
    handler.end_headers()
    for _ in range(1000):
        handler.wfile.write(b" ")
        if handler.server.stop.wait(0.1):  # type: ignore[attr-defined]
            return


def empty_pages(handler: Handler, query: dict[str, list[str]]) -> None:
    number = int(query.get("continuation-token", ["0"])[0])
    handler.page(more=str(number + 1))


def same_token(handler: Handler, _query: Any) -> None:
    handler.page(more="again")


def same_page(handler: Handler, _query: Any) -> None:
    handler.page(*(f"air.zarr/c/{number:04}" for number in range(1000)), more="again")


def key_by_key(handler: Handler, query: dict[str, list[str]]) -> None:
    """A new key in each page, and a long time between them."""
    number = int(query.get("continuation-token", ["0"])[0])
    handler.server.stop.wait(0.1)  # type: ignore[attr-defined]
    handler.page(f"air.zarr/c/{number:06}", more=str(number + 1))


@pytest.mark.parametrize("how", [slowly, empty_pages, same_token, key_by_key])
def test_a_listing_that_does_not_come_on_ends_in_time(server: Server, config: Path, how: Answer) -> None:
    server.own.how = how
    began = time.monotonic()
    with pytest.raises(ZarrstreamError, match=r"within \d s came neither 1000 of them nor their end") as error:
        list(bucket(config, IMPATIENT).list("air.zarr"))
    assert time.monotonic() - began < 10
    assert f"bucket 'data' at {server.url}" in str(error.value)
    assert error.value.details["timeout"] == IMPATIENT
    server.stop.set()  # the library's thread, which nothing interrupts, would ask until the process ends


@pytest.mark.parametrize(
    ("how", "head"), [("get", True), ("get", False), ("head", True), ("zarr", True), ("zarr", False), ("zarr, a part", True)]
)
def test_an_answer_that_dribbles_ends_in_time(server: Server, config: Path, how: str, head: bool) -> None:
    def dribbles(handler: Handler, _query: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" if head else HEAD)
        for number in range(1000):
            handler.wfile.write(f"X-{number}: 1\r\n".encode() if head else b" ")
            if handler.server.stop.wait(0.1):  # type: ignore[attr-defined]
                break
        handler.close_connection = True

    server.own.how = dribbles
    objects, began = bucket(config, IMPATIENT), time.monotonic()
    prototype = default_buffer_prototype()
    calls: dict[str, Callable[[], Any]] = {
        "get": lambda: objects.get("air.zarr/zarr.json"),
        "head": lambda: objects.head("air.zarr/zarr.json"),
        "zarr": lambda: asyncio.run(objects.zarr_store().get("zarr.json", prototype)),
        "zarr, a part": lambda: asyncio.run(objects.zarr_store().get("zarr.json", prototype, RangeByteRequest(0, 10))),
    }
    with pytest.raises(Unreachable, match="no answer in time"):
        calls[how]()
    assert time.monotonic() - began < 12


HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\nlast-modified: Tue, 24 Nov 2026 00:00:00 GMT\r\n\r\n"


def settled(server: Server) -> int:
    """Requests, when those under way at the end have come."""
    server.stop.wait(0.5)
    count = len(server.own.seen)
    server.stop.wait(0.5)
    return count


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (same_page, "lists 'air.zarr/c/0000' after 'air.zarr/c/0999': again, or out of order"),
        (lambda handler, _: handler.page("air.zarr/a", "air.zarr/a"), "lists 'air.zarr/a' after 'air.zarr/a': again"),
        (lambda handler, _: handler.page("air.zarr/b", "air.zarr/a"), "lists 'air.zarr/a' after 'air.zarr/b': again, or out of order"),
        (lambda handler, _: handler.page("other.zarr/a"), "lists 'other.zarr/a', which does not lie below 'air.zarr/'"),
    ],
)
def test_a_listing_that_goes_back_or_astray_is_an_error(server: Server, config: Path, how: Answer, words: str) -> None:
    server.own.how = how
    with pytest.raises(ZarrstreamError) as error:
        list(bucket(config).list("air.zarr"))
    assert words in str(error.value)


def test_a_long_listing_may_take_longer_than_a_request(server: Server, config: Path) -> None:
    def pages(handler: Handler, query: dict[str, list[str]]) -> None:
        number = int(query.get("continuation-token", ["0"])[0])
        handler.server.stop.wait(0.4)  # type: ignore[attr-defined]
        keys = (f"air.zarr/{number}/{key:04}" for key in range(1000))
        handler.page(*keys, more=str(number + 1) if number < 5 else "")

    server.own.how = pages
    assert len(list(bucket(config).list("air.zarr"))) == 6000


def test_an_object_of_a_source_that_is_larger_than_its_array_can_make_it_is_not_read(server: Server, config: Path, tmp_path: Path) -> None:
    xr.Dataset({"v": ("t", np.arange(8, dtype="i2"))}).to_zarr(tmp_path / "in.zarr", zarr_format=3, consolidated=True)
    objects = {f"in.zarr/{path.relative_to(tmp_path / 'in.zarr')}": path.read_bytes() for path in (tmp_path / "in.zarr").rglob("*.json")}

    def how(handler: Handler, query: dict[str, list[str]]) -> None:
        key = urlsplit(handler.path).path.removeprefix("/data/")
        if "prefix" in query:
            handler.page(*(name for name in sorted([*objects, "in.zarr/v/c/0"]) if name.startswith(query["prefix"][0])))
        elif key.endswith("/c/0"):
            send(handler, b"", 2**40)
            handler.server.stop.wait(20)  # type: ignore[attr-defined]
        elif key in objects:
            send(handler, objects[key], len(objects[key]))
        else:
            handler.answer(404, "<Error><Code>NoSuchKey</Code></Error>")

    server.own.how = how
    request = write_request(
        source=("s3://data/in.zarr",), store=str(tmp_path / "out.zarr"), profile="zarr", config_file=str(config), timeout=5
    )
    began = time.monotonic()
    with pytest.raises(ZarrstreamError, match=r"'v/c/0' has 1099511627776 bytes, and no more than \d+ are possible"):
        write_dataset(request)
    assert time.monotonic() - began < 15


def send(handler: Handler, data: bytes, size: int) -> None:
    handler.send_response(200)
    handler.send_header("content-length", str(size))
    handler.send_header("last-modified", "Tue, 24 Nov 2026 00:00:00 GMT")
    handler.end_headers()
    handler.wfile.write(b"" if handler.command == "HEAD" else data)


VERBS: dict[str, Callable[[Objects], Any]] = {
    "list": lambda objects: list(objects.list("air.zarr")),
    "read": lambda objects: objects.get("air.zarr/zarr.json"),
    "write": lambda objects: objects.put("air.zarr/zarr.json", b"{}"),
    "delete": lambda objects: objects.delete(["air.zarr/zarr.json"]),
}
LOGIN = "https://login.example.org/sso"


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_explained(server: Server, config: Path, status: int, verb: str) -> None:
    # In a circle: what the library follows must not leave this machine.
    server.own.how = lambda handler, _: handler.answer(status, location=f"{server.url}/data/air.zarr?token=secret")
    with pytest.raises(Unreachable) as error:
        VERBS[verb](bucket(config))
    text = str(error.value)
    assert f"cannot {verb} data/air.zarr" in text
    assert f"answers {status} and sends on to '{server.url}/data/air.zarr', which is not followed" in text
    assert "secret" not in text
    assert "Debug source" not in text
    assert len(text.splitlines()) == 1
    assert len(server.own.seen) < 40, "it is not tried again"


def test_a_redirect_without_a_place_names_what_the_server_says(server: Server, config: Path) -> None:
    body = "<Error><Code>PermanentRedirect</Code><Message>m</Message><Endpoint>s3.eu.example.org</Endpoint></Error>"
    server.own.how = lambda handler, _: handler.answer(301, body)
    with pytest.raises(Unreachable, match=r"set endpoint_url \(in the profile\) to https://s3\.eu\.example\.org"):
        bucket(config).get("air.zarr/zarr.json")


def test_a_redirect_to_a_server_that_is_gone_names_it(server: Server, config: Path) -> None:
    with socket_that_was_free() as port:
        server.own.how = lambda handler, _: handler.answer(302, location=f"http://127.0.0.1:{port}/x")
        with pytest.raises(Unreachable, match=rf"sends on to 'http://127\.0\.0\.1:{port}/x'"):
            bucket(config).get("air.zarr/zarr.json")


class socket_that_was_free:  # noqa: N801 - reads as a function
    """A port at which nobody listens."""

    def __enter__(self) -> int:
        self.held = socket.socket()
        self.held.bind(("127.0.0.1", 0))
        return int(self.held.getsockname()[1])

    def __exit__(self, *exception: object) -> None:
        self.held.close()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_that_boto3_tells_of_is_explained(config: Path, status: int) -> None:
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": {"Location": f"{LOGIN}?token=secret"}}
    error = ClientError({"Error": {"Code": str(status), "Message": "Moved"}, "ResponseMetadata": metadata}, "ListBuckets")  # type: ignore[typeddict-item]
    text = str(translate(error, "list", read_profile("zarr", str(config))))
    assert f"answers {status} and sends on to '{LOGIN}'" in text
    assert "secret" not in text


def test_what_to_set_instead() -> None:
    assert "set endpoint_url (in the profile) to https://b.example.org" in Redirect(301, "https://b.example.org/x").explain(
        "https://a.example.org"
    )
    assert "region" in Redirect(301, "").explain("https://a.example.org")


def hangs(handler: Handler, _query: Any) -> None:
    handler.server.stop.wait(60)  # type: ignore[attr-defined]
    handler.close_connection = True


def busy(handler: Handler, _query: Any) -> None:
    handler.answer(503, "<Error><Code>SlowDown</Code></Error>")


def hangs_on(verb: str) -> Answer:
    def how(handler: Handler, query: dict[str, list[str]]) -> None:
        if handler.command == verb:
            hangs(handler, query)
        elif "prefix" in query:
            handler.page()
        else:
            handler.answer(404, "<Error><Code>NoSuchKey</Code></Error>")

    return how


@pytest.fixture
def source(tmp_path: Path) -> Path:
    xr.Dataset({"a": ("t", np.arange(8.0))}).to_netcdf(tmp_path / "a.nc")
    return tmp_path / "a.nc"


@pytest.mark.parametrize(
    ("command", "how", "until"),
    [
        ("check", empty_pages, 30),
        pytest.param("check", slowly, 1, marks=pytest.mark.thorough),
        pytest.param("check", hangs, 1, marks=pytest.mark.thorough),
        pytest.param("check", busy, 3, marks=pytest.mark.thorough),
        pytest.param("write", hangs, 1, marks=pytest.mark.thorough),
        pytest.param("write", hangs_on("PUT"), 3, marks=pytest.mark.thorough),
        pytest.param("write", hangs_on("HEAD"), 3, marks=pytest.mark.thorough),
    ],
)
def test_ctrl_c_ends_a_command_promptly(server: Server, config: Path, source: Path, command: str, how: Answer, until: int) -> None:
    server.own.how = how
    began = interrupted(command, source, config, lambda: len(server.own.seen) >= until)
    assert began < PROMPT


def stalls_at(method: str, part: str) -> Answer:
    """Keeps what it is sent, and hangs at requests for objects with this in their keys."""
    objects: dict[str, bytes] = {}

    def how(handler: Handler, query: dict[str, list[str]]) -> None:
        key = urlsplit(handler.path).path.removeprefix("/data/")
        if handler.command == method and part in handler.path:
            handler.seen.append("stalls")
            hangs(handler, query)
        elif "prefix" in query:
            handler.page(*sorted(name for name in objects if name.startswith(query["prefix"][0])))
        elif handler.command == "PUT":
            objects[key] = handler.body
            handler.answer(200, etag=f'"{md5_of(handler.body).md5}"')
        elif key in objects:
            send(handler, objects[key], len(objects[key]))
        else:
            handler.answer(404, "<Error><Code>NoSuchKey</Code></Error>")

    return how


@pytest.mark.parametrize(("method", "part"), [("PUT", "/a/c/"), pytest.param("POST", "?delete", marks=pytest.mark.thorough)])
def test_ctrl_c_ends_a_write_whose_chunks_do_not_arrive(server: Server, config: Path, source: Path, method: str, part: str) -> None:
    server.own.how = stalls_at(method, part)
    assert interrupted("write", source, config, lambda: "stalls" in server.own.seen) < PROMPT


def test_ctrl_c_ends_the_wait_for_a_scheduler(server: Server, config: Path, source: Path) -> None:
    server.own.how = hangs_on("nothing")
    silent = socket.socket()
    with silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        connected = threading.Event()
        threading.Thread(target=lambda: (silent.accept(), connected.set(), server.stop.wait(60)), daemon=True).start()
        scheduler = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        assert interrupted("write", source, config, connected.is_set, "--scheduler", scheduler) < PROMPT


def interrupted(command: str, source: Path, config: Path, ready: Callable[[], bool], *more: str) -> float:
    """Seconds that a command goes on after SIGINT, which it gets when ``ready`` says so."""
    places = {"check": ["s3://data/air.zarr"], "write": [str(source), "s3://data/air.zarr"]}[command]
    line = [sys.executable, "-m", "zarrstream", command, *places, "--profile", "zarr", "--config-file", str(config), *more]
    line = ["env", "--default-signal=INT", *line]  # tests that run in the background ignore it
    environment = {**os.environ, "PYTHONPATH": str(CORE)}
    with subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            ends = time.monotonic() + 60
            while not ready():
                assert time.monotonic() < ends
                assert process.poll() is None, process.communicate()
                time.sleep(0.02)
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
        finally:
            process.kill()
    assert said == f"zarrstream {command}: interrupted.\n"
    assert process.returncode == 130
    return time.monotonic() - began


def test_what_a_console_makes_for_a_folder_is_a_key_among_others() -> None:
    """Obstore gives "air.zarr/" and "air.zarr/sub/" without their slashes, and so out of order."""
    keys = ["air.zarr", "air.zarr/sub-1", "air.zarr/sub", "air.zarr/sub/x"]
    listing._check([{"path": key} for key in keys], None, "air.zarr", "a bucket")
    for again in (["air.zarr/x", "air.zarr/x"], ["air.zarr/x", "air.zarr/b"]):
        with pytest.raises(ZarrstreamError, match="again, or out of order"):
            listing._check([{"path": key} for key in again], None, "air.zarr", "a bucket")
