# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How sources on the net are reached, by the options of a request; and what reaches them, beside the store."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadRequest
from ..profiles.endpoint import anonymous_endpoint, s3_endpoint
from .access import Access
from .location import StoreUrl
from .objects import Objects
from .open import Reach, open_objects, open_web
from .remote import SourceAccess
from .traffic import Traffic

if TYPE_CHECKING:
    from .remote_reach import RemoteReach

MOST = 256  # requests at a time
_MAKING = threading.Lock()  # several threads ask for the first time
_FIELDS = {  # of a SourceAccess, by the option
    "source_profile": "profile",
    "source_endpoint_url": "endpoint_url",
    "source_anonymous": "anonymous",
    "source_ca_bundle": "ca_bundle",
    "source_token_file": "token_file",
    "source_hosts": "hosts",
    "source_concurrency": "concurrency",
    "spool": "spool",
    "timeout": "timeout",
}
_PATHS = ("ca_bundle", "token_file", "spool")
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s/@:\[\]*?#]+)(:\d{1,5})?")


def source_access_from(options: Mapping[str, Any]) -> SourceAccess:
    """What the options of a module say of it, None being one that was left out; raises BadRequest. Looks nowhere."""
    given = {field: options[name] for name, field in _FIELDS.items() if options.get(name) is not None}
    access = SourceAccess(**{**given, "hosts": _hosts(given.get("hosts", ()))})
    if access.anonymous and access.profile:
        raise BadRequest(
            f"source_anonymous is true and source_profile is '{access.profile}': requests are signed, or they are not. Leave one out."
        )
    if access.endpoint_url is not None:
        (anonymous_endpoint if access.anonymous else s3_endpoint)(access.endpoint_url, "source_endpoint_url")
    if isinstance(access.concurrency, bool) or not isinstance(access.concurrency, int) or not 1 <= access.concurrency <= MOST:
        raise BadRequest(f"source_concurrency is {access.concurrency!r}: give the requests to a host at a time, 1 to {MOST}.")
    for name in ("source_token_file", "source_ca_bundle", "spool"):
        if options.get(name) is not None and not str(options[name]).strip():
            raise BadRequest(f"{name} is empty: give a path, or leave it out.")
    return access


def _hosts(names: Any) -> tuple[str, ...]:
    if not isinstance(names, list | tuple):
        raise BadRequest(f"source_hosts is {names!r}: it is a list of hosts that a redirect may lead to, such as [files.example.org].")
    for name in names:
        if not isinstance(name, str) or not _HOST.fullmatch(name):
            raise BadRequest(f"source_hosts names {name!r}: write a host, or host:port, such as files.example.org, without https://.")
    return tuple(name.lower() for name in names)


def check_here(access: SourceAccess, store: StoreUrl | None = None) -> None:
    """Raises BadRequest for a spool that is not on this host as it has to be; ``store`` is what is written."""
    if access.spool is not None:
        _check_spool(Path(access.spool).expanduser(), store)


def _check_spool(path: Path, store: StoreUrl | None) -> None:
    if not path.is_dir():
        raise BadRequest(f"spool is '{path}', which is no folder on this host. Make it, or name one with room for the largest file.")
    if not os.access(path, os.W_OK | os.X_OK):
        raise BadRequest(f"spool is '{path}', where this user may not write. Name a folder of yours.")
    if store is not None and store.parent is not None:
        real, parent = Path(os.path.realpath(path)), Path(os.path.realpath(store.parent))
        if any(place in (real, *real.parents) for place in (parent / store.key, parent / store.sidecar)):
            raise BadRequest(f"spool is '{path}', which lies in the store '{store.url}'. Name another folder.")


def check_needed(access: SourceAccess, source: tuple[str, ...]) -> None:
    """Raises BadRequest for an endpoint where no source is in a bucket: it is meant for the store, most likely."""
    if access.endpoint_url and source and not any(text.startswith("s3://") or text.lower().endswith(".txt") for text in source):
        raise BadRequest(
            f"source_endpoint_url is '{access.endpoint_url}', and source names nothing in a bucket (s3://…). "
            "Leave it out; that of the store is endpoint_url."
        )


def plain_source_access(access: SourceAccess) -> dict[str, Any]:
    """Plain values that mean the same in another folder, such as a worker's."""
    paths = {name: str(Path(path).expanduser().absolute()) if (path := getattr(access, name)) else None for name in _PATHS}
    return {**asdict(access), **paths, "hosts": list(access.hosts)}


def from_plain(values: Mapping[str, Any]) -> SourceAccess:
    """The access from ``plain_source_access``."""
    return SourceAccess(**{**values, "hosts": tuple(values["hosts"])})


class SourceReach(Reach):
    """A Reach that has sources too, which may be elsewhere and want other credentials."""

    source_access: SourceAccess

    @property
    def remote(self) -> RemoteReach:
        """What opens files on the web and in buckets; sends no request."""
        with _MAKING:
            return self._remote

    @cached_property
    def _remote(self) -> RemoteReach:
        from .remote_reach import RemoteReach

        return RemoteReach(self.source_access, self.access, self.transport)

    @cached_property
    def source_endpoint(self) -> str:
        """Where sources in buckets are."""
        access = self._bucket_access
        return access.endpoint_url or access.read().endpoint_url

    @cached_property
    def _bucket_access(self) -> Access:
        from .remote_reach import source_access

        access = source_access(self.source_access, self.access)
        if self.source_access.anonymous and not access.endpoint_url:
            raise BadRequest("source_anonymous is set, and no endpoint is known: set source_endpoint_url to that of the bucket's cloud.")
        return access

    def open_source(self, place: StoreUrl) -> Objects:
        """The objects of a Zarr store that is a source."""
        if place.bucket is not None and place.url.startswith("s3://"):
            return open_objects(place, self._bucket_access, anonymous=self.source_access.anonymous, transport=self.transport)
        return open_web(place, self.source_access.ca_bundle or self.access.ca_bundle, self.transport, *self.remote.login(place.url))

    def traffic(self, endpoint: str) -> Traffic:
        """What came over the net so far for sources, and how long that and requests to the store, at ``endpoint``, took."""
        store = self.transport.seconds(endpoint)
        if "_remote" not in self.__dict__:
            return Traffic(store=store)
        fetched = self.remote.fetched
        return Traffic(fetched.size, fetched.requests, fetched.seconds, store)

    def close(self) -> None:
        """No request any more."""
        self.transport.close()
        if "_remote" in self.__dict__:
            self.remote.close()
