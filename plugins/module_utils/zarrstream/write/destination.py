# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What lies at a destination already, and whose it is. Needs no Zarr library: the second run of a write ends here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import BadRequest, Conflict, ZarrstreamError
from ..metadata.hierarchy import CONSOLIDATED, GROUP, OPENS
from ..planning.plan import Found
from ..sidecar.journal import journaled_keys
from ..sidecar.lock import read_lock
from ..sidecar.manifest import MANIFEST, PREVIOUS, WRITING, Manifest, md5_of, parse_manifest
from ..sidecar.records import Records, parse_plans
from ..storage.location import SIDECAR, ObjectInfo, StoreUrl
from ..storage.objects import Objects

COUNTED = 100_000  # foreign objects that are counted at most


@dataclass(frozen=True)
class State:
    """A destination as it was found: ``manifest`` is the record of the store that readers see, ``roots`` are its root documents.

    ``lock`` is None where no write is under way or was interrupted.
    """

    found: Found
    manifest: Manifest | None = None
    lock: dict[str, Any] | None = None
    roots: dict[str, bytes] = field(default_factory=dict, repr=False)
    record: bytes | None = field(default=None, repr=False)  # the manifest as it is stored

    @property
    def interrupted(self) -> bool:
        """Whether the lock is of a write that did not come to its end, rather than of one that has published."""
        return self.lock is not None and not (self.found.root and self.lock.get("fingerprint") in (None, self.found.fingerprint))

    @property
    def replacing(self) -> bool:
        """Whether a replacement was interrupted between taking the old store away and publishing the new one."""
        return not self.found.root and (self.lock or {}).get("mode") == "replace"


def look(objects: Objects) -> State:
    """The state of the destination, by a few small requests; raises where it cannot be reached or read."""
    place = objects.place
    if place.parent is not None:
        _check_folder(place, place.parent / place.key)
    lock = read_lock(objects)
    roots = root_documents(objects)
    record = objects.get(f"{place.sidecar}/{MANIFEST}")
    if not roots:
        example = next(iter(objects.list(place.key)), None)
        return State(Found(lock=lock is not None, example=example.key if example else None), lock=lock, record=record)
    manifest = parse_manifest(record, f"{place.url}{SIDECAR}/{MANIFEST}") if record is not None else None
    if lock is not None and not _describes(manifest, roots):
        # The manifest comes before the root: a write that was interrupted in between has kept the one before it.
        previous = read_previous(objects)
        manifest = previous if _describes(previous, roots) else manifest
    fingerprint = manifest.fingerprint if manifest and _describes(manifest, roots) else None
    return State(Found(root=True, fingerprint=fingerprint, lock=lock is not None), manifest, lock, roots, record)


def _check_folder(place: StoreUrl, path: Path) -> None:
    if path.is_symlink():
        raise Conflict(f"store '{place.url}' is a symbolic link. Name the folder that it leads to ({path.resolve()}).", store=place.url)
    if path.exists() and not path.is_dir():
        raise Conflict(f"store '{place.url}' is a file. Name a folder, or a place where nothing is.", store=place.url)
    if path.is_mount():
        text = f"store '{place.url}' is where a file system is mounted, and what Zarrstream keeps beside it would lie outside of that."
        raise Conflict(f"{text} Name a folder in it, such as {path / 'data.zarr'}.", store=place.url)


def root_documents(objects: Objects) -> dict[str, bytes]:
    """The documents by which a reader would open the store; none for one that is not published."""

    def read(names: tuple[str, ...]) -> dict[str, bytes]:
        return {name: data for name in names if (data := objects.get(f"{objects.place.key}/{name}")) is not None}

    roots = read(OPENS)
    return roots | read((CONSOLIDATED[2],)) if GROUP[2] in roots else roots  # that says what readers find in the group


def read_previous(objects: Objects) -> Manifest | None:
    """The manifest of the store that an append or a replacement began with."""
    data = objects.get(f"{objects.place.sidecar}/{PREVIOUS}")
    return None if data is None else parse_manifest(data, f"{objects.place.url}{SIDECAR}/{PREVIOUS}")


def check_name(place: StoreUrl) -> None:
    """Raises BadRequest for a place that would be, or lie in, what Zarrstream keeps beside another store."""
    path = place.key if place.parent is None else str(place.parent / place.key)
    for name in path.split("/"):
        if name.endswith(SIDECAR):
            text = f"store is '{place.url}': '{name}' is a name of what Zarrstream keeps beside the store '{name.removesuffix(SIDECAR)}'."
            raise BadRequest(f"{text} Use a name that does not end in {SIDECAR}.", store=place.url)


def records_of(objects: Objects, state: State) -> Records:
    """Everything that is recorded about what lies at the destination."""
    keys: set[str] = set(state.manifest.objects) if state.manifest else set()
    if state.record is not None:
        try:
            keys.update(parse_manifest(state.record, f"{objects.place.url}{SIDECAR}/{MANIFEST}").objects)
        except ZarrstreamError:
            if state.lock is None or state.found.root:
                raise  # else it did not arrive whole, and the write that sent it has its plan in the lock
    if state.lock is None:
        return Records(frozenset(keys))
    previous = read_previous(objects)
    keys.update(previous.objects if previous else ())
    plans = parse_plans(state.lock, f"{objects.place.url}{SIDECAR}/{WRITING}")
    if not plans:  # of a release whose locks had none
        keys.update(journaled_keys(objects))
    return Records(frozenset(keys), tuple(plans))


def foreign(objects: Objects, records: Records) -> Iterator[ObjectInfo]:
    """What lies below the store and is named by no record, links and special files always."""
    place = objects.place
    return (info for info in objects.list(place.key) if info.kind or not records.owns(info.key.removeprefix(f"{place.key}/")))


def refuse_foreign(objects: Objects, records: Records) -> None:
    """Raises Conflict for a store with foreign objects, before anything is touched."""
    found = foreign(objects, records)
    first = next(found, None)
    if first is None:
        return
    number = 1 + sum(1 for _unused in islice(found, COUNTED))
    many = "1 object" if number == 1 else f"{'more than ' if number > COUNTED else ''}{min(number, COUNTED)} objects"
    what = f"{first.key} (a {first.kind})" if first.kind else first.key
    text = f"store '{objects.place.url}' holds {many} that Zarrstream did not write, such as {what}."
    raise Conflict(f"{text} Move them elsewhere, or name another store.", store=objects.place.url, key=first.key, foreign=number)


def refuse_foreign_sidecar(objects: Objects, state: State) -> None:
    """Raises Conflict where something lies beside the store that is not of us: no manifest, no lock."""
    place = objects.place
    if state.lock is not None and state.lock.get("zarrstream_writing") != 1:
        text = f"{place.url}{SIDECAR}/{WRITING} is not a lock of Zarrstream. Move it elsewhere, or name another store."
        raise Conflict(text, store=place.url)
    if state.lock is not None or state.record is not None:
        return
    beside = Records()
    strange = (info for info in objects.list(place.sidecar) if info.kind or not beside.leftover(info.key.removeprefix(f"{place.sidecar}/")))
    first = next(strange, None)
    if first is not None:
        text = f"'{place.url}{SIDECAR}', where Zarrstream would keep its records of the store, holds {first.key}, which it did not write."
        raise Conflict(f"{text} Move it elsewhere, or name another store.", store=place.url, key=first.key)


def refuse_nested(objects: Objects) -> None:
    """Raises Conflict where the store would lie in another one, published or being written."""
    place = objects.place
    for around, holds in _around(objects):
        what = "holds a Zarr group or array" if any(holds(f"{around}/{name}") for name in OPENS) else ""
        what = what or ("is being written by Zarrstream" if holds(f"{around}{SIDECAR}/{WRITING}") else "")
        if what:
            shown = f"s3://{place.bucket}/{around}" if place.bucket else around
            text = f"store '{place.url}' would lie in '{shown}', which {what}: the two would be in each other's way."
            raise Conflict(f"{text} Name a place outside of it.", store=place.url, around=shown)


def _around(objects: Objects) -> Iterator[tuple[str, Callable[[str], bool]]]:
    """The folders around a store, and how to tell whether something is there."""
    place = objects.place
    if place.parent is not None:
        yield from ((str(folder), lambda path: Path(path).exists()) for folder in (place.parent, *place.parent.parents))
        return
    segments = place.key.split("/")
    for count in range(len(segments) - 1, 0, -1):
        yield "/".join(segments[:count]), lambda key: objects.head(key) is not None


def refusal(objects: Objects, state: State, request: Mapping[str, Any]) -> Conflict:
    """Why ``mode: create`` leaves this place alone."""
    url, found, manifest = objects.place.url, state.found, state.manifest
    remedy = "mode create overwrites nothing: name another store, remove this one first, or use mode replace."
    strange = foreign_objects(objects, state)
    if strange:
        return strange
    if manifest is None:
        raise AssertionError("foreign objects otherwise")
    if found.fingerprint is None:
        text = f"store '{url}' has a root document that is not the one of its manifest: somebody wrote or changed it since. {remedy}"
        return Conflict(text, store=url)
    differing = sorted(key for key in request if request[key] != manifest.request.get(key))
    what = f"with other {', '.join(differing)}" if differing else "from a source with other contents"
    text = f"store '{url}' was written {what} on {manifest.created}. {remedy}"
    return Conflict(text, store=url, differing=differing or ["source"])


def foreign_objects(objects: Objects, state: State) -> Conflict | None:
    """The refusal of a place whose contents Zarrstream did not write."""
    url = objects.place.url
    remedy = "Zarrstream writes only over what it wrote: name another store, or remove this one first."
    if not state.found.root:
        if next(foreign(objects, records_of(objects, state)), None) is None:
            text = (
                f"store '{url}' has lost the document by which it opens, and holds what was written with it, such as {state.found.example}."
            )
            return Conflict(f"{text} Remove the rest with state absent, or name another store.", store=url, example=state.found.example)
        text = f"store '{url}' holds objects that are not of a Zarr store, such as {state.found.example}. {remedy}"
        return Conflict(text, store=url, example=state.found.example)
    if state.manifest is None:
        return Conflict(f"store '{url}' holds a Zarr store without a manifest of Zarrstream. {remedy}", store=url)
    return None


def _describes(manifest: Manifest | None, roots: Mapping[str, bytes]) -> bool:
    return manifest is not None and all(manifest.objects.get(name) == md5_of(data) for name, data in roots.items())
