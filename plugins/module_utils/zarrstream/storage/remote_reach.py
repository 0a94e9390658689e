# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How sources on the web and in buckets are reached: opens URLs, and lists what a pattern of keys names."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlsplit

from ..errors import BadRequest, SourceError
from ..profiles.effective import in_memory
from ..profiles.endpoint import anonymous_endpoint
from ..profiles.profile import DEFAULT_REGION, Profile, ca_file
from .access import BY_DEFAULT, Access
from .boto import s3_client, verification
from .remote import Fetched, RemoteObject, SourceAccess
from .remote_errors import About
from .remote_list import matching_keys, s3_pages, swift_pages
from .remote_login import Anonymous, Bearer, Login, Signed, web_login
from .remote_object import open_object
from .remote_requests import Requests, Target
from .remote_urls import S3, check_url, has_pattern, key_pattern, s3_key, sent_url, shown_url
from .retry import Transport
from .signed_urls import is_signed, valid_until

_NOT_PUBLIC = "It is not public, or is not there: name a profile whose keys may read it (source_profile), without source_anonymous."


def source_access(source: SourceAccess, access: Access) -> Access:
    """How buckets of sources are reached: as is said of sources, and where nothing is, as the store is.

    A profile of the sources' own brings its endpoint and its CA; those of the store are for the store's profile.
    """
    if source.profile:
        own = Access(source.profile, source.endpoint_url, access.config_file, source.ca_bundle, source.timeout)
    else:
        own = replace(
            access,
            endpoint_url=source.endpoint_url or access.endpoint_url,
            ca_bundle=source.ca_bundle or access.ca_bundle,
            timeout=source.timeout,
        )
    return own.without_keys() if source.anonymous else own


class RemoteReach:
    """Opens sources by their URLs. What it is made from is read when it is first needed; safe from several threads.

    ``transport`` is that of the whole write or check, whose Ctrl-C then lets those go who wait here. ``fetched`` counts.
    """

    def __init__(
        self, source: SourceAccess, access: Access = BY_DEFAULT, transport: Transport | None = None, fetched: Fetched | None = None
    ) -> None:
        self._source, self._access = source, access
        self._transport = transport or Transport(source.timeout)
        self.fetched = fetched or Fetched()
        self._requests = Requests(self._transport, source.concurrency, source.hosts, self.fetched)
        self._lock = threading.RLock()
        self._token_host = ""
        self._files = ExitStack()

    def open(self, url: str) -> RemoteObject:
        """Ask for the beginning of what is at ``url``; a key is taken letter by letter. Raises BadRequest, SourceError, ProfileError."""
        check_url(url)
        target = self._in_bucket(*s3_key(url), url) if url.lower().startswith(S3) else self._on_web(url)
        return open_object(self._requests, target)

    def list(self, url: str) -> list[str]:
        """URLs of the keys that ``s3://bucket/pattern`` names, in order; the URL itself where it is no pattern. Raises as ``open``."""
        if not url.lower().startswith(S3):
            text = "a web server lists nothing: write the URLs into a text file, one a line, and name that as the source (files.txt)"
            raise BadRequest(f"source '{shown_url(url)}' is a pattern: {text}.", source=shown_url(url))
        pattern = key_pattern(url)
        if not has_pattern(pattern.pattern):
            return [url]
        target = self._in_bucket(pattern.bucket, pattern.pattern, url)
        if urlsplit(target.about.endpoint).path:
            ask = swift_pages(self._requests, target, pattern)
        else:
            ask = s3_pages(self._client, self._requests.lane(target), pattern, target.about, lambda: self.fetched.add(0, 0.0))
        keys = matching_keys(ask, pattern, target.about)
        return [f"{S3}{pattern.bucket}/{key}" for key in keys]

    def login(self, url: str) -> tuple[str, dict[str, str]]:
        """With whose credentials a place on the web is read, for messages, and their header; for clients of others. Raises as ``open``."""
        target = self._on_web(url)
        return target.login.who, target.login.headers(target.url, {})

    def close(self) -> None:
        """Close connections and files; the transport is its owner's."""
        self._requests.close()
        self._files.close()

    def abandon(self) -> None:
        """Let everybody who waits for a request go, with KeyboardInterrupt; no further one begins."""
        self._transport.abandon()

    @property
    def retries(self) -> int:
        """Requests that were sent again so far, with all others of the transport."""
        return self._transport.retries

    def _in_bucket(self, bucket: str, key: str, shown: str) -> Target:
        with self._lock:
            endpoint, login, verify = self._bucket_access
        about = About(shown, login, endpoint, bucket, key)
        return Target(f"{endpoint}/{bucket}/{quote(key, safe='/~')}", login, verify, about)

    @cached_property
    def _profile(self) -> Profile:
        """That with which buckets are read; for an anonymous client one without keys."""
        access = source_access(self._source, self._access)
        if not self._source.anonymous:
            return access.read()
        if not access.endpoint_url:
            raise BadRequest("source_anonymous is set, and no endpoint is known: set source_endpoint_url to that of the bucket's cloud.")
        endpoint = anonymous_endpoint(access.endpoint_url)
        return Profile("", endpoint, DEFAULT_REGION, "", "", access.ca_bundle)

    @cached_property
    def _bucket_access(self) -> tuple[str, Login, str | bool]:
        profile = self._profile
        login: Login = Anonymous(_NOT_PUBLIC) if self._source.anonymous else Signed(profile)
        return profile.endpoint_url, login, verification(profile)

    @cached_property
    def _client(self) -> Any:
        return s3_client(self._profile, attempts=1, anonymous=self._source.anonymous)

    def _on_web(self, url: str) -> Target:
        sent = sent_url(url)
        with self._lock:
            login = Anonymous("") if is_signed(url) else self._web_login(sent)
            verify = self._web_verification
        shown = shown_url(url)
        return Target(sent, login, verify, About(shown, login, signed=is_signed(url), ends=valid_until(url)))

    @cached_property
    def _token(self) -> Bearer | None:
        return Bearer(self._source.token_file) if self._source.token_file else None

    def _web_login(self, url: str) -> Login:
        login = web_login(url, self._token)
        if isinstance(login, Bearer):
            host = url.partition("://")[2].partition("/")[0]
            if self._token_host not in ("", host):
                text = f"source_token_file is for one server, and the sources are on '{self._token_host}' and '{host}'"
                raise SourceError(f"{text}: the token would be shown to both. Use ~/.netrc, or one run for each.", host=host)
            self._token_host = host
        return login

    @cached_property
    def _web_verification(self) -> str | bool:
        """What this host trusts, and besides the CA that is named."""
        ca_bundle = self._source.ca_bundle or self._access.ca_bundle
        if not ca_bundle:
            return True
        from botocore.httpsession import where

        with open(where(), encoding="utf-8") as usual:  # noqa: PTH123
            text = usual.read()
        return str(self._files.enter_context(in_memory(f"{text}\n{ca_file(ca_bundle).read_text(encoding='utf-8')}")))
