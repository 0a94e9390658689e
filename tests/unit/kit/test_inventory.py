# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""inventory/jetstream2: how machines of the kit are reached, and hosts of one's own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HOSTS = """
zarr_hosts:
  children:
    zarr_clients:
      hosts:
        own: {ansible_user: alice}
        nobody: {}
        made: {openstack: {status: ACTIVE}, vm_ssh_path: ~/c, vm_ssh_user: ubuntu}
"""


def test_hosts_of_ones_own_are_reached_by_ones_own_configuration(tmp_path: Path) -> None:
    """Without vms.yml and openstack.yml, as the guide says: neither the cluster's SSH configuration nor the user of an image is theirs."""
    mine = tmp_path / "mine"
    shutil.copytree(ROOT / "inventory" / "jetstream2", mine)
    for each in ("openstack.yml", "group_vars/all/vms.yml"):
        (mine / each).unlink()
    (mine / "more.yml").write_text(HOSTS)
    shown = "{{ {'ssh': ansible_ssh_common_args, 'users': aws_profile_users} | to_json }}"
    command = [Path(sys.executable).with_name("ansible"), "-i", mine, "zarr_hosts", "-o", "-m", "debug", "-a", f"msg={shown}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = {
        line.partition(" ")[0]: json.loads(json.loads(line.partition("=> ")[2])["msg"])
        for line in done.stdout.splitlines()
        if " => " in line
    }
    assert found["own"] == {"ssh": "", "users": ["root", "alice"]}
    assert found["nobody"] == {"ssh": "", "users": ["root"]}
    assert found["made"] == {"ssh": f"-F {Path('~/c').expanduser()}/ssh_config", "users": ["root", "ubuntu"]}
