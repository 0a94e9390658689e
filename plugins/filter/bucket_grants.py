# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
name: bucket_grants
short_description: The Swift ACLs that a bucket should have
version_added: "0.1.0"
author: Zarrstream authors (@zarrstream)
description:
  - Compares what is declared with what M(zarrstream.platform.object_store_info) found. Grants to projects and users by name stay, unless
    they are declared; those to anonymous clients and to each user of the cloud go, unless the bucket is public.
positional: public, read, write
options:
  _input:
    description: The result of M(zarrstream.platform.object_store_info) for the bucket.
    type: dict
    required: true
  public:
    description: Whether anonymous clients may list the bucket and read its objects.
    type: bool
    required: true
  read:
    description: The projects and users that may read besides, exactly; none for those that may now.
    type: list
    elements: str
  write:
    description: The projects and users that may write besides, exactly; none for those that may now.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Show who gains and who loses access
  ansible.builtin.debug:
    msg: "{{ (object_store | zarrstream.platform.bucket_grants(false)).lines }}"
"""

RETURN = r"""
_value:
  description: >-
    C(read) and C(write), the ACLs as they should be; C(changes), whether they differ from those that are there; C(lines) for people.
    Where the declaration is wrong, C(refused) says why, and there is nothing else.
  type: dict
"""

from collections.abc import Sequence

from ansible_collections.zarrstream.platform.plugins.module_utils.zarrstream.errors import ZarrstreamError
from ansible_collections.zarrstream.platform.plugins.module_utils.zarrstream.openstack import grants


def bucket_grants(found: dict, public: bool, read: Sequence[str] | None = None, write: Sequence[str] | None = None) -> dict:
    try:
        planned = grants.plan(found["read_acl"], found["write_acl"], public, read, write)
    except ZarrstreamError as error:
        return {"refused": str(error)}
    return {"refused": "", "read": planned.read, "write": planned.write, "changes": planned.changes, "lines": list(planned.lines)}


class FilterModule:
    def filters(self) -> dict:
        return {"bucket_grants": bucket_grants}
