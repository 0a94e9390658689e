"""Checks of the listing cost one request for a thousand objects, and read none of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from asking import check_request, check_store
from running import THOROUGH

OBJECTS = 100_000 if THOROUGH else 10_000
LISTING_CHECKS = ("open", "metadata", "complete", "strays", "sizes", "manifest", "chunk_size")
ARRAY = {
    "zarr_format": 3,
    "node_type": "array",
    "shape": [OBJECTS],
    "data_type": "uint8",
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1]}},
    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
    "fill_value": 0,
    "codecs": [{"name": "bytes"}],
}
DOCUMENT = json.dumps(ARRAY).encode()
MD5 = "d41d8cd98f00b204e9800998ecf8427e"
KEYS = sorted(["zarr.json", *(f"c/{number}" for number in range(OBJECTS))])


def manifest() -> bytes:
    objects = {key: [len(DOCUMENT) if key == "zarr.json" else 1, MD5] for key in KEYS}
    head = {"zarrstream_manifest": 1, "fingerprint": "f", "zarr_format": 3, "created": "2026-01-01T00:00:00Z", "request": {}, "source": []}
    return json.dumps({**head, "objects": objects}).encode()


def page(start: int) -> bytes:
    entries = "".join(
        f"<Contents><Key>big.zarr/{key}</Key><Size>{len(DOCUMENT) if key == 'zarr.json' else 1}</Size>"
        f"<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;{MD5}&quot;</ETag></Contents>"
        for key in KEYS[start : start + 1000]
    )
    more = start + 1000 < len(KEYS)
    token = f"<NextContinuationToken>{start + 1000}</NextContinuationToken>" if more else ""
    return f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{entries}</ListBucketResult>".encode()


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """A bucket of many objects that counts what it is asked for. No real server makes so many within a unit test."""

    class Bucket(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            query = parse_qs(asked.query)
            requests.append("LIST" if "list-type" in query else asked.path)
            bodies = {"/bucket/big.zarr/zarr.json": DOCUMENT, "/bucket/big.zarr.zarrstream/manifest.json": whole}
            body = page(int(query.get("continuation-token", ["0"])[0])) if "list-type" in query else bodies.get(asked.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
            self.send_header("ETag", '"x"')
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_arguments: Any) -> None:
            pass

    requests: list[str] = []
    whole = manifest()
    made = ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
    made.requests = requests  # type: ignore[attr-defined]
    Thread(target=made.serve_forever, args=(0.05,), daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def test_a_request_is_enough_for_a_thousand_objects(server: Any, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        f"[profile big]\naws_access_key_id = a\naws_secret_access_key = b\nendpoint_url = http://127.0.0.1:{server.server_port}\n"
    )
    request = check_request(store="s3://bucket/big.zarr", profile="big", config_file=str(config), checks=LISTING_CHECKS)
    found = {result.id: result for result in check_store(request).checks}
    assert {name for name, result in found.items() if result.status != "passed"} == {"chunk_size"}
    assert found["complete"].evidence["expected"] == OBJECTS
    assert found["manifest"].evidence["by_size"] == 0
    assert server.requests.count("LIST") == OBJECTS // 1000 + 1
    assert len(server.requests) <= OBJECTS // 1000 + 1 + 3, "and the document, the manifest, and a look for the lock of a write"
