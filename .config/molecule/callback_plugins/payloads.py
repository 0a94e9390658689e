# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Let the runs of one test session share the modules that Ansible packs for the hosts.

Ansible packs a module with all that it imports, which costs as much as running it, and keeps the archive until the run ends. Its
cache is made for many processes at once, but is in a folder of the run's own: here that becomes a link to the session's folder,
which SHARED_PAYLOADS names. The name of an archive does not tell what is in it, so that no session may have another's.
"""

from __future__ import annotations

import os
from pathlib import Path

from ansible import constants
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: payloads
type: aggregate
short_description: modules packed once a session
description: For tests; see tests/running.py.
"""


class CallbackModule(CallbackBase):
    """Only its start matters: it is before the first module is packed."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "payloads"

    def __init__(self) -> None:
        """Make the link."""
        super().__init__()
        if folder := os.environ.get("SHARED_PAYLOADS"):
            Path(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache").symlink_to(folder)
