# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
name: dataset_places
short_description: Profile, environment and anonymous endpoint of each data set, by its name
version_added: "0.1.0"
author: Zarrstream authors (@zarrstream)
description:
  - Joins data sets with what M(zarrstream.platform.object_store_info) found of their buckets.
positional: found
options:
  _input:
    description: The data sets, as P(zarrstream.platform.sites#filter) returns them.
    type: list
    elements: dict
    required: true
  found:
    description: Results of M(zarrstream.platform.object_store_info).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show where each is read without credentials
  ansible.builtin.debug:
    msg: "{{ declared.datasets | zarrstream.platform.dataset_places(looks.results) }}"
"""

RETURN = r"""
_value:
  description: >-
    By name, C(profile), C(stack_path), empty where it names no environment of its own, and C(anonymous_endpoint), empty where nobody
    reads without credentials.
  type: dict
"""

from ansible_collections.zarrstream.platform.plugins.module_utils.zarrstream.openstack.sites import places


class FilterModule:
    def filters(self) -> dict:
        return {"dataset_places": places}
