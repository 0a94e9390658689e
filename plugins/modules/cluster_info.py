#!/usr/bin/python
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_info
short_description: What a project holds of the kit's clusters, and what the cloud offers for one
version_added: "0.1.0"
author: Zarrstream authors (@zarrstream)
description:
  - Lists all that carries the kit's mark in a project, with one request a kind, in an order in which it can be removed.
  - Waits on request until servers are built, and reads their SSH host keys from their consoles.
options:
  cluster:
    description: The cluster. Without it the things of all clusters are listed.
    type: str
  images:
    description: Names of images to look for; where one is missing, all that the cloud offers are listed.
    type: list
    elements: str
    default: []
  networks:
    description: Names of networks to look for, also of those that another project shares.
    type: list
    elements: str
    default: []
  settle:
    description: Seconds to wait until no server of the cluster is being built any more. With C(0) nothing is waited for.
    type: int
    default: 0
  host_keys_of:
    description: Ids of servers whose SSH host keys are wanted.
    type: list
    elements: str
    default: []
  host_keys_missing_from:
    description: A C(known_hosts) file; host keys are wanted too of those servers of the cluster whose ids are not in its comments.
    type: path
  keys_timeout:
    description: Seconds to wait until the consoles show the host keys.
    type: int
    default: 300
  ec2_credentials:
    description: Whether to list the access keys of the project's EC2 credentials too.
    type: bool
    default: false
attributes:
  check_mode:
    description: Nothing is changed.
    support: full
  diff_mode:
    description: Nothing is changed.
    support: none
extends_documentation_fragment:
  - openstack.cloud.openstack
"""

EXAMPLES = r"""
- name: List what cluster demo has
  zarrstream.platform.cluster_info:
    cloud: jetstream2
    cluster: demo
  register: demo
"""

RETURN = r"""
resources:
  description: >-
    What carries the mark, in the order of removal. Each has C(kind), C(id), C(name), C(cluster), C(owner), C(expires) and C(created);
    servers also C(group), C(status), C(fault), C(flavor), C(fixed_ip), C(floating_ip) and C(port_id).
  returned: success
  type: list
  elements: dict
taken:
  description: >-
    Names, by kind, of what the project holds without the mark, as far as the name of O(cluster) is in them; without O(cluster), as far as
    they begin with C(zarrstream).
  returned: success
  type: dict
flavors:
  description: The flavors, with C(name), C(id), C(vcpus), C(ram) in MiB and C(disk) in GiB.
  returned: when O(images) is set
  type: list
  elements: dict
images:
  description: The images that were asked for, or all; of one name the newest comes first.
  returned: success
  type: list
  elements: dict
networks:
  description: Ids of the networks that were asked for, by name.
  returned: success
  type: dict
host_keys:
  description: SSH host keys by the server's id, each as type and key.
  returned: success
  type: dict
ec2_credentials:
  description: Access keys of the login's EC2 credentials for the project; none where the cloud does not list them, or nobody asked.
  returned: success
  type: list
  elements: str
owner:
  description: The user that the cloud knows this login by.
  returned: success
  type: str
"""

from pathlib import Path

from ..module_utils.cloud_module import CloudModule
from ..module_utils.zarrstream.errors import Unreachable
from ..module_utils.zarrstream.machines.find import Finder, console_keys, servers_to_ask, settled
from ..module_utils.zarrstream.machines.resources import in_removal_order
from ..module_utils.zarrstream.openstack.keystone import Ec2Keys, login


class ClusterInfoModule(CloudModule):
    argument_spec = {
        "cluster": {"type": "str"},
        "images": {"type": "list", "elements": "str", "default": []},
        "networks": {"type": "list", "elements": "str", "default": []},
        "settle": {"type": "int", "default": 0},
        "host_keys_of": {"type": "list", "elements": "str", "default": [], "no_log": False},
        "host_keys_missing_from": {"type": "path", "no_log": False},
        "ec2_credentials": {"type": "bool", "default": False, "no_log": False},
        "keys_timeout": {"type": "int", "default": 300, "no_log": False},
    }
    module_kwargs = {"supports_check_mode": True}

    def answer(self):
        params, cluster = self.params, self.params["cluster"]
        who = login(self.conn)
        for service in ("compute", "network"):
            if not self.conn.has_service(service):
                raise Unreachable(
                    f"cloud '{who.cloud}' has no {service} service, so no servers can be made. Name another one, or no vm_servers."
                )
        finder = Finder(self.conn)
        file = params["host_keys_missing_from"] and Path(params["host_keys_missing_from"])
        known_hosts = file and (file.read_text() if file.exists() else "")
        found = settled(finder, cluster, params["settle"]) if cluster else finder.resources()
        return {
            "resources": [each.shown() for each in in_removal_order(found)],
            "taken": finder.unmarked(cluster),
            "flavors": finder.flavors() if params["images"] else [],
            "images": finder.images(params["images"]),
            "networks": finder.networks(params["networks"]),
            "host_keys": console_keys(self.conn, servers_to_ask(found, params["host_keys_of"], known_hosts), params["keys_timeout"]),
            "owner": who.user_name,
            "ec2_credentials": self.access_keys(who) if params["ec2_credentials"] else None,
        }

    def access_keys(self, who):
        """None where the cloud refuses to list them."""
        pairs = Ec2Keys(self.conn, who).list()
        return None if pairs is None else sorted(pair.access_key for pair in pairs)


def main():
    ClusterInfoModule()()


if __name__ == "__main__":
    main()
