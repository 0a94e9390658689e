#!/usr/bin/python
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_lease
short_description: One run at a time changes the machines of a cluster
version_added: "0.1.0"
author: Zarrstream authors (@zarrstream)
description:
  - Makes a security group that names this run, unless there is one of another run. That one is then named in the error.
  - The lease of a run that was killed is taken over by the next one on the same machine.
  - The name of the group begins with C(zarrstream-) and ends with C(.lease). No server is ever in it.
options:
  cluster:
    description: The cluster.
    type: str
    required: true
  state:
    description: V(present) takes the lease, V(absent) gives it back.
    type: str
    choices: [present, absent]
    default: present
  lease:
    description: The id of the lease that is given back.
    type: str
  owner:
    description: Who runs this, for others to read.
    type: str
    default: ""
  by_force:
    description: Take away the lease of another run, for one that was killed on a machine that is no more.
    type: bool
    default: false
  process:
    description: The process of this run. The action plugin sets it.
    type: int
attributes:
  check_mode:
    description: Nothing is taken.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
extends_documentation_fragment:
  - openstack.cloud.openstack
"""

EXAMPLES = r"""
- name: Take the lease
  zarrstream.platform.cluster_lease:
    cloud: jetstream2
    cluster: demo
  register: lease

- name: Give it back
  zarrstream.platform.cluster_lease:
    cloud: jetstream2
    cluster: demo
    state: absent
    lease: "{{ lease.lease }}"
"""

RETURN = r"""
lease:
  description: The id of the lease.
  returned: when it was taken
  type: str
process:
  description: The process of this run.
  returned: success
  type: int
taken_over:
  description: The runs whose leases were taken over.
  returned: success
  type: list
  elements: str
"""

from ..module_utils.cloud_module import CloudModule
from ..module_utils.zarrstream.errors import ZarrstreamError
from ..module_utils.zarrstream.machines.lease import Leases, run_of
from ..module_utils.zarrstream.machines.marks import Mark


class ClusterLeaseModule(CloudModule):
    argument_spec = {
        "cluster": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "lease": {"type": "str"},
        "owner": {"type": "str", "default": ""},
        "by_force": {"type": "bool", "default": False},
        "process": {"type": "int"},
    }
    module_kwargs = {"supports_check_mode": True, "required_if": [("state", "absent", ["lease"])]}

    def run(self):
        params, result = self.params, {"changed": False, "process": self.params["process"], "taken_over": []}
        if self.ansible.check_mode:
            self.exit_json(**result)
        leases = Leases(self.conn, Mark(params["cluster"], params["owner"].replace(" ", "_")))
        try:
            if params["state"] == "absent":
                leases.give_back(params["lease"])
            else:
                result["lease"], result["taken_over"] = leases.take(run_of(params["process"]), params["by_force"])
        except ZarrstreamError as error:
            self.fail_json(msg=str(error), **error.details)
        for run in result["taken_over"]:
            self.warn(f"the lease on cluster {params['cluster']} was left over, and is taken over: {run}")
        self.exit_json(**result)


def main():
    ClusterLeaseModule()()


if __name__ == "__main__":
    main()
