# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What clients see of the embedded cloud: S3, Swift and Keystone as on a real one."""

from __future__ import annotations

import hashlib
import hmac
import socket
import time

import pytest
import requests
from botocore.exceptions import ClientError


@pytest.fixture(scope="module")
def account(cloud):
    """A connection of user zarr, and the URL of the project's Swift account."""
    with cloud.connect() as connection:
        yield connection, connection.object_store.get_endpoint()


@pytest.fixture(scope="module")
def s3(cloud):
    return cloud.s3(*cloud.new_ec2_key())


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)


def error_code(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"]


# --- what clients see ---


def test_s3_objects_over_tls(s3):
    s3.create_bucket(Bucket="objects")
    s3.put_object(Bucket="objects", Key="a/b", Body=b"content", ContentEncoding="gzip")
    answer = s3.get_object(Bucket="objects", Key="a/b")
    assert answer["Body"].read() == b"content"
    assert answer["ContentEncoding"] == "gzip"
    assert [item["Key"] for item in s3.list_objects_v2(Bucket="objects", Prefix="a/")["Contents"]] == ["a/b"]
    s3.delete_object(Bucket="objects", Key="a/b")
    assert error_code(s3.get_object, Bucket="objects", Key="a/b") == "NoSuchKey"


def test_a_wrong_secret_is_refused(cloud):
    access, _secret = cloud.new_ec2_key()
    assert error_code(cloud.s3(access, "wrong").list_buckets) == "SignatureDoesNotMatch"


def test_the_certificate_is_checked(cloud):
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(cloud.swift_url + "/healthcheck", timeout=10)
    assert requests.get(cloud.swift_url + "/healthcheck", verify=cloud.ca_bundle, timeout=10).text == "OK"


def test_a_client_that_stalls_its_handshake_stalls_nobody(cloud):
    with socket.create_connection(("127.0.0.1", cloud.ports["embedded_cloud_swift_port"])):
        assert requests.get(cloud.swift_url + "/healthcheck", verify=cloud.ca_bundle, timeout=10).text == "OK"


def test_large_objects_by_s3(s3):
    s3.create_bucket(Bucket="multipart")
    upload = s3.create_multipart_upload(Bucket="multipart", Key="big")["UploadId"]
    bodies = [b"x" * 5 * 2**20, b"end"]
    parts = [
        {"PartNumber": n, "ETag": s3.upload_part(Bucket="multipart", Key="big", UploadId=upload, PartNumber=n, Body=body)["ETag"]}
        for n, body in enumerate(bodies, 1)
    ]
    s3.complete_multipart_upload(Bucket="multipart", Key="big", UploadId=upload, MultipartUpload={"Parts": parts})
    assert hashlib.md5(s3.get_object(Bucket="multipart", Key="big")["Body"].read()).digest() == hashlib.md5(b"".join(bodies)).digest()


def test_swift_tells_what_it_can(cloud):
    info = requests.get(cloud.swift_url + "/info", verify=cloud.ca_bundle, timeout=10).json()
    assert info["s3api"]["max_bucket_listing"] == 1000
    middleware = {"bulk_upload", "bulk_delete", "tempurl", "slo", "staticweb", "symlink", "container_quotas", "account_quotas"}
    assert middleware <= info.keys()
    assert "object_versioning" in info


def test_temporary_urls(cloud, account):
    connection, url = account
    connection.object_store.post(url, headers={"X-Account-Meta-Temp-URL-Key": "key"})
    connection.object_store.put(url + "/temporary")
    connection.object_store.put(url + "/temporary/object", data=b"content")
    path = requests.utils.urlparse(url).path + "/temporary/object"
    expires = int(time.time()) + 60
    signature = hmac.new(b"key", f"GET\n{expires}\n{path}".encode(), hashlib.sha256).hexdigest()
    answer = requests.get(
        cloud.swift_url + path, params={"temp_url_sig": signature, "temp_url_expires": expires}, verify=cloud.ca_bundle, timeout=10
    )
    assert (answer.status_code, answer.content) == (200, b"content")


def test_bulk_delete(account):
    connection, url = account
    connection.object_store.put(url + "/bulk")
    for name in ("one", "two"):
        connection.object_store.put(f"{url}/bulk/{name}", data=b"content")
    headers = {"Content-Type": "text/plain", "Accept": "application/json"}
    answer = connection.object_store.post(url + "?bulk-delete", data="bulk/one\nbulk/two\nbulk/none", headers=headers).json()
    assert (answer["Number Deleted"], answer["Number Not Found"], answer["Errors"]) == (2, 1, [])


def test_dynamic_large_objects(account):
    connection, url = account
    connection.object_store.put(url + "/segments")
    for n, text in enumerate((b"one ", b"two")):
        connection.object_store.put(f"{url}/segments/part{n}", data=text)
    connection.object_store.put(url + "/segments/whole", headers={"X-Object-Manifest": "segments/part"})
    assert connection.object_store.get(url + "/segments/whole").content == b"one two"


def test_a_container_quota_holds(account, s3):
    connection, url = account
    connection.object_store.put(url + "/quota", headers={"X-Container-Meta-Quota-Bytes": "10"})
    assert error_code(s3.put_object, Bucket="quota", Key="big", Body=b"x" * 11) == "EntityTooLarge"


def test_a_reader_reads_and_does_not_write(cloud, account):
    connection, url = account
    connection.object_store.put(url + "/for-reader")
    with cloud.connect("embedded-reader") as reader:
        assert reader.object_store.get(url + "/for-reader").status_code in (200, 204)
        assert reader.object_store.put(url + "/for-reader/object", data=b"").status_code == 403
    with cloud.connect("embedded-other") as other:
        assert other.object_store.get(url + "/for-reader").status_code == 403


# --- anonymous reading ---


@pytest.fixture(scope="module")
def buckets(account, s3):
    """Two buckets with one object each, a public and a private one."""
    connection, url = account
    for name, acl in (("public", ".r:*,.rlistings"), ("private", "")):
        connection.object_store.put(f"{url}/{name}", headers={"X-Container-Read": acl})
        s3.put_object(Bucket=name, Key="zarr/data", Body=name.encode())


def test_unsigned_s3_reads_a_public_bucket(cloud, buckets):
    client = cloud.anonymous_s3()
    assert client.get_object(Bucket="public", Key="zarr/data")["Body"].read() == b"public"
    assert client.head_object(Bucket="public", Key="zarr/data")["ContentLength"] == len(b"public")
    assert [item["Key"] for item in client.list_objects_v2(Bucket="public")["Contents"]] == ["zarr/data"]
    ranged = client.get_object(Bucket="public", Key="zarr/data", Range="bytes=1-2")
    assert ranged["Body"].read() == b"ub"


@pytest.mark.parametrize(
    ("method", "arguments", "code"),
    [
        ("get_object", {"Bucket": "public", "Key": "missing"}, "NoSuchKey"),
        ("put_object", {"Bucket": "public", "Key": "new", "Body": b""}, "AccessDenied"),
        ("delete_object", {"Bucket": "public", "Key": "zarr/data"}, "AccessDenied"),
        ("get_object", {"Bucket": "private", "Key": "zarr/data"}, "AccessDenied"),
        ("get_object", {"Bucket": "private", "Key": "missing"}, "AccessDenied"),
        ("list_objects_v2", {"Bucket": "private"}, "AccessDenied"),
        ("create_bucket", {"Bucket": "new-bucket"}, "NoSuchBucket"),
        ("list_objects_v2", {"Bucket": "missing"}, "NoSuchBucket"),
        ("get_object", {"Bucket": "missing", "Key": "any"}, "NoSuchBucket"),
    ],
)
def test_unsigned_s3_is_refused_the_rest(cloud, buckets, method, arguments, code):
    assert error_code(getattr(cloud.anonymous_s3(), method), **arguments) == code


def test_of_two_buckets_of_one_name_the_public_one_is_read(cloud, s3):
    def read():  # for a moment after a change Swift remembers the ACL of before
        try:
            return cloud.anonymous_s3().get_object(Bucket="same-name", Key="key")["Body"].read()
        except ClientError as error:
            return error.response["Error"]["Code"]

    other = cloud.s3(*cloud.new_ec2_key("embedded-other"))
    for client, text in ((s3, b"zarr's"), (other, b"other's")):
        client.create_bucket(Bucket="same-name")
        client.put_object(Bucket="same-name", Key="key", Body=text)
    for client, text in ((s3, b"zarr's"), (other, b"other's")):
        client.put_bucket_acl(Bucket="same-name", ACL="public-read")
        wait_until(lambda text=text: read() == text)
        client.put_bucket_acl(Bucket="same-name", ACL="private")
    wait_until(lambda: read() == "AccessDenied")


def test_anonymous_swift(cloud, account, buckets):
    _connection, url = account

    def get(path):
        return requests.get(url + path, verify=cloud.ca_bundle, timeout=10)

    assert get("/public/zarr/data").content == b"public"
    assert get("/public?format=json").json()[0]["name"] == "zarr/data"
    assert get("/public/missing").status_code == 404
    assert get("/private/zarr/data").status_code == 401
    assert get("/missing/zarr/data").status_code == 401


# --- who may make EC2 credentials ---


def make_ec2(connection):
    url = f"/users/{connection.current_user_id}/credentials/OS-EC2"
    return connection.identity.post(url, json={"tenant_id": connection.current_project_id})


@pytest.mark.parametrize(
    ("fixture", "name", "status", "said"),
    [
        ("cloud", "embedded", 201, ""),
        ("cloud", "embedded-reader", 403, "ec2_create_credential"),
        ("cloud", "embedded-app", 201, ""),
        ("cloud", "embedded-app-restricted", 403, "not allowed for managing additional application credentials"),
        ("cloud30", "embedded", 201, ""),
        ("cloud30", "embedded-reader", 403, "ec2_create_credential"),
        ("cloud30", "embedded-app", 403, "Delegated tokens cannot access credentials directly"),
        ("cloud30", "embedded-app-restricted", 403, "Delegated tokens cannot access credentials directly"),
    ],
)
def test_who_may_make_ec2_credentials(request, fixture, name, status, said):
    with request.getfixturevalue(fixture).connect(name) as connection:
        answer = make_ec2(connection)
    assert answer.status_code == status
    assert said in answer.text


@pytest.mark.parametrize(("fixture", "allowed"), [("cloud", True), ("cloud30", False)])
def test_who_may_list_ec2_credentials(request, fixture, allowed):
    with request.getfixturevalue(fixture).connect("embedded-app-restricted") as connection:
        answer = connection.identity.get(f"/users/{connection.current_user_id}/credentials/OS-EC2")
    assert answer.status_code == (200 if allowed else 403)


@pytest.mark.parametrize("name", ["embedded-app", "embedded-app-restricted"])
def test_application_credentials_use_swift(request, cloud30, name):
    with cloud30.connect(name) as connection:
        url = connection.object_store.get_endpoint()
        assert connection.object_store.put(f"{url}/by-{name}").status_code in (201, 202)


def test_a_revoked_key_is_refused_soon(cloud):
    access, secret = cloud.new_ec2_key()
    client = cloud.s3(access, secret)
    client.list_buckets()
    with cloud.connect() as connection:
        connection.identity.delete(f"/users/{connection.current_user_id}/credentials/OS-EC2/{access}")
    refused = ""

    def is_refused():
        nonlocal refused
        try:
            client.list_buckets()
        except ClientError as error:
            refused = error.response["Error"]["Code"]
        return bool(refused)

    wait_until(is_refused, seconds=10)
    assert refused == "SignatureDoesNotMatch"
