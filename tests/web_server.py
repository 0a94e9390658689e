# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A web server with ranges for tests, on loopback, which misbehaves as told; and buckets below it, as far as they are read."""

from __future__ import annotations

import datetime
import ipaddress
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Fault = Callable[["Handler"], bool]  # answers the request, or lets it through with False
DATE = "Tue, 24 Nov 2026 00:00:00 GMT"
FAR = 5 * 2**30 + 7  # bytes of an object that is not kept anywhere


@dataclass
class Thing:
    """An object: ``size`` where its bytes are made up as they are asked for. '' as tag or date is for a server without."""

    data: bytes = b""
    etag: str | None = None
    modified: str = DATE
    kind: str = "application/octet-stream"
    ranges: bool = True
    size: int = -1
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return self.size if self.size >= 0 else len(self.data)

    def part(self, start: int, stop: int) -> bytes:
        return bytes(stop - start) if self.size >= 0 else self.data[start:stop]

    def headers(self) -> dict[str, str]:
        etag = f'"{md5(self.data, usedforsecurity=False).hexdigest()}"' if self.etag is None else self.etag
        return {"content-type": self.kind, **{n: v for n, v in (("etag", etag), ("last-modified", self.modified)) if v}, **self.extra}


class Handler(BaseHTTPRequestHandler):
    """Answers from ``things``, after the next of the ``faults`` of the path."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.place = unquote(url.path)
        self.server.count(self, 1)
        try:
            fault = self.server.next_fault(self.place)
            if fault is None or not fault(self):
                self.usual(parse_qs(url.query))
        except OSError:
            self.close_connection = True
        finally:
            self.server.count(self, -1)

    def usual(self, query: dict[str, list[str]]) -> None:
        thing = self.server.things.get(self.place)
        if "list-type" in query:
            return self.listing(query)
        if thing is None:
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>" if self.server.s3 else b"no")
        if self.headers.get("if-match") not in (None, thing.headers().get("etag")):
            return self.answer(412)
        start, stop = self.wanted() or (0, thing.total)
        if not thing.ranges or not self.wanted():
            return self.answer(200, thing.part(0, thing.total), **thing.headers())
        if start >= thing.total:
            return self.answer(416, **{"content-range": f"bytes */{thing.total}"})
        stop = min(stop, thing.total)
        return self.answer(206, thing.part(start, stop), **{"content-range": f"bytes {start}-{stop - 1}/{thing.total}", **thing.headers()})

    def wanted(self) -> tuple[int, int] | None:
        """The range that is asked for."""
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range", ""))
        return (int(found[1]), int(found[2]) + 1) if found else None

    def answer(self, status: int, body: bytes = b"", length: int | None = None, **headers: str) -> None:
        (self.send_response_only if "date" in headers else self.send_response)(status)
        for name, value in {"content-length": str(len(body) if length is None else length), **headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def listing(self, query: dict[str, list[str]]) -> None:
        after, prefix, flat = query.get("continuation-token", [""])[0], query.get("prefix", [""])[0], "delimiter" in query
        bucket = f"{self.place.rstrip('/')}/"
        keys = [place.removeprefix(bucket) for place in sorted(self.server.things) if place.startswith(bucket)]
        keys = [key for key in keys if key.startswith(prefix) and key > after and not (flat and "/" in key[len(prefix) :])]
        page, more = keys[: self.server.page], len(keys) > self.server.page
        entries = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in page)
        token = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if more else ""
        text = f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{entries}{token}</ListBucketResult>"
        self.answer(200, text.encode(), **{"content-type": "application/xml"})


class Server(ThreadingHTTPServer):
    """``seen`` has the path and headers of each request, ``most`` how many were in flight, ``connections`` how many were made."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, 0), Handler)
        self.tls, self.stop, self._lock = tls, threading.Event(), threading.Lock()
        where = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if tls else 'http'}://{where}:{self.server_port}"
        self.clear()

    def clear(self) -> None:
        """As it was at first."""
        self.things: dict[str, Thing] = {}
        self.faults: dict[str, Iterator[Fault]] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.s3, self.page = False, 3
        self.busy: set[Handler] = set()
        self.most = self.connections = 0

    def next_fault(self, place: str) -> Fault | None:
        with self._lock:
            return next(self.faults.get(place, iter(())), None)

    def count(self, handler: Handler, change: int) -> None:
        with self._lock:
            (self.busy.add if change > 0 else self.busy.discard)(handler)
            self.most = max(self.most, len(self.busy))
            if change > 0:
                self.seen.append((handler.path, {name.lower(): value for name, value in handler.headers.items()}))

    def get_request(self) -> Any:
        connection, address = super().get_request()
        self.connections += 1
        if self.tls:  # the handshake is left to the thread of the connection
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, *arguments: Any) -> None:
        pass  # a client that goes away, or does not trust the certificate


@contextmanager
def web_server(tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Server]:
    """A server that serves while this is open."""
    server = Server(tls, host)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.stop.set()
        server.shutdown()
        thread.join()
        server.server_close()


def own_certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate of 127.0.0.1 and localhost that is its own CA: the file, and what a server takes."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "zarrstream test")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    made = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.pem").write_bytes(made)
    (folder / "both.pem").write_bytes(made + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return folder / "server.pem", context


# Faults. Each answers, but for those that say otherwise.


def says(status: int, body: bytes = b"", **headers: str) -> Fault:
    """An answer with this status."""

    def fault(handler: Handler) -> bool:
        handler.answer(status, body, **{name.replace("_", "-"): value for name, value in headers.items()})
        return True

    return fault


def passes(_handler: Handler) -> bool:
    """No fault."""
    return False


def resets(handler: Handler) -> bool:
    """Break the connection off."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True
    return True


def hangs(handler: Handler) -> bool:
    """Nothing, for longer than anybody here waits."""
    handler.server.stop.wait(20)
    handler.close_connection = True
    return True


def sends(change: Callable[[dict[str, str]], object] = lambda _headers: None, cut: float = 1.0, pause: float = 0.0) -> Fault:
    """The range that is asked for, with headers as ``change`` makes them, and so much of the body, a byte at a time with pauses."""

    def fault(handler: Handler) -> bool:
        thing = handler.server.things[handler.place]
        start, stop = handler.wanted() or (0, thing.total)
        stop = min(stop, thing.total)
        body = thing.part(start, stop)
        headers = {"content-length": str(len(body)), "content-range": f"bytes {start}-{stop - 1}/{thing.total}", **thing.headers()}
        change(headers)
        handler.send_response(206 if headers.pop("status", "206") == "206" else 200)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        body = body[: int(len(body) * cut)]
        for at in range(len(body)) if pause else ():
            handler.wfile.write(body[at : at + 1])
            handler.wfile.flush()
            if handler.server.stop.wait(pause):
                break
        else:
            handler.wfile.write(body if not pause else b"")
        handler.close_connection = True
        return True

    return fault


def becomes(thing: Thing) -> Fault:
    """Another object in its place, from now on; the request is let through."""

    def fault(handler: Handler) -> bool:
        handler.server.things[handler.place] = thing
        return False

    return fault
