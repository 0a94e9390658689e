# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All of Swift in one process: its four stock applications as green threads, each on its own port.

One file, swift.conf, configures them: the pipelines main (the proxy), account, container and object.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import eventlet
import eventlet.wsgi
from parent import die_with_parent
from swift.common import constraints, storage_policy, utils, wsgi
from swift.common.ring import RingBuilder

STORAGE = ("account", "container", "object")
DEVICE = "disk"


def build_ring(swift_dir: Path, name: str, address: str, port: int) -> None:
    """Write the ring of one storage server: a single device that holds everything."""
    builder = RingBuilder(part_power=4, replicas=1, min_part_hours=1)
    builder.add_dev(
        {
            "id": 0,
            "region": 1,
            "zone": 1,
            "weight": 1,
            "device": DEVICE,
            "ip": address,
            "port": port,
            "replication_ip": address,
            "replication_port": port,
        }
    )
    builder.rebalance()
    builder.get_ring().save(str(swift_dir / f"{name}.ring.gz"))


def serve(conf: dict[str, Any], app: Any) -> eventlet.greenthread.GreenThread:
    """Serve app on the address that its configuration names, with TLS where cert_file is set."""
    return eventlet.spawn(
        eventlet.wsgi.server,
        wsgi.get_socket(conf),
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

    utils.set_swift_dir(str(swift_dir))
    constraints.reload_constraints()
    storage_policy.reload_storage_policies()
    utils.monkey_patch()
    eventlet.hubs.use_hub(utils.get_hub())

    for name in STORAGE:
        conf = wsgi.appconfig(config, name=f"{name}-server")
        (Path(conf["devices"]) / DEVICE).mkdir(mode=0o700, parents=True, exist_ok=True)
        build_ring(swift_dir, name, conf["bind_ip"], int(conf["bind_port"]))
        serve(conf, wsgi.loadcontext(wsgi.loadwsgi.APP, config, name=name).create())
    serve(wsgi.appconfig(config, name="proxy-server"), wsgi.loadapp(config)).wait()


if __name__ == "__main__":
    main()
