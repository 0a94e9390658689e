# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A web server on loopback, nginx, that tells what was fetched from it; and a longer way to a server (delay.py)."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from results import ROOT

sys.path.append(str(ROOT / "tests"))
from ports import free_ports

CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
{user}
events {{ worker_connections 4096; }}
http {{
  log_format bytes '$request_method\t$uri\t$status\t$http_range\t$body_bytes_sent\t$http_user_agent';
  access_log {folder}/access.log bytes;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  sendfile on; tcp_nopush on; keepalive_requests 1000000; default_type application/octet-stream;
  server {{ listen 127.0.0.1:{port} backlog=4096; root {served}; }}
}}
"""


@dataclass(frozen=True)
class Request:
    """A request that nginx has answered: bytes of its body, and which of the file, from ``start`` to before ``stop``."""

    method: str
    name: str
    status: int
    start: int
    stop: int
    size: int


@dataclass
class Web:
    """nginx, which serves a folder. ``processes`` are the server's and those of ways to it."""

    port: int
    served: Path
    log: Path
    processes: list[psutil.Process] = field(default_factory=list)

    def url(self, name: str = "", port: int | None = None) -> str:
        """Where a file is; by the longer way where its port is given."""
        return f"http://127.0.0.1:{port or self.port}/{name}"

    def cpu(self) -> float:
        """Processor seconds of the server, its children and the ways to it so far."""
        whole = [child for process in self.processes for child in [process, *process.children(recursive=True)]]
        return sum(times.user + times.system for times in (process.cpu_times() for process in whole))

    def requests(self) -> list[Request]:
        """Those since the last call, of which nginx writes each down when it has sent the last byte."""
        time.sleep(0.1)
        lines = self.log.read_text().splitlines()
        self.log.write_text("")  # nginx appends
        return [_request(line) for line in lines]


def _request(line: str) -> Request:
    method, uri, status, wanted, size, _agent = line.split("\t")
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted)
    start = int(found[1]) if found and status == "206" else 0
    return Request(method, uri.lstrip("/"), int(status), start, start + int(size), int(size))


def twice(requests: Iterable[Request], spans: Iterable[tuple[int, int]]) -> int:
    """Bytes within these spans of one file, such as its chunks, that were fetched more often than once; each further time counts."""
    asked = sorted((request.start, request.stop) for request in requests if request.size)
    again: list[tuple[int, int]] = []
    reached = 0
    for start, stop in asked:
        if start < reached:
            again.append((start, min(stop, reached)))
        reached = max(reached, stop)
    whole = sorted(spans)
    return sum(max(0, min(stop, end) - max(start, begin)) for start, stop in again for begin, end in whole)


@contextmanager
def nginx(folder: Path, served: Path) -> Iterator[Web]:
    """A server of ours; a folder of its own is ``folder``."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    if program is None:
        raise SystemExit("nginx is not there: install it with 'apt install nginx-core' or the like.")
    [port] = free_ports(1)
    folder.mkdir()
    user = "user root;" if Path.home() == Path("/root") else ""
    (folder / "nginx.conf").write_text(CONFIGURATION.format(folder=folder, served=served, port=port, user=user))
    with (folder / "said").open("w") as said:
        server = subprocess.Popen([program, "-p", folder, "-c", folder / "nginx.conf"], stdout=said, stderr=said)
    try:
        while not (folder / "pid").exists() or not (folder / "pid").read_text():
            if server.poll() is not None:
                raise SystemExit(f"nginx does not serve: {(folder / 'said').read_text()}")
            time.sleep(0.05)
        yield Web(port, served, folder / "access.log", [psutil.Process(server.pid)])
    finally:
        server.terminate()
        server.wait()


@contextmanager
def longer_way(port: int, milliseconds: float) -> Iterator[tuple[int, psutil.Process]]:
    """The port by which a server on loopback is so far away, in each direction, and the process that makes it so."""
    command = [sys.executable, str(ROOT / "tests" / "bench" / "delay.py"), str(port), str(milliseconds)]
    way = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert way.stdout
        yield int(way.stdout.readline()), psutil.Process(way.pid)
    finally:
        way.terminate()
        way.wait()
