# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The role zarr_dataset, with stores in folders: one data set that fails does not hold the others up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from running import stand_in_for_the_stack

PLAY = """
- hosts: localhost
  gather_facts: false
  roles: [zarr_dataset]
"""


def test_a_data_set_that_fails_is_told_beside_the_others(run_playbook: Any, tmp_path: Path) -> None:
    """One whose source is gone, and one whose store is not as its source any more, which only the proof finds: taken back as is said."""
    sources = {name: tmp_path / f"{name}.nc" for name in ("first", "last", "changed")}
    for path in sources.values():
        xr.Dataset({"air": ("time", np.arange(8.0))}).to_netcdf(path, engine="h5netcdf")
    datasets = [{"name": name, "source": str(path), "store": str(tmp_path / f"{name}.zarr")} for name, path in sources.items()]
    none = {"name": "none", "source": str(tmp_path / "none.nc"), "store": str(tmp_path / "none.zarr")}
    variables = {"zarr_dataset_python": run_playbook.python, "zarr_datasets": [datasets[0], none, datasets[1]]}
    for arguments in (["--check"], []):
        failed = run_playbook(PLAY, *arguments, extra_vars=variables, check=False)
        assert failed.rc
        said = " ".join(failed.stdout.split())
        assert f"1 of 3 data sets failed: none: source '{none['source']}' does not exist on this host." in said
    assert failed.stdout.count(": written\n") == 2
    assert f"none: FAILED, source '{none['source']}' does not exist" in said

    done = run_playbook(PLAY, extra_vars={**variables, "zarr_datasets": datasets})
    assert done.changed == 1
    victim = next(path for path in (tmp_path / "changed.zarr" / "air").rglob("*") if path.is_file() and path.name != "zarr.json")
    victim.unlink()
    found = run_playbook(PLAY, "--tags", "zarr_dataset_check", extra_vars={**variables, "zarr_datasets": datasets}, check=False)
    assert found.rc
    said = " ".join(found.stdout.split())
    assert "1 of 3 data sets failed: changed: " in said
    assert f"{datasets[2]['store']} stays: it is on this host. With 'state: absent' beside a data set" in said

    failed = run_playbook(PLAY, extra_vars={**variables, "zarr_datasets": datasets}, check=False)
    assert "changed: unchanged, as it was written before, but FAILED to be proved" in failed.stdout
    assert "stays    it is on this host" in failed.stdout
    back = run_playbook(PLAY, extra_vars={**variables, "zarr_datasets": [*datasets[:2], {**datasets[2], "state": "absent"}]})
    assert "changed: removed, 2 objects" in back.stdout, back.stdout
    assert (back.changed, (tmp_path / "changed.zarr").exists(), (tmp_path / "first.zarr").exists()) == (1, False, True)
    assert run_playbook(PLAY, extra_vars={**variables, "zarr_datasets": datasets}).stdout.count("changed: written\n") == 1


def test_an_environment_of_a_data_sets_own(run_playbook: Any, tmp_path: Path) -> None:
    """It runs what writes and proves that data set; one that is not there is refused before anything is touched."""
    source = tmp_path / "1.nc"
    xr.Dataset({"air": ("time", np.arange(8.0))}).to_netcdf(source, engine="h5netcdf")
    datasets = [{"name": name, "source": str(source), "store": str(tmp_path / f"{name}.zarr")} for name in ("usual", "other")]
    datasets[1]["stack_path"] = str(tmp_path / "stack")
    variables = {"zarr_dataset_python": run_playbook.python, "zarr_datasets": datasets}
    refused = " ".join(run_playbook(PLAY, extra_vars=variables, check=False).stdout.split())
    assert f"stack_path of data set other is {tmp_path}/stack, and there is no environment." in refused
    assert not (tmp_path / "usual.zarr").exists()

    stand_in_for_the_stack(tmp_path / "stack")
    own = tmp_path / "stack" / "current" / "bin" / "python"
    used = own.with_name("used")
    real = own.rename(own.with_name("real"))
    own.write_text(f'#!/bin/sh\n: > {used}\nexec {real} "$@"\n')
    own.chmod(0o755)
    run_playbook(PLAY, extra_vars=variables)
    assert used.exists()
    assert (tmp_path / "other.zarr").exists()
