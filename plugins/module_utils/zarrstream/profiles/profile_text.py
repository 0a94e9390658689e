# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The change of one profile in the text of an AWS configuration file: pure, text in and text out.

configparser reads, exactly as botocore does; ConfigUpdater edits, since it keeps comments and order. Everything
outside the profile's own section is handed back as it came, byte for byte. Whether botocore agrees, ``effective`` asks it.
"""

from __future__ import annotations

import configparser
import io
import re
import shlex
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import BadRequest, ProfileError
from .secret import fingerprint

if TYPE_CHECKING:
    from configupdater import ConfigUpdater, Option, Section

_NAME = re.compile(r"^[\w.@:+/-]+$")
_UNSTORABLE = re.compile(r"[\x00-\x1f\x7f]|^\s|\s$")
_ADDRESSING = "addressing_style"
_ACCELERATE = "use_accelerate_endpoint"  # Amazon's alone: with it, botocore refuses any other endpoint
_ENDPOINT = "endpoint_url"
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
_SESSION_TOKENS = ("aws_session_token", "aws_security_token")  # two names of what belongs to a pair that is replaced
# Blocks in which the AWS command line with the plugin awscli-plugin-endpoint looks for an endpoint first.
_BLOCKS_OF_THE_PLUGIN = ("s3", "s3api")


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
            **dict.fromkeys(_SESSION_TOKENS),
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
    if not _says(wanted, read_values(wanted.name, new_text)) or _others(wanted, new_text) != _others(wanted, found_text):
        raise ProfileError(f"profile '{wanted.name}' cannot be written so that AWS tools read it back. {_remedy(wanted, found_text)}")
    return new_text


def _remedy(wanted: ProfileSettings, text: str) -> str:
    defaults = _parsed(text).defaults()
    leaking = [key for key, value in wanted.values().items() if value is None and key in defaults]
    if leaking:
        return (
            f"[DEFAULT] in capitals is no profile: what it says ({', '.join(leaking)}) holds for every section of the file. "
            "Write [default] instead, or remove it there, and run this again."
        )
    return "Mend its section by hand, or remove the section and run this again."


def plan_removal(name: str, found_text: str) -> str:
    """The text without the managed settings of the profile; its section goes too, unless it holds others of the user's."""
    section = section_name(name, found_text)
    if section is None:
        return found_text
    updater = _updater(found_text)
    before, text, after = _around(updater, section)
    ours = updater[section]
    managed = [option for option in ours.option_blocks() if option.key.lower() in (*MANAGED, *_SESSION_TOKENS)]
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


def options(name: str, text: str) -> dict[str, str]:
    """The settings of the profile beside the managed ones, those of nested blocks as ``block.setting``, and whose they are.

    That is "" for the profile's own section, and "[DEFAULT]" for what configparser adds to every section of the file.
    """
    section = section_name(name, text)
    if section is None:
        return {}
    own = _parsed(text, defaults=False).options(section)
    found = {}
    for key, value in _parsed(text).items(section):
        inner = [f"{key}.{each}" for each in nested(value) if (key, each) != ("s3", _ADDRESSING)]
        names = inner if nested(value) else [] if key in MANAGED else [key]
        found.update(dict.fromkeys(names, "" if key in own else "[DEFAULT]"))
    return found


def with_options(name: str, text: str, kept: Collection[str]) -> str:
    """A text that says the same of the profile as far as these of its ``options`` go; the others are left out."""
    section = section_name(name, text)
    parser = _parsed(text)
    if section is None:
        return text
    for key, value in parser.items(section):
        inner = {each: said for each, said in nested(value).items() if (key, each) == ("s3", _ADDRESSING) or f"{key}.{each}" in kept}
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
    blocks = {name: nested(values.get(name, "")) for name in _BLOCKS_OF_THE_PLUGIN}
    return same and all(block == _block(name, block, wanted) for name, block in blocks.items())


def _block(name: str, found: Mapping[str, str], wanted: ProfileSettings) -> dict[str, str]:
    """The nested block as it should be: whatever names an endpoint of its own there names ours."""
    block = dict(found)
    if _ENDPOINT in block:
        block[_ENDPOINT] = wanted.endpoint_url
    if block.get(_ACCELERATE, "").lower() == "true":
        del block[_ACCELERATE]
    return {**block, _ADDRESSING: wanted.addressing_style} if name == "s3" else block


def _others(wanted: ProfileSettings, text: str) -> dict[str, str | dict[str, str]]:
    section = section_name(wanted.name, text)
    own = _parsed(text, defaults=False).items(section) if section else ()
    values = {key: value for key, value in own if key not in (*MANAGED, *_SESSION_TOKENS)}
    blocks = {key: _block(key, nested(values[key]), wanted) for key in _BLOCKS_OF_THE_PLUGIN if nested(values.get(key, ""))}
    return {**values, **blocks}


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
    for block in _BLOCKS_OF_THE_PLUGIN:
        _set_block(ours, block, wanted)
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


def _set_block(section: Section, name: str, wanted: ProfileSettings) -> None:
    option = _option(section, name)
    if option is None:
        if not _block(name, {}, wanted):
            return
        option = _insert(section, name, "")
    lines = [line for line in option.as_list() if line] if (option.value or "").startswith("\n") else []
    found = nested("\n".join(["", *lines]))
    block = _block(name, found, wanted)
    if block != found:
        kept = [line for line in lines if (key := line.partition("=")[0].strip()) not in found or found[key] == block.get(key)]
        option.set_values([*kept, *(f"{key} = {value}" for key, value in block.items() if found.get(key) != value)])


def _updater(text: str) -> ConfigUpdater:
    from configupdater import ConfigUpdater

    if re.search(r"\r(?!\n)", text):
        raise ProfileError(
            "lines of it end in a carriage return without a line feed: AWS tools read them, but they cannot be edited safely. "
            "Give them line feeds (tr '\\r' '\\n'); the file was left as it is."
        )
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


def _parsed(text: str, *, defaults: bool = True) -> configparser.RawConfigParser:
    """The text as botocore reads a file of it, whatever ends its lines; without ``defaults``, [DEFAULT] is a section like others."""
    parser = configparser.RawConfigParser(default_section="DEFAULT" if defaults else "")
    _check_encoding(text)
    with _faults_named():
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
