# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
name: dataset_settings
short_description: Data sets with the profile, Python and anonymous endpoint that hold for each
version_added: "0.1.0"
author: Zarrstream authors (@zarrstream)
description:
  - What a data set says itself wins, then what is known of its site, then what holds for all.
positional: places, defaults
options:
  _input:
    description: The data sets, as the role zarr_dataset takes them.
    type: list
    elements: dict
    required: true
  places:
    description:
      - By name of a data set C(profile), C(stack_path) and C(anonymous_endpoint), as P(zarrstream.platform.dataset_places#filter)
        returns them.
    type: dict
    required: true
  defaults:
    description: C(profile), C(site_profile), C(python), C(anonymous_endpoint) and C(ca_bundle) of all.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show who writes what
  ansible.builtin.debug:
    msg: "{{ zarr_datasets | zarrstream.platform.dataset_settings({}, defaults) | map(attribute='python') }}"
  vars:
    defaults: {profile: zarr, site_profile: zarr, python: /opt/zarrstream/current/bin/python, anonymous_endpoint: "", ca_bundle: ""}
"""

RETURN = r"""
_value:
  description: The data sets, each with C(profile), C(stack_path), C(python), C(anonymous_endpoint) and C(ca_bundle).
  type: list
  elements: dict
"""

from ansible_collections.zarrstream.platform.plugins.module_utils.zarrstream.commands.datasets import settled


class FilterModule:
    def filters(self) -> dict:
        return {"dataset_settings": settled}
