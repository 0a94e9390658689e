"""The command: the options of the modules, their results as JSON, exit codes, one line for what is wrong, quiet progress."""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml
from zarrstream.commands import cli
from zarrstream.commands.options import SHELLS, completion_script, make_parser
from zarrstream.commands.write import preview
from zarrstream.write.progress import Progress
from zarrstream.write.progress_text import bar, clock, words
from zarrstream.write.request import request_from

CHECKOUT = Path(__file__).resolve().parents[3]
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
    wanted.pop("lines", None)  # for the summary of a playbook: whoever has a shell opens the store there
    wanted.pop("stores", None)  # a start for each, in a shell
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
    assert "failed  complete  1 of" in out
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
        (("xyz",), "invalid choice: 'xyz' (choose from"),
        (("wirte",), ". Did you mean 'write'? See zarrstream --help."),
        (("write", "a.nc"), "required: STORE"),
        (
            ("write", "a.nc", "b.zarr", "--verifi", "full"),
            "zarrstream write: unrecognized arguments: --verifi full. Did you mean '--verify'? See zarrstream write --help.",
        ),
        (("check", "b.zarr", "--no-sample=3"), "unrecognized arguments: --no-sample=3. Did you mean '--sample'?"),
        (("write", "a.nc", "b.zarr", "--xyz"), "unrecognized arguments: --xyz. See zarrstream write --help."),
        (("write", "a.nc", "b.zarr", "--mode", "repalce"), ". Did you mean 'replace'? See zarrstream write --help."),
        (("completion", "fsh"), "argument SHELL: invalid choice: 'fsh'"),
        (("plan", "SOURCE", "b.zarr", "--chunks", "time=many"), "chunks.time is 'many'"),
        (("plan", "SOURCE", "b.zarr", "--chunks", "many"), "chunks is 'many'"),
        (("write", "a.nc", "b.zarr", "--encoding", "{"), "'{' is not JSON"),
        (("write", "a.nc", "b.zarr", "--encoding", "[1]"), "'[1]' is not a JSON object"),
        (("write", "a.nc", "b.zarr", "--encoding", "@/no/such"), "/no/such cannot be read (No such file or directory)"),
        (("check", "ftp://b/a"), "the scheme 'ftp' is unknown"),
        (("check", "a.zarr", "--sample", "some"), "sample is 'some'"),
        (("check", "a.zarr", "--checks", "opne"), "checks names 'opne', which is none. Did you mean 'open'? There are: open, "),
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


def test_a_reader_that_goes_away_is_no_error() -> None:
    # No output at all is read; the pipe's other end is closed before the command begins.
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "zarrstream", "completion", "bash"]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / "plugins/module_utils")}
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, env=environment, text=True, check=False, timeout=120)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (["w"], ["write"]),
        (["check", "--fail-"], ["--fail-on"]),
        (["check", "--fail-on", ""], ["error", "warning", "never"]),
        (["write", "in"], ["input.nc"]),
        (["check", "--report", "re"], ["reports"]),
    ],
)
def test_bash_completes_commands_options_choices_and_files(line: list[str], answer: list[str], tmp_path: Path) -> None:
    (tmp_path / "completion").write_text(completion_script("bash"))
    (tmp_path / "input.nc").touch()
    (tmp_path / "reports").mkdir()
    script = 'source completion; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shtab_zarrstream; printf "%s\\n" "${COMPREPLY[@]}"'
    command = ["bash", "--norc", "-c", script, "bash", "zarrstream", *line]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == answer


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_is_printed_as_it_is(run: Any, shell: str) -> None:
    assert run("completion", shell) == (0, completion_script(shell).rstrip("\n") + "\n", "")


def test_completion_without_its_library_says_what_to_install(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    code, out, err = run("completion", "bash")
    assert (code, out) == (1, "")
    assert f"Only 'completion' needs it: {sys.executable} -m pip install 'shtab'" in err


@pytest.mark.parametrize("moment", ["imports", "end"])
def test_ctrl_c_before_the_work_and_after_it_is_no_traceback(moment: str, tmp_path: Path) -> None:
    waits = "import os, time\nos.write(1, b'now\\n')\ntime.sleep(60)\n"
    if moment == "imports":  # the first thing that the command imports once it has begun
        (tmp_path / "argparse.py").write_text(waits)
    else:
        (tmp_path / "sitecustomize.py").write_text(f"import atexit\natexit.register(exec, {waits!r}, {{}})\n")
    command = ["env", "--default-signal=INT", sys.executable, "-m", "zarrstream", "--version"]  # who runs in the background ignores it
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{CHECKOUT}/plugins/module_utils"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "now\n" in iter(process.stdout.readline, "")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "zarrstream: interrupted.\n")


def test_progress_in_words() -> None:
    assert words(COPYING) == "copying, 12 of 40 objects, 35.2 MiB/s, 0:03 left"
    assert bar(COPYING) == f"[######..............]  30%  {words(COPYING)}"
    assert words(COPYING, speed=False) == "copying, 12 of 40 objects, 0:03 left"
    assert words(Progress("preparing", 0, 0, 0, 0.0, None)) == "preparing"
    assert words(Progress("done", 40, 40, 5, 8.0, 0.0)) == "done, 40 of 40 objects, 8.0 MiB/s"
    assert words(Progress("done", 40, 40, 5, 8.0, 0.0, 2)) == "done, 40 of 40 objects, 8.0 MiB/s, 2 requests sent again"
    assert [clock(seconds) for seconds in (0.2, 59.7, 760, 7500)] == ["0:00", "1:00", "12:40", "2:05:00"]


@pytest.mark.parametrize("total", [40, 4_000, 40_000_000])
@pytest.mark.parametrize("retries", [0, 1_234])
@pytest.mark.parametrize("left", [3.4, 7500.0, 400_000.0])
def test_a_bar_fits_80_columns_with_the_time_that_is_left(total: int, retries: int, left: float) -> None:
    moment = Progress("copying", total - 1, total, 2**40, 1234.5, left, retries)
    for width in (79, 100, 200):
        line = bar(moment, width)
        assert len(line) <= width
        assert f"{clock(left)} left" in line
        assert line.index("]") > 8
    assert bar(moment, 200).endswith(words(moment))
    assert len(bar(moment, 20)) == 20


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
    assert drawn.startswith("\r[######")
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
