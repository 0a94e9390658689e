#!/usr/bin/python
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: object_store_info
short_description: Endpoints of a cloud's object store, and what anonymous clients may do with a bucket
version_added: "0.1.0"
author: Zarrstream authors (@zarrstream)
description:
  - Reads the S3 endpoint and the Swift URL of the project from the catalog.
  - Asks the server, without credentials, whether a bucket can be listed and its objects be read, by the S3 and by the Swift API, with up to
    16 keys of several prefixes that the login's own listing names.
  - Reads the bucket's policy, S3 ACL and versioning, where a pair of S3 keys lets it, that of O(profile), else one that Keystone lists for
    this login. What could not be read is said in RV(unknown).
  - Ceph RGW serves unsigned S3 requests at its endpoint, stock Swift only under the project's own URL; the result names the one that works.
  - The S3 endpoint is the catalog's service C(s3), else host and port of its C(object-store).
options:
  bucket:
    description: The bucket to ask about. Without it only the endpoints are returned.
    type: str
  endpoint_url:
    description: The S3 endpoint, where the catalog has no service of type C(s3) and the Swift service does not serve S3 beside it.
    type: str
  profile:
    description: The AWS profile whose keys read the bucket's policy and S3 ACL.
    type: str
  config_file:
    description: The AWS configuration file that holds O(profile).
    type: path
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
- name: Find out how anonymous clients reach the bucket
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
bucket:
  description: The bucket's name.
  returned: when O(bucket) is set
  type: str
cloud:
  description: The cloud's entry in C(clouds.yaml).
  returned: success
  type: str
exists:
  description: Whether the project has the bucket.
  returned: when O(bucket) is set
  type: bool
taken:
  description: Whether the name belongs to another project, in a cloud whose projects share one name space.
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
    s3_read: {description: Reading by S3 each object that was asked for., type: bool}
    swift_list: {description: Listing by Swift., type: bool}
    swift_read: {description: Reading by Swift each object that was asked for., type: bool}
    asked: {description: How many objects were asked for; none in an empty bucket., type: int}
    open_keys: {description: Those that can be read by at least one of the two., type: list}
public:
  description: Whether anonymous clients can list and read by at least one of the two.
  returned: when O(bucket) is set
  type: bool
private:
  description: Whether nothing worked without credentials, and no policy or ACL that could be read lets anybody in.
  returned: when O(bucket) is set
  type: bool
why_open:
  description: What works without credentials and by what, for people; empty where the bucket is private.
  returned: when O(bucket) is set
  type: str
open_by:
  description: The statements of the policy and the grants of the S3 ACL that let everybody in, or each user of the cloud.
  returned: when O(bucket) is set
  type: list
  elements: dict
  contains:
    where: {description: Policy or ACL., type: str}
    what: {description: What they allow., type: str}
    writes: {description: Whether that is more than reading., type: bool}
    conditional: {description: Whether only under a condition., type: bool}
closable:
  description: Whether M(zarrstream.platform.bucket_access) would take anything of that away.
  returned: when O(bucket) is set
  type: bool
s3_grants:
  description: Whom the S3 ACL lets in by name, other than the owner.
  returned: when O(bucket) is set
  type: list
  elements: str
versioned:
  description: Whether the bucket keeps, or has kept, versions of objects; null where that could not be read.
  returned: when O(bucket) is set
  type: bool
unknown:
  description: What could not be read, and why.
  returned: when O(bucket) is set
  type: list
  elements: str
anonymous_endpoint:
  description: The endpoint for C(s3fs.S3FileSystem(anon=True)); none where anonymous clients may not read.
  returned: when O(bucket) is set
  type: str
"""

from functools import partial

from ..module_utils.cloud_module import CloudModule
from ..module_utils.zarrstream.openstack.catalog import endpoint_from, swift_url_of
from ..module_utils.zarrstream.openstack.keystone import ca_for, services, verification
from ..module_utils.zarrstream.probe.privacy import look
from ..module_utils.zarrstream.probe.signer import signer


class ObjectStoreInfoModule(CloudModule):
    argument_spec = {
        "bucket": {"type": "str"},
        "endpoint_url": {"type": "str"},
        "profile": {"type": "str"},
        "config_file": {"type": "path"},
    }
    module_kwargs = {"supports_check_mode": True}

    def answer(self):
        params, catalog = self.params, services(self.conn)
        swift_url = swift_url_of(catalog, str(self.conn.config.name))
        s3_url = endpoint_from(params["endpoint_url"], catalog)
        ca_bundle = ca_for(self.conn, s3_url)
        result = {"endpoint_url": s3_url, "object_store_url": swift_url, "ca_bundle": ca_bundle, "cloud": self.conn.config.name}
        if params["bucket"]:
            result["bucket"] = params["bucket"]
            who = partial(signer, self.conn, s3_url, ca_bundle, params["profile"], params["config_file"])
            result |= look(params["bucket"], self.conn.object_store, who, s3_url, swift_url, verification(self.conn)).as_result()
        return result


def main():
    ObjectStoreInfoModule()()


if __name__ == "__main__":
    main()
