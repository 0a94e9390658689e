# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The RGW cloud is what conftest.py says: its regions, logins and limits, as clients see them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
import requests
from botocore.exceptions import ClientError, EndpointConnectionError

SERVICES = {"iu": {"object-store"}, "iu-s3": {"object-store", "s3"}, "s3": {"s3"}, "acc": {"object-store"}, "ten": {"object-store"}}


@pytest.fixture(scope="module")
def key(site: Any) -> tuple[str, str]:
    """A pair of keys of the user zarr."""
    return site.new_ec2_key()


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


@pytest.mark.parametrize("region", SERVICES)
def test_a_region_names_its_services_and_no_others(rgw: Any, region: str) -> None:
    site = rgw.site(region)
    with site.connect() as connection:
        catalog = connection.session.auth.get_access(connection.session).service_catalog.catalog
    found = {entry["type"] for entry in catalog for endpoint in entry["endpoints"] if endpoint["region_id"] == site.region}
    assert found == SERVICES[region] | {"identity"}


def test_buckets_of_all_projects_share_one_name_space_except_with_implicit_tenants(rgw: Any, key: tuple[str, str]) -> None:
    name = f"rgw-{uuid4().hex}"
    mine, theirs = rgw.site("iu").s3(*key), rgw.site("iu").new_ec2_key("embedded-other")
    mine.create_bucket(Bucket=name)
    for region in ("iu", "acc"):
        with pytest.raises(ClientError) as error:
            rgw.site(region).s3(*theirs).create_bucket(Bucket=name)
        assert code(error) == "BucketAlreadyExists"
    for entry in ("embedded", "embedded-other"):
        rgw.site("ten").s3(*rgw.site("ten").new_ec2_key(entry)).create_bucket(Bucket=name)
    with rgw.site("acc").connect() as connection:
        assert name in {each.name for each in connection.object_store.containers()}
        assert f"/AUTH_{connection.current_project_id}" in connection.object_store.get_endpoint()


def test_each_gateway_has_an_authority_of_its_own(rgw: Any) -> None:
    one, other = rgw.site("iu"), rgw.site("acc")
    assert requests.get(f"{one.s3_endpoint}/swift/healthcheck", verify=one.ca_bundle, timeout=30).ok
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(one.s3_endpoint, verify=other.ca_bundle, timeout=30)


def test_logins_may_what_those_of_a_real_cloud_may(rgw: Any, site: Any) -> None:
    """An application credential makes EC2 keys as the release of Keystone lets it; a reader is refused by RGW."""
    may = {"28.0.0": {"embedded-app", "embedded-app-restricted"}, "29.1.0": {"embedded-app"}, "30.0.0": set()}[rgw.keystone_version]
    for entry in ("embedded-app", "embedded-app-restricted"):
        with site.connect(entry) as connection:
            url = f"/users/{connection.current_user_id}/credentials/OS-EC2"
            answer = connection.identity.post(url, json={"tenant_id": connection.current_project_id})
            assert answer.status_code == (201 if entry in may else 403), entry
    with site.connect("embedded-reader") as connection:
        assert connection.object_store.get("/").status_code == 401
    with site.connect("embedded-colleague") as connection:
        assert connection.object_store.get("/").ok
        assert connection.current_project_id == site.project_id()


def test_limits_hold_while_they_are_set(rgw: Any, site: Any) -> None:
    """They are the other project's, which no other test limits."""
    project, name = site.project_id("embedded-other"), f"rgw-{uuid4().hex}"
    s3 = site.s3(*site.new_ec2_key("embedded-other"))
    s3.create_bucket(Bucket=name)

    def requests_of(send: Any) -> None:
        for number in range(5):
            send(number)

    with rgw.quota(project, max_objects=1), pytest.raises(ClientError) as error:
        requests_of(lambda number: s3.put_object(Bucket=name, Key=f"{number}", Body=b"x"))
    assert code(error) == "QuotaExceeded"
    with rgw.rate_limit(project, max_read_ops=1), pytest.raises(ClientError) as error:
        requests_of(lambda _: s3.list_objects_v2(Bucket=name))
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    with rgw.suspended(project), pytest.raises(ClientError) as error:
        s3.list_objects_v2(Bucket=name)
    assert code(error) == "UserSuspended"
    s3.put_object(Bucket=name, Key="afterwards", Body=b"x")


def test_a_gateway_and_keystone_are_stopped_and_back(rgw: Any, site: Any, key: tuple[str, str]) -> None:
    acc = rgw.site("acc").s3(*key)
    with rgw.stopped("acc"), pytest.raises(EndpointConnectionError):
        acc.list_buckets()
    acc.list_buckets()
    with rgw.stopped("keystone"), pytest.raises(ClientError) as error:
        site.s3("nobody", "knows").list_buckets()
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] >= 400
    site.s3(*site.new_ec2_key()).list_buckets()
