# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a shard leaves out. A chunk that its index does not hold reads as fill values, like a chunk that is no object."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from .layout import ArrayLayout, codecs_v3

_ABSENT = 2**64 - 1  # offset and length of a chunk that is not stored


def chunks_within(layout: ArrayLayout, place: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """The chunks of a shard that lie within the array, by their place in the shard."""
    if layout.inner_chunks is None:
        raise AssertionError("only of sharded arrays")
    sides = [range(-(-(part.stop - part.start) // inner)) for part, inner in zip(layout.region(place), layout.inner_chunks, strict=True)]
    return itertools.product(*sides)


def left_out(layout: ArrayLayout, place: tuple[int, ...], data: bytes) -> list[tuple[int, ...]]:
    """The chunks that a shard does not store, of those within the array, by their place in the grid of chunks.

    None for arrays without shards, and where the index is encoded in a way that is not known here.
    """
    import numpy as np

    inner, index_type, where, checksum = layout.inner_chunks, *_index(layout)
    if inner is None or not index_type:
        return []
    counts = tuple(outer // step for outer, step in zip(layout.chunks, inner, strict=True))
    size = 16 * math.prod(counts)
    raw = data[:size] if where == "start" else data[len(data) - size - checksum : len(data) - checksum]
    index = np.frombuffer(raw, index_type).reshape(*counts, 2)
    return [
        tuple(shard * count + own for shard, count, own in zip(place, counts, chunk, strict=True))
        for chunk in chunks_within(layout, place)
        if (index[chunk] == _ABSENT).all()
    ]


def _index(layout: ArrayLayout) -> tuple[str, str, int]:
    """NumPy's name of the index' type ('' for an unknown one), where it lies in a shard, the bytes of its checksum."""
    if layout.inner_chunks is None:
        return "", "", 0
    options = next(codec["configuration"] for codec in layout.codecs if codec["name"] == "sharding_indexed")
    codecs = codecs_v3(options.get("index_codecs") or [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}])
    names = [codec["name"] for codec in codecs]
    if names not in (["bytes"], ["bytes", "crc32c"]):
        return "", "", 0
    byte_order = ">" if codecs[0]["configuration"].get("endian") == "big" else "<"
    return f"{byte_order}u8", str(options.get("index_location", "end")), 4 * (len(names) - 1)
