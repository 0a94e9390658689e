# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs the module zarr_write, and shows how far it is while it runs.

The module keeps its progress in a small file on the host; a thread reads that now and then through a copy of the
connection. On a terminal the line is drawn over itself, elsewhere there is one now and then; both on standard error, so
that what callbacks print stays whole. In check mode, and for a task that is asynchronous, the module just runs.
"""

from __future__ import annotations

import copy
import json
import secrets
import shlex
import sys
import threading
from types import TracebackType
from typing import Any, Self

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible.utils.vars import merge_hash
from ansible_collections.zarrstream.platform.plugins.module_utils.zarrstream.text import shown
from ansible_collections.zarrstream.platform.plugins.module_utils.zarrstream.write.progress import Progress
from ansible_collections.zarrstream.platform.plugins.module_utils.zarrstream.write.progress_text import bar, words

display = Display()

# Strategies load this class before they fork; the processes that run it have no terminal any more.
ON_TERMINAL = sys.stderr is not None and sys.stderr.isatty()
REDRAW = 2.0  # seconds, on a terminal
FIRST_LINE, NEXT_LINES = 10.0, 30.0  # seconds, elsewhere


class ActionModule(ActionBase):
    """The module's arguments, results and modes are untouched."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's result."""
        result = super().run(tmp, task_vars)
        if self._task.async_val or self._task.check_mode:
            result = merge_hash(result, self._execute_module(task_vars=task_vars, wrap_async=self._task.async_val))
        else:
            result = merge_hash(result, self._run_watched(task_vars or {}))
        if not self._task.async_val:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _run_watched(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        arguments = dict(self._task.args)
        if arguments.get("progress_path"):
            with Watch(self, str(arguments["progress_path"]), task_vars):
                return self._execute_module(module_args=arguments, task_vars=task_vars)
        # Not in Ansible's own temporary folder: where pipelining is on there is none, and another user may write it.
        path = f"/tmp/zarrstream-{secrets.token_hex(16)}.json"  # noqa: S108 - a name that nobody can guess
        with Watch(self, path, task_vars):
            result = self._execute_module(module_args={**arguments, "progress_path": path}, task_vars=task_vars)
        if result.get("changed") or result.get("failed"):
            self._low_level_execute_command(f"rm -f {path}")
        if "module_args" in result.get("invocation", {}):
            result["invocation"]["module_args"]["progress_path"] = arguments.get("progress_path")
        return result


class Watch:
    """Reads the file at ``path`` on the host and shows it, for as long as the block runs. Its failures are nobody's trouble."""

    def __init__(self, action: ActionBase, path: str, task_vars: dict[str, Any]) -> None:
        # A copy: the two share neither the state of a connection nor that of becoming another user.
        self._action = copy.copy(action)
        self._action._connection = copy.copy(action._connection)
        self._action._connection.become = copy.copy(action._connection.become)
        self._command = f"cat {path if path.startswith('~') else shlex.quote(path)}"
        self._host = str(task_vars.get("inventory_hostname", ""))
        self._stop, self._shown = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="zarrstream-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(timeout=10)
        if self._shown and ON_TERMINAL:
            display.display("\r\x1b[K", stderr=True, screen_only=True, newline=False)

    def _run(self) -> None:
        try:
            wait = REDRAW if ON_TERMINAL else FIRST_LINE
            while not self._stop.wait(wait):
                moment = self._read()
                if moment is not None and not self._stop.is_set():
                    self._show(moment)
                    wait = REDRAW if ON_TERMINAL else NEXT_LINES
        except Exception as error:  # noqa: BLE001 - connections raise anything, and the write goes on without being watched
            display.vvv(f"zarr_write is not watched any more: {error}")

    def _read(self) -> Progress | None:
        answer = self._action._low_level_execute_command(self._command)
        try:
            return Progress(**json.loads(answer["stdout"]))
        except (ValueError, TypeError):  # not there yet, or not ours
            return None

    def _show(self, moment: Progress) -> None:
        self._shown = True
        label = shown(f"{self._host} {moment.store.rstrip('/').rpartition('/')[2]}".strip())
        if ON_TERMINAL:
            line = f"{label} {shown(bar(moment, display.columns - len(label) - 1))}"[: display.columns]
            display.display(f"\r{line}\x1b[K", stderr=True, screen_only=True, newline=False)
        else:
            display.display(f"{label}: {shown(words(moment))}", stderr=True)
