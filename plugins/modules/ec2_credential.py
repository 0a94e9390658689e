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

from pathlib import Path

from ..module_utils.cloud_module import CloudModule
from ..module_utils.zarrstream.errors import BadRequest, ZarrstreamError
from ..module_utils.zarrstream.libraries import missing_libraries_named
from ..module_utils.zarrstream.openstack import ec2_note
from ..module_utils.zarrstream.openstack.catalog import endpoint_from
from ..module_utils.zarrstream.openstack.ec2_change import Change, Outcome
from ..module_utils.zarrstream.openstack.ec2_find import Place, find
from ..module_utils.zarrstream.openstack.ec2_note import Owner
from ..module_utils.zarrstream.openstack.ec2_plan import Pair, Phase, Wanted, plan
from ..module_utils.zarrstream.openstack.keystone import Ec2Keys, login, services
from ..module_utils.zarrstream.openstack.signed_request import SignedRequest
from ..module_utils.zarrstream.profiles import profile_file
from ..module_utils.zarrstream.profiles.profile_ca import ca_copy, plan_ca, settled_ca
from ..module_utils.zarrstream.profiles.profile_text import ProfileSettings, check_name
from ..module_utils.zarrstream.profiles.secret import fingerprint


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
        """Revoke pairs by their access keys; the profile has no part in it, and the note loses them."""
        wanted = self.params["revoke"]
        if self.params["state"] == "present":
            raise BadRequest("revoke goes with state=absent: a run makes keys, or revokes some.")
        keys = Ec2Keys(self.conn, login(self.conn))
        notes = ec2_note.read(profile_file.find(self.params["config_file"]).path)
        revoked = []
        for each in wanted:
            if keys.look(each).exists if self.check_mode else keys.delete(each):
                revoked.append(each)
            if not self.check_mode:
                notes.save(notes.note.without(each))
        return {"changed": bool(revoked), "action": "revoked" if revoked else "none", "revoked": revoked}

    def ensure(self):
        """Find, plan, apply."""
        params, name = self.params, self.params["profile"]
        if params["grace"] < 0:
            raise BadRequest(f"grace is {params['grace']}: a number of seconds, 0 or more, is wanted.")
        who = login(self.conn)
        catalog = services(self.conn)
        wanted = self.wanted(who)
        endpoint = endpoint_from(params["endpoint_url"], catalog, required=wanted.present)
        file = profile_file.find(params["config_file"])
        notes = ec2_note.read(file.path)
        settings = profile_file.values(name, file)
        held_ca = settings.get("ca_bundle")
        # A path that was asked for by name gives way to the copy beside the profile alone.
        stays = not params["ca_bundle"] or held_ca == str(ca_copy(name, file.path))
        cloud_ca = params["ca_bundle"] or self.ca_of_cloud(endpoint)
        ca_bundle = settled_ca(cloud_ca, held_ca if stays else None)
        proof = SignedRequest(name, endpoint or "", params["region"], ca_bundle, settings.get("region"))
        keys = Ec2Keys(self.conn, who)
        place = self.place(wanted.owner, settings, file, notes.note)

        decision = plan(wanted, find(wanted, place, keys, proof, who))

        change = Change(
            decision=decision,
            settings=lambda pair: ProfileSettings(name, pair.access_key, pair.secret_key, endpoint, proof.region, ca_bundle=ca_bundle),
            found=file,
            owner=wanted.owner,
            note=place.note,
            notes=notes,
            present=wanted.present,
        )
        preview = change.preview()
        misread = profile_file.misread(name, preview.text if wanted.present else None, file, params["config_file"])
        # Where a host's profile is the controller's, the copy of the CA beside it goes with the profile. A file that says anything else
        # than the cloud's CA, or is the only one that does, is somebody's own and stays.
        is_copy = bool(held_ca) and ca_bundle == held_ca != cloud_ca
        ca_copy_of_it = plan_ca(name, file, None) if is_copy and not wanted.present else None
        outcome = change.foreseen() if self.check_mode else change.apply(keys, proof, grace=params["grace"])
        if ca_copy_of_it and not self.check_mode:
            ca_copy_of_it.apply()
        if misread.warning:
            self.warn(misread.warning)
        for each in outcome.left:
            self.warn(f"access key {each.access_key} was left valid: {each.why}.")
        return {
            "changed": preview.changed or bool(outcome.revoked),
            "diff": (preview if self.check_mode else change.final(outcome.pair)).diff() if self.ansible._diff else {},
            "action": str(decision.action),
            **described(outcome),
            "ours": decision.ours,
            "replaced": list(decision.replaced),
            "note": str(notes.path),
            "profile": name,
            "config_file": str(file.path),
            "shadowed_by": list(misread.places),
            "read_as": misread.read_as,
            "endpoint_url": endpoint,
            "object_store_url": catalog.object_store_url,
            "region": proof.region,
            "ca_bundle": ca_bundle,
            "project_id": who.project_id,
        }

    def wanted(self, who):
        """The request in the core's words."""
        params = self.params
        return Wanted(
            Owner(params["profile"], who.cloud, who.auth_url, who.user_id, who.project_id),
            present=params["state"] == "present",
            rotate=params["rotate"],
            phase=Phase(params["phase"]),
            supplied=Pair(params["access_key"], params["secret_key"]) if params["access_key"] else None,
            adopt=params["adopt"],
            revoke_adopted=params["revoke_adopted"],
        )

    def place(self, owner, settings, file, note):
        """What lies on the controller."""
        held = held_pair(settings)
        settled = ec2_note.settled(note, owner, held and held.access_key)
        named = {each.access_key for each in settled.of(owner) if each.access_key} | ({held.access_key} if held else set())
        holders = {key: profile_file.holders(key, owner.profile, file, self.params["config_file"]) for key in named}
        return Place(held, settled, {key: " and ".join(places) for key, places in holders.items() if places})

    def ca_of_cloud(self, endpoint):
        """The CA of the cloud, for an endpoint with TLS."""
        verify, _client = self.conn.config.get_requests_verify_args()
        if isinstance(verify, str) and endpoint and endpoint.startswith("https://"):
            return str(Path(verify).absolute())  # the SDK has put the home in
        return None


def held_pair(settings):
    """The pair in the profile, where both halves are there."""
    access_key, secret_key = settings.get("aws_access_key_id"), settings.get("aws_secret_access_key")
    return Pair(access_key, secret_key) if access_key and secret_key else None


def described(outcome: Outcome):
    """What may be said of the outcome."""
    pair = outcome.pair
    return {
        "access_key": pair.access_key if pair else None,
        "fingerprint": fingerprint(pair.access_key, pair.secret_key) if pair else None,
        "revoked": list(outcome.revoked),
        "left": [{"access_key": each.access_key, "why": each.why} for each in outcome.left],
    }


def main() -> None:
    Ec2CredentialModule()()


if __name__ == "__main__":
    main()
