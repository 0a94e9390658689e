# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The SSH host keys that cloud-init prints on a server's console.

The console reaches us through the cloud's API, over TLS and with a token: nobody on the way to the server can put a key of theirs
there, as they could in a first connection.
"""

from __future__ import annotations

import re

# Lines may carry the time of the kernel or the name of the unit in front, and a carriage return behind.
_BEGIN, _END = "-----BEGIN SSH HOST KEY KEYS-----", "-----END SSH HOST KEY KEYS-----"
_KEY = re.compile(r"\b((?:ssh|ecdsa)-[a-z0-9-]+) ([A-Za-z0-9+/]{60,}={0,3})")


def host_keys(console: str) -> list[str]:
    """Each key as ``type base64``, of the last complete block; empty where the block is not, or not whole, in the text."""
    begin = console.rfind(_BEGIN, 0, console.rfind(_END) + 1)
    if begin < 0:
        return []
    block = console[begin : console.index(_END, begin)]
    return [f"{kind} {key}" for kind, key in _KEY.findall(block)]
