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

sys.path.append(str(ROOT / "tests"))

TOOLS = ROOT / "build" / "venv-bench" / "bin"
BUCKET = "bench"
ABOVE = ROOT / "build" / "bench"


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
    """A folder for data, and a server with a bucket. ``served`` is where the server keeps that, if it can be reached there."""

    def __init__(
        self, folder: Path, endpoint: str, keys: tuple[str, str], region: str, served: Path | None = None, authority: str | None = None
    ) -> None:
        """Write the profile for Zarrstream."""
        self.folder, self.endpoint, self.region = folder, endpoint, region
        self.key, self.secret = keys
        self._served = served
        self.config_file = folder / "config"
        text = f"aws_access_key_id = {self.key}\naws_secret_access_key = {self.secret}\n"
        text += f"ca_bundle = {authority}\n" if authority else ""
        self.config_file.write_text(f"[profile {PROFILE}]\n{text}region = {region}\nendpoint_url = {endpoint}\n")
        self.config_file.chmod(0o600)

    @property
    def served(self) -> Path:
        """The bucket as a folder."""
        assert self._served is not None, "this server keeps its objects to itself"
        return self._served

    def way(self, name: str, key: str = "", **options: Any) -> Cost:
        """Measure a function of ways.py; ``key`` is the store's in the bucket."""
        given = {
            "place": f"{BUCKET}/{key}",
            "endpoint": self.endpoint,
            "region": self.region,
            "config_file": str(self.config_file),
        } | options
        out, cost = self.measure([sys.executable, str(ROOT / "tests" / "bench" / "ways.py"), name, json.dumps(given)])
        return Cost(float(out.splitlines()[-1]), cost.whole, cost.cpu, cost.peak)

    def rclone(self, *arguments: str) -> Cost:
        """Measure a run of rclone, for which the server is ``remote:``."""
        return self.measure([str(TOOLS / "rclone"), "--transfers=16", "--checkers=16", *arguments])[1]

    def s5cmd(self, *arguments: str) -> Cost:
        """Measure a run of s5cmd."""
        return self.measure([str(TOOLS / "s5cmd"), "--endpoint-url", self.endpoint, *arguments])[1]

    def measure(self, command: Sequence[str]) -> tuple[str, Cost]:
        """Run a program in the folder with the keys in its environment: what it printed, and what it cost."""
        remote = {"TYPE": "s3", "PROVIDER": "Rclone", "ENDPOINT": self.endpoint, "REGION": self.region, "ENV_AUTH": "true"}
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_"))}
        environment |= {f"RCLONE_CONFIG_REMOTE_{name}": value for name, value in remote.items()}
        environment |= {"AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret, "AWS_REGION": self.region}
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

    def drop(self, key: str) -> None:
        """Remove a store, and what lies beside it, where the server keeps it."""
        if self._served is None:
            return  # all is removed with the server
        for path in self.served.glob(f"{key}*"):
            shutil.rmtree(path)


@contextmanager
def bench() -> Iterator[Bench]:
    """A bench with a fast server, rclone's; all of it is gone at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with folder_of_its_own() as folder, (ABOVE / "rclone.log").open("w") as log:
        served = folder / "served" / BUCKET
        served.mkdir(parents=True)
        keys = secrets.token_hex(10), secrets.token_hex(20)
        made = Bench(folder, f"http://127.0.0.1:{port}", keys, "us-east-1", served)
        serve = ["serve", "s3", str(served.parent), f"--addr=127.0.0.1:{port}"]
        environment = {"RCLONE_CONFIG": os.devnull, "HOME": str(folder), "RCLONE_AUTH_KEY": f'"{keys[0]},{keys[1]}"'}  # CSV
        server = subprocess.Popen([TOOLS / "rclone", *serve], stdout=log, stderr=log, env=environment)
        try:
            _wait_for(server, port)
            yield made
        finally:
            server.terminate()
            server.wait()


@contextmanager
def swift() -> Iterator[Bench]:
    """A bench with Swift: the embedded cloud, started and removed as the integration tests do it."""
    from integration.conftest import Runner, running

    with folder_of_its_own() as folder, running(Runner(folder / "ansible", folder), folder / "cloud", "30.0.0", tls=False) as cloud:
        keys = cloud.new_ec2_key()
        cloud.s3(*keys).create_bucket(Bucket=BUCKET)
        yield Bench(folder, cloud.s3_endpoint, keys, cloud.region)


@contextmanager
def folder_of_its_own() -> Iterator[Path]:
    """A folder that is gone at the end."""
    ABOVE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ABOVE) as folder:
        yield Path(folder)


def _wait_for(server: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(200):
        if server.poll() is not None:
            break
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit("rclone does not serve: build/bench/rclone.log says why.")
