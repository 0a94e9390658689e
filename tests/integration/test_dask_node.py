# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module dask_node with files of a user: check, diff, what shows of a secret, what it refuses. Molecule has it with systemd."""

from __future__ import annotations

import secrets
import venv
from pathlib import Path
from typing import Any

import pytest

SECRET = secrets.token_hex(16)


@pytest.fixture
def files(home: Path) -> list[dict[str, Any]]:
    return [
        {"path": "~/.config/dask", "mode": "0755"},
        {"path": "~/.config/dask/key.pem", "mode": "0600", "secret": SECRET},
        {"path": "~/.config/dask/zarrstream.yaml", "mode": "0644", "content": "ca-file: '@home@/ca.pem'\n", "fill": True},
    ]


def test_check_predicts_what_is_then_written_once_and_shows_no_secret(modules: Any, home: Path, files: list[dict[str, Any]]) -> None:
    foreseen = modules("dask_node", {"files": files}, check=True)
    assert not (home / ".config").exists()
    done = modules("dask_node", {"files": files})
    again = modules("dask_node", {"files": files})
    assert [run.result["changed"] for run in (foreseen, done, again)] == [True, True, False]
    assert (
        foreseen.result["paths"]
        == done.result["paths"]
        == [str(home / ".config/dask" / name) for name in ("", "key.pem", "zarrstream.yaml")]
    )
    assert (home / ".config/dask/zarrstream.yaml").read_text() == f"ca-file: '{home}/ca.pem'\n"
    assert (home / ".config/dask/key.pem").read_text() == SECRET
    assert "ca.pem" in str(done.result["diff"])
    assert not [run for run in (foreseen, done, again) if SECRET in run.said]


def test_an_environment_that_does_not_run_is_no_failure(modules: Any, home: Path) -> None:
    node = modules("dask_node", {"python": str(home / "none")}).result["node"]
    assert (node["environment"], node["executable"]) == ("", "")
    assert "none" in node["why_not"]
    assert node["cores"] >= 1


def test_the_number_of_a_service_follows_the_packages_that_it_imports(modules: Any, tmp_path: Path) -> None:
    """An environment in which the role zarr_stack replaces the package and nothing else."""
    venv.create(tmp_path / "stack", symlinks=True)
    package = next((tmp_path / "stack/lib").glob("python3*/site-packages")) / "zarrstream"
    package.mkdir()

    def number(content: str, packages: list[str]) -> str:
        (package / "__init__.py").write_text(content)
        arguments = {"python": str(tmp_path / "stack/bin/python"), "packages": packages}
        return str(modules("dask_node", arguments, check=True).result["definition"])

    assert number("a = 1", ["zarrstream"]) == number("a = 1", ["zarrstream"]) != number("a = 2", ["zarrstream"])
    assert number("a = 1", []) == number("a = 2", [])


def test_what_is_wrong_is_named_with_its_value(modules: Any, home: Path, files: list[dict[str, Any]]) -> None:
    said = modules("dask_node", {"files": [files[0] | {"mode": "u=rwx"}]}).result["msg"]
    assert said == f"files.mode is 'u=rwx' for {home}/.config/dask: an octal mode is wanted, such as '0640'."
