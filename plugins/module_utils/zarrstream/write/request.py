# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is asked of a write, and what of it can be refused without looking anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import BadRequest
from ..planning.memory import parse_memory
from ..scheduler import parse_scheduler
from ..storage.access import BY_DEFAULT, Access, access_from
from ..storage.open import Reach

MODES = ("create", "replace", "append")
VERIFY = ("none", "manifest", "sample", "full")


@dataclass(frozen=True)
class WriteRequest(Reach):
    """One data set to write; the fields are the options of the module ``zarr_write``."""

    source: tuple[str, ...]
    store: str
    access: Access = BY_DEFAULT
    zarr_format: Literal[2, 3] = 3
    variables: tuple[str, ...] | None = None
    chunks: Mapping[str, Any] | str | None = None
    encoding: Mapping[str, Any] = field(default_factory=dict)
    consolidated: bool = True
    verify: str = "manifest"
    progress_path: str | None = None
    mode: str = "create"
    shards: Mapping[str, Any] | str | None = None
    memory: str | int | None = None
    append_dim: str | None = None
    scheduler: str | None = None
    scheduler_tls: Any = None
    follow: tuple[str, ...] = ()


def request_from(options: Mapping[str, Any]) -> WriteRequest:
    """The request in the options of the module; raises BadRequest for a source that is neither a text nor a list of texts."""
    source = options["source"]
    source = [source] if isinstance(source, str) else source
    if not isinstance(source, list) or not source or not all(isinstance(item, str) and item for item in source):
        raise BadRequest(f"source is {options['source']!r}: it is a path, a glob or a URL, or a list of them.")
    known = {name: options[name] for name in WriteRequest.__dataclass_fields__ if options.get(name) is not None and name != "access"}
    lists: dict[str, Any] = {name: tuple(known[name]) for name in ("variables", "follow") if name in known}
    return WriteRequest(**{**known, **lists, "source": tuple(source), "access": access_from(options)})


def check_request(request: WriteRequest) -> None:
    """Raises BadRequest for values that are wrong in themselves."""
    parse_scheduler(request.scheduler, request.scheduler_tls)
    _check_mode(request)
    if request.zarr_format not in (2, 3):
        raise BadRequest(f"zarr_format is {request.zarr_format!r}: it is 2 or 3.")
    if request.shards and request.zarr_format == 2:
        raise BadRequest("shards: Zarr of format 2 has none. Use zarr_format 3, or larger 'chunks' for fewer objects.")
    parse_memory(request.memory)
    if request.verify not in VERIFY:
        raise BadRequest(f"verify is '{request.verify}': it is one of {', '.join(VERIFY)}.")
    if request.variables is not None and not request.variables:
        raise BadRequest("variables is an empty list. Leave it out to write all of them.")


def _check_mode(request: WriteRequest) -> None:
    if request.mode not in MODES:
        raise BadRequest(f"mode is '{request.mode}': it is one of {', '.join(MODES)}.", mode=request.mode)
    if request.mode == "append" and not request.append_dim:
        raise BadRequest("mode is 'append' without append_dim: name the dimension that grows, such as time.")
    if request.mode != "append" and request.append_dim:
        raise BadRequest(f"append_dim is '{request.append_dim}', and mode is '{request.mode}'. Leave it out, or set mode to append.")


def chunk_lengths(chunks: Mapping[str, Any] | str | None) -> dict[str, int] | None:
    """The option ``chunks`` as lengths by dimension; None for automatic ones."""
    return _lengths("chunks", chunks or {}) or None


def shard_lengths(shards: Mapping[str, Any] | str | None) -> dict[str, int] | None:
    """The option ``shards`` as lengths by dimension; empty for automatic ones, None for none."""
    return _lengths("shards", shards) if shards else None


def _lengths(option: str, value: Mapping[str, Any] | str) -> dict[str, int]:
    if value == "auto":
        return {}
    if not isinstance(value, Mapping):
        raise BadRequest(f"{option} is {value!r}: it is 'auto', or a dictionary of dimensions and lengths such as {{time: 240}}.")
    lengths = {}
    for dim, length in value.items():
        text = str(length).strip()
        if text == "auto":
            continue
        if isinstance(length, bool) or not text.removeprefix("-").isdecimal():
            raise BadRequest(f"{option}.{dim} is {length!r}: it has to be a whole number above 0, or auto.", dimension=dim)
        lengths[str(dim)] = int(text)
    return lengths
