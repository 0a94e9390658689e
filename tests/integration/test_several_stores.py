# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""zarr_write and zarr_check for several stores in one run: what is foreseen, what is done, and what of it fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr


def test_stores_are_written_checked_and_removed_in_one_run_and_fail_one_by_one(modules: Any, tmp_path: Path) -> None:
    source = tmp_path / "air.nc"
    xr.Dataset({"air": ("time", np.arange(8.0))}).to_netcdf(source, engine="h5netcdf")
    stores = {name: str(tmp_path / f"{name}.zarr") for name in ("first", "none", "wrong", "last")}
    each = [
        {"store": stores["first"], "source": str(source)},
        {"store": stores["none"], "source": str(tmp_path / "none.nc")},
        {"store": stores["wrong"], "source": str(source), "chunk": {"time": 4}},
        {"store": stores["last"], "source": str(source), "zarr_format": 2},
    ]
    foreseen = modules("zarr_write", {"stores": each, "consolidated": False}, check=True).result
    assert not Path(stores["first"]).exists()
    done = modules("zarr_write", {"stores": each, "consolidated": False}).result
    for result in (foreseen, done):
        assert result["failed"]
        assert result["changed"]
        assert result["msg"].startswith("2 of 4 stores failed: source ")
        assert [each.get("action") for each in result["stores"]] == ["create", None, None, "create"]
        assert "does not exist on this host" in result["stores"][1]["msg"]
        assert "chunk" in result["stores"][2]["msg"]
        assert len(result["diff"]) == 2
    assert (tmp_path / "last.zarr" / ".zgroup").exists()
    assert not (tmp_path / "last.zarr" / ".zmetadata").exists(), "what is said once is for all"

    good = [each[0], each[3]]
    again = modules("zarr_write", {"stores": good, "consolidated": False}).result
    assert (again["changed"], [each["action"] for each in again["stores"]]) == (False, ["nothing", "nothing"])
    next(path for path in (tmp_path / "last.zarr" / "air").glob("[0-9]*")).unlink()
    checked = modules("zarr_check", {"stores": [{"store": store, "source": str(source)} for store in (stores["first"], stores["last"])]})
    assert [each["ok"] for each in checked.result["stores"]] == [True, False]
    assert checked.result["msg"].startswith(f"1 of 2 stores failed: {stores['last']}: ")
    gone = modules("zarr_write", {"state": "absent", "stores": [{"store": each["store"]} for each in good]}).result
    assert [each["action"] for each in gone["stores"]] == ["remove", "remove"]


def test_one_store_or_several(modules: Any) -> None:
    assert "one of the following is required: store, stores" in modules("zarr_check", {}).result["msg"]
    assert "mutually exclusive: store|stores" in modules("zarr_check", {"store": "/a", "stores": []}).result["msg"]
    assert "missing: source" in modules("zarr_write", {"store": "/a"}).result["msg"]
