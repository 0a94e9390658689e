# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Check of the chunks inside shards, all of them, by the indexes of the shards alone: a small part of the bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..errors import AccessRefused, Unreachable, ZarrstreamError
from ..findings import CheckResult, Findings, found, passed, skipped
from ..metadata.chunks import ChunkReader
from ..metadata.layout import ArrayLayout
from ..metadata.shards import ShardIndex, absent_chunks, shard_index, sides_within
from ..parallel import each
from ..text import human_bytes, many
from .registry import CHECKS
from .snapshot import Snapshot

UNASKED = 1000  # shards whose indexes are read though nobody has named the check: each is a request
LARGEST_INDEX = 64 * 1024**2  # bytes, of 4 million chunks: sixteen are read at a time


@dataclass(frozen=True)
class Shard:
    """One shard of the listing, and how its index is laid out."""

    layout: ArrayLayout
    place: tuple[int, ...]
    index: ShardIndex
    key: str
    size: int  # bytes


@dataclass(frozen=True)
class Look:
    """What the index of a shard says: why it cannot be read, or which of its chunks are not stored. ``read`` is in bytes."""

    shard: Shard
    problem: str = ""
    chunks: int = 0
    absent: int = 0
    first: tuple[int, ...] = ()
    read: int = 0


@dataclass
class Count:
    """The sum of what was looked at."""

    shards: int = 0
    chunks: int = 0
    absent: int = 0
    read: int = 0
    bytes: int = 0
    broken: Findings = field(default_factory=Findings)
    missing: Findings = field(default_factory=Findings)

    def add(self, look: Look) -> None:
        """Count one shard."""
        self.shards += 1
        self.bytes += look.shard.size
        self.read += look.read
        self.chunks += look.chunks
        self.absent += look.absent
        if look.problem:
            self.broken.add({"key": look.shard.key, "problem": look.problem})
        elif look.absent:
            text = f"{many(look.absent, 'chunk')} of {look.chunks} not stored, such as {list(look.first)}: a reader gets fill values"
            self.missing.add({"key": look.shard.key, "problem": text})


@CHECKS.check("inner_chunks", "listing", "root", place=65)
def check_inner_chunks(shot: Snapshot, reader: ChunkReader) -> CheckResult:
    """Every chunk inside every shard is in its index, which is sound and names bytes that the shard has."""
    layouts = {path: index for path, layout in reader.tree.arrays.items() if (index := shard_index(layout)) is not None}
    unread = sum(layout.inner_chunks is not None and path not in layouts for path, layout in reader.tree.arrays.items())
    if not layouts:
        return skipped(f"{unread} arrays have indexes of an unknown kind" if unread else "no array has shards")
    shards = sum(shot.census.present[path] for path in layouts)
    if shards > UNASKED and "inner_chunks" not in shot.request.checks and shot.request.sample is not None:
        return skipped(f"not asked for: name it in checks, or set sample to all; it takes a request for each of {shards} shards")
    count = Count()
    for look in each(partial(_look, shot), _shards(shot, reader, layouts)):
        count.add(look)
    if count.broken:
        return found(count.broken, f"{count.broken.count} of {count.shards} shards with an index that cannot be used", **_numbers(count))
    if count.missing and shot.request.missing == "error":
        text = f"{count.absent} of {count.chunks} chunks inside shards are missing and would be read as fill values"
        return found(count.missing, text, **_numbers(count))
    note = f"; {count.absent} more read as fill values, as missing={shot.request.missing} allows" if count.absent else ""
    share = f"{human_bytes(count.read)} of {human_bytes(count.bytes)} read"
    return passed(f"{count.chunks - count.absent} chunks are in the indexes of {count.shards} shards{note} ({share})", **_numbers(count))


def _numbers(count: Count) -> dict[str, Any]:
    return {"shards": count.shards, "chunks": count.chunks, "absent": count.absent, "bytes_read": count.read}


def _shards(shot: Snapshot, reader: ChunkReader, indexes: dict[str, ShardIndex]) -> Iterator[Shard]:
    """The shards that are listed; others are for 'complete'."""
    for key, info in sorted((shot.listing or {}).items()):
        layout = reader.tree.owner(key)
        place = layout.coordinates_of(key) if layout is not None and layout.path in indexes else None
        if layout is not None and place is not None:
            yield Shard(layout, place, indexes[layout.path], key, info.size)


def _look(shot: Snapshot, shard: Shard) -> Look:
    index = shard.index
    if shard.size < index.size:
        return Look(shard, f"it has {shard.size} bytes, fewer than its index, {index.size}")
    if index.size > LARGEST_INDEX:
        return Look(shard, f"its index has {human_bytes(index.size)}, and no more than {human_bytes(LARGEST_INDEX)} are read at once")
    try:
        raw = shot.fetch_part(shard.key, *index.part(shard.size))
    except Unreachable:
        raise
    except AccessRefused as error:
        return Look(shard, f"not allowed: {error}")
    except ZarrstreamError as error:
        return Look(shard, f"cannot be read: {error}")
    if raw is None:
        return Look(shard, "gone since it was listed")
    problem = index.problem(raw, shard.size)
    if problem:
        return Look(shard, problem, read=len(raw))
    absent = absent_chunks(shard.layout, shard.place, index, raw)
    total = math.prod(sides_within(shard.layout, shard.place))
    return Look(shard, chunks=total, absent=len(absent), first=absent[0] if absent else (), read=len(raw))
