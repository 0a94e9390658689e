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
  - It sends the requests that the run will send, as far as they only read, a signed one to the S3 endpoint, and for each bucket what the
    role C(bucket) asks, with and without credentials.
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
  public_buckets:
    description: Those of O(buckets) that are planned to be public.
    type: list
    elements: str
    default: []
  keys:
    description: What M(zarrstream.platform.ec2_credential) answers in check mode, so that the table has it.
    type: dict
  profile:
    description: The AWS profile whose keys read the policies and ACLs of the buckets.
    type: str
  config_file:
    description: The AWS configuration file that holds O(profile).
    type: path
  endpoint_url:
    description: The S3 endpoint, where the catalog does not say it.
    type: str
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
  description: Each with C(check), C(status) (C(pass), C(warn), C(fail) or C(skip)), C(message) and C(remedy).
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

from ..module_utils.cloud_module import CloudModule
from ..module_utils.zarrstream.errors import ZarrstreamError
from ..module_utils.zarrstream.machines.doctor import Planned, rows, table
from ..module_utils.zarrstream.machines.facts import KeysOf, Questions
from ..module_utils.zarrstream.machines.wanted import wanted_from


class CloudDoctorModule(CloudModule):
    argument_spec = {
        "cluster": {"type": "dict"},
        "buckets": {"type": "list", "elements": "str", "default": []},
        "public_buckets": {"type": "list", "elements": "str", "default": []},
        "keys": {"type": "dict", "no_log": False},
        "profile": {"type": "str"},
        "config_file": {"type": "path"},
        "endpoint_url": {"type": "str"},
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
        planned = Planned(
            wanted,
            tuple(params["buckets"]),
            params["own_keys"],
            tuple(params["public_buckets"]),
            params["keys"],
            params["expires_in"],
        )
        keys = KeysOf(params["profile"], params["config_file"], params["endpoint_url"] or None)
        facts = Questions(self.conn, keys).ask(planned.buckets, wanted.name if wanted else "")
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
