# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""playbooks/teardown.yml after playbooks/site.yml: what goes, what stays, and that a check says so before."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
import xarray as xr
from integration.conftest import with_own_users
from running import stand_in_for_the_stack

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"
FULL, EMPTY = (f"{name}-{uuid4().hex[:8]}" for name in ("full", "empty"))  # on Ceph RGW one name space is everybody's


@dataclass(frozen=True)
class Site:
    """A site that site.yml has built: two buckets, one with a store of the kit's."""

    cloud: Any
    path: Path
    run: Callable[..., Any]

    @property
    def stack(self) -> Path:
        return self.path / "stack"

    @property
    def profile(self) -> Path:
        return self.path / "aws" / "config"

    @property
    def local_store(self) -> Path:
        return self.path / "local.zarr"

    def buckets(self) -> list[str]:
        with self.cloud.connect() as connection:
            return sorted(each.name for each in connection.object_store.containers())

    def pairs(self) -> set[str]:
        """The access keys of all pairs that the user has."""
        with self.cloud.connect() as connection:
            entries = connection.identity.get(f"/users/{connection.current_user_id}/credentials/OS-EC2").json()["credentials"]
        return {entry["access"] for entry in entries}


@pytest.fixture
def site(cloud: Any, run_playbook: Any, tmp_path: Path) -> Site:
    """Its cloud is the one of all tests, with users of its own. In the place of its folder is one without servers, which may go."""
    folder = tmp_path / "cloud"
    folder.mkdir()
    (folder / ".embedded_cloud").touch()
    own = replace(cloud, path=folder, logins=folder / "clouds.yaml")
    with_own_users(cloud, own.clouds_file)
    stand_in_for_the_stack(tmp_path / "stack")
    no_servers = tmp_path / "no-servers.yml"
    no_servers.write_text(re.sub(r"^    embedded_cloud: .*\n", "", run_playbook.inventory, flags=re.MULTILINE))
    source = tmp_path / "air.nc"
    xr.Dataset({"air": ("time", np.arange(8.0))}).to_netcdf(source, engine="h5netcdf")
    variables = {
        **own.variables,
        "zarr_cloud": "embedded",
        "zarr_openstack_environment": {"OS_CLIENT_CONFIG_FILE": str(own.clouds_file)},
        "zarr_profile": "lab",
        "zarr_profile_file": str(tmp_path / "aws" / "config"),
        "zarr_stack_path": str(tmp_path / "stack"),
        "zarr_stack_python": sys.executable,
        "zarr_dataset_python": run_playbook.python,
        "zarr_buckets": [{"name": FULL}, {"name": EMPTY}],
        "zarr_datasets": [
            {"name": "air", "source": str(source), "store": f"s3://{FULL}/air.zarr"},
            {"name": "local", "source": str(source), "store": str(tmp_path / "local.zarr")},
        ],
    }

    def run(playbook: str, *arguments: str, check: bool = True, inventory: Path | None = None, **more: Any) -> Any:
        return run_playbook(PLAYBOOKS / playbook, *arguments, extra_vars={**variables, **more}, inventory=inventory, check=check)

    kept = shutil.copy(own.clouds_file, tmp_path / "kept.yaml")  # the other one goes with the cloud
    built = Site(replace(own, logins=kept), tmp_path, run)
    before = built.pairs()
    run("site.yml", inventory=no_servers)
    assert (built.buckets(), len(built.pairs() - before), built.local_store.exists()) == ([EMPTY, FULL], 1, True)
    return built


def nothing_left(site: Site) -> bool:
    return site.profile.read_text() == "" and not site.stack.exists()


def test_what_the_site_made_goes_and_data_only_when_told_twice(site: Site) -> None:
    keys = site.pairs()
    (ours,) = re.findall(r"^aws_access_key_id = (\w+)$", site.profile.read_text(), re.MULTILINE)
    predicted = site.run("teardown.yml", "--check", "--diff")
    assert f"access key {ours}, which is revoked" in predicted.stdout
    assert f"bucket {FULL}: it holds" in predicted.stdout
    assert f"bucket {EMPTY}, which is empty" in predicted.stdout
    assert (site.buckets(), site.pairs(), nothing_left(site)) == ([EMPTY, FULL], keys, False)

    first = site.run("teardown.yml")
    assert f"bucket {FULL}: it holds" in first.stdout
    assert (site.buckets(), site.pairs(), nothing_left(site)) == ([FULL], keys - {ours}, True)
    assert site.local_store.exists()
    assert predicted.changed == first.changed == 3  # keys with their profile, bucket, environment

    hand, secret = site.cloud.new_ec2_key()  # a pair that somebody put into the profile is not the kit's
    site.profile.write_text(f"[profile lab]\naws_access_key_id = {hand}\naws_secret_access_key = {secret}\n")
    gone = {"zarr_dataset_python": str(site.stack / "current" / "bin" / "python")}
    predicted = site.run("teardown.yml", "--check", zarr_teardown_data=True, **gone, check=False)
    assert predicted.rc, "nothing is left that could remove the data sets"
    assert "Run site.yml again first, or declare delete_objects: true" in " ".join(predicted.output.split())
    assert f"access key {hand}: this controller has no note of having made it" in predicted.stdout
    assert (site.buckets(), site.local_store.exists()) == ([FULL], True)

    stand_in_for_the_stack(site.stack)
    site.run("credentials.yml")
    with site.cloud.connect() as connection:
        connection.create_object(FULL, "notes.txt", data=b"mine")
    (site.local_store / "notes.txt").write_text("mine")
    data = site.run("teardown.yml", zarr_teardown_data=True, check=False)
    assert data.rc, "a bucket was to go and stays"
    assert f"bucket '{FULL}' holds objects and was not removed" in " ".join(data.output.split())
    with site.cloud.connect() as connection:
        assert [each.name for each in connection.object_store.objects(FULL)] == ["notes.txt"]
    assert [path.name for path in site.local_store.iterdir()] == ["notes.txt"]
    assert (hand in site.pairs(), nothing_left(site)) == (True, True), "one refusal does not stop the rest"

    refused = site.run("teardown.yml", zarr_teardown_cloud=True, check=False)
    assert refused.rc
    assert "Set zarr_teardown_data too" in refused.stdout
    both = {"zarr_teardown_data": True, "zarr_teardown_cloud": True, "zarr_datasets": []}
    whole = [{"name": FULL, "delete_objects": True}]
    last = site.run("teardown.yml", **both, zarr_buckets=whole)
    assert f"bucket {FULL}, with all its 1 objects, whoever wrote them" in last.stdout
    assert (site.buckets(), site.cloud.path.exists()) == ([], False)
    assert last.changed == 2, "what went before is not changed again"
    assert hand in site.pairs()
    assert site.run("teardown.yml", **both, zarr_buckets=whole).changed == 0
