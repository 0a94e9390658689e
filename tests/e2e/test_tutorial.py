"""The tutorial's own acceptance: each of its steps, as a person would take it, against what the playbook set up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Demo, run

BUCKET = "zarr-demo"


@pytest.fixture
def person(demo: Demo) -> dict[str, str]:
    """The environment of somebody who follows the tutorial: clouds.yaml and the AWS configuration are where the kit put them."""
    build = demo.checkout / "build"
    return {
        **demo.environment,
        "OS_CLIENT_CONFIG_FILE": str(build / "cloud/clouds.yaml"),
        "OS_CLOUD": "embedded",
        "AWS_CONFIG_FILE": str(build / "aws/config"),
        "AWS_PROFILE": "zarrstream",
    }


def openstack(demo: Demo, person: dict[str, str], *words: str) -> list[dict[str, str]]:
    return json.loads(run([demo.checkout / "build/venv/bin/openstack", *words, "-f", "json"], demo.checkout, person))


def python(demo: Demo, person: dict[str, str], program: str) -> str:
    return run([demo.checkout / "build/stack/current/bin/python", "-c", program], demo.checkout, person)


def test_list_the_bucket_with_the_openstack_client(demo: Demo, person: dict[str, str]) -> None:
    names = {row["Name"] for row in openstack(demo, person, "object", "list", BUCKET, "--all")}
    assert "air-temperature.zarr/zarr.json" in names


def test_the_project_has_one_pair_of_ec2_credentials(demo: Demo, person: dict[str, str]) -> None:
    assert len(openstack(demo, person, "ec2", "credentials", "list")) == 1


def test_test_access_with_s3fs(demo: Demo, person: dict[str, str]) -> None:
    listed = python(demo, person, f"import s3fs; print(s3fs.S3FileSystem().ls({BUCKET!r}))")
    assert f"{BUCKET}/air-temperature.zarr" in listed


def test_debug_with_boto3_only(demo: Demo, person: dict[str, str]) -> None:
    program = f"""
import boto3
client = boto3.client("s3")
client.put_object(Bucket={BUCKET!r}, Key="testobject", Body=b"hello")
assert client.get_object(Bucket={BUCKET!r}, Key="testobject")["Body"].read() == b"hello"
client.delete_object(Bucket={BUCKET!r}, Key="testobject")
print([b["Name"] for b in client.list_buckets()["Buckets"]])
"""
    assert BUCKET in python(demo, person, program)


WRITE = """
import sys, xarray, s3fs
from dask.distributed import Client

if __name__ == "__main__":
    source, local, remote = sys.argv[1:]
    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None):
        dataset = xarray.open_dataset(source, chunks={"time": 60}).drop_encoding()
        dataset.to_zarr(local)
        dataset.to_zarr(s3fs.S3Map(remote, s3=s3fs.S3FileSystem()))
        back = xarray.open_zarr(s3fs.S3Map(remote, s3=s3fs.S3FileSystem()))
        xarray.testing.assert_equal(back.load(), dataset.load())
    print("written")
"""


def test_write_locally_then_to_the_bucket_with_the_distributed_scheduler(demo: Demo, person: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "write.py"
    script.write_text(WRITE)
    source = next((demo.checkout / "build/demo-data").rglob("E1_north_america.nc"))
    remote = f"{BUCKET}/by-hand.zarr"
    python_path = demo.checkout / "build/stack/current/bin/python"
    assert "written" in run([python_path, script, source, tmp_path / "local.zarr", remote], demo.checkout, person)
    anonymous = f"""
import s3fs, xarray
fs = s3fs.S3FileSystem(anon=True, endpoint_url={demo.endpoint!r})
print(xarray.open_zarr(s3fs.S3Map({remote!r}, s3=fs))["air_temperature"].shape)
"""
    assert demo.python(anonymous, home=tmp_path).strip() == "(240, 37, 49)"


def test_read_through_stock_swift_without_credentials(demo: Demo, person: dict[str, str], tmp_path: Path) -> None:
    project = openstack(demo, person, "token", "issue")["project_id"]  # type: ignore[call-overload]
    anonymous = f"""
import xarray
options = {{"anon": True, "endpoint_url": "{demo.endpoint}/v1/AUTH_{project}"}}
print(xarray.open_zarr("s3://{BUCKET}/air-temperature.zarr", storage_options=options)["air_temperature"].shape)
print(xarray.open_zarr("{demo.endpoint}/v1/AUTH_{project}/{BUCKET}/air-temperature.zarr")["air_temperature"].shape)
"""
    assert demo.python(anonymous, home=tmp_path).split("\n")[:2] == ["(240, 37, 49)"] * 2
