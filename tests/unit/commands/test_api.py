"""What Python is offered: the options of the modules as arguments, and the functions whatever was imported before."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml
import zarrstream
from zarrstream import ZarrstreamError, check, probe, write

CHECKOUT = Path(__file__).resolve().parents[3]
PACKAGE = CHECKOUT / "plugins/module_utils/zarrstream"
OURS = {"write": {"progress", "dry_run"}}


def documented(module: str) -> dict[str, Any]:
    tree = ast.parse((CHECKOUT / f"library/{module}.py").read_text())
    text = next(node.value.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "DOCUMENTATION")  # type: ignore[attr-defined]
    documentation = yaml.safe_load(text)
    options = documentation["options"]
    for fragment in documentation["extends_documentation_fragment"]:
        tree = ast.parse((CHECKOUT / f"plugins/doc_fragments/{fragment.rpartition('.')[2]}.py").read_text())
        options |= yaml.safe_load(tree.body[-1].body[0].value.value)["options"]  # type: ignore[attr-defined]
    return {name: option for name, option in options.items() if name != "state"}


@pytest.mark.parametrize(("function", "module"), [(write, "zarr_write"), (check, "zarr_check"), (probe, "s3_probe")])
def test_a_function_has_the_options_of_its_module(function: Any, module: str) -> None:
    wanted, found = documented(module), inspect.signature(function).parameters
    wanted.pop("lines", None)  # what the role's summary shows
    wanted.pop("stores", None)  # a loop, in Python
    assert set(found) - OURS.get(function.__name__, set()) == set(wanted)
    for name, option in wanted.items():
        default = found[name].default
        if default is not inspect.Parameter.empty and default not in ((), None):
            assert str(default) == str(option["default"]), name
        assert f"\n    {name}: " in str(inspect.getdoc(function)), "docstring"


def test_what_is_offered_is_typed_and_told() -> None:
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text())
    typed = {name.name for node in stub.body if isinstance(node, ast.ImportFrom) for name in node.names}
    assert typed == set(zarrstream.__all__) == set(zarrstream._OFFERED)
    assert typed <= set(dir(zarrstream))


@pytest.mark.parametrize("name", ["write", "check", "probe"])
def test_a_function_stays_one_whatever_is_imported(name: str) -> None:
    module = importlib.import_module(f"zarrstream.{name}")
    assert inspect.ismodule(module)
    assert inspect.isfunction(getattr(zarrstream, name))
    assert getattr(zarrstream, name) is getattr(importlib.import_module("zarrstream.commands.api"), name)
    with pytest.raises(AttributeError, match="wirte"):
        zarrstream.wirte  # noqa: B018


def test_who_imports_the_package_alone_loads_nothing() -> None:
    program = "import sys, zarrstream; print([name for name in sys.modules if name.startswith('zarrstream.')])"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env={"PYTHONPATH": str(PACKAGE.parent)}, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_write_and_check_with_paths_and_tuples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    source, store = tmp_path / "a.nc", tmp_path / "a.zarr"
    values = np.arange(40, dtype="i2").reshape(10, 4)
    xr.Dataset({"air": (("time", "x"), values), "no": (("time", "x"), values)}).to_netcdf(source, engine="netcdf4")
    arguments: Any = {"chunks": {"time": 5}, "variables": ("air",)}
    assert write(source, store, dry_run=True, **arguments).action == "create"
    assert not store.exists()
    moments: list[Any] = []
    assert write((source,), store, progress=moments.append, progress_path="~/progress.json", **arguments).changed
    assert moments[-1].state == "done"
    assert (tmp_path / "progress.json").is_file()
    assert not write(source, str(store), **arguments).changed
    (tmp_path / "reports").mkdir()
    assert check(store, source=source, sample="all", report="~/reports").ok
    assert (tmp_path / "reports/a.zarr.html").is_file()
    (store / "air/c/1/0").unlink()
    damaged = check(store, checks=("open", "complete"))
    assert not damaged.ok
    assert [(item.id, item.status) for item in damaged.checks] == [("open", "passed"), ("complete", "failed")]


def test_what_makes_no_sense_or_has_no_access_is_told(tmp_path: Path) -> None:
    with pytest.raises(ZarrstreamError, match=r"source '.*none\.nc'"):
        write(tmp_path / "none.nc", tmp_path / "a.zarr")
    with pytest.raises(ZarrstreamError, match="no bucket to read"):
        probe(anonymous=True)
    config = tmp_path / "config"
    config.touch()
    access = probe(profile="nobody", config_file=config)
    assert not access.ok
    assert "profile 'nobody'" in str(access.failure)
