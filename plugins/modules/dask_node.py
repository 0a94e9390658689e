#!/usr/bin/python
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: dask_node
short_description: The files of a host of a Dask cluster, and what the host has
version_added: "0.1.0"
author: Zarrstream authors (@zarrstream)
description:
  - Tells which environment, cores and memory a host has, how a service of Dask was started, and whether the scheduler can be reached.
  - Makes folders and files as they are declared, all in one run. A file is replaced in one step; a link in its place is not followed.
  - Says whether the service has to be started or restarted for what is declared. The roles do that, after those who are busy have finished.
options:
  python:
    description: The Python of an environment, to be described.
    type: path
  packages:
    description:
      - Names of packages in the environment of O(python) that the service imports. What a process has imported stays with it, so
        a change of their files is a reason to restart the service.
    type: list
    elements: str
    default: []
  service:
    description: Name of a systemd service, whose unit is C(/etc/systemd/system/<service>.service).
    type: str
  user:
    description: A user of the system, as RV(has_user) looks for it.
    type: dict
    suboptions:
      name:
        description: Login name.
        type: str
        required: true
      home:
        description: The home.
        type: str
        required: true
  connect_to:
    description: A scheduler that the host has to reach.
    type: dict
    suboptions:
      host:
        description: Name or address.
        type: str
        required: true
      port:
        description: TCP port.
        type: int
        required: true
  files:
    description: Folders and files, in the order in which they are made. They are not removed when they are not declared any more.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The place; a tilde stands for the home of the user who runs the module.
        type: path
        required: true
      mode:
        description: The mode, such as V("0640").
        type: str
        required: true
      group:
        description: The group; the owner is root then. Left out, both are those of the user who runs the module.
        type: str
      content:
        description: The content of a file. Without this and O(files[].secret) it is a folder.
        type: str
      secret:
        description: The content of a file that shows nowhere, such as a key.
        type: str
      at_start:
        description: Whether the service reads it once, when it starts; a change of it is a reason to restart the service.
        type: bool
        default: false
      fill:
        description:
          - Whether C(@home@) in the content stands for the home of the user who runs the module, and C(@definition@) for RV(definition).
        type: bool
        default: false
attributes:
  check_mode:
    description: Says what would change, and writes nothing.
    support: full
  diff_mode:
    description: Shows the files, but for those with O(files[].secret).
    support: full
"""

EXAMPLES = r"""
- name: Ask what a host has
  zarrstream.platform.dask_node:
    python: /opt/zarrstream/current/bin/python
    connect_to: {host: 10.0.0.5, port: 8786}
  register: node

- name: Tell Dask's clients where the scheduler is
  zarrstream.platform.dask_node:
    files:
      - {path: ~/.config/dask, mode: "0755"}
      - path: ~/.config/dask/zarrstream.yaml
        mode: "0644"
        content: "scheduler-address: tls://10.0.0.5:8786\n"
"""

RETURN = r"""
node:
  description: What the host has; of the environment nothing without O(python), or where that does not run.
  returned: success
  type: dict
  contains:
    environment: {description: Name of the folder of the environment., type: str}
    executable: {description: The Python in that folder., type: str}
    python: {description: Its version., type: str, sample: "3.13"}
    why_not: {description: Why it does not run., type: str}
    cores: {description: Cores that may be used., type: int}
    memory: {description: Bytes., type: int}
service:
  description: How the service was started; null without O(service).
  returned: success
  type: dict
  contains:
    is_active: {description: Whether it is active., type: bool}
    is_enabled: {description: Whether it starts with the host., type: bool}
    has_unit: {description: Whether its unit is there., type: bool}
    status: {description: What it told systemd., type: str}
action:
  description: What the service wants, to be as declared; V(start), V(restart), or empty.
  returned: success
  type: str
ends:
  description: Whether a service that is active has to end for it.
  returned: success
  type: bool
reload:
  description: Whether systemd has to read the unit anew.
  returned: success
  type: bool
definition:
  description: One number for all that the service reads when it starts.
  returned: success
  type: str
has_user:
  description: Whether O(user) is there, with that home, and cannot log in; null without.
  returned: success
  type: bool
connects:
  description: Whether the scheduler answered within ten seconds; null without O(connect_to).
  returned: success
  type: bool
paths:
  description: What was, or would be, made or replaced.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.zarrstream.dask import node
from ..module_utils.zarrstream.errors import ZarrstreamError

SPEC = {
    "python": {"type": "path"},
    "packages": {"type": "list", "elements": "str", "default": []},
    "service": {"type": "str"},
    "user": {"type": "dict", "options": {"name": {"type": "str", "required": True}, "home": {"type": "str", "required": True}}},
    "connect_to": {"type": "dict", "options": {"host": {"type": "str", "required": True}, "port": {"type": "int", "required": True}}},
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "path", "required": True},
            "mode": {"type": "str", "required": True},
            "group": {"type": "str"},
            "content": {"type": "str"},
            "secret": {"type": "str", "no_log": True},
            "at_start": {"type": "bool", "default": False},
            "fill": {"type": "bool", "default": False},
        },
        "mutually_exclusive": [("content", "secret")],
    },
}


def run(module: AnsibleModule) -> dict:
    """Find, plan, apply."""
    params = module.params
    python, why_not = node.ask_python(params["python"]) if params["python"] else (None, "")
    service = node.ask_systemd(params["service"]) if params["service"] else None
    wanted = [node.wanted_from(each) for each in params["files"]]
    plan = node.plan(wanted, node.look(wanted), python, service, node.home_for(wanted), node.digests(params["packages"], python))
    if not module.check_mode:
        node.apply(plan.changes)
    return {
        "changed": bool(plan.changes),
        "diff": [change.diff() for change in plan.changes] if module._diff else [],
        "node": node.describe(python, why_not),
        "service": service and service.to_dict(),
        "action": plan.action,
        "ends": plan.ends,
        "reload": plan.reload,
        "definition": plan.definition,
        "has_user": node.has_user(**params["user"]) if params["user"] else None,
        "connects": node.reaches(params["connect_to"]["host"], params["connect_to"]["port"]) if params["connect_to"] else None,
        "paths": [str(change.wanted.path) for change in plan.changes],
    }


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    try:
        result = run(module)
    except ZarrstreamError as error:
        module.fail_json(msg=str(error), **error.details)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
