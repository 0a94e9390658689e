"""What the host says of the workers at this address: how they run, who listens, what they compute with; or that nothing is left of them."""

import getpass
import subprocess
import sys
from pathlib import Path

SERVICE = "dask-worker"


def ask(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def service() -> None:
    """It is shut in, and returns after the host's next start."""
    shown = ask("systemctl", "show", SERVICE, "--property=User,UnitFileState,SubState", "--value")
    assert sorted(shown.split()) == ["dask", "enabled", "running"], shown
    exposure = subprocess.run(["systemd-analyze", "security", "--threshold=20", "--no-pager", SERVICE], check=False, capture_output=True)
    assert exposure.returncode == 0, exposure.stdout.decode()


def doors(address: str, processes: int) -> None:
    """The workers listen at the address of the host, at ports that a firewall can know; what asks nobody for a certificate on loopback."""
    found = [line.split()[3].rpartition(":") for line in ask("ss", "-Hltn").splitlines()]
    ports = sorted(int(port) // 100 for host, _, port in found if host == address)
    assert ports == [88] * processes + [89] * processes, found
    assert {host for host, _, port in found if port != "22"} == {address, "127.0.0.1"}, found


def workers() -> None:
    """As many as were wanted, as a user of their own."""
    from distributed import Client

    with Client("tcp://127.0.0.1:8786", timeout=60) as client:
        found = client.scheduler_info(n_workers=-1)["workers"].values()
        assert [(one["nthreads"], one["memory_limit"]) for one in found] == [(1, 2**30)] * 2, found
        assert set(client.run(getpass.getuser).values()) == {"dask"}


def gone() -> None:
    places = [
        Path(f"/etc/systemd/system/{SERVICE}.service"),
        Path(f"/var/cache/{SERVICE}"),
        Path("/var/lib/dask"),
        *Path("/etc/dask").glob("*"),
    ]
    left = [path for path in places if path.exists()]
    assert not left, left


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["gone"]:
            gone()
        case ["service", address, processes]:
            service()
            doors(address, int(processes))
        case ["workers"]:
            workers()
