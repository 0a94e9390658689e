# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How large stored bytes become when they are decoded, found before that takes memory: a few bytes can stand for gigabytes.

What a codec writes at the head of its data is taken from there; what it does not tell is counted, and the counting ends at
the limit. Codecs that are not known here tell nothing.
"""

from __future__ import annotations

import bz2
import lzma
import math
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from .layout import ArrayLayout, BadDocument, codecs_v3, inner_chunks

LARGEST = 4 * 2**30  # bytes of one chunk, decoded
SLACK = 2**16  # bytes that codecs may add to a chunk
LARGEST_DOCUMENT = 2**27  # bytes of a metadata document
_TEXT, _LEAST_TEXT = 2**16, 2**26  # bytes of an element of any length, and of a chunk of few of them
_WIDEST = 16  # bytes of an element: a filter may store others than the array has
_RATIO = 1032  # bytes that one byte of deflated data can stand for
_PIECE = 2**20
_ABSENT = 2**64 - 1
_BLOCK, _REPEATED, _COMPRESSED = 2**17, 1, 2  # of Zstandard: bytes that a block holds at most, and kinds of blocks
_ZSTD, _SKIPPABLE, _SKIP_MASK = 0xFD2FB528, 0x184D2A50, 0xFFFFFFF0
_CHECKSUMS = {"crc32c": 4, "crc32": 4, "adler32": 4, "fletcher32": 4, "jenkins_lookup3": 4}
_PLAIN_TEXT = ("vlen-utf8", "vlen-bytes", "vlen-array")


class TooLarge(Exception):
    """Data that decode to more than they may; the text says so."""


def check_chunk(layout: ArrayLayout, data: bytes | memoryview, item: int | None) -> None:
    """Raises TooLarge for an object of an array (a chunk, or a shard) that decodes to more than the array announces.

    ``item`` is the size of an element in bytes, None for text. Raises ValueError for a shard whose index is damaged.
    """
    if layout.inner_chunks is None:
        _check_codecs(layout, data, item)
        return
    inner = inner_layout(layout)
    for start, stop in shard_index(layout, data):
        if stop > len(data):
            raise ValueError(f"the index of the shard names bytes {start} to {stop} of {len(data)}")
        check_chunk(inner, memoryview(data)[start:stop], item)


def most_stored(layout: ArrayLayout, item: int | None) -> int:
    """Bytes that an object of an array can have at most, whatever its codecs."""
    count = 1
    while layout.inner_chunks is not None:
        count *= _parts(layout)
        layout = inner_layout(layout)
    return count * (2 * _limit(layout, item) + SLACK)


def inner_layout(layout: ArrayLayout) -> ArrayLayout:
    """The chunks of a shard, as an array of which each is one."""
    if layout.inner_chunks is None:
        raise AssertionError("only of sharded arrays")
    codecs = codecs_v3(_sharding(layout).get("codecs"))
    return replace(layout, chunks=layout.inner_chunks, codecs=codecs, inner_chunks=inner_chunks(codecs, layout.inner_chunks))


def index_place(layout: ArrayLayout) -> tuple[str, int, int]:
    """Where the index of a shard lies ('start' or 'end'), its bytes with, and without, what its codecs add; (…, 0, 0) if unknown."""
    options = _sharding(layout)
    try:
        codecs = codecs_v3(options.get("index_codecs") or [{"name": "bytes"}, {"name": "crc32c"}])
    except BadDocument:
        return "", 0, 0
    names = [codec["name"] for codec in codecs]
    if names not in (["bytes"], ["bytes", "crc32c"]) or codecs[0]["configuration"].get("endian", "little") != "little":
        return "", 0, 0
    size = 16 * _parts(layout)
    return str(options.get("index_location", "end")), size + 4 * (len(names) - 1), size


def shard_index(layout: ArrayLayout, data: bytes | memoryview) -> Iterator[tuple[int, int]]:
    """Begin and end of each chunk that a shard holds; nothing for an index of a kind that is not known."""
    where, whole, size = index_place(layout)
    if not whole:
        return iter(())
    if len(data) < whole:
        raise ValueError(f"the shard has {len(data)} bytes, and its index takes {whole}")
    begin = 0 if where == "start" else len(data) - whole
    return index_entries(data[begin : begin + size])


def index_entries(index: bytes | memoryview) -> Iterator[tuple[int, int]]:
    """Begin and end of each chunk in the bytes of an index."""
    return ((start, start + length) for start, length in struct.iter_unpack("<QQ", index) if (start, length) != (_ABSENT, _ABSENT))


def check_decoded(codec: str, data: Any, limit: int, options: Mapping[str, Any] | None = None) -> None:
    """Raises TooLarge where what this codec has encoded takes more than ``limit`` bytes."""
    measure = _MEASURES.get(codec)
    size = measure(memoryview(data).cast("B"), limit, options or {}) if measure else 0
    if size > limit:
        raise TooLarge(f"{len(data)} bytes decode to {size} or more, where the array announces no more than {limit} for all of a chunk")


def _check_codecs(layout: ArrayLayout, data: bytes | memoryview, item: int | None) -> None:
    limit, steps = _limit(layout, item), list(layout.codecs)
    while steps:
        codec = steps.pop()
        name, options = codec["name"].removeprefix("numcodecs."), codec["configuration"]
        if name in _PLAIN_TEXT:
            _check_text(data, math.prod(layout.chunks))
        if name not in _MEASURES and name not in _CHECKSUMS:
            return
        check_decoded(name, data, limit, options)
        if not any(_wanted(step) for step in steps):
            return
        data = _undone(name, data, limit, options)


def _wanted(codec: Mapping[str, Any]) -> bool:
    name = codec["name"].removeprefix("numcodecs.")
    return name in _MEASURES or name in _PLAIN_TEXT


def _check_text(data: bytes | memoryview, expected: int) -> None:
    count = int.from_bytes(bytes(data[:4]), "little")
    if count != expected:
        raise TooLarge(f"it announces {count} elements of any length where a chunk has {expected}")


def _limit(layout: ArrayLayout, item: int | None) -> int:
    """Bytes that a chunk can take between any two of its codecs."""
    count = math.prod(layout.chunks)
    if item is None:
        return min(LARGEST, max(_LEAST_TEXT, count * _TEXT))
    plain = {"bytes", "transpose", *_MEASURES, *_CHECKSUMS}
    filtered = any(codec["name"].removeprefix("numcodecs.") not in plain for codec in layout.codecs)
    return min(LARGEST, count * (max(item, _WIDEST) if filtered else item) + SLACK)


def _parts(layout: ArrayLayout) -> int:
    if layout.inner_chunks is None:
        raise AssertionError("only of sharded arrays")
    return math.prod(outer // size if size else 0 for outer, size in zip(layout.chunks, layout.inner_chunks, strict=True))


def _sharding(layout: ArrayLayout) -> dict[str, Any]:
    return next(codec["configuration"] for codec in layout.codecs if codec["name"] == "sharding_indexed")


def _blosc(data: memoryview, _limit: int, _options: Mapping[str, Any]) -> int:
    return int.from_bytes(data[4:8], "little")


def _lz4(data: memoryview, _limit: int, _options: Mapping[str, Any]) -> int:
    return int.from_bytes(data[:4], "little")


def _zstd(data: memoryview, limit: int, _options: Mapping[str, Any]) -> int:
    """The sum of what the frames announce; of one that announces nothing, what its blocks can hold, counted where that is much."""
    total, place, guessed = 0, 0, False
    while place + 4 <= len(data):
        magic = int.from_bytes(data[place : place + 4], "little")
        if magic & _SKIP_MASK == _SKIPPABLE:
            place += 8 + int.from_bytes(data[place + 4 : place + 8], "little")
            continue
        if magic != _ZSTD:
            break
        size, told, place = _zstd_frame(data, place + 4)
        if told and size > limit:
            return size
        total, guessed = total + size, guessed or not told
    return _counted_zstd(data, limit, total) if guessed and total > limit else total


def _zstd_frame(data: memoryview, place: int) -> tuple[int, bool, int]:
    """Bytes that a frame decodes to, whether it says so or they are the most, and where it ends; ``place`` is behind its magic number."""
    head = data[place] if place < len(data) else 0
    single, dictionary = head >> 5 & 1, (0, 1, 2, 4)[head & 3]
    width = (single, 2, 4, 8)[head >> 6]
    place += 1 + (not single) + dictionary
    announced = int.from_bytes(data[place : place + width], "little") + (256 if width == 2 else 0)
    place += width
    most, last = 0, False
    while not last and place + 3 <= len(data):
        block = int.from_bytes(data[place : place + 3], "little")
        last, kind, size = bool(block & 1), block >> 1 & 3, block >> 3
        most += _BLOCK if kind == _COMPRESSED else size
        place += 3 + (1 if kind == _REPEATED else size)
    return announced if width else most, width > 0, place + 4 * (head >> 2 & 1)


def _counted_zstd(data: memoryview, limit: int, guess: int) -> int:
    try:
        import zstandard
    except ImportError:
        return guess
    total = 0
    try:
        with zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(data, read_across_frames=True) as stream:
            while total <= limit and (piece := stream.read(_PIECE)):
                total += len(piece)
    except zstandard.ZstdError:
        return total  # damaged: whoever decodes it says so
    return total


def _deflated(bits: int) -> Callable[[memoryview, int, Mapping[str, Any]], int]:
    def measure(data: memoryview, limit: int, _options: Mapping[str, Any]) -> int:
        if len(data) * _RATIO <= limit:
            return 0
        return sum(map(len, _inflated(data, bits, limit)))

    return measure


def _inflated(data: bytes | memoryview, bits: int, limit: int) -> Iterator[bytes]:
    """What was deflated, in pieces, up to a little more than ``limit`` bytes; members of gzip one after the other."""
    total = 0
    while data:
        member = zlib.decompressobj(bits)
        rest: bytes | memoryview = data
        while total <= limit and not member.eof:
            try:
                piece = member.decompress(rest, _PIECE)
            except zlib.error:
                return  # damaged: whoever decodes it says so
            if not piece and not member.unconsumed_tail:
                break
            total += len(piece)
            yield piece
            rest = member.unconsumed_tail
        data = member.unused_data if member.eof and bits > zlib.MAX_WBITS and total <= limit else b""


def _bz2(data: memoryview, limit: int, _options: Mapping[str, Any]) -> int:
    return _streamed(bz2.BZ2Decompressor(), data, limit)


def _lzma(data: memoryview, limit: int, options: Mapping[str, Any]) -> int:
    try:
        kind, filters = int(options.get("format", lzma.FORMAT_XZ)), options.get("filters")
        return _streamed(lzma.LZMADecompressor(kind, filters=filters if kind == lzma.FORMAT_RAW else None), data, limit)
    except (ValueError, TypeError, KeyError):
        return 0  # the codec says what is wrong with its options


def _streamed(decoder: Any, data: memoryview, limit: int) -> int:
    total, rest = 0, bytes(data)
    try:
        while total <= limit and not decoder.eof:
            piece = decoder.decompress(rest, _PIECE)
            if not piece and decoder.needs_input:
                break
            total, rest = total + len(piece), b""
    except (OSError, lzma.LZMAError):
        pass  # damaged: whoever decodes it says so
    return total


_MEASURES: dict[str, Callable[[memoryview, int, Mapping[str, Any]], int]] = {
    "blosc": _blosc,
    "lz4": _lz4,
    "zstd": _zstd,
    "zlib": _deflated(zlib.MAX_WBITS),
    "gzip": _deflated(zlib.MAX_WBITS + 16),
    "bz2": _bz2,
    "lzma": _lzma,
}


def _undone(name: str, data: bytes | memoryview, limit: int, options: Mapping[str, Any]) -> bytes | memoryview:
    """The data as they were before this codec; its limit has been seen to hold."""
    if name in _CHECKSUMS:
        at_end = options.get("location", "end" if name in ("crc32c", "fletcher32") else "start") == "end"
        return data[: -_CHECKSUMS[name]] if at_end else data[_CHECKSUMS[name] :]
    if name in ("zlib", "gzip"):
        return b"".join(_inflated(data, zlib.MAX_WBITS + 16 * (name == "gzip"), limit))
    import numcodecs

    plain = {option: value for option, value in options.items() if name == "lzma"}
    decoded = numcodecs.get_codec({"id": name, **plain}).decode(bytes(data))
    return memoryview(decoded).cast("B")
