"""A Zarr store on a web server as a source: real HTTP, read like any other, identified without being read."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import xarray as xr
from asking import write_request
from zarrstream.commands.write import preview, write_dataset
from zarrstream.errors import AccessRefused, BadRequest, SourceError, ZarrstreamError
from zarrstream.storage.location import web_place
from zarrstream.write.result import WriteResult

pytestmark = [
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),
    pytest.mark.filterwarnings("ignore:.*does not have a Zarr V3 specification"),
]


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder, lists nothing, says no where a test wants it, and keeps what it was asked for."""

    asked: list[tuple[str, str]]
    forbidden = ""

    def send_head(self) -> Any:
        self.asked.append((self.command, self.path))
        if self.forbidden and self.forbidden in self.path:
            self.send_error(403)
            return None
        return super().send_head()

    def list_directory(self, path: Any) -> None:  # noqa: ARG002 - the base calls it so
        self.send_error(404)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ThreadingHTTPServer]:
    (tmp_path / "www").mkdir()
    handler = type("Own", (Handler,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(tmp_path / "www"))) as made:
        made.handler = handler  # type: ignore[attr-defined]
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def dataset() -> xr.Dataset:
    values = np.arange(60, dtype="f4").reshape(12, 5)
    values[3] = np.nan
    return xr.Dataset({"air": (("time", "x"), values), "crs": ((), np.int32(1))}, {"time": np.arange(12)}, {"title": "web"})


def serve(server: ThreadingHTTPServer, tmp_path: Path, zarr_format: Literal[2, 3] = 3, **options: Any) -> str:
    dataset().to_zarr(tmp_path / "www/a b.zarr", zarr_format=zarr_format, encoding={"air": {"chunks": (4, 5)}}, **options)
    return f"http://127.0.0.1:{server.server_port}/a%20b.zarr"


def write(source: str, store: Path, **options: Any) -> WriteResult:
    return write_dataset(write_request(source=(source,), store=str(store), **{"verify": "full", **options}))


@pytest.mark.parametrize("zarr_format", [2, pytest.param(3, marks=pytest.mark.thorough)])
def test_a_store_on_a_web_server_is_written_and_known_again(
    server: ThreadingHTTPServer, tmp_path: Path, zarr_format: Literal[2, 3]
) -> None:
    url, asked = serve(server, tmp_path, zarr_format), server.handler.asked  # type: ignore[attr-defined]
    assert write(url, tmp_path / "b.zarr").changed
    xr.testing.assert_identical(xr.open_zarr(tmp_path / "b.zarr").load(), dataset())
    asked.clear()
    assert not write(url, tmp_path / "b.zarr").changed
    assert not [
        path
        for command, path in asked
        if command == "GET" and path.rpartition("/")[2] not in (".zmetadata", ".zarray", ".zattrs", ".zgroup", "zarr.json")
    ]
    assert {path.rpartition("/")[2] for command, path in asked if command == "HEAD"}
    changed = dataset()
    changed["air"][5, 0] = 7
    changed.to_zarr(tmp_path / "www/a b.zarr", zarr_format=zarr_format, mode="w", encoding={"air": {"chunks": (4, 5)}})
    for path in (tmp_path / "www").rglob("*"):  # this server has no ETags, and times of a second
        os.utime(path, (path.stat().st_mtime + 60,) * 2)
    assert write(url, tmp_path / "c.zarr").fingerprint != write(str(tmp_path / "b.zarr"), tmp_path / "d.zarr").fingerprint
    with pytest.raises(ZarrstreamError, match="from a source with other contents"):
        write(url, tmp_path / "b.zarr")


def test_what_nobody_can_list_has_to_be_consolidated(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    url = serve(server, tmp_path, consolidated=False)
    with pytest.raises(SourceError, match=r"no consolidated metadata, and a web server lists nothing.*s3://"):
        preview(write_request(source=(url,), store=str(tmp_path / "b.zarr")))


def test_a_refusal_is_no_missing_chunk(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    url = serve(server, tmp_path)
    server.handler.forbidden = "/air/c/1"  # type: ignore[attr-defined]
    with pytest.raises(AccessRefused, match=r"air/c/1/0 at http://127.* with no credentials"):
        write(url, tmp_path / "b.zarr")
    assert not (tmp_path / "b.zarr").exists()


@pytest.mark.parametrize(
    ("path", "error", "words"),
    [
        ("nothing.zarr", SourceError, "is not a Zarr store, .*nor a file: .*404 Not Found"),
        ("", BadRequest, "write https://host/folder/name.nc"),
    ],
)
def test_what_is_no_store_there_is_named(
    server: ThreadingHTTPServer, tmp_path: Path, path: str, error: type[ZarrstreamError], words: str
) -> None:
    with pytest.raises(error, match=words):
        preview(write_request(source=(f"http://127.0.0.1:{server.server_port}/{path}",), store=str(tmp_path / "b.zarr")))


@pytest.mark.parametrize(
    "url", ["https:///a.zarr", "https://h", "https://h/a.zarr?x=1", "https://u:secret@h/a.zarr", "https://h/a/../b.zarr", "https://h/a//b"]
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(BadRequest) as error:
        web_place(url)
    assert "source is 'https://" in str(error.value)
    assert "secret" not in f"{error.value} {error.value.details}"
