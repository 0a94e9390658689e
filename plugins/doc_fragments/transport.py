# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  timeout:
    description:
      - How many seconds a request to the object store may take with all its repetitions, beside a second for each 512 KiB
        that it carries. Requests that fail in passing (429, 5xx, broken connections, no answer within 30 seconds) are
        repeated until then, after growing waits.
      - A listing has that time for each thousand keys. One that is slower, has no end or goes around in circles is given up.
      - A server that takes no connections at all is given up after 20 seconds.
    type: float
    default: 60
"""
