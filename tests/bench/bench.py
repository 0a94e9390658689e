# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Processes that are measured, and a fast S3 server for them on loopback, so that the server is not what is measured."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results import ROOT
from ways import PROFILE

TOOLS = ROOT / "build" / "venv-bench" / "bin"
BUCKET = "bench"


@dataclass(frozen=True)
class Cost:
    """What something took: seconds without imports, those of the whole process, CPU seconds, and the peak of memory in MiB."""

    seconds: float
    whole: float
    cpu: float
    peak: float

    def __add__(self, other: Cost) -> Cost:
        """One after the other."""
        return Cost(self.seconds + other.seconds, self.whole + other.whole, self.cpu + other.cpu, max(self.peak, other.peak))


def median(costs: Sequence[Cost]) -> Cost:
    """The median of each figure."""
    return Cost(*(statistics.median(getattr(cost, name) for cost in costs) for name in ("seconds", "whole", "cpu", "peak")))


class Bench:
    """A folder for data, and the server."""

    def __init__(self, folder: Path, port: int) -> None:
        """The server on ``port`` gets the folder ``served`` as its only bucket."""
        self.folder, self.served = folder, folder / "served" / BUCKET
        self.endpoint = f"http://127.0.0.1:{port}"
        self.config_file = folder / "config"
        self.served.mkdir(parents=True)
        self.key, self.secret = secrets.token_hex(10), secrets.token_hex(20)
        keys = f"aws_access_key_id = {self.key}\naws_secret_access_key = {self.secret}\n"
        self.config_file.write_text(f"[profile {PROFILE}]\n{keys}region = us-east-1\nendpoint_url = {self.endpoint}\n")
        self.config_file.chmod(0o600)

    def way(self, name: str, key: str = "", **options: Any) -> Cost:
        """Measure a function of ways.py; ``key`` is the store's in the bucket."""
        given = {"place": f"{BUCKET}/{key}", "endpoint": self.endpoint, "config_file": str(self.config_file)} | options
        out, cost = self._measure([sys.executable, str(ROOT / "tests" / "bench" / "ways.py"), name, json.dumps(given)])
        return Cost(float(out.splitlines()[-1]), cost.whole, cost.cpu, cost.peak)

    def rclone(self, *arguments: str) -> Cost:
        """Measure a run of rclone, for which the server is ``remote:``."""
        return self._measure([str(TOOLS / "rclone"), "--transfers=16", "--checkers=16", *arguments])[1]

    def s5cmd(self, *arguments: str) -> Cost:
        """Measure a run of s5cmd."""
        return self._measure([str(TOOLS / "s5cmd"), "--endpoint-url", self.endpoint, *arguments])[1]

    def drop(self, key: str) -> None:
        """Remove a store, and what lies beside it, where the server keeps it."""
        for path in self.served.glob(f"{key}*"):
            shutil.rmtree(path)

    def _measure(self, command: Sequence[str]) -> tuple[str, Cost]:
        remote = {"TYPE": "s3", "PROVIDER": "Rclone", "ENDPOINT": self.endpoint, "ENV_AUTH": "true"}
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_"))}
        environment |= {f"RCLONE_CONFIG_REMOTE_{name}": value for name, value in remote.items()}
        environment |= {"AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret, "AWS_REGION": "us-east-1"}
        environment |= {"RCLONE_CONFIG": os.devnull, "HOME": str(self.folder)}
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as complaints:
            start = time.perf_counter()
            process = subprocess.Popen(command, stdout=output, stderr=complaints, env=environment, cwd=self.folder)
            _, status, usage = os.wait4(process.pid, 0)
            whole = time.perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            complaints.seek(0)
            text, complaint = output.read(), complaints.read()
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} failed with {process.returncode}:\n{text}{complaint}")
        return text, Cost(whole, whole, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


@contextmanager
def bench() -> Iterator[Bench]:
    """A bench with its server; all of it is gone at the end."""
    above = ROOT / "build" / "bench"
    above.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(dir=above) as folder, (above / "rclone.log").open("w") as log:
        made = Bench(Path(folder), port)
        serve = ["serve", "s3", str(made.served.parent), f"--addr=127.0.0.1:{port}"]
        environment = {"RCLONE_CONFIG": os.devnull, "HOME": folder, "RCLONE_AUTH_KEY": f'"{made.key},{made.secret}"'}  # CSV
        server = subprocess.Popen([TOOLS / "rclone", *serve], stdout=log, stderr=log, env=environment)
        try:
            _wait_for(server, port)
            yield made
        finally:
            server.terminate()
            server.wait()


def _wait_for(server: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(200):
        if server.poll() is not None:
            break
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit("rclone does not serve: build/bench/rclone.log says why.")
