# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What makes two writes the same: the contents of the source and the request, not paths, times or spelling."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..encoding.codecs import LAYOUT, parse_encoding

_LAYOUT = 1  # raised when the same request begins to give other objects
# How the normal request says that an option was left out. One that comes later belongs here: manifests of today do not name it.
# Of these a fingerprint has only what was asked for: those of before stay.
_LATER: dict[str, Any] = {"combine": [], "prepare": [], "portable": False}
LEFT_OUT: dict[str, Any] = {"variables": None, "chunks": "auto", "shards": None, "encoding": {}, **_LATER}
EXPLICIT = "explicit"  # the key of a request whose Zarr source was kept as it is; until it came one was laid out like any other


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
    explicit: Collection[str] | None = None,
) -> dict[str, Any]:
    """The request in one spelling: order and defaults make no difference. ``explicit`` is there where a Zarr source is kept as it is."""
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
        **({} if explicit is None else {EXPLICIT: sorted(explicit)}),
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


def same_request(one: Mapping[str, Any], other: Mapping[str, Any], dims: Mapping[str, Sequence[str]]) -> bool:
    """Whether two normal requests ask for the same; ``dims`` of variables tell what lengths by axis are by dimension."""
    return _by_dimension(one, dims) == _by_dimension(other, dims)


def _by_dimension(request: Mapping[str, Any], dims: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    def spelled(name: str, value: Any) -> Any:
        known = dims.get(name, ())
        return dict(zip(known, value, strict=True)) if isinstance(value, list) and len(value) == len(known) else value

    encoding = {
        name: {key: spelled(name, value) if key in LAYOUT else value for key, value in options.items()}
        for name, options in request["encoding"].items()
    }
    return {**request, "encoding": encoding}
