# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The change of one profile in the text of an AWS configuration file: pure, text in and text out.

configparser reads, exactly as botocore does; ConfigUpdater edits, since it keeps comments and order. Everything
outside the profile's own section is handed back as it came, byte for byte.
"""

from __future__ import annotations

import configparser
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .errors import BadRequest, ProfileError
from .secret import fingerprint

if TYPE_CHECKING:
    from configupdater import ConfigUpdater, Option, Section

_NAME = re.compile(r"^[\w.@:+/-]+$")
_UNSTORABLE = re.compile(r"[\x00-\x1f\x7f]|^\s|\s$")
_ADDRESSING = "addressing_style"
# In the order in which a new profile is written.
MANAGED = (
    "aws_access_key_id",
    "aws_secret_access_key",
    "region",
    "endpoint_url",
    "request_checksum_calculation",
    "response_checksum_validation",
    "ca_bundle",
    "s3",
)
NEW = "(new)"  # stands for a key that is still to be made, in the diff of check mode
_SECRET = "aws_secret_access_key"  # noqa: S105 - the name of a setting
_SESSION_TOKEN = "aws_session_token"  # noqa: S105 - belongs to a pair that is replaced
# What botocore asks before it looks at the keys and the endpoint in the same section.
OVERRULING = ("role_arn", "web_identity_token_file", "sso_session", "sso_account_id", "login_session", "credential_process", "services")


@dataclass(frozen=True)
class ProfileSettings:
    """What a profile must say so that s3fs and boto3 need nothing beside it. The secret stays out of ``repr``."""

    name: str
    access_key: str
    secret_key: str = field(repr=False)
    endpoint_url: str
    region: str = "RegionOne"
    addressing_style: str = "path"
    ca_bundle: str | None = None

    def values(self) -> dict[str, str | None]:
        """The managed settings but ``s3``; None for one that must not be there.

        The checksums of newer botocore are refused, or stored as part of the object, by the object stores of OpenStack clouds.
        """
        return {
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
            "region": self.region,
            "endpoint_url": self.endpoint_url,
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
            "ca_bundle": self.ca_bundle,
            _SESSION_TOKEN: None,
        }


def load_library() -> None:
    """Import what edits, for callers that will not be able to do so later. Raises ImportError."""
    import configupdater  # noqa: F401


def plan(wanted: ProfileSettings, found_text: str) -> str:
    """The text of the file once the profile says what is wanted; ``found_text`` itself where it already does.

    Raises ProfileError for a file that botocore could not read, BadRequest for a value that such a file cannot hold.
    """
    _check(wanted)
    section = section_name(wanted.name, found_text)
    if section is None:
        new_text = _append(wanted, found_text)
    elif _says(wanted, read_values(wanted.name, found_text)):
        return found_text
    else:
        new_text = _edit(wanted, section, found_text)
    if not _says(wanted, read_values(wanted.name, new_text)) or _others(wanted.name, new_text) != _others(wanted.name, found_text):
        raise ProfileError(
            f"profile '{wanted.name}' cannot be written so that AWS tools read it back. "
            "Mend its section by hand, or remove the section and run this again.",
            profile=wanted.name,
        )
    return new_text


def plan_removal(name: str, found_text: str) -> str:
    """The text without the managed settings of the profile; its section goes too, unless it holds others of the user's."""
    section = section_name(name, found_text)
    if section is None:
        return found_text
    updater = _updater(found_text)
    before, text, after = _around(updater, section)
    ours = updater[section]
    managed = [option for option in ours.option_blocks() if option.key.lower() in (*MANAGED, _SESSION_TOKEN)]
    if len(managed) == len(ours.option_blocks()):
        return before + after
    for option in managed:
        option.detach()
    return before + _with_newlines(str(ours), text) + after


def section_name(name: str, text: str) -> str | None:
    """The header under which botocore finds the profile: the last one that fits; None where there is none."""
    found = None
    for section in _parsed(text).sections():
        if (section == name == "default") or (section.startswith("profile") and _words(section)[1:] == [name]):
            found = section
    return found


def read_values(name: str, text: str) -> dict[str, str]:
    """The settings of the profile as botocore reads them; a nested block starts with a newline."""
    section = section_name(name, text)
    return dict(_parsed(text).items(section)) if section else {}


def masked(name: str, text: str) -> str:
    """The managed settings of the profile, for people: of the secret only the fingerprint."""
    values = read_values(name, text)
    section = section_name(name, text)
    if section is None:
        return ""
    lines = [f"[{section}]"]
    for key in MANAGED:
        if key not in values:
            continue
        value = values[key].replace("\n", "\n    ")  # of a nested block
        if key == _SECRET:
            value = "(hidden)" if value == NEW else f"(hidden, fingerprint {fingerprint(values.get('aws_access_key_id', ''), value)})"
        lines.append(f"{key} ={value}" if value.startswith("\n") else f"{key} = {value}")
    return "\n".join(lines) + "\n"


def is_credentials_section(name: str, text: str) -> bool:
    """Whether a credentials file, whose headers are bare names, says anything about the profile that we manage."""
    parser = _parsed(text)
    return any(set(parser.options(section)) & set(MANAGED) for section in (name, f"profile {name}") if parser.has_section(section))


def profiles_with(access_key: str, text: str) -> list[str]:
    """The headers of all sections that hold this access key, of a configuration or a credentials file."""
    parser = _parsed(text)
    return [section for section in parser.sections() if parser.get(section, "aws_access_key_id", fallback=None) == access_key]


def nested(value: str) -> dict[str, str]:
    """The settings of a nested block such as ``s3``."""
    pairs = (line.partition("=") for line in value.splitlines() if "=" in line)
    return {key.strip(): inner.strip() for key, _unused, inner in pairs}


def _check(wanted: ProfileSettings) -> None:
    check_name(wanted.name)
    named = {**wanted.values(), "addressing_style": wanted.addressing_style}
    for key, value in named.items():
        if value is not None and (not value or _UNSTORABLE.search(value)):
            shown = "" if key == _SECRET else f" '{value}'"
            raise BadRequest(f"the value{shown} of {key} for profile '{wanted.name}' is empty or holds blanks or line breaks at its ends.")


def check_name(name: str) -> None:
    """Raises BadRequest for a name that AWS tools would not find again."""
    if not _NAME.match(name):
        raise BadRequest(f"profile is '{name}': a name is made of letters, digits and . _ - @ : + /.", profile=name)


def _says(wanted: ProfileSettings, values: Mapping[str, str]) -> bool:
    same = all(values.get(key) == value for key, value in wanted.values().items())
    return same and nested(values.get("s3", "")).get(_ADDRESSING) == wanted.addressing_style


def _others(name: str, text: str) -> dict[str, str]:
    return {key: value for key, value in read_values(name, text).items() if key not in (*MANAGED, _SESSION_TOKEN)}


def _append(wanted: ProfileSettings, text: str) -> str:
    header = "[default]" if wanted.name == "default" else f"[profile {wanted.name}]"
    lines = [header, *(f"{key} = {value}" for key, value in wanted.values().items() if value is not None)]
    lines += ["s3 =", f"    {_ADDRESSING} = {wanted.addressing_style}"]
    newline = _newline(text)
    last = newline if text and not text.endswith("\n") else ""
    return text + last + newline.join(lines) + newline  # no blank line: removal would not know whose it is


def _edit(wanted: ProfileSettings, section: str, text: str) -> str:
    updater = _updater(text)
    before, old, after = _around(updater, section)
    ours = updater[section]
    for key, value in sorted(wanted.values().items(), key=lambda item: item[1] is not None):  # removals first
        _set(ours, key, value)
    _set_addressing(ours, wanted.addressing_style)
    return before + _with_newlines(str(ours), old) + after


def _option(section: Section, key: str) -> Option | None:
    """The option whatever the case of its name: configparser ignores it, ConfigUpdater keeps it."""
    return next((option for option in section.option_blocks() if option.key.lower() == key), None)


def _set(section: Section, key: str, value: str | None) -> None:
    option = _option(section, key)
    if option is None:
        if value is not None:
            _insert(section, key, value)
    elif value is None:
        option.detach()
    elif option.value != value:
        option.value = value


def _insert(section: Section, key: str, value: str | None = None) -> Option:
    """A new option behind the last one: the comments and blank lines at the end belong to what follows."""
    blocks = list(section.option_blocks())
    if blocks:
        blocks[-1].add_after.option(key, value)
    else:
        section.insert_at(0).option(key, value)
    return section[key]


def _set_addressing(section: Section, style: str) -> None:
    option = _option(section, "s3")
    if option is None:
        option = _insert(section, "s3", "")
    lines = [line for line in option.as_list() if line] if (option.value or "").startswith("\n") else []
    kept = [line for line in lines if line.partition("=")[0].strip() != _ADDRESSING]
    if kept == lines or nested("\n".join(lines)).get(_ADDRESSING) != style:
        option.set_values([*kept, f"{_ADDRESSING} = {style}"])


def _updater(text: str) -> ConfigUpdater:
    from configupdater import ConfigUpdater

    updater = ConfigUpdater()
    with _faults_named():
        return updater.read_string(text)


def _around(updater: ConfigUpdater, section: str) -> tuple[str, str, str]:
    """The text before the section, of it, and after it."""
    blocks = list(updater.iter_blocks())
    place = next(number for number, block in enumerate(blocks) if block is updater[section])
    texts = [str(block) for block in blocks]
    return "".join(texts[:place]), texts[place], "".join(texts[place + 1 :])


def _newline(text: str) -> str:
    first, found, _unused = text.partition("\n")
    return "\r\n" if found and first.endswith("\r") else "\n"


def _with_newlines(new: str, old: str) -> str:
    return re.sub(r"(?<!\r)\n", "\r\n", new) if _newline(old) == "\r\n" else new


def _words(section: str) -> list[str]:
    try:
        return shlex.split(section)
    except ValueError:
        return []


def _parsed(text: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser()
    with _faults_named():
        parser.read_string(text)
    return parser


@contextmanager
def _faults_named() -> Iterator[None]:
    try:
        yield
    except configparser.Error as error:
        raise ProfileError(f"it is not in INI form: {_fault(error)}. Mend the file; it was left as it is.") from None


def _fault(error: configparser.Error) -> str:
    """Where the fault lies. configparser's own message quotes the line, which may hold a secret."""
    if isinstance(error, configparser.DuplicateSectionError):
        return f"line {error.lineno}: the section [{error.section}] is there twice"
    if isinstance(error, configparser.DuplicateOptionError):
        return f"line {error.lineno}: '{error.option}' is twice in [{error.section}]"
    if isinstance(error, configparser.MissingSectionHeaderError):
        return f"line {error.lineno} stands before the first section"
    if isinstance(error, configparser.ParsingError):
        return "line " + ", ".join(str(line) for line, _unused in error.errors) + " is neither a section nor 'name = value'"
    return type(error).__name__
