"""The module zarrstream_command by Ansible: what Ansible sends with it is all that the command needs."""

from __future__ import annotations

import subprocess
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("name", ["zarrstream_command", "zarrstream.platform.zarrstream_command"])
def test_the_command_runs_with_nothing_but_what_was_sent(run_playbook: Any, tmp_path: Path, name: str) -> None:
    path, none = tmp_path / "env", tmp_path / "none"
    venv.create(path, symlinks=True)
    there, nothing = {name: {"path": str(path)}}, {name: {"path": str(none)}}
    check = {"check_mode": True}
    steps = {"early": nothing | check, "refused": nothing, "told": there | check, "first": there, "checked": there | check, "again": there}
    _, results = run_playbook.tasks(steps)
    changed = {step: result["changed"] for step, result in results.items()}
    assert changed == {"early": True, "refused": False, "told": True, "first": True, "checked": False, "again": False}
    assert "no Python environment is there" in results["refused"]["msg"]
    assert not none.exists()
    # The libraries are those of the tests; the package is in the environment alone.
    (next(path.glob("lib/python3.*/site-packages")) / "libraries.pth").write_text(sysconfig.get_paths()["purelib"])
    program = "import pkgutil, zarrstream; [__import__(m.name) for m in pkgutil.walk_packages(zarrstream.__path__, 'zarrstream.')]"
    subprocess.run([path / "bin/python", "-c", program], check=True, cwd="/")
    for command in ("write", "plan", "check", "probe"):
        done = subprocess.run([path / "bin/zarrstream", command, "--help"], capture_output=True, text=True, check=True, cwd="/")
        assert done.stdout.startswith(f"usage: zarrstream {command}")
    command_line = [path / "bin/zarrstream", "check", tmp_path / "none.zarr"]
    checked = subprocess.run(command_line, capture_output=True, text=True, check=False, cwd="/")
    assert (checked.returncode, "nothing is there" in checked.stderr) == (1, True), checked.stderr
