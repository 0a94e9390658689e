# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What `ansible-galaxy collection build` packs: all that a user needs, and nothing that serves the work on the collection alone."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("artifact")  # which is packed once, in one process
ROOT = Path(__file__).resolve().parents[3]
WANTED = (
    "README.md",
    "requirements.txt",
    "requirements.yml",
    "meta/runtime.yml",
    "meta/execution-environment.yml",
    "inventory/jetstream2/openstack.yml",
    "inventory/jetstream2/group_vars/all/platform.yml",
    "inventory/embedded/hosts.yml",
    "playbooks/site.yml",
    "playbooks/vars_plugins/beside_the_importing_playbook.py",
    "plugins/modules/zarr_write.py",
    "plugins/module_utils/zarrstream/__init__.py",
    "roles/zarr_stack/files/requirements.lock",
    "docs/getting-started.md",
)
UNWANTED = (
    "tests",
    "molecule",
    "bench.json",
    "Makefile",
    "make",
    "ansible.cfg",
    "pyproject.toml",
    "build",
    "changelogs",
    ".config",
    ".git",
)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files in the artifact."""
    folder = tmp_path_factory.mktemp("artifact")
    command = [Path(sys.executable).parent / "ansible-galaxy", "collection", "build", str(ROOT), "--output-path", str(folder)]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        names = {member.name for member in archive.getmembers() if not member.isdir()}
        listed = json.load(archive.extractfile("FILES.json"))["files"]  # type: ignore[arg-type]
    assert {each["name"] for each in listed if each["ftype"] == "file"} | {"FILES.json", "MANIFEST.json"} == names
    return names


def test_what_a_user_needs_is_there(packed: set[str]) -> None:
    assert set(WANTED) - packed == set()
    roles = {path.name for path in (ROOT / "roles").iterdir()}
    assert {name.split("/")[1] for name in packed if name.startswith("roles/")} == roles
    modules = {f"plugins/modules/{path.name}" for path in (ROOT / "plugins" / "modules").glob("*.py")}
    assert modules <= packed


def test_what_only_serves_the_work_on_it_is_not(packed: set[str]) -> None:
    assert {name for name in packed if set(name.split("/")) & set(UNWANTED) or name.startswith(".") or name.endswith(".pyc")} == set()
