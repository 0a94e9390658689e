# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A person who follows the guide: inventory/jetstream2 copied, playbooks by their command line, this machine as the host of her own.

Her home is a folder of the test for everything on this machine that asks passwd, in a mount namespace of the run alone: roles write into
the homes that passwd names.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from integration.conftest import CHECKOUT, RECAP, Play
from running import stand_in_for_the_stack

_IN_A_HOME = 'mount --bind "$0" /etc/passwd && exec "$@"'


@dataclass(frozen=True)
class Person:
    """Her folder, with her inventory in it, and the variables of her shell."""

    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def profile(self) -> Path:
        return self.home / ".aws" / "config"

    @property
    def stack(self) -> Path:
        return self.folder / "stack"

    @property
    def platform(self) -> Path:
        """What she declares."""
        return self.folder / "mine" / "group_vars" / "all" / "platform.yml"

    def declare(self, **variables: Any) -> None:
        """Put her decisions in the place of the inventory's examples."""
        found = yaml.safe_load(self.platform.read_text())
        self.platform.write_text(yaml.safe_dump({**found, **variables}, sort_keys=False))

    def run(self, playbook: str, *arguments: str, check: bool = True) -> Play:
        """``ansible-playbook -i inventory/mine playbooks/…``."""
        passwd = self.folder / "passwd"
        text = Path("/etc/passwd").read_text()
        passwd.write_text(re.sub(r"^(root:[^:]*:0:0:[^:]*:)[^:]*", rf"\1{self.home}", text, flags=re.MULTILINE))
        program = Path(sys.executable).with_name("ansible-playbook")
        command = [program, "-i", self.folder / "mine", CHECKOUT / "playbooks" / playbook, *arguments]
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", _IN_A_HOME, passwd, *command],
            env={**os.environ, "HOME": str(self.home), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), **self.env},
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        stats = {
            host: {key: int(value) for key, value in (pair.split("=") for pair in numbers.split())}
            for host, numbers in RECAP.findall(done.stdout)
        }
        assert not check or done.returncode == 0, f"{done.stdout}{done.stderr}"
        return Play(done.returncode, done.stdout, done.stderr, stats)


def begin(folder: Path, env: Mapping[str, str]) -> Person:
    """Copy the inventory as the guide says for hosts of one's own, and name this machine as one."""
    person = Person(folder, env)
    person.home.mkdir(exist_ok=True)
    shutil.copytree(CHECKOUT / "inventory" / "jetstream2", folder / "mine")
    for each in ("openstack.yml", "group_vars/all/vms.yml"):
        (folder / "mine" / each).unlink()
    hosts = folder / "mine" / "hosts.yml"
    found = yaml.safe_load(hosts.read_text())
    found["all"]["children"]["zarr_hosts"]["children"]["zarr_clients"] = {"hosts": {"localhost": {}}}
    hosts.write_text(yaml.safe_dump(found, sort_keys=False))
    stand_in_for_the_stack(person.stack)
    person.declare(zarr_stack_path=str(person.stack))
    return person


def lines_of(play: Play, name: str) -> str:
    """The lines of Python that the summary prints for a data set."""
    part = re.search(rf"^ +{name}: (?:.*\n)*? +open it  (.*\n(?: {{15,}}\S.*\n)*)", play.stdout, re.MULTILINE)
    assert part, play.stdout
    return "\n".join(line.strip() for line in part[1].splitlines())
