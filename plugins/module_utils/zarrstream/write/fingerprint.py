# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What makes two writes the same: the contents of the source and the request, not paths, times or spelling."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..encoding.codecs import parse_encoding

_LAYOUT = 1  # raised when the same request begins to give other objects
# How the normal request says that an option was left out. One that comes later belongs here: manifests of today do not name it.
# Of these a fingerprint has only what was asked for: those of before stay.
_LATER: dict[str, Any] = {"combine": [], "prepare": [], "portable": False}
LEFT_OUT: dict[str, Any] = {"variables": None, "chunks": "auto", "shards": None, "encoding": {}, **_LATER}


def normal_request(
    *,
    zarr_format: int,
    consolidated: bool,
    variables: Sequence[str] | None,
    chunks: Mapping[str, int] | None,
    encoding: Mapping[str, Mapping[str, Any]],
    shards: Mapping[str, int] | None = None,
    combine: Sequence[Mapping[str, Any]] = (),
    prepare: Sequence[Mapping[str, Any]] = (),
    portable: bool = False,
) -> dict[str, Any]:
    """The request in one spelling: order and defaults make no difference."""
    return {
        "zarr_format": zarr_format,
        "consolidated": consolidated,
        "portable": portable,
        "variables": sorted(set(variables)) if variables else None,
        "chunks": dict(sorted(chunks.items())) if chunks else "auto",
        "shards": None if shards is None else dict(sorted(shards.items())) or "auto",
        "encoding": {name: dict(sorted(options.items())) for name, options in sorted(encoding.items()) if options},
        "combine": [dict(join) for join in combine],
        "prepare": [dict(step) for step in prepare],
    }


def fingerprint(request: Mapping[str, Any], digests: Sequence[str]) -> str:
    """A hexadecimal digest over a normal request and the digests of the source's items, in order."""
    asked = {key: value for key, value in request.items() if key not in _LATER or value != _LATER[key]}
    document = {"layout": _LAYOUT, "request": asked, "source": list(digests)}
    return hashlib.sha256(json.dumps(document, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def respelled(written: Mapping[str, Any]) -> dict[str, Any]:
    """The normal request in a manifest of any version, as this one spells it."""
    encoding = {name: _respelled_encoding(name, options) for name, options in written.get("encoding", {}).items()}
    return {**LEFT_OUT, **written, "encoding": encoding}


def _respelled_encoding(name: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    # Until 3bc5fa7 a manifest had what the request said.
    return options if "codecs" in options else parse_encoding({name: options})[name].normal()
