# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the user says wins over what the playbooks find out, wherever it stands; and what roles do where nobody says anything.

A repository of the user's own: an inventory, a playbook that imports one of the kit's, variables beside either. The kit's playbook here
has all roles, none of whose tasks run, so that their variables can be asked for; it stands beside the kit's own group_vars and plugin.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SPECS: dict[str, dict[str, Any]] = {
    path.parts[-3]: yaml.safe_load(path.read_text())["argument_specs"]["main"].get("options", {})
    for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml"))
    if path.parts[-3] != "embedded_cloud"  # it takes nothing from a site
}
DOCUMENTED: dict[str, Any] = {
    name: option["default"] for options in SPECS.values() for name, option in options.items() if "default" in option
}
# These depend on something else.
HOSTS = {
    "aws_profile_source_name": "default",
    "dask_tls_addresses": ["10.0.0.2"],
    "vm_ssh_path": "~/.config/zarrstream/clusters/zarr",
}
# Said on the command line as a rule, but not only there.
TOLD = {"zarr_teardown_data", "zarr_teardown_cloud", "zarr_reap", "zarr_reap_data", "zarr_reap_credentials", "zarr_reap_grace_hours"}
TOLD |= {
    "zarr_cloud",
    "zarr_profile",
    "zarr_profile_file",
    "zarr_stack_path",
    "zarr_buckets",
    "zarr_datasets",
    "zarr_dask_workers_at_a_time",
}
TOLD |= {"dask_config", "dask_address", "dask_insecure_tcp_without_encryption", "zarr_openstack_environment", "zarr_dask_workers_at_a_time"}

SITE: dict[str, Any] = {
    "zarr_cloud": "lab-cloud",
    "zarr_profile": "lab",
    "zarr_profile_file": "/p/config",
    "zarr_stack_path": "/s",
    "zarr_stack_python": "/usr/bin/python3.12",
    "zarr_buckets": [{"name": "first"}, {"name": "second"}],
    "zarr_datasets": [{"name": "a", "source": "/a", "store": "s3://first/a", "public": True}],
    "dask_config": {"site": 1},
    "dask_tls_path": "/t",
    "dask_tls_generation": 2,
    "dask_scheduler_port": 9000,
    "dask_client_users": ["ada"],
}
PYTHON, TLS, SCHEDULER = "/s/current/bin/python", "/t/2", "tls://10.0.0.1:9000"
# What roles take from such a site, on its worker: each of them is the user's to set.
WIRED: dict[str, Any] = {
    "vm_cloud": "lab-cloud",
    "bucket_cloud": "lab-cloud",
    "ec2_credentials_cloud": "lab-cloud",
    "ec2_credentials_profile": "lab",
    "ec2_credentials_config_file": "/p/config",
    "aws_profile_name": "lab",
    "aws_profile_config_file": "/p/config",
    "aws_profile_source_name": "lab",
    "aws_profile_source_file": "/p/config",
    "aws_profile_python": PYTHON,
    "aws_profile_probe_bucket": "first",
    "dask_tls_addresses": ["10.0.0.2"],
    "dask_tls_clients": ["ada"],
    "dask_scheduler_address": "10.0.0.2",
    "dask_scheduler_python": PYTHON,
    "dask_scheduler_tls_folder": TLS,
    "dask_scheduler_insecure_tcp_without_encryption": False,
    "dask_scheduler_config": {"site": 1},
    "dask_worker_scheduler_host": "head",
    "dask_worker_scheduler_address": "10.0.0.1",
    "dask_worker_scheduler_port": 9000,
    "dask_worker_address": "10.0.0.2",
    "dask_worker_python": PYTHON,
    "dask_worker_tls_folder": TLS,
    "dask_worker_insecure_tcp_without_encryption": False,
    "dask_worker_config": {"site": 1},
    "dask_client_scheduler": SCHEDULER,
    "dask_client_tls_folder": TLS,
    "zarr_dataset_scheduler": SCHEDULER,
    "zarr_dataset_python": PYTHON,
    "zarr_dataset_profile": "lab",
    "zarr_dataset_config_file": "/p/config",
    "zarr_dataset_anonymous_endpoint": "",
    "zarr_dataset_ca_bundle": "",
    "notebook_python": "/usr/bin/python3.12",
    "notebook_environment": {
        "ZARRSTREAM_STORE": "s3://first/a",
        "ZARRSTREAM_ENDPOINT": "",
        "ZARRSTREAM_CA_PROFILE": "",
        "ZARRSTREAM_BUCKET": "first",
        "ZARRSTREAM_PROFILE": "lab",
    },
}


@dataclass(frozen=True)
class Repository:
    """Somebody's own, beside a copy of the kit's playbooks."""

    path: Path
    run: Any

    def say(self, place: str, variables: dict[str, Any]) -> None:
        """Declare variables for all hosts, beside the inventory or beside the playbook."""
        (self.path / place / "group_vars").mkdir(exist_ok=True)
        (self.path / place / "group_vars" / "all.yml").write_text(yaml.safe_dump(variables))

    def ask(self, playbook: str = "site.yml", extra_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """What the roles of the kit's playbook go by."""
        self.run(self.path / "mine" / playbook, inventory=self.path / "inventory" / "hosts.yml", extra_vars=extra_vars or {})
        return json.loads((self.path / "said.json").read_text())


def showing(names: Iterable[str], path: Path) -> dict[str, Any]:
    """A play that has all roles, runs none of their tasks, and writes what their variables are."""
    shown = "{" + ", ".join(f"'{name}': {name}" for name in sorted(names)) + "}"
    copy = {"content": "{{ " + shown + " | to_json }}", "dest": str(path), "mode": "0600"}
    return {
        "name": "Show the variables",
        "hosts": "worker",
        "gather_facts": False,
        "roles": [{"role": f"zarrstream.platform.{role}", "when": False, "tags": ["never"]} for role in SPECS],
        "tasks": [{"name": "Show them", "ansible.builtin.copy": copy}],
    }


@pytest.fixture
def repository(run_playbook: Any, tmp_path: Path) -> Repository:
    for folder in ("inventory", "mine", "kit"):
        (tmp_path / folder).mkdir()
    for folder in ("group_vars", "vars_plugins"):
        shutil.copytree(ROOT / "playbooks" / folder, tmp_path / "kit" / folder)
    worker = {"ansible_connection": "local", "ansible_python_interpreter": run_playbook.python, "dask_address": "10.0.0.2"}
    groups = {"dask_scheduler": {"head": {"dask_address": "10.0.0.1"}}, "dask_workers": {"worker": worker}}
    inventory = {"all": {"children": {name: {"hosts": hosts} for name, hosts in groups.items()}}}
    (tmp_path / "inventory" / "hosts.yml").write_text(yaml.safe_dump(inventory))
    for playbook, names in (("kit/show.yml", DOCUMENTED.keys() | WIRED.keys()), ("mine/alone.yml", DOCUMENTED.keys() | HOSTS.keys())):
        (tmp_path / playbook).write_text(yaml.safe_dump([showing(names, tmp_path / "said.json")], sort_keys=False, width=10_000))
    (tmp_path / "mine" / "site.yml").write_text("- import_playbook: ../kit/show.yml\n")
    return Repository(tmp_path, run_playbook)


def own(place: str) -> dict[str, Any]:
    """Another value for each variable, of its type, that tells where it was said."""
    kinds = {name: option.get("type", "str") for options in SPECS.values() for name, option in options.items()}
    values: dict[str, Any] = {"bool": True, "int": 7000 + len(place), "dict": {"said": place}, "list": [place]}
    return {name: values.get(kinds[name], f"{name} of {place}") for name in WIRED}


def test_roles_take_what_the_site_declares(repository: Repository) -> None:
    repository.say("inventory", SITE)
    said = repository.ask()
    assert {name: said[name] for name in WIRED} == WIRED


def test_the_users_word_wins_wherever_it_stands(repository: Repository) -> None:
    repository.say("inventory", {**SITE, **own("inventory")})
    said = repository.ask()
    assert {name: said[name] for name in WIRED} == own("inventory")
    repository.say("mine", own("playbook"))
    said = repository.ask()
    assert {name: said[name] for name in WIRED} == own("playbook")
    said = repository.ask(extra_vars=own("command line"))
    assert {name: said[name] for name in WIRED} == own("command line")


def test_without_a_site_roles_do_what_their_specification_says(repository: Repository) -> None:
    (repository.path / "inventory" / "hosts.yml").write_text(
        (repository.path / "inventory" / "hosts.yml").read_text().replace("dask_address: 10.0.0.2", "ansible_host: 10.0.0.2")
    )
    said = repository.ask("alone.yml")
    assert said == DOCUMENTED | HOSTS


@pytest.mark.parametrize(
    ("role", "missing"),
    [
        ("vm", "vm_cloud, vm_servers"),
        ("bucket", "bucket_cloud, bucket_name"),
        ("ec2_credentials", "ec2_credentials_cloud"),
        ("dask_worker", "dask_worker_scheduler_address, dask_worker_scheduler_host"),
    ],
)
def test_what_a_role_cannot_do_without_is_named(run_playbook: Any, role: str, missing: str) -> None:
    play = f"- hosts: localhost\n  gather_facts: false\n  roles: [zarrstream.platform.{role}]\n"
    assert f"missing required arguments: {missing}" in " ".join(run_playbook(play, check=False).output.split())


def test_notebooks_do_not_run_as_root(run_playbook: Any) -> None:
    play = "- hosts: localhost\n  gather_facts: false\n  roles: [zarrstream.platform.notebook]\n"
    done = run_playbook(play, extra_vars={"notebook_user": "root"}, check=False)
    assert (done.changed, done.rc) == (0, 2), done.output
    assert "notebook_user is 'root' and notebook_port is 8888: an unprivileged user" in " ".join(done.output.split())


def test_nothing_that_a_user_may_set_stands_beside_the_playbooks() -> None:
    found = [name for path in (ROOT / "playbooks" / "group_vars").rglob("*.yml") for name in yaml.safe_load(path.read_text())]
    assert set(found) & ({name for options in SPECS.values() for name in options} | TOLD) == set()
    assert len(found) == len(set(found))
