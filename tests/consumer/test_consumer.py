# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The kit from somebody else's repository, by full names: installed from its artifact and by git, on the ansible-cores that it names."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from running import ROOT, shared_work, stand_in_for_the_stack

from .conftest import BLOCKS, FILES, NEWEST, OLDEST, PAGE, Controller, Repository, commands, here, made, recap


def profiles(repository: Repository) -> list[str]:
    """The names of the profiles in the user's file."""
    return re.findall(r"^\[profile (.*)\]$", (repository.path.parent / "home" / ".aws" / "config").read_text(), re.MULTILINE)


def whole(repository: Repository) -> None:
    """From nothing to a published store and back, with the commands of the page in their order."""
    assert recap(repository.play("-i", "inventory", "zarrstream.platform.embedded_cloud"))["changed"] > 0
    doctor, check, site, teardown = commands("ansible-playbook")[:4]
    assert "ready for site.yml" in repository.say(doctor)
    foretold = repository.say(check)
    assert not (repository.path.parent / "home" / ".aws").exists()
    first = repository.say(site)
    assert "air-temperature: written" in first
    assert "unsigned passed: open, decode, anonymous" in first
    assert recap(foretold)["changed"] <= recap(first)["changed"]
    second = repository.say(site)
    assert {host: recap(second, host)["changed"] for host in ("localhost", "data1.example.org")} == {"localhost": 0, "data1.example.org": 0}
    assert profiles(repository) == ["beside"]

    alone = repository.play("-i", "inventory", "roles.yml")
    assert recap(alone)["changed"] > 0
    assert "private: written" in alone
    again = repository.play("-i", "inventory", "roles.yml")
    assert (recap(again)["changed"], recap(again, "data1.example.org")["changed"]) == (0, 0)

    kept = repository.say(teardown)
    assert "bucket my-bucket: it holds" in kept
    told = {"zarr_teardown_data": True, "zarr_teardown_cloud": True, "zarr_datasets": []}
    buckets = {"zarr_buckets": [{"name": "my-bucket", "delete_objects": True}]}
    gone = repository.play("-i", "inventory", "teardown.yml", "-e", json.dumps(told | buckets))
    assert "bucket my-bucket, with all its" in gone
    assert not (repository.stack / "current").exists()
    assert not Path(repository.env["OS_CLIENT_CONFIG_FILE"]).exists()


def test_from_the_artifact_to_a_published_store_and_back(
    repository_of: Callable[..., Repository], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What `make test` has time for: the libraries of the tests, and modules packed once."""
    repository = repository_of(here(), git=False, settings=False)
    repository.env.update(shared_work(tmp_path_factory.getbasetemp()), ANSIBLE_PIPELINING="true")
    stand_in_for_the_stack(repository.stack)
    site, teardown = commands("ansible-playbook")[2:4]
    first = repository.say(site)
    assert "air-temperature: written" in first
    assert "unsigned passed: open, decode, anonymous" in first
    assert profiles(repository) == ["beside"]
    gone = repository.say(f"{teardown} -e zarr_teardown_data=true -e zarr_teardown_cloud=true")
    assert "store s3://my-bucket/air.zarr" in gone
    assert not Path(repository.env["OS_CLIENT_CONFIG_FILE"]).exists()


@pytest.mark.thorough
@pytest.mark.parametrize(("packages", "git", "settings"), [(OLDEST, False, True), (NEWEST, True, False)], ids=["2.19", "2.21"])
def test_on_each_ansible_core(repository_of: Callable[..., Repository], packages: tuple[str, ...], git: bool, settings: bool) -> None:
    controller = made(*packages)
    repository = repository_of(controller, git=git, settings=settings)
    assert f"core {packages[0]}." in controller.run("ansible", "--version", cwd=repository.path, env=repository.env)
    whole(repository)


@pytest.mark.thorough
def test_a_controller_that_lacks_something_is_told_before_anything_runs(repository_of: Callable[..., Repository], tmp_path: Path) -> None:
    """An ansible-core that is too old, without the collections, and a Python without the libraries."""
    old = made("old", "ansible-core>=2.17,<2.19")
    python = old.programs / "python"
    subprocess.run([here().programs / "uv", "pip", "uninstall", "-q", "--python", python, "ConfigUpdater"], check=True)
    try:
        repository = repository_of(old, git=False, settings=False)
        said = repository.play("-i", "inventory", "site.yml", fails=True)
    finally:
        subprocess.run([here().programs / "uv", "pip", "install", "-q", "--python", python, "ConfigUpdater"], check=True)
    assert re.search(r"This is ansible-core 2\.1[78]\.\d+, on .*, and >=2\.19\.0 is needed", said), said
    assert "The collection openstack.cloud is not there, and >=2.5.0 is needed" in said
    assert "ConfigUpdater>=3.2 (not there)" in said
    assert "Nothing was changed." in said
    assert not Path(repository.env["OS_CLIENT_CONFIG_FILE"]).exists()


def test_the_machines_of_opentofu_are_in_the_kits_groups(tmp_path: Path) -> None:
    (text,) = (text for kind, text in BLOCKS if kind == "json")
    (tmp_path / "machines.json").write_text(text)
    controller: Controller = here()
    listed = json.loads(controller.run("ansible-inventory", "-i", "machines.json", "--list", cwd=tmp_path, env={"HOME": str(tmp_path)}))
    assert listed["zarr_hosts"]["hosts"] == ["zarr-0", "zarr-1", "zarr-2"]
    assert (listed["dask_scheduler"]["hosts"], listed["dask_workers"]["hosts"]) == (["zarr-0"], ["zarr-1", "zarr-2"])
    assert "hosts.yml" in PAGE


def test_the_job_runs_the_commands_of_the_page() -> None:
    job = yaml.safe_load(FILES[".github/workflows/zarr.yml"])["jobs"]["plan"]
    shown = {line.split(" #")[0] for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()}
    assert {step["run"] for step in job["steps"] if "run" in step and not step["run"].startswith("echo")} <= shown


def test_the_recommended_settings_are_the_checkouts() -> None:
    own = (ROOT / "ansible.cfg").read_text().splitlines()
    for line in FILES["ansible.cfg"].splitlines():
        assert line in own or line.startswith(("#", "collections_path")), line
