"""The command: the options of the modules, their results as JSON, exit codes, one line for what is wrong, quiet progress."""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml
from zarrstream import cli
from zarrstream.cli_options import make_parser
from zarrstream.progress import Progress
from zarrstream.progress_text import bar, clock, words
from zarrstream.request import request_from
from zarrstream.write import preview

CHECKOUT = Path(__file__).resolve().parents[2]
MODULES = {"write": "zarr_write", "plan": "zarr_write", "check": "zarr_check", "probe": "s3_probe"}
COPYING = Progress("copying", 12, 40, 2**20, 35.25, 3.4)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.nc"
    dataset = xr.Dataset({"air": (("time", "x"), np.arange(40, dtype="i2").reshape(10, 4))}, {"time": ("time", np.arange(10))})
    dataset.to_netcdf(path, engine="netcdf4")
    return path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def go(*arguments: object) -> tuple[int, str, str]:
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return go


def literals(module: str) -> dict[str, Any]:
    tree = ast.parse((CHECKOUT / "plugins" / "modules" / f"{module}.py").read_text())
    return {node.targets[0].id: node.value.value for node in tree.body if isinstance(node, ast.Assign) and hasattr(node.value, "value")}  # type: ignore[attr-defined]


def documented(module: str) -> dict[str, Any]:
    documentation = yaml.safe_load(literals(module)["DOCUMENTATION"])
    options = documentation["options"]
    for fragment in documentation["extends_documentation_fragment"]:
        tree = ast.parse((CHECKOUT / f"plugins/doc_fragments/{fragment.rpartition('.')[2]}.py").read_text())
        options |= yaml.safe_load(tree.body[-1].body[0].value.value)["options"]  # type: ignore[attr-defined]
    return options


def actions(command: str) -> dict[str, argparse.Action]:
    subparsers = next(action for action in make_parser()._actions if isinstance(action, argparse._SubParsersAction))
    return {action.dest: action for action in subparsers.choices[command]._actions if action.dest not in ("help", "json", "quiet")}


@pytest.mark.parametrize("command", MODULES)
def test_a_command_has_the_options_of_its_module(command: str) -> None:
    wanted, found = documented(MODULES[command]), actions(command)
    wanted.pop("state", None)  # a command of its own: remove
    assert set(found) == set(wanted), "cli_options.py and the module's options differ"
    for name, option in wanted.items():
        assert found[name].default == option.get("default"), name
        if "choices" in option and option["type"] != "list":
            assert list(found[name].choices or ()) == option["choices"], name


def test_write_then_again_then_check(run: Any, source: Path, tmp_path: Path) -> None:
    store = tmp_path / "a.zarr"
    code, out, err = run("write", source, store, "--chunks", "time=5", "--json")
    first = json.loads(out)
    assert (code, err, first["changed"], first["action"]) == (0, "", True, "create")
    module = preview(request_from({"source": [str(source)], "store": str(store), "chunks": {"time": 5}}))
    assert set(first) == set(module.to_dict()), "what the module returns"
    code, out, err = run("write", source, store, "--chunks", "time=5")
    assert (code, err) == (0, "")
    assert out.startswith(f"{store}: unchanged, {first['objects']} objects, ")
    code, out, err = run("check", store, "--source", source, "--json")
    report = json.loads(out)
    assert (code, report["ok"], report["report"], report["changed"]) == (0, True, None, False)
    assert {item["id"] for item in report["checks"] if item["status"] == "passed"} > {"values", "manifest", "complete"}


def test_a_plan_changes_nothing(run: Any, source: Path, tmp_path: Path) -> None:
    code, out, _err = run("plan", source, tmp_path / "a.zarr", "--chunks", "time=5")
    assert code == 0
    assert "air: " in out
    assert out.endswith("write would: create\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nc"]


def test_a_finding_is_exit_code_1_unless_told_otherwise(run: Any, source: Path, tmp_path: Path) -> None:
    store = tmp_path / "a.zarr"
    run("write", source, store, "--chunks", "time=5")
    (store / "air/c/1/0").unlink()
    code, out, err = run("check", store, "--checks", "open,complete")
    assert (code, err.count("\n")) == (1, 1)
    assert "failed   complete      1 of" in out
    assert err.startswith(f"zarrstream check: {store}: 1 passed, 1 failed, ")
    assert err.endswith("air/c/1/0: missing\n")
    code, out, err = run("check", store, "--json")
    assert (code, json.loads(out)["failed"], json.loads(out)["ok"]) == (1, True, False)
    assert run("check", store, "--fail-on", "never")[0] == 0


def test_options_reach_the_writer(run: Any, source: Path, tmp_path: Path) -> None:
    encoding = tmp_path / "encoding.json"
    encoding.write_text('{"air": {"compressor": {"name": "gzip", "level": 1}}}')
    options = ("--zarr-format", 2, "--variables", "air", "--encoding", f"@{encoding}", "--no-consolidated", "--verify", "full")
    assert run("write", source, tmp_path / "a.zarr", *options)[0] == 0
    assert json.loads((tmp_path / "a.zarr/air/.zarray").read_text())["compressor"]["id"] == "gzip"
    assert not (tmp_path / "a.zarr/.zmetadata").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "zarrstream: the following arguments are required: COMMAND. See zarrstream --help."),
        (("wipe",), "invalid choice: 'wipe'"),
        (("write", "a.nc"), "required: STORE"),
        (("write", "a.nc", "b.zarr", "--verifi", "full"), "unrecognized arguments: --verifi full"),
        (("plan", "SOURCE", "b.zarr", "--chunks", "time=many"), "chunks.time is 'many'"),
        (("plan", "SOURCE", "b.zarr", "--chunks", "many"), "chunks is 'many'"),
        (("write", "a.nc", "b.zarr", "--encoding", "{"), "'{' is not JSON"),
        (("write", "a.nc", "b.zarr", "--encoding", "[1]"), "'[1]' is not a JSON object"),
        (("write", "a.nc", "b.zarr", "--encoding", "@/no/such"), "/no/such cannot be read (No such file or directory)"),
        (("check", "ftp://b/a"), "the scheme 'ftp' is unknown"),
        (("check", "a.zarr", "--sample", "some"), "sample is 'some'"),
        (("check", "a.zarr", "--checks", "opne"), "checks names 'opne', which is none"),
        (("probe", "--anonymous"), "anonymous is set, but no bucket"),
    ],
)
def test_a_request_without_sense_is_one_line_and_exit_code_2(run: Any, source: Path, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = run(*(source if argument == "SOURCE" else argument for argument in arguments))
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("zarrstream")
    assert err.count("\n") == 1


def test_an_error_is_exit_code_1_and_json_too(run: Any, tmp_path: Path) -> None:
    arguments = ("write", tmp_path / "none.nc", tmp_path / "a.zarr")
    code, out, err = run(*arguments)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"zarrstream write: source '{tmp_path}/none.nc'")
    code, out, _err = run(*arguments, "--json")
    assert (code, json.loads(out)["failed"]) == (1, True)
    assert json.loads(out)["msg"] in err


@pytest.mark.parametrize("command", ["write", "check"])
def test_a_scheduler_without_dask_says_what_to_install(
    run: Any, monkeypatch: pytest.MonkeyPatch, source: Path, tmp_path: Path, command: str
) -> None:
    run("write", source, tmp_path / "a.zarr", "--chunks", "time=5")
    monkeypatch.setitem(sys.modules, "distributed", None)
    arguments = {"write": ("write", source, tmp_path / "b.zarr"), "check": ("check", tmp_path / "a.zarr")}[command]
    code, out, err = run(*arguments, "--scheduler", "tcp://127.0.0.1:8786")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "library (distributed)" in err
    assert f"Only 'scheduler' needs it: {sys.executable} -m pip install 'dask[distributed]'" in err
    assert not (tmp_path / "b.zarr").exists()


def test_an_interruption_is_exit_code_130(run: Any, monkeypatch: pytest.MonkeyPatch, source: Path, tmp_path: Path) -> None:
    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "write_dataset", interrupted)
    assert run("write", source, tmp_path / "a.zarr") == (130, "", "zarrstream write: interrupted.\n")


def test_a_reader_that_goes_away_is_no_error(source: Path, tmp_path: Path) -> None:
    # No output at all is read; the pipe's other end is closed before the command begins.
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "zarrstream.cli", "plan", str(source), str(tmp_path / "a.zarr")]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / "plugins/module_utils")}
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, env=environment, text=True, check=False, timeout=120)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_progress_in_words() -> None:
    assert words(COPYING) == "copying, 12 of 40 objects, 35.2 MiB/s, 0:03 left"
    assert bar(COPYING) == f"[#######.................]  30%  {words(COPYING)}"
    assert words(Progress("preparing", 0, 0, 0, 0.0, None)) == "preparing"
    assert words(Progress("done", 40, 40, 5, 8.0, 0.0)) == "done, 40 of 40 objects, 8.0 MiB/s"
    assert words(Progress("done", 40, 40, 5, 8.0, 0.0, 2)) == "done, 40 of 40 objects, 8.0 MiB/s, 2 requests sent again"
    assert [clock(seconds) for seconds in (0.2, 59.7, 760, 7500)] == ["0:00", "1:00", "12:40", "2:05:00"]


def test_a_terminal_gets_a_bar_that_is_wiped_in_the_end() -> None:
    controller, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stream, cli.Meter(stream) as meter:
        meter.show(COPYING)
        meter.show(Progress("publishing", 40, 40, 2**20, 35.25, 0.0))
    drawn = ""
    with contextlib.suppress(OSError):  # all has been read
        while True:  # what was written in one go may arrive in pieces
            drawn += os.read(controller, 4096).decode()
    os.close(controller)
    assert drawn.startswith("\r[#######")
    assert len(drawn.split("\r")) == 4
    assert "\n" not in drawn
    assert drawn.endswith("\r\x1b[K")


def test_a_file_gets_a_line_now_and_then_and_quiet_means_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(cli.time, "monotonic", lambda: now[0])
    with (tmp_path / "log").open("w") as stream, cli.Meter(stream) as meter, cli.Meter(stream, silent=True) as silent:
        for second in range(40):
            now[0] = float(second)
            meter.show(COPYING)
            silent.show(COPYING)
    assert (tmp_path / "log").read_text() == f"{words(COPYING)}\n" * 2
