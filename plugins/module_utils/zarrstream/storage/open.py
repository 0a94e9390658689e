# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The objects around a place: its folder, its bucket with the keys of a profile or none, or a web server. Sends no request."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from ..errors import BadRequest
from ..profiles.endpoint import anonymous_endpoint
from ..profiles.profile import DEFAULT_REGION, Profile, ca_file
from .access import BY_DEFAULT, Access
from .clients import NO_RETRIES, Clients
from .location import StoreUrl
from .objects import BucketObjects, Objects
from .redirects import find_redirect
from .retry import Transport


class Reach:
    """What has an access, and opens places with it: all its requests share one transport."""

    access: Access

    @cached_property
    def transport(self) -> Transport:
        """The way of all requests."""
        return Transport(self.access.timeout)

    def open_place(self, place: StoreUrl, *, make_folders: bool = False) -> Objects:
        """The objects around a place, with the keys of the access."""
        return open_objects(place, self.access, make_folders=make_folders, transport=self.transport)


def open_objects(
    place: StoreUrl,
    access: Access = BY_DEFAULT,
    *,
    anonymous: bool = False,
    make_folders: bool = False,
    transport: Transport | None = None,
) -> Objects:
    """The objects around ``place``: its bucket, or the folder that holds it. Sends no request.

    ``make_folders`` makes a missing local folder; reading never does. ``transport`` is that of the whole write or check.
    """
    transport = transport or Transport(access.timeout)
    if place.bucket is None:
        return _local_objects(place, make_folders)
    if place.url.startswith(("http://", "https://")):
        return open_web(place, access.ca_bundle, transport)
    if not anonymous:
        return _open_signed(place, access.read(), transport)
    if not access.endpoint_url:
        raise BadRequest("endpoint_url is not set: a read without credentials takes no profile and must be told where to go.")
    endpoint = anonymous_endpoint(access.endpoint_url)
    return _open_bucket(place, endpoint, access.ca_bundle, {"skip_signature": True}, transport, who="no credentials")


def _open_signed(place: StoreUrl, found: Profile, transport: Transport) -> Objects:
    from .boto import ask_for_clocks, ask_for_time

    keys = {"access_key_id": found.access_key, "secret_access_key": found.secret_key, "region": found.region}
    asking: dict[str, Any] = {"clocks": partial(ask_for_clocks, found), "clock": partial(ask_for_time, found)}
    return _open_bucket(place, found.endpoint_url, found.ca_bundle, keys, transport, who=found.label, **asking)


def _open_bucket(
    place: StoreUrl, endpoint: str, ca_bundle: str | None, keys: Mapping[str, Any], transport: Transport, **asking: Any
) -> Objects:
    from obstore.store import S3Store

    client: dict[str, Any] = {"allow_http": endpoint.startswith("http://")}
    if ca_bundle:
        client["root_certificate"] = ca_file(ca_bundle).read_bytes()
    options: dict[str, Any] = {
        "endpoint": endpoint,
        "region": DEFAULT_REGION,
        "virtual_hosted_style_request": False,
        "retry_config": NO_RETRIES,
        **keys,
    }

    def make(times: dict[str, Any], prefix: str | None = None) -> Any:
        return S3Store(place.bucket, **{**options, "prefix": prefix, "client_options": {**client, **times}})

    clients = Clients(make, lambda times: make(times, place.key), transport.timeout)
    redirect = partial(find_redirect, endpoint, str(place.bucket), ca_bundle=ca_bundle)
    return BucketObjects(clients, place, endpoint=endpoint, lane=transport.lane(endpoint), redirect=redirect, **asking)


def _local_objects(place: StoreUrl, make_folders: bool) -> Objects:
    from .folder import FolderObjects, make_parent

    if make_folders:
        make_parent(place)
    if place.parent is None:
        raise AssertionError("a place without bucket has a parent folder")
    return FolderObjects(place, place.parent)


def open_web(
    place: StoreUrl,
    ca_bundle: str | None,
    transport: Transport,
    who: str = "no credentials",
    headers: Mapping[str, str] = MappingProxyType({}),
) -> BucketObjects:
    """The objects at a place on a web server; sends no request. ``headers`` with credentials go to no other host to which that sends on."""
    from obstore.store import HTTPStore

    url = urlsplit(place.url)
    client: dict[str, Any] = {"allow_http": url.scheme == "http", **({"default_headers": dict(headers)} if headers else {})}
    if ca_bundle:
        client["root_certificate"] = Path(ca_bundle).expanduser().read_bytes()
    origin = f"{url.scheme}://{url.netloc}"

    def make(times: dict[str, Any], path: str = "") -> Any:
        options: dict[str, Any] = {"client_options": {**client, **times}, "retry_config": NO_RETRIES}
        return HTTPStore.from_url(f"{origin}{path}", **options)

    clients = Clients(make, lambda times: make(times, url.path.rstrip("/")), transport.timeout)
    return BucketObjects(clients, place, endpoint=origin, who=who, lane=transport.lane(origin))
