# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The role bucket on Ceph RGW, where three mechanisms open a bucket: grants by name stay, and a bucket is emptied through S3."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
import yaml
from botocore.exceptions import ClientError
from integration.test_zarr_write import write_profile


@pytest.fixture(scope="module")
def here(rgw: Any) -> Any:
    """The region that names both services."""
    return rgw.site("iu-s3")


@pytest.fixture(scope="module")
def key(here: Any) -> tuple[str, str]:
    return here.new_ec2_key()


@pytest.fixture
def bucket(here: Any, key: tuple[str, str]) -> str:
    """A bucket that holds an object."""
    name = f"grants-{uuid4().hex[:12]}"
    here.s3(*key).create_bucket(Bucket=name)
    here.s3(*key).put_object(Bucket=name, Key="hello", Body=b"hello")
    return name


@pytest.fixture
def declare(here: Any, run_playbook: Any, bucket: str) -> Any:
    """A function that runs the role, for each step once."""

    def run(*steps: dict[str, Any], check: bool = True) -> Any:
        play = [{"hosts": "localhost", "gather_facts": False, "roles": ["bucket"], "vars": step} for step in steps]
        wanted, env = {"bucket_cloud": "embedded", "bucket_name": bucket}, {"OS_CLIENT_CONFIG_FILE": str(here.clouds_file)}
        return run_playbook(yaml.safe_dump(play), extra_vars=wanted, env=env, check=check)

    return run


def is_allowed(send: Callable[[], Any]) -> bool:
    try:
        send()
    except ClientError as error:
        return error.response["Error"]["Code"] != "AccessDenied"
    return True


def may(here: Any, bucket: str, key: tuple[str, str]) -> set[str]:
    """What a project may do: list, and read, by S3; read by the Swift API."""
    s3 = here.s3(*key)
    requests_of = {"list": lambda: s3.list_objects_v2(Bucket=bucket), "read": lambda: s3.get_object(Bucket=bucket, Key="hello")}
    allowed = {name for name, send in requests_of.items() if is_allowed(send)}
    with here.connect("embedded-other") as connection:
        if connection.session.get(f"{here.swift_url}/swift/v1/{bucket}/hello", raise_exc=False).ok:
            allowed.add("read by Swift")
    return allowed


def grant(here: Any, bucket: str, s3: Any, how: str) -> None:
    """Let the other project in by one of the mechanisms."""
    project, mine = here.project_id("embedded-other"), here.project_id()
    if how == "Swift ACL":
        with here.connect() as connection:
            connection.object_store.set_container_metadata(bucket, read_ACL=f"{project}:*")
    elif how == "policy":
        resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
        principal, actions = {"AWS": [f"arn:aws:iam::{project}:root"]}, ["s3:ListBucket", "s3:GetObject"]
        statement = {"Effect": "Allow", "Principal": principal, "Action": actions, "Resource": resources}
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    elif how == "bucket ACL":
        s3.put_bucket_acl(Bucket=bucket, GrantRead=f"id={project}", GrantFullControl=f"id={mine}")
    else:
        s3.put_object_acl(Bucket=bucket, Key="hello", GrantRead=f"id={project}", GrantFullControl=f"id={mine}")


@pytest.mark.parametrize(
    ("how", "allowed"),
    [
        ("Swift ACL", {"read by Swift"}),
        ("policy", {"list", "read", "read by Swift"}),
        pytest.param("bucket ACL", {"list"}, marks=pytest.mark.thorough),
        pytest.param("object ACL", {"read", "read by Swift"}, marks=pytest.mark.thorough),
    ],
)
def test_a_grant_to_a_project_by_name_stays(
    here: Any, bucket: str, key: tuple[str, str], declare: Any, how: str, allowed: set[str]
) -> None:
    """RGW keeps the bucket's ACL and the Swift ACL in one place, and the later one rules: what would end a grant by name is refused."""
    theirs = here.new_ec2_key("embedded-other")
    grant(here, bucket, here.s3(*key), how)
    assert may(here, bucket, theirs) == allowed
    assert declare({"bucket_public": False}).changed == 0
    assert may(here, bucket, theirs) == allowed
    if how == "bucket ACL":
        refused = declare({"bucket_public": True}, check=False)
        assert "would go with the change of its Swift ACL. Nothing was changed. Declare with bucket_read" in " ".join(
            refused.stdout.split()
        )
        assert (refused.changed, may(here, bucket, theirs)) == (0, allowed)
        assert declare({"bucket_public": True, "bucket_read": []}, {"bucket_public": False}).changed == 2
        allowed = set()
    else:
        assert declare({"bucket_public": True}, {"bucket_public": False}).changed == 2
    assert requests.get(f"{here.s3_endpoint}/{bucket}/hello", verify=here.ca_bundle, timeout=30).status_code == 403
    assert may(here, bucket, theirs) == allowed


def test_a_bucket_is_emptied_through_s3(here: Any, bucket: str, key: tuple[str, str], declare: Any, tmp_path: Path) -> None:
    s3 = here.s3(*key)
    for number in range(20):
        s3.put_object(Bucket=bucket, Key=f"air.zarr/c/{number}", Body=b"x")
    profile = write_profile(tmp_path / "config", here, *key)
    gone = declare({"bucket_state": "absent", "bucket_delete_objects": True, "bucket_profile": "zarr", "bucket_config_file": str(profile)})
    assert "one by one" not in gone.stdout
    with pytest.raises(ClientError, match="404"):
        s3.head_bucket(Bucket=bucket)
