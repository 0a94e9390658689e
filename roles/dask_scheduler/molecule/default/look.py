"""What the host says of the scheduler at this address: how it runs, who may read its key, who listens, and its dashboard."""

import pwd
import subprocess
import sys
import urllib.request


def ask(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main(address: str) -> None:
    """Ask systemd, the kernel and the dashboard."""
    shown = ask("systemctl", "show", "dask-scheduler", "--property=User,UnitFileState,SubState", "--value")
    assert sorted(shown.split()) == ["dask", "enabled", "running"], shown
    exposure = subprocess.run(
        ["systemd-analyze", "security", "--threshold=20", "--no-pager", "dask-scheduler"], check=False, capture_output=True
    )
    assert exposure.returncode == 0, exposure.stdout.decode()
    modes = ask("stat", "--format=%U %G %a", "/etc/dask/tls/node.key", "/etc/dask/services/dask-scheduler.yaml").splitlines()
    assert modes == ["root dask 640"] * 2, modes
    sockets = [line.split() for line in ask("ss", "-Hltne").splitlines()]
    doors = {socket[3] for socket in sockets if f"uid:{pwd.getpwnam('dask').pw_uid}" in socket}
    assert doors == {f"{address}:8786", "127.0.0.1:8787"}, doors
    with urllib.request.urlopen("http://127.0.0.1:8787/status", timeout=60) as answer:
        assert b"Dask" in answer.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
