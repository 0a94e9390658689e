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
    description: Shows the files with the beginning of their SHA-256.
options:
  path:
    description:
      - The virtual environment. The command is C(bin/zarrstream) in it.
    type: path
    required: true
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
version:
  description: Its version.
  type: str
  returned: success
  sample: 0.1.0
"""

from typing import TYPE_CHECKING

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.zarrstream import __version__
from ..module_utils.zarrstream.errors import ZarrstreamError
from ..module_utils.zarrstream.shipped import install

if TYPE_CHECKING:  # makes Ansible send what the command consists of; it is not imported here
    from ..module_utils.zarrstream import cli  # noqa: F401


def main() -> None:
    module = AnsibleModule(argument_spec={"path": {"type": "path", "required": True}}, supports_check_mode=True)
    path = module.params["path"]
    try:
        change = install(path, dry_run=module.check_mode)
    except ZarrstreamError as error:
        module.fail_json(msg=str(error), **error.details)
    module.exit_json(
        changed=change.anything,
        diff={"before": change.before, "after": change.after},
        command=f"{path}/bin/zarrstream",
        version=__version__,
    )


if __name__ == "__main__":
    main()
