# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module s3_probe against a real object store: what works, and each thing that does not, by its name."""

import re
import secrets
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from ports import free_ports

PUBLIC = ".r:*,.rlistings"
READING = ["endpoint", "clock", "list_boto3", "list_s3fs"]
WRITING = [*READING, "put", "get"]


@pytest.fixture(scope="module")
def pair(cloud):
    """The keys of the tests, revoked at the end."""
    access, secret = cloud.new_ec2_key()
    yield access, secret
    with cloud.connect() as connection:
        connection.identity.delete(f"/users/{connection.current_user_id}/credentials/OS-EC2/{access}")


def profile_text(cloud, pair, **changes):
    values = {
        "aws_access_key_id": pair[0],
        "aws_secret_access_key": pair[1],
        "region": cloud.region,
        "endpoint_url": cloud.s3_endpoint,
        "ca_bundle": cloud.ca_bundle,
        **changes,
    }
    return "[default]\n" + "".join(f"{key} = {value}\n" for key, value in values.items() if value)


@pytest.fixture
def config(cloud, pair, home):
    file = home / ".aws" / "config"
    file.parent.mkdir()
    file.write_text(profile_text(cloud, pair))
    return file


@pytest.fixture
def ask(modules, pair):
    """A function that runs the module once and returns its result; ``names`` and ``by_name`` are of its checks."""

    def run(check=False, **arguments):
        answer = modules("s3_probe", arguments, check)
        assert pair[1] not in answer.said
        result = answer.result
        assert not result.get("changed")
        result["names"] = [entry["name"] for entry in result["checks"]]
        result["by_name"] = {entry["name"]: entry for entry in result["checks"]}
        failed = [entry for entry in result["checks"] if not entry["ok"]]
        assert bool(failed) == bool(result.get("failed"))
        assert not failed or result["msg"] == failed[0]["message"]
        return result

    return run


@contextmanager
def bucket_of(cloud, read_acl="", login="embedded"):
    name = f"probe-{secrets.token_hex(5)}"
    with cloud.connect(login) as connection:
        connection.object_store.create_container(name, read_ACL=read_acl)
        connection.object_store.put(f"/{name}", headers={"X-Container-Read": read_acl})
        yield name
        left = [entry.name for entry in connection.object_store.objects(name)]
        for key in left:
            connection.object_store.delete_object(key, container=name)
        connection.object_store.delete_container(name)
    assert left in ([], ["data"]), "the probe left an object behind"


@pytest.fixture
def private(cloud):
    with bucket_of(cloud) as name:
        yield name


@pytest.fixture
def public(cloud):
    with bucket_of(cloud, PUBLIC) as name:
        yield name


@pytest.fixture
def object_store_url(cloud):
    return f"{cloud.swift_url}/v1/AUTH_{cloud.project_id()}"


def test_everything_works(ask, config, private):
    result = ask(bucket=private)
    assert result["names"] == [*WRITING, "delete"]
    assert all(entry["seconds"] >= 0 for entry in result["checks"])
    assert (result["server"], result["anonymous_endpoint"]) == ("swift", None)
    assert abs(result["clock_skew_seconds"]) <= 2


def test_without_a_bucket_only_the_buckets_are_listed(ask, config):
    assert ask()["names"] == READING


@pytest.mark.parametrize("how", [{"check": True}, {"write": False}])
def test_nothing_is_written_where_nothing_may_be(ask, config, private, tmp_path, how):
    log = tmp_path / "debug.log"
    assert ask(bucket=private, debug_log=str(log), **how)["names"] == READING
    assert log.exists() == ("check" not in how)


# --- anonymous clients --------------------------------------------------------------------------------------------------------


def test_public_bucket_is_read_by_a_process_without_credentials(ask, config, cloud, public, object_store_url):
    result = ask(bucket=public, anonymous=True, object_store_url=object_store_url)
    assert result["names"] == [*WRITING, "anonymous", "delete"]
    assert result["anonymous_endpoint"] == cloud.s3_endpoint


@pytest.mark.parametrize("write", [True, False])
def test_private_bucket_is_refused_to_anonymous_clients_by_both_ways(ask, config, private, object_store_url, write):
    message = ask(bucket=private, anonymous=False, object_store_url=object_store_url, write=write)["by_name"]["anonymous"]["message"]
    assert "refused without credentials" in message
    assert object_store_url in message


def test_declaration_that_is_not_true_fails(ask, config, private, public, object_store_url):
    result = ask(bucket=public, anonymous=False, object_store_url=object_store_url)
    assert "should be private, but without credentials it can be read at" in result["msg"]
    assert f"listed at {object_store_url}" in result["msg"]
    result = ask(bucket=private, anonymous=True, object_store_url=object_store_url)
    assert "cannot be read without credentials" in result["msg"]
    assert result["names"][-1] == "delete"


def test_object_that_is_there_is_read_where_nothing_may_be_written(ask, config, cloud, public):
    with cloud.connect() as connection:
        connection.object_store.put(f"/{public}/data", data=b"something")
    message = ask(bucket=public, anonymous=True, write=False)["by_name"]["anonymous"]["message"]
    assert "reads" in message
    assert "no object" not in message


@pytest.fixture(scope="module")
def stock(cloud, tmp_path_factory):
    """A second Swift of the cloud: without TLS, and without the filter by which unsigned S3 requests are served as by Ceph RGW."""
    folder, ports = tmp_path_factory.mktemp("stock"), dict(zip(cloud.ports, free_ports(len(cloud.ports)), strict=True))
    text = (cloud.path / "etc" / "swift.conf").read_text()
    assert "paste.filter_factory = swift_s3:filter_factory" in text
    text = text.replace("paste.filter_factory = swift_s3:filter_factory", "use = egg:swift#s3api")
    text = re.sub(r"^(cert|key)_file = .*\n", "", text, flags=re.MULTILINE).replace(f"{cloud.path}/etc", str(folder))
    for name in ports.keys() - {"embedded_cloud_keystone_port"}:
        text = text.replace(f"bind_port = {cloud.ports[name]}\n", f"bind_port = {ports[name]}\n")
    (folder / "swift.conf").touch(0o600)
    (folder / "swift.conf").write_text(text)
    command = re.search(r'^command = "(.+)" "(.+swift_server.py)"', (cloud.path / "etc" / "supervisord.conf").read_text(), re.MULTILINE)
    ports["embedded_cloud_keystone_port"] = cloud.ports["embedded_cloud_keystone_port"]
    with subprocess.Popen([command[1], command[2], folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            second = replace(cloud, tls=False, ports=ports)
            wait_for(second)
            yield second
        finally:
            server.kill()


def test_stock_swift_serves_the_foreign_under_the_projects_own_url(ask, cloud, stock, pair, home):
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(profile_text(stock, pair))
    url = f"{stock.swift_url}/v1/AUTH_{stock.project_id()}"
    with bucket_of(cloud, PUBLIC) as public, bucket_of(cloud) as private:
        result = ask(bucket=public, anonymous=True, object_store_url=url)
        assert result["anonymous_endpoint"] == url
        assert "give object_store_url" in ask(bucket=public, anonymous=True)["msg"]
        assert (
            "refused without credentials" in ask(bucket=private, anonymous=False, object_store_url=url)["by_name"]["anonymous"]["message"]
        )


def wait_for(cloud):
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", cloud.ports["embedded_cloud_swift_port"]), 1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail("the second Swift did not come")


# --- what is wrong, by its name ---------------------------------------------------------------------------------------

WRONG = {
    "secret": ({"aws_secret_access_key": "wrong"}, {}, "list_boto3", "SignatureDoesNotMatch: the secret is wrong, or the key was revoked"),
    "access key": ({"aws_access_key_id": "0" * 32}, {}, "list_boto3", "with profile 'default' .access key …0000.: "),
    "half a pair": ({"aws_secret_access_key": None}, {}, "endpoint", "Partial credentials"),
    "region": ({"region": "us-east-1"}, {}, "list_boto3", "the server expects 'RegionOne'.*Set 'region'"),
    "bucket": ({}, {"bucket": "nobody-has-this"}, "list_boto3", "bucket 'nobody-has-this' is not at .*Create it with the role bucket"),
    "profile": ({}, {"profile": "none"}, "endpoint", "profile 'none' is not in .*it has: default"),
    "path": ({}, {"endpoint_url": "https://h:1/swift/v1"}, "endpoint", "Use 'https://h:1'"),
    "no endpoint": ({"endpoint_url": None}, {}, "endpoint", "has no endpoint_url.*would turn to Amazon"),
    "certificate": ({"ca_bundle": "/etc/ssl/certs/ca-certificates.crt"}, {}, "endpoint", "not trusted here: set ca_bundle"),
    "nobody listens": ({"endpoint_url": "https://127.0.0.1:9"}, {}, "endpoint", "Could not connect.*Is the address right"),
}


@pytest.mark.parametrize(("changes", "arguments", "step", "says"), WRONG.values(), ids=WRONG)
def test_wrong(ask, cloud, pair, config, changes, arguments, step, says):
    config.write_text(profile_text(cloud, pair, **changes))
    started = time.monotonic()
    result = ask(**arguments)
    assert time.monotonic() - started < 30
    assert not result["by_name"][step]["ok"]
    assert re.search(says, result["msg"]), result["msg"]
    if step == "list_boto3":  # each client finds it by itself
        assert not result["by_name"]["list_s3fs"]["ok"]
        assert re.search(says, result["by_name"]["list_s3fs"]["message"])


def test_bucket_of_another_project(ask, config, cloud):
    with bucket_of(cloud, login="embedded-other") as other:
        assert f"bucket '{other}' is not at" in ask(bucket=other)["msg"]


def test_https_to_a_plain_port_says_so(ask, config, stock):
    result = ask(endpoint_url=stock.s3_endpoint.replace("http://", "https://"))
    assert "write http://" in result["msg"]


def test_ca_of_the_profile_wins_over_the_environment(ask, config, monkeypatch):
    monkeypatch.setenv("AWS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")
    assert ask()["names"] == READING


def test_debug_log_has_the_requests_and_no_secret(ask, config, private, pair, tmp_path):
    log = tmp_path / "debug.log"
    ask(bucket=private, debug_log=str(log))
    text = log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600
    assert {"PutObject", "GetObject", "DeleteObject", "ListBuckets"} <= set(re.findall(r"\w+", text))
    assert "aiobotocore" in text
    assert pair[1] not in text
    assert not re.findall(r"[Ss]ignature(?:=|:\s*)[0-9a-f]{16}", text)
    assert "'Authorization': b'(removed)'" in text
