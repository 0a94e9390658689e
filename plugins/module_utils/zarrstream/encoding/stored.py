# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How an array of a store is encoded, by its document, in the words of a request: what is kept of a Zarr source, and by an append."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..metadata.layout import ArrayLayout, codecs_v3
from .codecs import COMPRESSORS, FILTERS, Codec

if TYPE_CHECKING:
    import numpy as np

_OF_TEXT = ("vlen-utf8", "vlen-bytes")
_BYTES = ("bytes", *_OF_TEXT, "crc32c", "sharding_indexed")  # what format 3 has anyway, or is asked for by other words
_TYPES = ("dtype", "astype", "encode_dtype", "decode_dtype")
_SHUFFLES = {0: "noshuffle", 1: "shuffle", 2: "bitshuffle"}
_OF_THE_TYPE = ("typesize",)  # parameters that follow from the array's type


@dataclass(frozen=True)
class StoredCodecs:
    """Codecs as a store has them, but for the ``unknown``. ``checksum``: whether CRC32C follows (None: the format has no place for it)."""

    compressor: Codec
    filters: tuple[Codec, ...] = ()
    checksum: bool | None = None
    unknown: tuple[str, ...] = ()


def stored_codecs(layout: ArrayLayout, dtype: np.dtype) -> StoredCodecs:
    """The codecs of an array whose values are of this type, by the names in the table of codecs."""
    steps = list(_flat(layout.codecs))
    filters: list[Codec] = []
    compressors: list[Codec] = []
    unknown: list[str] = []
    for name, parameters in steps:
        if name in FILTERS:
            filters.append(Codec(name, _parameters(name, parameters, dtype)))
        elif name in COMPRESSORS and not compressors:
            compressors.append(Codec(name, _parameters(name, parameters, dtype)))
        elif name not in _BYTES and not (name == "transpose" and _in_order(parameters)):
            unknown.append(name)
    if layout.zarr_format == 2 and layout.document.get("order") == "F" and len(layout.shape) > 1:
        unknown.append("order F")
    names = [name for name, _unused in steps]
    checksum = None if layout.zarr_format == 2 else names[-1:] == ["crc32c"]
    default = Codec("zstd") if unknown else Codec("none")
    return StoredCodecs(compressors[0] if compressors else default, tuple(filters), checksum, tuple(unknown))


def _flat(codecs: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Name and parameters of each codec, those within shards in their place; names as numcodecs has them."""
    for codec in codecs:
        name, parameters = str(codec["name"]).removeprefix("numcodecs."), codec["configuration"]
        yield name, parameters
        if name == "sharding_indexed":
            yield from _flat(codecs_v3(parameters.get("codecs")))


def _parameters(name: str, found: Mapping[str, Any], dtype: np.dtype) -> dict[str, Any]:
    import numpy as np

    parameters = {key: value for key, value in found.items() if key not in _OF_THE_TYPE}
    for key in _TYPES:
        if isinstance(parameters.get(key), str):
            parameters[key] = np.dtype(parameters[key]).newbyteorder("=").str  # as values are stored here
    if parameters.get("astype") and parameters["astype"] == parameters.get("dtype"):
        del parameters["astype"]  # which numcodecs spells out in format 2
    if name == "blosc" and isinstance(parameters.get("shuffle"), int):
        by_itself = "bitshuffle" if dtype.itemsize == 1 else "shuffle"
        parameters["shuffle"] = _SHUFFLES.get(parameters["shuffle"], by_itself)
    return parameters


def _in_order(parameters: Mapping[str, Any]) -> bool:
    order = parameters.get("order")
    return order == "C" or (isinstance(order, list) and order == sorted(order))
