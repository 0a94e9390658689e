# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The network of the test hosts stays as it is while hosts come and go."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path

import pytest
from running import MADE, prefix


def bridge() -> Path:
    """Return the folder in which the kernel tells of the bridge that has the gateway's address."""
    gateway = json.loads((MADE / "network.json").read_text())["gateway"]
    links = json.loads(subprocess.run(["ip", "-json", "address"], capture_output=True, text=True, check=True).stdout)
    return next(Path("/sys/class/net", link["ifname"]) for link in links for known in link["addr_info"] if known.get("local") == gateway)


@pytest.mark.usefixtures("network")
def test_a_host_that_comes_changes_nothing_for_the_others() -> None:
    """A bridge without an address of its own would take this port's, the lowest of all, and no host would find the way for seconds."""
    device = bridge()
    before = (device / "address").read_text()
    subprocess.run(["ip", "link", "add", "zst-low", "address", "02:00:00:00:00:01", "type", "veth", "peer", "name", "zst-peer"], check=True)
    try:
        subprocess.run(["ip", "link", "set", "zst-low", "master", device.name, "up"], check=True)
        assert (device / "address").read_text() == before
    finally:
        subprocess.run(["ip", "link", "delete", "zst-low"], check=True)


@pytest.mark.usefixtures("network")
def test_what_keeps_the_bridge_alive_takes_no_address_of_a_host() -> None:
    """Podman counts on from network to network of one name: the tenth time its next address was that of the first host."""
    # Somebody is there who listens at no port.
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((f"{prefix()}.2", 22), timeout=5)
