# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Let the runs of one test session share the modules that Ansible packs for the hosts.

Ansible packs a module with all that it imports, which costs as much as running it, and keeps the archive until the run ends. Its
cache is made for many processes at once, but is in a folder of the run's own: here that becomes a link to the session's folder,
which SHARED_PAYLOADS names. The name of an archive does not tell what is in it, so that no session may have another's.

Each task runs in a process of its own, which loads all filters and tests anew if its parent did not: here the parent does. And such a
process looks for garbage among all that its parent has, and so copies it: what is there before a task is no garbage.
"""

from __future__ import annotations

import gc
import os
from pathlib import Path

from ansible import constants
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.callback import CallbackBase
from ansible.template import Templar, trust_as_template

DOCUMENTATION = """
name: payloads
type: aggregate
short_description: modules packed once a session, filters loaded once a run
description: For tests; see tests/running.py.
"""


class CallbackModule(CallbackBase):
    """Only the start matters: it is before the first module is packed, and before the first task has its process."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "payloads"

    def __init__(self) -> None:
        """Make the link."""
        super().__init__()
        if folder := os.environ.get("SHARED_PAYLOADS"):
            Path(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache").symlink_to(folder)

    def v2_playbook_on_start(self, playbook: object) -> None:  # noqa: ARG002 - Ansible's signature
        """Load filters and tests."""
        Templar(DataLoader()).template(trust_as_template("{{ 'a' | default('b') is match('a') }}"))

    def v2_playbook_on_task_start(self, task: object, is_conditional: bool) -> None:  # noqa: ARG002 - Ansible's signature
        """Keep what is there out of the search for garbage."""
        gc.freeze()
