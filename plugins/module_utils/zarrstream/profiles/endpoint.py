# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The shape of an S3 endpoint: OpenStack clouds publish several URLs that look like one and are none."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

from ..errors import BadRequest

# What Swift (/v1/AUTH_…) and Ceph RGW (/swift/v1…) put behind the host and port of the S3 endpoint.
_SWIFT_PATH = re.compile(r"^/(swift(/v1.*)?|v1(\.0)?(/.*)?)$")
_SWIFT_ACCOUNT = re.compile(r"^/(swift/v1(/[^/]+)?|v1/[^/]+)$")


def s3_endpoint(url: str, field: str = "endpoint_url") -> str:
    """The endpoint without a trailing slash; raises BadRequest, with the right URL named, for any other shape."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadRequest(f"{field} is '{url}': an endpoint is a URL such as https://object.example.org:8001.", endpoint_url=url)
    if parts.username or parts.password:
        raise BadRequest(f"{field} holds a user name or password: keys belong into a profile, not into the URL.")
    root = origin(url)
    path = parts.path.rstrip("/")
    if _SWIFT_PATH.match(path):
        raise BadRequest(
            f"{field} is '{url}': '{path}' is the path of the Swift API, which does not speak S3. Use '{root}'.",
            endpoint_url=url,
            suggestion=root,
        )
    if path or parts.query or parts.fragment:
        raise BadRequest(f"{field} is '{url}': an S3 endpoint has no path. Use '{root}'.", endpoint_url=url, suggestion=root)
    return root


def anonymous_endpoint(url: str, field: str = "endpoint_url") -> str:
    """An endpoint for unsigned requests: an S3 endpoint, or the Swift URL of a project (``…/v1/AUTH_<project>``).

    Stock Swift serves unsigned S3 requests only under the project's own URL.
    """
    parts = urlsplit(url)
    if _SWIFT_ACCOUNT.match(parts.path.rstrip("/")) and parts.hostname and not parts.username:
        return url.rstrip("/")
    return s3_endpoint(url, field)


def origin(url: str) -> str:
    """Scheme, host and port of a URL: the S3 endpoint that belongs to a Swift URL of the same service."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, "", "", ""))
