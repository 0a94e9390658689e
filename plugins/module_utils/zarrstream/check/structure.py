# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks of the listing: what should be there is, nothing else is, and every object is the one that was written."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..findings import ITEMS, CheckResult, Findings, found, passed, skipped
from ..metadata.chunks import ChunkReader
from ..metadata.layout import ArrayLayout
from ..sidecar.manifest import Stored
from ..storage.location import ObjectInfo
from ..text import human_bytes, many
from .census import LARGE, SMALL
from .registry import CHECKS
from .snapshot import Snapshot

_MD5 = re.compile(r"[0-9a-f]{32}")
MANY_SMALL = 100  # small objects in one array from which on they are worth a word


@CHECKS.check("complete", "listing", "root", place=40)
def check_complete(shot: Snapshot, reader: ChunkReader) -> CheckResult:
    """Every object that the metadata announces is in the listing, or may be missing by the request's policy."""
    tree, expected, allowed = reader.tree, 0, 0
    missing = Findings.of({"key": key, "problem": "missing; only the consolidated metadata knows of it"} for key in tree.missing)
    for path, layout in sorted(tree.arrays.items()):
        expected += layout.count
        absent = layout.count - shot.census.present[path]
        wanted, keys = wanted_but_absent(shot, layout)
        missing.add_many(wanted, ({"key": key, "problem": "missing"} for key in keys))
        allowed += absent - wanted
    if missing:
        text = f"{missing.count} of {expected + len(tree.documents)} objects are missing and would be read as fill values"
        return found(missing, text, expected=expected)
    note = f"; {allowed} more are not stored, as missing={shot.request.missing} allows" if allowed else ""
    return passed(f"all {expected - allowed} chunks or shards of {len(tree.arrays)} arrays are there{note}", expected=expected)


def wanted_but_absent(shot: Snapshot, layout: ArrayLayout) -> tuple[int, Iterable[str]]:
    """How many objects of an array are not in the listing though they may not be missing, and their keys.

    The keys come one at a time: a damaged shape may announce any number of them.
    """
    listing = shot.listing or {}
    if shot.request.missing == "fill":
        return 0, ()
    if shot.request.missing == "manifest" and shot.manifest is not None:
        keys = [key for key in shot.manifest.objects if key not in listing and _belongs(key, layout)]
        return len(keys), keys
    return layout.count - shot.census.present[layout.path], (key for key in layout.object_keys() if key not in listing)


def _belongs(key: str, layout: ArrayLayout) -> bool:
    inside = not layout.path or key.startswith(f"{layout.path}/")
    return inside and layout.coordinates_of(key) is not None


@CHECKS.check("strays", "listing", severity="warning", place=50)
def check_strays(shot: Snapshot) -> CheckResult:
    """Nothing lies in the store that its metadata does not announce: leftovers come back to life when an array grows."""
    strays, unknown = shot.census.strays, shot.census.unknown
    if strays:
        size = human_bytes(sum(item["size"] for item in strays.items))
        share = f" in the first {ITEMS}" if strays.count > ITEMS else ""
        text = f"{many(strays.count, 'object')} beside what the metadata announce ({size}{share})"
        return found(strays, text)
    note = f"; {unknown} below nodes that cannot be read were not judged" if unknown else ""
    return passed(f"all {len(shot.listing or ())} objects belong to the store{note}")


@CHECKS.check("sizes", "listing", place=60)
def check_sizes(shot: Snapshot) -> CheckResult:
    """No chunk is empty, and none has a size that its codecs cannot have written."""
    wrong = shot.census.misshapen
    if wrong:
        return found(wrong, f"{many(wrong.count, 'object')} empty or truncated")
    total = sum(shot.census.present.values())
    return passed(f"none of {total} chunks or shards is empty or shorter than its codecs allow", bytes=shot.census.bytes)


@CHECKS.check("manifest", "store", place=70)
def check_manifest(shot: Snapshot) -> CheckResult:
    """Size and MD5 of every object, from the listing alone, are those that were recorded when it was written."""
    if shot.manifest is None:
        if shot.manifest_broken:
            return found(Findings.of([shot.manifest_problem]), "the manifest cannot be read")
        return skipped(shot.manifest_problem)
    if shot.listing is None:
        return skipped(shot.listing_problem)
    differences, by_size = Findings(), 0
    for key, stored in sorted(shot.manifest.objects.items()):
        info = shot.listing.get(key)
        if info is None:
            differences.add({"key": key, "problem": "missing"})
        elif problem := other_than(stored, info):
            differences.add({"key": key, "problem": problem})
        else:
            by_size += _md5(info) is None
    for key in sorted(shot.listing.keys() - shot.manifest.objects.keys()):
        differences.add({"key": key, "problem": "was not there when the store was written"})
    total = len(shot.manifest.objects)
    if differences:
        text = f"{many(differences.count, 'difference')} from the manifest of {many(total, 'object')}"
        return found(differences, text, by_size=by_size)
    return passed(f"{_compared(shot, total, by_size)}; no object was read", by_size=by_size)


def _md5(info: ObjectInfo) -> str | None:
    """The MD5 of an object, where its ETag is one: that of a multipart upload is not."""
    etag = (info.etag or "").lower()
    return etag if _MD5.fullmatch(etag) else None


def other_than(stored: Stored, info: ObjectInfo) -> str:
    """What tells an object of the listing from the one that was recorded, or ''."""
    if info.size != stored.size:
        return f"{info.size} bytes, {stored.size} were written"
    md5 = _md5(info)
    return f"its MD5 is {md5}, what was written had {stored.md5}" if md5 not in (None, stored.md5) else ""


def _compared(shot: Snapshot, total: int, by_size: int) -> str:
    if not shot.place.bucket:
        return f"{total} objects have the size that was written (a folder keeps no ETags: the bytes are not compared)"
    if by_size:
        return f"{total} objects have the size that was written, {total - by_size} of them its MD5; {by_size} have an ETag that is none"
    return f"{total} objects have the size and MD5 that were written"


@CHECKS.check("chunk_size", "listing", severity="info", place=140)
def check_chunk_size(shot: Snapshot) -> CheckResult:
    """Advice: objects of a size that suits object stores."""
    advice = Findings()
    for item in shot.census.large.items:
        advice.add({**item, "problem": f"{human_bytes(item['size'])}, more than {human_bytes(LARGE)}: smaller chunks read in part"})
    advice.count = shot.census.large.count
    for path, small in sorted(shot.census.small.items()):
        if small >= MANY_SMALL:
            problem = f"{small} objects below {human_bytes(SMALL)}: larger chunks, or shards, read faster"
            advice.add({"array": path or "/", "problem": problem})
    if advice:
        return found(advice, "objects of a size that reads slowly")
    return passed(f"no object above {human_bytes(LARGE)}, no array of many objects below {human_bytes(SMALL)}")
