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
KEEP = {"ansible.builtin.command": "cp -r {{ folder }} {{ kept }}", "changed_when": False}


def test_the_role_leaves_a_report_for_each_data_set(run_playbook: Any, tmp_path: Path) -> None:
    values = np.arange(48, dtype="f4").reshape(4, 12)
    xr.Dataset({"air": (("time", "x"), values)}).to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    # The stores have one name, in two folders.
    stores = {name: tmp_path / name / "air.zarr" for name in ("first", "second")}
    variables = {
        "zarr_datasets": [
            {"name": name, "source": str(tmp_path / "a.nc"), "store": str(store), "chunks": {"time": 1}} for name, store in stores.items()
        ],
        "zarr_dataset_python": "{{ ansible_playbook_python }}",
        "zarr_dataset_report": str(tmp_path / "reports"),
    }
    twice = [*yaml.safe_load(PLAY), {"hosts": "localhost", "gather_facts": False, "tasks": [KEEP]}, *yaml.safe_load(PLAY)]
    kept = {"folder": str(tmp_path / "reports"), "kept": str(tmp_path / "kept")}
    assert run_playbook(yaml.safe_dump(twice), extra_vars=variables | kept).changed == 2, "the second time nothing is to be done"
    pages = {name: tmp_path / "reports" / name / "air.zarr.html" for name in stores}
    before = {path: path.read_bytes() for path in (tmp_path / "reports").rglob("*.*")}
    assert before == {path: (tmp_path / "kept" / path.relative_to(tmp_path / "reports")).read_bytes() for path in before}
    assert len(before) == 4
    assert all(page.read_text().startswith("<!DOCTYPE html>") for page in pages.values())

    (stores["second"] / "air/c/2/0").write_bytes(b"not what was written")
    failed = run_playbook(PLAY, extra_vars=variables, check=False)
    assert failed.rc != 0
    assert json.loads(pages["second"].with_suffix(".json").read_text())["ok"] is False
    assert 'class="bad"' in pages["second"].read_text()
    assert pages["first"].read_bytes() == before[pages["first"]]
