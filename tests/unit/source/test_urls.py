# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sources by URL: found with few requests, identified by what their server says of them, refused with one line."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import check_request, write_request
from web_server import Server, Thing, says, web_server
from zarrstream.dask.job import urls_of
from zarrstream.errors import BadRequest, SourceError, ZarrstreamError
from zarrstream.options import SOURCE_OPTIONS
from zarrstream.scheduler import Scheduler
from zarrstream.source.items import Item, Stat, check_apart, find_again, find_source, read_at_each_run, stat_items, take_digests
from zarrstream.source.urls import secrets_of
from zarrstream.storage import retry
from zarrstream.storage.location import parse_store
from zarrstream.storage.remote import CONCURRENCY
from zarrstream.storage.source_access import check_here, from_plain, plain_source_access
from zarrstream.write.request import WriteRequest

HDF5 = b"\x89HDF\r\n\x1a\n".ljust(40_000, b"x")
CLASSIC = b"CDF\x01" + struct.pack(">IIIIIII", 0, 0, 0, 0, 0, 0, 0)


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    with web_server() as server:
        yield server


@pytest.fixture
def server(shared: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("NETRC", os.devnull)
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.01)
    shared.clear()
    shared.things = {"/bkt/air.nc": Thing(HDF5), "/bkt/sea.nc": Thing(CLASSIC), "/bkt/deep/air.h5": Thing(HDF5, etag='"deep"')}
    return shared


def asked(*source: str, **options: Any) -> WriteRequest:
    return write_request(source, "/nowhere/a.zarr", **options)


def find(*source: str, **options: Any) -> tuple[Item, ...]:
    request = asked(*source, **options)
    return find_source(request.source, request)


def in_bucket(server: Server, *source: str) -> tuple[Item, ...]:
    server.s3 = True
    return find(*source, source_endpoint_url=server.url, source_anonymous=True)


def digests(items: tuple[Item, ...]) -> list[str]:
    return [stat.digest for stat in take_digests(items, stat_items(items))]


def test_files_on_the_web_cost_a_request_each_and_keep_their_places_among_others(server: Server, tmp_path: Path) -> None:
    local = tmp_path / "here.nc"
    local.write_bytes(CLASSIC)
    items = find(f"{server.url}/bkt/air.nc", str(local), f"{server.url}/bkt/sea.nc?key=1")
    assert [(item.kind, item.name, item.remote is None) for item in items] == [
        ("netcdf", "air.nc", False),
        ("netcdf", "here.nc", True),
        ("netcdf", "sea.nc", False),
    ]
    assert items[2].place == f"{server.url}/bkt/sea.nc"
    assert "key=1" not in repr(items)
    assert len(server.seen) == 2
    assert [stat.size for stat in stat_items(items)] == [len(HDF5), len(CLASSIC), len(CLASSIC)]


def test_keys_of_a_bucket_by_name_and_by_pattern(server: Server) -> None:
    assert [item.place for item in in_bucket(server, "s3://bkt/*.nc")] == ["s3://bkt/air.nc", "s3://bkt/sea.nc"]
    assert [item.place for item in in_bucket(server, "s3://bkt/deep/air.h5", "s3://bkt/sea.nc")] == [
        "s3://bkt/deep/air.h5",
        "s3://bkt/sea.nc",
    ]
    with pytest.raises(SourceError, match="no such object"):
        in_bucket(server, "s3://bkt/*.hdf")


def test_a_text_file_lists_urls(server: Server, tmp_path: Path) -> None:
    urls = tmp_path / "urls.TXT"
    urls.write_text(f"# two of them\n\n{server.url}/bkt/sea.nc?X-Amz-Signature=hush\n  {server.url}/bkt/air.nc  \n", encoding="utf-8-sig")
    assert [item.name for item in find(str(urls))] == ["sea.nc", "air.nc"]
    for line, says_what in (
        ("/data/air.nc", r"line 1: '/data/air\.nc' is no URL.*'source' itself"),
        ("file:///data/air.nc", "is no URL"),
        ("ftp://host/air.nc", "line 1: .*scheme 'ftp' is unknown"),
        ("https://me:hush@host/air.nc", r"line 1: .*~/\.netrc"),
        ("https://host/*.nc", "line 1: .*no patterns"),
        ("# nothing", "lists no URL"),
    ):
        urls.write_text(line)
        with pytest.raises(SourceError, match=says_what) as caught:
            find(str(urls))
        assert "hush" not in str(caught.value)
    urls.write_bytes(b"\xff\xfe")
    with pytest.raises(SourceError, match="UTF-8"):
        find(str(urls))
    urls.write_bytes(CLASSIC)  # a file is what it begins with, whatever it is called
    assert find(str(urls))[0].remote is None


@pytest.mark.parametrize(
    ("url", "says_what"),
    [
        ("ftp://host/a.nc", "scheme 'ftp' is unknown. Use https://, s3:// or a path"),
        ("https://me:hush@host/a.nc", r"~/\.netrc"),
        ("https://host/2024/*.nc", r"lists nothing.*text file.*urls\.txt"),
        ("https://host/a.nc#part", "%23"),
        ("https://host:port/a.nc", "no URL"),
        ("https://host", "names no file"),
        ("s3://bucket", "needs a name|names no object"),
    ],
)
def test_urls_without_sense_are_refused_with_a_way_out(url: str, says_what: str) -> None:
    with pytest.raises(BadRequest, match=says_what) as caught:
        find(url)
    assert "hush" not in str(caught.value)


def test_what_is_neither_gets_one_line(server: Server) -> None:
    server.things["/bkt/text.nc"] = Thing(b"hello, this is no such file")
    server.things["/bkt/page.nc"] = Thing(b"<!DOCTYPE html><html>log in</html>", kind="text/html")
    server.things["/bkt/cut.nc"] = Thing(CLASSIC[:-4] + b"\0\0\0\1")
    for name, says_what in (
        ("text.nc", r"neither NetCDF nor HDF5: it begins with b'hello, t'"),
        ("page.nc", "web page"),
        ("cut.nc", "truncated or damaged"),
        ("gone.nc", "not there .404"),
        ("gone.zarr", r"not a Zarr store, as it has no zarr\.json or \.zgroup, nor a file: .*404"),
        ("sea.nc?again", "twice"),
    ):
        with pytest.raises(SourceError, match=says_what) as caught:
            find(f"{server.url}/bkt/sea.nc", f"{server.url}/bkt/{name}")
        assert "\n" not in str(caught.value)


def test_a_classic_file_that_was_cut_is_refused(server: Server) -> None:
    # One dimension of 100 floats, and a variable of it behind the header.
    name = b"\0\0\0\1x\0\0\0"
    header = b"CDF\x01" + struct.pack(">III", 0, 10, 1) + name + struct.pack(">IIIII", 100, 0, 0, 11, 1)
    header += name + struct.pack(">IIIIIII", 1, 0, 0, 0, 5, 400, len(header) + len(name) + 28)
    server.things["/bkt/whole.nc"] = Thing(header + bytes(400))
    server.things["/bkt/cut.nc"] = Thing(header + bytes(396))
    assert find(f"{server.url}/bkt/whole.nc")[0].kind == "netcdf"
    with pytest.raises(SourceError, match=f"is truncated: {len(header) + 396} bytes, its header promises {len(header) + 400}"):
        find(f"{server.url}/bkt/cut.nc")


def test_hdf5_behind_a_user_block(server: Server) -> None:
    server.things["/bkt/far.h5"] = Thing(b"mine".ljust(2**16, b" ") + HDF5)
    assert find(f"{server.url}/bkt/far.h5")[0].kind == "netcdf"


def test_a_zarr_store_is_found_by_its_name_or_when_there_is_no_file(server: Server) -> None:
    server.things["/bkt/air.zarr/zarr.json"] = server.things["/bkt/deep/store/zarr.json"] = Thing(b"{}")
    assert [(item.kind, item.name) for item in find(f"{server.url}/bkt/air.zarr")] == [("zarr", "air.zarr")]
    assert [path for path, _headers in server.seen] == ["/bkt/air.zarr/zarr.json"]
    assert [(item.kind, item.name) for item in find(f"{server.url}/bkt/deep/store")] == [("zarr", "store")]
    assert in_bucket(server, "s3://bkt/air.zarr")[0].kind == "zarr"
    with pytest.raises(BadRequest, match="Zarr store beside others"):
        find(f"{server.url}/bkt/air.zarr", f"{server.url}/bkt/air.nc")


def test_a_zarr_store_on_the_web_is_read_with_a_token_that_goes_nowhere_else(server: Server, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text("hush")
    server.things["/bkt/air.zarr/zarr.json"] = Thing(b"{}")
    (item,) = find(f"{server.url}/bkt/air.zarr", source_token_file=str(token))
    assert item.kind == "zarr"
    assert [headers["authorization"] for _path, headers in server.seen] == ["Bearer hush"]
    with web_server() as other:
        other.things["/bkt/air.zarr/zarr.json"] = Thing(b"{}")
        server.faults["/bkt/air.zarr/zarr.json"] = iter([says(307, location=f"{other.url}/bkt/air.zarr/zarr.json")] * 9)
        find(f"{server.url}/bkt/air.zarr", source_token_file=str(token))
        assert [headers.get("authorization") for _path, headers in other.seen] == [None]


def test_a_dead_server_is_not_asked_for_a_store(server: Server) -> None:
    server.faults["/bkt/air.nc"] = iter([says(500)] * 50)
    with pytest.raises(ZarrstreamError, match="500"):
        find(f"{server.url}/bkt/air.nc", timeout=0.2)
    assert {path for path, _headers in server.seen} == {"/bkt/air.nc"}


def test_what_the_server_says_identifies_a_file(server: Server) -> None:
    url = f"{server.url}/bkt/air.nc"
    first = find(url)
    again = find(f"{url}?signature=2")
    assert digests(first) == digests(again)
    for other in (Thing(HDF5, etag='"2"'), Thing(HDF5, modified="Wed, 25 Nov 2026 00:00:00 GMT"), Thing(HDF5 + b"x", etag='"1"')):
        server.things["/bkt/air.nc"] = other
        assert digests(find(url)) != digests(first)


def test_without_tag_and_time_all_bytes_do(server: Server) -> None:
    server.things["/bkt/air.nc"] = Thing(HDF5, etag="", modified="")
    first = find(f"{server.url}/bkt/air.nc")
    assert read_at_each_run(first) == [f"{server.url}/bkt/air.nc"]
    before = digests(first)
    assert digests(find(f"{server.url}/bkt/air.nc")) == before
    server.things["/bkt/air.nc"] = Thing(HDF5[:-1] + b"y", etag="", modified="")
    assert digests(find(f"{server.url}/bkt/air.nc")) != before


def test_each_file_is_asked_for_again_at_the_end_several_at_a_time(server: Server, tmp_path: Path) -> None:
    local = tmp_path / "here.nc"
    local.write_bytes(CLASSIC)
    for number in range(20):
        server.things[f"/bkt/{number}.nc"] = Thing(HDF5, etag=f'"{number}"')
    request = asked(str(local), *(f"{server.url}/bkt/{number}.nc" for number in range(20)), source_concurrency=4)
    items = find_source(request.source, request)
    before, seen = digests(items), len(server.seen)
    server.things["/bkt/7.nc"] = Thing(HDF5, etag='"other"')
    after = digests(find_again(items, request))
    assert [number for number in range(21) if before[number] != after[number]] == [8]
    assert len(server.seen) == seen + 20
    assert server.most <= 4
    assert request.traffic("").requests == len(server.seen)


def test_a_source_within_the_store_is_refused_where_both_are_at_one_endpoint(server: Server) -> None:
    items = in_bucket(server, "s3://bkt/deep/air.h5")
    with pytest.raises(BadRequest, match="lie in one another"):
        check_apart(items, parse_store("s3://bkt/deep"), server.url)
    check_apart(items, parse_store("s3://bkt/deep"), "https://elsewhere.example")
    check_apart(items, parse_store("s3://bkt/other"), server.url)
    check_apart(find(f"{server.url}/bkt/air.nc"), parse_store("s3://bkt/air.nc"), server.url)


def test_workers_get_urls_letter_by_letter_and_secrets_by_tls_alone(server: Server) -> None:
    server.things["/bkt/a[1]?.nc"] = Thing(HDF5)
    items = in_bucket(server, "s3://bkt/a*1*.nc")
    plain, encrypted = Scheduler("tcp://10.0.0.5:8786", "10.0.0.5", 8786), Scheduler("tls://10.0.0.5:8786", "10.0.0.5", 8786)
    assert in_bucket(server, *urls_of(items, plain))[0].place == "s3://bkt/a[1]?.nc"
    signed = find(f"{server.url}/bkt/air.nc?X-Amz-Signature=hush")
    assert urls_of(signed, encrypted) == [f"{server.url}/bkt/air.nc?X-Amz-Signature=hush"]
    with pytest.raises(BadRequest, match=r"not encrypted.*tls://") as caught:
        urls_of(signed, plain)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says_what"),
    [
        ({"source_concurrency": 0}, "source_concurrency is 0: .*1 to 256"),
        ({"source_concurrency": True}, "source_concurrency is True"),
        ({"source_anonymous": True, "source_profile": "other"}, "source_anonymous is true and source_profile is 'other'"),
        ({"source_endpoint_url": "https://s3.example.org/swift/v1"}, r"source_endpoint_url is .*Use 'https://s3\.example\.org'"),
        ({"source_endpoint_url": "https://s3.example.org", "source": ["/a.nc"]}, "source names nothing in a bucket"),
        ({"source_hosts": ["https://other.example/"]}, "source_hosts names 'https://other.example/'.*host:port"),
        ({"source_hosts": "other.example"}, "it is a list"),
        ({"source_token_file": " "}, "source_token_file is empty"),
    ],
)
def test_options_without_sense(options: dict[str, Any], says_what: str) -> None:
    source = options.pop("source", ["s3://bkt/a.nc"])
    for ask in (lambda: asked(*source, **options), lambda: check_request("/a.zarr", source=source, **options)):
        with pytest.raises(BadRequest, match=says_what):
            ask()


def test_a_spool_is_a_folder_outside_of_the_store(tmp_path: Path) -> None:
    store = parse_store(str(tmp_path / "air.zarr"))
    (tmp_path / "air.zarr" / "spool").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "air.zarr" / "spool")
    for place, says_what in (("none", "no folder"), ("air.zarr/spool", "lies in the store"), ("link", "lies in the store")):
        access = asked("s3://bkt/a.nc", spool=str(tmp_path / place)).source_access
        with pytest.raises(BadRequest, match=f"spool is '.*{place}'.*{says_what}"):
            check_here(access, store)
    check_here(asked("s3://bkt/a.nc", spool=str(tmp_path)).source_access, store)


def test_the_access_goes_to_workers_as_plain_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    access = asked(
        "s3://bkt/a.nc", source_profile="p", source_token_file="t", source_hosts=["H.example"], spool=".", timeout=5.0
    ).source_access
    values = json.loads(json.dumps(plain_source_access(access)))
    assert values["token_file"] == str(tmp_path / "t")
    there = from_plain(values)
    assert (there.profile, there.hosts, there.spool, there.timeout) == ("p", ("h.example",), str(tmp_path), 5.0)


def test_the_modules_default_is_the_cores() -> None:
    assert SOURCE_OPTIONS["source_concurrency"]["default"] == CONCURRENCY


def test_how_a_source_is_reached_makes_no_other_store() -> None:
    plain = asked("s3://bkt/a.nc").identity()
    assert asked("s3://bkt/a.nc", source_profile="p", source_hosts=["h"], source_concurrency=3, spool="/tmp").identity() == plain


def test_what_of_a_url_is_secret() -> None:
    assert secrets_of("https://me:hush@host/a.nc?sig=1&b=2") == ["me:hush@", "?sig=1&b=2"]
    assert secrets_of("https://host/a@b.nc") == secrets_of("/data/what?.nc") == secrets_of("s3://bkt/a?.nc") == []


def test_a_digest_in_a_manifest_is_not_taken_for_what_is_elsewhere(server: Server) -> None:
    items = find(f"{server.url}/bkt/air.nc")
    known = [Stat("air.nc", len(HDF5), 0, "known")]
    assert take_digests(items, stat_items(items), known)[0].digest != "known"
