"""Spoil the service of this host, look whether a run put it right, and look whether it is gone."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

SERVICE = "dask-scheduler"
UNIT = Path(f"/etc/systemd/system/{SERVICE}.service")
FOLDER, SETTINGS, HOOKS, ERRORS = (
    Path("/etc/dask") / name for name in ("tls", f"services/{SERVICE}.yaml", "service_hooks.py", "tls_errors.py")
)
BEFORE = Path("/run/before.json")
SECONDS = 60


def systemctl(*arguments: str) -> str:
    return subprocess.run(["systemctl", *arguments], check=True, capture_output=True, text=True).stdout


def state() -> dict[str, list[int]]:
    """Modes, owners and sizes."""
    found = {str(path): path.stat() for path in (FOLDER, SETTINGS, HOOKS, ERRORS, UNIT)}
    return {name: [about.st_mode, about.st_uid, about.st_gid, about.st_size] for name, about in found.items()}


def crash() -> None:
    """Killed while the link of its environment leads elsewhere, the service comes back with the environment that it had."""
    link = Path("/opt/zarrstream/current")
    target = link.readlink()
    link.unlink()
    link.symlink_to("elsewhere")
    systemctl("kill", "--signal=KILL", SERVICE)
    ends = time.monotonic() + SECONDS
    wanted = ["ActiveState=active", "NRestarts=1"]
    while (found := sorted(systemctl("show", SERVICE, "--property=NRestarts,ActiveState").split())) != wanted:
        assert time.monotonic() < ends, found
        time.sleep(0.5)
    link.unlink()
    link.symlink_to(target)


def spoil() -> None:
    """Spoil what the role compares, and leave what an interrupted run leaves: the unit is the new one, the process that of before."""
    BEFORE.write_text(json.dumps(state()))
    FOLDER.chmod(0o777)
    SETTINGS.chmod(0o666)
    os.truncate(ERRORS, 3)
    shutil.chown(HOOKS, "dask")
    unit = UNIT.read_text()
    UNIT.write_text(unit.replace("ZARRSTREAM_DEFINITION=", "ZARRSTREAM_DEFINITION=0"))
    systemctl("daemon-reload")
    systemctl("restart", SERVICE)
    UNIT.write_text(unit)
    UNIT.chmod(0o600)
    systemctl("daemon-reload")


def restored() -> None:
    """All is as before, and the process is that of the unit."""
    before = json.loads(BEFORE.read_text())
    assert state() == before, (before, state())
    shown = systemctl("show", SERVICE, "--property=Environment,StatusText")
    definitions = re.findall(r"(?:ZARRSTREAM_DEFINITION|definition)=([0-9a-f]+)\b", shown)
    assert len(definitions) == 2, shown
    assert len(set(definitions)) == 1, shown


def gone() -> None:
    """Nothing is left of the service, its user neither."""
    left = [path for path in (UNIT, Path(f"/var/cache/{SERVICE}"), Path("/var/lib/dask"), *Path("/etc/dask").glob("*")) if path.exists()]
    assert not left, left
    assert subprocess.run(["getent", "passwd", "dask"], check=False, capture_output=True).returncode


if __name__ == "__main__":
    for name in sys.argv[1:]:
        {"crash": crash, "spoil": spoil, "restored": restored, "gone": gone}[name]()
