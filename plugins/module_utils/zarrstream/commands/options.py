# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options of the command ``zarrstream``: those of the modules, under the same names, as a shell can give them."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from .. import __version__
from ..check.request import POLICIES, SEVERITIES
from ..check.run import CHECKS
from ..compat import arguments_of
from ..libraries import missing_libraries_named
from ..storage.remote import CONCURRENCY
from ..storage.timeouts import TIMEOUT
from ..text import meant, shortened
from ..write.request import MAX_REVISED, MODES, VERIFY

EPILOG = "Exit codes: 0 fine, 1 a finding or an error, 2 a request that makes no sense, 130 interrupted."


SHELLS = ("bash", "zsh")
_CHOICE = re.compile(r"invalid choice: '?([^'\s]+)'? \(choose from (.*)\)")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; a screenful of usage hides it. For a slip it says what was probably meant."""

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        choice = _CHOICE.search(message)
        more = meant(choice[1], re.findall(r"[\w.-]+", choice[2])) if choice else ""
        self._end(message, more)

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> tuple[Any, list[str]]:  # type: ignore[override]
        """As argparse does, but what is not known is an error, said by the command that it was given to."""
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            option = next((word.partition("=")[0] for word in unknown if word.startswith("-")), "")
            self._end(f"unrecognized arguments: {' '.join(unknown)}", meant(option, self._option_string_actions))
        return parsed, unknown

    def _end(self, message: str, more: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}.{more} See {self.prog} --help.\n")


def make_parser() -> Parser:
    """The parser of the whole command; ``command`` of its result names the one that was given."""
    parser = Parser(prog="zarrstream", description="Write Zarr stores, prove them, and test the access to their buckets.", epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"zarrstream {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text, fill in (
        ("write", "write NetCDF, HDF5 or Zarr as a Zarr store that is published only when it is whole", _write_options),
        ("plan", "show what write would do, and change nothing", _write_options),
        ("remove", "remove a store that was written by Zarrstream, by its manifest; what else lies there stays", _remove_options),
        ("check", "prove that a store is whole, readable and equal to its source", _check_options),
        ("probe", "test the access to an S3 object store, and name what is wrong", _probe_options),
    ):
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=EPILOG, allow_abbrev=False)
        fill(command)
        _shared_options(command)
    text = f"print what lets {' or '.join(SHELLS)} complete this command with the Tab key"
    completion = commands.add_parser("completion", help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=EPILOG)
    completion.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", or ".join(SHELLS))
    completion.set_defaults(json=False)
    return parser


def completion_script(shell: str) -> str:
    """What a shell reads to complete the command; raises MissingLibrary without shtab."""
    with missing_libraries_named():
        import shtab
    parser = make_parser()
    kinds = {"FILE": shtab.FILE, "SOURCE": shtab.FILE, "STORE": shtab.FILE, "FOLDER": shtab.DIRECTORY}
    for argument in arguments_of(parser):
        if argument.metavar in kinds:
            argument.complete = kinds[argument.metavar]  # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell=shell))


def options_of(parsed: argparse.Namespace) -> dict[str, Any]:
    """The options of a module in what was parsed."""
    return {name: value for name, value in vars(parsed).items() if name not in ("command", "json", "quiet", "dry_run")}


def _write_options(parser: Parser) -> None:
    parser.add_argument("source", nargs="+", metavar="SOURCE", help="NetCDF or HDF5 files, globs or URLs of them, or one Zarr store")
    parser.add_argument("store", metavar="STORE", help="where to write: s3://bucket/name.zarr or a path")
    _follow_option(parser)
    parser.add_argument("--zarr-format", type=int, choices=(2, 3), default=3, help="version of the Zarr format (default 3)")
    parser.add_argument("--variables", type=_names, action="extend", metavar="A,B", help="the variables to write; all, if not given")
    parser.add_argument("--exclude", type=_names, action="extend", default=[], metavar="A,B", help="variables that are not written")
    parser.add_argument("--chunks", type=_lengths, metavar="DIM=N,…", help="lengths of chunks by dimension, or auto")
    parser.add_argument("--shards", type=_lengths, metavar="DIM=N,…", help="lengths of shards by dimension, auto or none")
    parser.add_argument("--memory", metavar="SIZE", help="what the data may take while they are written, such as 2GiB")
    parser.add_argument(
        "--encoding", type=_document, default={}, metavar="JSON", help="encoding by variable, * for all; @FILE reads it from a file"
    )
    _reading_options(parser, [])
    parser.add_argument("--consolidated", action=argparse.BooleanOptionalAction, default=True, help="write consolidated metadata")
    parser.add_argument(
        "--portable", action="store_true", help="refuse or change encodings that readers other than zarr-python do not take"
    )
    parser.add_argument("--mode", choices=MODES, default="create", help="what to do with a store that is there")
    parser.add_argument("--append-dim", metavar="DIM", help="the dimension along which append and update add")
    parser.add_argument(
        "--max-revised", type=float, default=MAX_REVISED, metavar="SHARE", help="share of the steps that update may change (default 0.1)"
    )
    _dask_options(parser)
    _source_options(parser)
    parser.add_argument("--verify", choices=VERIFY, default="manifest", help="how it is proved before it is published (default manifest)")
    _timeout_option(parser)
    _progress_option(parser)


def _remove_options(parser: Parser) -> None:
    parser.add_argument("store", metavar="STORE", help="the store: s3://bucket/name.zarr or a path")
    parser.add_argument("--dry-run", action="store_true", help="list what would be removed, and change nothing")
    _timeout_option(parser)
    _progress_option(parser)


def _check_options(parser: Parser) -> None:
    parser.add_argument("store", metavar="STORE", help="the store: s3://bucket/name.zarr or a path")
    parser.add_argument("--source", action="append", metavar="SOURCE", help="what it was made from, to compare with; may be repeated")
    _follow_option(parser)
    _reading_options(parser, None)
    parser.add_argument("--checks", type=_names, action="extend", metavar="A,B", help=f"those to make, of {', '.join(CHECKS)}")
    _expectation_options(parser)
    parser.add_argument("--sample", default="4", metavar="N", help="objects of each array to decode, or all (default 4)")
    parser.add_argument("--missing", choices=POLICIES, default="error", help="whether a chunk may be missing (default error)")
    parser.add_argument("--fail-on", choices=SEVERITIES, default="error", help="severity from which on a finding makes exit code 1")
    parser.add_argument("--anonymous", action="store_true", help="read without credentials, as an anonymous client would")
    _timeout_option(parser)
    _dask_options(parser)
    _source_options(parser)
    parser.add_argument("--report", type=os.path.expanduser, metavar="FOLDER", help="write the report there, JSON and a page with pictures")


def _expectation_options(parser: Parser) -> None:
    parser.add_argument(
        "--fresh", type=_spelled, metavar="AGE", help="how old the last step with a value may be, such as 2d; JSON has more"
    )
    parser.add_argument("--gaps", type=_spelled, metavar="STEP", help="the step of time, such as 1d or 1mo; JSON has more")
    parser.add_argument(
        "--nan-share", type=_spelled, metavar="SHARE", help="what of a step may be missing: 0 to 1, or history; JSON has it by variable"
    )
    parser.add_argument("--range", type=_document, metavar="JSON", help="the least and the largest value by variable")


def _follow_option(parser: Parser) -> None:
    parser.add_argument(
        "--follow",
        action="append",
        default=[],
        metavar="FOLDER",
        help="a folder that links in the source may lead to; they are refused elsewhere; may be repeated",
    )


def _source_options(parser: Parser) -> None:
    """How SOURCE in buckets and on the web is reached."""
    parser.add_argument("--source-profile", metavar="NAME", help="the AWS profile for sources in buckets, where it is not --profile")
    parser.add_argument("--source-endpoint-url", metavar="URL", help="the S3 endpoint of sources, where their profile has another")
    parser.add_argument("--source-anonymous", action="store_true", help="read sources in buckets without keys")
    parser.add_argument("--source-ca-bundle", type=os.path.expanduser, metavar="FILE", help="the CA of servers of sources")
    parser.add_argument(
        "--source-token-file", type=os.path.expanduser, metavar="FILE", help="a bearer token for sources on the web; else ~/.netrc is asked"
    )
    parser.add_argument(
        "--source-hosts", type=_names, action="extend", default=[], metavar="A,B", help="hosts to which servers of sources may send on"
    )
    parser.add_argument(
        "--source-concurrency", type=int, default=CONCURRENCY, metavar="N", help=f"requests to a host at a time (default {CONCURRENCY})"
    )
    parser.add_argument(
        "--spool", type=os.path.expanduser, metavar="FOLDER", help="for sources that cannot be read by ranges and do not fit into memory"
    )


def _reading_options(parser: Parser, prepare: list[Any] | None) -> None:
    parser.add_argument("--combine", type=_documents, metavar="JSON", help="how several files are joined; @FILE reads it from a file")
    parser.add_argument(
        "--prepare", type=_documents, default=prepare, metavar="JSON", help="what is done to each file before; @FILE reads it from a file"
    )


def _dask_options(parser: Parser) -> None:
    parser.add_argument("--scheduler", metavar="ADDRESS", help="the Dask scheduler whose workers do the work, tls://host:port")
    parser.add_argument(
        "--scheduler-tls", type=_document, metavar="JSON", help="ca_file, cert and key to be let in there; @FILE reads them from a file"
    )


def _progress_option(parser: Parser) -> None:
    parser.add_argument("--progress-path", type=os.path.expanduser, metavar="FILE", help="a file that tells as JSON how far the work is")


def _timeout_option(parser: Parser) -> None:
    parser.add_argument(
        "--timeout",
        type=float,
        default=TIMEOUT,
        metavar="SECONDS",
        help=f"what a request to the object store may take with all its repetitions (default {TIMEOUT:.0f})",
    )


def _probe_options(parser: Parser) -> None:
    parser.add_argument("bucket", nargs="?", metavar="BUCKET", help="the bucket to try; without it, buckets are listed only")
    parser.add_argument("--write", action=argparse.BooleanOptionalAction, default=True, help="write a small object and remove it again")
    parser.add_argument(
        "--anonymous",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="demand that clients without credentials can, or cannot, read it",
    )
    parser.add_argument("--object-store-url", metavar="URL", help="the project's Swift URL, where stock Swift serves anonymous clients")
    parser.add_argument("--debug-log", type=os.path.expanduser, metavar="FILE", help="debug stream of botocore and s3fs, without secrets")


def _shared_options(parser: Parser) -> None:
    parser.add_argument("--profile", metavar="NAME", help="the AWS profile with keys, region and endpoint")
    parser.add_argument("--endpoint-url", metavar="URL", help="the S3 endpoint, where the profile has none")
    parser.add_argument("--config-file", type=os.path.expanduser, metavar="FILE", help="the file with the profile, if not ~/.aws/config")
    parser.add_argument("--ca-bundle", type=os.path.expanduser, metavar="FILE", help="the endpoint's CA, where the system does not know it")
    parser.add_argument("--json", action="store_true", help="print the result as JSON, as the Ansible module returns it")
    parser.add_argument("--quiet", action="store_true", help="no progress, and no warnings of Python's libraries")


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _lengths(text: str) -> str | dict[str, str]:
    """``time=240,lat=90`` as a dictionary. Anything else stays a text: whoever reads the request says what is wrong with it."""
    pairs = [pair.partition("=") for pair in text.split(",")]
    return {dim.strip(): length.strip() for dim, _equals, length in pairs} if "=" in text else text


def _document(text: str) -> dict[str, Any]:
    document = _json(text)
    if not isinstance(document, dict):
        raise argparse.ArgumentTypeError(f'\'{shortened(text, 60)}\' is not a JSON object such as {{"t2m": {{"dtype": "int16"}}}}')
    return document


def _spelled(text: str) -> Any:
    """A plain value, or a JSON object."""
    return _document(text) if text.startswith(("{", "@")) else text


def _documents(text: str) -> Any:
    """An object, or a list of them: whoever reads the request says what is wrong in it."""
    document = _json(text)
    if not isinstance(document, dict | list):
        raise argparse.ArgumentTypeError(f'\'{shortened(text, 60)}\' is not a JSON object such as {{"dim": "time"}}, or a list of them')
    return document


def _json(text: str) -> Any:
    try:
        return json.loads(Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text[1:]} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"'{shortened(text, 60)}' is not JSON ({error})") from None
