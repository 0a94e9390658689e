"""What systemd was told of the service, and what its scheduler says to somebody without a certificate."""

import subprocess
from pathlib import Path

import dask.config
from distributed import Client

WANTED = {
    "User": "dask",
    "SubState": "running",
    "MemoryMax": str(2 * 2**30),
    "CPUQuotaPerSecUSec": "1.500000s",
    "ReadWritePaths": "/srv",
    "Restart": "always",
    "OOMPolicy": "continue",
}


def main() -> None:
    """Ask both, and look for certificates."""
    properties = ",".join([*WANTED, "Environment", "ExecStart"])
    shown = subprocess.run(["systemctl", "show", "dask-scheduler", f"--property={properties}"], check=True, capture_output=True, text=True)
    told = dict(line.split("=", 1) for line in shown.stdout.splitlines())
    assert told.items() >= WANTED.items(), told
    assert "MOLECULE=yes" in told["Environment"].split(), told
    # The environment itself, and not the link that leads to it.
    assert f"path={Path('/opt/zarrstream/current').resolve()}/bin/python " in told["ExecStart"], told
    with Client("tcp://127.0.0.1:8786", timeout=60) as client:
        assert client.run_on_scheduler(dask.config.get, "distributed.scheduler.allowed-failures") == 5
    assert not list(Path("/etc/dask/tls").iterdir())


if __name__ == "__main__":
    main()
