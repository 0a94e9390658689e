# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A store in the place of another that stays readable until the new one is proved.

An object store cannot rename, and copying a whole store takes long. But Zarr can spell the keys of chunks in two ways, and
a replacement takes the one that the old store does not use: both lie in the same place without touching each other. The
few objects whose keys are the same in both (format 2 spells one dimension in one way only) wait beside the store.

The switch, when all is proved: the old root goes, then the other old metadata; waiting objects are copied into place; then
the new metadata, manifest and root come as for a new store. Last of all go the old chunks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..metadata.hierarchy import ARRAY, ATTRIBUTES, folder_of, is_document
from ..sidecar.lock import check_held
from ..sidecar.manifest import damaged, md5_of
from ..source.dataset import Source
from .create import plan_create
from .destination import read_previous, root_documents
from .executor import Executor
from .plans import StorePlan
from .publish import Publication, clear, publish, staging
from .request import WriteRequest
from .result import Situation
from .template import Template

# How keys of chunks are spelled: in format 3 name and separator of the chunk key encoding, in format 2 the separator.
_SPELLINGS: dict[int, list[Any]] = {3: [("default", "/"), ("v2", ".")], 2: [".", "/"]}


def plan_replace(request: WriteRequest, situation: Situation, source: Source, executor: Executor) -> StorePlan:
    """As for a new store, with keys that are not those of the old one."""
    state, objects = situation.state, situation.objects
    plain = plan_create(request, situation, source, executor)
    manifest = state.manifest if state.found.root else read_previous(objects)
    before = frozenset(manifest.objects) if manifest else frozenset()
    old = {key for key in before if not is_document(key)}
    candidates = []
    for spelling in _SPELLINGS[request.zarr_format]:
        plan = replace(plain, template=respelled(plain.template, spelling))
        candidates.append((old.intersection(plan.keys()), plan))
    shared, plan = min(candidates, key=lambda candidate: len(candidate[0]))
    return replace(plan, mode="replace", before=before, staged=frozenset(shared), publish=publish_instead)


def publish_instead(publication: Publication) -> None:
    """Take the old root away, publish the new store, and remove what is left of the old one."""
    objects, place, manifest = publication.objects, publication.objects.place, publication.manifest
    check_held(objects, publication.lock)
    publication.withdrawn = True
    roots = [f"{place.key}/{name}" for name in root_documents(objects)]
    objects.delete(roots)
    objects.delete([f"{place.key}/{key}" for key in publication.before if is_document(key)])
    for key in sorted(publication.staged):
        objects.copy(f"{staging(objects)}/{key}", f"{place.key}/{key}")
        data = objects.get(f"{place.key}/{key}")
        if data is None or md5_of(data) != manifest.objects[key]:
            raise damaged(objects, f"{place.key}/{key}")
    publish(objects, publication.template, manifest, publication.lock, read_back=publication.read_back)
    clear(objects, manifest, publication.before)


def respelled(template: Template, spelling: Any) -> Template:
    """The same store with the keys of its chunks spelled in another way."""

    def changed(array: Mapping[str, Any]) -> dict[str, Any]:
        if isinstance(spelling, str):
            return {**array, "dimension_separator": spelling}
        name, separator = spelling
        return {**array, "chunk_key_encoding": {"name": name, "configuration": {"separator": separator}}}

    return change_arrays(template, lambda _unused, array: changed(array))


def change_arrays(template: Template, change: Any) -> Template:
    """The template with ``change(name, document)`` in the place of each array's document, consolidated ones too."""

    def in_group(document: dict[str, Any]) -> dict[str, Any]:
        members = document.get("consolidated_metadata") or {}
        if "metadata" in members:  # format 3
            inner = {name: change(name, node) if node["node_type"] == "array" else node for name, node in members["metadata"].items()}
            return {**document, "consolidated_metadata": {**members, "metadata": inner}}
        if "metadata" in document:  # format 2
            inner = {
                key: change(folder_of(key), node) if key.endswith(f"/{ARRAY[2]}") else node for key, node in document["metadata"].items()
            }
            return {**document, "metadata": inner}
        return document

    arrays = {}
    for key, data in template.arrays.items():
        name, _unused, kind = key.rpartition("/")
        array = json.loads(data)
        arrays[key] = data if kind == ATTRIBUTES[2] or array.get("node_type") == "group" else to_json(change(name, array))
    return replace(template, arrays=arrays, root={key: to_json(in_group(json.loads(data))) for key, data in template.root.items()})


def to_json(document: dict[str, Any]) -> bytes:
    """A metadata document, indented as Zarr's own are."""
    return json.dumps(document, indent=2).encode()
