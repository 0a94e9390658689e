"""Whom sources are asked for as, and what is sent where: no secret is shown, or goes to another server than the one it is for."""

from __future__ import annotations

import pickle
import re
import ssl
import traceback
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import count, repeat
from pathlib import Path
from typing import Any

import pytest
from web_server import Server, Thing, own_certificate, says, web_server
from zarrstream.errors import BadRequest, ProfileError, SourceError
from zarrstream.storage import remote_list, retry
from zarrstream.storage.access import Access
from zarrstream.storage.remote import SourceAccess
from zarrstream.storage.remote_reach import RemoteReach, source_access
from zarrstream.storage.remote_urls import key_pattern, shown_url
from zarrstream.storage.retry import Transport
from zarrstream.storage.signed_urls import valid_until

DATA = bytes(range(256)) * 200
PLACE = "/folder/air.nc"
SECRET, PASSWORD, TOKEN = "s3cret-of-keys", "pa55word-of-netrc", "t0ken-of-a-file"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    return own_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def shared(certificate: tuple[Path, ssl.SSLContext]) -> Iterator[dict[str, Server]]:
    with web_server() as plain, web_server() as other, web_server(certificate[1]) as secure:
        yield {"plain": plain, "other": other, "secure": secure}


@pytest.fixture
def servers(shared: dict[str, Server], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Server]:
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.01)
    for server in shared.values():
        server.clear()
        server.things[PLACE] = Thing(DATA)
    return shared


@pytest.fixture
def server(servers: dict[str, Server]) -> Server:
    return servers["plain"]


@pytest.fixture
def netrc(servers: dict[str, Server], tmp_path: Path) -> Path:
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login ada password {PASSWORD}\ndefault login ada password default-{PASSWORD}\n")
    return tmp_path / "netrc"


@pytest.fixture
def token(tmp_path: Path) -> str:
    file = tmp_path / "token"
    file.touch(0o600)
    file.write_text(f"{TOKEN}\n")
    return str(file)


def config(folder: Path, server: Server) -> Access:
    lines = f"aws_access_key_id = AKIA0123\naws_secret_access_key = {SECRET}\nregion = RegionTwo\nendpoint_url = {server.url}\n"
    (folder / "config").write_text(f"[profile zarr]\n{lines}")
    return Access("zarr", config_file=str(folder / "config"))


def reach(access: Access = Access(), **options: Any) -> RemoteReach:  # noqa: B008 - a constant
    return RemoteReach(SourceAccess(**{"timeout": 30.0, **options}), access)


@pytest.fixture(scope="module")
def keyed(shared: dict[str, Server], tmp_path_factory: pytest.TempPathFactory) -> RemoteReach:
    """One for several tests: a client that lists costs more than what it is asked for here."""
    return reach(config(tmp_path_factory.mktemp("keys"), shared["plain"]))


def all_of(error: BaseException) -> str:
    """Everything that is shown of an error, however it is shown."""
    return "".join(traceback.format_exception(error)) + repr(error) + str(getattr(error, "details", ""))


def refused(mine: RemoteReach, url: str, words: str) -> str:
    with pytest.raises(SourceError, match=words) as caught:
        mine.open(url)
    text = all_of(caught.value)
    assert not re.search(f"{SECRET}|{PASSWORD}|{TOKEN}|Signature=|sig=", text)
    return text


# Credentials.


def test_netrc_is_asked_by_itself(server: Server, netrc: Path):
    reach().open(server.url + PLACE)
    assert server.seen[0][1]["authorization"] == "Basic " + b64encode(f"ada:{PASSWORD}".encode()).decode()
    server.faults[PLACE] = repeat(says(401))
    refused(reach(), server.url + PLACE, rf"401 Unauthorized with the entry '127.0.0.1' of {netrc}: Look at user and password")


def test_default_entry_of_netrc_is_for_nobody(server: Server, netrc: Path):
    reach().open(server.url.replace("127.0.0.1", "localhost") + PLACE)
    assert "authorization" not in server.seen[0][1]
    netrc.write_text(f"machine 127.0.0.1 login ada passwort {PASSWORD}\n")
    refused(reach(), server.url + PLACE, f"{netrc} cannot be understood in line 1")


def test_netrc_is_not_sent_over_http(netrc: Path, monkeypatch: pytest.MonkeyPatch, servers: dict[str, Server]):
    """The proxy stands for a server that is not on this machine."""
    plain = servers["plain"]
    netrc.write_text(f"machine far.example.org login ada password {PASSWORD}\n")
    monkeypatch.setenv("http_proxy", plain.url)
    plain.faults[PLACE] = repeat(says(401))
    refused(reach(), f"http://far.example.org{PLACE}", "has an entry for it, which is not sent over http.*write https://")
    assert plain.seen[0][0] == f"http://far.example.org{PLACE}"
    assert "authorization" not in plain.seen[0][1]


def test_proxies_of_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", server.url)
    assert reach().open(f"http://far.example.org{PLACE}").read(20_000, 20_007) == DATA[20_000:20_007]
    monkeypatch.setenv("http_proxy", "http://ada:" + PASSWORD + "@127.0.0.1:9")
    refused(reach(timeout=0.2), f"http://far.example.org{PLACE}", "the proxy that the environment names does not answer")


def test_token_is_sent_and_read_again(server: Server, token: str):
    found = reach(token_file=token).open(server.url + PLACE)
    assert server.seen[-1][1]["authorization"] == f"Bearer {TOKEN}"
    Path(token).write_text("another-one\n")
    found.read(20_000, 20_001)
    assert server.seen[-1][1]["authorization"] == "Bearer another-one"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (
            says(401, www_authenticate='Bearer error="invalid_token", error_description="The token expired"'),
            "It has expired. Renew the token",
        ),
        (says(403), "403 Forbidden with the token in .*: Renew the token in .*source_token_file.*or check that it is for this server"),
        (says(302, location="https://login.example.org/?next=x&sig=1"), "another host, login.example.org:443 .*asks people to log in"),
    ],
)
def test_token_that_is_refused(server: Server, token: str, fault: Any, words: str):
    server.faults[PLACE] = repeat(fault)
    refused(reach(token_file=token), server.url + PLACE, words)


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        (TOKEN, 0o640, r"others may read it \(mode 0640\). chmod 600 it"),
        ("", 0o600, "does not hold one token"),
        (f"{TOKEN}\r\nX: y", 0o600, "does not hold one token"),
        (f"Bearer {TOKEN}", 0o600, "does not hold one token"),
        (None, 0o600, r"cannot be read \(No such file or directory\)"),
    ],
)
def test_token_file_that_is_none(server: Server, token: str, text: str | None, mode: int, words: str):
    if text is None:
        Path(token).unlink()
    else:
        Path(token).write_text(text)
        Path(token).chmod(mode)
    refused(reach(token_file=token), server.url + PLACE, f"source_token_file is '{token}': .*{words}")
    assert not server.seen


def test_token_goes_to_one_server_over_https(servers: dict[str, Server], token: str):
    with pytest.raises(BadRequest, match="a token is not sent over http, where others can read it"):
        reach(token_file=token).open("http://far.example.org/a.nc")
    mine = reach(token_file=token)
    mine.open(servers["plain"].url + PLACE)
    refused(mine, servers["other"].url + PLACE, "source_token_file is for one server, and the sources are on")
    assert not servers["other"].seen


def test_credentials_in_a_url_are_refused(server: Server):
    url = server.url.replace("//", f"//ada:{PASSWORD}@") + PLACE
    with pytest.raises(BadRequest, match=r"do not belong into a URL.*~/.netrc \(mode 0600\): machine 127.0.0.1 login NAME") as caught:
        reach().open(url)
    assert PASSWORD not in all_of(caught.value)
    assert not server.seen


NOW = datetime.now(UTC)
AMAZON = "X-Amz-Date={:%Y%m%dT%H%M%SZ}&X-Amz-Expires=6000&X-Amz-Signature=0123"


def test_signed_urls_are_used_and_not_shown(server: Server, netrc: Path):
    query = AMAZON.format(NOW)
    mine = reach()
    found = mine.open(f"{server.url}{PLACE}?{query}")
    assert server.seen[0][0] == f"{PLACE}?{query}"
    assert "authorization" not in server.seen[0][1]
    assert found.version.url == server.url + PLACE
    assert "Amz" not in repr(found) + repr(found.version) + repr(mine) + repr(vars(mine)) + repr(vars(found)) + str(
        pickle.dumps(found.version)
    )
    server.faults[PLACE] = repeat(says(500))
    refused(reach(timeout=0.1), f"{server.url}{PLACE}?{query}", "500 Internal Server Error")


@pytest.mark.parametrize(
    ("query", "body", "words"),
    [
        (
            AMAZON.format(NOW - timedelta(seconds=10_000)),
            b"",
            "403 Forbidden with the signature in its URL: that ended at .* UTC. Get a new URL",
        ),
        (
            AMAZON.format(NOW),
            b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>",
            "it has expired. Get a new",
        ),
        ("Expires=1000000000&Signature=0123", b"", "that ended at 2001-09-09 01:46:40 UTC"),
        ("se=2001-09-09T01%3A46%3A40Z&sig=0123", b"", "that ended at 2001-09-09 01:46:40 UTC"),
        ("temp_url_sig=0123&temp_url_expires=1000000000", b"", "that ended at 2001-09-09 01:46:40 UTC"),
        ("sig=0123", b"", "403 Forbidden with the signature in its URL: the URL is not complete"),
    ],
    ids=["amazon", "amazon says so", "old", "azure", "swift", "incomplete"],  # not by the time, which each process has another of
)
def test_signed_urls_that_are_refused(server: Server, query: str, body: bytes, words: str):
    server.faults[PLACE] = repeat(says(403, body))
    assert "0123" not in refused(reach(), f"{server.url}{PLACE}?{query}", words)


def test_what_is_shown_of_urls():
    assert shown_url("https://ada:pw@host:1/a/b@c.nc?x=1@2#f") == "https://host:1/a/b@c.nc"
    assert shown_url("https://host?x=1") == "https://host"
    assert shown_url("s3://bucket/a?b#c") == "s3://bucket/a?b#c"
    assert valid_until("https://host/a?X-Amz-Date=nonsense&X-Amz-Expires=1") is None


# TLS.


def test_certificates_are_checked(servers: dict[str, Server], certificate: tuple[Path, ssl.SSLContext], tmp_path: Path, token: str):
    secure = servers["secure"]
    refused(reach(), secure.url + PLACE, r"its certificate is not trusted \(self.signed certificate.*Set source_ca_bundle")
    for mine in (reach(ca_bundle=str(certificate[0]), token_file=token), reach(Access(ca_bundle=str(certificate[0])))):
        assert mine.open(secure.url + PLACE).read(20_000, 50_000) == DATA[20_000:50_000]
        mine.close()
    refused(reach(), servers["plain"].url.replace("http:", "https:") + PLACE, "TLS|speaks plain HTTP")
    (tmp_path / "none.pem").write_text("nothing")
    with pytest.raises(ProfileError, match="it holds no certificate"):
        reach(ca_bundle=str(tmp_path / "none.pem")).open(secure.url + PLACE)


# Redirects.


def test_redirects_on_one_server_are_followed(server: Server, netrc: Path):
    server.faults["/start"] = repeat(says(301, location="/next"))
    server.faults["/next"] = repeat(says(307, location=f"{server.url}{PLACE}?x=1"))
    found = reach().open(f"{server.url}/start")
    assert found.version.url == f"{server.url}/start"
    assert found.read(20_000, 20_003) == DATA[20_000:20_003]
    assert [path for path, _headers in server.seen] == ["/start", "/next", f"{PLACE}?x=1", f"{PLACE}?x=1"]
    assert all("authorization" in headers for _path, headers in server.seen)


def test_redirect_to_another_server_is_followed_only_where_allowed(servers: dict[str, Server], netrc: Path):
    plain, other = servers["plain"], servers["other"]
    plain.faults["/start"] = repeat(says(302, location=f"{other.url}{PLACE}?X-Amz-Signature=1"))
    where = other.url.removeprefix("http://")
    refused(reach(), f"{plain.url}/start", rf"sends on to another host, {where} \({other.url}{PLACE}\).*add '127.0.0.1' to source_hosts")
    refused(reach(hosts=("127.0.0.1:1", "elsewhere")), f"{plain.url}/start", "another host")
    assert not other.seen
    found = reach(hosts=(where,)).open(f"{plain.url}/start")
    assert found.read(20_000, 20_003) == DATA[20_000:20_003]
    assert len(other.seen) == 2
    assert len(plain.seen) == 3, "the place that it led to is asked from then on"
    assert not any("authorization" in headers for _path, headers in other.seen)
    other.faults[PLACE] = repeat(says(403))
    refused(reach(hosts=(where,)), f"{plain.url}/start", "403 Forbidden with no credentials: The first server sent on to there")


def test_place_that_is_over_is_asked_for_again(servers: dict[str, Server]):
    plain, other = servers["plain"], servers["other"]
    other.things["/second"] = Thing(DATA)
    plain.faults["/start"] = iter([says(302, location=other.url + PLACE), says(302, location=f"{other.url}/second")])
    found = reach(hosts=("127.0.0.1",)).open(f"{plain.url}/start")
    other.faults[PLACE] = repeat(says(403))
    assert found.read(20_000, 20_003) == DATA[20_000:20_003]
    assert found.read(30_000, 30_003) == DATA[30_000:30_003]
    assert [path for path, _headers in other.seen] == [PLACE, PLACE, "/second", "/second"]


def test_redirects_between_http_and_https(servers: dict[str, Server], certificate: tuple[Path, ssl.SSLContext]):
    plain, secure = servers["plain"], servers["secure"]
    mine = reach(ca_bundle=str(certificate[0]), hosts=("127.0.0.1",))
    plain.faults["/start"] = repeat(says(302, location=secure.url + PLACE))
    assert reach(ca_bundle=str(certificate[0])).open(f"{plain.url}/start").version.size == len(DATA)
    secure.faults["/start"] = repeat(says(302, location=plain.url + PLACE))
    refused(mine, f"{secure.url}/start", f"sends from https on to {plain.url}{PLACE}, where others can read")


def test_redirects_without_end(server: Server):
    server.faults[PLACE] = repeat(says(302, location=f"{PLACE}?sig=1"))
    refused(reach(), server.url + PLACE, "sends from one place to the next: http")
    assert len(server.seen) == 6
    server.faults[PLACE] = repeat(says(302, location=f"http://ada:{PASSWORD}@127.0.0.1/x"))
    with pytest.raises((SourceError, BadRequest)) as caught:
        reach().open(server.url + PLACE)
    assert PASSWORD not in all_of(caught.value)


# Buckets.


def test_buckets_are_read_with_the_keys_of_a_profile(server: Server, tmp_path: Path):
    server.s3, server.things = True, {"/data/å b/a+c?.nc": Thing(DATA)}
    found = reach(config(tmp_path, server)).open("s3://data/å b/a+c?.nc")
    assert found.version.url == "s3://data/å b/a+c?.nc"
    assert found.read(20_000, 20_003) == DATA[20_000:20_003]
    path, headers = server.seen[-1]
    assert path == "/data/%C3%A5%20b/a%2Bc%3F.nc"
    assert "Credential=AKIA0123/" in headers["authorization"]
    assert "/RegionTwo/s3/aws4_request" in headers["authorization"]
    assert SECRET not in repr(found) + repr(vars(found))


def test_anonymous_reads_have_no_signature(server: Server, tmp_path: Path):
    server.s3, server.things = True, {"/data/a.nc": Thing(DATA)}
    mine = reach(config(tmp_path, server), anonymous=True)
    mine.open("s3://data/a.nc")
    assert mine.list("s3://data/*.nc") == ["s3://data/a.nc"]
    assert not any("authorization" in headers for _path, headers in server.seen)
    refused(reach(config(tmp_path, server), anonymous=True), "s3://data/b.nc", "it is not there")
    with pytest.raises(BadRequest, match="source_anonymous is set, and no endpoint is known: set source_endpoint_url"):
        reach(anonymous=True).open("s3://data/a.nc")


@pytest.mark.parametrize(
    ("status", "code", "more", "words"),
    [
        (404, "NoSuchKey", "", "source 's3://data/a.nc': it is not there"),
        (404, "NoSuchBucket", "", "bucket 'data' is not at"),
        (403, "AccessDenied", "", r"403 AccessDenied with profile 'zarr' \(access key …0123\): .*source_anonymous; else .*source_profile"),
        (403, "InvalidAccessKeyId", "", "this cloud does not know the access key"),
        (403, "SignatureDoesNotMatch", "", "the secret is wrong"),
        (403, "RequestTimeTooSkewed", "", r"this host says .* UTC, the server 2001-09-09 .*Set this host's clock"),
        (400, "AuthorizationHeaderMalformed", "<Region>RegionOne</Region>", r"the server expects 'RegionOne'.*Set 'region' of the profile"),
        (400, "ExpiredToken", "", "400 ExpiredToken"),
        (301, "PermanentRedirect", "", r"is not followed: keys go to no other server"),
        (301, "PermanentRedirect", "<Endpoint>data.far.example.org</Endpoint>", "to 'https://data.far.example.org', which is not followed"),
    ],
)
def test_refusals_of_buckets(server: Server, keyed: RemoteReach, status: int, code: str, more: str, words: str):
    server.s3 = True
    date = format_datetime(datetime(2001, 9, 9, tzinfo=UTC), usegmt=True)
    body = f"<Error><Code>{code}</Code>{more}<Message>m</Message></Error>".encode()
    moved = {"location": "http://127.0.0.1:1/data/a.nc"} if status == 301 and not more else {}
    server.faults["/data/a.nc"] = server.faults["/data"] = repeat(says(status, body, date=date, **moved))
    refused(keyed, "s3://data/a.nc", words)
    if status != 301 and code != "NoSuchKey":
        with pytest.raises(SourceError, match=words.replace("a.nc", r"a.\*")):
            keyed.list("s3://data/a.*")


KEYS = ["a.nc", "b/1.nc", "b/2.nc", "b/3.txt", "b/c/4.nc", "b/c/d/5.nc", "b/[x].nc", "z/a-1.nc"]


@pytest.mark.parametrize(
    ("pattern", "keys"),
    [
        ("*.nc", ["a.nc"]),
        ("b/*.nc", ["b/1.nc", "b/2.nc", "b/[x].nc"]),
        ("b/?.nc", ["b/1.nc", "b/2.nc"]),
        ("b/[13].*", ["b/1.nc", "b/3.txt"]),
        ("b/[!1-2].txt", ["b/3.txt"]),
        ("b/[[]x].nc", ["b/[x].nc"]),
        ("b/**/*.nc", ["b/1.nc", "b/2.nc", "b/[x].nc", "b/c/4.nc", "b/c/d/5.nc"]),
        ("**/[45].nc", ["b/c/4.nc", "b/c/d/5.nc"]),
        ("*/c/*.nc", ["b/c/4.nc"]),
        ("b/c/**", ["b/c/4.nc", "b/c/d/5.nc"]),
        ("z/a-[0-9].nc", ["z/a-1.nc"]),
        ("a.nc", ["a.nc"]),
    ],
)
def test_patterns_of_keys(server: Server, keyed: RemoteReach, pattern: str, keys: list[str]):
    server.things = {f"/data/{key}": Thing(b"x") for key in KEYS}
    before = keyed.fetched.requests
    assert keyed.list(f"s3://data/{pattern}") == [f"s3://data/{key}" for key in keys]
    assert keyed.fetched.requests - before == len(server.seen)
    assert all("authorization" in headers for _path, headers in server.seen)


def test_patterns_without_an_end(server: Server, keyed: RemoteReach, monkeypatch: pytest.MonkeyPatch):
    server.things = {f"/data/{key}": Thing(b"x") for key in KEYS}
    with pytest.raises(SourceError, match=r"source 's3://data/b/\*.grib': the bucket has no such object: 4 keys begin with 'b/', none of"):
        keyed.list("s3://data/b/*.grib")
    with pytest.raises(SourceError, match="no key begins with 'y'"):
        keyed.list("s3://data/y*")
    with pytest.raises(BadRequest, match="a web server lists nothing: write the URLs into a text file"):
        keyed.list("https://host/*.nc?sig=1")
    with pytest.raises(BadRequest, match="not a set of letters"):
        keyed.list("s3://data/[z-a].nc")
    before = keyed.retries
    server.faults["/data"] = iter([says(503), says(503)])
    assert keyed.list("s3://data/z/*") == ["s3://data/z/a-1.nc"]
    assert keyed.retries - before == 2
    monkeypatch.setattr(remote_list, "KEYS", 5)
    with pytest.raises(SourceError, match="more than 5 keys begin with 'b/'"):
        keyed.list("s3://data/b/**")


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (
            "<IsTruncated>true</IsTruncated><Contents><Key>a1</Key></Contents><NextContinuationToken>t</NextContinuationToken>",
            "'a1' after 'a1'",
        ),
        ("<IsTruncated>true</IsTruncated>", "goes on, and not where"),
        ("<IsTruncated>false</IsTruncated><Contents><Key>b</Key></Contents>", "or what was not asked for"),
        ("<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>", "goes on, and not where"),
    ],
)
def test_listings_that_go_around_in_circles(server: Server, keyed: RemoteReach, page: str, words: str):
    server.faults["/data"] = repeat(says(200, f"<ListBucketResult>{page}</ListBucketResult>".encode()))
    with pytest.raises(SourceError, match=words):
        keyed.list("s3://data/a*")


def test_listing_of_nothing_without_end(server: Server, keyed: RemoteReach, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(remote_list, "EMPTY", 5)
    tokens = (f"<IsTruncated>true</IsTruncated><NextContinuationToken>{number}</NextContinuationToken>" for number in count())
    server.faults["/data"] = (says(200, f"<ListBucketResult>{token}</ListBucketResult>".encode()) for token in tokens)
    with pytest.raises(SourceError, match="goes on, and not where"):
        keyed.list("s3://data/a*")
    assert len(server.seen) == 5


def test_what_sources_do_not_say_is_that_of_the_store():
    store = Access("store", "https://store", "config", "store.pem", 5)
    assert source_access(SourceAccess(), store) == Access("store", "https://store", "config", "store.pem", 60)
    assert source_access(SourceAccess(endpoint_url="https://x", ca_bundle="x.pem"), store) == Access(
        "store", "https://x", "config", "x.pem", 60
    )
    assert source_access(SourceAccess(profile="own"), store) == Access("own", None, "config", None, 60)
    assert key_pattern("s3://data/x/*.nc").prefix == "x/"


def test_lanes_of_sources_are_their_own(server: Server):
    transport = Transport(30)
    mine = RemoteReach(SourceAccess(concurrency=2), transport=transport)
    mine.open(server.url + PLACE)
    assert transport.lane(server.url).limiter.limit == 8
    assert [lane.limiter.limit for name, lane in transport._lanes.items() if name.startswith("source ")] == [2]
