"""zarr_check against real Swift over TLS: stores of our own writer, tampered with by boto3, read with keys and without."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from asking import check_request, check_store, write_request
from zarrstream.check.run import CHECKS
from zarrstream.commands.write import write_dataset
from zarrstream.errors import AccessRefused, NotFound, Unreachable
from zarrstream.findings import CheckResult
from zarrstream.storage.objects import BucketObjects

UNASKED = ("fresh", "nan_share", "range")  # made where their option says what to expect
BUCKETS = {"zarr-check": "", "zarr-check-public": ".r:*,.rlistings", "zarr-check-half-public": ".r:*"}


@dataclass(frozen=True)
class Place:
    """The data set of these tests in one bucket."""

    cloud: Any
    s3: Any
    bucket: str
    config: Path
    source: Path
    name: str

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.name}"

    def check(self, *checks: str, **options: Any) -> dict[str, CheckResult]:
        signed = {} if options.get("anonymous") else {"profile": "zarr", "config_file": str(self.config)}
        report = check_store(check_request(**{"store": self.url, "checks": checks, **signed, **options}))
        return {result.id: result for result in report.checks}

    def put(self, key: str, data: bytes) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=f"{self.name}/{key}", Body=data)

    def get(self, key: str) -> bytes:
        return bytes(self.s3.get_object(Bucket=self.bucket, Key=f"{self.name}/{key}")["Body"].read())

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=self.bucket, Key=f"{self.name}/{key}")


def write_profile(path: Path, cloud: Any, access: str, secret: str) -> Path:
    path.touch(0o600)
    path.write_text(
        f"[profile zarr]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\nregion = {cloud.region}\n"
        f"endpoint_url = {cloud.s3_endpoint}\nca_bundle = {cloud.ca_bundle}\n"
    )
    return path


@pytest.fixture(scope="module")
def setting(cloud: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path, Path]]:
    """A client, a profile, and a NetCDF file; the three buckets exist."""
    folder = tmp_path_factory.mktemp("zarr-check")
    access, secret = cloud.new_ec2_key()
    client = cloud.s3(access, secret)
    with cloud.connect() as connection:
        for bucket, acl in BUCKETS.items():
            client.create_bucket(Bucket=bucket)
            connection.object_store.post(f"/{bucket}", headers={"X-Container-Read": acl}).raise_for_status()
    values = np.random.default_rng(0).normal(280, 10, (24, 10, 12)).astype("f4")
    values[0, 0, :2] = np.nan, -0.0
    variables = {
        "temp": (("time", "y", "x"), values, {"units": "K"}),
        "count": (("x",), np.arange(12, dtype="i2"), {"scale_factor": 0.5}),
        "time": (("time",), np.arange(24, dtype="i4"), {"units": "hours since 2000-01-01"}),
    }
    xr.Dataset(variables, attrs={"title": "test"}).to_netcdf(folder / "a.nc", engine="netcdf4")
    yield client, write_profile(folder / "config", cloud, access, secret), folder / "a.nc"
    for bucket in BUCKETS:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for entry in page.get("Contents", []):
                client.delete_object(Bucket=bucket, Key=entry["Key"])
        client.delete_bucket(Bucket=bucket)


def make_place(cloud: Any, setting: tuple[Any, Path, Path], bucket: str, name: str, zarr_format: Any = 3, **options: Any) -> Place:
    client, config, source = setting
    place = Place(cloud, client, bucket, config, source, name)
    options = {"profile": "zarr", "config_file": str(config), "zarr_format": zarr_format, "chunks": {"time": 6}, **options}
    write_dataset(write_request(source=(str(source),), store=place.url, **options))
    return place


@pytest.fixture
def place(cloud: Any, setting: tuple[Any, Path, Path], request: pytest.FixtureRequest) -> Place:
    return make_place(cloud, setting, "zarr-check", f"{request.node.name.replace('[', '-').rstrip(']')}.zarr")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_store_of_our_writer_passes_every_check(cloud: Any, setting: tuple[Any, Path, Path], zarr_format: int) -> None:
    sharded = {"shards": {"time": 12}} if zarr_format == 3 else {}
    place = make_place(cloud, setting, "zarr-check-public", f"sound-{zarr_format}.zarr", zarr_format, **sharded)
    found = place.check(*CHECKS, source=(str(place.source),), sample=None)
    odd = {name: (result.status, result.message) for name, result in found.items() if result.status != "passed" and name not in UNASKED}
    assert odd == ({} if sharded else {"inner_chunks": ("skipped", "no array has shards")})
    assert not sharded or 0 < found["inner_chunks"].evidence["bytes_read"] < 1000, "indexes alone"
    assert "the size and MD5 that were written; no object was read" in found["manifest"].message
    assert found["manifest"].evidence["by_size"] == 0
    assert "bit for bit" in found["values"].message
    assert cloud.s3_endpoint in found["anonymous"].message


def test_what_a_listing_shows_of_tampering(place: Place) -> None:
    sound = place.get("temp/c/1/0/0")
    place.put("temp/c/1/0/0", sound[:-1] + bytes([sound[-1] ^ 1]))
    result = place.check("manifest")["manifest"]
    assert result.status == "failed"
    assert "temp/c/1/0/0: its MD5 is" in result.message, "one flipped bit of the same size"
    place.put("temp/c/1/0/0", sound)
    place.delete("temp/c/2/0/0")
    place.put("temp/c/3/0/0", b"")
    place.put("temp/c/9/0/0", b"old")
    found = place.check("complete", "sizes", "strays", "manifest")
    assert "temp/c/2/0/0: missing" in found["complete"].message
    assert "temp/c/3/0/0: empty" in found["sizes"].message
    assert "temp/c/9/0/0" in found["strays"].message
    assert found["manifest"].evidence["count"] == 3


def test_a_changed_value_is_found_without_any_manifest(place: Place) -> None:
    import zarr

    local = {key: place.get(key) for key in ("count/zarr.json", "count/c/0")}
    folder = place.config.parent / "changed"
    for key, data in local.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(data)
    zarr.open_array(folder / "count", mode="r+")[3] = 99
    place.put("count/c/0", (folder / "count/c/0").read_bytes())
    place.s3.delete_object(Bucket=place.bucket, Key=f"{place.name}.zarrstream/manifest.json")
    found = place.check(source=(str(place.source),))
    assert found["manifest"].status == "skipped"
    assert "count/c/0: 1 elements differ, first at [3]: stored 99, in the source 3" in found["values"].message


def test_listing_checks_read_no_object_but_the_metadata(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    get = BucketObjects.get

    def noted(self: BucketObjects, key: str) -> bytes | None:
        read.append(key)
        return get(self, key)

    monkeypatch.setattr(BucketObjects, "get", noted)
    found = place.check("open", "metadata", "consolidated", "complete", "strays", "sizes", "manifest", "codecs", "fill_value")
    assert {result.status for result in found.values()} == {"passed"}
    assert not [key for key in read if not key.endswith(".json")]
    assert len(read) == len(set(read)), "each document once"


def test_nothing_and_a_broken_off_write_are_told_apart(place: Place) -> None:
    assert "nothing is there" in place.check(store="s3://zarr-check/no-such.zarr")["open"].message
    place.delete("zarr.json")
    place.s3.put_object(Bucket=place.bucket, Key=f"{place.name}.zarrstream/writing.json", Body=b'{"began": "2026-03-04T05:06:07Z"}')
    assert "under way or was interrupted since 2026-03-04T05:06:07" in place.check()["open"].message


def test_what_is_no_finding_is_an_error(place: Place, cloud: Any, tmp_path: Path, free_ports: Any) -> None:
    with pytest.raises(NotFound, match="bucket 'no-such-bucket' is not at"):
        place.check(store="s3://no-such-bucket/a.zarr")
    wrong = write_profile(tmp_path / "wrong", cloud, place.s3._request_signer._credentials.access_key, "0" * 32)
    with pytest.raises(AccessRefused, match="SignatureDoesNotMatch"):
        place.check(config_file=str(wrong))
    started = time.monotonic()
    with pytest.raises(Unreachable, match="Is the address right"):
        place.check(endpoint_url=f"https://127.0.0.1:{free_ports(1)[0]}")
    assert time.monotonic() - started < 30


# without credentials


def swift_url(cloud: Any) -> str:
    return f"{cloud.swift_url}/v1/AUTH_{cloud.project_id('embedded')}"


def test_a_public_store_in_both_anonymous_forms(cloud: Any, setting: tuple[Any, Path, Path]) -> None:
    place = make_place(cloud, setting, "zarr-check-public", "forms.zarr")
    options = {"anonymous": True, "ca_bundle": cloud.ca_bundle, "sample": None}
    found = place.check(endpoint_url=cloud.s3_endpoint, **options)
    assert {name for name, result in found.items() if result.status != "passed"} == {"inner_chunks", "roundtrip", "values", *UNASKED}
    found = place.check(endpoint_url=swift_url(cloud), **options)
    assert {name for name, result in found.items() if result.status == "skipped"} == {
        *UNASKED,
        *("complete", "strays", "sizes", "inner_chunks", "manifest", "chunk_size", "roundtrip", "values"),
    }
    assert "no S3 listing" in found["complete"].message
    assert {result.status for result in found.values()} == {"passed", "skipped"}
    assert found["decode"].evidence["decoded"] == 6
    assert "AUTH_" in found["anonymous"].message
    place.delete("temp/c/2/0/0")
    assert "temp/c/2/0/0: missing" in place.check(endpoint_url=swift_url(cloud), **options)["decode"].message


def test_an_anonymous_check_may_take_endpoint_and_ca_from_a_profile(cloud: Any, setting: tuple[Any, Path, Path]) -> None:
    place = make_place(cloud, setting, "zarr-check-public", "profile.zarr")
    for endpoint in (None, swift_url(cloud)):
        options = {"anonymous": True, "profile": "zarr", "config_file": str(place.config), "endpoint_url": endpoint}
        assert place.check("anonymous", **options)["anonymous"].status == "passed"


@pytest.mark.parametrize("form", ["s3", "swift"])
def test_a_private_store_fails_for_anonymous_clients(place: Place, form: str) -> None:
    endpoint = place.cloud.s3_endpoint if form == "s3" else swift_url(place.cloud)
    found = place.check(anonymous=True, ca_bundle=place.cloud.ca_bundle, endpoint_url=endpoint)
    assert found["open"].status == found["anonymous"].status == "failed"
    assert "not public" in found["open"].message
    signed = place.check("open", "anonymous")
    assert (signed["open"].status, signed["anonymous"].status) == ("passed", "failed")
    assert "not readable without credentials" in signed["anonymous"].message


def test_a_bucket_that_anonymous_clients_may_read_but_not_list(cloud: Any, setting: tuple[Any, Path, Path]) -> None:
    place = make_place(cloud, setting, "zarr-check-half-public", "half.zarr")
    assert "answered 404" in place.check("anonymous")["anonymous"].message, "Swift is honest even so"
    found = place.check(anonymous=True, endpoint_url=cloud.s3_endpoint, ca_bundle=cloud.ca_bundle)
    assert found["decode"].status == found["anonymous"].status == "passed"
    assert found["complete"].status == "skipped"
    assert "cannot be listed without credentials" in found["complete"].message


# the module


def test_the_module_and_its_report(place: Place, modules: Any, tmp_path: Path) -> None:
    arguments = {"store": place.url, "profile": "zarr", "config_file": str(place.config), "source": str(place.source)}
    arguments["report"] = str(tmp_path / "reports")
    file = tmp_path / "reports" / f"{place.name}.json"

    def ask(check: bool = False, **more: Any) -> dict[str, Any]:
        return modules("zarr_check", {**arguments, **more}, check).result

    assert (ask(check=True)["changed"], file.exists()) == (True, False)
    assert ask()["changed"]
    document = json.loads(file.read_text())
    assert document["ok"] is True
    assert [result["id"] for result in document["checks"]] == list(CHECKS)
    assert not ask(check=True)["changed"]
    assert not ask()["changed"], "the report says the same"
    assert json.loads(file.read_text()) == document

    place.delete("temp/c/2/0/0")
    failed = ask()
    assert failed["failed"]
    assert "temp/c/2/0/0: missing" in failed["msg"]
    assert json.loads(file.read_text())["ok"] is False
    assert not ask(fail_on="never").get("failed")


def test_no_secret_in_the_output(place: Place, run_playbook: Any, tmp_path: Path) -> None:
    secret = place.s3._request_signer._credentials.secret_key
    options = {"store": place.url, "profile": "zarr", "config_file": str(place.config), "source": str(place.source)}
    shown, results = run_playbook.tasks({"found": {"zarr_check": {**options, "report": str(tmp_path / "reports")}}}, "-vvv")
    assert (results["found"]["changed"], results["found"]["summary"]["failed"]) == (True, 0)
    assert secret not in shown.output
    assert secret not in "".join(file.read_text() for file in (tmp_path / "reports").iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"store": "s3://b/../a.zarr"}, "are not allowed"),
        ({"store": "/tmp/a.zarr", "sample": "many"}, "sample is 'many'"),
        ({"store": "/tmp/a.zarr", "checks": ["opne"]}, "value of checks must be one or more of"),
        (
            {"store": "s3://bucket/a.zarr", "endpoint_url": "https://h:1/swift/v1", "profile": "zarr"},
            "is the path of the Swift API, which does not speak S3",
        ),
        ({"store": "s3://bucket/a.zarr", "profile": "nobody"}, "it has: zarr"),
    ],
)
def test_bad_input_gets_one_clear_line(setting: tuple[Any, Path, Path], modules: Any, options: dict[str, Any], message: str) -> None:
    config = {"config_file": str(setting[1])} if "profile" in options else {}
    failed = modules("zarr_check", options | config).result
    assert failed["failed"]
    assert message in failed["msg"]
    assert "\n" not in failed["msg"]
