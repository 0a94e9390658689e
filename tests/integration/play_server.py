# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs ansible-playbook again and again without the half second that each start takes to import Ansible.

A program: it reads one request a line from standard input ({"arguments", "folder", "env", "seconds"}), runs ansible-playbook in a
process forked for it, and answers with one line {"stdout", "stderr", "status"}. Ansible reads its settings as it is imported, so that
all runs have those with which this program began.
"""

import gc
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from ansible import cli, constants
from ansible.cli.playbook import PlaybookCLI
from ansible.parsing.dataloader import DataLoader
from ansible.plugins import loader
from ansible.plugins.loader import PluginLoader, init_plugin_loader
from ansible.template import Templar, trust_as_template
from forked import answer, flush

# What every run loads.
PLUGINS: tuple[tuple[PluginLoader, tuple[str, ...]], ...] = (
    (loader.action_loader, ("ansible.builtin.assert", "ansible.builtin.command", "ansible.builtin.include_role", "ansible.builtin.normal")),
    (loader.callback_loader, ("default",)),
    (loader.connection_loader, ("local",)),
    (loader.shell_loader, ("sh",)),
    (loader.strategy_loader, ("linear",)),
)


def main() -> None:
    init_plugin_loader([])
    cli.init_plugin_loader = lambda *_: None  # once is enough
    for kind, names in PLUGINS:
        for name in names:
            kind.get(name, class_only=True)
    Templar(DataLoader()).template(trust_as_template("{{ 'a' | default('b') is match('a') }}"))  # loads filters and tests
    constants.DEFAULT_INTERNAL_POLL_INTERVAL = 0.01  # seconds; the thousandth that it is keeps a processor busy while a task works
    gc.freeze()  # so that a collection in a forked process copies no page
    for line in sys.stdin:
        answer(line, play)


def play(request: dict) -> int:
    signal.alarm(request["seconds"])
    os.chdir(request["folder"])
    # Each run has a folder of its own, which Ansible otherwise makes as it is imported.
    constants.DEFAULT_LOCAL_TMP = tempfile.mkdtemp(dir=Path(constants.DEFAULT_LOCAL_TMP).parent)
    sys.argv = ["ansible-playbook", *request["arguments"]]
    try:
        PlaybookCLI.cli_executor(sys.argv)
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        flush()
        shutil.rmtree(constants.DEFAULT_LOCAL_TMP, ignore_errors=True)
    return 0


if __name__ == "__main__":
    main()
