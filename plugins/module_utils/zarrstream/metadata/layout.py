# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The grid of an array: which objects it consists of, and which part of the array each one holds.

Read from the raw metadata document, so that it is the same for every release of zarr-python and stands up to nonsense.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..text import shortened

_COORDINATE = re.compile(r"0|[1-9][0-9]{0,17}")
_WIDTH = re.compile(r"(?:u?int|float|complex|r)(\d+)")
MAX_RANK = 64  # NumPy's limit
MAX_SIZE = 2**63 - 1


class BadDocument(Exception):
    """A metadata document that does not describe a node; the text says which field and why."""


class UnknownGrid(BadDocument):
    """One that may describe a node, in a way that is not known here."""


@dataclass(frozen=True)
class ArrayLayout:
    """One array as its metadata document describes it. ``chunks`` is what one object holds: a chunk, or a shard."""

    path: str
    zarr_format: int
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    inner_chunks: tuple[int, ...] | None  # the chunks within a shard
    prefix: str  # 'c' in v3's own chunk keys, else ''
    separator: str
    codecs: tuple[dict[str, Any], ...]  # name and configuration, in the order of encoding
    dimension_names: tuple[str | None, ...] | None
    attributes: dict[str, Any] = field(repr=False)
    document: dict[str, Any] = field(repr=False)

    @cached_property
    def grid(self) -> tuple[int, ...]:
        """Number of objects along each dimension."""
        return tuple(-(-size // chunk) if size else 0 for size, chunk in zip(self.shape, self.chunks, strict=True))

    @property
    def dims(self) -> tuple[str | None, ...]:
        """The names of the dimensions; none where the document has none."""
        return self.dimension_names or ()

    @property
    def count(self) -> int:
        """Number of objects of a store that keeps every chunk."""
        return math.prod(self.grid)

    def key(self, coordinates: tuple[int, ...]) -> str:
        """Key of an object, relative to the store."""
        parts = [self.prefix, *map(str, coordinates)] if self.prefix else [str(number) for number in coordinates]
        name = self.separator.join(parts) or "0"
        return f"{self.path}/{name}" if self.path else name

    def object_keys(self) -> Iterator[str]:
        """The keys of all objects in the order of the grid, one at a time: there may be any number of them."""
        return (self.key(self.coordinates(number)) for number in count_to(self.count))

    def coordinates(self, number: int) -> tuple[int, ...]:
        """Place in the grid of the object with this number, counted in the order of the grid."""
        place: list[int] = []
        for size in reversed(self.grid):
            number, rest = divmod(number, size)
            place.append(rest)
        return tuple(reversed(place))

    def coordinates_of(self, key: str) -> tuple[int, ...] | None:
        """Place in the grid of the object ``key`` (relative to the store), or None for anything that is none of its objects."""
        name = key[len(self.path) + 1 :] if self.path else key
        if not self.shape:
            return () if key == self.key(()) else None
        parts = name.split(self.separator)
        if self.prefix and parts.pop(0) != self.prefix:
            return None
        if len(parts) != len(self.shape) or not all(_COORDINATE.fullmatch(part) for part in parts):
            return None
        place = tuple(map(int, parts))
        return place if all(number < size for number, size in zip(place, self.grid, strict=True)) else None

    def region(self, coordinates: tuple[int, ...]) -> tuple[slice, ...]:
        """The part of the array that an object holds, cut at the array's edge."""
        return tuple(
            slice(number * chunk, min((number + 1) * chunk, size))
            for number, chunk, size in zip(coordinates, self.chunks, self.shape, strict=True)
        )


def count_to(end: int) -> Iterator[int]:
    """0, 1, … below ``end``, which may be beyond what ``range`` can count."""
    number = 0
    while number < end:
        yield number
        number += 1


def array_layout(path: str, document: dict[str, Any], attributes: dict[str, Any]) -> ArrayLayout:
    """The layout that a metadata document describes; raises BadDocument. ``attributes`` are those of v2's own document."""
    return _layout_v2(path, document, attributes) if document.get("zarr_format") == 2 else _layout_v3(path, document)


def _layout_v2(path: str, document: dict[str, Any], attributes: dict[str, Any]) -> ArrayLayout:
    shape = _sizes(document, "shape")
    chunks = _chunk_sizes(document, "chunks", shape)
    names = attributes.get("_ARRAY_DIMENSIONS")
    filters = document.get("filters") or []
    if not isinstance(filters, list):
        raise BadDocument(f"filters is {short(filters)}, not a list or null")
    compressor = document.get("compressor")
    steps = [*filters, *([compressor] if compressor is not None else [])]
    return ArrayLayout(
        path=path,
        zarr_format=2,
        shape=shape,
        chunks=chunks,
        inner_chunks=None,
        prefix="",
        separator=_separator(document, "dimension_separator", "."),
        codecs=tuple(_codec_v2(step) for step in steps),
        dimension_names=_dimension_names(names, shape, "_ARRAY_DIMENSIONS"),
        attributes=attributes,
        document=document,
    )


def _layout_v3(path: str, document: dict[str, Any]) -> ArrayLayout:
    shape = _sizes(document, "shape")
    grid, configuration = named(document.get("chunk_grid"), "chunk_grid")
    if grid != "regular":
        raise UnknownGrid(f"chunk_grid is '{grid}': only 'regular' grids can be checked")
    chunks = _chunk_sizes(configuration, "chunk_shape", shape)
    encoding, options = named(document.get("chunk_key_encoding"), "chunk_key_encoding")
    if encoding not in ("default", "v2"):
        raise UnknownGrid(f"chunk_key_encoding is '{encoding}': only 'default' and 'v2' can be checked")
    attributes = document.get("attributes", {})
    if not isinstance(attributes, dict):
        raise BadDocument(f"attributes is {short(attributes)}, not an object")
    codecs = codecs_v3(document.get("codecs"))
    return ArrayLayout(
        path=path,
        zarr_format=3,
        shape=shape,
        chunks=chunks,
        inner_chunks=inner_chunks(codecs, chunks),
        prefix="c" if encoding == "default" else "",
        separator=_separator(options, "separator", "/" if encoding == "default" else "."),
        codecs=codecs,
        dimension_names=_dimension_names(document.get("dimension_names"), shape, "dimension_names"),
        attributes=attributes,
        document=document,
    )


def codecs_v3(value: Any) -> tuple[dict[str, Any], ...]:
    """The codecs of a v3 document in one form; raises BadDocument."""
    if not isinstance(value, list) or not value:
        raise BadDocument(f"codecs is {short(value)}, not a list of codecs")
    pairs = [named(step, "codecs") for step in value]
    return tuple({"name": name, "configuration": configuration} for name, configuration in pairs)


def named(value: Any, field_name: str) -> tuple[str, dict[str, Any]]:
    """Name and configuration of an extension point of v3, which may be a bare name; raises BadDocument."""
    if isinstance(value, str):
        return value, {}
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        configuration = value.get("configuration") or {}
        if isinstance(configuration, dict):
            return value["name"], configuration
    raise BadDocument(f"{field_name} is {short(value)}, not a name with a configuration")


def _codec_v2(value: Any) -> dict[str, Any]:
    if isinstance(value, dict) and isinstance(value.get("id"), str):
        return {"name": value["id"], "configuration": {name: option for name, option in value.items() if name != "id"}}
    raise BadDocument(f"compressor or filter is {short(value)}, not an object with an id")


def inner_chunks(codecs: tuple[dict[str, Any], ...], chunks: tuple[int, ...]) -> tuple[int, ...] | None:
    """The chunks within a shard; None where the codecs make none. Raises BadDocument, also for shards within them."""
    for codec in codecs:
        if codec["name"] == "sharding_indexed":
            inner = _chunk_sizes(codec["configuration"], "chunk_shape", chunks)
            if any(size and outer % size for outer, size in zip(chunks, inner, strict=True)):
                raise BadDocument(f"chunk_shape {list(inner)} of the shards does not divide the shard {list(chunks)}")
            inner_chunks(codecs_v3(codec["configuration"].get("codecs")), inner)  # whoever reads a shard has to be able to read these too
            return inner
    return None


def _sizes(document: dict[str, Any], name: str) -> tuple[int, ...]:
    value = document.get(name)
    if not isinstance(value, list) or not all(isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in value):
        raise BadDocument(f"{name} is {short(value)}, not a list of whole numbers")
    if len(value) > MAX_RANK:
        raise BadDocument(f"{name} has {len(value)} numbers: an array has no more than {MAX_RANK} dimensions")
    if any(size > MAX_SIZE for size in value):
        raise BadDocument(f"{name} is {short(value)}: no dimension has more than 2^63 - 1 elements")
    return tuple(value)


def _chunk_sizes(document: dict[str, Any], name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    chunks = _sizes(document, name)
    if len(chunks) != len(shape):
        raise BadDocument(f"{name} {list(chunks)} and shape {list(shape)} differ in their number of dimensions")
    if any(chunk == 0 and size for chunk, size in zip(chunks, shape, strict=True)):
        raise BadDocument(f"{name} {list(chunks)} holds a 0")
    return chunks


def _separator(document: dict[str, Any], name: str, default: str) -> str:
    value = document.get(name, default)
    if value not in (".", "/"):
        raise BadDocument(f"{name} is {short(value)}, neither '.' nor '/'")
    return value


def _dimension_names(value: Any, shape: tuple[int, ...], name: str) -> tuple[str | None, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(entry is None or isinstance(entry, str) for entry in value):
        raise BadDocument(f"{name} is {short(value)}, not a list of names")
    if len(value) != len(shape):
        raise BadDocument(f"{name} {short(value)} names {len(value)} dimensions of {len(shape)}")
    return tuple(value)


def short(value: Any) -> str:
    """A value of a document for a message."""
    return shortened("missing" if value is None else repr(value))


def item_bytes(layout: ArrayLayout) -> int | None:
    """Bytes of one element, or None for strings of any length and types that are not known here."""
    return _item_bytes_v2(layout.document.get("dtype")) if layout.zarr_format == 2 else _item_bytes_v3(layout.document.get("data_type"))


def _item_bytes_v2(name: Any) -> int | None:
    matched = re.fullmatch(r"[<>|=]([a-zA-Z])(\d{1,9})(?:\[.*\])?", name) if isinstance(name, str) else None
    if matched is None or matched[1] == "O":
        return None
    return int(matched[2]) * (4 if matched[1] == "U" else 1)


def _item_bytes_v3(name: Any) -> int | None:
    if isinstance(name, dict):
        configuration = name.get("configuration")
        length = configuration.get("length_bytes") if isinstance(configuration, dict) else None
        if str(name.get("name")).startswith("numpy."):
            return 8  # numpy.datetime64, numpy.timedelta64
        return length if isinstance(length, int) and not isinstance(length, bool) else None
    if not isinstance(name, str):
        return None
    matched = _WIDTH.fullmatch(name)
    return 1 if name == "bool" else int(matched[1]) // 8 if matched else None
