"""What an anonymous client gets: the server says 404, 403 for what is missing (as Ceph RGW does without a listing right), or 403 always."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import zarr
from asking import check_request, check_store
from zarrstream.errors import BadRequest
from zarrstream.findings import CheckResult

pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata")
ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>no</Message></Error>"
Start = Callable[[str], str]


class Bucket(BaseHTTPRequestHandler):
    """GET of the objects in a folder, without listing. ``mode`` is honest, hiding or private."""

    def __init__(self, folder: Path, mode: str, seen: list[str], *arguments: Any) -> None:
        self.folder, self.mode, self.seen = folder, mode, seen
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self.seen.append(str(self.headers.get("Authorization")))
        file = self.folder / self.path.partition("?")[0].removeprefix("/bucket").strip("/")
        if self.mode != "private" and file.is_file():
            self.answer(200, file.read_bytes())
        elif self.mode == "honest" and file != self.folder:
            self.answer(404, ERROR.format("NoSuchKey").encode())
        else:
            self.answer(403, ERROR.format("AccessDenied").encode())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.send_header("ETag", '"x"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def seen() -> list[str]:
    return []


@pytest.fixture
def start(tmp_path: Path, seen: list[str]) -> Iterator[Start]:
    """A function that serves a store in one of the modes and gives the endpoint."""
    root = zarr.create_group(tmp_path / "a.zarr")
    root.create_array("temp", shape=(8,), chunks=(2,), dtype="f4")[...] = np.arange(8) + 1
    zarr.consolidate_metadata(tmp_path / "a.zarr")
    servers: list[ThreadingHTTPServer] = []

    def serve(mode: str) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Bucket, tmp_path, mode, seen))
        servers.append(server)
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def check(endpoint: str, **options: Any) -> dict[str, CheckResult]:
    report = check_store(check_request(store="s3://bucket/a.zarr", anonymous=True, endpoint_url=endpoint, sample=None, **options))
    return {result.id: result for result in report.checks}


def test_a_public_store_passes_without_a_signature(start: Start, seen: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOFSOMEBODY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    found = check(start("honest"))
    passed = {"open", "metadata", "json", "consolidated", "codecs", "decode", "fill_value", "anonymous"}
    assert {name for name, result in found.items() if result.status == "passed"} == passed
    assert {result.status for name, result in found.items() if name not in passed} == {"skipped"}
    assert set(seen) == {"None"}, "no request carried a signature, whatever the environment holds"


def test_a_server_that_hides_what_is_missing_is_a_warning_with_its_cause(start: Start) -> None:
    result = check(start("hiding"))["anonymous"]
    assert (result.status, result.severity) == ("warning", "warning")
    assert "grants reading but not listing: add .rlistings" in result.message


def test_a_private_store_fails_with_the_way_out(start: Start) -> None:
    found = check(start("private"))
    assert found["open"].status == found["anonymous"].status == "failed"
    assert "not public" in found["open"].message
    assert "AUTH_<project id>" in found["anonymous"].message
    assert {result.status for name, result in found.items() if name not in ("open", "anonymous")} == {"skipped"}


def test_a_missing_chunk_is_told_without_a_listing(start: Start, tmp_path: Path) -> None:
    (tmp_path / "a.zarr/temp/c/2").unlink()
    assert "temp/c/2: missing" in check(start("honest"))["decode"].message


def test_a_forbidden_chunk_is_not_called_missing(start: Start, tmp_path: Path) -> None:
    (tmp_path / "a.zarr/temp/c/2").unlink()
    message = check(start("hiding"))["decode"].message
    assert "temp/c/2: there, but cannot be read" not in message
    assert "temp/c/2: not allowed" in message


def test_a_folder_has_no_anonymous_clients(tmp_path: Path, start: Start) -> None:
    result = check_store(check_request(store=str(tmp_path / "a.zarr"), checks=("anonymous",))).checks[0]
    assert (result.status, result.message) == ("skipped", "a folder has no anonymous readers")


def test_an_anonymous_client_has_to_be_told_where_to_go() -> None:
    with pytest.raises(BadRequest, match="endpoint_url is not set"):
        check_store(check_request(store="s3://bucket/a.zarr", anonymous=True))
