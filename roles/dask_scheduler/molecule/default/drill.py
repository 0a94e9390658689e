"""Let a person be busy, and look what became of the scheduler meanwhile."""

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

SERVICE = "dask-scheduler"
BEFORE = Path("/run/before.json")
SECONDS = 60
# Her task stays unfinished: no worker is there.
PERSON = """
import sys
from distributed import Client
Client(sys.argv[1], name="ada", timeout=60).submit(pow, 2, 3).result()
"""


def ask(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def state() -> list[str]:
    """Which start of the service this is, and when its files were touched."""
    started = ask("systemctl", "show", SERVICE, "--property=InvocationID")
    return [started, *sorted(ask("find", "/etc/dask", "/etc/systemd/system", "-printf", "%p %C@\n").splitlines())]


def person(address: str) -> None:
    """Begin her work, with what the service has, and wait until the scheduler knows of it."""
    unit = ("--unit=person", "--remain-after-exit", "--uid=dask", f"--setenv=DASK_CONFIG=/etc/dask/services/{SERVICE}.yaml")
    ask("systemd-run", *unit, "/opt/zarrstream/current/bin/python", "-c", PERSON, f"tls://{address}:8786")
    ends = time.monotonic() + SECONDS
    while True:
        with urllib.request.urlopen("http://127.0.0.1:8787/zarrstream/work.json", timeout=SECONDS) as answer:
            if json.load(answer)["clients"]:
                break
        assert time.monotonic() < ends, "the scheduler does not know her"
        time.sleep(0.5)
    BEFORE.write_text(json.dumps(state()))


def untouched() -> None:
    before = json.loads(BEFORE.read_text())
    assert state() == before, (before, state())


def restarted() -> None:
    """It has started again, and serves."""
    assert state()[0] != json.loads(BEFORE.read_text())[0]
    urllib.request.urlopen("http://127.0.0.1:8787/status", timeout=SECONDS).close()
    ask("systemctl", "stop", "person")


def gone() -> None:
    """Nothing is left of it."""
    places = [
        Path(f"/etc/systemd/system/{SERVICE}.service"),
        Path(f"/var/cache/{SERVICE}"),
        Path("/var/lib/dask"),
        *Path("/etc/dask").glob("*"),
    ]
    left = [path for path in places if path.exists()]
    assert not left, left


if __name__ == "__main__":
    {"person": person, "untouched": untouched, "restarted": restarted, "gone": gone}[sys.argv[1]](*sys.argv[2:])
