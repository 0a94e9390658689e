"""The package that pip installs: its versions and dependencies agree with what the rest of the kit says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml
import zarrstream
from zarrstream import libraries

CHECKOUT = Path(__file__).resolve().parents[3]


def test_there_is_one_version() -> None:
    assert yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())["version"] == zarrstream.__version__


def project() -> dict[str, Any]:
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]


def test_pip_asks_for_what_the_hosts_get() -> None:
    lines = (CHECKOUT / "roles/zarr_stack/files/requirements.in").read_text().splitlines()
    hosts = {line.partition("#")[0].strip() for line in lines} - {""}
    wanted = set(project()["dependencies"]) | set(project()["optional-dependencies"]["all"])
    assert wanted - hosts == {"shtab>=1.7"}
    assert hosts <= wanted


def test_the_libraries_of_a_node_are_those_that_are_installed_and_proved() -> None:
    """What requirements.in names, with what that brings: of Dask its cluster, and NumPy."""
    lines = (CHECKOUT / "roles/zarr_stack/files/requirements.in").read_text().lower().splitlines()
    installed = {re.split(r"[>\[]", line)[0].replace("-", "_") for line in lines if not line.startswith("#")}
    assert {name.lower() for name in libraries.NODE} == installed | {"distributed", "numpy"}
    (block,) = (task for task in yaml.safe_load((CHECKOUT / "roles/zarr_stack/tasks/install.yml").read_text()) if "block" in task)
    (proof,) = (task for task in block["block"] if task["name"] == "Prove that the packages import")
    assert proof["ansible.builtin.command"]["argv"][-1] == f"import {', '.join(libraries.NODE)}"


def test_the_plain_command_asks_for_no_dask_and_no_dashboard() -> None:
    plain = [line for line in project()["dependencies"] if line.startswith(("dask", "distributed", "bokeh"))]
    extras = project()["optional-dependencies"]
    assert plain == []
    assert [line.partition(">")[0] for line in extras["dask"] + extras["all"]] == ["dask[distributed]", "dask[diagnostics,distributed]"]


def test_pip_is_told_of_what_ties_boto3_to_s3fs() -> None:
    """Without a word of aiobotocore pips go through hundreds of releases, and some give up: tests/integration/test_pip.py."""
    named = {line.partition(">")[0] for line in project()["dependencies"]}
    assert {"aiobotocore", "boto3", "s3fs"} <= named


def test_the_package_is_typed() -> None:
    assert (CHECKOUT / "plugins/module_utils/zarrstream/py.typed").is_file()
    assert "Typing :: Typed" in project()["classifiers"]
