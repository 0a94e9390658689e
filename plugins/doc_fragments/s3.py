# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  profile:
    description:
      - The AWS profile that holds keys, region and endpoint.
      - A profile written by M(zarrstream.platform.aws_profile) needs nothing beside it.
    type: str
  endpoint_url:
    description:
      - The S3 endpoint, such as V(https://js2.jetstream-cloud.org:8001); without V(/swift/v1).
      - Taken from the profile where this is not set. There is no fall-back to Amazon.
    type: str
  config_file:
    description:
      - The AWS configuration file that holds O(profile).
      - Where this is not set, E(AWS_CONFIG_FILE) or V(~/.aws/config) is used, as any AWS tool does.
    type: path
  ca_bundle:
    description:
      - The CA of the endpoint, a PEM file on the host, where the system does not know it.
      - Taken from the profile where this is not set.
    type: path
"""
