"""zarr_write by Ansible: it shows how far it is on a terminal and off it, and is otherwise the module that it runs."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

CHECKOUT = Path(__file__).resolve().parents[2]
PLAY = """
- hosts: localhost
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  tasks:
    - name: Write
      NAME:
        source: "{{ source }}"
        store: "{{ store }}"
        chunks: {time: 1}
      environment:
        PYTHONPATH: "{{ slow }}"
"""
# Loaded by the Python that runs the module: the fifth file takes a while to arrive.
SLOW = """
import os, time
counted, rename = [], os.rename
def slowly(*arguments, **options):
    if "dst_dir_fd" in options:
        counted.append(None)
        if len(counted) == 5:
            time.sleep(14)
    return rename(*arguments, **options)
os.rename = slowly
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("progress")
    xr.Dataset({"air": (("time", "x"), np.arange(80, dtype="i2").reshape(20, 4))}).to_netcdf(path / "a.nc", engine="netcdf4")
    (path / "slow").mkdir()
    (path / "slow/sitecustomize.py").write_text(SLOW)
    return path


def command(folder: Path, name: str, module: str) -> tuple[list[str], dict[str, str]]:
    (folder / f"{name}.yml").write_text(PLAY.replace("NAME", module))
    given = json.dumps({"source": str(folder / "a.nc"), "store": str(folder / f"{name}.zarr"), "slow": str(folder / "slow")})
    argv = [
        str(Path(sys.executable).with_name("ansible-playbook")),
        "-i",
        "localhost,",
        "-c",
        "local",
        "-e",
        given,
        str(folder / f"{name}.yml"),
    ]
    return argv, {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}


def on_terminal(argv: list[str], environment: dict[str, str]) -> str:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(argv, cwd=CHECKOUT, env=environment, stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    seen = b""
    while True:
        try:
            part = os.read(controller, 4096)
        except OSError:  # how Linux tells that nobody has the terminal open any more
            break
        seen += part
    os.close(controller)
    assert process.wait(timeout=60) == 0, seen.decode()
    return seen.decode()


def files_on_the_host() -> set[Path]:
    return set(Path("/tmp").glob("zarrstream-*.json"))


def test_a_slow_write_is_shown(folder: Path) -> None:
    """By the module's short name as by its full one."""
    before = files_on_the_host()
    seen: dict[str, str] = {}
    drawing = threading.Thread(target=lambda: seen.update(terminal=on_terminal(*command(folder, "drawn", "zarr_write"))))
    drawing.start()  # the two take fourteen seconds each
    argv, environment = command(folder, "told", "zarrstream.platform.zarr_write")
    done = subprocess.run(argv, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=True, timeout=200)
    drawing.join(timeout=200)
    left = files_on_the_host() - before  # none of ours; those of tests beside this one go within seconds
    assert re.search(r"^localhost told\.zarr: copying, \d+ of 2\d objects", done.stderr, re.MULTILINE), done.stderr
    assert "copying" not in done.stdout, "what callbacks print stays whole"
    drawn = seen["terminal"]
    assert re.search(r"\rlocalhost drawn\.zarr \[#*\.*\] +\d+%  copying, \d+ of 2\d objects", drawn), drawn
    assert "%" not in drawn.partition("changed: [localhost]")[0].rpartition("\r\x1b[K")[2], "wiped before the result is printed"
    end = time.monotonic() + 60
    while left & files_on_the_host():
        assert time.monotonic() < end, "the file on the host is removed"
        time.sleep(0.2)


def test_the_result_is_the_module_s_own(run_playbook: Any, folder: Path, tmp_path: Path) -> None:
    def task(source: str = "a.nc", store: str = "a.zarr", **options: Any) -> dict[str, Any]:
        return {"zarr_write": {"source": str(folder / source), "store": str(tmp_path / store), "chunks": {"time": 1}, **options}}

    progress = {"progress_path": str(tmp_path / "progress.json")}
    steps = {
        "foreseen": {**task(), "check_mode": True},
        "first": task(),
        "again": task(),
        "idle": task(**progress),
        "failed": task("none.nc"),
    }
    late = {"late": {**task(store="b.zarr", progress_path=str(tmp_path / "late.json")), "async": 100, "poll": 1}}
    env = {"ANSIBLE_INJECT_INVOCATION": "true", "ANSIBLE_ASYNC_DIR": str(tmp_path / "async")}
    play, results = run_playbook.tasks(steps | late, env=env)
    foreseen, first, again = (results[step] for step in ("foreseen", "first", "again"))
    assert [foreseen["changed"], first["changed"], again["changed"]] == [True, True, False]
    assert set(foreseen) == set(first) == set(again)
    assert foreseen["plan"] == first["plan"] == again["plan"]
    assert all(result["invocation"]["module_args"]["progress_path"] is None for result in (foreseen, first, again))
    assert "/tmp/zarrstream-" not in json.dumps(first), "the file of our own is no argument of the task"
    assert not (tmp_path / "progress.json").exists(), "nothing was to be done"
    assert (results["late"]["changed"], results["late"]["action"], results["late"]["finished"]) == (True, "create", 1)
    assert json.loads((tmp_path / "late.json").read_text())["state"] == "done"
    assert f"source '{folder}/none.nc'" in results["failed"]["msg"]
    assert "Traceback" not in play.output
