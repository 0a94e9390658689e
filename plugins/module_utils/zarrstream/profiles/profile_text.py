# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The settings of one profile, as the text of an AWS configuration file has them: pure, and read by configparser, exactly as botocore does.

Whether botocore agrees, ``effective`` asks it.
"""

from __future__ import annotations

import configparser
import io
import re
import shlex
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..errors import BadRequest, ProfileError
from .secret import fingerprint

_NAME = re.compile(r"^[\w.@:+/-]+$")
ADDRESSING = "addressing_style"
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
SECRET = "aws_secret_access_key"  # noqa: S105 - the name of a setting
SESSION_TOKENS = ("aws_session_token", "aws_security_token")  # two names of what belongs to a pair that is replaced


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
            **dict.fromkeys(SESSION_TOKENS),
        }


def section_name(name: str, text: str) -> str | None:
    """The header under which botocore finds the profile: the last one that fits; None where there is none."""
    found = None
    for section in parsed(text).sections():
        if (section == name == "default") or (section.startswith("profile") and _words(section)[1:] == [name]):
            found = section
    return found


def read_values(name: str, text: str) -> dict[str, str]:
    """The settings of the profile as botocore reads them; a nested block starts with a newline."""
    section = section_name(name, text)
    return dict(parsed(text).items(section)) if section else {}


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
        if key == SECRET:
            value = "(hidden)" if value == NEW else f"(hidden, fingerprint {fingerprint(values.get('aws_access_key_id', ''), value)})"
        lines.append(f"{key} ={value}" if value.startswith("\n") else f"{key} = {value}")
    return "\n".join(lines) + "\n"


def is_credentials_section(name: str, text: str) -> bool:
    """Whether a credentials file, whose headers are bare names, says anything about the profile that we manage."""
    parser = parsed(text)
    return any(set(parser.options(section)) & set(MANAGED) for section in (name, f"profile {name}") if parser.has_section(section))


def profiles_with(access_key: str, text: str) -> list[str]:
    """The headers of all sections that hold this access key, of a configuration or a credentials file."""
    parser = parsed(text)
    return [section for section in parser.sections() if parser.get(section, "aws_access_key_id", fallback=None) == access_key]


def options(name: str, text: str) -> dict[str, str]:
    """The settings of the profile beside the managed ones, those of nested blocks as ``block.setting``, and whose they are.

    That is "" for the profile's own section, and "[DEFAULT]" for what configparser adds to every section of the file.
    """
    section = section_name(name, text)
    if section is None:
        return {}
    own = parsed(text, defaults=False).options(section)
    found = {}
    for key, value in parsed(text).items(section):
        inner = [f"{key}.{each}" for each in nested(value) if (key, each) != ("s3", ADDRESSING)]
        names = inner if nested(value) else [] if key in MANAGED else [key]
        found.update(dict.fromkeys(names, "" if key in own else "[DEFAULT]"))
    return found


def with_options(name: str, text: str, kept: Collection[str]) -> str:
    """A text that says the same of the profile as far as these of its ``options`` go; the others are left out."""
    section = section_name(name, text)
    parser = parsed(text)
    if section is None:
        return text
    for key, value in parser.items(section):
        inner = {each: said for each, said in nested(value).items() if (key, each) == ("s3", ADDRESSING) or f"{key}.{each}" in kept}
        if inner:
            parser.set(section, key, "\n".join(["", *(f"{each} = {said}" for each, said in inner.items())]))
        elif nested(value) or not (key in MANAGED or key in kept):
            parser.remove_option(section, key)
            parser.remove_option(parser.default_section, key)
    with io.StringIO() as file:
        parser.write(file)
        return file.getvalue()


def flat(values: Mapping[str, str]) -> dict[str, str]:
    """The settings with those of nested blocks as ``block.setting``."""
    inner = {f"{key}.{each}": said for key, value in values.items() for each, said in nested(value).items()}
    return {**{key: value for key, value in values.items() if not nested(value)}, **inner}


def nested(value: str) -> dict[str, str]:
    """The settings of a nested block such as ``s3``; none in a value that is no block."""
    pairs = (line.partition("=") for line in value.splitlines() if "=" in line and value.startswith("\n"))
    return {key.strip(): inner.strip() for key, _unused, inner in pairs}


def check_name(name: str) -> None:
    """Raises BadRequest for a name that AWS tools would not find again."""
    if not _NAME.match(name):
        raise BadRequest(f"profile is '{name}': a name is made of letters, digits and . _ - @ : + /.", profile=name)


def _words(section: str) -> list[str]:
    try:
        return shlex.split(section)
    except ValueError:
        return []


def parsed(text: str, *, defaults: bool = True) -> configparser.RawConfigParser:
    """The text as botocore reads a file of it, whatever ends its lines; without ``defaults``, [DEFAULT] is a section like others."""
    parser = configparser.RawConfigParser(default_section="DEFAULT" if defaults else "")
    _check_encoding(text)
    with faults_named():
        parser.read_string(text.replace("\r\n", "\n").replace("\r", "\n"))
    _check_blocks(parser)
    return parser


def _check_encoding(text: str) -> None:
    if text.startswith("\ufeff"):
        raise ProfileError(
            "it begins with a byte order mark (BOM), which AWS tools cannot read. Save it as UTF-8 without one "
            "(sed -i '1s/^\\xef\\xbb\\xbf//' <file>); it was left as it is."
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise ProfileError(
            f"line {line} holds bytes that are no UTF-8, which AWS tools cannot read, not even in a comment. "
            "Save the file as UTF-8 (iconv -f latin1 -t utf-8 <file>, or -f utf-16); it was left as it is."
        ) from None


def _check_blocks(parser: configparser.RawConfigParser) -> None:
    """A nested block holds settings alone: anything else makes the whole file unreadable for botocore."""
    for section in parser.sections():
        for key, value in parser.items(section):
            if value.startswith("\n") and any("=" not in line for line in value.splitlines() if line.strip()):
                raise ProfileError(
                    f"the indented lines below '{key}' in [{section}] are not all 'name = value', and AWS tools read no profile "
                    f"of such a file. Write the value on the line of '{key}', or remove it; the file was left as it is."
                )


@contextmanager
def faults_named() -> Iterator[None]:
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
