# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A person who follows the guide, with the commands of its page: inventory/jetstream2 copied, this machine as the host of her own.

She works in a checkout of her own, which leads to this one in all but its inventories. Her home is a folder of the test for everything on
this machine that asks passwd, in a mount namespace of the run alone: roles write into the homes that passwd names.
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
from pages import GUIDE, blocks, commands
from running import stand_in_for_the_stack

_IN_A_HOME = 'mount --bind "$0" /etc/passwd && exec "$@"'
# What she types first in a shell.
ACTIVATE = commands(GUIDE, "bin/activate")[1]


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
    def checkout(self) -> Path:
        return self.folder / "checkout"

    @property
    def inventory(self) -> Path:
        return self.checkout / "inventory" / "mine"

    @property
    def platform(self) -> Path:
        """What she declares."""
        return self.inventory / "group_vars" / "all" / "platform.yml"

    def declare(self, **variables: Any) -> None:
        """Put her decisions in the place of the inventory's examples."""
        found = yaml.safe_load(self.platform.read_text())
        self.platform.write_text(yaml.safe_dump({**found, **variables}, sort_keys=False))

    def run(self, command: str, *more: str, check: bool = True) -> Play:
        """Type a command of the guide, with what it says may stand behind it, in a shell that uses the environment."""
        passwd = self.folder / "passwd"
        text = Path("/etc/passwd").read_text()
        passwd.write_text(re.sub(r"^(root:[^:]*:0:0:[^:]*:)[^:]*", rf"\1{self.home}", text, flags=re.MULTILINE))
        shell = ["bash", "-e", "-c", f"{ACTIVATE}\n{' '.join([command, *more])}"]
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", _IN_A_HOME, passwd, *shell],
            env={**os.environ, "HOME": str(self.home), "ANSIBLE_NOCOLOR": "1", **self.env},
            cwd=self.checkout,
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
    """Copy the inventory as the guide says for hosts of one's own, and name this machine as one, in the lines of its example."""
    person = Person(folder, env)
    person.home.mkdir(exist_ok=True)
    (person.checkout / "build").mkdir(parents=True)
    (person.checkout / "build" / "venv").symlink_to(sys.prefix)
    for each in ("ansible.cfg", "library", "playbooks", "plugins", "roles", "build/collections"):
        (person.checkout / each).symlink_to(CHECKOUT / each)
    shutil.copytree(CHECKOUT / "inventory" / "jetstream2", person.inventory)
    for each in ("openstack.yml", "group_vars/all/vms.yml"):
        (person.inventory / each).unlink()
    (example,) = (each for each in blocks(GUIDE, "yaml") if "zarr_clients:" in each)
    text = (person.inventory / "hosts.yml").read_text()
    assert text.count("        zarr_clients: {}\n") == 1
    own = example.replace("node-1: {ansible_user: alice}", "localhost: {}")
    (person.inventory / "hosts.yml").write_text(text.replace("        zarr_clients: {}\n", own))
    stand_in_for_the_stack(person.stack)
    person.declare(zarr_stack_path=str(person.stack))
    return person


def lines_of(play: Play, name: str) -> str:
    """The lines of Python that the summary prints for a data set."""
    part = re.search(rf"^ +{name}: (?:.*\n)*? +open it  (.*\n(?: {{15,}}\S.*\n)*)", play.stdout, re.MULTILINE)
    assert part, play.stdout
    return "\n".join(line.strip() for line in part[1].splitlines())
