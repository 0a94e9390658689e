# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A Zarr store on a web server, as a source. Nothing there can be listed: its consolidated metadata say what it consists of."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import SourceError
from ..metadata.hierarchy import Hierarchy, read_hierarchy
from ..parallel import each
from ..sidecar.manifest import md5_of
from ..storage.location import ObjectInfo
from ..storage.objects import ReadableObjects

OBJECTS_LIMIT = 200_000  # each is a request before the first byte is read, and one after the last


def web_listing(objects: ReadableObjects) -> Iterator[ObjectInfo]:
    """What a listing would say of the store, found by asking for each object; one that is missing has size 0 and no tag.

    Raises SourceError for a store without consolidated metadata: of such a one nobody knows what belongs to it.
    """
    place = objects.place
    tree = read_hierarchy(lambda key: objects.get(f"{place.key}/{key}"), None)
    if tree is None or "" not in tree.consolidated:
        raise SourceError(
            f"source '{place.url}' has no consolidated metadata, and a web server lists nothing: what belongs to it is unknown. "
            "Consolidate it there (zarr.consolidate_metadata), or name an s3:// URL.",
            source=place.url,
        )
    count = sum(layout.count for layout in tree.arrays.values())
    if count > OBJECTS_LIMIT:
        raise SourceError(
            f"source '{place.url}' has {count} objects, and a web server tells of each in a request of its own: {OBJECTS_LIMIT} are the "
            "limit. Name an s3:// URL, or copy the store first.",
            source=place.url,
        )
    for name, data in sorted(tree.raw.items()):
        yield ObjectInfo(f"{place.key}/{name}", len(data), md5_of(data).md5)
    yield from each(lambda key: _head(objects, f"{place.key}/{key}"), _keys(tree))


def _keys(tree: Hierarchy) -> Iterator[str]:
    for _unused, layout in sorted(tree.arrays.items()):
        yield from layout.object_keys()


def _head(objects: ReadableObjects, key: str) -> ObjectInfo:
    found = objects.head(key)
    if found is None:
        return ObjectInfo(key, 0, None)
    return ObjectInfo(key, found["size"], f"{found['e_tag']} {found['last_modified'].isoformat()}")
