# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the tests on hosts and their measurement share: an environment in which nothing disturbs, and the cloud that the hosts reach."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HOSTS = ROOT / "tests" / "hosts" / "hosts.py"
MADE = ROOT / "build" / "hosts"  # what hosts.py makes
VENVS = ROOT / "build" / "embedded-cloud-venvs"
CACHES = ROOT / "tests" / "caches"
BYTECODE = ROOT / "build" / "zip-bytecode"
# `make test-all`: every point at which something is killed, many examples, and the tests that are marked `thorough`.
THOROUGH = os.environ.get("ZARRSTREAM_TESTS") == "all"
# These would win over what the roles write, or cost time.
UNWANTED = ("AWS_CA_BUNDLE", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "PYTHONDONTWRITEBYTECODE")


def environment(variables: dict[str, str]) -> dict[str, str]:
    """Return this process's environment without what would disturb; the programs beside this Python come first."""
    kept = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    own = {"PATH": f"{Path(sys.executable).parent}:{kept['PATH']}", "ANSIBLE_NOCOLOR": "1", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
    return kept | own | variables


def shared_work(session: Path) -> dict[str, str]:
    """Return the variables with which the runs of a test session share work: modules are packed and compiled once.

    ``session`` is pytest's folder of this process. The bytecode is named by what it was made from and stays for later sessions.
    """
    packed = (session.parent if "PYTEST_XDIST_WORKER" in os.environ else session) / "packed"
    packed.mkdir(exist_ok=True)
    BYTECODE.mkdir(parents=True, exist_ok=True)
    BYTECODE.chmod(0o1777)  # the users of the hosts write there too
    return {
        "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / ".config" / "molecule" / "callback_plugins"),
        "SHARED_PAYLOADS": str(packed),
        "PYTHONPATH": str(CACHES),
        "ZIP_BYTECODE": str(BYTECODE),
    }


def stand_in_for_the_stack(path: Path) -> None:
    """Make what the role zarr_stack takes for its own environment: with the libraries of the tests, so that nothing is installed."""
    lock = (ROOT / "roles" / "zarr_stack" / "files" / "requirements.lock").read_text().rstrip()
    name = hashlib.sha256(lock.encode()).hexdigest()[:16]
    venv.create(path / "envs" / name, symlinks=True)
    (next((path / "envs" / name).glob("lib/python3.*/site-packages")) / "libraries.pth").write_text(sysconfig.get_paths()["purelib"])
    (path / "envs" / name / f".complete-{name}").touch()
    (path / "current").symlink_to(f"envs/{name}")


def prefix() -> str:
    """Return the first three numbers of the hosts' addresses."""
    return str(json.loads((MADE / "network.json").read_text())["prefix"])


def cloud_variables(state: str) -> dict[str, Any]:
    """Return the role's variables for an embedded cloud on the network of the hosts."""
    return {
        "embedded_cloud_state": state,
        "embedded_cloud_path": str(MADE / "cloud"),
        "embedded_cloud_venvs": str(VENVS),
        "embedded_cloud_host": json.loads((MADE / "network.json").read_text())["gateway"],
        "embedded_cloud_tls": True,
    }


def said_about(host: str, output: str) -> str:
    """Return what a playbook that failed says about a host, without the line breaks and the doubled quotes of the screen."""
    parts = re.findall(rf"^fatal: \[{host}\].*?(?=^\S*[\[A-Z]{{4}}|\Z)", output, re.MULTILINE | re.DOTALL)
    assert parts, output
    return " ".join(" ".join(parts).split()).replace("''", "'")


def failed_part(output: str, lines: int = 80) -> str:
    """Return what is to be read first of a program that failed: from the last failed task to Molecule's cleaning up, or the last lines.

    Whoever shows a failed test cuts its end off, and a scenario says much before it fails, and the journals of its hosts after that.
    """
    said = re.split(r"^.*> (?:destroy|cleanup)\] Executing$", output, maxsplit=1, flags=re.MULTILINE)[0].splitlines()
    failures = [number for number, line in enumerate(said) if re.match(r"(fatal|failed): \[|\[ERROR\]", line)]
    tasks = [number for number, line in enumerate(said[: failures[-1]] if failures else []) if line.startswith("TASK [")]
    begin = tasks[-1] if tasks else max(len(said) - lines, 0)
    stages = [line for line in said[:begin] if line.endswith("] Executing")]
    return "\n".join([*stages[-1:], *said[begin:]])
