"""The package that pip installs: its versions and dependencies agree with what the rest of the kit says."""

from __future__ import annotations

import tomllib
from pathlib import Path

import yaml
import zarrstream

CHECKOUT = Path(__file__).resolve().parents[2]


def test_there_is_one_version() -> None:
    assert yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())["version"] == zarrstream.__version__


def test_pip_asks_for_what_the_hosts_get() -> None:
    lines = (CHECKOUT / "roles/zarr_stack/files/requirements.in").read_text().splitlines()
    hosts = {line.partition("#")[0].strip() for line in lines} - {""}
    assert set(tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["dependencies"]) == hosts
