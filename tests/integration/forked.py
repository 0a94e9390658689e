# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What play_server.py and module_server.py share: they answer requests, each in a process forked for it that finds all imported."""

import json
import os
import sys
import tempfile
from collections.abc import Callable


def answer(line: str, do: Callable[[dict], int]) -> None:
    """Do what a line of standard input asks for, and say in a line what came of it."""
    sys.stdout.write(json.dumps(apart(do, json.loads(line))) + "\n")
    sys.stdout.flush()


def apart(do: Callable[[dict], int], request: dict) -> dict:
    """Do it in a process of its own, in the environment that the request has; return what that printed, and how it ended."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            become(request["env"], request["umask"], os.open(os.devnull, os.O_RDONLY), out.fileno(), err.fileno())
            os._exit(do(request))
        _, status = os.waitpid(child, 0)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return {"stdout": texts[0], "stderr": texts[1], "status": os.waitstatus_to_exitcode(status)}


def become(environment: dict[str, str], umask: int, *files: int) -> None:
    """Take an environment, a umask, and files in the place of standard input, output and error."""
    os.umask(umask)
    tempfile.tempdir = None  # where temporary files go, TMPDIR says
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.environ.clear()
    os.environ.update(environment)


def flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
