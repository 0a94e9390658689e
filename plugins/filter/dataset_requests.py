# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
name: dataset_requests
short_description: What M(zarrstream.platform.zarr_write) or M(zarrstream.platform.zarr_check) is to do for data sets
version_added: "0.1.0"
author: Zarrstream authors (@zarrstream)
description:
  - Gathers what is to be done by the Python that does it, so that each of them is started once.
positional: steps, report
options:
  _input:
    description: The data sets, as P(zarrstream.platform.dataset_settings#filter) returns them.
    type: list
    elements: dict
    required: true
  steps:
    description: V(write), or V(prove) and V(read), of which the last one is for public stores in buckets.
    type: list
    elements: str
    required: true
  report:
    description: Folder with the reports of all data sets; empty for none.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Write all data sets
  zarrstream.platform.zarr_write:
    stores: "{{ item.stores }}"
  loop: "{{ settled | zarrstream.platform.dataset_requests(['write']) }}"
  vars:
    ansible_python_interpreter: "{{ item.python }}"
"""

RETURN = r"""
_value:
  description: For each Python C(python), C(stores), and for each of these the data set in C(datasets) and the step in C(steps).
  type: list
  elements: dict
"""

from ansible_collections.zarrstream.platform.plugins.module_utils.zarrstream.commands.datasets import requests


class FilterModule:
    def filters(self) -> dict:
        return {"dataset_requests": requests}
