# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The command ``zarrstream``: what the modules do, for cron, notebooks and people without Ansible.

Results go to standard output, as text or with ``--json`` as the modules return them; progress and errors to standard
error. Exit codes: 0 fine, 1 a finding or an error, 2 a request that makes no sense, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, TextIO

from ..check.request import request_from as check_request_from
from ..errors import BadRequest, PlanError, ZarrstreamError
from ..interrupt import LAST, on_interrupt
from ..libraries import missing_libraries_named
from ..probe.run import request_from as probe_request_from
from ..probe.run import run as run_probe
from ..text import aligned, human_bytes, shown, shown_json
from ..write.progress import Progress
from ..write.progress_text import bar, words
from ..write.remove import RemoveResult, preview_removal, remove_store
from ..write.remove import request_from as remove_request_from
from ..write.request import request_from
from ..write.result import WriteResult
from .check import check_store
from .options import completion_script, make_parser, options_of
from .write import preview, write_dataset

FINE, FOUND, MISUSED, INTERRUPTED = 0, 1, 2, 130
QUIET = 15.0  # seconds between two lines where there is no terminal

_HELD: list[ExitStack] = []  # of an interrupted command, until the process ends

Answer = tuple[int, dict[str, Any], list[str]]  # exit code, the result as the module returns it, and as lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments`` (those of the process, if None); returns its exit code."""
    parsed = make_parser().parse_args(arguments)
    stop = ExitStack()  # stays where an interrupted command still has threads that wait for something
    stop.enter_context(on_interrupt(LAST, partial(_stop, parsed.command)))
    if getattr(parsed, "quiet", False):
        stop.enter_context(_without_warnings())
    try:
        code, result, lines = COMMANDS[parsed.command](parsed)
    except ZarrstreamError as error:
        code = MISUSED if isinstance(error, (BadRequest, PlanError)) else FOUND
        result, lines = {"failed": True, "msg": str(error), **error.details}, []
    except KeyboardInterrupt:
        sys.stderr.write(_interrupted(parsed.command))
        _HELD.append(stop)
        return INTERRUPTED
    except BaseException:
        stop.close()
        raise
    stop.close()
    if "failed" in result:
        sys.stderr.write(f"zarrstream {parsed.command}: {result['msg']}\n")
    _print(shown_json(result, indent=2, default=str) if parsed.json else "\n".join(map(shown, lines)))
    return code


@contextmanager
def _without_warnings() -> Iterator[None]:
    """What libraries warn of by Python's means, at import too, is for who develops with them; cron would mail it at each run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _interrupted(command: str) -> str:
    return f"zarrstream {command}: interrupted.\n"


def _stop(command: str) -> None:
    """End as a kill would: something does not hear that it is to end."""
    if not _HELD:
        os.write(2, _interrupted(command).encode())
    os._exit(INTERRUPTED)


def _print(text: str) -> None:
    try:
        if text:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
    except BrokenPipeError:  # such as | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(parsed: argparse.Namespace) -> Answer:
    request = request_from(options_of(parsed))
    with Meter(sys.stderr, silent=parsed.quiet) as meter:
        result = write_dataset(request, meter.show)
    return FINE, result.to_dict(), [*(f"note: {note}" for note in result.notes), _written(result)]


def _written(result: WriteResult) -> str:
    if not result.changed:
        return f"{result.store}: unchanged, {result.objects} objects, {human_bytes(result.bytes_stored)}"
    speed = f"{human_bytes(result.bytes_read)} read at {result.mib_per_second:.1f} MiB/s"
    if result.fetched["requests"]:
        speed += f", {human_bytes(result.fetched['bytes'])} fetched in {result.fetched['requests']} requests"
    proof = f"verified: {result.verification['level']}"
    return f"{result.store}: written, {result.objects} objects, {human_bytes(result.bytes_stored)}, {speed}, {proof}"


def _plan(parsed: argparse.Namespace) -> Answer:
    result = preview(request_from(options_of(parsed)))
    return FINE, result.to_dict(), [*result.diff()["after"].splitlines(), f"write would: {result.action}"]


def _remove(parsed: argparse.Namespace) -> Answer:
    request = remove_request_from(options_of(parsed))
    if parsed.dry_run:
        result = preview_removal(request)
    else:
        with Meter(sys.stderr, silent=parsed.quiet) as meter:
            result = remove_store(request, meter.show)
    stays = [f"stays: {key}, which Zarrstream did not write" for key in result.foreign]
    return FINE, result.to_dict(), [*(result.removed_keys if parsed.dry_run else ()), *stays, _removed(result, dry=parsed.dry_run)]


def _removed(result: RemoveResult, *, dry: bool) -> str:
    if not result.changed:
        return f"{result.store}: nothing of Zarrstream's is there"
    verb = "would be removed" if dry else "removed"
    return f"{result.store}: {verb}, {result.objects_removed} objects, {human_bytes(result.bytes_removed)}"


def _check(parsed: argparse.Namespace) -> Answer:
    request = check_request_from(options_of(parsed))
    checked = check_store(request)
    report, result = checked.report, checked.as_result()
    lines = aligned((item.status, item.id, item.message) for item in report.checks)
    if checked.path:
        lines.append(f"report   {checked.path} and {checked.page}")
    if report.ok or request.fail_on == "never":
        return FINE, result, [*lines, report.summary["line"].partition(". ")[0]]
    return FOUND, {"failed": True, "msg": report.summary["line"], **result}, lines


def _probe(parsed: argparse.Namespace) -> Answer:
    with missing_libraries_named():
        report = run_probe(probe_request_from(options_of(parsed)))
    result = report.as_result()
    lines = aligned(("ok" if check.ok else "failed", check.name, check.message) for check in report.checks)
    if report.failure:
        return FOUND, {"failed": True, "msg": str(report.failure), **report.failure.details, **result}, lines
    return FINE, result, lines


def _completion(parsed: argparse.Namespace) -> Answer:
    return FINE, {}, completion_script(parsed.shell).splitlines()


COMMANDS: Mapping[str, Callable[[argparse.Namespace], Answer]] = {
    "write": _write,
    "plan": _plan,
    "remove": _remove,
    "check": _check,
    "probe": _probe,
    "completion": _completion,
}


class Meter:
    """Shows progress: a bar that is drawn over itself on a terminal, elsewhere a line now and then."""

    def __init__(self, stream: TextIO, *, silent: bool = False) -> None:
        self._stream, self._silent, self._terminal = stream, silent, stream.isatty()
        self._drawn, self._told = False, time.monotonic()

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def show(self, moment: Progress) -> None:
        """Draw a moment, or tell it when the last line is long enough ago."""
        if self._silent:
            return
        if self._terminal:
            width = os.get_terminal_size(self._stream.fileno()).columns or 80
            self._stream.write(f"\r{bar(moment, width - 1)}\x1b[K")
            self._drawn = True
        elif time.monotonic() - self._told >= QUIET:
            self._stream.write(f"{words(moment)}\n")
            self._told = time.monotonic()
        self._stream.flush()
