# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  scheduler:
    description:
      - The scheduler of a Dask cluster whose workers do the work, such as V(tls://10.0.0.5:8786). Without it, this host does.
      - V(tcp://10.0.0.5:8786) is not encrypted, and whoever reaches such a scheduler may run what they like on it.
      - Each worker reads the source itself, and uses the profile of its own host. Source, profile and, if it is a folder, the
        store have to be at the same place on all of them. That, and equal versions of Python and the libraries, is found out before
        anything is written. The code of this module is sent along. Secrets are not.
    type: str
  scheduler_tls:
    description:
      - The files of this host with which O(scheduler) lets it in. Without it, those of Dask's own configuration.
    type: dict
    suboptions:
      ca_file:
        description: The certificate of the cluster's CA.
        type: path
        required: true
      cert:
        description: A certificate that this CA has signed.
        type: path
        required: true
      key:
        description: Its key.
        type: path
        required: true
"""
