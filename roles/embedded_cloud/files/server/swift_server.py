# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All of Swift in one process: its four stock applications as green threads.

The proxy has a port. The storage servers ask nobody who he is, so that they listen on Unix sockets in a folder that is the owner's
alone. One file, swift.conf, configures them: the pipelines main (the proxy), account, container and object.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import eventlet
import eventlet.wsgi
from eventlet.green import socket
from parent import die_with_parent
from swift.common import bufferedhttp, constraints, storage_policy, utils, wsgi
from swift.common.ring import RingBuilder

# Swift knows its storage servers by ports. Nothing listens there: they are the names of the sockets in the rings.
STORAGE = {"account": 6202, "container": 6201, "object": 6200}
ADDRESS = "127.0.0.1"
DEVICE = "disk"
BACKLOG = 4096


class StorageConnection(bufferedhttp.BufferedHTTPConnection):
    """Swift's connection to a storage server, by the Unix socket that the port in the ring stands for."""

    folder: Path

    def connect(self) -> None:
        """Connect to the socket. Swift bounds the time from outside."""
        self._connected_time = time.time()
        name = next(name for name, port in STORAGE.items() if port == self.port)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(socket_path(self.folder, name)))


def socket_path(swift_dir: Path, name: str) -> Path:
    """Where a storage server listens."""
    return swift_dir / f"{name}.sock"


def listen(path: Path) -> Any:
    """Listen on a Unix socket; one that a killed server has left is replaced."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(BACKLOG)
    return listener


def build_ring(swift_dir: Path, name: str) -> None:
    """Write the ring of one storage server: a single device that holds everything."""
    builder = RingBuilder(part_power=4, replicas=1, min_part_hours=1)
    builder.add_dev(
        {
            "id": 0,
            "region": 1,
            "zone": 1,
            "weight": 1,
            "device": DEVICE,
            "ip": ADDRESS,
            "port": STORAGE[name],
            "replication_ip": ADDRESS,
            "replication_port": STORAGE[name],
        }
    )
    builder.rebalance()
    builder.get_ring().save(str(swift_dir / f"{name}.ring.gz"))


def serve(listener: Any, app: Any) -> eventlet.greenthread.GreenThread:
    """Serve app to whoever connects."""
    return eventlet.spawn(
        eventlet.wsgi.server,
        listener,
        app,
        utils.NullLogger(),
        protocol=wsgi.SwiftHttpProtocol,
        capitalize_response_headers=False,
        socket_timeout=60,
        custom_pool=wsgi.RestrictedGreenPool(size=1024),
        url_length_limit=constraints.MAX_REQUEST_LINE,
    )


def main() -> None:
    """Serve until ended by a signal."""
    swift_dir = Path(sys.argv[1]).resolve()
    config = str(swift_dir / "swift.conf")
    die_with_parent()
    os.umask(0o077)

    utils.set_swift_dir(str(swift_dir))
    constraints.reload_constraints()
    storage_policy.reload_storage_policies()
    utils.monkey_patch()
    eventlet.hubs.use_hub(utils.get_hub())
    StorageConnection.folder = swift_dir
    bufferedhttp.BufferedHTTPConnection = StorageConnection

    for name in STORAGE:
        conf = wsgi.appconfig(config, name=f"{name}-server")
        (Path(conf["devices"]) / DEVICE).mkdir(mode=0o700, parents=True, exist_ok=True)
        build_ring(swift_dir, name)
        serve(listen(socket_path(swift_dir, name)), wsgi.loadcontext(wsgi.loadwsgi.APP, config, name=name).create())
    # With TLS where cert_file is set.
    serve(wsgi.get_socket(wsgi.appconfig(config, name="proxy-server")), wsgi.loadapp(config)).wait()


if __name__ == "__main__":
    main()
