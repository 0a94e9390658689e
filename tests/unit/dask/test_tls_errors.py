# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What becomes of OpenSSL's list of errors in processes of Dask, with real connections."""

from __future__ import annotations

import asyncio
import ctypes
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from clusters import make_certificates
from tornado.iostream import SSLIOStream
from zarrstream.dask import tls_errors
from zarrstream.dask.tls_errors import OPERATIONS, keep_errors_apart

SSL_LIBRARY, UNEXPECTED_EOF = 20, 294  # of OpenSSL's numbers


ROLES = Path(__file__).resolve().parents[3] / "roles"


@pytest.mark.parametrize("role", ["dask_client", "dask_service"])
def test_a_role_brings_the_same_file(role: str) -> None:
    """A host or a person may have no package zarrstream, and a role copies only what is its own."""
    assert (ROLES / role / "files" / "tls_errors.py").read_bytes() == Path(tls_errors.__file__).read_bytes()


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes to tornado end with the test."""
    for name in OPERATIONS:
        operation = getattr(SSLIOStream, name)
        monkeypatch.setattr(SSLIOStream, name, getattr(operation, "__wrapped__", operation))


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


def test_an_error_of_one_connection_is_none_of_another(tmp_path: Path) -> None:
    """Without it the read fails: the stream is closed."""
    keep_errors_apart()

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


def operations() -> list[Any]:
    return [getattr(SSLIOStream, name) for name in OPERATIONS]


def test_asking_for_it_again_changes_nothing() -> None:
    keep_errors_apart()
    before = operations()
    keep_errors_apart()
    assert operations() == before


def test_a_client_loads_it_as_a_file() -> None:
    """As the role dask_client has it: in the person's own environment, which may not have this package."""
    import dask.config
    from distributed import Client

    plain = operations()
    with dask.config.set({"distributed.client.preload": [tls_errors.__file__]}), Client(processes=False, dashboard_address=None):  # type: ignore[no-untyped-call]
        assert [operation.__wrapped__ for operation in operations()] == plain
