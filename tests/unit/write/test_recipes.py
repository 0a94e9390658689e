"""Each recipe of docs/recipes.md, as it is declared and on the command line, on files in the shape of the real ones."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import netcdf_shapes
import numpy as np
import pytest
import shapes
import xarray as xr
import yaml
from asking import check_request, check_store
from pages import ROOT, blocks, section
from running import THOROUGH
from zarrstream.commands import cli
from zarrstream.commands.datasets import requests
from zarrstream.commands.write import write_dataset
from zarrstream.write.request import request_from

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have a Zarr V3 specification"),
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),
]
PAGE = ROOT / "docs" / "recipes.md"
DECLARED: dict[str, dict[str, Any]] = {found["name"]: found for block in blocks(PAGE, "yaml") for found in yaml.safe_load(block)}
COMMANDS = {store: block for block in blocks(PAGE) for store in re.findall(r"s3://climate/\S+", block)}
MAKERS: dict[str, Callable[[Path], Any]] = {
    "wrf": shapes.wrf,
    "roms": shapes.roms,
    "mpas": netcdf_shapes.mpas,
    "goes": shapes.goes,
    "modis": netcdf_shapes.modis,
    "era5": netcdf_shapes.era5,
    "era5-new": netcdf_shapes.era5_new,
    "cmip6": netcdf_shapes.cmip6,
    "ensemble": lambda folder: shapes.ensemble(folder, years=2),
}


def first_days(opened: xr.Dataset) -> list[str]:
    return [str(time)[:13] for time in opened.time.values]


def wrf(opened: xr.Dataset) -> None:
    assert opened.t2m.dims == ("time", "south_north", "west_east")
    assert {"lat", "lon"} <= set(opened.t2m.coords)
    assert first_days(opened) == ["2020-01-01T00", "2020-01-01T12", "2020-01-02T00", "2020-01-02T12"]
    assert np.array_equal(opened.t2m.values, np.concatenate([shapes.field(2, 1), shapes.field(2, 2)]))


def roms(opened: xr.Dataset) -> None:
    assert opened.attrs == {"title": "Hindcast"}
    assert opened.zeta.attrs["standard_name"] == "sea_surface_height_above_geoid"
    assert set(opened.data_vars) == {"zeta", "h"}
    assert opened.sizes["time"] == 4


def mpas(opened: xr.Dataset) -> None:
    assert first_days(opened) == ["2020-01-01T06", "2020-01-02T06"]
    assert opened.t2m.dims == ("time", "cell")
    assert opened.latCell.dims == ("cell",)
    assert opened.t2m.values[:, 0].tolist() == [1, 2]


def goes(opened: xr.Dataset) -> None:
    assert opened.CMI.dims == ("time", "y", "x")
    assert opened.sizes["time"] == 2
    assert "valid_pixel_count" not in opened
    assert opened.goes_imager_projection.dims == ()


def modis(opened: xr.Dataset) -> None:
    assert opened.sst.dims == ("line", "pixel")
    assert opened.sst.coords["lat"].values[:, 0].tolist() == list(range(6))
    assert opened.sst.encoding["scale_factor"] == 0.01


def era5(opened: xr.Dataset) -> None:
    assert opened.t2m.dims == ("time", "latitude", "longitude")
    assert opened.t2m.encoding["dtype"] == "float32"
    assert opened.sizes["time"] == 4
    expected = np.concatenate([netcdf_shapes.field(2, 0), netcdf_shapes.field(2, 1)])
    assert float(np.abs(opened.t2m.values - expected).max()) < 0.0007


def era5_new(opened: xr.Dataset) -> None:
    assert set(opened.variables) == {"time", "lat", "lon", "t2m"}
    assert opened.time.encoding["units"] == "hours since 1900-01-01"
    assert first_days(opened)[-1] == "2020-01-04T00"
    assert np.array_equal(opened.t2m.values, np.concatenate([shapes.field(2, 0), shapes.field(2, 1)]))


def cmip6(opened: xr.Dataset) -> None:
    assert first_days(opened) == ["1850-01-01T00", "1850-02-01T00", "1850-03-01T00", "1850-04-01T00"]
    assert opened.tas.dims == ("time", "lat", "lon")
    assert np.array_equal(opened.tas.values, np.concatenate([shapes.field(2, 0), shapes.field(2, 1)]))
    assert "tracking_id" not in opened.attrs


def ensemble(opened: xr.Dataset) -> None:
    assert opened.t2m.dims == ("member", "time", "lat", "lon")
    assert opened.member.values.tolist() == [1, 2]
    assert np.array_equal(opened.t2m.values[1, 2:], shapes.field(2, 21))


FOUND: dict[str, Callable[[xr.Dataset], None]] = {
    "wrf": wrf, "roms": roms, "mpas": mpas, "goes": goes, "modis": modis,
    "era5": era5, "era5-new": era5_new, "cmip6": cmip6, "ensemble": ensemble,
}  # fmt: skip


@pytest.mark.parametrize("name", MAKERS)
def test_a_recipe_gives_one_store_by_both_ways(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    dataset, there = DECLARED[name], {"/data": str(tmp_path), "s3://climate": str(tmp_path)}

    def moved(text: str) -> str:
        return re.sub("/data|s3://climate", lambda found: there[found[0]], text)

    folder = Path(moved(dataset["source"])).parent
    folder.mkdir()
    MAKERS[name](folder)
    declared = {
        **dataset,
        "source": moved(dataset["source"]),
        "store": moved(dataset["store"]),
        "python": "python3",
        "anonymous_endpoint": "",
    }
    (asked,) = requests([declared], ["write"])[0]["stores"]
    assert write_dataset(request_from({**asked, "verify": "full" if THOROUGH else "manifest"})).action == "create"
    command = shlex.split(moved(COMMANDS[dataset["store"]].replace("\\\n", " ")))
    assert command[0] == "zarrstream"
    assert cli.main([*command[1:], "--json"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["action"] == "nothing"
    with xr.open_zarr(declared["store"]) as opened:
        FOUND[name](opened.load())
    report = check_store(check_request(declared["store"], source=[declared["source"]], sample="all"))
    assert report.ok, [each for each in report.checks if each.status == "failed"]


def test_the_page_has_a_section_for_each() -> None:
    assert DECLARED.keys() == MAKERS.keys() == FOUND.keys()
    assert {dataset["store"] for dataset in DECLARED.values()} == COMMANDS.keys()
    titles = re.findall(r"^## (.+)$", PAGE.read_text(), re.MULTILINE)
    assert all(len(re.findall("^```", section(PAGE, title), re.MULTILINE)) == 4 for title in titles)
