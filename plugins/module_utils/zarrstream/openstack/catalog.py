# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which URLs of an object store a catalog names, and the S3 endpoint that follows: the one home of that rule. Pure.

Ceph RGW is usually registered as ``object-store`` alone, and serves S3 at the same host and port.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import NotFound
from ..profiles.endpoint import origin, s3_endpoint


@dataclass(frozen=True)
class Services:
    """What the catalog says about the object store; None for what it does not name."""

    s3_url: str | None
    object_store_url: str | None


def endpoint_from(given: str | None, catalog: Services, *, required: bool = True) -> str | None:
    """The S3 endpoint: as given, else the catalog's service ``s3``, else the host and port of its object store."""
    if given:
        return s3_endpoint(given)
    if catalog.s3_url:
        return s3_endpoint(catalog.s3_url, "the URL of the service s3 in the catalog")
    if catalog.object_store_url:
        return s3_endpoint(origin(catalog.object_store_url))
    if not required:
        return None
    raise NotFound(
        "the catalog of this cloud names neither a service 's3' nor 'object-store' (in this region and interface). "
        "Set endpoint_url, or region_name and interface of the cloud."
    )


def swift_url_of(catalog: Services, cloud: str) -> str:
    """The project's URL of the Swift API, by which buckets are made. Raises NotFound where the catalog names none."""
    if catalog.object_store_url:
        return catalog.object_store_url
    beside = f"{origin(catalog.s3_url)}/swift/v1" if catalog.s3_url else "https://object.example.org/swift/v1"
    raise NotFound(
        f"the catalog of cloud '{cloud}' names no service 'object-store' (in this region and interface), and buckets are made through the "
        f"Swift API. Ceph RGW serves it beside S3: set object_store_endpoint_override: {beside} in this cloud's entry of clouds.yaml, or "
        "correct region_name and interface there.",
        cloud=cloud,
    )
