# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Making a copied store visible, in the one order in which no reader ever finds less than all of it.

1. Marker, created only where there is none, so that of two writers that begin together one goes on. Swift lets several
   creations at the same moment succeed (measured: all five of five, in most tries) and keeps the last; in a bucket a writer
   therefore looks again after a moment before it sends its first chunk, and every second from then on. From here on, what
   lies there without a root is known to be a write of ours that was broken off.
2. Chunks. Without metadata they are no array to anybody.
3. The arrays' metadata, when every chunk was found in a listing: an array that opens is complete.
4. The manifest. It comes before the root, so that a store that opens always has one, and a second run finds it.
5. The root's attributes and consolidated metadata, and at last the document that makes the root open, created only where
   there is none. A group thus never opens before all that it lists is there.
6. The marker goes. A kill between 5 and 6 leaves a whole store and a marker, which the next run removes.

Before a broken-off write is done again its metadata and manifest go first: chunks of another shape must not land under them.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import Conflict, ZarrstreamError
from .existing import opening_documents, read_marker
from .manifest import MANIFEST, WRITING, Manifest, Stored, md5_of
from .store import Objects
from .template import Template
from .transfer import damaged, is_metadata

SETTLE = 1.0  # seconds between a server's look for an object and the moment from which all see the new one
CHECK_INTERVAL = 1.0  # seconds
_AT_WORK: set[object] = set()  # ids of the writes of this process


@dataclass(frozen=True)
class Marker:
    """Who is writing: a random id, the request's fingerprint, the start (ISO 8601, UTC)."""

    write_id: str
    fingerprint: str
    started: str

    def to_json(self) -> bytes:
        """The document beside the store."""
        document = {
            "zarrstream_writing": 1,
            "write_id": self.write_id,
            "fingerprint": self.fingerprint,
            "started": self.started,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "process_began": _process_began(os.getpid()),
        }
        return json.dumps(document).encode()


def is_alive(marker: Mapping[str, object]) -> bool:
    """Whether a marker is that of a write which still runs on this host; of other hosts nothing is known."""
    pid, began = marker.get("pid"), marker.get("process_began")
    if marker.get("host") != socket.gethostname() or not isinstance(pid, int) or began is None:
        return False
    return marker.get("write_id") in _AT_WORK if pid == os.getpid() else began == _process_began(pid)


def _process_began(pid: int) -> int | None:
    """Clock ticks from the boot to the start of a process, which tell it from a later one with its number; None if it is gone."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return int(after_name[19])
    except (OSError, IndexError, ValueError):
        return None


def begin(objects: Objects, marker: Marker, *, again: bool) -> None:
    """Put the marker; ``again`` clears the metadata of a broken-off write."""
    place = objects.place
    key, document = f"{place.sidecar}/{WRITING}", marker.to_json()
    if again and not is_alive(read_marker(objects)):
        objects.put(key, document)
    elif again or not _create(objects, key, document):
        raise _somebody_else(objects)
    if objects.get(key) is None:  # without it nobody could tell what the chunks are
        raise damaged(objects, key)
    check_alone(objects, marker)
    _AT_WORK.add(marker.write_id)
    if again:
        Watch(objects, marker).check()
    if opening_documents(objects):  # another one began after we had looked, and its marker was gone before ours came
        finish(objects)
        raise Conflict(f"another writer published '{place.url}' just now. Run again to see whether it is the same.", store=place.url)
    if again:
        objects.delete([info.key for info in objects.list(place.key) if is_metadata(info.key)])
        objects.delete([f"{place.sidecar}/{MANIFEST}"])
        objects.sweep()


def leave(marker: Marker) -> None:
    """The write has ended, well or not: what it left may be taken over, by this process too."""
    _AT_WORK.discard(marker.write_id)


def check_listing(objects: Objects, records: Mapping[str, Stored], *, again: bool) -> int:
    """Compare what the server lists with what was sent: size, and MD5 where the ETag is one. Returns the objects compared.

    Objects that nobody planned go, where they are left from a broken-off write (``again``), else they are a Conflict.
    """
    place = objects.place
    waiting = dict(records)
    strays: list[str] = []
    for info in objects.list(place.key):
        sent = waiting.pop(info.key.removeprefix(f"{place.key}/"), None)
        if sent is None:
            strays.append(info.key)
        elif info.size != sent.size:
            raise damaged(objects, info.key, f"has {info.size} bytes, {sent.size} were sent")
        elif info.etag and "-" not in info.etag and info.etag != sent.md5:
            raise damaged(objects, info.key, f"has the MD5 {info.etag}, {sent.md5} was sent")
    for key, sent in waiting.items():  # a listing may lag behind: the object itself decides
        data = objects.get(f"{place.key}/{key}")
        if data is None or md5_of(data) != sent:
            raise damaged(objects, f"{place.key}/{key}", "is missing" if data is None else "has other bytes than were sent")
    if strays and not again:
        raise Conflict(f"{strays[0]} appeared while '{place.url}' was being written: somebody else writes there.", key=strays[0])
    objects.delete(strays)
    return len(records)


def publish(objects: Objects, template: Template, manifest: Manifest, marker: Marker, *, read_back: bool) -> None:
    """Steps 3 to 5 of the order above. Raises Conflict where another writer was faster."""
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
    if not _create(objects, f"{place.key}/{last}", template.root[last]):
        raise Conflict(
            f"another writer published '{place.url}' first, with other contents. Compare the two requests, and write to another place.",
            store=place.url,
        )
    if objects.get(f"{place.key}/{last}") != template.root[last]:
        objects.delete([f"{place.key}/{last}"])  # it was created just now, and so it is ours
        raise damaged(objects, f"{place.key}/{last}")


def finish(objects: Objects) -> None:
    """Step 6: remove the marker."""
    try:
        objects.delete([f"{objects.place.sidecar}/{WRITING}"])
    except ZarrstreamError as error:
        text = f"'{objects.place.url}' is published and whole, but its marker stayed: {error} The next run of the same request removes it."
        raise type(error)(text, **error.details) from error


def _create(objects: Objects, key: str, data: bytes) -> bool:
    """Put an object where there is none; False where there is another.

    Where exactly these bytes are there already it was our own request, whose answer got lost before it was sent again.
    """
    try:
        objects.put(key, data, create=True)
    except Conflict:
        return objects.get(key) == data
    return True


class Watch:
    """Sees to it that no second writer works at the same place: none may send a chunk before the first ``check`` returned."""

    def __init__(self, objects: Objects, marker: Marker) -> None:
        self._objects, self._marker = objects, marker
        self._lock = threading.Lock()
        # A folder creates a file once; in a bucket a writer that began at the same moment has to have time to show.
        self._due = time.monotonic() + (SETTLE if objects.place.bucket is not None else CHECK_INTERVAL)
        self._settled = objects.place.bucket is None

    def check(self) -> None:
        """Look for another writer when it is time; raises Conflict where there is one."""
        with self._lock:
            if not self._settled:
                time.sleep(max(0.0, self._due - time.monotonic()))
            if time.monotonic() >= self._due:
                check_alone(self._objects, self._marker)
                self._due = time.monotonic() + CHECK_INTERVAL
                self._settled = True


def check_alone(objects: Objects, marker: Marker) -> None:
    """Raises Conflict where the marker is not ours any more."""
    if read_marker(objects).get("write_id") != marker.write_id:
        raise _somebody_else(objects)


def _somebody_else(objects: Objects) -> Conflict:
    found = read_marker(objects)
    who = f"process {found.get('pid')} on {found.get('host')}, since {found.get('started')}" if found else "it has removed our marker"
    return Conflict(f"another writer is at work on '{objects.place.url}': {who}. Run one at a time.", store=objects.place.url)


def unpublished(error: ZarrstreamError) -> ZarrstreamError:
    """The same error, with what it left behind and what to do; a Conflict is another writer's doing, and says so itself."""
    if isinstance(error, Conflict):
        return error
    text = f"{error} Nothing was published: readers find no store. The same request, run again, finishes it."
    return type(error)(text, **error.details)
