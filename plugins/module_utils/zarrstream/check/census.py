# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The listing of a store, gone through once: what is there of each array, what is empty, short or does not belong."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..encoding.codecs import CODECS
from ..findings import Findings
from ..metadata.hierarchy import ATTRIBUTES, CONSOLIDATED, DOCUMENTS, Hierarchy, folder_of
from ..metadata.layout import ArrayLayout, item_bytes
from ..storage.location import ObjectInfo

SMALL = 100 * 1024  # bytes; below, requests cost more than the data
LARGE = 512 * 1024**2  # bytes; above, a reader has to take in much to get at little


@dataclass
class Census:
    """Counts over one listing. ``present`` is by path of array; sizes are in bytes."""

    present: Counter[str] = field(default_factory=Counter)
    documents: int = 0
    bytes: int = 0
    strays: Findings = field(default_factory=Findings)
    unknown: int = 0  # below a node that cannot be read
    misshapen: Findings = field(default_factory=Findings)  # empty, or of a size that cannot be
    small: Counter[str] = field(default_factory=Counter)
    large: Findings = field(default_factory=Findings)


@dataclass(frozen=True)
class SizeRule:
    """What the size of an array's objects can be: at least ``least`` bytes; ``exact`` where nothing compresses them."""

    least: int
    exact: int | None


def take_census(tree: Hierarchy, listing: Mapping[str, ObjectInfo]) -> Census:
    """Sort every object of the listing into one of the census' boxes."""
    census = Census()
    rules = {path: size_rule(layout) for path, layout in tree.arrays.items()}
    names = DOCUMENTS[tree.zarr_format]
    for key in sorted(listing):
        info = listing[key]
        census.bytes += info.size
        if key.rpartition("/")[2] in names and _is_document(tree, key):
            census.documents += 1
            continue
        layout = tree.owner(key)
        if layout is not None and layout.coordinates_of(key) is not None:
            _count(census, key, info.size, layout, rules[layout.path])
        elif tree.in_broken_node(key):
            census.unknown += 1
        else:
            census.strays.add({"key": key, "problem": _why_stray(key, layout), "size": info.size})
    return census


def _is_document(tree: Hierarchy, key: str) -> bool:
    path = folder_of(key)
    if key.endswith((ATTRIBUTES[2], CONSOLIDATED[2])):
        return path in tree.arrays or path in tree.groups or tree.in_broken_node(key)
    return True


def _count(census: Census, key: str, size: int, layout: ArrayLayout, rule: SizeRule) -> None:
    census.present[layout.path] += 1
    if size == 0:
        census.misshapen.add({"key": key, "problem": "empty", "size": 0})
    elif rule.exact is not None and size != rule.exact:
        census.misshapen.add({"key": key, "problem": f"{size} bytes where its uncompressed data take {rule.exact}", "size": size})
    elif size < rule.least:
        census.misshapen.add({"key": key, "problem": f"{size} bytes, too few for what its codecs write", "size": size})
    if size > LARGE:
        census.large.add({"key": key, "size": size})
    elif size < SMALL:
        census.small[layout.path] += 1


def _why_stray(key: str, layout: ArrayLayout | None) -> str:
    if layout is None:
        return "belongs to no array"
    name = key[len(layout.path) + 1 :] if layout.path else key
    if re.fullmatch(r"(c[./])?\d+([./]\d+)*", name) and len(re.findall(r"\d+", name)) == len(layout.shape):
        return f"beyond the shape {list(layout.shape)} of '{layout.path or '/'}', or written with another separator"
    return f"no chunk of '{layout.path or '/'}'"


def size_rule(layout: ArrayLayout) -> SizeRule:
    """What can be said about the size of an object without reading it."""
    names = [codec["name"] for codec in layout.codecs]
    checksums = 4 * names.count("crc32c")
    if layout.inner_chunks is not None:
        inner = math.prod(-(-outer // size) if size else 0 for outer, size in zip(layout.chunks, layout.inner_chunks, strict=True))
        return SizeRule(least=16 * inner + checksums, exact=None)  # the index: offset and length of each chunk within
    width = item_bytes(layout)
    plain = set(names) <= {"bytes", "transpose", "crc32c"}
    exact = math.prod(layout.chunks) * width + checksums if plain and width is not None else None
    return SizeRule(least=max([1, *(CODECS[name].shortest for name in names if name in CODECS)]) + checksums, exact=exact)
