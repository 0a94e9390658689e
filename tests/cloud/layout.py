# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where everything of the compute cloud is: folders, addresses and ports."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
BUILD = CHECKOUT / "build" / "compute-cloud"
# What costs minutes to make, and what one run of the cloud makes.
CACHE = BUILD / "cache"
STATE = BUILD / "state"
LOGS = STATE / "log"
ETC = STATE / "etc"
OVS = STATE / "ovs"
INSTANCES = STATE / "instances"
# What guests share: packages that uv has fetched.
UV_CACHE = CACHE / "uv"
EMBEDDED = STATE / "embedded"
# Made when a start has come to its end.
READY = STATE / "ready"
CLOUDS_FILE = BUILD / "clouds.yaml"
LOCK = Path("/run/lock/zarrstream-compute-cloud")

# The provider's network: a bridge on this machine, which is its gateway. The cloud's services listen there, each on its usual port,
# so that guests reach them at the address that the catalog names.
BRIDGE = "br-ex"
INTEGRATION_BRIDGE = "br-int"
NETWORK = "172.31.0.0/24"
ADDRESS = "172.31.0.1"
FLOATING = ("172.31.0.10", "172.31.0.250")
REGION = "RegionOne"
KEYSTONE = f"http://{ADDRESS}:5000/v3"
EMBEDDED_PORTS = {
    "embedded_cloud_keystone_port": 5000,
    "embedded_cloud_swift_port": 8080,
}
PORTS = {"glance": 9292, "neutron": 9696, "nova": 8774, "placement": 8778}
# The message queue is for the services alone: on a loopback address of its own, where nobody else's ports are.
QUEUE_ADDRESS = "127.31.0.1"
QUEUE_PORT = 5672
HOST = "compute1"
