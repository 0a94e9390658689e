#!/usr/bin/python
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: s3_probe
short_description: Test the access to an S3 object store, and name what is wrong
version_added: "0.1.0"
author: Zarrstream authors (@zarrstream)
description:
  - Takes named steps from the host where it runs, by s3fs and independently by boto3, with nothing but an AWS profile.
  - Fails with the cause of the first step that failed; the result lists all steps that were taken.
  - The steps are C(endpoint), C(clock), C(list_boto3) and C(list_s3fs), and with O(bucket) also C(put), C(get), C(anonymous), C(delete).
  - A step C(configuration) is added, and fails, where AWS tools on this host would not send what the profile says to where it says,
    since a setting of its file or a variable such as E(AWS_ENDPOINT_URL) is believed first. It names them. The other steps go without
    these variables, so that they say whether the profile itself is good. Variables that change no more than the form of requests are
    a warning.
options:
  bucket:
    description: The bucket to list, write to and read from. Without it, only the buckets are listed.
    type: str
  write:
    description:
      - Write a small object under a key that nobody has, read it back and delete it.
      - Check mode does not.
    type: bool
    default: true
  anonymous:
    description:
      - V(true) demands that a process without credentials can read the bucket, and finds out at which endpoint.
      - V(false) demands that anonymous clients can neither read nor list it, at any endpoint.
      - Where this is not set, anonymous clients are not asked about.
    type: bool
  object_store_url:
    description:
      - The project's Swift URL, as M(zarrstream.platform.ec2_credential) returns it.
      - Stock Swift serves anonymous clients only there; Ceph RGW also at the S3 endpoint.
    type: str
  debug_log:
    description:
      - A file on the host for the debug stream of botocore and s3fs, mode 0600, written anew each time.
      - Secrets, signatures and tokens are removed, so that it can be shown to the operators of the cloud.
      - Check mode writes none.
    type: path
attributes:
  check_mode:
    description: Takes the steps that read.
    support: full
  diff_mode:
    description: Nothing is changed.
    support: none
extends_documentation_fragment:
  - zarrstream.platform.s3
requirements:
  - boto3
  - s3fs
"""

EXAMPLES = r"""
- name: Test the access with the default profile
  zarrstream.platform.s3_probe:
    bucket: my-project-zarr

- name: Prove that everybody can read the bucket, and find out at which endpoint
  zarrstream.platform.s3_probe:
    bucket: my-project-zarr
    anonymous: true
    object_store_url: "{{ keys.object_store_url }}"
  register: probe

- name: Collect what the operators of the cloud will ask for
  zarrstream.platform.s3_probe:
    bucket: my-project-zarr
    debug_log: ~/s3-debug.log
"""

RETURN = r"""
checks:
  description: The steps that were taken, in their order.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: Name of the step., type: str, sample: list_s3fs}
    ok: {description: Whether it worked., type: bool}
    message: {description: What was seen; why it failed and what to do., type: str}
    seconds: {description: How long it took., type: float}
clock_skew_seconds:
  description: This host's clock less the server's; null where the server does not tell its time.
  returned: always
  type: int
  sample: 0
anonymous_endpoint:
  description: The endpoint for C(s3fs.S3FileSystem(anon=True)); null where O(anonymous) is not V(true).
  returned: always
  type: str
  sample: https://js2.jetstream-cloud.org:8001
server:
  description: What kind of object store answers, one of V(rgw), V(swift), V(unknown).
  returned: always
  type: str
  sample: rgw
environment:
  description: The variables of the environment that AWS tools believe rather than the profile; empty when nothing.
  returned: always
  type: list
  elements: dict
  contains:
    variable: {description: Its name., type: str, sample: AWS_ENDPOINT_URL}
    read_as: {description: "The settings that it decides, and what it makes of them; secrets hidden.", type: dict}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.zarrstream.errors import ZarrstreamError
from ..module_utils.zarrstream.libraries import missing_libraries_named
from ..module_utils.zarrstream.options import S3_OPTIONS
from ..module_utils.zarrstream.probe.run import request_from, run
from ..module_utils.zarrstream.profiles.effective import said

SPEC = {
    **S3_OPTIONS,
    "bucket": {"type": "str"},
    "write": {"type": "bool", "default": True},
    "anonymous": {"type": "bool"},
    "object_store_url": {"type": "str"},
    "debug_log": {"type": "path"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    quiet = {"write": False, "debug_log": None} if module.check_mode else {}
    try:
        with missing_libraries_named():
            report = run(request_from({**module.params, **quiet}))
    except ZarrstreamError as error:
        module.fail_json(msg=str(error), checks=[], environment=[], **error.details)
    result = report.as_result()
    for rule in report.rules:
        if not rule.leads_elsewhere:
            module.warn(f"{rule.variable} of the environment rules rather than the profile for AWS tools here ({said(rule.read_as)}).")
    if report.failure:
        module.fail_json(msg=str(report.failure), **{**report.failure.details, **result})
    module.exit_json(**result)


if __name__ == "__main__":
    main()
