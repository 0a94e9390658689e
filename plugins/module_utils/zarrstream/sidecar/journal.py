# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a write has sent so far, noted beside the store while it goes on, so that the next run need not send it again.

An object can only be kept by a run that would write the same: same source (sizes and times included), same request, same
metadata documents. That is the journal's ``binding``; each has a folder of its own, and a write of another binding removes
it before its first chunk. What is kept has besides to be at the server as it was noted: its size and MD5 come from a
listing, or from the object itself where a listing has no MD5.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import AccessRefused, Unreachable, ZarrstreamError
from ..storage.location import ObjectInfo
from ..storage.objects import Objects
from .manifest import Stored, md5_of
from .records import Records

FLUSH_INTERVAL = 1.0  # seconds: what a kill costs at most, in work that is done again
_FOLDER = "journal"


def make_binding(fingerprint: str, source: Iterable[Mapping[str, Any]], documents: Mapping[str, bytes]) -> str:
    """What two writes have in common when each may keep the objects of the other, a hexadecimal digest."""
    digest = hashlib.sha256(json.dumps([fingerprint, list(source)], sort_keys=True).encode())
    for key, data in sorted(documents.items()):
        digest.update(f"\0{key}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()


class Journal:
    """The notes of one write, in documents of which each holds what came since the one before. Safe for several threads."""

    def __init__(self, objects: Objects, binding: str, write_id: str) -> None:
        self._objects, self._binding = objects, binding
        self._folder = f"{objects.place.sidecar}/{_FOLDER}"
        self._stem = f"{self._folder}/{binding[:24]}/{write_id}"
        self._lock = threading.Lock()
        self._waiting: dict[str, Stored] = {}
        self._number, self._due = 0, time.monotonic() + FLUSH_INTERVAL

    def load(self) -> dict[str, Stored]:
        """What earlier runs with this binding noted, by key below the store."""
        return self._read()[0]

    def load_and_remove_others(self) -> dict[str, Stored]:
        """The same; the journals of other bindings go."""
        noted, others = self._read()
        sidecar = f"{self._objects.place.sidecar}/"
        self._objects.delete([key for key in others if Records().leftover(key.removeprefix(sidecar))])
        return noted

    def _read(self) -> tuple[dict[str, Stored], list[str]]:
        """What was noted with this binding, and the keys of documents with others."""
        noted: dict[str, Stored] = {}
        others: list[str] = []
        for info in self._objects.list(self._folder):
            if not info.key.startswith(f"{self._folder}/{self._binding[:24]}/"):
                others.append(info.key)
            elif data := self._objects.get(info.key):
                noted |= _parse(data, self._binding)
        return noted, others

    def note(self, key: str, stored: Stored) -> None:
        """An object was acknowledged."""
        with self._lock:
            self._waiting[key] = stored

    def flush(self, *, now: bool = False) -> None:
        """Write down what waits, when it is time or ``now``."""
        with self._lock:
            if not self._waiting or not (now or time.monotonic() >= self._due):
                return
            waiting, self._waiting = self._waiting, {}
            self._number += 1
            key = f"{self._stem}-{self._number:06d}.json"
            self._due = time.monotonic() + FLUSH_INTERVAL
        objects = {name: [stored.size, stored.md5] for name, stored in waiting.items()}
        document = {"zarrstream_journal": 1, "binding": self._binding, "objects": objects}
        self._objects.put(key, json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())

    def close(self, error: BaseException | None, *, last: bool = False) -> None:
        """Write down the rest after a failure, and at the ``last`` where a kill in the next step would be dear.

        A server that did not answer, or said no, is not asked once more.
        """
        if error is None:
            self.flush(now=last)
        elif not isinstance(error, Unreachable | AccessRefused):
            with contextlib.suppress(ZarrstreamError):
                self.flush(now=True)


def journaled_keys(objects: Objects) -> set[str]:
    """The keys below the store that journals of any write there name."""
    keys: set[str] = set()
    for info in objects.list(f"{objects.place.sidecar}/{_FOLDER}"):
        data = None if info.kind else objects.get(info.key)
        keys.update(_parse(data) if data else ())
    return keys


def still_there(objects: Objects, noted: Mapping[str, Stored], folder: str) -> dict[str, Stored]:
    """Those of the noted objects that are in ``folder`` (of the bucket) as they were noted, by a listing."""
    found = {}
    for info in objects.list(folder):
        key = info.key.removeprefix(f"{folder}/")
        if key in noted and info.size == noted[key].size and _md5(objects, info) == noted[key].md5:
            found[key] = noted[key]
    return found


def _md5(objects: Objects, info: ObjectInfo) -> str | None:
    if info.etag and "-" not in info.etag:
        return info.etag
    data = objects.get(info.key)
    return None if data is None else md5_of(data).md5


def _parse(data: bytes, binding: str | None = None) -> dict[str, Stored]:
    """The notes in a document; none in one that is broken, or of a write with another ``binding``."""
    try:
        document = json.loads(data)
        if document["zarrstream_journal"] != 1 or binding not in (None, document["binding"]):
            return {}
        return {str(key): Stored(int(size), str(md5)) for key, (size, md5) in document["objects"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
