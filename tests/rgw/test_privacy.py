# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who comes to a bucket of Ceph RGW without credentials, by whichever mechanism; and what the role bucket does about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
import yaml
from integration.test_zarr_write import write_profile

KEYS = ("readme", "data/a/x", "data/b/y", "old/z")
ANYBODY, NAMED = "*", {"AWS": ["arn:aws:iam::{other}:root"]}
FROM_NOWHERE = {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}
USERS = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"


@pytest.fixture(scope="module")
def key(site: Any) -> tuple[str, str]:
    return site.new_ec2_key()


@pytest.fixture(scope="module")
def s3(site: Any, key: tuple[str, str]) -> Any:
    return site.s3(*key)


@pytest.fixture
def bucket(s3: Any) -> Callable[..., str]:
    """A function that makes a bucket with objects below several prefixes."""

    def make(*keys: str) -> str:
        name = f"privacy-{uuid4().hex[:12]}"
        s3.create_bucket(Bucket=name)
        for each in keys or KEYS:
            s3.put_object(Bucket=name, Key=each, Body=b"1")
        return name

    return make


@pytest.fixture
def find(site: Any, modules: Any) -> Callable[[str], dict[str, Any]]:
    """A function that asks the module about a bucket."""
    env = {"OS_CLIENT_CONFIG_FILE": str(site.clouds_file)}
    return lambda name: dict(modules("object_store_info", {"cloud": "embedded", "bucket": name}, env=env).result)


@pytest.fixture
def declare(site: Any, run_playbook: Any, key: tuple[str, str], tmp_path: Path) -> Any:
    """A function that runs the role for some buckets, each with its own variables."""
    profile = write_profile(tmp_path / "config", site, *key)

    def run(*steps: dict[str, Any], check: bool = True, arguments: tuple[str, ...] = ()) -> Any:
        play = [{"hosts": "localhost", "gather_facts": False, "roles": ["bucket"], "vars": step} for step in steps]
        wanted = {"bucket_cloud": "embedded", "bucket_profile": "zarr", "bucket_config_file": str(profile)}
        env = {"OS_CLIENT_CONFIG_FILE": str(site.clouds_file)}
        return run_playbook(yaml.safe_dump(play), *arguments, extra_vars=wanted, env=env, check=check)

    return run


def statement(name: str, below: str = "", actions: Any = "s3:GetObject", principal: Any = ANYBODY, **more: Any) -> dict[str, Any]:
    resources = [f"arn:aws:s3:::{name}/{below}*"] + ([f"arn:aws:s3:::{name}"] if "s3:ListBucket" in actions else [])
    return {"Effect": "Allow", "Principal": principal, "Action": actions, "Resource": resources, **more}


def set_policy(s3: Any, name: str, *statements: dict[str, Any]) -> None:
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))


def read_acl(site: Any, name: str, acl: str) -> None:
    with site.connect() as connection:
        connection.object_store.set_container_metadata(name, read_ACL=acl)


def not_for_one(name: str) -> dict[str, Any]:
    one = {"AWS": "arn:aws:iam::nobody:user/nobody"}
    return {each: value for each, value in statement(name).items() if each != "Principal"} | {"NotPrincipal": one}


OPENINGS: dict[str, Callable[[Any, Any, str], Any]] = {
    "Swift ACL": lambda site, _s3, name: read_acl(site, name, ".r:*,.rlistings"),
    "bucket ACL": lambda _site, s3, name: s3.put_bucket_acl(Bucket=name, ACL="public-read"),
    "bucket ACL for each user": lambda _site, s3, name: s3.put_bucket_acl(Bucket=name, ACL="authenticated-read"),
    "policy": lambda _site, s3, name: set_policy(s3, name, statement(name, actions=["s3:GetObject", "s3:ListBucket"])),
    "policy of a prefix": lambda _site, s3, name: set_policy(s3, name, statement(name, "data/b/")),
    "policy of a key": lambda _site, s3, name: set_policy(s3, name, statement(name, "no-such-object")),
    "policy for all but one": lambda _site, s3, name: set_policy(s3, name, not_for_one(name)),
    "policy from some addresses": lambda _site, s3, name: set_policy(s3, name, statement(name, Condition=FROM_NOWHERE)),
    "policy that lets write": lambda _site, s3, name: set_policy(s3, name, statement(name, actions="s3:PutObject")),
    "ACL of an object": lambda _site, s3, name: s3.put_object_acl(Bucket=name, Key="data/b/y", ACL="public-read"),
}


@pytest.mark.parametrize("how", OPENINGS)
def test_nothing_that_lets_anybody_in_passes_for_private(site: Any, s3: Any, bucket: Any, find: Any, how: str) -> None:
    name = bucket()
    assert find(name)["private"]
    OPENINGS[how](site, s3, name)
    found = find(name)
    assert not found["private"], found
    assert found["why_open"]
    assert found["public"] is (how in ("Swift ACL", "policy"))


def test_what_a_list_grants_is_no_right_to_read(s3: Any, bucket: Any, find: Any) -> None:
    """By a bucket ACL everybody lists, and every GET is 403, also of an empty bucket."""
    for name in (bucket(), bucket("only")):
        s3.put_bucket_acl(Bucket=name, ACL="public-read")
        if len(s3.list_objects_v2(Bucket=name)["Contents"]) == 1:
            s3.delete_object(Bucket=name, Key="only")
        anonymous = find(name)["anonymous"]
        assert (anonymous["s3_list"], anonymous["s3_read"], anonymous["swift_read"]) == (True, False, False)


def test_what_is_granted_by_name_is_private(site: Any, s3: Any, bucket: Any, find: Any) -> None:
    """Ceph RGW calls such a policy public."""
    name, other = bucket(), site.project_id("embedded-other")
    set_policy(s3, name, statement(name, principal={"AWS": [f"arn:aws:iam::{other}:root"]}))
    assert s3.get_bucket_policy_status(Bucket=name)["PolicyStatus"]["IsPublic"]
    assert find(name)["private"]


def test_what_cannot_be_read_is_said(site: Any, s3: Any, bucket: Any, modules: Any) -> None:
    """A login that has no pair, and no profile; it finds what keys of several prefixes show."""
    name = bucket()
    set_policy(s3, name, statement(name, "data/b/"))
    env = {"OS_CLIENT_CONFIG_FILE": str(site.clouds_file)}
    found = modules("object_store_info", {"cloud": "embedded-colleague", "bucket": name, "profile": "none"}, env=env).result
    assert found["anonymous"]["open_keys"] == ["data/b/y"]
    assert (found["private"], found["open_by"]) == (False, [])
    assert "its bucket policy and S3 ACL: profile 'none' is not in" in found["unknown"][0]
    assert "Keystone lists no pair" in found["unknown"][0]


def test_what_opens_a_private_bucket_is_closed_and_grants_by_name_stay(site: Any, s3: Any, bucket: Any, find: Any, declare: Any) -> None:
    theirs, other = site.s3(*site.new_ec2_key("embedded-other")), site.project_id("embedded-other")
    by_policy, by_acl = bucket(), bucket()
    named = statement(by_policy, actions=["s3:GetObject", "s3:ListBucket"], principal={"AWS": [f"arn:aws:iam::{other}:root"]})
    set_policy(s3, by_policy, named, statement(by_policy, "data/"))
    group = 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'
    s3.put_bucket_acl(Bucket=by_acl, GrantRead=f'{group},id="{other}"', GrantFullControl=f'id="{site.project_id()}"')
    steps = [{"bucket_name": each} for each in (by_policy, by_acl)]
    predicted = declare(*steps, arguments=("--check",))
    assert predicted.changed == 2
    assert f"- statement 2 of the bucket policy: s3:GetObject on {by_policy}/data/*" in predicted.stdout
    assert "- S3 ACL: READ for everybody" in predicted.stdout
    assert not find(by_policy)["private"], "a check closes nothing"
    assert declare(*steps, *steps).changed == 2, "the second time nothing is open"
    for name in (by_policy, by_acl):
        assert find(name)["private"]
        assert len(theirs.list_objects_v2(Bucket=name)["Contents"]) == len(KEYS), "the other project may as before"
    assert requests.get(f"{site.s3_endpoint}/{by_policy}/data/b/y", verify=site.ca_bundle, timeout=30).status_code == 403
    assert json.loads(s3.get_bucket_policy(Bucket=by_policy)["Policy"])["Statement"] == [named]


def test_what_cannot_be_judged_is_refused_and_the_ways_out_work(site: Any, s3: Any, bucket: Any, find: Any, declare: Any) -> None:
    del site
    conditional, by_object, writable = bucket(), bucket(), bucket()
    set_policy(s3, conditional, statement(conditional, Condition=FROM_NOWHERE))
    s3.put_object_acl(Bucket=by_object, Key="data/b/y", ACL="public-read")
    set_policy(s3, writable, statement(writable, actions="s3:*"))
    cases = [
        ({"bucket_name": conditional}, "lets anybody in under a condition, which the role does not judge. Nothing was changed."),
        ({"bucket_name": by_object}, "reading 1 of 4 objects that were tried, such as 'data/b/y'. Objects may have ACLs of their own"),
        ({"bucket_name": writable, "bucket_public": True}, f"s3:* on {writable}/* lets anybody write. Nothing was changed."),
    ]
    for step, says in cases:
        refused = declare(step, check=False)
        assert (refused.rc != 0, refused.changed) == (True, 0)
        assert says in " ".join(refused.stdout.split())
    s3.delete_bucket_policy(Bucket=conditional)
    s3.delete_bucket_policy(Bucket=writable)
    s3.put_public_access_block(Bucket=by_object, PublicAccessBlockConfiguration={"IgnorePublicAcls": True})
    declare(*(step for step, _ in cases))
    assert [find(each)["private"] for each in (conditional, by_object, writable)] == [True, True, False]


@pytest.mark.parametrize("how", ["policy of a prefix", "ACL of an object", "policy from some addresses"])
def test_the_probe_of_a_host_finds_it_too(
    site: Any, s3: Any, bucket: Any, modules: Any, key: tuple[str, str], tmp_path: Path, how: str
) -> None:
    name = bucket()
    options = {"profile": "zarr", "config_file": str(write_profile(tmp_path / "config", site, *key)), "bucket": name, "anonymous": False}
    assert not modules("s3_probe", options).result.get("failed")
    OPENINGS[how](site, s3, name)
    refused = modules("s3_probe", options)
    assert refused.result["failed"]
    assert f"bucket '{name}' should be private, but without credentials it can be" in refused.result["msg"]
