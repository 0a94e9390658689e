"""Each recipe of docs/recipes-combine.md, run on files in the shape of the real ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapes
import xarray as xr
import yaml
from shapes import LAT, X, Y, day, grid
from zarrstream.commands.write import write_dataset
from zarrstream.write.request import request_from

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "recipes-combine.md").read_text()
RECIPES = [yaml.safe_load(block)[0]["zarrstream.platform.zarr_write"] for block in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)]


def cmip6(folder: Path) -> None:
    day(folder / "tas_Amon_M_hist_185001-189912.nc", [0, 1])
    day(folder / "tas_Amon_M_hist_190001-194912.nc", [2, 3], grid=grid(lat=LAT + 1e-13))


def nrt(folder: Path) -> None:
    day(folder / "a.nc", [0, 1, 2], values=np.zeros((3, Y, X)))
    day(folder / "b.nc", [2, 3], values=np.ones((2, Y, X)))


def static(folder: Path) -> None:
    for number in (0, 1):
        day(folder / f"{number}.nc", [number], extra={"orog": ("f4", ("lat", "lon"), np.full((Y, X), number), {})})


FILES: dict[str, Callable[[Path], Any]] = {
    "wrf": shapes.wrf,
    "roms": shapes.roms,
    "goes": shapes.goes,
    "ensemble": lambda folder: shapes.ensemble(folder, years=2),
    "cmip6": cmip6,
    "nrt": nrt,
    "static": static,
}
SIZES: dict[str, dict[str, int]] = {
    "wrf": {"Time": 4},
    "roms": {"ocean_time": 4},
    "goes": {"time": 2},
    "goes-by-name": {"time": 2},
    "ensemble": {"member": 2, "time": 4},
    "tas": {"time": 4},
    "nrt": {"time": 4},
    "static": {"time": 2},
}


# In `make test-all` those as well that docs/recipes.md has, whose stores are compared in full (test_recipes.py).
ELSEWHERE = ("wrf", "roms", "goes", "goes-by-name", "ensemble")


def name_of(recipe: dict[str, Any]) -> str:
    return Path(recipe["store"]).stem


@pytest.mark.parametrize(
    "recipe",
    [pytest.param(each, marks=pytest.mark.thorough if name_of(each) in ELSEWHERE else []) for each in RECIPES],
    ids=name_of,
)
def test_a_recipe_makes_a_store_that_opens(tmp_path: Path, recipe: dict[str, Any]) -> None:
    named = recipe["source"] if isinstance(recipe["source"], list) else [recipe["source"]]
    folder = tmp_path / Path(named[0]).parent.name
    folder.mkdir()
    FILES[folder.name](folder)
    store = tmp_path / Path(recipe["store"]).name
    write_dataset(request_from({**recipe, "source": [name.replace("/data", str(tmp_path)) for name in named], "store": str(store)}))
    with xr.open_zarr(store, chunks=None) as opened:
        sizes = SIZES[store.stem]
        assert {dim: opened.sizes[dim] for dim in sizes} == sizes
        for name in opened.variables:
            assert opened[name].values.shape == opened[name].shape
        for dim in sizes:
            assert opened.indexes[dim].is_monotonic_increasing


def test_the_page_has_every_shape() -> None:
    assert {Path(recipe["store"]).stem for recipe in RECIPES} == SIZES.keys()
