# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the command begins: Ctrl-C ends it without a traceback also while Python imports what it needs, and while it ends.

What this file itself imports has to be little: until it has come to its first line, Ctrl-C is Python's own.
"""

import os
import signal

TYPE_CHECKING = False  # typing's takes a moment
if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> int:
    """Run the command with the arguments of the process; returns its exit code."""
    wanted = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not in the background of a script, where it is ignored
    _hear(wanted, _end)
    from .commands.cli import main as run

    code = 1
    try:
        try:
            _hear(wanted, signal.default_int_handler)
            code = run()
        finally:
            _hear(wanted, _end)
    except KeyboardInterrupt:
        _end()
    return code


def _hear(wanted: bool, handler: "Callable[..., object]") -> None:
    if wanted:
        signal.signal(signal.SIGINT, handler)


def _end(*_signal: object) -> None:
    os.write(2, b"zarrstream: interrupted.\n")
    os._exit(130)


if __name__ == "__main__":
    raise SystemExit(main())
