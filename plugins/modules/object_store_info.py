#!/usr/bin/python
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: object_store_info
short_description: Endpoints of a cloud's object store, and what strangers may do with a bucket
version_added: "0.1.0"
author: Zarrstream authors (@zarrstream)
description:
  - Reads the S3 endpoint and the Swift URL of the project from the catalog.
  - Asks the server, without credentials, whether a bucket can be listed and its objects be read, by the S3 and by the Swift API.
  - Ceph RGW serves unsigned S3 requests at its endpoint, stock Swift only under the project's own URL; the result names the one that works.
options:
  bucket:
    description: The bucket to ask about. Without it only the endpoints are returned.
    type: str
  endpoint_url:
    description: The S3 endpoint, where the catalog has no service of type C(s3) and the Swift service does not serve S3 beside it.
    type: str
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
- name: Find out how strangers reach the bucket
  zarrstream.platform.object_store_info:
    cloud: embedded
    bucket: zarr-demo
  register: object_store
"""

RETURN = r"""
endpoint_url:
  description: The S3 endpoint.
  returned: success
  type: str
  sample: https://js2.jetstream-cloud.org:8001
object_store_url:
  description: The Swift URL of the project.
  returned: success
  type: str
  sample: https://js2.jetstream-cloud.org:8001/swift/v1
ca_bundle:
  description: The CA of the endpoint that C(clouds.yaml) names, a file on the controller; none where the system knows it.
  returned: success
  type: str
exists:
  description: Whether the project has the bucket.
  returned: when O(bucket) is set
  type: bool
objects:
  description: How many objects are in the bucket; none in one that is not there.
  returned: when O(bucket) is set
  type: int
read_acl:
  description: The Swift ACL for reading; empty where there is none.
  returned: when O(bucket) is set
  type: str
  sample: ".r:*,.rlistings"
write_acl:
  description: The Swift ACL for writing; empty where there is none.
  returned: when O(bucket) is set
  type: str
anonymous:
  description: What works without credentials.
  returned: when O(bucket) is set
  type: dict
  contains:
    s3_list: {description: Listing by S3., type: bool}
    s3_read: {description: Reading by S3., type: bool}
    swift_list: {description: Listing by Swift., type: bool}
    swift_read: {description: Reading by Swift., type: bool}
public:
  description: Whether strangers can list and read by at least one of the two.
  returned: when O(bucket) is set
  type: bool
private:
  description: Whether strangers can do nothing at all.
  returned: when O(bucket) is set
  type: bool
anonymous_endpoint:
  description: The endpoint for C(s3fs.S3FileSystem(anon=True)); none where strangers may not read.
  returned: when O(bucket) is set
  type: str
"""

from dataclasses import asdict

from ansible_collections.openstack.cloud.plugins.module_utils.openstack import OpenStackModule

from ..module_utils.zarrstream.endpoint import origin, s3_endpoint
from ..module_utils.zarrstream.errors import ZarrstreamError
from ..module_utils.zarrstream.object_store import anonymous_endpoint, ask_anonymously


class ObjectStoreInfoModule(OpenStackModule):
    argument_spec = {"bucket": {"type": "str"}, "endpoint_url": {"type": "str"}}
    module_kwargs = {"supports_check_mode": True}

    def run(self):
        try:
            self.exit_json(changed=False, **self.find())
        except ZarrstreamError as error:
            self.fail_json(msg=str(error), **error.details)

    def find(self):
        swift_url = self.conn.object_store.get_endpoint().rstrip("/")
        wanted = self.params["endpoint_url"] or self.conn.session.get_endpoint(
            service_type="s3", interface=self.conn.config.get_interface(), region_name=self.conn.config.get_region_name()
        )
        s3_url = s3_endpoint(wanted or origin(swift_url))
        verify, _client_certificate = self.conn.config.get_requests_verify_args()
        result = {
            "endpoint_url": s3_url,
            "object_store_url": swift_url,
            "ca_bundle": verify if isinstance(verify, str) and s3_url.startswith("https:") else None,
        }
        bucket = self.params["bucket"]
        if bucket:
            found = ask_anonymously(bucket, s3_url, swift_url, verify)
            container = self.container(bucket)
            result |= {
                "exists": container is not None,
                "objects": int(container.object_count or 0) if container else 0,
                "read_acl": (container and container.read_ACL) or "",
                "write_acl": (container and container.write_ACL) or "",
                "anonymous": asdict(found),
                "public": found.public,
                "private": found.private,
                "anonymous_endpoint": anonymous_endpoint(found, s3_url, swift_url),
            }
        return result

    def container(self, name):
        try:
            return self.conn.object_store.get_container_metadata(name)
        except self.sdk.exceptions.NotFoundException:
            return None


def main():
    ObjectStoreInfoModule()()


if __name__ == "__main__":
    main()
