# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Open vSwitch with its userspace datapath, and OVN: neither needs a module of the kernel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import machine
from layout import ADDRESS, BRIDGE, HOST, INSTANCES, INTEGRATION_BRIDGE, NETWORK, OVS
from shell import run, succeeds, wait

SCHEMAS = {
    "switch": "/usr/share/openvswitch/vswitch.ovsschema",
    "north": "/usr/share/ovn/ovn-nb.ovsschema",
    "south": "/usr/share/ovn/ovn-sb.ovsschema",
}
DATABASES = tuple(f"ovsdb-{name}" for name in SCHEMAS)
DAEMONS = ("ovs-vswitchd", "ovn-northd", "ovn-controller")
# Taps of the userspace datapath, which stay when its daemon is killed.
DEVICES = (BRIDGE, INTEGRATION_BRIDGE, "ovs-netdev")


def socket(name: str) -> str:
    """The address of one of the databases: switch, north or south."""
    return f"unix:{OVS / name}.sock"


def vsctl(*arguments: str) -> str:
    """Run ovs-vsctl on the switch's database."""
    return run("ovs-vsctl", f"--db={socket('switch')}", "--timeout=30", *arguments)


def make_databases() -> None:
    """Make the three databases, empty."""
    OVS.mkdir(parents=True)
    for name, schema in SCHEMAS.items():
        run("ovsdb-tool", "create", OVS / f"{name}.db", schema)


def start(start_programs: Callable[..., None]) -> None:
    """Bring up the switch with the provider's bridge, then OVN; open the way out."""
    start_programs(*DATABASES)
    for name in SCHEMAS:
        wait(f"The database {name} of Open vSwitch answers", (OVS / f"{name}.sock").exists, 30)
    settings = {
        "system-id": HOST,
        "hostname": HOST,
        "ovn-remote": socket("south"),
        "ovn-encap-type": "geneve",
        "ovn-encap-ip": "127.0.0.1",
        "ovn-bridge-mappings": f"provider:{BRIDGE}",
        "ovn-bridge-datapath-type": "netdev",
        "ovn-cms-options": "enable-chassis-as-gw",
    }
    vsctl("--no-wait", "init")
    vsctl("--no-wait", "set", "Open_vSwitch", ".", *(f'external_ids:{name}="{value}"' for name, value in settings.items()))
    start_programs("ovs-vswitchd")
    for bridge in (BRIDGE, INTEGRATION_BRIDGE):
        vsctl("--may-exist", "add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev")
    vsctl("set", "bridge", INTEGRATION_BRIDGE, "fail-mode=secure")
    start_programs("ovn-northd", "ovn-controller")
    run("ip", "link", "set", BRIDGE, "up")
    run("ip", "address", "replace", f"{ADDRESS}/{NETWORK.rpartition('/')[2]}", "dev", BRIDGE)
    machine.open_the_way_out()


def leave() -> None:
    """Remove the guests' namespaces, and their devices with them, then the bridges and the rules."""
    machine.close_the_way_out()
    for folder in INSTANCES.glob("*"):
        succeeds("ip", "netns", "del", f"nova-{folder.name}")
    for device in DEVICES:
        succeeds("ip", "link", "del", device)


def devices() -> list[str]:
    """Return our devices that are there."""
    return [device for device in DEVICES if Path("/sys/class/net", device).exists()]
