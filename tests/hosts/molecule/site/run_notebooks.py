# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run notebooks as a browser does: the server starts a kernel for each, and executes its cells one after the other.

nbclient would start kernels of its own, outside of the sandbox of the server. And knock at its door from elsewhere, and without the token.
"""

from __future__ import annotations

import json
import socket
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import websocket

PATIENCE = 300  # seconds, on a machine that others use as well
# What the test asks in the same kernel, after the cell of that name: every worker reads the store by itself. How the few tasks of a
# notebook are shared out, Dask does not promise.
ALSO = {
    "mean": """
def read_alone():
    return float(xarray.open_zarr(STORE, storage_options=options, chunks=None)[name].mean())

answers = client.run(read_alone)
sorted(answers), len(set(answers.values()))
"""
}
TOKEN = {"Authorization": "token " + Path("/etc/zarrstream-notebook/token").read_text()}


def ask(url: str, method: str = "GET") -> bytes:
    """Return what the server answers."""
    with urllib.request.urlopen(urllib.request.Request(url, method=method, headers=TOKEN), timeout=PATIENCE) as answer:
        return answer.read()


def ask_until_it_works(url: str) -> bytes:
    """Return what the server answers at last: what is behind it may be slow to begin."""
    ends = time.monotonic() + PATIENCE
    while True:
        try:
            return ask(url)
        except urllib.error.HTTPError as error:
            if error.code < 500 or time.monotonic() > ends:
                raise
        time.sleep(1)


@contextmanager
def kernel(server: str) -> Iterator[websocket.WebSocket]:
    """The channels of a kernel that the server has started."""
    found = json.loads(ask(f"{server}/api/kernels", "POST"))["id"]
    try:
        channels = websocket.create_connection(
            f"{server.replace('http', 'ws', 1)}/api/kernels/{found}/channels", header=TOKEN, timeout=PATIENCE
        )
        yield channels
        channels.close()
    finally:
        ask(f"{server}/api/kernels/{found}", "DELETE")


def execute(channels: websocket.WebSocket, code: str) -> list[dict[str, Any]]:
    """Execute a cell and return what it shows; an error in it ends this program."""
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "version": "5.3", "session": "", "username": "", "date": ""}
    content = {"code": code, "silent": False, "allow_stdin": False}
    channels.send(json.dumps({"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content}))
    shown = []
    while True:
        message = json.loads(channels.recv())
        if message["parent_header"].get("msg_id") != header["msg_id"] or message["channel"] != "iopub":
            continue
        kind, content = message["header"]["msg_type"], message["content"]
        if kind == "error":
            sys.exit("\n".join(["in the cell", code, *content["traceback"]]))
        if kind in ("execute_result", "display_data"):
            shown.append(content["data"])
        if kind == "status" and content["execution_state"] == "idle":
            return shown


def require_closed(server: str, host: str) -> None:
    """Nobody is let in without the token, nor at another address than loopback."""
    with suppress(urllib.error.HTTPError):
        urllib.request.urlopen(f"{server}/api/contents", timeout=PATIENCE)
        sys.exit("the server answers without the token")
    with suppress(ConnectionRefusedError):
        socket.create_connection((host, int(server.rpartition(":")[2])), timeout=PATIENCE).close()
        sys.exit(f"the server listens at {host}")


def main(server: str, host: str, *notebooks: str) -> None:
    """Run the notebooks; say what each cell showed, by its name, and what the dashboard does."""
    require_closed(server, host)
    shown = {}
    for notebook in notebooks:
        cells = json.loads(ask(f"{server}/api/contents/{notebook}"))["content"]["cells"]
        with kernel(server) as channels:
            for cell in cells:
                if cell["cell_type"] == "code":
                    shown[cell["id"]] = json.dumps(execute(channels, "".join(cell["source"])))
                if cell["id"] in ALSO:
                    shown[f"also {cell['id']}"] = json.dumps(execute(channels, ALSO[cell["id"]]))
    json.dump({**shown, "dashboard": ask_until_it_works(f"{server}/proxy/8787/status").decode()}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
