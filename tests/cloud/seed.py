# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Fill the cloud with what a user of a real one finds there: accounts of the services and the catalog, image, flavors, a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from layout import ADDRESS, CLOUDS_FILE, FLOATING, NETWORK, PORTS, REGION
from openstack.config import OpenStackConfig
from openstack.connection import Connection

ADMIN = "embedded-admin"
TYPES = {"glance": "image", "neutron": "network", "nova": "compute", "placement": "placement"}
PATHS = {"nova": "/v2.1"}
IMAGE = "debian-12"
PUBLIC = "public"


@dataclass(frozen=True)
class Flavor:
    """A flavor: virtual CPUs, memory in MiB, disk in GiB."""

    name: str
    vcpus: int
    ram: int
    disk: int
    extra: dict[str, str] = field(default_factory=dict)


# Jetstream2's names, with a share of their size; the last two are for tests of what goes wrong.
FLAVORS = (
    Flavor("m3.tiny", 1, 1024, 10),
    Flavor("m3.small", 2, 2048, 20),
    Flavor("m3.quad", 4, 4096, 20),
    Flavor("fault.spawn", 1, 1024, 10, {"container:fault": "spawn"}),
    Flavor("fault.mute", 1, 1024, 10, {"container:fault": "mute"}),
)


def connect(name: str = ADMIN) -> Connection:
    """A connection of one of the users in clouds.yaml."""
    known = OpenStackConfig(config_files=[str(CLOUDS_FILE)], load_envvars=False)
    return Connection(config=known.get_one(name))


def fill_keystone(passwords: Mapping[str, str]) -> None:
    """Make the services' accounts and their entries in the catalog."""
    identity: Any = connect().identity
    project = identity.find_project("service", ignore_missing=False)
    roles = {role.name: role for role in identity.roles()}
    services = {service.name for service in identity.services()}
    for name in TYPES.keys() - services:
        user = identity.create_user(name=name, password=passwords[name], domain_id="default")
        for role in ("admin", "service"):
            identity.assign_project_role_to_user(project, user, roles[role])
        service = identity.create_service(name=name, type=TYPES[name])
        url = f"http://{ADDRESS}:{PORTS[name]}{PATHS.get(name, '')}"
        for interface in ("public", "internal"):
            identity.create_endpoint(service_id=service.id, interface=interface, region_id=REGION, url=url)


def make_flavors() -> None:
    """Make the flavors."""
    compute = connect().compute
    for flavor in FLAVORS:
        made = compute.create_flavor(name=flavor.name, vcpus=flavor.vcpus, ram=flavor.ram, disk=flavor.disk)
        if flavor.extra:
            compute.create_flavor_extra_specs(made, flavor.extra)


def make_network() -> None:
    """Make the provider's network, from which floating IPs come."""
    network = connect().network
    public = network.create_network(
        name=PUBLIC,
        is_router_external=True,
        is_default=True,
        provider_network_type="flat",
        provider_physical_network="provider",
    )
    network.create_subnet(
        name=PUBLIC,
        network_id=public.id,
        ip_version=4,
        cidr=NETWORK,
        gateway_ip=ADDRESS,
        is_dhcp_enabled=False,
        allocation_pools=[dict(zip(("start", "end"), FLOATING, strict=True))],
    )


def upload(archive: Path) -> None:
    """Store the guests' image. Glance computes its checksums by itself."""
    image = connect().image
    made = image.create_image(
        IMAGE, disk_format="raw", container_format="bare", visibility="public", os_distro="debian", os_version="12", wait=True
    )
    with archive.open("rb") as data:
        image.put(f"/images/{made.id}/file", data=data, headers={"Content-Type": "application/octet-stream"}, raise_exc=True)


def compute_is_up() -> bool:
    """Tell whether the scheduler would find the host: nova-compute has reported, and its cell knows it."""
    cloud = connect()
    return any(service.state == "up" for service in cloud.compute.services(binary="nova-compute")) and bool(
        list(cloud.compute.hypervisors())
    )
