# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lines of Python with which people open a store: written here, and run before anybody is shown them."""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..storage.location import StoreUrl, parse_store
from .request import CheckRequest

_SECONDS = 120
_KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
# A Python without anything of ours. It imports what the lines need, once, and runs each request in a process of its own: a second of
# processor time less for each store but the first. What is not installed the lines will miss themselves.
_PYTHON = """
import gc, importlib, json, os, signal, sys
for library in ("xarray", "zarr", "dask.array", "s3fs", "aiohttp"):
    try:
        importlib.import_module(library)
    except ImportError:
        pass
gc.freeze()
for request in sys.stdin:
    lines, said, seconds = json.loads(request)
    child = os.fork()
    if child == 0:
        signal.alarm(seconds)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(said, os.O_WRONLY), 2)
        exec("\\n".join(lines), {"__name__": "__main__"})
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
_OUT_OF_TIME = -signal.SIGALRM


@dataclass(frozen=True)
class Lines:
    """Lines that were run and opened the store; where none did, ``why_not`` is what the last of them said."""

    lines: tuple[str, ...] = ()
    why_not: str = ""


def lines_that_open(request: CheckRequest) -> Lines:
    """Run each way to open the store of a bucket in a process of its own, until one works. A folder needs none of this."""
    place = parse_store(request.store)
    if place.bucket is None:
        return Lines()
    why = ""
    for lines in _ways(request, place):
        why = _run(lines, anonymous=request.anonymous)
        if not why:
            return Lines(tuple(lines))
    return Lines(why_not=why)


def _ways(request: CheckRequest, place: StoreUrl) -> Iterator[list[str]]:
    if not request.anonymous:
        yield _signed(request, place)
        return
    access = request.access.without_keys()
    endpoint, ca_bundle = (access.endpoint_url or "").rstrip("/"), access.ca_bundle
    with_ca = ca_bundle if ca_bundle and endpoint.startswith("https:") else None
    verify = f', "client_kwargs": {{"verify": {_text(with_ca)}}}' if with_ca else ""
    yield [
        "import xarray",
        f'options = {{"anon": True, "endpoint_url": {_text(endpoint)}{verify}}}',
        f"xarray.open_zarr({_text(place.url)}, storage_options=options)",
    ]
    url = f"{endpoint}/{place.bucket}/{place.key}"
    if with_ca:
        trusted = f'options = {{"ssl": ssl.create_default_context(cafile={_text(with_ca)})}}'
        yield ["import ssl, xarray", trusted, f"xarray.open_zarr({_text(url)}, storage_options=options)"]
    else:
        yield ["import xarray", f"xarray.open_zarr({_text(url)})"]


def _signed(request: CheckRequest, place: StoreUrl) -> list[str]:
    """With a profile; in another file than AWS tools look at, with that file."""
    name = request.access.profile or os.environ.get("AWS_PROFILE") or "default"
    opening = [f'options = {{"profile": {_text(name)}}}', f"xarray.open_zarr({_text(place.url)}, storage_options=options)"]
    file = Path(request.access.config_file).expanduser() if request.access.config_file else None
    if file is None or file == Path("~/.aws/config").expanduser():
        return ["import xarray", *opening]
    return ["import os, xarray", f'os.environ["AWS_CONFIG_FILE"] = {_text(str(file))}', *opening]


def _text(value: str) -> str:
    """As Python writes it, in double quotes."""
    return json.dumps(value, ensure_ascii=False)


def _run(lines: list[str], *, anonymous: bool) -> str:
    """Empty where the lines ran to their end; else what was said."""
    python = _python(anonymous)
    with tempfile.NamedTemporaryFile(prefix="zarrstream-", mode="r", errors="replace") as said:
        ended = python.run(lines, said.name)
        if ended == 0:
            return ""
        if ended == _OUT_OF_TIME:
            return f"no answer within {_SECONDS} s"
        told = [line for line in said if line.strip() and not line.startswith((" ", "Traceback", "Exception ignored"))]
    return (told[-1].strip() if told else f"ended with {ended}")[:300]


class _Python:
    """A Python that runs lines, until this process ends. An anonymous reader has an empty home and no variable of AWS."""

    def __init__(self, *, anonymous: bool) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="zarrstream-")
        nobody = {name: os.environ[name] for name in _KEPT if name in os.environ}
        nobody |= {"HOME": self._home.name, "AWS_EC2_METADATA_DISABLED": "true"}
        ours, its = socket.socketpair()
        self._process = subprocess.Popen(  # this knows no Ansible; pylint: disable=ansible-bad-function
            [sys.executable, "-W", "ignore", "-c", _PYTHON],
            env=nobody if anonymous else dict(os.environ),
            cwd=self._home.name,
            stdin=its.fileno(),
            stdout=its.fileno(),
            stderr=subprocess.DEVNULL,
        )
        its.close()
        self._asked, self._answered = ours.makefile("w"), ours.makefile("r")

    def run(self, lines: list[str], said: str) -> int:
        """Run lines, with what they say in a file, and return with what they ended; the negative number of a signal that ended them."""
        answer = ""
        with suppress(OSError):  # it has ended
            self._asked.write(json.dumps([lines, said, _SECONDS]) + "\n")
            self._asked.flush()
            answer = self._answered.readline()
        return int(answer or self._process.wait() or 1)


@functools.cache
def _python(anonymous: bool) -> _Python:
    return _Python(anonymous=anonymous)
