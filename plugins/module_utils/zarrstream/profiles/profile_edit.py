# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The change of one profile in the text of an AWS configuration file: pure, text in and text out.

ConfigUpdater edits, since it keeps comments and order. Everything outside the profile's own section is handed back as it
came, byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import BadRequest, ProfileError
from .profile_text import (
    ADDRESSING,
    MANAGED,
    SECRET,
    SESSION_TOKENS,
    ProfileSettings,
    check_name,
    faults_named,
    nested,
    parsed,
    read_values,
    section_name,
)

if TYPE_CHECKING:
    from configupdater import ConfigUpdater, Option, Section

_UNSTORABLE = re.compile(r"[\x00-\x1f\x7f]|^\s|\s$")
_ACCELERATE = "use_accelerate_endpoint"  # Amazon's alone: with it, botocore refuses any other endpoint
_ENDPOINT = "endpoint_url"
# Blocks in which the AWS command line with the plugin awscli-plugin-endpoint looks for an endpoint first.
_BLOCKS_OF_THE_PLUGIN = ("s3", "s3api")


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
    defaults = parsed(text).defaults()
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
    managed = [option for option in ours.option_blocks() if option.key.lower() in (*MANAGED, *SESSION_TOKENS)]
    if len(managed) == len(ours.option_blocks()):
        return before + after
    for option in managed:
        option.detach()
    return before + _with_newlines(str(ours), text) + after


def _check(wanted: ProfileSettings) -> None:
    check_name(wanted.name)
    named = {**wanted.values(), "addressing_style": wanted.addressing_style}
    for key, value in named.items():
        if value is not None and (not value or _UNSTORABLE.search(value)):
            shown = "" if key == SECRET else f" '{value}'"
            raise BadRequest(f"the value{shown} of {key} for profile '{wanted.name}' is empty or holds blanks or line breaks at its ends.")


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
    return {**block, ADDRESSING: wanted.addressing_style} if name == "s3" else block


def _others(wanted: ProfileSettings, text: str) -> dict[str, str | dict[str, str]]:
    section = section_name(wanted.name, text)
    own = parsed(text, defaults=False).items(section) if section else ()
    values = {key: value for key, value in own if key not in (*MANAGED, *SESSION_TOKENS)}
    blocks = {key: _block(key, nested(values[key]), wanted) for key in _BLOCKS_OF_THE_PLUGIN if nested(values.get(key, ""))}
    return {**values, **blocks}


def _append(wanted: ProfileSettings, text: str) -> str:
    header = "[default]" if wanted.name == "default" else f"[profile {wanted.name}]"
    lines = [header, *(f"{key} = {value}" for key, value in wanted.values().items() if value is not None)]
    lines += ["s3 =", f"    {ADDRESSING} = {wanted.addressing_style}"]
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
    with faults_named():
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
