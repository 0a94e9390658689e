#!/usr/bin/python
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: ec2_credential
short_description: S3 keys of an OpenStack project, in an AWS profile
version_added: "0.1.0"
author: Zarrstream authors (@zarrstream)
description:
  - Makes sure that an AWS profile on the controller holds a pair of S3 keys for the project of the login, proved by a signed request.
  - Reuses the pair of the profile while it works; else one that Keystone lists for the project; else creates one.
    A cloud that refuses to list them is never taken for one that has none while the profile's own pair cannot be judged.
  - The secret goes straight into the profile. It is in no result, diff or log.
  - A note beside the file, C(<file>.zarrstream.json) with mode 0600 and without any secret, says which pairs the module has made, for
    which profile, and by which login. A pair is noted before Keystone is asked for it, so that the next run uses or revokes what an
    interrupted one has left.
  - A pair that the note does not name, in the profile or in Keystone's list, is used and never revoked, unless O(revoke_adopted) is set.
    RV(ours) and RV(left) say so.
  - Newer Keystones refuse some application credentials to create keys. The error names the cause and the ways out, among them
    O(access_key) and O(secret_key) from the cloud's dashboard.
options:
  profile:
    description: The AWS profile that holds the pair.
    type: str
    default: default
  config_file:
    description:
      - The AWS configuration file that holds O(profile).
      - Where this is not set, E(AWS_CONFIG_FILE) or V(~/.aws/config) is used, as any AWS tool does.
    type: path
  state:
    description:
      - V(present) makes sure that the profile holds a pair that works.
      - V(absent) removes the profile, and revokes the pairs that the note has for it.
    type: str
    choices: [present, absent]
    default: present
  rotate:
    description:
      - Create a new pair, prove it, put it into the profile, and revoke the old one, in this order.
      - Every run with it rotates, but for one that finds a rotation that has begun, which it goes on with.
    type: bool
    default: false
  phase:
    description:
      - How far O(rotate) goes in this run. Hosts that have a copy of the profile need the new pair before the old one is revoked.
      - V(all) is for a profile that nobody has a copy of.
      - V(begin) ends when the profile holds the new pair; the old one stays valid, as RV(replaced).
      - V(finish) revokes what V(begin) has replaced, once the pair in the profile is proved, and makes none.
    type: str
    choices: [all, begin, finish]
    default: all
  grace:
    description: Seconds between the writing of a new pair and the revoking of the old one, for requests that are on their way.
    type: int
    default: 5
  adopt:
    description:
      - Whether a pair that only Keystone's list shows may be used. Whoever made it, such as another controller, may revoke it.
      - V(false) makes a pair for this profile, which nobody else knows of.
    type: bool
    default: true
  revoke_adopted:
    description: With O(state=absent) or O(rotate), revoke a pair too that the note does not name. Others may be using it.
    type: bool
    default: false
  access_key:
    description: A ready-made access key, for clouds that let this login create none. Proved, then written. Needs O(secret_key).
    type: str
  secret_key:
    description: The secret of O(access_key).
    type: str
  revoke:
    description:
      - With O(state=absent), access keys of pairs of this login to revoke, whoever made them, rather than the pair in the profile, which
        stays as it is.
      - Nothing but RV(action), RV(revoked) and C(changed) is returned then.
    type: list
    elements: str
    default: []
  endpoint_url:
    description:
      - The S3 endpoint, without V(/swift/v1).
      - Where this is not set, the service C(s3) of the catalog, else host and port of its object store.
    type: str
  region:
    description:
      - The region in S3 signatures, which need not be the region of the cloud.
      - Where this is not set, the profile's own or V(RegionOne), or the one that the server says it expects.
    type: str
  ca_bundle:
    description: The CA of the endpoint, a PEM file. Where this is not set, the C(cacert) of the cloud, for an endpoint with TLS.
    type: path
attributes:
  check_mode:
    description: Proves the pair at hand, and says what would be made or revoked.
    support: full
  diff_mode:
    description: Shows the settings of the profile; of the secret only the fingerprint.
    support: full
extends_documentation_fragment:
  - openstack.cloud.openstack
requirements:
  - boto3
  - ConfigUpdater
seealso:
  - module: zarrstream.platform.aws_profile
  - module: zarrstream.platform.s3_probe
"""

EXAMPLES = r"""
- name: Get S3 keys for the allocation
  zarrstream.platform.ec2_credential:
    cloud: jetstream2

- name: Replace them, where no host has a copy
  zarrstream.platform.ec2_credential:
    cloud: jetstream2
    rotate: true

- name: Replace them, where hosts have copies; the old pair stays valid
  zarrstream.platform.ec2_credential:
    cloud: jetstream2
    rotate: true
    phase: begin

- name: Revoke the old pair, when each host has the new one
  zarrstream.platform.ec2_credential:
    cloud: jetstream2
    rotate: true
    phase: finish

- name: Use keys from the dashboard, on a cloud that lets application credentials create none
  zarrstream.platform.ec2_credential:
    cloud: jetstream2
    access_key: "{{ vaulted_access_key }}"
    secret_key: "{{ vaulted_secret_key }}"

- name: Revoke a pair that nobody uses any more
  zarrstream.platform.ec2_credential:
    cloud: jetstream2
    state: absent
    revoke: [0123456789abcdef0123456789abcdef]

- name: Remove the profile, and revoke the keys that were made for it
  zarrstream.platform.ec2_credential:
    cloud: jetstream2
    state: absent
"""

RETURN = r"""
action:
  description:
    - What was done about the pair, or would be in check mode.
    - One of V(reused), V(listed), V(recovered), V(created), V(supplied), V(rotated), V(revoked), V(removed), V(none).
    - V(recovered) is a pair that the note names, from a run that was interrupted or a profile that got lost.
    - V(removed) is a profile that went and whose pair stays.
  returned: success
  type: str
  sample: reused
access_key:
  description: The access key in the profile; null when there is none, or when check mode would create one.
  returned: success
  type: str
fingerprint:
  description: Twelve digits that are the same for the same pair, to compare hosts without the secret; null where O(ignore:access_key) is.
  returned: success
  type: str
  sample: 0f3a6d1c9b2e
revoked:
  description: The access keys that were revoked, or would be in check mode.
  returned: success
  type: list
  elements: str
ours:
  description:
    - Whether the note says that the pair in the profile was made by this module, for this profile and login.
    - Null where the profile holds none.
  returned: success
  type: bool
replaced:
  description: Access keys whose place another has taken, and that stay valid until O(phase=finish).
  returned: success
  type: list
  elements: str
left:
  description: Pairs that stay valid, and why they are not revoked.
  returned: success
  type: list
  elements: dict
  contains:
    access_key: {description: The access key., type: str}
    why: {description: Why it stays., type: str}
note:
  description: Where the note lies, or would.
  returned: success
  type: str
  sample: /home/ubuntu/.aws/config.zarrstream.json
profile:
  description: Name of the profile.
  returned: success
  type: str
  sample: default
config_file:
  description: The file that holds it.
  returned: success
  type: str
  sample: /home/ubuntu/.aws/config
shadowed_by:
  description: What AWS tools believe rather than this profile, such as its namesake in C(~/.aws/credentials); empty when nothing.
  returned: success
  type: list
  elements: str
read_as:
  description:
    - The settings that AWS tools take otherwise than the profile says, and what they take them for; secrets as fingerprints.
    - C(failure) is why they come to no request at all.
  returned: success
  type: dict
  sample: {endpoint_url: "https://s3.RegionOne.amazonaws.com"}
endpoint_url:
  description: The S3 endpoint; null with O(state=absent) where the catalog names none.
  returned: success
  type: str
  sample: https://js2.jetstream-cloud.org:8001
object_store_url:
  description: The Swift URL of the project in the catalog, which also serves anonymous reads; null where there is none.
  returned: success
  type: str
  sample: https://js2.jetstream-cloud.org:8001/swift/v1
region:
  description: The region for S3 signatures.
  returned: success
  type: str
  sample: RegionOne
ca_bundle:
  description: The CA of the endpoint; null where the system knows it.
  returned: success
  type: str
project_id:
  description: The project of the login.
  returned: success
  type: str
"""

from ..module_utils.cloud_module import CloudModule
from ..module_utils.zarrstream.errors import BadRequest, ZarrstreamError
from ..module_utils.zarrstream.libraries import missing_libraries_named
from ..module_utils.zarrstream.openstack.ec2_plan import Pair, Phase
from ..module_utils.zarrstream.openstack.ec2_request import Ec2Request, ensure, revoke
from ..module_utils.zarrstream.profiles import profile_file
from ..module_utils.zarrstream.profiles.profile_text import check_name


class Ec2CredentialModule(CloudModule):
    argument_spec = {
        "profile": {"type": "str", "default": "default"},
        "config_file": {"type": "path"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "rotate": {"type": "bool", "default": False},
        "phase": {"type": "str", "choices": ["all", "begin", "finish"], "default": "all"},
        "grace": {"type": "int", "default": 5},
        "adopt": {"type": "bool", "default": True},
        "revoke_adopted": {"type": "bool", "default": False},
        "access_key": {"type": "str", "no_log": False},
        "secret_key": {"type": "str", "no_log": True},
        "revoke": {"type": "list", "elements": "str", "default": [], "no_log": False},
        "endpoint_url": {"type": "str"},
        "region": {"type": "str"},
        "ca_bundle": {"type": "path"},
    }
    module_kwargs = {"supports_check_mode": True, "required_together": [("access_key", "secret_key")]}

    def run(self):
        try:
            with missing_libraries_named():
                check_name(self.params["profile"])
                with profile_file.locked(self.params["config_file"], make=self.params["state"] == "present" and not self.check_mode):
                    result = self.revoke() if self.params["revoke"] else self.ensure()
        except ZarrstreamError as error:
            self.fail_json(msg=str(error), **{"profile": self.params["profile"], **error.details})
        self.exit_json(**result)

    def revoke(self):
        """Pairs by their access keys; the profile has no part in it."""
        if self.params["state"] == "present":
            raise BadRequest("revoke goes with state=absent: a run makes keys, or revokes some.")
        revoked = revoke(self.params["revoke"], self.params["config_file"], self.conn, dry_run=self.check_mode)
        return {"changed": bool(revoked), "action": "revoked" if revoked else "none", "revoked": revoked}

    def ensure(self):
        """The profile and its pair."""
        done = ensure(self.request(), self.conn, dry_run=self.check_mode)
        for warning in done.warnings():
            self.warn(warning)
        return {**done.as_result(), "diff": done.diff() if self.ansible._diff else {}}

    def request(self):
        """The request in the core's words."""
        params = self.params
        same = ("profile", "config_file", "rotate", "grace", "adopt", "revoke_adopted", "endpoint_url", "region", "ca_bundle")
        return Ec2Request(
            **{name: params[name] for name in same},
            present=params["state"] == "present",
            phase=Phase(params["phase"]),
            supplied=Pair(params["access_key"], params["secret_key"]) if params["access_key"] else None,
        )


def main() -> None:
    Ec2CredentialModule()()


if __name__ == "__main__":
    main()
