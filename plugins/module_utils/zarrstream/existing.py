# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What lies at a destination already. Needs no Zarr library: the second run of a write ends here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .errors import Conflict
from .manifest import MANIFEST, WRITING, Manifest, md5_of, parse_manifest
from .plan import Found
from .store import Objects

_OPENS = ("zarr.json", ".zgroup", ".zarray")  # without one of these a reader finds no store


def look(objects: Objects) -> tuple[Found, Manifest | None]:
    """The state of the destination, by a few small requests; raises where it cannot be reached or read."""
    place = objects.place
    if place.parent is not None and (place.parent / place.key).is_file():
        raise Conflict(f"store '{place.url}' is a file. Name a folder, or a place where nothing is.", store=place.url)
    marker = objects.get(f"{place.sidecar}/{WRITING}") is not None
    roots = opening_documents(objects)
    if not roots:
        example = next(iter(objects.list(place.key)), None)
        return Found(marker=marker, example=example.key if example else None), None
    data = objects.get(f"{place.sidecar}/{MANIFEST}")
    manifest = parse_manifest(data, f"{place.url}.zarrstream/{MANIFEST}") if data is not None else None
    ours = manifest is not None and all(manifest.objects.get(name) == md5_of(data) for name, data in roots.items())
    return Found(root=True, fingerprint=manifest.fingerprint if manifest and ours else None, marker=marker), manifest


def opening_documents(objects: Objects) -> dict[str, bytes]:
    """The documents by which a reader would open the store; none for one that is not published."""
    return {name: data for name in _OPENS if (data := objects.get(f"{objects.place.key}/{name}")) is not None}


def refusal(objects: Objects, found: Found, manifest: Manifest | None, request: Mapping[str, Any]) -> Conflict:
    """Why ``mode: create`` leaves this place alone."""
    url = objects.place.url
    remedy = "mode create overwrites nothing: name another store, or remove this one first."
    if not found.root:
        text = f"store '{url}' holds objects that are not of a Zarr store, such as {found.example}. {remedy}"
        return Conflict(text, store=url, example=found.example)
    if manifest is None:
        return Conflict(f"store '{url}' holds a Zarr store without a manifest of Zarrstream. {remedy}", store=url)
    if found.fingerprint is None:
        text = f"store '{url}' has a root document that is not the one of its manifest: somebody wrote or changed it since. {remedy}"
        return Conflict(text, store=url)
    differing = sorted(key for key in request if request[key] != manifest.request.get(key))
    what = f"with other {', '.join(differing)}" if differing else "from a source with other contents"
    text = f"store '{url}' was written {what} on {manifest.created}. {remedy}"
    return Conflict(text, store=url, differing=differing or ["source"])


def read_marker(objects: Objects) -> dict[str, Any]:
    """The marker of a write under way; empty where there is none or it cannot be read."""
    data = objects.get(f"{objects.place.sidecar}/{WRITING}")
    try:
        marker = json.loads(data) if data else {}
    except ValueError:
        return {}
    return marker if isinstance(marker, dict) else {}
