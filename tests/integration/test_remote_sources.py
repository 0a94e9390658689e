# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Objects of a real object store that are read by ranges: signed, by a signed URL, anonymously, and while they change."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from integration.test_zarr_write import write_profile
from zarrstream.errors import SourceError
from zarrstream.storage.access import Access
from zarrstream.storage.remote import SourceAccess
from zarrstream.storage.remote_errors import SourceChanged
from zarrstream.storage.remote_reach import RemoteReach

DATA = random.Random(1).randbytes(3 * 2**20)
BUCKET, KEY = f"remote-sources-{uuid4().hex[:8]}", "2020/å b/air+1.nc"


@pytest.fixture(scope="module")
def place(cloud: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Access]]:
    """A client that signs, and how the bucket is reached."""
    keys, folder = cloud.new_ec2_key(), tmp_path_factory.mktemp("remote")
    s3 = cloud.s3(*keys)
    s3.create_bucket(Bucket=BUCKET)
    for key in (KEY, "2020/empty.nc", "2021/air.nc"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"" if "empty" in key else DATA)
    yield s3, Access("zarr", config_file=str(write_profile(folder / "config", cloud, *keys)))
    for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
        s3.delete_object(Bucket=BUCKET, Key=entry["Key"])
    s3.delete_bucket(Bucket=BUCKET)


def test_an_object_is_read_by_ranges(place: tuple[Any, Access]) -> None:
    reach = RemoteReach(SourceAccess(), place[1])
    assert reach.list(f"s3://{BUCKET}/20*/**/*.nc") == [f"s3://{BUCKET}/{key}" for key in ("2020/empty.nc", KEY, "2021/air.nc")]
    assert reach.list(f"s3://{BUCKET}/2021/*.nc") == [f"s3://{BUCKET}/2021/air.nc"]
    found = reach.open(f"s3://{BUCKET}/{KEY}")
    assert (found.version.size, found.ranges, found.version.known) == (len(DATA), True, True)
    assert found.read(2**20, 2**21) == DATA[2**20 : 2**21]
    assert reach.open(f"s3://{BUCKET}/2020/empty.nc").version.size == 0
    assert reach.retries == 0


def test_an_object_that_changes_is_an_error(place: tuple[Any, Access]) -> None:
    s3, access = place
    found = RemoteReach(SourceAccess(), access).open(f"s3://{BUCKET}/2021/air.nc")
    s3.put_object(Bucket=BUCKET, Key="2021/air.nc", Body=DATA[::-1])
    with pytest.raises(SourceChanged, match=r"changed while it was being read \(bytes 1048576-2097151\)"):
        found.read(2**20, 2**21)


def test_a_signed_url_is_a_source(place: tuple[Any, Access], cloud: Any) -> None:
    s3, _access = place
    reach = RemoteReach(SourceAccess(ca_bundle=cloud.ca_bundle))
    url = s3.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": KEY}, ExpiresIn=600)
    assert reach.open(url).read(2**20, 2**21) == DATA[2**20 : 2**21]
    with pytest.raises(SourceError, match="with the signature in its URL") as caught:
        reach.open(url[:-1] + ("0" if url[-1] != "0" else "1"))
    assert "ignature=" not in str(caught.value)


def test_what_is_refused_or_missing_is_said(place: tuple[Any, Access], cloud: Any, tmp_path: Path) -> None:
    s3, access = place
    with pytest.raises(SourceError, match=f"source 's3://{BUCKET}/none.nc': it is not there"):
        RemoteReach(SourceAccess(), access).open(f"s3://{BUCKET}/none.nc")
    pair = s3._request_signer._credentials.access_key
    wrong = Access("zarr", config_file=str(write_profile(tmp_path / "config", cloud, pair, "no-such-secret")))
    with pytest.raises(SourceError, match=r"with profile 'zarr' \(access key ….*the secret is wrong"):
        RemoteReach(SourceAccess(), wrong).open(f"s3://{BUCKET}/{KEY}")
    anonymous = RemoteReach(SourceAccess(anonymous=True), access)
    with pytest.raises(SourceError, match=r"with no credentials.*source_profile"):
        anonymous.open(f"s3://{BUCKET}/{KEY}")


def test_a_public_bucket_is_read_without_keys(place: tuple[Any, Access], cloud: Any) -> None:
    """By the URL of the project, as stock Swift has it; its listing is Swift's own."""
    with cloud.connect() as connection:
        endpoint = f"{cloud.swift_url}/v1/AUTH_{connection.current_project_id}"
        connection.object_store.post(f"/{BUCKET}", headers={"X-Container-Read": ".r:*,.rlistings"})
    reach = RemoteReach(SourceAccess(anonymous=True, endpoint_url=endpoint, ca_bundle=cloud.ca_bundle))
    assert reach.list(f"s3://{BUCKET}/2020/*.nc") == [f"s3://{BUCKET}/2020/empty.nc"]
    assert reach.list(f"s3://{BUCKET}/**/air*") == [f"s3://{BUCKET}/{KEY}", f"s3://{BUCKET}/2021/air.nc"]
    assert reach.open(f"s3://{BUCKET}/{KEY}").read(2**20, 2**21) == DATA[2**20 : 2**21]
