# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
name: vm_plan
short_description: What has to be done so that a project holds the cluster that is declared
version_added: "0.1.0"
author: Zarrstream authors (@zarrstream)
description:
  - Compares the variables of the role C(vm) with what M(zarrstream.platform.cluster_info) found. Nothing is asked of a cloud.
positional: found
options:
  _input:
    description: The variables of the role C(vm), without the prefix C(vm_).
    type: dict
    required: true
  found:
    description: The result of M(zarrstream.platform.cluster_info).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what would be done
  ansible.builtin.debug:
    msg: "{{ (declared | zarrstream.platform.vm_plan(found)).lines }}"
"""

RETURN = r"""
_value:
  description: >-
    What is to be made and removed, by kind; C(lines) and C(summary) for people, C(changes) whether anything is to be done.
    Where it cannot be done, C(refused) says why, and there is nothing else.
  type: dict
"""

from ansible_collections.zarrstream.platform.plugins.module_utils.zarrstream.errors import ZarrstreamError
from ansible_collections.zarrstream.platform.plugins.module_utils.zarrstream.machines import plan as planning
from ansible_collections.zarrstream.platform.plugins.module_utils.zarrstream.machines.wanted import wanted_from


def vm_plan(declared: dict, found: dict) -> dict:
    try:
        wanted = wanted_from(declared)
        cloud = planning.Found(**{name: found[name] for name in ("resources", "taken", "flavors", "images", "networks")})
        planned = planning.plan(wanted, cloud, declared["prices"], declared["price_unit"], declared["replace_broken"])
        return {"refused": "", **planning.shown(planned)}
    except ZarrstreamError as error:
        return {"refused": str(error)}


class FilterModule:
    def filters(self) -> dict:
        return {"vm_plan": vm_plan}
