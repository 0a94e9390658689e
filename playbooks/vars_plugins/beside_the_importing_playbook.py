# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Variables beside a playbook of yours count for the playbooks of this folder that it imports.

Ansible itself reads ``group_vars`` and ``host_vars`` beside the playbook that a play stands in, and so not beside the one that imports it.
It loads this plugin because it lies in ``vars_plugins`` beside its playbooks; nothing has to be enabled.
"""

from __future__ import annotations

import os
from typing import Any

from ansible import context
from ansible.plugins.loader import vars_loader
from ansible.plugins.vars import BaseVarsPlugin
from ansible.utils.vars import combine_vars

HERE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120 - Ansible's paths are texts


class VarsModule(BaseVarsPlugin):
    """What Ansible's own plugin reads, from the folders of the playbooks that the command line names."""

    is_stateless = True

    def get_vars(self, loader: Any, path: str, entities: Any, cache: bool = True) -> dict[str, Any]:
        """The variables of hosts and groups, where the play that asks stands in this folder; otherwise none."""
        found: dict[str, Any] = {}
        if os.path.realpath(path) == HERE:
            files = vars_loader.get("ansible.builtin.host_group_vars")
            for folder in _importing():
                found = combine_vars(found, files.get_vars(loader, folder, entities, cache))
        return found


def _importing() -> list[str]:
    """The folders of the playbooks on the command line that stand elsewhere. Names of playbooks in collections are no files."""
    files = [str(name) for name in context.CLIARGS.get("args") or () if os.path.isfile(name)]  # noqa: PTH113
    folders = dict.fromkeys(os.path.dirname(os.path.realpath(name)) for name in files)  # noqa: PTH120
    return [folder for folder in folders if folder != HERE]
