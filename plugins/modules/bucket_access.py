#!/usr/bin/python
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: bucket_access
short_description: Take from anonymous clients what a bucket's policy and S3 ACL give them
version_added: "0.1.0"
author: Zarrstream authors (@zarrstream)
description:
  - Removes the statements of the bucket policy that allow something to everybody, and the grants of the S3 ACL to everybody and to each
    user of the cloud. Statements and grants for somebody by name stay as they are.
  - A statement for everybody under a condition stays too, since who comes in by it cannot be told; RV(left) names it.
  - The Swift ACL is not looked at. On Ceph RGW it is kept in one place with the S3 ACL, so that setting either replaces the other.
  - Signs with the keys of O(profile), else with a pair that Keystone lists for this login. Without any it fails.
options:
  bucket:
    description: The bucket.
    type: str
    required: true
  profile:
    description: The AWS profile whose keys sign.
    type: str
  config_file:
    description: The AWS configuration file that holds O(profile).
    type: path
  endpoint_url:
    description: The S3 endpoint; by default the catalog's.
    type: str
attributes:
  check_mode:
    description: Says what would change, and changes nothing.
    support: full
  diff_mode:
    description: Shows policy and grants before and after.
    support: full
extends_documentation_fragment:
  - openstack.cloud.openstack
requirements:
  - boto3
"""

EXAMPLES = r"""
- name: Let nobody in without a name
  zarrstream.platform.bucket_access:
    cloud: jetstream2
    bucket: my-climate-data
    profile: jetstream2
"""

RETURN = r"""
closed:
  description: What was taken away.
  returned: success
  type: list
  elements: str
  sample: ["statement 1 of the bucket policy: s3:GetObject on my-climate-data/*"]
left:
  description: What lets everybody in under a condition, and stays.
  returned: success
  type: list
  elements: str
"""

from ..module_utils.cloud_module import CloudModule
from ..module_utils.zarrstream.errors import AccessRefused
from ..module_utils.zarrstream.openstack.catalog import endpoint_from
from ..module_utils.zarrstream.openstack.keystone import ca_for, services
from ..module_utils.zarrstream.probe.signed_requests import closing
from ..module_utils.zarrstream.probe.signer import signer


class BucketAccessModule(CloudModule):
    argument_spec = {
        "bucket": {"type": "str", "required": True},
        "profile": {"type": "str"},
        "config_file": {"type": "path"},
        "endpoint_url": {"type": "str"},
    }
    module_kwargs = {"supports_check_mode": True}

    def answer(self):
        """Find, plan, apply."""
        params, bucket = self.params, self.params["bucket"]
        endpoint = endpoint_from(params["endpoint_url"], services(self.conn))
        who = signer(self.conn, endpoint, ca_for(self.conn, endpoint), params["profile"], params["config_file"])
        access = who.look(bucket)
        if access.unknown:
            raise AccessRefused(
                f"bucket '{bucket}' cannot be closed, since this cannot be read: {'; '.join(access.unknown)} "
                "Run the role ec2_credentials first, and name its profile.",
                bucket=bucket,
            )
        plan = closing(bucket, access)
        if plan.changes and not self.check_mode:
            plan.apply(who.client, who.profile)
        return {
            "changed": plan.changes,
            "diff": plan.diff() if self.ansible._diff and plan.changes else {},
            "closed": [str(each) for each in access.openings if not each.conditional],
            "left": [str(each) for each in access.openings if each.conditional],
        }


def main():
    BucketAccessModule()()


if __name__ == "__main__":
    main()
