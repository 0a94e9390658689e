# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keep a record of what each run of converge.yml or site.yml changed, in check mode and in earnest.

`runs.json` in Molecule's ephemeral folder is a list with one entry a run: {"check": bool, "changed": ["host: task: item", …]}.
compare.yml reads it. A file `failed` beside it tells destroy.yml to show the journals.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible import context
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: changes
type: aggregate
short_description: record of the changes of each run
description: For Molecule's scenarios; see compare.yml.
"""


class CallbackModule(CallbackBase):
    """Writes the record at once, so that a later play of the same run can read it."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "changes"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        """Find the record of the earlier runs."""
        super().__init__()
        self._folder = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
        self._runs: list[dict[str, Any]] = []

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Begin an entry for what converges; other playbooks are not compared, and a new scenario begins with create.yml."""
        name = Path(playbook._file_name).name
        if name == "create.yml":
            for leftover in ("runs.json", "failed"):
                (self._folder / leftover).unlink(missing_ok=True)
        if name in ("converge.yml", "site.yml"):
            record = self._folder / "runs.json"
            earlier = json.loads(record.read_text()) if record.exists() else []
            self._runs = [*earlier, {"check": bool(context.CLIARGS["check"]), "changed": []}]
            self._write()

    def _write(self) -> None:
        (self._folder / "runs.json").write_text(json.dumps(self._runs, indent=1) + "\n")

    def _note(self, result: Any, item: str = "") -> None:
        if self._runs and result.result.get("changed"):
            self._runs[-1]["changed"].append(f"{result.host.get_name()}: {result.task.get_name()}{item}")
            self._write()

    def v2_runner_on_ok(self, result: Any) -> None:
        """Note a task without a loop; the items of a loop come one by one."""
        if not result.task.loop and not result.task.loop_with:
            self._note(result)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        """Note an item of a loop."""
        self._note(result, f": {self._get_item_label(result.result)}")

    def v2_runner_on_failed(self, _result: Any, ignore_errors: bool = False) -> None:
        """Leave word for destroy.yml."""
        if not ignore_errors:
            (self._folder / "failed").touch()

    def v2_runner_on_unreachable(self, _result: Any) -> None:
        """Leave word for destroy.yml."""
        (self._folder / "failed").touch()
