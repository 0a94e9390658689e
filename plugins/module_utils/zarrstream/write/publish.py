# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Making copied objects visible, in the one order in which no reader ever finds less than all of it.

1. Lock (``lock``): it names all that will be sent, and from here on that is known to be of a write of ours.
2. Chunks. Without metadata they are no array to anybody.
3. The arrays' metadata, when every chunk was found in a listing: an array that opens is complete.
4. The manifest. It comes before the root, so that a store that opens always has one, and a second run finds it.
5. The root's attributes and consolidated metadata, and at last the document that makes the root open, created only where
   there is none. A group thus never opens before all that it lists is there.
6. The lock goes. A kill between 5 and 6 leaves a whole store and a lock, which the next run removes.

Before a broken-off write is done again its metadata and manifest go first: chunks of another shape must not land under them.
``append`` keeps the old root until its last step puts the new one in its place; ``replace`` takes it away just before 3.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ..errors import Conflict, ZarrstreamError
from ..metadata.hierarchy import is_document
from ..sidecar.lock import Lock, acquire, check_held, create, is_alive, read_lock, release
from ..sidecar.manifest import MANIFEST, PREVIOUS, WRITING, Manifest, Stored, damaged, md5_of
from ..sidecar.records import STAGED, Records, parse_plans
from ..storage.location import SIDECAR, ObjectInfo
from ..storage.objects import Objects
from .destination import State, read_previous, root_documents
from .template import Template


def begin(objects: Objects, lock: Lock, state: State, records: Records) -> None:
    """Put the lock, and see that nothing was published since the place was looked at; then keep or clear what is there."""
    place = objects.place
    acquire(objects, lock, again=state.lock is not None)
    record = objects.get(f"{place.sidecar}/{MANIFEST}")
    if root_documents(objects) != state.roots or (state.roots and record != state.record):
        finish(objects, lock)  # another one began after we had looked, and its lock was gone before ours came
        raise Conflict(f"another writer published '{place.url}' just now. Run again to see whether it is the same.", store=place.url)
    if state.found.root:
        if state.manifest is None:
            raise AssertionError("what has none is refused")
        objects.put(f"{place.sidecar}/{PREVIOUS}", state.manifest.to_json())
    elif state.lock is not None:
        if state.record is not None and state.lock.get("mode") == "remove":
            objects.put(f"{place.sidecar}/{PREVIOUS}", state.record)  # what is left of the store is known by it alone
        objects.delete([key for key in owned(objects, records) if is_document(key)])
        objects.delete([f"{place.sidecar}/{MANIFEST}"])
    if state.lock is not None:
        objects.sweep()


def owned(objects: Objects, records: Records) -> list[str]:
    """The objects that lie below the store and that a record names."""
    place = objects.place
    return [info.key for info in objects.list(place.key) if not info.kind and records.owns(info.key.removeprefix(f"{place.key}/"))]


@dataclass(frozen=True)
class Listed:
    """How many objects were compared with a listing, and the keys of those that interrupted writes left there."""

    compared: int
    leftovers: list[str]


def check_listing(
    objects: Objects, sent: Mapping[str, Stored], records: Records, *, staged: Collection[str] = (), others: Collection[str] = ()
) -> Listed:
    """Compare what the server lists with what was sent: size, and MD5 where the ETag is one. Changes nothing.

    ``staged`` are the keys that lie beside the store yet. Objects that were not sent and are none of ``others`` are leftovers,
    where ``records`` of an interrupted write name them, else they are a Conflict.
    """
    place = objects.place
    waiting = {locate(objects, key, staged): stored for key, stored in sent.items()}
    compared = len(waiting)
    left: list[str] = []
    folders = [place.key, staging(objects)] if staged else [place.key]
    for folder in folders:
        for info in objects.list(folder):
            stored = waiting.pop(info.key, None)
            if stored is not None:
                _compare(objects, info, stored)
                continue
            key = info.key.removeprefix(f"{folder}/")
            if records.owns(key) and not info.kind and key not in others:
                left.append(info.key)
            elif folder == place.key and (info.kind or key not in others):
                text = f"{info.key} appeared while '{place.url}' was being written: somebody else writes there."
                raise Conflict(f"{text} What is there stays. Move it elsewhere, and run again.", key=info.key)
    for key, stored in waiting.items():  # a listing may lag behind: the object itself decides
        data = objects.get(key)
        if data is None or md5_of(data) != stored:
            raise damaged(objects, key, "is missing" if data is None else "has other bytes than were sent")
    return Listed(compared, left)


def _compare(objects: Objects, info: ObjectInfo, stored: Stored) -> None:
    if info.size != stored.size or info.kind:
        raise damaged(objects, info.key, f"has {info.size} bytes, {stored.size} were sent")
    if info.etag and "-" not in info.etag and info.etag != stored.md5:
        raise damaged(objects, info.key, f"has the MD5 {info.etag}, {stored.md5} was sent")


@dataclass
class Publication:
    """What is to become visible. ``before`` and ``staged`` are the plan's; ``withdrawn`` as soon as readers find no old store."""

    objects: Objects
    template: Template
    manifest: Manifest
    lock: Lock
    read_back: bool
    before: Collection[str]
    staged: Collection[str]
    withdrawn: bool = False


def publish_new(publication: Publication) -> None:
    """Steps 3 to 5 where no store is."""
    new = publication
    publish(new.objects, new.template, new.manifest, new.lock, read_back=new.read_back)


def publish(objects: Objects, template: Template, manifest: Manifest, lock: Lock, *, read_back: bool, over: bool = False) -> None:
    """Steps 3 to 5 of the order above, ``over`` the root of the store before. Raises Conflict where another writer was faster."""
    place = objects.place
    check_held(objects, lock)
    *others, last = template.root
    documents = {f"{place.key}/{key}": data for key, data in template.arrays.items()}
    documents[f"{place.sidecar}/{MANIFEST}"] = manifest.to_json()
    documents |= {f"{place.key}/{key}": template.root[key] for key in others}
    for key, data in documents.items():
        objects.put(key, data)
        if read_back and objects.get(key) != data:
            raise damaged(objects, key)
    check_held(objects, lock)
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


def finish(objects: Objects, lock: Lock) -> None:
    """Step 6: remove what was kept beside the store for the case of an interruption, and the lock last, if it is ours yet."""
    place = objects.place
    try:
        there = read_lock(objects) or {}
        if there.get("write_id") != lock.write_id:
            return
        plans = Records(plans=tuple(parse_plans(there, f"{place.url}{SIDECAR}/{WRITING}")))
        objects.delete([info.key for info in objects.list(place.sidecar) if plans.leftover(info.key.removeprefix(f"{place.sidecar}/"))])
        objects.tidy(plans.holds)
        objects.delete([f"{place.sidecar}/{WRITING}"])
    except ZarrstreamError as error:
        text = f"'{objects.place.url}' is published and whole, but its lock stayed: {error} The next run of the same request removes it."
        raise type(error)(text, **error.details) from error


def finish_published(objects: Objects, state: State, lock: Lock) -> None:
    """Finish a write that was killed after it had published, if nobody else does."""
    if state.manifest is None or is_alive(state.lock or {}):
        return
    try:
        acquire(objects, lock, again=True)
        if root_documents(objects) == state.roots and objects.get(f"{objects.place.sidecar}/{MANIFEST}") == state.record:
            if (state.lock or {}).get("mode") == "replace":
                previous = read_previous(objects)
                clear(objects, state.manifest, previous.objects if previous else ())
            finish(objects, lock)
    except Conflict as error:
        release(lock, error)
    finally:
        release(lock)


def clear(objects: Objects, manifest: Manifest, before: Iterable[str]) -> None:
    """Remove what a replacement has left of the store ``before``."""
    objects.delete([f"{objects.place.key}/{key}" for key in sorted(set(before).difference(manifest.objects))])


def staging(objects: Objects) -> str:
    """Where objects wait whose keys still belong to the store that they replace."""
    return f"{objects.place.sidecar}/{STAGED}"


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
