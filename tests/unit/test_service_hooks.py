# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the services of Dask do about OpenSSL's list of errors, with real connections; the rest is in tests/integration."""

from __future__ import annotations

import asyncio
import ctypes
import importlib.util
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from clusters import make_certificates
from tornado.iostream import SSLIOStream

HOOKS = Path(__file__).resolve().parents[2] / "roles" / "dask_service" / "files" / "service_hooks.py"
OPERATIONS = ("read_from_fd", "write_to_fd", "_do_ssl_handshake")
SSL_LIBRARY, UNEXPECTED_EOF = 20, 294  # of OpenSSL's numbers


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The file as a service loads it; its changes to tornado end with the test."""
    for name in OPERATIONS:
        monkeypatch.setattr(SSLIOStream, name, getattr(SSLIOStream, name))
    return load()


def load() -> Any:
    spec = importlib.util.spec_from_file_location("service_hooks", HOOKS)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def leave_an_error() -> None:
    """What Python 3.13.5 leaves behind when it reads from a connection whose peer is gone; the Python of this test may be another one."""
    library = ctypes.CDLL("libcrypto.so.3")
    library.ERR_new()
    library.ERR_set_error(SSL_LIBRARY, UNEXPECTED_EOF, None)


def streams(folder: Path) -> tuple[SSLIOStream, SSLIOStream]:
    """Both ends of a connection."""
    make_certificates(folder)
    ends = []
    for end, raw in zip((True, False), socket.socketpair(), strict=True):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if end else ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(folder / "ca.pem")
        context.load_cert_chain(folder / "node.pem", folder / "node.key")
        raw.setblocking(False)
        ends.append(SSLIOStream(context.wrap_socket(raw, server_side=end, do_handshake_on_connect=False)))
    return ends[0], ends[1]


def test_an_error_of_one_connection_is_none_of_another(hooks: Any, tmp_path: Path) -> None:
    """Without the hooks the read fails: the stream is closed."""

    async def talk() -> bytes:
        server, client = streams(tmp_path)
        try:
            await asyncio.gather(server.wait_for_handshake(), client.wait_for_handshake())
            leave_an_error()
            reading = asyncio.ensure_future(server.read_bytes(5))  # looks at once, and finds nothing yet
            await client.write(b"hello")
            return await asyncio.wait_for(reading, 10)
        finally:
            server.close()
            client.close()

    assert asyncio.run(talk()) == b"hello"


def test_loading_it_for_each_nanny_wraps_once(hooks: Any) -> None:
    before = [getattr(SSLIOStream, name) for name in OPERATIONS]
    load()
    assert [getattr(SSLIOStream, name) for name in OPERATIONS] == before
