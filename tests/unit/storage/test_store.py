"""Places and objects, in folders; buckets are in the integration tests."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from zarrstream.errors import BadRequest, Conflict, ProfileError, ZarrstreamError
from zarrstream.storage.access import Access, access_from
from zarrstream.storage.location import parse_store
from zarrstream.storage.open import open_objects


@pytest.mark.parametrize(
    ("text", "bucket", "key"),
    [
        ("s3://climate/air.zarr", "climate", "air.zarr"),
        ("s3://climate/a/b/air.zarr/", "climate", "a/b/air.zarr"),
        ("/data/air.zarr", None, "air.zarr"),
        ("/data/air.zarr/", None, "air.zarr"),
        ("file:///data/air.zarr", None, "air.zarr"),
    ],
)
def test_a_store_is_a_bucket_with_a_key_or_a_folder(text: str, bucket: str | None, key: str) -> None:
    place = parse_store(text)
    assert (place.bucket, place.key, place.sidecar) == (bucket, key, f"{key}.zarrstream")
    assert (place.parent is None) == (bucket is not None)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("s3:///air.zarr", "bucket"),
        ("s3://climate", "name below its bucket"),
        ("s3://climate/", "name below its bucket"),
        ("s3://climate/a/../b", "'..'"),
        ("s3://climate/a//b", "empty parts"),
        ("s3://cli mate/b", "not a bucket's name"),
        ("/data/../etc", "'..'"),
        ("gs://climate/air.zarr", "scheme 'gs' is unknown"),
        ("https://host/air.zarr", "scheme 'https' is unknown"),
        ("/", "name a folder"),
    ],
)
def test_what_is_no_store_is_refused(text: str, word: str) -> None:
    with pytest.raises(BadRequest, match="store is") as error:
        parse_store(text)
    assert word in str(error.value)


def test_objects_of_a_folder(tmp_path: Path) -> None:
    objects = open_objects(parse_store(str(tmp_path / "air.zarr")), make_folders=True)
    objects.put("air.zarr/zarr.json", b"{}")
    asyncio.run(objects.put_async("air.zarr/a b/c/0", b"123"))
    assert {(info.key, info.size) for info in objects.list("air.zarr")} == {("air.zarr/zarr.json", 2), ("air.zarr/a b/c/0", 3)}
    assert objects.get("air.zarr/a b/c/0") == b"123"
    assert objects.get("air.zarr/nothing") is None
    with pytest.raises(Conflict, match="exists already"):
        objects.put("air.zarr/zarr.json", b"[]", create=True)
    assert objects.get("air.zarr/zarr.json") == b"{}"
    objects.delete(["air.zarr/zarr.json", "air.zarr/never.was"])
    assert [info.key for info in objects.list("air.zarr")] == ["air.zarr/a b/c/0"]


def test_reading_makes_no_folder(tmp_path: Path) -> None:
    objects = open_objects(parse_store(str(tmp_path / "deep" / "air.zarr")))
    assert objects.get("air.zarr/zarr.json") is None
    assert list(objects.list("air.zarr")) == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ZarrstreamError, match="file"):
        open_objects(parse_store(str(tmp_path / "file" / "air.zarr")), make_folders=True).put("air.zarr/zarr.json", b"")


def test_sweeping_removes_half_written_files_and_nothing_else(tmp_path: Path) -> None:
    theirs = [tmp_path / "air.zarr" / "a" / "0#1", tmp_path / "air.zarr.zarrstream" / "parts" / "notes", tmp_path / ("0" * 32)]
    ours = tmp_path / "air.zarr.zarrstream" / "parts" / ("0" * 32)
    for path in (*theirs, ours):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    objects = open_objects(parse_store(str(tmp_path / "air.zarr")))
    objects.sweep()
    assert [path.exists() for path in (*theirs, ours)] == [True, True, True, False]
    assert [info.key for info in objects.list("air.zarr")] == ["air.zarr/a/0#1"]


def test_a_bucket_needs_a_profile_that_is_there(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("[profile other]\nregion = here\n")
    with pytest.raises(ProfileError, match=r"'zarr' is not in .*it has: other"):
        open_objects(parse_store("s3://climate/a.zarr"), Access("zarr", config_file=str(config)))


def test_the_swift_api_is_no_s3_endpoint(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("[profile zarr]\naws_access_key_id = a\naws_secret_access_key = b\n")
    with pytest.raises(BadRequest, match=r"Use 'https://host:8001'"):
        open_objects(parse_store("s3://climate/a.zarr"), Access("zarr", "https://host:8001/swift/v1", str(config)))


@pytest.mark.parametrize("anonymous", [True, False])
@pytest.mark.parametrize(("content", "words"), [(None, "cannot be read"), ("no certificate", "no certificate in PEM form")])
def test_a_ca_that_is_none_is_named(tmp_path: Path, anonymous: bool, content: str | None, words: str) -> None:
    config, authority = tmp_path / "config", tmp_path / "ca.pem"
    config.write_text(f"[profile zarr]\naws_access_key_id = a\naws_secret_access_key = b\nca_bundle = {authority}\n")
    if content is not None:
        authority.write_text(content)
    options = {"ca_bundle": str(authority)} if anonymous else {"profile": "zarr", "config_file": str(config)}
    with pytest.raises(ProfileError, match=f"ca_bundle is '{authority}': .*{words}.*Name the file") as error:
        open_objects(parse_store("s3://climate/a.zarr"), Access(endpoint_url="https://host:8001", **options), anonymous=anonymous)
    assert "\n" not in str(error.value)
    assert error.value.details == {"ca_bundle": str(authority)}


def test_an_access_shows_no_keys_and_takes_no_nonsense() -> None:
    access = access_from({"profile": "zarr", "endpoint_url": "https://me:hidden@host", "timeout": 5, "store": "a.zarr", "ca_bundle": None})
    assert access == Access("zarr", "https://me:hidden@host", timeout=5)
    assert "hidden" not in repr(access)
    with pytest.raises(BadRequest, match="holds a user name or password"):
        open_objects(parse_store("s3://climate/a.zarr"), Access(endpoint_url="https://me:hidden@host"), anonymous=True)
