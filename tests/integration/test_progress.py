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
        progress_path: "{{ progress_path | default(omit) }}"
      environment:
        PYTHONPATH: "{{ slow | default('') }}"
      async: "{{ limit | default(0) }}"
      poll: 1
      register: written

    - name: Keep the result
      ansible.builtin.copy:
        content: "{{ written | to_json }}"
        dest: "{{ store }}.json"
        mode: "0600"
      check_mode: false
"""
# Loaded by the Python that runs the module: the fifth object takes a while to arrive.
SLOW = """
import obstore, time
counted = []
def slowly(put):
    def wrapped(*arguments, **options):
        counted.append(None)
        if len(counted) == 5:
            time.sleep(14)
        return put(*arguments, **options)
    return wrapped
obstore.put, obstore.put_async = slowly(obstore.put), slowly(obstore.put_async)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("progress")
    xr.Dataset({"air": (("time", "x"), np.arange(80, dtype="i2").reshape(20, 4))}).to_netcdf(path / "a.nc", engine="netcdf4")
    (path / "slow").mkdir()
    (path / "slow/sitecustomize.py").write_text(SLOW)
    return path


def command(folder: Path, name: str, **variables: Any) -> tuple[list[str], dict[str, str]]:
    (folder / f"{name}.yml").write_text(PLAY.replace("NAME", "zarr_write"))
    given = json.dumps({"source": str(folder / "a.nc"), "store": str(folder / f"{name}.zarr"), **variables})
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
    before = files_on_the_host()
    seen: dict[str, str] = {}
    drawing = threading.Thread(target=lambda: seen.update(terminal=on_terminal(*command(folder, "drawn", slow=str(folder / "slow")))))
    drawing.start()  # the two take fourteen seconds each
    argv, environment = command(folder, "told", slow=str(folder / "slow"))
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


@pytest.mark.parametrize("name", ["zarr_write", "zarrstream.platform.zarr_write"])
def test_the_result_is_the_module_s_own(run_playbook: Any, folder: Path, name: str, tmp_path: Path) -> None:
    store = tmp_path / "a.zarr"
    play, variables = PLAY.replace("NAME", name), {"source": folder / "a.nc", "store": store}

    def run(*arguments: str, **more: Any) -> dict[str, Any]:
        run_playbook(play, *arguments, extra_vars={**variables, **more}, env={"ANSIBLE_INJECT_INVOCATION": "true"})
        return json.loads((tmp_path / "a.zarr.json").read_text())

    foreseen, first, again = run("--check"), run(), run()
    assert [foreseen["changed"], first["changed"], again["changed"]] == [True, True, False]
    assert set(foreseen) == set(first) == set(again)
    assert foreseen["plan"] == first["plan"] == again["plan"]
    assert all(result["invocation"]["module_args"]["progress_path"] is None for result in (foreseen, first, again))
    assert "/tmp/zarrstream-" not in json.dumps(first), "the file of our own is no argument of the task"
    run(progress_path=str(tmp_path / "progress.json"))
    assert not (tmp_path / "progress.json").exists(), "nothing was to be done"


def test_an_asynchronous_write(run_playbook: Any, folder: Path, tmp_path: Path) -> None:
    variables = {"source": folder / "a.nc", "store": tmp_path / "a.zarr", "limit": 100, "progress_path": tmp_path / "progress.json"}
    run_playbook(PLAY.replace("NAME", "zarr_write"), extra_vars=variables, env={"ANSIBLE_ASYNC_DIR": str(tmp_path / "async")})
    result = json.loads((tmp_path / "a.zarr.json").read_text())
    assert (result["changed"], result["action"], result["finished"]) == (True, "create", 1)
    assert json.loads((tmp_path / "progress.json").read_text())["state"] == "done"


def test_an_error_is_still_one_line(run_playbook: Any, folder: Path, tmp_path: Path) -> None:
    variables = {"source": tmp_path / "none.nc", "store": tmp_path / "a.zarr"}
    failed = run_playbook(PLAY.replace("NAME", "zarr_write"), extra_vars=variables, check=False)
    assert failed.rc != 0
    assert f"source '{tmp_path}/none.nc'" in " ".join(failed.output.split())
    assert "Traceback" not in failed.output
