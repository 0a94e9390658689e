# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is asked of a write, and what of it can be refused without looking anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..encoding.codecs import EVERY, Encoding, parse_encoding
from ..encoding.lengths import AUTO, NONE, Asked, numbers, parse_lengths
from ..errors import BadRequest
from ..libraries import missing_libraries_named
from ..planning.memory import parse_memory
from ..scheduler import Scheduler, parse_scheduler
from ..source.reading import AS_FOUND, Reading, parse_reading
from ..storage.access import BY_DEFAULT, Access, access_from
from ..storage.remote import SourceAccess
from ..storage.source_access import SourceReach, check_needed, source_access_from
from .fingerprint import normal_request

MODES = ("create", "replace", "append", "update")
MAX_REVISED = 0.1  # of the steps of a store, which an update may change or take away
VERIFY = ("none", "manifest", "sample", "full")


@dataclass(frozen=True)
class WriteRequest(SourceReach):
    """One data set to write: the options of the module ``zarr_write`` as values. Raises BadRequest for those that are wrong in themselves.

    Lengths are by dimension: no ``chunks`` and empty ``shards`` are automatic ones. ``explicit`` has ``chunks``, ``shards`` and
    ``chunks.lat`` where these were asked for by name, which makes a difference for Zarr sources. ``memory`` is in bytes, None for
    what is free.
    """

    source: tuple[str, ...]
    store: str
    access: Access = BY_DEFAULT
    source_access: SourceAccess = field(default_factory=SourceAccess)
    follow: tuple[str, ...] = ()
    zarr_format: Literal[2, 3] = 3
    reading: Reading = AS_FOUND
    variables: tuple[str, ...] | None = None
    chunks: dict[str, int] | None = None
    shards: dict[str, int] | None = None
    explicit: frozenset[str] = frozenset()
    encodings: Mapping[str, Encoding] = field(default_factory=dict)
    consolidated: bool = True
    portable: bool = False
    mode: str = "create"
    append_dim: str | None = None
    max_revised: float = MAX_REVISED
    verify: str = "manifest"
    memory: int | None = None
    scheduler: Scheduler | None = None
    progress_path: str | None = None

    def __post_init__(self) -> None:
        _check_mode(self)
        check_needed(self.source_access, self.source)
        if self.zarr_format not in (2, 3):
            raise BadRequest(f"zarr_format is {self.zarr_format!r}: it is 2 or 3.")
        if self.shards is not None and self.zarr_format == 2:
            raise BadRequest("shards: Zarr of format 2 has none. Use zarr_format 3, or larger 'chunks' for fewer objects.")
        for name, encoding in self.encodings.items():
            if encoding.shards not in (None, NONE) and self.zarr_format == 2:
                raise BadRequest(f"encoding.{name}.shards: Zarr of format 2 has none. Use zarr_format 3, or leave it out.", variable=name)
        if self.verify not in VERIFY:
            raise BadRequest(f"verify is '{self.verify}': it is one of {', '.join(VERIFY)}.")
        if self.variables is not None and not self.variables:
            raise BadRequest("variables is an empty list. Leave it out to write all of them.")

    def identity(self, *, keeps: bool = False) -> dict[str, Any]:
        """What of it makes another store, in one spelling. ``keeps`` for a Zarr source, of which is kept what the request does not name."""
        told = keeps or EVERY in self.encodings
        return normal_request(
            zarr_format=self.zarr_format,
            consolidated=self.consolidated,
            portable=self.portable,
            variables=self.variables,
            chunks=self.chunks,
            shards=self.shards,
            encoding={name: encoding.normal(told=told) for name, encoding in self.encodings.items()},
            explicit=self.explicit if keeps else None,
            **self.reading.normal(),
        )


_AS_GIVEN = ("store", "zarr_format", "consolidated", "portable", "mode", "append_dim", "max_revised", "verify", "progress_path")


def request_from(options: Mapping[str, Any]) -> WriteRequest:
    """The request in the options of the module, of which None is one that was left out. Raises BadRequest; looks nowhere."""
    source = options["source"]
    source = [source] if isinstance(source, str) else source
    if not isinstance(source, list) or not source or not all(isinstance(item, str) and item for item in source):
        raise BadRequest(f"source is {options['source']!r}: it is a path, a glob or a URL, or a list of them.")
    given = {name: value for name, value in options.items() if value is not None}
    with missing_libraries_named():  # of the types in encodings
        return WriteRequest(
            source=tuple(source),
            access=access_from(given),
            source_access=source_access_from(given),
            follow=tuple(given.get("follow", ())),
            reading=parse_reading(given),
            variables=tuple(given["variables"]) if "variables" in given else None,
            chunks=chunk_lengths(given.get("chunks")),
            shards=shard_lengths(given.get("shards")),
            explicit=_explicit(given),
            encodings=parse_encoding(given.get("encoding", {})),
            memory=parse_memory(given.get("memory")),
            scheduler=parse_scheduler(given.get("scheduler"), given.get("scheduler_tls")),
            **{name: given[name] for name in _AS_GIVEN if name in given},
        )


def _check_mode(request: WriteRequest) -> None:
    if request.mode not in MODES:
        raise BadRequest(f"mode is '{request.mode}': it is one of {', '.join(MODES)}.", mode=request.mode)
    grows = request.mode in ("append", "update")
    if grows and not request.append_dim:
        raise BadRequest(f"mode is '{request.mode}' without append_dim: name the dimension that grows, such as time.")
    if not grows and request.append_dim:
        text = f"append_dim is '{request.append_dim}', and mode is '{request.mode}'. Leave it out, or set mode to append or update."
        raise BadRequest(text)
    if isinstance(request.max_revised, bool) or not 0 <= request.max_revised <= 1:
        text = f"max_revised is {request.max_revised!r}: it is the share of the steps that an update may change, from 0 to 1, such as 0.1."
        raise BadRequest(text)
    if request.mode == "update" and not request.consolidated:
        text = "consolidated is false, and mode is 'update': only consolidated metadata let all arrays change at one moment. Leave it out."
        raise BadRequest(text)


def chunk_lengths(chunks: Mapping[str, Any] | str | None) -> dict[str, int] | None:
    """The option ``chunks`` as lengths by dimension; None for automatic ones."""
    return numbers(parse_lengths("chunks", chunks)) or None


def shard_lengths(shards: Mapping[str, Any] | str | None) -> dict[str, int] | None:
    """The option ``shards`` as lengths by dimension; empty for automatic ones, None for none."""
    lengths = parse_lengths("shards", shards, none=True)
    return None if lengths in (None, NONE) else numbers(lengths)


def _explicit(given: Mapping[str, Any]) -> frozenset[str]:
    """What of chunks and shards is asked for in words, not in numbers."""
    asked: dict[str, Asked] = {name: parse_lengths(name, given.get(name), none=name == "shards") for name in ("chunks", "shards")}
    whole = {name for name, lengths in asked.items() if lengths in (AUTO, NONE)}
    parts = {f"{name}.{dim}" for name, lengths in asked.items() if isinstance(lengths, dict) for dim in lengths if lengths[dim] == AUTO}
    return frozenset(whole | parts)
