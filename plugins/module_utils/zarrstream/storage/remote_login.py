# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who asks a server for a source: nobody, the keys of a profile, a bearer token from a file, or an entry of ~/.netrc.

No secret is in a ``repr`` or a message: ``who`` says what is used, ``remedy`` what to do where the server refuses that.
"""

from __future__ import annotations

import os
import stat
import threading
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from ..errors import BadRequest, SourceError
from ..profiles.profile import Profile
from .remote_urls import is_loopback

LONGEST_TOKEN = 2**16  # bytes of the file


class Login(Protocol):
    """What is added to a request. Only to the server that the user named: never to where that one leads."""

    @property
    def who(self) -> str:
        """With whose credentials, for messages."""

    @property
    def remedy(self) -> str:
        """What to do where the server refuses them; a sentence."""

    def headers(self, url: str, headers: dict[str, str]) -> dict[str, str]:
        """The headers of a GET to this URL, with the credentials."""


@dataclass(frozen=True)
class Anonymous:
    """No credentials. ``remedy`` is for where the server wants some."""

    remedy: str
    who: str = "no credentials"

    def headers(self, url: str, headers: dict[str, str]) -> dict[str, str]:  # noqa: ARG002 - as Login has it
        """The same headers."""
        return headers


@dataclass(frozen=True)
class Signed:
    """Signature V4 with the keys of a profile."""

    profile: Profile
    remedy: str = "The key has no right to read it. Where it is public, set source_anonymous; else name a profile by source_profile."

    @property
    def who(self) -> str:
        """The profile, and the end of its access key."""
        return self.profile.label

    def headers(self, url: str, headers: dict[str, str]) -> dict[str, str]:
        """With a signature of this moment."""
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        request = AWSRequest("GET", url, headers)
        S3SigV4Auth(Credentials(self.profile.access_key, self.profile.secret_key), "s3", self.profile.region).add_auth(request)
        return dict(request.headers.items())


@dataclass(frozen=True)
class Basic:
    """User and password of an entry of ~/.netrc."""

    file: str
    host: str
    _value: str = field(repr=False)

    @property
    def who(self) -> str:
        """The file and the entry."""
        return f"the entry '{self.host}' of {self.file}"

    @property
    def remedy(self) -> str:
        """Where to look."""
        return f"Look at user and password of the entry '{self.host}' in {self.file}."

    def headers(self, url: str, headers: dict[str, str]) -> dict[str, str]:  # noqa: ARG002 - as Login has it
        """With the header of basic authentication."""
        return {**headers, "Authorization": self._value}


class Bearer:
    """A token from a file, which is read again when it has changed: tokens are short-lived, and others renew them."""

    def __init__(self, file: str) -> None:
        self.file = Path(file).expanduser()
        self._read: tuple[Any, str] = (None, "")
        self._lock = threading.Lock()
        self.headers("", {})

    @property
    def who(self) -> str:
        """The file."""
        return f"the token in {self.file}"

    @property
    def remedy(self) -> str:
        """What to do with it."""
        return f"Renew the token in {self.file} (source_token_file), or check that it is for this server."

    def headers(self, url: str, headers: dict[str, str]) -> dict[str, str]:  # noqa: ARG002 - as Login has it
        """With the token. Raises SourceError where it cannot be read, or others can read it."""
        with self._lock:
            try:
                state = self.file.stat()
                seen = (state.st_mtime_ns, state.st_ino, state.st_size, state.st_mode)
                if seen != self._read[0]:
                    self._read = (seen, self._token(state))
            except (OSError, UnicodeError) as error:
                why = error.strerror if isinstance(error, OSError) else "it is no text"
                raise self._refused(f"it cannot be read ({why})") from None
            return {**headers, "Authorization": f"Bearer {self._read[1]}"}

    def _token(self, state: os.stat_result) -> str:
        if not stat.S_ISREG(state.st_mode):
            raise self._refused("it is no file")
        if state.st_mode & 0o077:
            raise self._refused(f"others may read it (mode {stat.S_IMODE(state.st_mode):04o}). chmod 600 it")
        with self.file.open("rb") as file:
            token = file.read(LONGEST_TOKEN).decode("ascii").strip()
        if not token or not token.isprintable() or " " in token:
            raise self._refused("it does not hold one token on one line, and nothing else")
        return token

    def _refused(self, why: str) -> SourceError:
        return SourceError(f"source_token_file is '{self.file}': {why}.", source_token_file=str(self.file))


def web_login(url: str, token: Bearer | None) -> Login:
    """For a URL of the web: the token where there is one, else what ~/.netrc has for its host. Raises BadRequest, SourceError."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    private = parts.scheme == "https" or is_loopback(host)
    if token:
        if not private:
            raise BadRequest(
                f"source_token_file is set, and a token is not sent over http, where others can read it: write https://{host}…."
            )
        return token
    file, value = _netrc_entry(host)
    if value and private:
        return Basic(file, host, value)
    if value:
        return Anonymous(f"{file} has an entry for it, which is not sent over http, where others can read it: write https://.")
    return Anonymous(
        f"If it is not public, write an entry for '{host}' into ~/.netrc, or set source_token_file to a file with a bearer token."
    )


def _netrc_entry(host: str) -> tuple[str, str]:
    """The file, and the header for the host, '' for none. Its entry ``default`` is for no host: it would be sent to all of them."""
    from netrc import NetrcParseError, netrc

    file = Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
    try:
        found = netrc(str(file)).hosts.get(host)
    except FileNotFoundError:
        return str(file), ""
    except NetrcParseError as error:
        raise SourceError(f"{file} cannot be understood in line {error.lineno}. Correct it.", file=str(file)) from None
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SourceError(f"{file} cannot be read: {why}. Set its mode, or NETRC to another file.", file=str(file)) from None
    if not found:
        return str(file), ""
    user, _account, password = found
    return str(file), f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"
