# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a controller lacks is named before anything runs, with the command that brings it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def lookup() -> Any:
    """The plugin, as a module."""
    spec = importlib.util.spec_from_file_location("missing_requirements", ROOT / "plugins" / "lookup" / "missing_requirements.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_this_controller_lacks_nothing(lookup: Any) -> None:
    assert [*lookup.core_faults(lookup.ansible_core), *lookup.library_faults(sys.executable, lookup.versions_in(sys.executable))] == []


@pytest.mark.parametrize(("version", "old"), [("2.14.18", True), ("2.18.9", True), ("2.19.0", False), ("2.21.0rc1", False)])
def test_releases_of_ansible(lookup: Any, version: str, old: bool) -> None:
    said = " ".join(lookup.core_faults(version))
    assert bool(said) is old
    assert not old or (f"ansible-core {version}" in said and ">=2.19.0 is needed" in said and "pip install" in said)


@pytest.mark.parametrize(("version", "what"), [(None, "is not there"), ("2.4.1", "has version 2.4.1"), ("2.5.0", ""), ("", "")])
def test_collections(lookup: Any, version: str | None, what: str) -> None:
    found = {**dict.fromkeys(lookup.wanted_collections(), ""), "openstack.cloud": version}
    said = " ".join(lookup.collection_faults(found))
    assert (what in said and "collection install --upgrade 'openstack.cloud:>=2.5.0'" in said) if what else said == ""


def test_libraries_that_are_missing_or_too_old_are_named_together(lookup: Any) -> None:
    found = {wanted.name: "99" for wanted in lookup.wanted_libraries()} | {"boto3": "1.20", "ConfigUpdater": None}
    (said,) = lookup.library_faults("/usr/bin/python3", found)
    assert "boto3>=1.43 (there is 1.20), ConfigUpdater>=3.2 (not there)" in said
    assert f"/usr/bin/python3 -m pip install -r {ROOT}/requirements.txt" in said
    assert 'set ansible_python_interpreter of localhost to "{{ ansible_playbook_python }}"' in said
    (said,) = lookup.library_faults(sys.executable, found)
    assert "ansible_python_interpreter" not in said


def test_versions_that_do_not_work_together(lookup: Any) -> None:
    (said,) = lookup.conflicts("python3", {"openstack.cloud": "2.5.0"}, {"openstacksdk": "4.15.0"})
    assert "openstack.cloud 2.5.0 does not work with openstacksdk 4.15.0" in said
    assert list(lookup.conflicts("python3", {"openstack.cloud": "2.6.0"}, {"openstacksdk": "4.15.0"})) == []
    assert list(lookup.conflicts("python3", {"openstack.cloud": "2.5.0"}, {"openstacksdk": "4.14.0"})) == []


@pytest.mark.parametrize("program", ["exit 3", "echo told >&2; exit 1", "echo no"])
def test_a_python_that_cannot_be_asked_is_named(lookup: Any, tmp_path: Path, program: str) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{program}\n")
    python.chmod(0o755)
    (said,) = (line for line in lookup.faults(str(python)) if line.startswith(str(tmp_path)))
    assert "cannot be asked for its libraries" in said
    assert ("told" in said) is ("told" in program)


def test_another_python_is_asked(lookup: Any, tmp_path: Path) -> None:
    link = tmp_path / "python"
    link.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    link.chmod(0o755)
    assert lookup.versions_in(str(link)) == lookup.versions_in(sys.executable)


def test_which_python_ansible_takes(lookup: Any) -> None:
    assert lookup.interpreter("/opt/python") == "/opt/python"
    assert Path(lookup.interpreter("auto_silent")).name.startswith("python3")
    assert lookup.interpreter("") == lookup.interpreter("auto")
