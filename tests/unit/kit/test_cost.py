# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the tests cost, and which stages a machine can run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cost
import pytest
import stages

BURNED = 0.3  # seconds of processor time
# A daemon, as a server is: its parent ends at once. It burns processor time, says so, and ends, or waits to be killed.
DAEMON = """
import os, subprocess, sys, time
read, write = os.pipe()
if not os.fork():
    if os.fork():
        os._exit(0)
    while time.process_time() < float(sys.argv[1]):
        pass
    os.write(write, b"done")
    if sys.argv[2] == "stays":
        os.close(write)
        os.close(1)
        os.close(2)
        time.sleep(5)
    os._exit(0)
os.close(write)
os.wait()
while os.read(read, 9):
    pass
sys.exit(int(sys.argv[3]))
"""


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A folder for what is told of the cost."""
    return tmp_path / "build"


# cost.py, with its folder elsewhere.
PROGRAM = 'import cost, pathlib, sys; cost.FOLDER = pathlib.Path("{told}"); sys.exit(cost.main())'


def measured(told: Path, *command: str) -> tuple[int, dict[str, float]]:
    """Run cost.py as make does, with its folder elsewhere."""
    command = (sys.executable, "-c", PROGRAM.format(told=told), "it", *command)
    done = subprocess.run(command, cwd=Path(cost.__file__).parent, capture_output=True, text=True, check=False, timeout=60)
    assert "it: " in done.stdout, done.stderr
    return done.returncode, json.loads((told / "it.json").read_text())


@pytest.mark.parametrize("what", [pytest.param("ends", marks=pytest.mark.thorough), "stays"])
def test_a_daemon_is_counted_whether_it_ends_or_not(told: Path, what: str) -> None:
    code, result = measured(told, sys.executable, "-c", DAEMON, str(BURNED), what, "3")
    assert code == result["exit"] == 3
    assert result["cpu"] >= BURNED


def test_a_program_that_is_killed_has_failed(told: Path) -> None:
    code, result = measured(told, sys.executable, "-c", "import os; os.kill(os.getpid(), 9)")
    assert (code, result["exit"]) == (137, -9)


MAKEFILE = """
COST = {python} -c '{program}'
good:
\t@$(COST) good {python} -m pytest -q -p no:cacheprovider --rootdir {tests} -c /dev/null -p conftest {folder}/test_two.py
bad:
\t@$(COST) bad false
bare:
\t@$(COST) bare true
"""


@pytest.fixture
def checkout(told: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with three stages: one has two tests, another fails without any, and one is done without any."""
    told.mkdir()
    tests = Path(stages.__file__).parent
    (tmp_path / "test_two.py").write_text("def test_one():\n    pass\n\ndef test_two():\n    pass\n")
    values = {"python": sys.executable, "program": PROGRAM.format(told=told), "tests": tests, "folder": tmp_path}
    (tmp_path / "Makefile").write_text(MAKEFILE.format(**values))
    monkeypatch.setenv("PYTHONPATH", str(tests))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for name, value in {"ROOT": tmp_path, "FOLDER": told, "RESULT": told / "test-cost.json", "ADDITIONS": 10}.items():
        monkeypatch.setattr(stages, name, value)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *names: str) -> int:
    monkeypatch.setattr(sys, "argv", ["stages.py", *names])
    return stages.main()


def test_what_cannot_run_is_named_and_the_others_run(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    missing = [sys.executable, "-c", "import sys; print('no podman: run apt-get install podman'); sys.exit(1)"]
    monkeypatch.setattr(stages, "NEEDS", {"hosts": missing})
    assert run(monkeypatch, "hosts", "good") == 1
    lines = capfdbinary.readouterr().out.decode().splitlines()
    assert lines[0] == "==> hosts cannot run here: no podman: run apt-get install podman"
    assert lines[-2:] == ["==> hosts did not run: see the first lines", "2 passed, 0 failed"]
    result = json.loads((checkout / "build" / "test-cost.json").read_text())
    assert [test["outcome"] for test in result["stages"]["good"]["tests"]] == ["passed", "passed"]
    assert 0 < result["cpu"] == result["stages"]["good"]["cpu"]


@pytest.mark.thorough
def test_a_stage_that_fails_lets_the_others_run(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run(monkeypatch, "bad", "good") == 1
    out = capfdbinary.readouterr().out.decode()
    assert "==> bad failed" in out
    assert "==> good passed" in out
    assert out.endswith("2 passed, 0 failed\n")


def test_nothing_fails(checkout: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """A stage that is left to another day is said, and is no failure."""
    later = [sys.executable, "-c", "import sys; print('it is not installed'); sys.exit(2)"]
    monkeypatch.setattr(stages, "NEEDS", {"ceph": later})
    assert run(monkeypatch, "ceph", "bare") == 0
    assert capfdbinary.readouterr().out.decode().startswith("==> ceph is left out: it is not installed\n")
