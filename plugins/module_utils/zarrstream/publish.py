# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Making a copied store visible, in the one order in which no reader ever finds less than all of it.

1. Marker: from here on, what lies there without a root is known to be a write of ours that was broken off.
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
from collections.abc import Mapping
from dataclasses import dataclass

from .errors import Conflict, ZarrstreamError
from .existing import read_marker
from .manifest import MANIFEST, WRITING, Manifest, Stored
from .store import Objects
from .template import Template
from .transfer import damaged, is_metadata


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
        }
        return json.dumps(document).encode()


def begin(objects: Objects, marker: Marker, *, again: bool) -> None:
    """Put the marker; ``again`` clears the metadata of a broken-off write."""
    place = objects.place
    objects.put(f"{place.sidecar}/{WRITING}", marker.to_json())
    if again:
        objects.delete([info.key for info in objects.list(place.key) if is_metadata(info.key)])
        objects.delete([f"{place.sidecar}/{MANIFEST}"])


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
            raise damaged(objects, info.key.removeprefix(f"{place.key}/"), f"has {info.size} bytes, {sent.size} were sent")
        elif info.etag and "-" not in info.etag and info.etag != sent.md5:
            raise damaged(objects, info.key.removeprefix(f"{place.key}/"), f"has the MD5 {info.etag}, {sent.md5} was sent")
    for key, sent in waiting.items():  # a listing may lag behind: the object itself decides
        data = objects.get(f"{place.key}/{key}")
        if data is None or len(data) != sent.size:
            raise damaged(objects, key, "is missing")
    if strays and not again:
        raise Conflict(f"{strays[0]} appeared while '{place.url}' was being written: somebody else writes there.", key=strays[0])
    objects.delete(strays)
    return len(records)


def publish(objects: Objects, template: Template, manifest: Manifest, marker: Marker, *, read_back: bool) -> None:
    """Steps 3 to 6 of the order above. Raises Conflict where another writer was faster."""
    place = objects.place
    _check_alone(objects, marker)
    _put_all(objects, template.arrays, read_back)
    objects.put(f"{place.sidecar}/{MANIFEST}", manifest.to_json())
    *others, last = template.root
    _put_all(objects, {key: template.root[key] for key in others}, read_back)
    _check_alone(objects, marker)
    _open(objects, f"{place.key}/{last}", template.root[last])
    finish(objects)


def finish(objects: Objects) -> None:
    """Remove the marker."""
    objects.delete([f"{objects.place.sidecar}/{WRITING}"])


def _put_all(objects: Objects, documents: Mapping[str, bytes], read_back: bool) -> None:
    for key, data in documents.items():
        objects.put(f"{objects.place.key}/{key}", data)
        if read_back and objects.get(f"{objects.place.key}/{key}") != data:
            raise damaged(objects, key, "is missing or has other bytes than were sent")


def _open(objects: Objects, key: str, data: bytes) -> None:
    try:
        objects.put(key, data, create=True)
    except Conflict:
        # Either another writer, or our own request, whose answer got lost before it was sent again.
        if objects.get(key) != data:
            raise Conflict(
                f"another writer published '{objects.place.url}' first, with other contents. Its store is whole; this write has no effect "
                "but for its objects beside it. Compare the two requests, and write to another place."
            ) from None
    if objects.get(key) != data:
        raise damaged(objects, key.rpartition("/")[2], "is missing or has other bytes than were sent")


def _check_alone(objects: Objects, marker: Marker) -> None:
    found = read_marker(objects)
    if found.get("write_id") != marker.write_id:
        who = f"process {found.get('pid')} on {found.get('host')}, since {found.get('started')}" if found else "its marker replaced ours"
        raise Conflict(f"another writer is at work on '{objects.place.url}': {who}. Run one at a time.", store=objects.place.url)


def unpublished(error: ZarrstreamError) -> ZarrstreamError:
    """The same error, with what it left behind and what to do."""
    text = f"{error} Nothing was published: readers find no store. The same request, run again, finishes it."
    return type(error)(text, **error.details)
