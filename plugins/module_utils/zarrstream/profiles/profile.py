# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""AWS profiles as botocore reads them: keys, region, endpoint and certificate authority under one name."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ProfileError
from . import profile_text
from .endpoint import s3_endpoint

if TYPE_CHECKING:
    from botocore.session import Session

DEFAULT_REGION = "RegionOne"  # what OpenStack calls the region of a cloud that has one


@dataclass(frozen=True)
class Profile:
    """One profile, complete enough to sign a request. The keys stay out of ``repr``, and so out of any log."""

    name: str
    endpoint_url: str
    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    ca_bundle: str | None = None

    @property
    def label(self) -> str:
        """How errors name the pair: the profile and the end of the access key."""
        return f"profile '{self.name}' (access key …{self.access_key[-4:]})"


def config_path(config_file: str | None) -> Path:
    """The configuration file that AWS tools would read: the option, ``AWS_CONFIG_FILE``, or ``~/.aws/config``."""
    return Path(config_file).expanduser() if config_file else _path_of("AWS_CONFIG_FILE", "~/.aws/config")


def credentials_path(config_file: str | None) -> Path:
    """The file that overrules the configuration file.

    ``AWS_SHARED_CREDENTIALS_FILE``, else ``credentials`` beside the file of the option, else ``~/.aws/credentials``.
    """
    if os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or not config_file:
        return _path_of("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
    return config_path(config_file).parent / "credentials"


def _path_of(variable: str, default: str) -> Path:
    """The file that the variable names, read as botocore reads it. Raises ProfileError where it names another that is not set."""
    value = os.environ.get(variable) or default
    path = os.path.expanduser(os.path.expandvars(value))  # noqa: PTH111 - as botocore does, pathlib knows no variables
    missing = re.search(r"\$\w+|\$\{[^}]*\}", path)
    if missing:
        raise ProfileError(f"{variable} is '{value}', and {missing.group()} is not set here. Set it, or write the whole path.")
    return Path(path)


def aws_session(session: Session, config_file: str | None, credentials_file: str | None = None) -> Session:
    """Bind a botocore session to these files, without a question to a metadata service.

    OpenStack's answers at the same address as Amazon's: a profile without keys would cost seconds there.
    """
    session.set_config_variable("config_file", str(config_path(config_file)))
    session.set_config_variable("credentials_file", credentials_file or str(credentials_path(config_file)))
    resolver: Any = session.get_component("credential_provider")
    for remote in ("container-role", "iam-role"):
        resolver.remove(remote)
    return session


def read_profile(name: str | None, config_file: str | None = None, endpoint_url: str | None = None) -> Profile:
    """The profile ``name``; ``endpoint_url`` overrules the profile's own.

    Raises ProfileError where the profile, a key or an endpoint is missing: without an endpoint, AWS tools would
    silently turn to Amazon with the keys of another cloud.
    """
    from botocore.exceptions import BotoCoreError, ConfigParseError, ProfileNotFound
    from botocore.session import Session

    path = config_path(config_file)
    named = Session().get_config_variable("profile")  # by the environment
    wanted = name or named or "default"
    by = "" if name or not named else f", as {'AWS_DEFAULT_PROFILE' if 'AWS_DEFAULT_PROFILE' in os.environ else 'AWS_PROFILE'} says,"
    try:
        session = aws_session(Session(profile=wanted), config_file)
        scoped = session.get_scoped_config()
        credentials = session.get_credentials()
        frozen = credentials and credentials.get_frozen_credentials()
    except ProfileNotFound:
        raise ProfileError(
            f"profile '{wanted}'{by} is not in {path} ({_known_profiles(path)}). "
            "Set 'profile' to one that is there, or make it with aws_profile.",
            profile=wanted,
            config_file=str(path),
        ) from None
    except ConfigParseError:
        raise _unreadable(path, credentials_path(config_file)) from None
    except (BotoCoreError, OSError, ValueError) as error:
        raise ProfileError(
            f"{path}: {error}. Correct or remove the setting of profile '{wanted}', or name another file with 'config_file'.",
            config_file=str(path),
        ) from None
    if frozen is None:
        raise ProfileError(
            f"profile '{wanted}' in {path} has no keys: run the role ec2_credentials, "
            "or set aws_access_key_id and aws_secret_access_key there.",
            profile=wanted,
            config_file=str(path),
        )
    endpoint = endpoint_url or _profile_endpoint(scoped, session.full_config)
    if not endpoint:
        raise ProfileError(
            f"profile '{wanted}' in {path} has no endpoint_url, and none was given: AWS tools would turn to Amazon. Set 'endpoint_url'.",
            profile=wanted,
            config_file=str(path),
        )
    return Profile(
        name=wanted,
        endpoint_url=s3_endpoint(endpoint, "endpoint_url" if endpoint_url else f"endpoint_url of profile '{wanted}' in {path}"),
        region=scoped.get("region") or DEFAULT_REGION,
        access_key=frozen.access_key,
        secret_key=frozen.secret_key,
        ca_bundle=scoped.get("ca_bundle"),
    )


def ca_file(ca_bundle: str) -> Path:
    """The file of a certificate authority; raises ProfileError for one that is not there or is none.

    Said here, because each client library says it in a way of its own, and some only by a failed handshake.
    """
    path = Path(ca_bundle).expanduser()
    try:
        certificates = path.read_bytes().count(b"-----BEGIN CERTIFICATE-----")
    except OSError as error:
        why = f"it cannot be read ({error.strerror})"
    else:
        why = "" if certificates else "it holds no certificate in PEM form"
    if why:
        text = f"ca_bundle is '{ca_bundle}': {why}. Name the file with the CA of the cloud, or leave it out where this host knows that CA."
        raise ProfileError(text, ca_bundle=ca_bundle)
    return path


def _profile_endpoint(scoped: dict, full: dict) -> str | None:
    services = full.get("services", {}).get(scoped.get("services", ""), {})
    return services.get("s3", {}).get("endpoint_url") or scoped.get("endpoint_url")


def _known_profiles(path: Path) -> str:
    from botocore.configloader import multi_file_load_config

    if not path.exists():
        return "there is no such file"
    found = multi_file_load_config(str(path))["profiles"]
    names = f"it has: {', '.join(found)}" if found else "it has none"
    if "default" not in found and re.search(r"^\[DEFAULT\]", path.read_text(encoding="utf-8"), re.MULTILINE):
        return f"{names}; [DEFAULT] in capitals is no profile, write [default]"
    return names


def _unreadable(*paths: Path) -> ProfileError:
    """Which of the files botocore cannot read, and where the fault lies."""
    for path in paths:
        try:
            profile_text.read_values("default", path.read_bytes().decode("utf-8", "surrogateescape"))
        except ProfileError as error:
            return ProfileError(f"Unable to parse {path}: {error}", config_file=str(path))
        except OSError:
            continue
    return ProfileError(f"Unable to parse {' or '.join(map(str, paths))}. Correct the file, or name another with 'config_file'.")
