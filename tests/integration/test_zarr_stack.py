# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The role zarr_stack: its removal, and a Python that it cannot have. What it installs is looked at on hosts, by Molecule."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

PLAY = "- {hosts: zarr_hosts, gather_facts: false, roles: [zarr_stack]}\n"


@pytest.fixture
def stack(run_playbook: Any, tmp_path: Path) -> Any:
    """A function that runs the role for an environment of this test, below its own folder."""

    def run(*arguments: str, play: str = PLAY, env: dict[str, str] | None = None, **variables: str) -> Any:
        wanted = {"zarr_stack_path": str(tmp_path / "stack"), "zarr_stack_python": sys.executable, **variables}
        return run_playbook(play, *arguments, extra_vars=wanted, env=env, check=False)

    return run


def test_only_what_the_role_made_is_removed(stack: Any, tmp_path: Path) -> None:
    """A removal looks at names alone, so that no package needs to be there."""
    path = tmp_path / "stack"
    mine = path / "bin" / "mine"
    for file in (path / "envs" / "1234" / "bin" / "python", path / "envs" / "1234.lock", path / "bin" / "uv", mine):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (path / "current").symlink_to("envs/1234")
    foreseen = stack("--check", zarr_stack_state="absent")
    assert (foreseen.changed, (path / "current" / "bin" / "python").exists()) == (1, True)
    assert stack(zarr_stack_state="absent").changed == 1
    assert [each for each in path.rglob("*") if not each.is_dir() or each.is_symlink()] == [mine]
    mine.unlink()
    assert stack(play=PLAY + PLAY, zarr_stack_state="absent").changed == 1, "the second time nothing is there"
    assert not path.exists()


def test_python_that_is_not_there_is_named(stack: Any, tmp_path: Path) -> None:
    refused = stack(zarr_stack_python="/nowhere/python3")
    assert refused.rc
    assert "zarr_stack_python is '/nowhere/python3' on localhost" in refused.stdout
    assert not (tmp_path / "stack").exists()


def test_python_that_cannot_be_downloaded_is_a_clear_error(stack: Any, tmp_path: Path) -> None:
    nobody = {"UV_PYTHON_INSTALL_MIRROR": "http://127.0.0.1:9", "UV_HTTP_RETRIES": "0", "UV_NO_CONFIG": "1"}
    refused = stack(zarr_stack_python="3.12", env=nobody)
    said = " ".join(refused.stdout.split())
    assert refused.rc
    assert "uv cannot make an environment with it" in said
    assert "http://127.0.0.1:9" in said
    assert "name a mirror in UV_PYTHON_INSTALL_MIRROR" in said
    assert not (tmp_path / "stack" / "current").exists()
