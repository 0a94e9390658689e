# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What lies at a destination already. Needs no Zarr library: the second run of a write ends here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import Conflict
from .manifest import MANIFEST, PREVIOUS, Manifest, md5_of, parse_manifest
from .marker import read_marker
from .plan import Found
from .store import Objects

_OPENS = ("zarr.json", ".zgroup", ".zarray")  # without one of these a reader finds no store
_SWITCHES = (".zmetadata",)  # and this one, where it is, says what readers find in it


@dataclass(frozen=True)
class State:
    """A destination as it was found: ``manifest`` is the record of the store that readers see, ``roots`` are its root documents.

    ``marker`` is None where no write is under way or was broken off.
    """

    found: Found
    manifest: Manifest | None = None
    marker: dict[str, Any] | None = None
    roots: dict[str, bytes] = field(default_factory=dict, repr=False)
    record: bytes | None = field(default=None, repr=False)  # the manifest as it is stored

    @property
    def broken_off(self) -> bool:
        """Whether the marker is of a write that did not come to its end, rather than of one that has published."""
        return self.marker is not None and not (self.found.root and self.marker.get("fingerprint") in (None, self.found.fingerprint))


def look(objects: Objects) -> State:
    """The state of the destination, by a few small requests; raises where it cannot be reached or read."""
    place = objects.place
    if place.parent is not None and (place.parent / place.key).is_file():
        raise Conflict(f"store '{place.url}' is a file. Name a folder, or a place where nothing is.", store=place.url)
    marker = read_marker(objects)
    roots = root_documents(objects)
    record = objects.get(f"{place.sidecar}/{MANIFEST}")
    if not roots:
        example = next(iter(objects.list(place.key)), None)
        return State(Found(marker=marker is not None, example=example.key if example else None), marker=marker, record=record)
    manifest = parse_manifest(record, f"{place.url}.zarrstream/{MANIFEST}") if record is not None else None
    if marker is not None and not _describes(manifest, roots):
        # The manifest comes before the root: a write that was broken off in between has kept the one before it.
        previous = read_previous(objects)
        manifest = previous if _describes(previous, roots) else manifest
    fingerprint = manifest.fingerprint if manifest and _describes(manifest, roots) else None
    return State(Found(root=True, fingerprint=fingerprint, marker=marker is not None), manifest, marker, roots, record)


def root_documents(objects: Objects) -> dict[str, bytes]:
    """The documents by which a reader would open the store; none for one that is not published."""

    def read(names: tuple[str, ...]) -> dict[str, bytes]:
        return {name: data for name in names if (data := objects.get(f"{objects.place.key}/{name}")) is not None}

    roots = read(_OPENS)
    return roots | read(_SWITCHES) if ".zgroup" in roots else roots


def read_previous(objects: Objects) -> Manifest | None:
    """The manifest of the store that an append or a replacement began with."""
    data = objects.get(f"{objects.place.sidecar}/{PREVIOUS}")
    return None if data is None else parse_manifest(data, f"{objects.place.url}.zarrstream/{PREVIOUS}")


def refusal(objects: Objects, state: State, request: Mapping[str, Any]) -> Conflict:
    """Why ``mode: create`` leaves this place alone."""
    url, found, manifest = objects.place.url, state.found, state.manifest
    remedy = "mode create overwrites nothing: name another store, remove this one first, or use mode replace."
    strange = strangers(objects, state)
    if strange:
        return strange
    assert manifest is not None  # noqa: S101 - a stranger's otherwise
    if found.fingerprint is None:
        text = f"store '{url}' has a root document that is not the one of its manifest: somebody wrote or changed it since. {remedy}"
        return Conflict(text, store=url)
    differing = sorted(key for key in request if request[key] != manifest.request.get(key))
    what = f"with other {', '.join(differing)}" if differing else "from a source with other contents"
    text = f"store '{url}' was written {what} on {manifest.created}. {remedy}"
    return Conflict(text, store=url, differing=differing or ["source"])


def strangers(objects: Objects, state: State) -> Conflict | None:
    """The refusal of a place whose contents Zarrstream did not write."""
    url = objects.place.url
    remedy = "Zarrstream writes only over what it wrote: name another store, or remove this one first."
    if not state.found.root:
        text = f"store '{url}' holds objects that are not of a Zarr store, such as {state.found.example}. {remedy}"
        return Conflict(text, store=url, example=state.found.example)
    if state.manifest is None:
        return Conflict(f"store '{url}' holds a Zarr store without a manifest of Zarrstream. {remedy}", store=url)
    return None


def _describes(manifest: Manifest | None, roots: Mapping[str, bytes]) -> bool:
    return manifest is not None and all(manifest.objects.get(name) == md5_of(data) for name, data in roots.items())
