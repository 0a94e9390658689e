# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Making copied objects visible, in the one order in which no reader ever finds less than all of it.

1. Marker (``marker``): from here on, what lies there without a root is known to be a write of ours that was broken off.
2. Chunks. Without metadata they are no array to anybody.
3. The arrays' metadata, when every chunk was found in a listing: an array that opens is complete.
4. The manifest. It comes before the root, so that a store that opens always has one, and a second run finds it.
5. The root's attributes and consolidated metadata, and at last the document that makes the root open, created only where
   there is none. A group thus never opens before all that it lists is there.
6. The marker goes. A kill between 5 and 6 leaves a whole store and a marker, which the next run removes.

Before a broken-off write is done again its metadata and manifest go first: chunks of another shape must not land under them.
``append`` keeps the old root until its last step puts the new one in its place; ``replace`` takes it away just before 3.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from .errors import Conflict, ZarrstreamError
from .existing import State, read_previous, root_documents
from .manifest import MANIFEST, PREVIOUS, WRITING, Manifest, Stored, md5_of
from .marker import Marker, check_alone, create, is_alive, leave, read_marker, take
from .store import Objects
from .template import Template
from .transfer import damaged, is_metadata


def begin(objects: Objects, marker: Marker, state: State) -> None:
    """Put the marker, and see that nothing was published since the place was looked at; then keep or clear what is there."""
    place = objects.place
    take(objects, marker, again=state.marker is not None)
    record = objects.get(f"{place.sidecar}/{MANIFEST}")
    if root_documents(objects) != state.roots or (state.roots and record != state.record):
        finish(objects, marker)  # another one began after we had looked, and its marker was gone before ours came
        raise Conflict(f"another writer published '{place.url}' just now. Run again to see whether it is the same.", store=place.url)
    if state.found.root:
        assert state.manifest is not None  # noqa: S101 - what has none is refused
        objects.put(f"{place.sidecar}/{PREVIOUS}", state.manifest.to_json())
    elif state.marker is not None:
        objects.delete([info.key for info in objects.list(place.key) if is_metadata(info.key)])
        objects.delete([f"{place.sidecar}/{MANIFEST}"])
    if state.marker is not None:
        objects.sweep()


def check_listing(
    objects: Objects, records: Mapping[str, Stored], *, again: bool, staged: Collection[str] = (), others: Collection[str] = ()
) -> int:
    """Compare what the server lists with what was sent: size, and MD5 where the ETag is one. Returns the objects compared.

    ``staged`` are the keys that lie beside the store yet. Objects that nobody planned and that are none of ``others``
    go, where they are left from a broken-off write (``again``), else they are a Conflict.
    """
    place = objects.place
    waiting = {locate(objects, key, staged): stored for key, stored in records.items()}
    compared = len(waiting)
    strays: list[str] = []
    folders = [place.key, staging(objects)] if staged else [place.key]
    for info in (info for folder in folders for info in objects.list(folder)):
        sent = waiting.pop(info.key, None)
        if sent is None:
            if info.key.removeprefix(f"{place.key}/") not in others:
                strays.append(info.key)
        elif info.size != sent.size:
            raise damaged(objects, info.key, f"has {info.size} bytes, {sent.size} were sent")
        elif info.etag and "-" not in info.etag and info.etag != sent.md5:
            raise damaged(objects, info.key, f"has the MD5 {info.etag}, {sent.md5} was sent")
    for key, sent in waiting.items():  # a listing may lag behind: the object itself decides
        data = objects.get(key)
        if data is None or md5_of(data) != sent:
            raise damaged(objects, key, "is missing" if data is None else "has other bytes than were sent")
    if strays and not again:
        raise Conflict(f"{strays[0]} appeared while '{place.url}' was being written: somebody else writes there.", key=strays[0])
    objects.delete(strays)
    return compared


def publish(objects: Objects, template: Template, manifest: Manifest, marker: Marker, *, read_back: bool, over: bool = False) -> None:
    """Steps 3 to 5 of the order above, ``over`` the root of the store before. Raises Conflict where another writer was faster."""
    place = objects.place
    check_alone(objects, marker)
    *others, last = template.root
    documents = {f"{place.key}/{key}": data for key, data in template.arrays.items()}
    documents[f"{place.sidecar}/{MANIFEST}"] = manifest.to_json()
    documents |= {f"{place.key}/{key}": template.root[key] for key in others}
    for key, data in documents.items():
        objects.put(key, data)
        if read_back and objects.get(key) != data:
            raise damaged(objects, key)
    check_alone(objects, marker)
    root = f"{place.key}/{last}"
    if over:
        objects.put(root, template.root[last])
    elif not create(objects, root, template.root[last]):
        raise Conflict(
            f"another writer published '{place.url}' first, with other contents. Compare the two requests, and write to another place.",
            store=place.url,
        )
    if objects.get(root) != template.root[last]:
        if not over:
            objects.delete([root])  # it was created just now, and so it is ours
        raise damaged(objects, root)


def finish(objects: Objects, marker: Marker) -> None:
    """Step 6: remove what was kept beside the store for the case that it breaks off, and the marker last, if it is ours yet."""
    place = objects.place
    try:
        if (read_marker(objects) or {}).get("write_id") != marker.write_id:
            return
        kept = (f"{place.sidecar}/{MANIFEST}", f"{place.sidecar}/{WRITING}")
        objects.delete([info.key for info in objects.list(place.sidecar) if info.key not in kept])
        objects.tidy()
        objects.delete([f"{place.sidecar}/{WRITING}"])
    except ZarrstreamError as error:
        text = f"'{objects.place.url}' is published and whole, but its marker stayed: {error} The next run of the same request removes it."
        raise type(error)(text, **error.details) from error


def finish_published(objects: Objects, state: State, marker: Marker) -> None:
    """Finish a write that was killed after it had published, if nobody else does."""
    if state.manifest is None or is_alive(state.marker or {}):
        return
    try:
        take(objects, marker, again=True)
        if root_documents(objects) == state.roots and objects.get(f"{objects.place.sidecar}/{MANIFEST}") == state.record:
            if (state.marker or {}).get("mode") == "replace":
                previous = read_previous(objects)
                clear(objects, state.manifest, previous.objects if previous else ())
            finish(objects, marker)
    except Conflict as error:
        leave(marker, error)
    finally:
        leave(marker)


def clear(objects: Objects, manifest: Manifest, before: Collection[str]) -> None:
    """Remove from the store what is not of it: what a replacement has left of the store ``before``, listed yet or not."""
    place = objects.place
    there = {info.key.removeprefix(f"{place.key}/") for info in objects.list(place.key)}
    objects.delete([f"{place.key}/{key}" for key in sorted(there.union(before).difference(manifest.objects))])


def staging(objects: Objects) -> str:
    """Where objects wait whose keys still belong to the store that they replace."""
    return f"{objects.place.sidecar}/staged"


def locate(objects: Objects, key: str, staged: Collection[str]) -> str:
    """The place of an object of the store, by its key below the store: there, or where it waits."""
    return f"{staging(objects) if key in staged else objects.place.key}/{key}"


def unpublished(error: ZarrstreamError, sent: Collection[Stored], *, over: bool = False) -> ZarrstreamError:
    """The same error, with what it left behind and what to do; a Conflict is another writer's doing, and says so itself."""
    if isinstance(error, Conflict):
        return error
    left = "readers find the store as it was before" if over else "readers find no store"
    size = sum(stored.size for stored in sent)
    there = f" {len(sent)} objects had been sent ({size} bytes)." if sent else ""
    text = f"{error} Nothing was published: {left}.{there} The same request, run again, finishes it."
    return type(error)(text, **error.details)
