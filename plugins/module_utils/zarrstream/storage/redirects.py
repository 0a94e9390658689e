# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a server sends requests on to. The library of the transport follows, or fails without saying so: one question tells."""

from __future__ import annotations

import re
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

PATIENCE = 3.0  # seconds for the question
CODES = frozenset({301, 302, 303, 307, 308})
_ENDPOINT = re.compile(rb"<Endpoint>\s*([^<\s]+)\s*</Endpoint>")
_SIGNS = ("Received redirect without LOCATION", "error following redirect", "TooManyRedirects")


@dataclass(frozen=True)
class Redirect:
    """An answer that sends on: its status, and the place that it names ('' for none)."""

    status: int
    target: str

    def explain(self, endpoint: str) -> str:
        """What it means, and what to do."""
        where = f"to '{self.target}'" if self.target else "elsewhere, and does not say where"
        text = f"the server at {endpoint} answers {self.status} and sends on {where}, which is not followed: keys go to no other server"
        url = urlsplit(self.target)
        other = f"{url.scheme}://{url.netloc}" if url.netloc else ""
        if other and other != endpoint.rstrip("/"):
            hint = f"If that is the cloud's S3, set endpoint_url (in the profile) to {other}. Else a login page or a proxy is in between"
            return f"{text}. {hint}: log in, or ask whoever runs the network."
        return (
            f"{text}. Look at endpoint_url and region (in the profile) and the bucket's name: the bucket is at another endpoint or region."
        )


def is_redirect(status: int, said: str) -> bool:
    """Whether what a library said about a failure is that of a redirect."""
    return status in CODES or any(sign in said for sign in _SIGNS)


def find_redirect(endpoint: str, bucket: str, key: str, ca_bundle: str | None) -> Redirect | None:
    """Ask without keys for an object and its bucket; None where neither is sent on, or nobody answers."""
    for path in dict.fromkeys((f"{bucket}/{key}", bucket)):
        try:
            with _opener(ca_bundle).open(f"{endpoint.rstrip('/')}/{quote(path)}", timeout=PATIENCE) as answer:
                answer.read(1)
        except urllib.error.HTTPError as error:
            with error:
                if error.code in CODES:
                    return Redirect(error.code, _target(error))
        except (OSError, HTTPException, ValueError):
            return None
    return None


def _target(error: urllib.error.HTTPError) -> str:
    location = error.headers.get("Location", "")
    if location:
        return location.partition("?")[0]  # what follows may hold a token
    named = _ENDPOINT.search(error.read(4096))
    return f"https://{named.group(1).decode(errors='replace')}" if named else ""


def _opener(ca_bundle: str | None) -> urllib.request.OpenerDirector:
    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_arguments: Any, **_named: Any) -> None:
            return None

    context = ssl.create_default_context(cafile=str(Path(ca_bundle).expanduser()) if ca_bundle else None)
    return urllib.request.build_opener(Stay, urllib.request.HTTPSHandler(context=context))
