# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Encodings that readers other than zarr-python take too: ``docs/readers.md`` has the table, and tests hold it against these readers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..errors import BadRequest, SourceError
from ..metadata.hierarchy import ARRAY
from .encoder import Encoder

TYPES = frozenset({"bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"})
CODECS_OF = {2: frozenset({"zstd", "blosc", "gzip", "zlib", "none"}), 3: frozenset({"zstd", "blosc", "gzip", "none"})}
NOTE = (
    "portable: chunks are compressed with zstd without its checksum, which tensorstore does not take in format 2; the manifest tells damage"
)


def check_portable(encoder: Encoder, zarr_format: int) -> None:
    """Raises SourceError for a type, and BadRequest for a codec, that not every reader takes."""
    known = CODECS_OF[zarr_format]
    for name, encoding in sorted(encoder.encodings.items()):
        dtype = encoder.placeholder(name).dtype
        if str(dtype) not in TYPES:
            raise SourceError(
                f"portable is true, and '{name}' of {encoder.source.place} has {_described(dtype)}: not every reader of Zarr takes it. "
                + (f"Set encoding.{name}.dtype to float32, or leave" if dtype.kind == "f" else "Leave")
                + " it out: name the others in 'variables'. Or leave 'portable' out.",
                variable=name,
            )
        for codec in (*encoding.filters, encoding.compressor):
            if codec.name not in known:
                raise BadRequest(
                    f"portable is true, and encoding.{name} has the codec '{codec.name}', which not every reader takes in format "
                    f"{zarr_format}. Use {', '.join(sorted(known - {'none'}))} without filters, or leave 'portable' out.",
                    variable=name,
                )


def _described(dtype: Any) -> str:
    return "text" if dtype.kind in "SUOT" else f"dtype {dtype}"


def without_checksum(documents: Mapping[str, bytes]) -> dict[str, bytes]:
    """Documents of format 2 whose Zstandard has no word of a checksum; then there is none in the chunks either."""

    def changed(document: Any) -> Any:
        compressor = document.get("compressor") if isinstance(document, dict) else None
        if not isinstance(compressor, dict) or compressor.get("id") != "zstd":
            return document
        return {**document, "compressor": {key: value for key, value in compressor.items() if key != "checksum"}}

    found = {}
    for key, data in documents.items():
        document = json.loads(data)
        if "metadata" in document and key.endswith(".zmetadata"):
            inner = {name: changed(node) if name.endswith(ARRAY[2]) else node for name, node in document["metadata"].items()}
            found[key] = json.dumps({**document, "metadata": inner}, indent=2).encode()
        else:
            found[key] = json.dumps(changed(document), indent=2).encode() if key.endswith(ARRAY[2]) else data
    return found
