# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What was written: size and MD5 of every object of a store, and what it was made from.

It lies beside the store, in ``<store>.zarrstream/``, so that the store itself stays plain Zarr.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from ..errors import WriteError, ZarrstreamError
from ..storage.objects import Objects
from .records import outside

VERSION = 1
MANIFEST = "manifest.json"
PREVIOUS = "previous.json"  # the manifest of the store that an append or a replacement began with, until it is done
WRITING = "writing.json"  # there while a write is under way, or was interrupted


@dataclass(frozen=True, slots=True)  # one for each object
class Stored:
    """One object as it was sent: its size in bytes and the hexadecimal MD5 of its bytes."""

    size: int
    md5: str


def md5_of(data: bytes | memoryview) -> Stored:
    """The record of an object with these bytes."""
    return Stored(len(data), hashlib.md5(data, usedforsecurity=False).hexdigest())


@dataclass(frozen=True)
class Manifest:
    """The record of one write. Keys of ``objects`` are relative to the store; the fingerprint is a hexadecimal digest.

    ``source`` lists what was read (name, size in bytes, mtime in ns, content digest), so that a second run can tell that
    nothing changed without reading it; ``plan`` is what was planned, so that the second run can report it unread too;
    ``steps`` has by dimension, for each of the source, the ranges of steps that it gave.
    """

    fingerprint: str
    zarr_format: int
    created: str  # ISO 8601, UTC
    request: dict[str, Any]
    source: list[dict[str, Any]]
    objects: dict[str, Stored] = field(repr=False)
    plan: dict[str, Any] = field(default_factory=dict, repr=False)
    steps: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def bytes_stored(self) -> int:
        """Bytes of all objects together."""
        return sum(stored.size for stored in self.objects.values())

    def to_json(self) -> bytes:
        """The document that is stored; the same manifest gives the same bytes."""
        document = {
            "zarrstream_manifest": VERSION,
            "fingerprint": self.fingerprint,
            "zarr_format": self.zarr_format,
            "created": self.created,
            "request": self.request,
            "source": self.source,
            "plan": self.plan,
            "steps": self.steps,
            "objects": {key: [stored.size, stored.md5] for key, stored in sorted(self.objects.items())},
        }
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def parse_manifest(data: bytes, place: str) -> Manifest:
    """The manifest in ``data``; raises ZarrstreamError, naming ``place``, for anything else."""
    try:
        document = json.loads(data)
        version = document["zarrstream_manifest"]
        if version != VERSION:
            raise ZarrstreamError(f"{place} is a manifest of version {version}; this release reads version {VERSION}. Update Zarrstream.")
        strange = outside(document["objects"])
        if strange is not None:
            text = f"{place} names {strange!r}, which does not lie below its store: somebody changed it, and nothing of it is believed."
            raise ZarrstreamError(f"{text} Put back the manifest that was there, or remove it and the store by hand.", key=strange)
        return Manifest(
            fingerprint=document["fingerprint"],
            zarr_format=document["zarr_format"],
            created=document["created"],
            request=document["request"],
            source=document["source"],
            objects={key: Stored(int(size), str(md5)) for key, (size, md5) in document["objects"].items()},
            plan=document.get("plan", {}),
            steps=document.get("steps", {}),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ZarrstreamError(
            f"{place} is not a manifest of Zarrstream ({error!r}). Write the store again, or delete this object to check without it."
        ) from None


def damaged(objects: Objects, key: str, what: str = "is missing or has other bytes than were sent") -> WriteError:
    """The error for an object that did not arrive as it was sent."""
    place = f"{objects.place.bucket or objects.place.parent}/{key}"
    return WriteError(f"{place} {what}, although {objects.endpoint} acknowledged it.", key=key)
