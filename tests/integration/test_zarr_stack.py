# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The role zarr_stack: the life of an environment, and a Python that it cannot have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PLAY = "- {hosts: zarr_hosts, gather_facts: false, roles: [zarr_stack]}"


@pytest.fixture
def stack(run_playbook: Any, tmp_path: Path) -> Any:
    """A function that runs the role for an environment of this test, below its own folder."""

    def run(*arguments: str, env: dict[str, str] | None = None, **variables: str) -> Any:
        wanted = {"zarr_stack_path": str(tmp_path / "stack"), "zarr_stack_python": sys.executable, **variables}
        return run_playbook(PLAY, *arguments, extra_vars=wanted, env=env, check=False)

    return run


def test_the_life_of_an_environment(stack: Any, tmp_path: Path) -> None:
    path = tmp_path / "stack"
    predicted = stack("--check", "--diff")
    assert (predicted.rc, predicted.changed > 0, path.exists()) == (0, True, False), predicted.output
    assert stack().rc == 0
    subprocess.run([path / "current" / "bin" / "python", "-c", "import zarr, xarray, s3fs"], check=True)
    for arguments in ((), ("--check",)):
        again = stack(*arguments)
        assert (again.rc, again.changed) == (0, 0), again.output

    (path / "current").unlink()
    switched = stack()
    assert (switched.rc, switched.changed) == (0, 1), switched.output

    (path / "bin" / "mine").touch()
    assert stack("--check", zarr_stack_state="absent").changed == 1
    assert (path / "current").exists()
    assert stack(zarr_stack_state="absent").changed == 1
    assert [each for each in path.rglob("*") if each.is_file()] == [path / "bin" / "mine"]
    (path / "bin" / "mine").unlink()
    assert stack(zarr_stack_state="absent").changed == 1
    assert not path.exists()
    assert stack(zarr_stack_state="absent").changed == 0


def test_python_that_is_too_old_is_refused_with_what_to_install(stack: Any, tmp_path: Path) -> None:
    """The stand-in is this Python, which says that it is older: no old one is on every machine."""
    old = tmp_path / "old-python"
    code = "import sys; sys.version_info = (3, 9, 18); exec(sys.argv[2])"
    old.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n')
    old.chmod(0o755)
    refused = stack(zarr_stack_python=str(old))
    said = " ".join(refused.stdout.split())
    assert refused.rc
    assert "it is Python 3.9" in said
    assert "3.11 or later is wanted: install" in said
    assert "zarr_stack_python" in said
    assert not (tmp_path / "stack").exists()


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
