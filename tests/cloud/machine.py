# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the cloud needs of this machine: root, Debian packages, and a way out for the guests."""

from __future__ import annotations

import ipaddress
import os
import shutil
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from layout import BRIDGE, CHECKOUT, LOCK, NETWORK
from shell import CloudError, report, run, succeeds

PROGRAMS = {
    "/usr/sbin/mariadbd": "mariadb-server",
    "/usr/lib/rabbitmq/bin/rabbitmq-server": "rabbitmq-server",
    "/usr/sbin/ovs-vswitchd": "openvswitch-switch",
    "/usr/share/ovn/ovn-nb.ovsschema": "ovn-central",
    "/usr/bin/ovn-controller": "ovn-host",
    "/usr/sbin/ethtool": "ethtool",
    "/usr/bin/systemd-nspawn": "systemd-container",
    "/usr/bin/mmdebstrap": "mmdebstrap",
    "/usr/sbin/iptables": "iptables",
    "/usr/bin/ssh-keygen": "openssh-client",
}
POLICY = Path("/usr/sbin/policy-rc.d")
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
COMMENT = ("-m", "comment", "--comment", "zarrstream-compute-cloud")
# Guests reach the world as this machine does, and nobody else's rules stand in their way.
RULES = (
    ("nat", "POSTROUTING", "-s", NETWORK, "!", "-d", NETWORK, *COMMENT, "-j", "MASQUERADE"),
    ("filter", "FORWARD", "-i", BRIDGE, *COMMENT, "-j", "ACCEPT"),
    ("filter", "FORWARD", "-o", BRIDGE, *COMMENT, "-j", "ACCEPT"),
)
RESOLVERS = (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf"))


def require_root() -> None:
    """Refuse to begin without root: bridges, namespaces, mounts and control groups are made."""
    if os.geteuid():
        raise CloudError("The compute cloud needs root: it makes bridges, network namespaces, mounts and control groups. Run it with sudo.")


def holder() -> Path | None:
    """The checkout whose cloud has this machine; None when there is none."""
    return Path(LOCK.read_text().strip()) if LOCK.exists() else None


def claim(devices: list[str]) -> None:
    """Take the machine: there is one cloud on it, since its bridges and addresses are fixed. devices are those in its way."""
    if other := holder():
        raise CloudError(f"The cloud of {other} has this machine. Run `make cloud-down` there, or remove {LOCK} if that checkout is gone.")
    if devices:
        raise CloudError(f"This machine has {', '.join(devices)} already: another Open vSwitch runs here, which the cloud would disturb.")
    for line in run("ip", "-4", "route", "show").splitlines():
        target = line.split()[0]
        if target[0].isdigit() and ipaddress.ip_network(target).overlaps(ipaddress.ip_network(NETWORK)):
            raise CloudError(f"This machine has a route to {target} already ({line}), and the cloud's network is {NETWORK}.")
    with LOCK.open("x") as lock:
        lock.write(f"{CHECKOUT}\n")


def release() -> None:
    """Give the machine back."""
    if holder() == CHECKOUT:
        LOCK.unlink()


def require_packages() -> None:
    """Install Debian's packages that are missing. Their services are not started: the cloud runs its own."""
    missing = sorted({package for program, package in PROGRAMS.items() if not Path(program).exists()})
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise CloudError(f"The compute cloud needs {', '.join(missing)}, which it can install on Debian only.")
    report(f"Installing {' '.join(missing)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with services_stay_down():
        run("apt-get", "update", "--quiet", env=quiet)
        run("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *missing, env=quiet)


@contextmanager
def services_stay_down() -> Iterator[None]:
    """Let no package start its service while it is installed; policy-rc.d is Debian's way to say so."""
    ours = not POLICY.exists()
    if ours:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            POLICY.unlink()


def open_the_way_out() -> None:
    """Let guests reach what this machine reaches. Forwarding stays on afterwards: others may have come to need it."""
    if FORWARDING.read_text().strip() != "1":
        FORWARDING.write_text("1")
    for table, chain, *rule in RULES:
        run("iptables", "-w", "-t", table, "-I", chain, *rule)


def close_the_way_out() -> None:
    """Remove our rules, as often as they are there."""
    for table, chain, *rule in RULES:
        while succeeds("iptables", "-w", "-t", table, "-D", chain, *rule):
            pass


def rules() -> list[str]:
    """Return our rules that are there."""
    return [line for table in ("nat", "filter") for line in run("iptables", "-w", "-t", table, "-S").splitlines() if COMMENT[-1] in line]


def name_servers() -> list[str]:
    """The name servers that a guest can ask: this machine's, without those that listen on its loopback only."""
    for file in RESOLVERS:
        lines = file.read_text().splitlines() if file.exists() else []
        servers = [words[1] for words in map(str.split, lines) if words[:1] == ["nameserver"] and ":" not in words[1]]
        if usable := [server for server in servers if not ipaddress.ip_address(server).is_loopback]:
            return usable
    raise CloudError(f"No name server that guests could ask is named in {' or '.join(map(str, RESOLVERS))}.")


def trust() -> Path | None:
    """The certificates that this machine trusts, which guests are given: it may be behind a proxy with one of its own."""
    bundle = Path(os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile or "/nonexistent")
    return bundle.resolve() if bundle.exists() else None
