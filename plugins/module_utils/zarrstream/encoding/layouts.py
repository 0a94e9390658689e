# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lengths of chunks and shards for each array: what is said of it, else of all, else what a Zarr source has, else automatic ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from ..errors import BadRequest
from ..metadata.layout import ArrayLayout
from ..planning.chunking import ArrayLengths, ArraySource, divisor
from ..planning.plan import check_lengths
from .codecs import EVERY, Encoding
from .lengths import AUTO, NONE, Asked, by_axis, numbers


@dataclass(frozen=True)
class LayoutRequest:
    """What a request says of lengths. ``explicit`` has ``chunks``, ``shards`` and ``chunks.lat`` where these are asked for in words."""

    chunks: Mapping[str, int] | None = None
    shards: Mapping[str, int] | None = None
    explicit: frozenset[str] = frozenset()
    encodings: Mapping[str, Encoding] | None = None
    zarr_format: int = 3


def with_lengths(arrays: Sequence[ArraySource], asked: LayoutRequest, stored: Mapping[str, ArrayLayout]) -> list[ArraySource]:
    """The arrays with lengths of their own, where they have other ones than those that hold for all.

    Raises BadRequest for lists of lengths that do not fit.
    """
    if every := (asked.encodings or {}).get(EVERY):
        for key, lengths in (("chunks", every.chunks), ("shards", every.shards)):
            check_lengths(f"encoding.{EVERY}.{key}", arrays, numbers(lengths))
    return [_with_lengths(array, asked, stored.get(array.name)) for array in arrays]


def _with_lengths(array: ArraySource, asked: LayoutRequest, there: ArrayLayout | None) -> ArraySource:
    encodings = asked.encodings or {}
    own, every = encodings.get(array.name, Encoding(array.name)), encodings.get(EVERY, Encoding(EVERY))
    if not any((own.chunks, own.shards, every.chunks, every.shards, there)):
        return array
    coordinate = array.dims == (array.name.rpartition("/")[2],)
    kept = _Kept.of(array, there, asked)
    chunks, shards = dict(kept.chunks), kept.shards
    if not coordinate:  # readers load it whole: what holds for all is not for it
        chunks = _over(chunks, _named(asked, "chunks"), array.dims)
        shards = _shards(shards, _named(asked, "shards"), array.dims)
        chunks, shards = _over(chunks, every.chunks, array.dims), _shards(shards, every.shards, array.dims)
    mine = [_checked(array, key, lengths) for key, lengths in (("chunks", own.chunks), ("shards", own.shards))]
    chunks, shards = _over(chunks, mine[0], array.dims), _shards(shards, mine[1], array.dims)
    chunks, shards = kept.reconciled(chunks, shards)
    where = f"encoding.{array.name}." if own.chunks or own.shards else f"encoding.{EVERY}." if every.chunks or every.shards else ""
    return replace(array, lengths=ArrayLengths(chunks, shards, where=where, kept=there is not None))


@dataclass(frozen=True)
class _Kept:
    """What a Zarr source has, as far as it is kept, and what holds for all without one."""

    chunks: Mapping[str, int]
    shards: Mapping[str, int] | None
    own_shards: bool = False  # of the source

    @classmethod
    def of(cls, array: ArraySource, there: ArrayLayout | None, asked: LayoutRequest) -> _Kept:
        shards = asked.shards if array.dims != (array.name.rpartition("/")[2],) or asked.shards is None else {}
        if there is None:
            return cls({}, shards)
        names = [name if name is not None else "" for name in there.dims]
        inner, outer = (dict(zip(names, lengths, strict=False)) for lengths in (there.inner_chunks or there.chunks, there.chunks))
        chunks = {dim: inner[dim] for dim in array.dims if inner.get(dim)} if "chunks" not in asked.explicit else {}
        if "shards" not in asked.explicit and asked.shards is None:
            own = there.inner_chunks is not None and asked.zarr_format == 3
            return cls(chunks, {dim: outer[dim] for dim in array.dims if outer.get(dim)} if own else None, own_shards=own)
        return cls(chunks, shards)

    def reconciled(self, chunks: dict[str, int], shards: dict[str, int] | None) -> tuple[dict[str, int], dict[str, int] | None]:
        """Where one of the two was kept and the other one asked for, what was kept gives way: a shard holds whole chunks."""
        for dim, shard in list((shards or {}).items()):
            chunk = chunks.get(dim)
            if shards is None or chunk is None or shard % chunk == 0:
                continue
            if self.own_shards and (self.shards or {}).get(dim) == shard:
                shards[dim] = max(chunk, shard // chunk * chunk)
            elif self.chunks.get(dim) == chunk:
                chunks[dim] = divisor(shard, chunk)
        return chunks, shards


def _named(asked: LayoutRequest, option: str) -> Asked:
    lengths = asked.chunks if option == "chunks" else asked.shards
    autos = {name.partition(".")[2]: AUTO for name in asked.explicit if name.startswith(f"{option}.")}
    return {**(lengths or {}), **autos} or None


def _over(lengths: dict[str, int], asked: Asked, dims: Collection[str]) -> dict[str, int]:
    if asked is None:
        return lengths
    if not isinstance(asked, dict):
        return {}  # auto
    kept = {dim: length for dim, length in lengths.items() if asked.get(dim) != AUTO}
    return {**kept, **{dim: length for dim, length in numbers(asked).items() if dim in dims}}


def _shards(shards: Mapping[str, int] | None, asked: Asked, dims: Collection[str]) -> dict[str, int] | None:
    if asked == NONE:
        return None
    if asked is None:
        return None if shards is None else dict(shards)
    return _over(dict(shards or {}), asked, dims)


def _checked(array: ArraySource, key: str, lengths: Asked) -> Asked:
    if isinstance(lengths, tuple) and len(lengths) != len(array.dims):
        known = ", ".join(f"{dim} ({size})" for dim, size in zip(array.dims, array.shape, strict=True)) or "none"
        raise BadRequest(
            f"encoding.{array.name}.{key} has {len(lengths)} lengths: '{array.name}' has the dimensions {known}. Give one for each.",
            variable=array.name,
        )
    lengths = by_axis(lengths, array.dims)
    check_lengths(f"encoding.{array.name}.{key}", [array], numbers(lengths))
    return lengths
