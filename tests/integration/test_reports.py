"""Reports by Ansible: the role zarr_dataset leaves one for each data set, and leaves it alone while nothing changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import yaml

PLAY = """
- hosts: localhost
  gather_facts: false
  roles:
    - zarr_dataset
"""
KEEP, DAMAGE = "cp -r {{ reports }} {{ kept }}", "cp /dev/null {{ damaged }}"
FILES = [f"{name}/air.zarr.{kind}" for name in ("first", "second") for kind in ("json", "html")]


def test_the_role_leaves_a_report_for_each_data_set(run_playbook: Any, tmp_path: Path) -> None:
    values = np.arange(48, dtype="f4").reshape(4, 12)
    xr.Dataset({"air": (("time", "x"), values)}).to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    # The stores have one name, in two folders.
    stores = {name: tmp_path / name / "air.zarr" for name in ("first", "second")}
    variables = {
        "zarr_datasets": [
            {"name": name, "source": str(tmp_path / "a.nc"), "store": str(store), "chunks": {"time": 1}} for name, store in stores.items()
        ],
        "zarr_dataset_python": run_playbook.python,
        "zarr_dataset_report": str(tmp_path / "reports"),
    }
    damaged = stores["second"] / "air/c/2/0"
    between = [{"ansible.builtin.command": command, "changed_when": False} for command in (KEEP, DAMAGE)]
    plays = [*yaml.safe_load(PLAY), {"hosts": "localhost", "gather_facts": False, "tasks": between}, *yaml.safe_load(PLAY)]
    folders = {"reports": str(tmp_path / "reports"), "kept": str(tmp_path / "kept"), "damaged": str(damaged)}
    done = run_playbook(yaml.safe_dump(plays), extra_vars=variables | folders, check=False)
    assert (done.stats["localhost"]["failed"], damaged.read_bytes()) == (1, b""), done.output

    before = {file: (tmp_path / "kept" / file).read_text() for file in FILES}
    after = {file: (tmp_path / "reports" / file).read_text() for file in FILES}
    assert all(before[file].startswith("<!DOCTYPE html>") for file in FILES if file.endswith(".html"))
    assert [json.loads(before[f"{name}/air.zarr.json"])["ok"] for name in stores] == [True, True]
    assert [json.loads(after[f"{name}/air.zarr.json"])["ok"] for name in stores] == [True, False]
    assert 'class="bad"' in after["second/air.zarr.html"]
    assert all(after[file] == before[file] for file in FILES if file.startswith("first/")), "nothing has changed there"
