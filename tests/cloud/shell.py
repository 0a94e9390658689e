# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Running programs, saying what is done, and waiting."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START = time.monotonic()
LOG_LINES = 20


class CloudError(Exception):
    """What went wrong, where, and what to do."""


def report(message: str) -> None:
    """Say what is done, with the seconds since the start."""
    sys.stderr.write(f"{time.monotonic() - START:6.1f} s  {message}\n")


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Say that a stage begins, and how long it took."""
    report(name)
    start = time.monotonic()
    yield
    report(f"{name}: done in {time.monotonic() - start:.1f} s")


def run(*command: str | Path, check: bool = True, stdin: str | None = None, log: Path | None = None, **options: Any) -> str:
    """Run a program and return what it printed; its failure becomes a message. With log, its output is kept there."""
    done = subprocess.run(
        [str(part) for part in command],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if log else subprocess.PIPE,
        text=True,
        check=False,
        **options,
    )
    if log:
        log.write_text(done.stdout)
    if check and done.returncode:
        said = done.stdout if log else done.stderr or done.stdout
        tail = "\n".join(said.strip().splitlines()[-LOG_LINES:])
        raise CloudError(f"{shlex.join(map(str, command))} failed with {done.returncode}:\n{tail}")
    return done.stdout


def succeeds(*command: str | Path) -> bool:
    """Tell whether a program ends well, whatever it says."""
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def wait(what: str, condition: Callable[[], Any], seconds: float, interval: float = 0.3) -> None:
    """Wait until condition() is true; say what did not come in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise CloudError(f"{what}: not after {seconds:.0f} s")
        time.sleep(interval)
