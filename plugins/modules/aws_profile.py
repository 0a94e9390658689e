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
  - Endpoints that the profile names once more, in C(s3) or C(s3api) for the plugin awscli-plugin-endpoint, become O(endpoint_url);
    C(use_accelerate_endpoint) goes, with which AWS tools refuse every endpoint but Amazon's.
  - botocore itself reads the planned text before it is put in place. Where it would read any other section in another way, the module
    fails, and nothing is written; where it would not take the profile as it stands there, RV(shadowed_by) and RV(read_as) say so.
  - The file gets mode 0600 and is replaced in one step. A folder named C(.aws) gets mode 0700. Symbolic links are refused.
  - One run serves any number of users. Root then reads and writes with the rights of each, so that nothing that a user has put into
    a home leads elsewhere, and the files are the user's own.
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
  ca_certificates:
    description:
      - The CA itself, in PEM form. It is put beside the profile, as C(<name>-ca.pem), and the profile names it.
      - Left out, or with O(state=absent), a copy that the profile names is removed.
    type: str
  users:
    description:
      - Login names of those who get the profile, in C(~/.aws/config) of the home that passwd names.
      - Nothing is written before all of them have been found.
      - Users other than the one who runs the module want root. Without any, the profile is for the one who runs the module.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Says what would change, and writes nothing.
    support: full
  diff_mode:
    description: Shows the settings of the profile; of the secret only the fingerprint.
    support: full
requirements:
  - botocore
  - ConfigUpdater
"""

EXAMPLES = r"""
- name: Put the keys of Jetstream2 into the default profile
  zarrstream.platform.aws_profile:
    endpoint_url: https://js2.jetstream-cloud.org:8001
    access_key: "{{ vaulted_access_key }}"
    secret_key: "{{ vaulted_secret_key }}"

- name: Put them there for all who work on this machine
  zarrstream.platform.aws_profile:
    users: [alice, bob]
    endpoint_url: https://js2.jetstream-cloud.org:8001
    access_key: "{{ vaulted_access_key }}"
    secret_key: "{{ vaulted_secret_key }}"
  become: true

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
  description: The configuration file; of the first, with O(users).
  returned: success
  type: str
  sample: /home/ubuntu/.aws/config
files:
  description: What became of each user's file; one, without a user, where O(users) is empty.
  returned: success
  type: list
  elements: dict
  contains:
    user: {description: Login name., type: str}
    path: {description: The configuration file., type: str}
    ca_bundle: {description: The CA that the profile names., type: str}
    changed: {description: Whether the file or the CA beside it changes., type: bool}
    shadowed_by: {description: As below., type: list}
    read_as: {description: As below., type: dict}
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
read_as:
  description:
    - The settings that AWS tools take otherwise than the profile says, and what they take them for; secrets as fingerprints.
    - C(failure) is why they come to no request at all.
  returned: success
  type: dict
  sample: {endpoint_url: "https://s3.RegionOne.amazonaws.com"}
"""

import contextlib

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.zarrstream.errors import ZarrstreamError
from ..module_utils.zarrstream.libraries import missing_libraries_named
from ..module_utils.zarrstream.profiles import effective, profile_file
from ..module_utils.zarrstream.profiles.accounts import Account, acting_as, find_accounts
from ..module_utils.zarrstream.profiles.endpoint import s3_endpoint
from ..module_utils.zarrstream.profiles.profile_ca import ca_copy, plan_ca
from ..module_utils.zarrstream.profiles.profile_edit import load_library
from ..module_utils.zarrstream.profiles.profile_text import ProfileSettings, check_name
from ..module_utils.zarrstream.profiles.secret import fingerprint

SPEC = {
    "name": {"type": "str", "default": "default", "aliases": ["profile"]},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "access_key": {"type": "str", "no_log": False},
    "secret_key": {"type": "str", "no_log": True},
    "endpoint_url": {"type": "str"},
    "region": {"type": "str", "default": "RegionOne"},
    "addressing_style": {"type": "str", "choices": ["path", "virtual", "auto"], "default": "path"},
    "ca_bundle": {"type": "path"},
    "ca_certificates": {"type": "str"},
    "config_file": {"type": "path"},
    "users": {"type": "list", "elements": "str", "default": []},
}


def run(module: AnsibleModule) -> dict:
    """All users are looked at before the file of the first is written."""
    params = module.params
    name, present = params["name"], params["state"] == "present"
    check_name(name)
    # Before rights are given up: a user may not be able to read root's Python. A profile that is not there needs no library to be removed.
    with contextlib.suppress(*([] if present else [ImportError])):
        load_library()
        effective.load_library()
    accounts = find_accounts(params["users"]) or [None]
    foreseen = [ensure(params, account, dry=True) for account in accounts]
    done = foreseen if module.check_mode else [ensure(params, account, dry=False) for account in accounts]
    for _unused, _changes, misread in done:
        if misread.warning:
            module.warn(misread.warning)
    files = [result for result, _changes, _unused in done]
    return {
        "changed": any(result["changed"] for result in files),
        "diff": [change for _unused, changes, _misread in done for change in changes] if module._diff else [],
        "profile": name,
        "path": files[0]["path"],
        "files": files,
        "access_key": params["access_key"] if present else None,
        "secret_fingerprint": fingerprint(params["access_key"], params["secret_key"]) if present else None,
        "shadowed_by": [place for result in files for place in result["shadowed_by"]],
        "read_as": {setting: value for result in files for setting, value in result["read_as"].items()},
    }


def ensure(params: dict, account: Account | None, *, dry: bool) -> tuple[dict, list[dict], profile_file.Misread]:
    """Find, plan, apply for one user; the result, its diffs, and what AWS tools make of the profile."""
    name, present = params["name"], params["state"] == "present"
    config_file = str(account.home / ".aws" / "config") if account else params["config_file"]
    with acting_as(account) if account else contextlib.nullcontext(), profile_file.locked(config_file, make=present and not dry):
        found = profile_file.find(config_file)
        wanted = settings(params, found) if present else None
        plan = profile_file.plan_present(wanted, found) if wanted else profile_file.plan_absent(name, found)
        ca_plan = plan_ca(name, found, params["ca_certificates"] if wanted else None, wanted and wanted.ca_bundle)
        misread = profile_file.misread(name, plan.text, found, config_file) if wanted else profile_file.Misread(name)
        if not dry:
            ca_plan.apply()
            plan.apply()
    result = {
        "user": account and account.name,
        "path": str(found.path),
        "ca_bundle": wanted and wanted.ca_bundle,
        "changed": plan.changed or ca_plan.changed,
        "shadowed_by": list(misread.places),
        "read_as": misread.read_as,
    }
    return result, [plan.diff(), *([ca_plan.diff()] if ca_plan.changed else [])], misread


def settings(params: dict, found: profile_file.FoundFile) -> ProfileSettings:
    """The profile as the task describes it."""
    copy = ca_copy(params["name"], found.path) if params["ca_certificates"] else None
    return ProfileSettings(
        name=params["name"],
        access_key=params["access_key"],
        secret_key=params["secret_key"],
        endpoint_url=s3_endpoint(params["endpoint_url"]),
        region=params["region"],
        addressing_style=params["addressing_style"],
        ca_bundle=str(copy or params["ca_bundle"] or "") or None,
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec=SPEC,
        mutually_exclusive=[("users", "config_file"), ("ca_bundle", "ca_certificates")],
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
