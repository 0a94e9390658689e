# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
name: aws_profile_settings
short_description: The settings of one profile in the text of an AWS configuration file
version_added: "0.1.0"
author: Zarrstream authors (@zarrstream)
description:
  - Reads the text as botocore does. A line that cannot be read is named by its number and never quoted, for it may hold a secret;
    the lookup P(ansible.builtin.ini#lookup) would show it.
positional: name
options:
  _input:
    description: The text of the file.
    type: str
    required: true
  name:
    description: The profile's name.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show where the profile leads
  ansible.builtin.debug:
    msg: "{{ (lookup('ansible.builtin.file', '~/.aws/config') | zarrstream.platform.aws_profile_settings('default')).endpoint_url }}"
"""

RETURN = r"""
_value:
  description: The settings of the profile, by name; empty where it is not there.
  type: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.zarrstream.platform.plugins.module_utils.zarrstream.errors import ZarrstreamError
from ansible_collections.zarrstream.platform.plugins.module_utils.zarrstream.profiles import profile_text


def aws_profile_settings(text: str, name: str) -> dict[str, str]:
    try:
        return profile_text.read_values(name, text)
    except ZarrstreamError as error:
        raise AnsibleFilterError(f"The file of the profile '{name}': {error}") from None


class FilterModule:
    def filters(self) -> dict:
        return {"aws_profile_settings": aws_profile_settings}
