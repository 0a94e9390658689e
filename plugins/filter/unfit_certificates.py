# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
name: unfit_certificates
short_description: Which certificates of a Dask cluster are to be made or renewed
version_added: "0.1.0"
author: Zarrstream authors (@zarrstream)
description:
  - Looks at keys and certificates in a folder on the controller, as the role C(dask_tls) makes them.
  - Names those that are missing, belong to another key, another CA, other addresses or another use, have other modes, or end soon.
positional: folder, common_name, renew_days
options:
  _input:
    description:
      - What is wanted. C(name) is the name of the files, C(<name>.pem) and C(<name>.key); C(common_name) is the only part of the subject;
        C(addresses) are alternative names such as C(IP:10.0.0.5); C(usage) is how the key may be used, such as C(clientAuth).
    type: list
    elements: dict
    required: true
  folder:
    description: The folder, where C(ca.pem) and C(ca.key) are the CA.
    type: path
    required: true
  common_name:
    description: The name of the CA.
    type: str
    required: true
  renew_days:
    description: A certificate that ends within these days is named.
    type: float
    required: true
"""

EXAMPLES = r"""
- name: Show what is to be made
  ansible.builtin.debug:
    msg: "{{ [client] | zarrstream.platform.unfit_certificates('/srv/dask/1', 'Zarrstream Dask CA', 30) }}"
  vars:
    client: {name: client-ada, common_name: Zarrstream Dask client, addresses: [], usage: [clientAuth]}
"""

RETURN = r"""
_value:
  description:
    - The names; all of them, and C(ca), where the CA is not as the role makes it.
    - C(.) is the folder, where it is not there, or open to others.
  type: list
  elements: str
"""

from pathlib import Path

from ansible_collections.zarrstream.platform.plugins.module_utils.zarrstream.dask import certificates


def unfit_certificates(wanted: list[dict], folder: str, common_name: str, renew_days: float) -> list[str]:
    asked = [certificates.Wanted(each["name"], each["common_name"], tuple(each["addresses"]), tuple(each["usage"])) for each in wanted]
    return certificates.unfit(Path(folder).expanduser(), asked, common_name, float(renew_days))


class FilterModule:
    def filters(self) -> dict:
        return {"unfit_certificates": unfit_certificates}
