#!/usr/bin/python
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: aws_profile
short_description: One profile in the AWS configuration file, complete for an OpenStack object store
version_added: "0.1.0"
author: Zarrstream authors (@zarrstream)
description:
  - Writes keys, region, endpoint, checksum and addressing settings, so that C(s3fs.S3FileSystem(profile=...)) and
    C(boto3.Session(profile_name=...)) need nothing beside the profile's name.
  - Other profiles, comments, order and line ends stay byte for byte. Settings of the profile that the module does not know stay too.
  - The file gets mode 0600 and is replaced in one step. A folder named C(.aws) gets mode 0700. Symbolic links are refused.
options:
  name:
    description: Name of the profile.
    type: str
    default: default
    aliases: [profile]
  state:
    description:
      - V(present) writes the profile.
      - V(absent) removes what this module writes, and the section with it where nothing else is in it.
    type: str
    choices: [present, absent]
    default: present
  access_key:
    description: The access key. Required with O(state=present).
    type: str
  secret_key:
    description: Its secret. Required with O(state=present).
    type: str
  endpoint_url:
    description:
      - The S3 endpoint, such as V(https://js2.jetstream-cloud.org:8001); without V(/swift/v1).
      - Required with O(state=present), since AWS tools would turn to Amazon without it.
    type: str
  region:
    description: The region in signatures. Swift checks it, Ceph RGW takes any.
    type: str
    default: RegionOne
  addressing_style:
    description: Whether the bucket stands in the path of URLs or in the host's name. Object stores of OpenStack clouds want V(path).
    type: str
    choices: [path, virtual, auto]
    default: path
  ca_bundle:
    description: The CA of the endpoint, a PEM file on the host, where the system does not know it. Left out, the profile has none.
    type: path
  config_file:
    description:
      - The AWS configuration file that holds the profile.
      - Where this is not set, E(AWS_CONFIG_FILE) or V(~/.aws/config) is used, as any AWS tool does.
    type: path
attributes:
  check_mode:
    description: Says what would change, and writes nothing.
    support: full
  diff_mode:
    description: Shows the settings of the profile; of the secret only the fingerprint.
    support: full
requirements:
  - ConfigUpdater
"""

EXAMPLES = r"""
- name: Put the keys of Jetstream2 into the default profile
  zarrstream.platform.aws_profile:
    endpoint_url: https://js2.jetstream-cloud.org:8001
    access_key: "{{ vaulted_access_key }}"
    secret_key: "{{ vaulted_secret_key }}"

- name: Remove the profile of a test cloud
  zarrstream.platform.aws_profile:
    name: test
    state: absent
"""

RETURN = r"""
profile:
  description: Name of the profile.
  returned: always
  type: str
  sample: default
path:
  description: The configuration file.
  returned: success
  type: str
  sample: /home/ubuntu/.aws/config
access_key:
  description: The access key that the profile holds; null with O(state=absent).
  returned: success
  type: str
secret_fingerprint:
  description: Twelve digits that are the same for the same pair, to compare hosts without the secret; null with O(state=absent).
  returned: success
  type: str
  sample: 0f3a6d1c9b2e
shadowed_by:
  description: What AWS tools believe rather than this profile, such as its namesake in C(~/.aws/credentials); empty when nothing.
  returned: success
  type: list
  elements: str
  sample: [/home/ubuntu/.aws/credentials]
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.zarrstream import profile_file
from ..module_utils.zarrstream.endpoint import s3_endpoint
from ..module_utils.zarrstream.errors import ZarrstreamError
from ..module_utils.zarrstream.libraries import missing_libraries_named
from ..module_utils.zarrstream.profile_text import ProfileSettings, check_name
from ..module_utils.zarrstream.secret import fingerprint

SPEC = {
    "name": {"type": "str", "default": "default", "aliases": ["profile"]},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "access_key": {"type": "str", "no_log": False},
    "secret_key": {"type": "str", "no_log": True},
    "endpoint_url": {"type": "str"},
    "region": {"type": "str", "default": "RegionOne"},
    "addressing_style": {"type": "str", "choices": ["path", "virtual", "auto"], "default": "path"},
    "ca_bundle": {"type": "path"},
    "config_file": {"type": "path"},
}


def run(module: AnsibleModule) -> dict:
    """Find, plan, apply."""
    params = module.params
    name, present = params["name"], params["state"] == "present"
    check_name(name)
    with profile_file.locked(params["config_file"], make=present and not module.check_mode):
        found = profile_file.find(params["config_file"])
        plan = profile_file.plan_present(settings(params), found) if present else profile_file.plan_absent(name, found)
        if not module.check_mode:
            plan.apply()
    shadows = profile_file.shadowed_by(name, plan.text, found, params["config_file"]) if present else []
    if shadows:
        module.warn(profile_file.shadow_warning(name, shadows))
    return {
        "changed": plan.changed,
        "diff": plan.diff() if module._diff else {},
        "profile": name,
        "path": str(found.path),
        "access_key": params["access_key"] if present else None,
        "secret_fingerprint": fingerprint(params["access_key"], params["secret_key"]) if present else None,
        "shadowed_by": shadows,
    }


def settings(params: dict) -> ProfileSettings:
    """The profile as the task describes it."""
    return ProfileSettings(
        name=params["name"],
        access_key=params["access_key"],
        secret_key=params["secret_key"],
        endpoint_url=s3_endpoint(params["endpoint_url"]),
        region=params["region"],
        addressing_style=params["addressing_style"],
        ca_bundle=params["ca_bundle"] or None,
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec=SPEC,
        required_if=[("state", "present", ["access_key", "secret_key", "endpoint_url"])],
        supports_check_mode=True,
    )
    try:
        with missing_libraries_named():
            result = run(module)
    except ZarrstreamError as error:
        module.fail_json(msg=str(error), **{"profile": module.params["name"], **error.details})
    module.exit_json(**result)


if __name__ == "__main__":
    main()
