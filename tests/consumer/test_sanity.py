# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`ansible-test sanity` has nothing to say about the collection as it is installed, on the oldest and the newest ansible-core."""

from __future__ import annotations

import os
import re
import sys
import tarfile
from pathlib import Path

import pytest
from running import ROOT

from .conftest import MADE, NEWEST, OLDEST, Controller, made

NEIGHBOURS = ("amazon/aws", "community/crypto", "openstack/cloud")
# ansible-test makes environments without pip, and would fetch a program that brings it; Python has its own.
BOOTSTRAP = 'import subprocess, sys\n\nsubprocess.run([sys.executable, "-m", "ensurepip", "--default-pip"], check=True)\n'


def libraries(controller: Controller) -> Path:
    """Where its Python has Ansible."""
    return next((controller.programs.parent / "lib").glob("python3.*/site-packages"))


def laid_out(artifact: Path, controller: Controller, folder: Path) -> Path:
    """The collection where ansible-test looks for it, with those that it needs beside it."""
    place = folder / "ansible_collections" / "zarrstream" / "platform"
    place.mkdir(parents=True)
    with tarfile.open(artifact) as archive:
        archive.extractall(place, filter="data")
    for name in NEIGHBOURS:
        (folder / "ansible_collections" / name).parent.mkdir()
        (folder / "ansible_collections" / name).symlink_to(libraries(controller) / "ansible_collections" / name)
    return place


def home(controller: Controller) -> Path:
    """A HOME in which the environments of ansible-test stay for the next time."""
    folder = MADE / "ansible-test"
    source = (libraries(controller) / "ansible_test" / "_internal" / "python_requirements.py").read_text()
    cache = folder / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in re.findall(r"pip='([\d.]+)'", source):
        (cache / f"get_pip_{version.replace('.', '_')}.py").write_text(BOOTSTRAP)
    return folder


@pytest.mark.thorough
@pytest.mark.parametrize("packages", [OLDEST, NEWEST], ids=["2.19", "2.21"])
def test_ansible_test_has_nothing_to_say(packages: tuple[str, ...], artifact: Path, tmp_path: Path) -> None:
    controller = made(*packages)
    place = laid_out(artifact, controller, tmp_path)
    assert not list((ROOT / "tests" / "sanity").glob("ignore*")), "nothing is ignored"
    env = {**os.environ, "HOME": str(home(controller)), "PATH": f"{controller.programs}:{os.environ['PATH']}"}
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    said = controller.run("ansible-test", "sanity", "--python", python, cwd=place, env=env)
    assert 'Running sanity test "validate-modules"' in said
    assert "Found" not in said
