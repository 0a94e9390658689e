# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A site on the compute cloud: the inventory for Jetstream2 as a user would fill it in, runs of playbooks, and listings of the project."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import openstack
import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
CLOUD = os.environ.get("OS_CLOUD") or "embedded"
RECAP = re.compile(r"^(\S+) +: ok=\d+ +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.MULTILINE)
STAMP = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ .*?\| PLAY (?:\[(.*)\]|RECAP)")


@dataclass(frozen=True)
class Run:
    """What one run of ansible-playbook did; ``stages`` are seconds by play."""

    output: str
    failed: bool
    changed: int
    stages: dict[str, int]

    @property
    def said(self) -> str:
        """The output in one line, however it was broken."""
        return " ".join(self.output.split())


def clouds_file() -> Path:
    """clouds.yaml of the running cloud: of this checkout, or the one that OS_CLIENT_CONFIG_FILE names."""
    return Path(os.environ.get("OS_CLIENT_CONFIG_FILE") or CHECKOUT / "build" / "compute-cloud" / "clouds.yaml")


class Site:
    """An inventory in a folder."""

    def __init__(self, folder: Path, cluster: str, workers: int, source: bytes) -> None:
        self.folder, self.cluster = folder, cluster
        self.inventory = folder / "inventory"
        self._sockets = tempfile.TemporaryDirectory(prefix="e2e-", dir="/tmp", ignore_cleanup_errors=True)
        self.bucket = f"{cluster}-data"
        self._count, self._logs = 0, dict[int, Path]()
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
                {"name": "air", "source": "/srv/air.nc", "store": f"s3://{self.bucket}/air.zarr", "public": True, "chunks": {"time": 8}}
            ],
        }
        (self.inventory / "group_vars" / "all" / "platform.yml").write_text(yaml.safe_dump(variables))

    def declare(self, workers: int, source: bytes | None = None, **more: Any) -> None:
        """Write what the site declares of machines; ``source`` becomes /srv/air.nc on each of them, by user-data."""
        file = self.inventory / "group_vars" / "all" / "vms.yml"
        before = {} if source else yaml.safe_load(file.read_text())
        if source:
            entry = {"path": "/srv/air.nc", "encoding": "gz+b64", "content": base64.b64encode(gzip.compress(source, mtime=0)).decode()}
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

    def play(
        self,
        playbook: str,
        *arguments: str,
        check: bool = True,
        seconds: float = 2400,
        environment: Mapping[str, str] | None = None,
        **variables: Any,
    ) -> Run:
        """Run a playbook of the checkout; one that fails raises AssertionError with its output, unless ``check`` is False."""
        started = self.start(playbook, *arguments, environment=environment, **variables)
        try:
            output, _ = started.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            started.kill()
            raise
        run = self.ended(started, output)
        assert not (check and run.failed), run.output
        return run

    def start(
        self, playbook: str, *arguments: str, environment: Mapping[str, str] | None = None, **variables: Any
    ) -> subprocess.Popen[str]:
        """The same, without waiting: its output is to be read, and given to `ended`."""
        more = environment or {}
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "AWS_", "ANSIBLE_"))}
        environment |= {
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "OS_CLIENT_CONFIG_FILE": str(clouds_file()),
            "HOME": str(self.folder / "home"),
            # Short, since SSH's sockets lie there, and their paths may have a hundred characters.
            "ANSIBLE_SSH_CONTROL_PATH_DIR": self._sockets.name,
        }
        (self.folder / "home").mkdir(exist_ok=True)
        self._count += 1
        log = self.folder / f"ansible-{self._count}.log"
        command = [Path(sys.executable).with_name("ansible-playbook"), "-i", self.inventory, "-e", json.dumps(variables), *arguments]
        started = subprocess.Popen(
            [*command, CHECKOUT / "playbooks" / playbook],
            cwd=CHECKOUT,
            env={**environment, "ANSIBLE_LOG_PATH": str(log), **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._logs[started.pid] = log
        return started

    def ended(self, started: subprocess.Popen[str], output: str) -> Run:
        """What a run that has ended did."""
        log = self._logs[started.pid]
        changed = sum(int(each[1]) for each in RECAP.findall(output))
        return Run(output, bool(started.returncode), changed, _stages(log.read_text() if log.exists() else ""))


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
    """All that the project holds, by kind: name and id of each, or the id alone of what has no name."""

    def named(entries: Iterable[Any]) -> list[str]:
        return [" ".join(filter(None, (each.name, each.id))) for each in entries]

    with connect() as cloud:
        project = cloud.current_project_id
        network = {
            kind: named(each for each in getattr(cloud.network, kind)(project_id=project) if each.project_id == project)
            for kind in ("networks", "subnets", "routers", "ports", "security_groups", "security_group_rules", "ips")
        }
        keys = cloud.identity.get(f"/users/{cloud.current_user_id}/credentials/OS-EC2", log=False).json()["credentials"]
        others = {
            "servers": named(cloud.compute.servers()),
            "keypairs": [each.name for each in cloud.compute.keypairs()],
            "server_groups": named(cloud.compute.server_groups()),
            "volumes": named(cloud.block_storage.volumes()) if cloud.has_service("block-storage") else [],
            "buckets": [each.name for each in cloud.object_store.containers()],
            "images": named(cloud.image.images(owner=project)),
            "application_credentials": named(cloud.identity.application_credentials(cloud.current_user_id)),
            "ec2_credentials": [each["access"] for each in keys],
        }
    return {kind: sorted(names) for kind, names in (network | others).items()}


def say(*lines: str) -> None:
    """Print at once, for whoever waits."""
    print(*lines, sep="\n", flush=True)  # noqa: T201
