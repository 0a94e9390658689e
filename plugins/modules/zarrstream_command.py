#!/usr/bin/python
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: zarrstream_command
short_description: Put the command zarrstream into a Python environment of the host
version_added: "0.1.0"
description:
  - Installs the Python package behind the modules of this collection, in the version that they have, and the command
    C(zarrstream) with it. Nothing is downloaded.
  - The environment has to hold the libraries that they need, as that of the role C(zarr_stack) does.
author:
  - Zarrstream authors (@zarrstream)
attributes:
  check_mode:
    support: full
    description: Compares the files, and takes an environment that is not there yet for one without the command.
  diff_mode:
    support: full
    description: Shows the files with the beginning of their SHA-256, and the first of those that get another owner or mode.
options:
  path:
    description:
      - The virtual environment. The command is C(bin/zarrstream) in it.
    type: path
    required: true
  stack:
    description:
      - The folder of the role C(zarr_stack). What the role has put there, in C(bin/uv), C(envs) and C(pythons), can then be read and run by
        all users and is written by its owner alone, who is the user of this task, whatever umask it was made under.
    type: path
"""

EXAMPLES = r"""
- name: Install the command
  zarrstream.platform.zarrstream_command:
    path: /opt/zarrstream/current
"""

RETURN = r"""
command:
  description: The path of the command.
  type: str
  returned: success
  sample: /opt/zarrstream/current/bin/zarrstream
modes:
  description: How many files and folders below O(stack) had another owner or another mode.
  type: int
  returned: when O(stack) is set
version:
  description: Its version.
  type: str
  returned: success
  sample: 0.1.0
"""

from typing import TYPE_CHECKING

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.zarrstream import __version__
from ..module_utils.zarrstream.commands.install import install, settle_stack
from ..module_utils.zarrstream.errors import ZarrstreamError

if TYPE_CHECKING:  # makes Ansible send what the package consists of; it is not imported here
    from ..module_utils.zarrstream import __main__  # noqa: F401
    from ..module_utils.zarrstream.commands.api import write  # noqa: F401


_SHOWN = 20


def main() -> None:
    spec = {"path": {"type": "path", "required": True}, "stack": {"type": "path"}}
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    path, stack = module.params["path"], module.params["stack"]
    try:
        change = install(path, dry_run=module.check_mode)
        modes = settle_stack(stack, dry_run=module.check_mode) if stack else []
    except ZarrstreamError as error:
        module.fail_json(msg=str(error), **error.details)
    exposed = [each for each in modes if each.exposed]
    if exposed and not change.anything:
        module.warn(
            f"{exposed[0].path} and {len(exposed) - 1} more could be written by others than their owner. What they wrote is still there: "
            "to be sure of the environment, run once with zarr_stack_state=absent and install it anew."
        )
    shown = "".join(f"{each.line()}\n" for each in modes[:_SHOWN])
    module.exit_json(
        changed=change.anything or bool(modes),
        diff={"before": change.before, "after": change.after, "prepared": shown},
        **({"modes": len(modes)} if stack else {}),
        command=f"{path}/bin/zarrstream",
        version=__version__,
    )


if __name__ == "__main__":
    main()
