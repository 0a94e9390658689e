"""The doctor's rows, by tables: facts in, status and remedy out."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

import pytest
from zarrstream.machines.doctor import Planned, rows, table
from zarrstream.machines.facts import Credential, Facts
from zarrstream.machines.resources import Resource
from zarrstream.machines.wanted import wanted_from
from zarrstream.openstack.keystone import Login
from zarrstream.probe.anonymous_bucket import Anonymous
from zarrstream.probe.bucket_owner import Bucket
from zarrstream.probe.privacy import Look
from zarrstream.probe.signed_requests import BucketAccess

NOW = datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC)
WANTED = wanted_from(
    {
        "cluster": "demo",
        "servers": {"dask_workers": {"count": 2, "flavor": "m3.quad", "volume": 50}},
        "owner": "ana",
        "expires": "",
        "image": "Featured-Ubuntu24",
        "network": "",
        "external_network": "public",
        "subnet_cidr": "10.77.0.0/24",
        "ssh_from": ["203.0.113.7/32"],
        "public_key": "ssh-ed25519 AAAA",
        "floating_ips": "jump",
    }
)
CLOSED = Anonymous(s3_list=False, s3_read=False, swift_list=False, swift_read=False)
OPEN = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::air/*"}


def bucket(state: Any, *statements: dict[str, Any], anonymous: Anonymous = CLOSED, unknown: tuple[str, ...] = ()) -> dict[str, Look]:
    return {"air": Look(Bucket("air", state), BucketAccess({"Statement": list(statements)}, unknown=unknown), anonymous, None)}


WHO = Login("js2", "u", "p", delegated=False, project_name="lab", user_name="ana")
JS2 = "https://js2.example.org:8001/swift/v1"
FACTS = Facts(
    who=WHO,
    auth_type="v3password",
    roles=["member", "reader"],
    lists_ec2=True,
    reachable={"compute": "", "network": "", "image": "", "block-storage": "", "object-store": ""},
    endpoints={"compute": "https://c", "network": "https://n", "image": "https://i", "block-storage": "https://b", "object-store": JS2},
    quotas={
        "instances": (10, 8), "cores": (20, 0), "ram": (-1, 90000), "floating_ips": (2, 1), "routers": (1, 0), "networks": (100, 1),
        "security_groups": (10, 1), "volumes": (10, 0), "gigabytes": (1000, 900), "object_bytes": (-1, 5),
    },
    flavors=[{"name": "m3.quad", "vcpus": 4, "ram": 15360}],
    images=["Featured-Ubuntu24"],
    networks=["public"],
    s3_endpoint="https://js2.example.org:8001",
    buckets=bucket("free"),
)  # fmt: skip
PLANNED = Planned(WANTED, ("air",))
ONLY_S3 = {"endpoints": {"s3": "https://s"}, "reachable": {}, "unanswered": {"Swift API": "names no service"}}
APP = replace(WHO, delegated=True)


def found(planned: Planned = PLANNED, **facts: Any) -> dict[str, tuple[str, str, str]]:
    return {each.check: (each.status, each.message, each.remedy) for each in rows(replace(FACTS, **facts), planned, NOW)}


def test_all_is_well() -> None:
    result = found(endpoints={**FACTS.endpoints, "s3": "https://js2.example.org:8001"})
    assert {status for status, _, _ in result.values()} == {"pass"}
    assert result["login"][1] == "ana in project lab, by password"
    assert result["quota of cores"][1] == "8 more needed, 20 of 20 left"
    assert "as the catalog says; profiles get request_checksum_calculation = when_required" in result["S3 endpoint"][1]
    assert not any(remedy for _, _, remedy in result.values())


def test_without_a_login_there_is_one_row() -> None:
    only = rows(Facts(unanswered={"login": "Keystone refuses"}), PLANNED, NOW)
    assert [(each.check, each.status, each.message) for each in only] == [("login", "fail", "Keystone refuses")]


@pytest.mark.parametrize(
    ("facts", "check", "status", "says"),
    [
        ({"roles": ["reader"]}, "role", "fail", "role member"),
        ({"roles": []}, "role", "fail", "none"),
        ({"who": APP, "credential": Credential("", True)}, "application credential", "pass", "has no end"),
        ({"who": APP, "credential": Credential("2026-12-04T00:00:00.000000", True)}, "application credential", "warn", "ends in 10 days"),
        ({"who": APP, "credential": Credential("2027-12-04T00:00:00.000000", True)}, "application credential", "pass", "ends in 375 days"),
        ({"who": APP, "credential": None}, "application credential", "warn", "does not tell"),
        ({"who": APP, "credential": Credential("", True)}, "EC2 credentials", "pass", "unrestricted"),
        ({"who": APP, "credential": Credential("", False)}, "EC2 credentials", "warn", "--unrestricted"),
        ({"who": APP, "credential": Credential("", True), "lists_ec2": False}, "EC2 credentials", "warn", "no application credential"),
        ({"reachable": {"compute": "ConnectTimeout"}}, "compute answers", "fail", "firewall"),
        ({"flavors": [{"name": "m3.quadro", "vcpus": 4, "ram": 1}]}, "flavor m3.quad", "fail", "Near it: m3.quadro"),
        ({"images": ["Featured-Ubuntu22"]}, "image Featured-Ubuntu24", "fail", "Near it: Featured-Ubuntu22"),
        ({"networks": []}, "network public", "fail", "offers no network at all"),
        ({"flavors": None}, "flavor m3.quad", "fail", "cloud has no such service"),
        ({"flavors": None, "unanswered": {"flavors": "503"}}, "flavor m3.quad", "fail", "cannot be looked for: 503"),
        ({"quotas": {"instances": (10, 9)}}, "quota of instances", "fail", "2 more needed, 1 of 10 left"),
        ({"quotas": {"ram": (-1, 9)}}, "quota of ram", "pass", "30720 MiB more needed, no limit"),
        ({"quotas": {}}, "quota of volumes", "skip", "2 needed"),
        ({"quotas": {"gigabytes": (1000, 950)}}, "quota of gigabytes", "fail", "100 GiB more needed, 50 of 1000 GiB left"),
        ({"quotas": {"object_bytes": (100, 100)}}, "quota of object bytes", "fail", "100 of 100 bytes"),
        ({"unanswered": {"object store": "403"}}, "quota of object bytes", "skip", "403"),
        ({"endpoints": {"compute": "https://c"}, "reachable": {}}, "object store", "skip", "names none"),
        ({}, "S3 endpoint", "pass", "beside the object-store, since the catalog names no s3"),
        ({"s3_endpoint": "", "unanswered": {"S3 endpoint": "no answer"}}, "S3 endpoint", "fail", "no answer where the Swift"),
        (
            {"endpoints": {"s3": "https://s"}, "reachable": {}, "unanswered": {"Swift API": "names no service"}},
            "object store",
            "fail",
            "names no service",
        ),
        ({"buckets": bucket("taken")}, "bucket air", "fail", "belongs to another project"),
        ({"buckets": bucket("ours")}, "bucket air", "pass", "ours, and private"),
        ({"buckets": bucket("ours", unknown=("its policy",))}, "bucket air", "pass", "not known: its policy"),
        ({"buckets": bucket("ours", OPEN)}, "bucket air", "warn", "open by statement 1 of the bucket policy"),
        ({"buckets": bucket("ours", OPEN | {"Condition": {}})}, "bucket air", "warn", "statement 1"),
        ({"buckets": bucket("ours", OPEN | {"Condition": {"IpAddress": {}}})}, "bucket air", "fail", "under a condition"),
        ({"buckets": {}, "unanswered": {"bucket air": "500"}}, "bucket air", "fail", "500"),
        ({"buckets": {}}, "bucket air", "skip", "no object store to ask"),
    ],
)
def test_rows(facts: dict[str, Any], check: str, status: str, says: str) -> None:
    row = found(**facts)[check]
    assert row[0] == status
    assert says in f"{row[1]} {row[2]}"
    assert row[2] or status in ("pass", "skip") or check in ("bucket air", "object store")


def test_what_is_there_already_needs_no_quota() -> None:
    there = [Resource("server", "1", "demo-dask-workers-1", "demo"), Resource("floating_ip", "2", "172.31.0.9", "demo")]
    there += [Resource(kind, "3", "demo", "demo") for kind in ("router", "network", "security_group")]
    result = found(resources=there)
    assert result["quota of cores"][1] == "4 more needed, 20 of 20 left"
    assert not {"quota of floating ips", "quota of routers"} & set(result)


def test_no_machines_are_planned() -> None:
    result = found(Planned(None, ("air",)), endpoints={"object-store": JS2}, reachable={}, flavors=None)
    assert result["servers"] == ("skip", "none are planned, and the cloud has no compute service", "")
    assert not [check for check in result if check.startswith(("flavor", "quota of cores"))]


def test_keys_that_are_brought_are_enough() -> None:
    assert found(Planned(own_keys=True), who=APP)["EC2 credentials"] == ("pass", "you bring a pair", "")


@pytest.mark.parametrize(
    ("keys", "status", "says"),
    [
        ({"action": "reused", "access_key": "a1"}, "pass", "the pair of the profile works, access key a1"),
        ({"action": "supplied", "access_key": "a1"}, "pass", "the pair that you bring works"),
        ({"action": "created"}, "pass", "can be made with this login"),
        ({"msg": "the object store refuses the supplied access_key a1"}, "fail", "refuses the supplied"),
    ],
)
def test_what_the_run_would_hear_about_keys(keys: dict[str, Any], status: str, says: str) -> None:
    row = found(replace(PLANNED, keys=keys))["EC2 credentials"]
    assert row[0] == status
    assert says in row[1]


def test_a_public_bucket_that_anybody_may_write_to_is_refused() -> None:
    row = found(replace(PLANNED, public=("air",)), buckets=bucket("ours", OPEN | {"Action": "s3:*"}))["bucket air"]
    assert row[0] == "fail"
    assert "s3:* on air/* lets anybody write" in row[1]


def test_the_table_has_a_mend_below_each_row_that_needs_one() -> None:
    lines = table(rows(replace(FACTS, roles=["reader"]), PLANNED, NOW))
    at = next(number for number, line in enumerate(lines) if line.startswith("fail"))
    assert lines[at + 1].strip() == "→ ask the owner of the project for the role member"
