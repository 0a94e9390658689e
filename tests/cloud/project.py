# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A project on the compute cloud with a network of its own, and servers in it. All of it is gone afterwards."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import layout
import seed

SECONDS = 300
KEYS = re.compile(r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.DOTALL)


def eventually(what: str, ask: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Ask until the answer is true, and return it."""
    end = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < end, f"{what}: not after {seconds} s"
        time.sleep(1)
    return answer


@dataclass
class Machine:
    """A server with a floating IP, and the way to it: its host keys come from its console."""

    project: Project
    server: Any
    address: str
    known_hosts: Path = field(init=False)

    def __post_init__(self) -> None:
        self.known_hosts = self.project.folder / self.server.name

    def console(self) -> str:
        """Return what the server wrote on its console."""
        return str(self.project.cloud.compute.get_server_console_output(self.server.id)["output"])

    def pin(self) -> None:
        """Wait for the host keys on the console, and write them down."""
        keys = eventually("Host keys on the console", lambda: KEYS.search(self.console()))
        self.known_hosts.write_text("".join(f"{self.address} {line}\n" for line in keys[1].strip().splitlines()))

    def run(self, command: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the guest, as debian."""
        options = [f"UserKnownHostsFile={self.known_hosts}", "StrictHostKeyChecking=yes", "ConnectTimeout=10", "BatchMode=yes"]
        ssh = ["ssh", "-i", str(self.project.key), *(word for option in options for word in ("-o", option))]
        done = subprocess.run([*ssh, f"debian@{self.address}", command], capture_output=True, text=True, check=False, timeout=SECONDS)
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    def await_ssh(self) -> None:
        """Wait until the guest lets in whoever has the key."""
        eventually("SSH", lambda: self.run("true", check=False).returncode == 0)

    def answers(self, port: int) -> bool:
        """Tell whether something answers on a port."""
        try:
            socket.create_connection((self.address, port), timeout=5).close()
        except OSError:
            return False
        return True

    def await_status(self, status: str) -> None:
        """Wait until the server has a status."""
        self.server = self.project.cloud.compute.wait_for_server(self.server, status=status, wait=SECONDS, interval=1)

    @property
    def folder(self) -> Path:
        """The guest's folder on this machine."""
        return layout.INSTANCES / self.server.id


@dataclass
class Project:
    """A network with a way out, a security group that lets SSH in, and a key pair."""

    cloud: Any
    name: str
    folder: Path
    machines: list[Any] = field(default_factory=list)

    @property
    def key(self) -> Path:
        """The private key."""
        return self.folder / "key"

    def make(self) -> None:
        """Make what servers share."""
        network = self.cloud.network
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        self.cloud.compute.create_keypair(name=self.name, public_key=self.key.with_suffix(".pub").read_text())
        net = network.create_network(name=self.name)
        subnet = network.create_subnet(name=self.name, network_id=net.id, ip_version=4, cidr="10.79.0.0/24")
        router = network.create_router(name=self.name, external_gateway_info={"network_id": network.find_network(seed.PUBLIC).id})
        network.add_interface_to_router(router, subnet=subnet)
        network.create_security_group(name=self.name)
        self.open_port(22)

    def open_port(self, port: int) -> None:
        """Let a port in."""
        group = self.cloud.network.find_security_group(self.name)
        rule = {"direction": "ingress", "protocol": "tcp", "port_range_min": port, "port_range_max": port}
        self.cloud.network.create_security_group_rule(security_group_id=group.id, **rule)

    def boot(self, flavor: str, *, wait: bool = True, **more: Any) -> Any:
        """Ask for a server, and wait for it where wanted."""
        compute = self.cloud.compute
        server = compute.create_server(
            name=f"{self.name}-{len(self.machines)}",
            image_id=self.cloud.image.find_image(seed.IMAGE).id,
            flavor_id=compute.find_flavor(flavor).id,
            networks=[{"uuid": self.cloud.network.find_network(self.name).id}],
            security_groups=[{"name": self.name}],
            key_name=self.name,
            **more,
        )
        self.machines.append(server)
        return compute.wait_for_server(server, wait=SECONDS, interval=1) if wait else server

    def machine(self, flavor: str = "m3.tiny", **more: Any) -> Machine:
        """Boot a server, give it a floating IP, and read its host keys."""
        server = self.boot(flavor, **more)
        port = next(iter(self.cloud.network.ports(device_id=server.id)))
        public = self.cloud.network.find_network(seed.PUBLIC)
        address = self.cloud.network.create_ip(floating_network_id=public.id, port_id=port.id).floating_ip_address
        machine = Machine(self, server, address)
        machine.pin()
        return machine

    def delete(self, server: Any) -> None:
        """Delete a server, and wait until it is gone."""
        self.cloud.compute.delete_server(server.id, ignore_missing=True)
        self.cloud.compute.wait_for_delete(server, wait=SECONDS, interval=1)

    def remove(self) -> None:
        """Remove all of it."""
        network = self.cloud.network
        for server in self.machines:
            self.delete(server)
        for address in network.ips(project_id=self.cloud.current_project_id):
            network.delete_ip(address)
        if router := network.find_router(self.name):
            network.remove_interface_from_router(router, subnet=network.find_subnet(self.name))
            network.delete_router(router)
        if net := network.find_network(self.name):
            network.delete_network(net)
        self.cloud.compute.delete_keypair(self.name)
        # Neutron's own group "default" among them, which only an administrator may remove.
        administrator = seed.connect().network
        for group in administrator.security_groups(project_id=self.cloud.current_project_id):
            administrator.delete_security_group(group)
