# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ports for servers of tests, which no other test takes while this process lives."""

from __future__ import annotations

import random
import socket

_KEPT: list[socket.socket] = []


def free_ports(number: int) -> list[int]:
    """Return ports that nobody listens on, outside the range from which the kernel takes clients' ports.

    Tests run side by side, in several processes: a port stays bound here until the process ends, though nothing listens, so
    that nobody else finds it free. A server may take it nevertheless, since servers set SO_REUSEADDR, as is set here afterwards.
    """
    found: list[int] = []
    while len(found) < number:
        kept = socket.socket()
        port = random.randint(20_000, 32_000)
        try:
            kept.bind(("127.0.0.1", port))
        except OSError:
            kept.close()
            continue
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _KEPT.append(kept)
        found.append(port)
    return found
