# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
name: dataset_results
short_description: One result for each data set, out of a loop over P(zarrstream.platform.dataset_requests#filter)
version_added: "0.1.0"
author: Zarrstream authors (@zarrstream)
description:
  - Where the module itself failed, such as on a host without its libraries, that is the result of each of its data sets.
options:
  _input:
    description: The results of the loop.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what failed
  ansible.builtin.debug:
    msg: "{{ written.results | zarrstream.platform.dataset_results | selectattr('failed', 'defined') | map(attribute='item.name') }}"
"""

RETURN = r"""
_value:
  description: Results as the modules give them for a store, with the data set as C(item), and C(step).
  type: list
  elements: dict
"""

from ansible_collections.zarrstream.platform.plugins.module_utils.zarrstream.commands.datasets import results


class FilterModule:
    def filters(self) -> dict:
        return {"dataset_results": results}
