# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a failed request for a source means, and what to do about it. No message has a query or a secret in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ..errors import SourceError, Unreachable
from .boto import both_clocks, server_clock
from .obstore_errors import Answer, read_answer
from .remote_http import Refused
from .remote_login import Login
from .retry import GaveUp
from .s3_errors import S3Failure, s3_error, speaks_plain_http

_REFUSALS = frozenset({401, 403, 407})
GONE = frozenset({400, 401, 403, 404, 410})  # what a place says to which a redirect led, when that is over


class SourceChanged(SourceError):
    """A source became another one while it was being read: nothing of it is used."""


class SourceUnreachable(SourceError, Unreachable):
    """The server of a source served nobody for as long as it was asked."""


@dataclass(frozen=True)
class About:
    """What is asked for, for messages: ``shown`` is the URL without its query, ``endpoint`` that of a bucket, '' on the web.

    ``part`` names the bytes, ``ends`` is when a signed URL does, if it is ``signed`` and says so.
    """

    shown: str
    login: Login
    endpoint: str = ""
    bucket: str = ""
    key: str = ""
    part: str = ""
    signed: bool = False
    ends: datetime | None = None

    def of(self, part: str) -> About:
        """The same about some of its bytes."""
        return replace(self, part=part)

    @property
    def what(self) -> str:
        """The bytes and the URL."""
        return f"{self.part} of source '{self.shown}'" if self.part else f"source '{self.shown}'"

    def error(self, text: str, **details: Any) -> SourceError:
        """A sentence about it as an error."""
        return SourceError(f"cannot read {self.what}: {text}", source=self.shown, **details)

    def changed(self, text: str) -> SourceChanged:
        """As ``error``, where it is another object than it was."""
        said = f"{text}. Nothing of it was used: run again once it stays as it is; what was written of other files is kept"
        return SourceChanged(
            f"source '{self.shown}' changed while it was being read ({self.part or 'its beginning'}): {said}.", source=self.shown
        )


def bytes_of(start: int, stop: int) -> str:
    """A range for people; the last one is part of it, as in HTTP."""
    return f"bytes {start}-{stop - 1}"


def explain(error: Exception, about: About, timeout: float) -> SourceError:
    """The error for the user. ``timeout`` is the time of a request with all repetitions, in seconds."""
    gave_up = error if isinstance(error, GaveUp) else None
    cause = gave_up.cause if gave_up else error
    answer, tried = read_answer(cause), gave_up.tried if gave_up else ""
    refused = cause if isinstance(cause, Refused) else None
    details: dict[str, Any] = {"source": about.shown, "status": answer.status, "code": answer.code}
    special = _of_s3(answer, refused, about, tried) if about.endpoint and answer.status else ""
    text = f"{about.what}: {special}" if special else f"cannot read {about.what}: {_said(answer, refused, about, tried, timeout)}"
    kind = SourceUnreachable if gave_up and gave_up.dead else SourceError
    return kind(text, **details)


def _said(answer: Answer, refused: Refused | None, about: About, tried: str, timeout: float) -> str:
    if not answer.status:
        return f"{answer.reason.rstrip('.')}{tried}. {_reach_hint(answer.reason, about)}"
    said = " ".join(filter(None, (str(answer.status), answer.code or answer.reason)))
    if answer.wait > 0 and answer.passing:
        return f"{said}{tried}: its server asks for a pause of {answer.wait:.0f} s (Retry-After), timeout is {timeout:.0f} s. {_BUSY}"
    if answer.status in (404, 410):
        return f"it is not there ({said}, with {about.login.who}). Look at the URL: capital letters count, and folders cannot be read."
    if answer.status in _REFUSALS or (answer.status == 400 and about.signed):
        return f"{said} with {_who(about)}: {_refusal_hint(answer, refused, about)}"
    if answer.passing:
        return f"{said}{tried}. {_BUSY if answer.overloaded else 'Try again.'}"
    return f"{said}{tried}. Try again; if it stays, ask whoever runs the server."


_BUSY = "Try again later; a lower source_concurrency or a larger timeout may help."


def _who(about: About) -> str:
    return "the signature in its URL" if about.signed else about.login.who


def _refusal_hint(answer: Answer, refused: Refused | None, about: About) -> str:
    if answer.status == 407:
        return "the proxy that the environment names wants credentials. Set them there (HTTPS_PROXY), or ask whoever runs the network."
    expired = refused is not None and refused.expired
    if about.signed:
        if about.ends and about.ends < datetime.now(UTC):
            return f"that ended at {about.ends:%Y-%m-%d %H:%M:%S} UTC. Get a new URL."
        return (
            "it has expired. Get a new URL."
            if expired
            else "the URL is not complete, was changed, or is for another method. Get a new one."
        )
    return f"{'It has expired. ' if expired else ''}{about.login.remedy}"


def _of_s3(answer: Answer, refused: Refused | None, about: About, tried: str) -> str:
    """What S3's own codes mean, in the words of the table for all clients; '' where what is said of the web fits."""
    plain = answer.status in (403, 401) and answer.code in ("AccessDenied", "")
    if plain or answer.code in ("NoSuchKey", "", "ExpiredToken") or answer.passing:
        return ""
    if answer.code == "NoSuchBucket":
        hint = "Name the profile of the project that has it by source_profile, or correct the name"
        return f"bucket '{about.bucket}' is not at {about.endpoint} ({about.login.who}). {hint}."
    clock = server_clock(refused.headers) if refused else None
    evidence = f"the server expects '{refused.region}'" if refused and refused.region else ""
    if answer.code == "RequestTimeTooSkewed" and clock:
        evidence = both_clocks(clock)
    failure = S3Failure(
        answer.code, answer.status, answer.reason, "read", about.endpoint, about.bucket, about.key, about.login.who, evidence, tried
    )
    return str(s3_error(failure))


def _reach_hint(reason: str, about: About) -> str:
    if speaks_plain_http(reason):
        return "The port speaks plain HTTP: write http://, or the port that speaks TLS."
    if "certificate" in reason or "TLS" in reason:
        return "Set source_ca_bundle to the file of the CA that signed it."
    if "proxy" in reason:
        return "Look at HTTP_PROXY, HTTPS_PROXY and NO_PROXY."
    place = about.endpoint or about.shown.partition("://")[2].partition("/")[0]
    return f"Is {place} right, its service up, and nothing (firewall, proxy) in between?"
