"""The proxy itself, where the tests behind it rely on it."""

from __future__ import annotations

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from faults.proxy import FaultProxy


def test_what_a_dead_client_sent_is_done_when_the_proxy_has_settled() -> None:
    """A writer killed while the server stores its object: what readers see is decided only when the server has ended."""
    begun, stored = threading.Event(), []

    class SlowServer(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            begun.set()
            time.sleep(0.5)
            stored.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), SlowServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with FaultProxy(f"http://127.0.0.1:{server.server_port}").running() as proxy:
            with socket.create_connection(("127.0.0.1", proxy.port)) as client:
                client.sendall(b"PUT /bucket/key HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\n\r\n{}")
                assert begun.wait(10)
            assert not stored
            proxy.settle()
            assert stored == ["/bucket/key"]
    finally:
        server.shutdown()
        server.server_close()
