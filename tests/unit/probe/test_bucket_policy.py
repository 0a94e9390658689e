# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What of a bucket policy and of an S3 ACL lets everybody in: tables."""

from __future__ import annotations

from typing import Any

import pytest
from zarrstream.probe.bucket_policy import closed_grants, closed_policy, named_grants, open_grants, open_statements
from zarrstream.probe.signed_requests import BucketAccess, closing

NAMED = {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam::p:root"]}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}
FROM_HOME = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}


def statement(**changes: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/data/*", **changes}


@pytest.mark.parametrize(
    ("each", "is_open"),
    [
        (statement(), True),
        (statement(Principal={"AWS": "*"}), True),
        (statement(Principal={"AWS": ["arn:aws:iam::p:root", "*"]}), True),
        (statement(Principal={"CanonicalUser": "*"}), True),
        (statement(Principal=["*"]), True),
        ({**{k: v for k, v in statement().items() if k != "Principal"}, "NotPrincipal": {"AWS": "arn:aws:iam::p:root"}}, True),
        (statement(Condition=FROM_HOME), True),
        (statement(Effect="Deny"), False),
        (NAMED, False),
        (statement(Principal={"AWS": "arn:aws:iam::p:user/*"}), False),
    ],
)
def test_which_statements_let_everybody_in(each: dict[str, Any], is_open: bool) -> None:
    assert bool(open_statements({"Statement": [each]})) is is_open
    assert bool(open_statements({"Statement": each})) is is_open, "one statement need not be a list"


@pytest.mark.parametrize(
    ("changes", "writes"),
    [
        ({}, False),
        ({"Action": ["s3:GetObject", "s3:ListBucket"]}, False),
        ({"Action": ["s3:GetObject", "s3:PutObject"]}, True),
        ({"Action": "*"}, True),
        ({"Action": "s3:*"}, True),
        ({"Action": None, "NotAction": "s3:DeleteObject"}, True),
    ],
)
def test_what_is_more_than_reading(changes: dict[str, Any], writes: bool) -> None:
    (found,) = open_statements({"Statement": [statement(**changes)]})
    assert found.writes is writes


def test_an_opening_is_named_as_people_find_it() -> None:
    policy = {"Statement": [NAMED, statement(Sid="web", Condition=FROM_HOME)]}
    assert [str(each) for each in open_statements(policy)] == [
        "statement 2 'web' of the bucket policy: s3:GetObject on b/data/*, under a condition"
    ]


def test_only_what_is_for_everybody_without_condition_goes() -> None:
    policy = {
        "Version": "2012-10-17",
        "Id": "x",
        "Statement": [NAMED, statement(), statement(Condition=FROM_HOME), statement(Effect="Deny")],
    }
    assert closed_policy(policy) == {**policy, "Statement": [policy["Statement"][index] for index in (0, 2, 3)]}
    assert closed_policy({"Statement": [statement()]}) is None
    assert closed_policy(None) is None
    assert open_statements(None) == []


OWNER = {"Grantee": {"Type": "CanonicalUser", "ID": "us"}, "Permission": "FULL_CONTROL"}
FRIEND = {"Grantee": {"Type": "CanonicalUser", "ID": "them"}, "Permission": "READ"}
GROUPS = "http://acs.amazonaws.com/groups/global"
ALL, USERS = (
    {"Grantee": {"Type": "Group", "URI": f"{GROUPS}/{name}"}, "Permission": "READ"} for name in ("AllUsers", "AuthenticatedUsers")
)


def test_grants_of_an_acl() -> None:
    grants = [ALL, USERS, {**ALL, "Permission": "WRITE"}, OWNER, FRIEND]
    assert [(each.what, each.writes) for each in open_grants(grants)] == [
        ("READ for everybody", False),
        ("READ for each user of the cloud", False),
        ("WRITE for everybody", True),
    ]
    assert closed_grants(grants) == [OWNER, FRIEND]
    assert named_grants(grants, "us") == ["READ for them"]


def test_closing_leaves_a_policy_alone_that_it_would_only_spell_differently() -> None:
    conditional = {"Statement": statement(Condition=FROM_HOME)}
    assert not closing("b", BucketAccess(conditional, (OWNER,), "us")).changes
    plan = closing("b", BucketAccess({"Statement": [statement(), NAMED]}, (ALL, OWNER, FRIEND), "us"))
    assert (plan.policy, plan.grants) == ({"Statement": [NAMED]}, (OWNER, FRIEND))
