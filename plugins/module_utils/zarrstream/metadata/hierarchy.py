# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The metadata documents of a store, Zarr v2 and v3, read once and turned into groups and arrays."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..parallel import each
from .layout import ArrayLayout, BadDocument, UnknownGrid, array_layout

Fetch = Callable[[str], "bytes | None"]

# The documents of Zarr, by its format. That of format 3 says itself what it is.
ARRAY = {2: ".zarray", 3: "zarr.json"}
GROUP = {2: ".zgroup", 3: "zarr.json"}
ATTRIBUTES = {2: ".zattrs", 3: "zarr.json"}
CONSOLIDATED = {2: ".zmetadata", 3: "zarr.json"}
NODE_DOCUMENTS = {2: (ARRAY[2], GROUP[2]), 3: (ARRAY[3],)}
DOCUMENTS = {2: (*NODE_DOCUMENTS[2], ATTRIBUTES[2], CONSOLIDATED[2]), 3: NODE_DOCUMENTS[3]}
OPENS = (GROUP[3], *reversed(NODE_DOCUMENTS[2]))  # without one of these a reader finds no store
ROOTS = (*OPENS, CONSOLIDATED[2])  # some readers take this one alone
# Those of a root in the order in which they are published: the last one opens the store.
ROOT_DOCUMENTS = {2: (ATTRIBUTES[2], CONSOLIDATED[2], GROUP[2]), 3: (GROUP[3],)}


def is_document(key: str) -> bool:
    """Whether a key is that of a metadata document, of either format."""
    return any(key.rpartition("/")[2] in names for names in DOCUMENTS.values())


@dataclass
class Hierarchy:
    """The nodes of a store. Keys of objects and paths of nodes are relative to it; the root's path is ''."""

    zarr_format: int
    raw: dict[str, bytes] = field(default_factory=dict, repr=False)  # the documents as stored
    documents: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)  # those that are JSON objects
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)  # path and attributes
    arrays: dict[str, ArrayLayout] = field(default_factory=dict)
    consolidated: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)  # group, then key, then document
    bad_consolidated: dict[str, str] = field(default_factory=dict)  # key and what is wrong with its consolidated part
    missing: list[str] = field(default_factory=list)  # documents that only the consolidated metadata knows
    problems: dict[str, str] = field(default_factory=dict)  # key of a document and what is wrong with it
    unknown: set[str] = field(default_factory=set)  # of those, documents that are only of a kind that is not known here

    @property
    def root_key(self) -> str:
        """Key of the document that makes the store openable."""
        if self.zarr_format == 3:
            return GROUP[3]
        return ARRAY[2] if ARRAY[2] in self.raw else GROUP[2]

    def owner(self, key: str) -> ArrayLayout | None:
        """The array in whose folder an object lies."""
        if "" in self.arrays:
            return self.arrays[""]
        path = key
        while "/" in path:
            path = path.rpartition("/")[0]
            if path in self.arrays:
                return self.arrays[path]
        return None

    def in_broken_node(self, key: str) -> bool:
        """Whether an object lies below a node whose document cannot be read, so that nothing can be said about it."""
        broken = {folder_of(document) for document in self.problems}
        path = key
        while path:
            path = path.rpartition("/")[0]
            if path in broken:
                return True
        return False


def folder_of(key: str) -> str:
    """Path of the node that a document belongs to."""
    return key.rpartition("/")[0]


def join(path: str, name: str) -> str:
    """Key of ``name`` in the node ``path``."""
    return f"{path}/{name}" if path else name


def read_hierarchy(fetch: Fetch, keys: Collection[str] | None) -> Hierarchy | None:
    """Read the documents of a store; None where it has no root document.

    ``keys`` are all keys of the store, or None where it cannot be listed: then only what the consolidated metadata of the
    root names can be found.
    """
    tree = _read_root(fetch, keys)
    if tree is None:
        return None
    _read_consolidated(tree, "")
    names = _listed_documents(tree, keys) if keys is not None else _consolidated_documents(tree)
    wanted = [key for key in names if key not in tree.raw]
    for key, data in zip(wanted, each(fetch, wanted), strict=True):
        if data is not None:
            tree.raw[key] = data
            _parse(tree, key, data)
    for group in sorted(folder_of(key) for key in tree.documents):
        if group:
            _read_consolidated(tree, group)
    _adopt_missing(tree)
    _build_nodes(tree)
    return tree


def _read_root(fetch: Fetch, keys: Collection[str] | None) -> Hierarchy | None:
    for zarr_format in (3, 2):
        names = DOCUMENTS[zarr_format]
        found = {name: fetch(name) for name in names if keys is None or name in keys}
        raw = {name: data for name, data in found.items() if data is not None}
        if any(name in raw for name in NODE_DOCUMENTS[zarr_format]):
            tree = Hierarchy(zarr_format, raw=raw)
            for name, data in raw.items():
                _parse(tree, name, data)
            return tree
    return None


def _parse(tree: Hierarchy, key: str, data: bytes) -> None:
    try:
        document = json.loads(data, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        tree.problems[key] = f"not JSON ({str(error) or type(error).__name__})" if data else "empty"
        return
    if isinstance(document, dict):
        tree.documents[key] = document
    else:
        tree.problems[key] = f"a JSON {type(document).__name__} where an object is needed"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; of a field that is there twice, some readers would take the first value and some the last."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _unused in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {twice!r} is there twice")
    return found


def _listed_documents(tree: Hierarchy, keys: Iterable[str]) -> list[str]:
    names = DOCUMENTS[tree.zarr_format]
    return sorted(key for key in keys if key.rpartition("/")[2] in names)


def _consolidated_documents(tree: Hierarchy) -> list[str]:
    return sorted(tree.consolidated.get("", {}))


def _read_consolidated(tree: Hierarchy, group: str) -> None:
    key = join(group, CONSOLIDATED[tree.zarr_format])
    document = tree.documents.get(key)
    if document is None or group in tree.consolidated:
        return
    part = document if tree.zarr_format == 2 else document.get("consolidated_metadata")
    if part is None:
        return
    entries = part.get("metadata") if isinstance(part, dict) else None
    wrong = [name for name, entry in entries.items() if not _is_entry(tree, name, entry)] if isinstance(entries, dict) else []
    if wrong or not isinstance(entries, dict):
        which = f" (look at {wrong[0]!r})" if wrong else ""
        tree.bad_consolidated[key] = f"the consolidated metadata is not an object of documents{which}"
        return
    if tree.zarr_format == 2:
        tree.consolidated[group] = {join(group, name): entry for name, entry in entries.items()}
    elif group == "" or entries:  # zarr-python writes an empty one into each group below
        tree.consolidated[group] = {join(group, join(name, ARRAY[3])): entry for name, entry in entries.items()}


def _is_entry(tree: Hierarchy, name: str, entry: Any) -> bool:
    segments = name.split("/")
    plain = not {"", ".", ".."} & set(segments)
    return plain and isinstance(entry, dict) and (tree.zarr_format == 3 or segments[-1] in DOCUMENTS[2])


def _adopt_missing(tree: Hierarchy) -> None:
    """Let the consolidated metadata speak for documents that are gone: readers that use it still find these nodes."""
    for entries in tree.consolidated.values():
        for key, entry in entries.items():
            name = key.rpartition("/")[2]
            if key not in tree.raw and name in NODE_DOCUMENTS[tree.zarr_format] and key not in tree.missing:
                tree.missing.append(key)
                tree.documents[key] = entry
    for key in tree.missing:
        attributes = join(folder_of(key), ATTRIBUTES[2])
        for entries in tree.consolidated.values():
            if attributes in entries and attributes not in tree.raw:
                tree.documents[attributes] = entries[attributes]


def _build_nodes(tree: Hierarchy) -> None:
    for key, kind, document in sorted(_nodes(tree)):
        path = folder_of(key)
        try:
            if document.get("zarr_format") != tree.zarr_format:
                raise BadDocument(f"zarr_format is {document.get('zarr_format')!r}, not {tree.zarr_format} as at the root")
            attributes = _attributes(tree, path, document)
            if kind == "array":
                tree.arrays[path] = array_layout(path, document, attributes)
            elif kind == "group":
                tree.groups[path] = attributes
            else:
                raise BadDocument(f"node_type is {kind!r}, neither 'group' nor 'array'")
        except BadDocument as error:
            tree.problems[key] = str(error)
            if isinstance(error, UnknownGrid):
                tree.unknown.add(key)
    for path in [path for path in tree.arrays if _array_above(tree, path) is not None]:
        tree.problems[join(path, ARRAY[tree.zarr_format])] = f"lies inside the array '{_array_above(tree, path)}'"
        del tree.arrays[path]


def _nodes(tree: Hierarchy) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    for key, document in tree.documents.items():
        name = key.rpartition("/")[2]
        if name == ARRAY[3]:
            yield key, str(document.get("node_type")), document
        elif name == ARRAY[2]:
            yield key, "array", document
        elif name == GROUP[2]:
            yield key, "group", document


def _attributes(tree: Hierarchy, path: str, document: dict[str, Any]) -> dict[str, Any]:
    attributes = document.get("attributes", {}) if tree.zarr_format == 3 else tree.documents.get(join(path, ATTRIBUTES[2]), {})
    if not isinstance(attributes, dict):
        raise BadDocument("attributes are not an object")
    return attributes


def _array_above(tree: Hierarchy, path: str) -> str | None:
    while path:
        path = folder_of(path)
        if path in tree.arrays:
            return path
    return None
