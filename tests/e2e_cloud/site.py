# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A site on the compute cloud: the inventory for Jetstream2 as a user would fill it in, runs of playbooks, and listings of the project."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import openstack
import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
CLOUD = "embedded"
RECAP = re.compile(r"^(\S+) +: ok=\d+ +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.MULTILINE)
STAMP = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ .*?\| PLAY (?:\[(.*)\]|RECAP)")


@dataclass(frozen=True)
class Run:
    """What one run of ansible-playbook did; ``stages`` are seconds by play."""

    output: str
    failed: bool
    changed: int
    stages: dict[str, int]


def clouds_file() -> Path:
    """clouds.yaml of the running cloud: of this checkout, or the one that OS_CLIENT_CONFIG_FILE names."""
    return Path(os.environ.get("OS_CLIENT_CONFIG_FILE") or CHECKOUT / "build" / "compute-cloud" / "clouds.yaml")


class Site:
    """An inventory in a folder."""

    def __init__(self, folder: Path, cluster: str, workers: int, source: bytes) -> None:
        self.folder, self.cluster = folder, cluster
        self.inventory = folder / "inventory"
        self.bucket = f"{cluster}-data"
        shutil.copytree(CHECKOUT / "inventory" / "jetstream2", self.inventory)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
        plugin = yaml.safe_load((self.inventory / "openstack.yml").read_text())
        text = json.dumps({**plugin, "only_clouds": [CLOUD]}).replace("^zarr-", f"^{cluster}-").replace("'zarr'", f"'{cluster}'")
        (self.inventory / "openstack.yml").write_text(text)
        self._platform()
        self.declare(workers, source=source)

    def _platform(self) -> None:
        variables = {
            "zarr_cloud": CLOUD,
            "zarr_profile": "lab",
            "zarr_profile_file": "~/.aws/config",
            "zarr_stack_path": "/opt/zarrstream",
            "zarr_buckets": [{"name": self.bucket, "public": True}],
            "zarr_datasets": [
                {"name": "air", "source": "/var/tmp/air.nc", "store": f"s3://{self.bucket}/air.zarr", "public": True, "chunks": {"time": 8}}
            ],
        }
        (self.inventory / "group_vars" / "all" / "platform.yml").write_text(yaml.safe_dump(variables))

    def declare(self, workers: int, source: bytes | None = None, **more: Any) -> None:
        """Write what the site declares of machines; ``source`` becomes /var/tmp/air.nc on each of them, by user-data."""
        file = self.inventory / "group_vars" / "all" / "vms.yml"
        before = {} if source else yaml.safe_load(file.read_text())
        if source:
            entry = {"path": "/var/tmp/air.nc", "encoding": "b64", "content": base64.b64encode(source).decode()}
            before = {"vm_user_data": "#cloud-config\n" + yaml.safe_dump({"write_files": [entry]})}
        variables = {
            **before,
            "vm_cloud": CLOUD,
            "vm_cluster": self.cluster,
            "vm_image": "debian-12",
            "vm_ssh_user": "debian",
            "vm_ssh_from": ["172.31.0.0/24"],
            "vm_ssh_public_key_file": str(self.folder / "key.pub"),
            "vm_ssh_path": str(self.folder / "ssh"),
            "vm_servers": {"dask_scheduler": {"flavor": "m3.tiny"}, "dask_workers": {"count": workers, "flavor": "m3.tiny"}},
            **more,
        }
        file.write_text(yaml.safe_dump(variables))

    def play(self, playbook: str, *arguments: str, check: bool = True, seconds: float = 2400, **variables: Any) -> Run:
        """Run a playbook of the checkout; one that fails raises AssertionError with its output, unless ``check`` is False."""
        log = self.folder / "ansible.log"
        log.unlink(missing_ok=True)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "AWS_", "ANSIBLE_"))}
        environment |= {
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_LOG_PATH": str(log),
            "ANSIBLE_NOCOLOR": "1",
            "OS_CLIENT_CONFIG_FILE": str(clouds_file()),
            "HOME": str(self.folder / "home"),
        }
        (self.folder / "home").mkdir(exist_ok=True)
        command = [Path(sys.executable).with_name("ansible-playbook"), "-i", self.inventory, "-e", json.dumps(variables), *arguments]
        done = subprocess.run(
            [*command, CHECKOUT / "playbooks" / playbook],
            cwd=CHECKOUT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert not (check and done.returncode), done.stdout
        changed = sum(int(each[1]) for each in RECAP.findall(done.stdout))
        return Run(done.stdout, bool(done.returncode), changed, _stages(log.read_text() if log.exists() else ""))


def _stages(log: str) -> dict[str, int]:
    marks = [(datetime.fromisoformat(found[1]), found[2]) for found in map(STAMP.match, log.splitlines()) if found]
    stages: dict[str, int] = {}
    for (begin, name), (end, _) in pairwise(marks):
        stages[name or ""] = stages.get(name or "", 0) + round((end - begin).total_seconds())
    return stages


def connect() -> Any:
    """The project, by the SDK."""
    config = openstack.config.OpenStackConfig(config_files=[str(clouds_file())])
    return openstack.connection.Connection(config=config.get_one(CLOUD))


def listing() -> dict[str, list[str]]:
    """Ids of all that the project holds, by kind."""
    with connect() as cloud:
        project = cloud.current_project_id
        network = {
            kind: [each.id for each in getattr(cloud.network, kind)(project_id=project) if each.project_id == project]
            for kind in ("networks", "subnets", "routers", "ports", "security_groups", "ips")
        }
        keys = cloud.identity.get(f"/users/{cloud.current_user_id}/credentials/OS-EC2", log=False).json()["credentials"]
        others = {
            "servers": [each.id for each in cloud.compute.servers()],
            "keypairs": [each.name for each in cloud.compute.keypairs()],
            "server_groups": [each.id for each in cloud.compute.server_groups()],
            "buckets": [each.name for each in cloud.object_store.containers()],
            "images": [each.id for each in cloud.image.images(owner=project)],
            "ec2_credentials": [each["access"] for each in keys],
        }
    return {kind: sorted(names) for kind, names in (network | others).items()}
