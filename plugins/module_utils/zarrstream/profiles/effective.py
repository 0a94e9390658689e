# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What botocore makes of a profile: it reads the files itself, up to the request that it would send, which stays here.

Nothing is asked of anybody: no process is started for keys, no role is taken on, no metadata service is called.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .profile import aws_session

if TYPE_CHECKING:
    from botocore.session import Session

FAILURE = "failure"  # stands for all settings where botocore comes to no request
# What decides where a request goes, and as whom; the other settings decide about its form.
_WHERE_AND_WHO = (FAILURE, "keys", "aws_access_key_id", "aws_secret_access_key", "aws_session_token", "endpoint_url", "region")
_AT_HAND = ("config-file", "shared-credentials-file", "env")  # botocore's words for keys that are just read
# Where keys may come from that botocore would have to ask for at once, and the setting that says so: named, and not asked.
_ASKED_OF_OTHERS = {"assume-role": "role_arn", "custom-process": "credential_process"}
_NO_METADATA = "AWS_EC2_METADATA_DISABLED"  # or the mode "auto" of defaults would ask for the region of this machine
_SECRETS = ("aws_secret_access_key", "aws_session_token")
_BUCKET, _KEY = "zarrstream", "key"


@dataclass(frozen=True)
class Effective:
    """How a client with a profile finds the server, signs and sends, by the names of settings. The values stay out of ``repr``."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)

    def differing(self, meant: Mapping[str, str]) -> dict[str, str]:
        """The settings that are not as ``meant``, and what they are, the secrets hidden; a failure stands for all."""
        if FAILURE in self.values:
            return {} if self.values == meant else dict(self.values)
        found = {name: value for name, value in self.values.items() if name in meant and meant[name] != value}
        return {name: "(hidden)" if value and name in _SECRETS else value for name, value in found.items()}


@dataclass(frozen=True)
class Rule:
    """A variable of the environment that AWS tools believe rather than the profile: what it makes of settings."""

    variable: str
    read_as: Mapping[str, str]

    @property
    def leads_elsewhere(self) -> bool:
        """Whether requests go to another place, or as somebody else; what differs is their form otherwise."""
        return not set(_WHERE_AND_WHO).isdisjoint(self.read_as)


def said(read_as: Mapping[str, str]) -> str:
    """Settings as botocore reads them, for people."""
    return ", ".join(f"{name}: {value or 'none'}" for name, value in read_as.items())


def look(profile: str | None, config: Path, credentials: Path, endpoint_url: str | None = None) -> Effective:
    """What botocore makes of these files, in the environment as it is; ``profile`` None leaves the choice to it.

    ``endpoint_url`` is what a program says itself, whatever the profile says.
    """
    from botocore.exceptions import BotoCoreError

    try:
        with _environment_with(_NO_METADATA, "true"):
            return Effective(_values(_session(profile, config, credentials), endpoint_url))
    except (BotoCoreError, ValueError) as error:
        return Effective({FAILURE: str(error).partition("\n")[0]})
    except Exception as error:  # noqa: BLE001 - values of a wrong kind end in whatever Python says
        return Effective({FAILURE: f"botocore fails ({type(error).__name__})"})


def sections(text: str) -> dict[str, Any]:
    """All sections of a configuration file, as botocore reads them. Raises botocore's ConfigParseError."""
    from botocore.configloader import raw_config_parse

    with in_memory(text) as path:
        return raw_config_parse(str(path))


def load_library() -> None:
    """Import and read all that ``look`` needs, for callers that will not be able to do so later. Raises ImportError."""
    keys = "aws_access_key_id = a\naws_secret_access_key = b\nregion = c\nendpoint_url = http://localhost\n"
    with in_memory(f"[default]\n{keys}") as path, environment_without(variables()):
        look("default", path, Path(os.devnull))


def meant_by(settings: Mapping[str, str]) -> dict[str, str]:
    """What ``look`` says where botocore takes the settings of a profile as they stand there, ``s3.addressing_style`` among them.

    Of the styles only ``path`` is asked for in every case: botocore has its own mind about buckets before an IP address.
    """
    style = settings.get("s3.addressing_style", "")
    return {
        "keys": "config-file",
        "aws_access_key_id": settings.get("aws_access_key_id", ""),
        "aws_secret_access_key": settings.get("aws_secret_access_key", ""),
        "aws_session_token": "",
        "endpoint_url": settings.get("endpoint_url", ""),
        "region": settings.get("region", ""),
        **({"s3.addressing_style": style} if style == "path" else {}),
        "request_checksum_calculation": settings.get("request_checksum_calculation", "when_supported"),
        "response_checksum_validation": settings.get("response_checksum_validation", "when_supported"),
        "ca_bundle": settings.get("ca_bundle", "") if settings.get("endpoint_url", "").startswith("https:") else "",
    }


def variables() -> set[str]:
    """The variables of this environment that botocore reads: those of its own tables, and whatever has the prefix of AWS."""
    from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES, DEFAULT_S3_CONFIG_VARS

    named = {"REQUESTS_CA_BUNDLE"}.union(*map(_names_in, (BOTOCORE_DEFAUT_SESSION_VARIABLES, DEFAULT_S3_CONFIG_VARS)))
    return {name for name in os.environ if name in named or name.startswith("AWS_")}


def _names_in(table: Mapping[str, Any], *settings: str) -> set[str]:
    """The variables of these settings, or of all, in a table of botocore's."""
    each = [table[setting][1] for setting in settings or table]
    return {name for names in each for name in ([names] if isinstance(names, str) else names or ())}


def ruling_variables() -> set[str]:
    """Of these, all but those that choose the files and the profile."""
    from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES

    return variables() - _names_in(BOTOCORE_DEFAUT_SESSION_VARIABLES, "profile", "config_file", "credentials_file")


def rules(profile: str | None, config: Path, credentials: Path, endpoint_url: str | None = None) -> list[Rule]:
    """The variables of this environment that make another request of a profile in these files than the files alone do.

    Those that choose the files and the profile are no such variables: they are what is asked for.
    """
    names = ruling_variables()

    def seen(kept: Collection[str]) -> Effective:
        with environment_without(names.difference(kept)):
            return look(profile, config, credentials, endpoint_url)

    if not names:
        return []
    every = seen(names)
    read_as = every.differing(seen(()).values)
    found = []
    for name in decisive(sorted(names), seen, first=True) if read_as else ():
        own = {setting: value for setting, value in every.differing(seen(names - {name}).values).items() if setting in read_as}
        found.append(Rule(name, own or read_as))
    return found


@contextmanager
def environment_without(names: Collection[str]) -> Iterator[None]:
    """Take these variables out of the environment of this process; not for programs with threads that read it."""
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


@contextmanager
def _environment_with(name: str, value: str) -> Iterator[None]:
    with environment_without([name]):
        os.environ[name] = value
        try:
            yield
        finally:
            del os.environ[name]


def decisive(names: Iterable[str], seen: Callable[[frozenset[str]], Effective], *, first: bool) -> list[str]:
    """Those of ``names`` that make a difference, where ``seen`` tells what botocore makes of some of them alone.

    ``first``: those alone that win where several are there; else also those that would win without the others.
    """
    names = list(names)
    every, none = seen(frozenset(names)), seen(frozenset())
    needed = [name for name in names if seen(frozenset(names) - {name}) != every]
    if needed and first:
        return needed
    return [name for name in names if name in needed or seen(frozenset({name})) != none]


@contextmanager
def in_memory(text: str) -> Iterator[Path]:
    """The path of a file without a name that holds the text: what is secret in it is on no disk, and gone with this process."""
    # macOS has no memfd_create; a file without a name is nearly as good.
    with os.fdopen(os.memfd_create("profile"), "w+b") if hasattr(os, "memfd_create") else tempfile.TemporaryFile() as file:
        file.write(text.encode("utf-8", "surrogateescape"))
        file.flush()
        file.seek(0)
        yield Path(f"/dev/fd/{file.fileno()}")


def _session(profile: str | None, config: Path, credentials: Path) -> Session:
    from botocore.credentials import CredentialProvider, Credentials
    from botocore.session import Session

    session = aws_session(Session(profile=profile), str(config), str(credentials))
    session.register_component("data_loader", loader())
    resolver: Any = session.get_component("credential_provider")

    class Named(CredentialProvider):  # type: ignore[misc]
        def __init__(self, method: str) -> None:
            super().__init__(session)
            self.METHOD = f"{method} "  # the blank tells it from the one whose place it takes

        def load(self) -> Credentials | None:
            method, settings = self.METHOD.strip(), session.get_scoped_config()
            wanted = _ASKED_OF_OTHERS[method] in settings and "web_identity_token_file" not in settings  # which is asked first
            return Credentials(method, method, method=method) if wanted else None

    for method in _ASKED_OF_OTHERS:
        resolver.insert_before(method, Named(method))
        resolver.remove(method)
    return session


@cache
def loader() -> Any:
    """The descriptions of services, once for all sessions: to read that of S3 costs five times what the rest of a client does."""
    from botocore.loaders import create_loader

    return create_loader()


def _values(session: Session, endpoint_url: str | None) -> dict[str, str]:
    credentials = session.get_credentials()
    if credentials is None:
        return {FAILURE: "there are no keys"}
    if credentials.method not in _AT_HAND:
        return {"keys": credentials.method}
    frozen = credentials.get_frozen_credentials()
    client = session.create_client("s3", endpoint_url=endpoint_url)
    url, headers = _request(client)
    place = urlsplit(url)
    virtual = place.netloc.startswith(f"{_BUCKET}.")
    config = client.meta.config
    return {
        "keys": credentials.method,
        "aws_access_key_id": frozen.access_key,
        "aws_secret_access_key": frozen.secret_key,
        "aws_session_token": frozen.token or "",
        "endpoint_url": f"{place.scheme}://{place.netloc.removeprefix(f'{_BUCKET}.')}",
        "region": headers["Authorization"].partition("/s3/")[0].rpartition("/")[2],
        "s3.addressing_style": "virtual" if virtual else "path",
        "request_checksum_calculation": config.request_checksum_calculation,
        "response_checksum_validation": config.response_checksum_validation,
        "ca_bundle": (session.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE", ""))
        if place.scheme == "https"
        else "",
        "retries": " ".join(map(str, config.retries.values())),
    }


class _Nothing:
    def stream(self, **_: Any) -> Iterator[bytes]:
        return iter(())


def _request(client: Any) -> tuple[str, dict[str, str]]:
    """The URL and the headers of the request that the client would send."""
    from botocore.awsrequest import AWSResponse

    sent = []

    def answer(request: Any, **_: Any) -> AWSResponse:
        sent.append(request)
        return AWSResponse(request.url, 200, {}, _Nothing())

    client.meta.events.register_first("before-send.s3", answer)
    client.head_object(Bucket=_BUCKET, Key=_KEY)
    headers = {name: value.decode() if isinstance(value, bytes) else str(value) for name, value in sent[0].headers.items()}
    return sent[0].url, headers
