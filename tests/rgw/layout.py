# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where everything of the RGW cloud is: folders, address and ports."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
ROLE = CHECKOUT / "roles" / "embedded_cloud"
BUILD = CHECKOUT / "build" / "rgw"
# What costs minutes to make, and what one run of the cloud makes. Several checkouts may share the first.
OWN_CACHE = BUILD / "cache"
CACHE = Path(os.environ.get("RGW_CACHE") or OWN_CACHE)
STATE = BUILD / "state"
LOGS = STATE / "log"
ETC = STATE / "etc"
TLS = STATE / "tls"
CEPH = STATE / "ceph"
# Where the programs of Ceph find that folder.
MOUNTED = "/srv/ceph"
# Made when a start has come to its end; it says which Keystone was started.
READY = STATE / "ready"
CLOUDS_FILE = STATE / "clouds.yaml"


def _own_address() -> str:
    """A loopback address that is this checkout's, so that clouds of several run side by side, each on the same ports."""
    first, second, third, *_ = hashlib.sha256(str(CHECKOUT).encode()).digest()
    return f"127.{64 + first % 128}.{second}.{1 + third % 254}"


# Keystone and the gateways listen here; another address of this machine lets hosts reach them.
ADDRESS = os.environ.get("RGW_ADDRESS") or _own_address()
INNER_ADDRESS = _own_address()
PORTS = {"keystone": 15000, "js2": 18001, "acc": 18002, "ten": 18003, "mon": 18300, "mon1": 18789}
OSD_PORTS = (18800, 18899)
KEYSTONE = f"http://{ADDRESS}:{PORTS['keystone']}/v3"
KEYSTONES = {"28": "28.0.0", "29": "29.1.0", "30": "30.0.0"}
DEFAULT_KEYSTONE = "29"


@dataclass(frozen=True)
class Gateway:
    """One RGW: whether the Swift URL names the account, and whether each project has a name space of its own."""

    name: str
    account_in_url: bool
    implicit_tenants: bool

    @property
    def url(self) -> str:
        """The S3 endpoint."""
        return f"https://{ADDRESS}:{PORTS[self.name]}"

    @property
    def swift_url(self) -> str:
        """The object-store's URL as the catalog has it."""
        return f"{self.url}/swift/v1" + ("/AUTH_%(project_id)s" if self.account_in_url else "")

    @property
    def authority(self) -> Path:
        """The certificate of the authority that its clients have to trust."""
        return TLS / self.name / "ca.pem"


GATEWAYS = {
    "js2": Gateway("js2", account_in_url=False, implicit_tenants=False),
    "acc": Gateway("acc", account_in_url=True, implicit_tenants=False),
    "ten": Gateway("ten", account_in_url=True, implicit_tenants=True),
}


@dataclass(frozen=True)
class Region:
    """One region of the catalog: its gateway, and the services that it names."""

    gateway: Gateway
    services: tuple[str, ...]


# In the catalog their names are in capitals: IU is Jetstream2's.
REGIONS = {
    "iu": Region(GATEWAYS["js2"], ("object-store",)),
    "iu-s3": Region(GATEWAYS["js2"], ("object-store", "s3")),
    "s3": Region(GATEWAYS["js2"], ("s3",)),
    "acc": Region(GATEWAYS["acc"], ("object-store",)),
    "ten": Region(GATEWAYS["ten"], ("object-store",)),
}
