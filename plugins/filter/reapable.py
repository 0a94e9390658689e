# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
name: reapable
short_description: Which of the kit's things in a project are no longer wanted
version_added: "0.1.0"
author: Zarrstream authors (@zarrstream)
description:
  - Picks what belongs to clusters that have expired, or that have no server any more, and addresses and ports that lead nowhere.
positional: grace_hours
options:
  _input:
    description: What M(zarrstream.platform.cluster_info) found.
    type: list
    elements: dict
    required: true
  grace_hours:
    description: A cluster of which something is younger than this is left alone, for a run may be at work.
    type: float
    required: true
"""

EXAMPLES = r"""
- name: Show what may go
  ansible.builtin.debug:
    msg: "{{ found.resources | zarrstream.platform.reapable(2) }}"
"""

RETURN = r"""
_value:
  description: The things, in their order, each with C(reason) besides.
  type: list
  elements: dict
"""

import datetime

from ansible_collections.zarrstream.platform.plugins.module_utils.zarrstream.machines import reap


def reapable(resources: list[dict], grace_hours: float) -> list[dict]:
    return reap.reapable(resources, datetime.datetime.now(datetime.UTC), float(grace_hours))


class FilterModule:
    def filters(self) -> dict:
        return {"reapable": reapable}
