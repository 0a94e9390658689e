"""The role bucket and the module object_store_info, on real Swift over TLS."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

PLAY = """
- hosts: localhost
  gather_facts: false
  roles: [bucket]
"""


@pytest.fixture
def declare(cloud: Any, run_playbook: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A function that runs the role, for each step once, for a bucket of this test; the bucket is removed at the end."""
    name = f"test-{request.node.originalname[:40].replace('_', '-').rstrip('-')}"

    def run(*steps: dict[str, Any], check: bool = False) -> Any:
        play = [{"hosts": "localhost", "gather_facts": False, "roles": ["bucket"], "vars": step} for step in steps]
        wanted, env = {"bucket_cloud": "embedded", "bucket_name": name}, {"OS_CLIENT_CONFIG_FILE": str(cloud.clouds_file)}
        return run_playbook(yaml.safe_dump(play), *(["--check"] if check else []), extra_vars=wanted, env=env)

    run.name = name  # type: ignore[attr-defined]
    yield run
    with cloud.connect() as connection:
        if name in {each.name for each in connection.object_store.containers()}:
            for each in connection.object_store.objects(name):
                connection.object_store.delete_object(each.name, container=name)
            connection.object_store.delete_container(name)


def test_the_life_of_a_bucket(declare: Any, cloud: Any) -> None:
    """With what somebody without credentials finds. Molecule has the prediction of a new one, and one with objects that is to go."""
    from botocore.exceptions import ClientError

    anonymous = cloud.anonymous_s3()
    public, private, absent = {"bucket_public": True}, {"bucket_public": False}, {"bucket_state": "absent", "bucket_delete_objects": True}
    assert declare({}).changed == 1
    with cloud.connect() as connection:
        connection.object_store.upload_object(declare.name, "hello", data=b"hello")
    assert declare(public, check=True).changed == 1
    assert declare({"bucket_entry": {"name": declare.name, "public": True, "place": "somewhere"}}).changed == 1, "as zarr_buckets has it"
    assert anonymous.get_object(Bucket=declare.name, Key="hello")["Body"].read() == b"hello"
    assert [each["Key"] for each in anonymous.list_objects_v2(Bucket=declare.name)["Contents"]] == ["hello"]
    with cloud.connect() as connection:
        shared = f"{cloud.project_id('embedded-other')}:*"
        connection.object_store.set_container_metadata(declare.name, read_ACL=f".r:*,.rlistings,{shared}", write_ACL=shared)
    closed = declare(private)
    assert closed.changed == 1
    for line in ("- read .r:*", "- read .rlistings", f"  read {shared}", f"  write {shared}"):
        assert f"{line}\n" in closed.stdout, closed.stdout
    with pytest.raises(ClientError, match="AccessDenied"):
        anonymous.get_object(Bucket=declare.name, Key="hello")
    with pytest.raises(ClientError, match="AccessDenied"):
        anonymous.list_objects_v2(Bucket=declare.name)
    colleague = f"/AUTH_{cloud.project_id('embedded')}/{declare.name}/hello"
    with cloud.connect("embedded-other") as connection:
        url = f"{cloud.swift_url}/v1{colleague}"
        assert connection.session.get(url).content == b"hello", "a grant to a project by name stays"
        assert connection.session.put(url, data=b"hallo").status_code == 201
        assert declare({"bucket_read": []}, {"bucket_read": []}).changed == 1
        assert connection.session.get(url, raise_exc=False).status_code == 403
    assert declare(absent, absent).changed == 1, "the second time nothing is there"


WRONG = [
    ({"bucket_name": "My_Bucket"}, "bucket_name is 'My_Bucket': S3 addresses only names of 3 to 63 lower case letters"),
    ({"bucket_name": "ab"}, "bucket_name is 'ab'"),
    ({"bucket_public": "perhaps"}, "bucket_public"),
    ({"bucket_state": "gone"}, "value of bucket_state must be one of: present, absent, got: gone"),
    ({"bucket_cloud": "nowhere"}, "Cloud nowhere was not found"),
    ({"bucket_entry": {"state": "gone"}}, "value of bucket_state must be one of: present, absent, got: gone"),
    ({"bucket_entry": {"pubilc": True}}, "zarr_buckets has 'pubilc' for bucket 'test-bad-input', which is no setting of a bucket"),
    (
        {"bucket_entry": {"public": False}, "bucket_public": True},
        "zarr_buckets has 'public: False' for bucket 'test-bad-input', and the variable bucket_public of the inventory or",
    ),
]


def test_bad_input_gets_one_clear_line_and_changes_nothing(run_playbook: Any, cloud: Any) -> None:
    cases = [{"bucket_cloud": "embedded", "bucket_name": "test-bad-input", **variables} for variables, _ in WRONG]
    messages = run_playbook.each(
        PLAY.replace("localhost", "buckets"), "buckets", cases, env={"OS_CLIENT_CONFIG_FILE": str(cloud.clouds_file)}
    )
    with cloud.connect() as connection:
        assert not {variables.get("bucket_name", "test-bad-input") for variables, _ in WRONG} & {
            each.name for each in connection.object_store.containers()
        }
    for message, (_, said) in zip(messages, WRONG, strict=True):
        assert said in message


class _TakenName(BaseHTTPRequestHandler):
    """Answers as Ceph RGW does for a bucket of another project: not visible, and not to be had."""

    def do_HEAD(self) -> None:
        self.send_error(404)

    def do_PUT(self) -> None:
        self.send_error(409, "Conflict")

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def test_a_name_that_another_project_holds_is_said_to_be_taken(declare: Any, cloud: Any, run_playbook: Any, tmp_path: Path) -> None:
    """Swift keeps names per project, so the 409 of Ceph RGW comes from a stand-in."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _TakenName) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        clouds = yaml.safe_load(cloud.clouds_file.read_text())
        clouds["clouds"]["embedded"]["object_store_endpoint_override"] = f"http://127.0.0.1:{server.server_port}/swift/v1"
        elsewhere = tmp_path / "clouds.yaml"
        elsewhere.touch(mode=0o600)
        elsewhere.write_text(yaml.safe_dump(clouds))
        variables = {"bucket_cloud": "embedded", "bucket_name": "testbucket"}
        refused = run_playbook(PLAY, extra_vars=variables, env={"OS_CLIENT_CONFIG_FILE": str(elsewhere)}, check=False)
        server.shutdown()
    assert refused.rc != 0
    assert "bucket 'testbucket' belongs to another project" in " ".join(refused.stdout.split())
