"""What the host says of the notebook server, and the server of itself; or that only what people wrote is left of it."""

import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

SERVICE = "zarrstream-notebook"
ENVIRONMENT, EXAMPLES = Path("/opt/zarrstream-notebook"), Path("/usr/local/share/zarrstream-notebook")
PEOPLES = Path("/var/lib/jupyter/notebooks")
TOKEN = Path(f"/etc/{SERVICE}/token")
UNIT = Path(f"/etc/systemd/system/{SERVICE}.service")
ADDRESS = "http://127.0.0.1:8888"


def ask(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def service() -> None:
    """It runs as nobody in particular, shut in, and on loopback alone."""
    shown = ask("systemctl", "show", SERVICE, "--property=User,UnitFileState,SubState", "--value")
    assert sorted(shown.split()) == ["enabled", "jupyter", "running"], shown
    exposure = subprocess.run(["systemd-analyze", "security", "--threshold=20", "--no-pager", SERVICE], check=False, capture_output=True)
    assert exposure.returncode == 0, exposure.stdout.decode()
    doors = [line.split()[3] for line in ask("ss", "-Hltn", "sport = :8888").splitlines()]
    assert doors == ["127.0.0.1:8888"], doors


def answer(token: str) -> int:
    """Return what the server answers to who has that token, or none."""
    headers = {"Authorization": f"token {token}"} if token else {}
    try:
        return urllib.request.urlopen(urllib.request.Request(f"{ADDRESS}/api/contents/examples", headers=headers), timeout=60).status
    except urllib.error.HTTPError as error:
        return error.code


def token() -> None:
    """Without it nobody is let in; it is the server's alone, and shows nowhere."""
    assert ask("stat", "--format=%U %a", str(TOKEN)) == "jupyter 600\n"
    secret = TOKEN.read_text()
    assert [answer(each) for each in ("", "wrong", secret)] == [403, 403, 200]
    assert secret not in UNIT.read_text() + ask("sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '")


def server() -> None:
    """The extension of the dashboards is there, and all went well until now."""
    extensions = subprocess.run(
        [ENVIRONMENT / "current/bin/jupyter", "labextension", "list"],
        env={"PATH": f"{ENVIRONMENT}/current/bin:/usr/bin:/bin", "HOME": "/root"},
        check=True,
        capture_output=True,
        text=True,
    )
    said = extensions.stdout + extensions.stderr
    assert re.search(r"dask-labextension v\S+ .*enabled.*OK", said), said
    journal = ask("journalctl", f"--unit={SERVICE}", "--no-pager", "--output=cat")
    assert not re.search(r"token=[0-9a-f]{16}|Traceback", journal), journal


def gone() -> None:
    """Only what people wrote is left."""
    left = [path for path in (ENVIRONMENT, EXAMPLES, TOKEN.parent, UNIT) if path.exists()]
    assert not left, left
    assert PEOPLES.owner() == "jupyter"


if __name__ == "__main__":
    for part in sys.argv[1:]:
        {"service": service, "token": token, "server": server, "gone": gone}[part]()
