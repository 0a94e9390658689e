# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""EC2 credentials behind Ceph RGW, which accepts a revoked pair for five minutes more."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

# ruff: noqa: F401, F811 - fixtures and tests of Swift's, which run here as they are
from integration.test_ec2_credential import (
    ask,
    cloud,
    config,
    listed,
    new_cloud,
    test_pair_that_was_revoked_behind_our_back_is_replaced,
)


def test_life_of_a_pair(ask: Any, new_cloud: Any, config: Any) -> None:
    """Made, reused, rotated in phases, revoked: no pair dies that the note does not name, and the old one works on for a while."""
    by_hand, _ = new_cloud.new_ec2_key()
    created = ask(new_cloud, adopt=False)
    assert (created["action"], created["endpoint_url"]) == ("created", new_cloud.s3_endpoint)
    assert ask(new_cloud)["action"] == "reused"
    old = dict(line.split(" = ", 1) for line in config.read_text().splitlines() if " = " in line)
    begun = ask(new_cloud, rotate=True, phase="begin")
    assert (begun["action"], begun["replaced"], begun["revoked"]) == ("rotated", [created["access_key"]], [])
    assert listed(new_cloud) == {by_hand, created["access_key"], begun["access_key"]}
    finished = ask(new_cloud, rotate=True, phase="finish")
    assert (finished["action"], finished["revoked"]) == ("revoked", [created["access_key"]])
    assert listed(new_cloud) == {by_hand, begun["access_key"]}
    new_cloud.s3(old["aws_access_key_id"], old["aws_secret_access_key"]).list_buckets()  # for five minutes
    absent = ask(new_cloud, state="absent")
    assert (absent["action"], absent["revoked"]) == ("revoked", [begun["access_key"]])
    assert listed(new_cloud) == {by_hand}


@pytest.mark.parametrize(
    ("login", "refused"), [("embedded-app-restricted", "credential is a restricted one"), ("embedded-reader", "role member")]
)
def test_who_may_not_create(ask: Any, new_cloud: Any, login: str, refused: str) -> None:
    answer = ask(new_cloud, login=login)
    assert refused in answer["msg"]
    assert listed(new_cloud) == set()


def test_a_pair_of_another_project_reaches_nothing_here(new_cloud: Any) -> None:
    """Names are shared by all projects; what is in a bucket is not."""
    mine, theirs = new_cloud.s3(*new_cloud.new_ec2_key()), new_cloud.s3(*new_cloud.new_ec2_key("embedded-other"))
    name = f"rgw-{new_cloud.project_id()}"
    mine.create_bucket(Bucket=name)
    with pytest.raises(ClientError, match="AccessDenied"):
        theirs.list_objects_v2(Bucket=name)
