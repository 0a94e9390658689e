# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a shard leaves out. A chunk that its index does not hold reads as fill values, like a chunk that is no object."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .layout import ArrayLayout, BadDocument, codecs_v3

if TYPE_CHECKING:
    import numpy as np

_ABSENT = 2**64 - 1  # offset and length of a chunk that is not stored


@dataclass(frozen=True)
class ShardIndex:
    """Where the chunks of each shard of an array are named: ``counts`` of them along each dimension, at its start or its end."""

    counts: tuple[int, ...]
    dtype: str  # NumPy's name of its numbers
    at_start: bool
    checksum: int  # bytes

    @property
    def size(self) -> int:
        """Bytes with the checksum."""
        return 16 * math.prod(self.counts) + self.checksum

    def part(self, size: int) -> tuple[int, int]:
        """Where it begins and ends in a shard of ``size`` bytes, which has no fewer than its own."""
        return (0, self.size) if self.at_start else (size - self.size, size)

    def entries(self, raw: bytes) -> np.ndarray:
        """Offset and length of each chunk, by its place in the shard."""
        import numpy as np

        return np.frombuffer(raw[: self.size - self.checksum], self.dtype).reshape(*self.counts, 2)

    def problem(self, raw: bytes, size: int) -> str:
        """Why these bytes are no index of a shard of ``size`` bytes, or ''."""
        import numpy as np

        if len(raw) != self.size:
            return f"{len(raw)} of the {self.size} bytes of its index are there"
        if self.checksum and crc32c(raw[: -self.checksum]) != int.from_bytes(raw[-self.checksum :], "little"):
            return "its index has another checksum than it was written with"
        offsets, lengths = np.moveaxis(self.entries(raw), -1, 0)
        whole = ~((offsets == _ABSENT) & (lengths == _ABSENT))
        first, last = (self.size, size) if self.at_start else (0, size - self.size)
        wrong = whole & ((lengths == 0) | (lengths > last) | (offsets < first) | (offsets > last - np.minimum(lengths, last)))
        return f"its index names bytes for {int(wrong.sum())} chunks that it does not have" if wrong.any() else ""


def shard_index(layout: ArrayLayout) -> ShardIndex | None:
    """The index of an array's shards; None for arrays without shards, and where it is encoded in a way that is not known here."""
    if layout.inner_chunks is None:
        return None
    options = next(codec["configuration"] for codec in layout.codecs if codec["name"] == "sharding_indexed")
    try:
        codecs = codecs_v3(options.get("index_codecs") or [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}])
    except BadDocument:
        return None
    names = [codec["name"] for codec in codecs]
    if names not in (["bytes"], ["bytes", "crc32c"]):
        return None
    byte_order = ">" if codecs[0]["configuration"].get("endian") == "big" else "<"
    counts = tuple(outer // step for outer, step in zip(layout.chunks, layout.inner_chunks, strict=True))
    return ShardIndex(counts, f"{byte_order}u8", options.get("index_location", "end") == "start", 4 * (len(names) - 1))


def sides_within(layout: ArrayLayout, place: tuple[int, ...]) -> tuple[int, ...]:
    """How many chunks of a shard lie within the array, along each dimension."""
    if layout.inner_chunks is None:
        raise AssertionError("only of sharded arrays")
    return tuple(-(-(part.stop - part.start) // inner) for part, inner in zip(layout.region(place), layout.inner_chunks, strict=True))


def left_out(layout: ArrayLayout, place: tuple[int, ...], data: bytes) -> list[tuple[int, ...]]:
    """The chunks that a shard does not store, of those within the array, by their place in the grid of chunks.

    None for arrays without shards, and where the index is encoded in a way that is not known here.
    """
    index = shard_index(layout)
    if index is None:
        return []
    start, stop = index.part(len(data))
    return absent_chunks(layout, place, index, data[start:stop])


def absent_chunks(layout: ArrayLayout, place: tuple[int, ...], index: ShardIndex, raw: bytes) -> list[tuple[int, ...]]:
    """The same by the bytes of the index, which are sound."""
    import numpy as np

    inside = tuple(slice(0, count) for count in sides_within(layout, place))
    absent = np.argwhere((index.entries(raw)[inside] == _ABSENT).all(axis=-1))
    return [tuple(shard * count + int(own) for shard, count, own in zip(place, index.counts, chunk, strict=True)) for chunk in absent]


def crc32c(data: bytes) -> int:
    """The checksum of an index, by the library that zarr-python has for it."""
    try:
        import google_crc32c
    except ImportError:  # an older zarr-python has another one
        from crc32c import crc32c as checksum

        return int(checksum(data))
    return int(google_crc32c.value(data))
