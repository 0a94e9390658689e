# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
name: sites
short_description: Which cloud and which AWS profile each declared bucket and data set belongs to
version_added: "0.1.0"
author: Zarrstream authors (@zarrstream)
description:
  - What names no C(cloud) belongs to the inventory's own. A data set belongs where the bucket of its store does. The profile of another
    cloud is called as the cloud, unless C(profile) says otherwise.
positional: datasets, cloud, profile, only
options:
  _input:
    description: The buckets, as C(zarr_buckets) has them.
    type: list
    elements: dict
    required: true
  datasets:
    description: The data sets, as C(zarr_datasets) has them.
    type: list
    elements: dict
    required: true
  cloud:
    description: The inventory's own cloud.
    type: str
    required: true
  profile:
    description: The profile of its keys.
    type: str
    required: true
  only:
    description: The one cloud of which anything is wanted; empty for all.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Show the sites of an inventory
  ansible.builtin.debug:
    msg: "{{ (zarr_buckets | zarrstream.platform.sites(zarr_datasets, zarr_cloud, zarr_profile)).sites }}"
"""

RETURN = r"""
_value:
  description: >-
    C(sites), each with C(cloud), C(profile), C(own) and C(bucket), the first of its buckets; C(buckets) and C(datasets),
    each with C(cloud), C(profile) and C(place), which is C(cloud/bucket); a data set has the C(stack_path) of its bucket too.
  type: dict
"""

from collections.abc import Sequence

from ansible.errors import AnsibleFilterError
from ansible_collections.zarrstream.platform.plugins.module_utils.zarrstream.errors import ZarrstreamError
from ansible_collections.zarrstream.platform.plugins.module_utils.zarrstream.openstack.sites import declared


def sites(buckets: Sequence[dict], datasets: Sequence[dict], cloud: str, profile: str, only: str = "") -> dict:
    try:
        found = declared(buckets, datasets, cloud, profile)
        return (found.only(only) if only else found).as_result()
    except ZarrstreamError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    def filters(self) -> dict:
        return {"sites": sites}
