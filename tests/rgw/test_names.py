# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Catalogs, names of buckets that another project has, and buckets that keep versions: modules, roles, doctor and teardown on Ceph RGW."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from integration.test_zarr_write import write_profile

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"
TAKEN = "belongs to another project"


@pytest.fixture(scope="module")
def theirs(rgw: Any) -> dict[str, str]:
    """Buckets of another project: one private, one public by its Swift ACL."""
    site = rgw.site("iu")
    names = {kind: f"theirs-{kind}-{uuid4().hex[:12]}" for kind in ("private", "public")}
    with site.connect("embedded-other") as connection:
        for name in names.values():
            connection.object_store.create_container(name)
        connection.object_store.set_container_metadata(names["public"], read_ACL=".r:*,.rlistings")
    return names


@pytest.fixture
def find(rgw: Any, modules: Any) -> Callable[..., dict[str, Any]]:
    """A function that asks the module about a bucket in a region."""

    def ask(region: str, bucket: str | None = None, clouds: Path | None = None) -> dict[str, Any]:
        env = {"OS_CLIENT_CONFIG_FILE": str(clouds or rgw.site(region).clouds_file)}
        return dict(modules("object_store_info", {"cloud": "embedded", **({"bucket": bucket} if bucket else {})}, env=env).result)

    return ask


@pytest.mark.parametrize("region", ["iu", "iu-s3", "acc", "ten"])
def test_the_endpoint_is_found_whichever_services_the_catalog_has(rgw: Any, find: Any, region: str) -> None:
    assert find(region)["endpoint_url"] == rgw.site(region).s3_endpoint


def test_a_catalog_without_object_store_is_named_and_the_way_out_works(rgw: Any, find: Any, tmp_path: Path) -> None:
    site = rgw.site("s3")
    said = find("s3")["msg"]
    override = f"object_store_endpoint_override: {site.s3_endpoint}/swift/v1"
    assert "names no service 'object-store'" in said
    assert override in said
    logins = yaml.safe_load(site.clouds_file.read_text())
    logins["clouds"]["embedded"] |= yaml.safe_load(override)
    clouds = tmp_path / "clouds.yaml"
    clouds.touch(mode=0o600)
    clouds.write_text(yaml.safe_dump(logins))
    found = find("s3", f"free-{uuid4().hex}", clouds)
    assert (found["endpoint_url"], found["exists"], found["taken"]) == (site.s3_endpoint, False, False)


@pytest.mark.parametrize("region", ["iu", "acc", "ten"])
@pytest.mark.parametrize("kind", ["private", "public"])
def test_a_name_of_another_project_is_taken_in_one_name_space_alone(find: Any, theirs: dict[str, str], region: str, kind: str) -> None:
    found = find(region, theirs[kind])
    shared = region != "ten"  # with implicit tenants each project has names of its own
    assert (found["taken"], found["exists"], found["public"]) == (shared, False, False)


def test_ours_is_told_from_neighbours_in_the_list(site: Any, find: Any) -> None:
    """The list of a project's buckets is asked for those around the name."""
    stem = f"near-{uuid4().hex[:12]}"
    with site.connect() as connection:
        for end in ("", "-", "0", "a", "aa", "b"):
            connection.object_store.create_container(f"{stem}{end}x")
    assert [find("iu", f"{stem}{end}")["exists"] for end in ("x", "ax", "aax", "", "a", "xx")] == [True, True, True, False, False, False]


def variables(site: Any, tmp_path: Path, *buckets: dict[str, Any]) -> dict[str, Any]:
    return {
        "zarr_cloud": "embedded",
        "zarr_openstack_environment": {"OS_CLIENT_CONFIG_FILE": str(site.clouds_file)},
        "zarr_profile": "lab",
        "zarr_profile_file": str(tmp_path / "aws" / "config"),
        "zarr_stack_path": str(tmp_path / "no-stack"),
        "zarr_buckets": list(buckets),
        "zarr_datasets": [],
    }


@pytest.mark.parametrize("region", ["iu", "acc"])
def test_role_doctor_and_teardown_say_who_has_the_name(
    rgw: Any, run_playbook: Any, theirs: dict[str, str], tmp_path: Path, region: str
) -> None:
    site = rgw.site(region)
    names = list(theirs.values())
    declared = variables(site, tmp_path, *({"name": name, "public": name == theirs["public"]} for name in names))
    roles = [{"hosts": "buckets", "gather_facts": False, "roles": ["bucket"]}]
    cases = [{"bucket_cloud": "embedded", "bucket_name": name, "bucket_state": state} for name in names for state in ("present", "absent")]
    env = {"OS_CLIENT_CONFIG_FILE": str(site.clouds_file)}
    for case, said in zip(cases, run_playbook.each(yaml.safe_dump(roles), "buckets", cases, env=env), strict=True):
        assert f"bucket '{case['bucket_name']}' {TAKEN}" in said
    doctor = run_playbook(PLAYBOOKS / "doctor.yml", extra_vars=declared, check=False)
    assert doctor.rc
    assert doctor.stdout.count(f"{TAKEN}\n") == 2
    teardown = run_playbook(PLAYBOOKS / "teardown.yml", extra_vars={**declared, "zarr_teardown_data": True})
    assert all(f"bucket {name}: it {TAKEN}" in teardown.stdout for name in names)
    assert teardown.changed == 0


def write_lab(declared: dict[str, Any], site: Any, key: tuple[str, str]) -> None:
    """Put a pair into the site's profile, as the role ec2_credentials does."""
    file = Path(declared["zarr_profile_file"])
    file.parent.mkdir(exist_ok=True)
    write_profile(file, site, *key)
    file.write_text(file.read_text().replace("[profile zarr]", "[profile lab]"))


def versions(s3: Any, name: str) -> int:
    found = s3.list_object_versions(Bucket=name)
    return len(found.get("Versions", [])) + len(found.get("DeleteMarkers", []))


def test_a_bucket_that_keeps_versions_goes_when_told_and_else_holds_nothing_up(site: Any, run_playbook: Any, tmp_path: Path) -> None:
    key = site.new_ec2_key()
    s3, names = site.s3(*key), {kind: f"versions-{kind}-{uuid4().hex[:12]}" for kind in ("first", "second", "plain")}
    for kind, name in names.items():
        s3.create_bucket(Bucket=name)
        if kind != "plain":
            s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        for _ in range(2):
            s3.put_object(Bucket=name, Key="a/b", Body=b"1")
        s3.delete_object(Bucket=name, Key="a/b")
    env = {"OS_CLIENT_CONFIG_FILE": str(site.clouds_file)}
    play = yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "roles": ["bucket"]}])
    told = {"bucket_cloud": "embedded", "bucket_name": names["first"], "bucket_state": "absent", "bucket_delete_objects": True}
    without_keys = run_playbook(play, extra_vars=told, env=env, check=False)
    assert "keeps versions of its objects, and these can be deleted through S3 alone. Nothing was deleted." in " ".join(
        without_keys.stdout.split()
    )
    assert versions(s3, names["first"]) == 3

    declared = variables(site, tmp_path, *({"name": name} for name in names.values()))
    write_lab(declared, site, key)
    declared["zarr_buckets"][1]["delete_objects"] = True
    done = run_playbook(PLAYBOOKS / "teardown.yml", extra_vars={**declared, "zarr_teardown_data": True}, check=False)
    assert done.rc
    said = " ".join(done.stdout.split())
    assert f"bucket '{names['first']}' holds objects and was not removed: it keeps versions, also of objects that were deleted" in said
    assert names["second"] not in said.rpartition("This was to go and stays")[2]
    assert {each["Name"] for each in s3.list_buckets()["Buckets"]} & set(names.values()) == {names["first"]}
    declared["zarr_buckets"] = [{"name": names["first"], "delete_objects": True}]
    write_lab(declared, site, key)
    run_playbook(PLAYBOOKS / "teardown.yml", extra_vars={**declared, "zarr_teardown_data": True})
    assert names["first"] not in {each["Name"] for each in s3.list_buckets()["Buckets"]}
