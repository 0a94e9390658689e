# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""nova-compute that finds the driver beside this file: Nova looks for drivers in its own package only."""

# ruff: noqa: E402 - Nova chooses its kind of threads when it is first imported

from nova import monkey_patch

monkey_patch.patch(backend="threading")

import sys
from pathlib import Path

import nova.virt
from nova.cmd.compute import main

nova.virt.__path__.append(str(Path(__file__).resolve().parent))
sys.exit(main())
