# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  source_profile:
    description:
      - The AWS profile with which O(source) is read where that is in a bucket, with the endpoint and the certificate authority of that
        profile. Without it, O(profile).
      - This and the seven options after it make no difference to the store. They are for what O(source) has in buckets and on the web.
    type: str
  source_endpoint_url:
    description:
      - The S3 endpoint of O(source), where that is not the one of the profile.
    type: str
  source_anonymous:
    description:
      - Read O(source) from buckets without keys, as anybody may. Not together with O(source_profile).
    type: bool
    default: false
  source_ca_bundle:
    description:
      - The CA of the servers of O(source), a PEM file on the host, where the system does not know it. Without it, O(ca_bundle).
    type: path
  source_token_file:
    description:
      - A file on the host with a bearer token, alone on its line, for O(source) on the web. Nobody but its owner may read it. It is
        read again when it has changed.
      - It is sent to one host, by HTTPS alone, but for this machine itself, and to no other to which that one sends on.
      - Without it, C(~/.netrc) or the file in E(NETRC) is looked up for basic authentication, with the same limits.
    type: path
  source_hosts:
    description:
      - Hosts to which servers of O(source) may send requests on, as V(host) or V(host:port). To others than the one in the URL no
        redirect is followed without this, and no credentials are sent.
    type: list
    elements: str
    default: []
  source_concurrency:
    description:
      - How many requests for O(source) a host gets at a time, at most. It gets fewer while it does not keep up.
    type: int
    default: 16
  spool:
    description:
      - A folder on the host for files of O(source) that cannot be read by ranges, such as those of a server that sends none, when they
        do not fit into memory any more. A file there has no name, and is gone when the module ends. Without it such a file is refused.
    type: path
"""
