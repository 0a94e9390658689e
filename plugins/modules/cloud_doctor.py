#!/usr/bin/python
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: cloud_doctor
short_description: Whether a cloud is ready for what is planned in it
version_added: "0.1.0"
author: Zarrstream authors (@zarrstream)
description:
  - Looks at the login, the quotas, what the cloud offers, its endpoints and the names of buckets, and says for each whether it will do, and
    what to do where it will not.
  - Nothing is made or changed. A cloud without a compute service is looked at as far as it goes.
options:
  cluster:
    description: The variables of the role C(vm), without the prefix C(vm_); without them no machines are planned.
    type: dict
  buckets:
    description: Names of planned buckets.
    type: list
    elements: str
    default: []
  own_keys:
    description: Whether a pair of S3 keys is brought, so that none has to be made.
    type: bool
    default: false
  expires_in:
    description: Days before the end of an application credential from which on it is a warning.
    type: int
    default: 14
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
- name: See whether the cloud is ready
  zarrstream.platform.cloud_doctor:
    cloud: jetstream2
    buckets: [my-project-zarr]
  register: doctor
"""

RETURN = r"""
ok:
  description: Whether no row is a failure.
  returned: success
  type: bool
rows:
  description: Each with C(check), C(status) (C(pass), C(warn), C(fail) or C(skip)), C(message) and C(mend).
  returned: success
  type: list
  elements: dict
table:
  description: The same for people, line by line.
  returned: success
  type: list
  elements: str
"""

import datetime
from dataclasses import asdict

from ansible_collections.openstack.cloud.plugins.module_utils.openstack import OpenStackModule

from ..module_utils.zarrstream.compute.doctor import Planned, rows, table
from ..module_utils.zarrstream.compute.facts import Questions
from ..module_utils.zarrstream.compute.wanted import wanted_from
from ..module_utils.zarrstream.errors import ZarrstreamError


class CloudDoctorModule(OpenStackModule):
    argument_spec = {
        "cluster": {"type": "dict"},
        "buckets": {"type": "list", "elements": "str", "default": []},
        "own_keys": {"type": "bool", "default": False, "no_log": False},
        "expires_in": {"type": "int", "default": 14},
    }
    module_kwargs = {"supports_check_mode": True}

    def run(self):
        params = self.params
        try:
            wanted = wanted_from(params["cluster"]) if params["cluster"] else None
        except ZarrstreamError as error:
            self.fail_json(msg=str(error), **error.details)
        planned = Planned(wanted, tuple(params["buckets"]), params["own_keys"], params["expires_in"])
        facts = Questions(self.conn).ask(planned.buckets, wanted.name if wanted else "")
        found = rows(facts, planned, datetime.datetime.now(datetime.UTC))
        self.exit_json(
            changed=False,
            ok=all(each.status != "fail" for each in found),
            rows=[asdict(each) for each in found],
            table=table(found),
        )


def main():
    CloudDoctorModule()()


if __name__ == "__main__":
    main()
