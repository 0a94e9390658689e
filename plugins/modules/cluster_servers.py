#!/usr/bin/python
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_servers
short_description: Many servers at once
version_added: "0.1.0"
author: Zarrstream authors (@zarrstream)
description:
  - Asks for servers, or removes some, all at the same time and with one request for each, where C(openstack.cloud.server) sends a dozen.
  - Whether servers of these names are there is not looked at; M(zarrstream.platform.cluster_info) and the filter
    P(zarrstream.platform.vm_plan#filter) tell. Nor is waited for what is being built.
options:
  state:
    description: V(present) asks for O(servers), V(absent) removes O(ids) and waits until they are gone.
    type: str
    choices: [present, absent]
    default: present
  servers:
    description: The servers, as V(servers) of the filter P(zarrstream.platform.vm_plan#filter).
    type: list
    elements: dict
    default: []
  ids:
    description: Ids of servers to remove.
    type: list
    elements: str
    default: []
  key_name:
    description: The key pair.
    type: str
  network:
    description: Id of the network.
    type: str
  security_group:
    description: Name of the security group.
    type: str
  user_data:
    description: User-data of all servers.
    type: str
  config_drive:
    description: Whether they come on a disk.
    type: bool
    default: true
  server_groups:
    description: Ids of the server groups by name, as far as O(servers) name some.
    type: dict
    default: {}
  process:
    description: The process of the run that wants the servers. When it has ended, no more is asked for.
    type: int
  removal_timeout:
    description: Seconds until servers have to be gone.
    type: int
    default: 600
attributes:
  check_mode:
    description: Says whether anything would be asked for.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
extends_documentation_fragment:
  - openstack.cloud.openstack
"""

EXAMPLES = r"""
- name: Remove two servers
  zarrstream.platform.cluster_servers:
    cloud: jetstream2
    state: absent
    ids: [9c0d6e0e-5a0c-4f57-9d0e-1f8f3a1a8a51, 1b8bb0f4-77e2-4d0e-a2a5-94ee1c1b6a9f]
"""

RETURN = r"""
asked:
  description: Names of the servers that Nova has taken.
  returned: when O(state=present)
  type: list
  elements: str
refused:
  description: Why others were refused, by name. This is no failure of the module.
  returned: when O(state=present)
  type: dict
removed:
  description: Ids of the servers that were removed.
  returned: when O(state=absent)
  type: list
  elements: str
"""

from ..module_utils.cloud_module import CloudModule
from ..module_utils.zarrstream.machines.lease import is_alive
from ..module_utils.zarrstream.machines.servers import make, remove, request_for


class ClusterServersModule(CloudModule):
    argument_spec = {
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "servers": {"type": "list", "elements": "dict", "default": []},
        "ids": {"type": "list", "elements": "str", "default": []},
        "key_name": {"type": "str", "no_log": False},
        "network": {"type": "str"},
        "security_group": {"type": "str"},
        "user_data": {"type": "str"},
        "config_drive": {"type": "bool", "default": True},
        "server_groups": {"type": "dict", "default": {}},
        "process": {"type": "int"},
        "removal_timeout": {"type": "int", "default": 600},
    }
    module_kwargs = {
        "supports_check_mode": True,
        "required_if": [("state", "present", ["key_name", "network", "security_group", "servers"]), ("state", "absent", ["ids"])],
    }

    def answer(self):
        return self.present() if self.params["state"] == "present" else self.absent()

    def present(self):
        servers, process = self.params["servers"], self.params["process"]
        if self.ansible.check_mode:
            return {"changed": bool(servers), "asked": [each["name"] for each in servers], "refused": {}}
        requests = [request_for(server, self.params) for server in servers]
        asked, refused = make(self.conn, requests, lambda: process is None or is_alive(process))
        return {"changed": bool(asked), "asked": asked, "refused": refused}

    def absent(self):
        ids = self.params["ids"]
        removed = ids if self.ansible.check_mode else remove(self.conn, ids, self.params["removal_timeout"])
        return {"changed": bool(removed), "removed": removed}


def main():
    ClusterServersModule()()


if __name__ == "__main__":
    main()
