# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks of the metadata documents: they open, agree with each other, and mean what a reader takes them to mean."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

from ..findings import CheckResult, Findings, found, passed, skipped
from ..metadata.chunks import ChunkReader
from ..metadata.hierarchy import ARRAY, ATTRIBUTES, CONSOLIDATED, GROUP, NODE_DOCUMENTS, Hierarchy, folder_of, join
from ..metadata.layout import ArrayLayout
from ..metadata.strict import strict_problem
from ..source.zarr_source import bounded_store
from ..text import human_bytes, many
from .opening import open_plainly
from .registry import CHECKS
from .snapshot import Snapshot


@CHECKS.check("open", "store", "documents", place=10)
def check_open(shot: Snapshot, reader: ChunkReader | None) -> CheckResult:
    """The root document is there and zarr-python opens it."""
    tree = shot.tree
    if tree is None or reader is None:
        return found(Findings.of([shot.root_problem or _what_is_there(shot)]), f"no Zarr at {shot.place.url}")
    problem = tree.problems.get(tree.root_key) or reader.root_problem()
    if problem:
        return found(Findings.of([{"key": tree.root_key, "problem": problem}]), "the store does not open")
    kind = "array" if "" in tree.arrays else f"group with {many(len(tree.arrays), 'array')}"
    if shot.writing is not None:
        return found(Findings.of([_busy(shot.writing)]), f"Zarr v{tree.zarr_format} {kind}, but", "warning")
    size = f", {len(shot.listing)} objects, {human_bytes(shot.census.bytes)}" if shot.listing is not None else ""
    return passed(f"Zarr v{tree.zarr_format} {kind}{size}", zarr_format=tree.zarr_format, arrays=len(tree.arrays))


def _what_is_there(shot: Snapshot) -> str:
    if shot.writing is not None:
        return f"{_busy(shot.writing)}: wait, or run it again to finish it"
    if shot.listing is None:
        return "neither zarr.json nor .zgroup nor .zarray is there"
    if not shot.listing:
        return "nothing is there. Correct the name, or write the store first"
    examples = ", ".join(sorted(shot.listing)[:3])
    return f"{len(shot.listing)} objects are there ({examples}, …), but neither zarr.json nor .zgroup nor .zarray"


def _busy(lock: str) -> str:
    """That a write is not done, and since when: the first date in the lock, whatever its fields are called."""
    matched = re.search(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?", lock)
    return f"a write is under way or was interrupted{f' since {matched[0]}' if matched else ''}"


@CHECKS.check("metadata", "store", "root", place=20)
def check_metadata(shot: Snapshot, reader: ChunkReader) -> CheckResult:
    """Every document describes a node, zarr-python takes it, nodes hang together, and dimensions agree in length."""
    tree = reader.tree
    wrong = Findings.of({"key": key, "problem": problem} for key, problem in sorted(tree.problems.items()))
    for path in sorted({*tree.arrays, *tree.groups} - {""}):
        above = folder_of(path)
        if above not in tree.groups and above not in tree.arrays and not tree.in_broken_node(path):
            wrong.add({"key": path, "problem": f"no group document above it, in '{above or '/'}': readers do not find it"})
    for path, layout in sorted(tree.arrays.items()):
        if not reader.missing_codecs(layout) and (problem := reader.array_problem(layout)):
            wrong.add({"key": join(path, ARRAY[tree.zarr_format]), "problem": f"zarr-python refuses it: {problem}"})
    _conflicting_dimensions(tree, wrong)
    if shot.listing is not None and tree.zarr_format == 3 and shot.listing.keys() & NODE_DOCUMENTS[2]:
        wrong.add({"key": GROUP[2], "problem": "documents of Zarr v2 and v3 side by side: readers differ in which they take"})
    if wrong:
        return found(wrong, f"{many(wrong.count, 'problem')} in the metadata")
    return passed(f"the documents of {len(tree.arrays)} arrays and {len(tree.groups)} groups are valid")


def _conflicting_dimensions(tree: Hierarchy, wrong: Findings) -> None:
    lengths: dict[tuple[str, str], tuple[str, int]] = {}
    for path, layout in sorted(tree.arrays.items()):
        for name, size in zip(layout.dimension_names or (), layout.shape, strict=False):
            if name is None:
                continue
            other, known = lengths.setdefault((folder_of(path), name), (path, size))
            if known != size:
                wrong.add({"array": path, "problem": f"dimension '{name}' has length {size}, in '{other}' {known}: xarray opens neither"})


@CHECKS.check("json", "root", place=25)
def check_json(reader: ChunkReader) -> CheckResult:
    """Every document is strict JSON: Python reads NaN and Infinity there, readers in other languages refuse the store."""
    problems = ((key, strict_problem(data)) for key, data in sorted(reader.tree.raw.items()))
    wrong = Findings.of({"key": key, "problem": problem} for key, problem in problems if problem)
    if wrong:
        return found(wrong, f"{many(wrong.count, 'document')} that not every reader takes for JSON")
    return passed(f"{many(len(reader.tree.raw), 'document')} of strict JSON")


@CHECKS.check("consolidated", "store", "root", place=30)
def check_consolidated(shot: Snapshot, reader: ChunkReader) -> CheckResult:
    """The consolidated metadata, which readers trust alone, say the same as the documents of the nodes."""
    tree = reader.tree
    wrong = Findings.of({"key": key, "problem": problem} for key, problem in tree.bad_consolidated.items())
    if not tree.consolidated and not wrong:
        return skipped("the store has no consolidated metadata: readers list it, or open each document")
    for group, entries in sorted(tree.consolidated.items()):
        for key, entry in sorted(entries.items()):
            _compare_entry(tree, key, entry, wrong)
        for key in sorted(tree.raw):
            if _should_be_in(key, group, tree) and key not in entries:
                wrong.add({"key": key, "problem": "not in the consolidated metadata: readers that use it do not see this node"})
    if wrong:
        return found(wrong, f"{many(wrong.count, 'difference')} between the consolidated metadata and the documents of the nodes")
    total = sum(map(len, tree.consolidated.values()))
    note = "" if shot.listing is not None else "; nodes that they leave out cannot be found without a listing"
    return passed(f"{total} entries equal the documents of their nodes{note}")


def _compare_entry(tree: Hierarchy, key: str, entry: dict[str, Any], wrong: Findings) -> None:
    if key in tree.problems and key in tree.raw and key not in tree.documents:
        return  # no JSON: the check 'metadata' says so
    stored = tree.documents.get(key) if key in tree.raw else None
    if stored is None and key.endswith(ATTRIBUTES[2]):
        stored = {}
    if stored is None:
        wrong.add({"key": key, "problem": "only in the consolidated metadata, its document is missing"})
        return
    left, right = _comparable(entry), _comparable(stored)
    fields = sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))
    if fields:
        wrong.add({"key": key, "problem": f"differs from the consolidated metadata in {', '.join(fields)}", "fields": fields})


def _comparable(document: dict[str, Any]) -> dict[str, str]:
    """Fields as canonical JSON, so that NaN equals NaN; what stands for its default is left out."""
    return {
        name: json.dumps(value, sort_keys=True)
        for name, value in document.items()
        if name != "consolidated_metadata" and not (name in ("attributes", "storage_transformers") and not value)
    }


def _should_be_in(key: str, group: str, tree: Hierarchy) -> bool:
    inside = key.startswith(f"{group}/") if group else True
    own = key == join(group, GROUP[3])
    empty = key.endswith(ATTRIBUTES[2]) and not tree.documents.get(key)
    return inside and not own and not empty and not key.endswith(CONSOLIDATED[2]) and key not in tree.problems


@CHECKS.check("codecs", "root", place=80)
def check_codecs(reader: ChunkReader) -> CheckResult:
    """Every codec that the metadata name is installed here and takes its configuration."""
    arrays = sorted(reader.tree.arrays.items())
    wrong = Findings.of({"array": path or "/", "problem": text} for path, layout in arrays for text in reader.missing_codecs(layout))
    if wrong:
        return found(wrong, f"{many(wrong.count, 'codec')} not available here")
    names = sorted({codec["name"] for _path, layout in arrays for codec in layout.codecs})
    return passed(f"available here: {', '.join(names) or 'none is needed'}", codecs=names)


@CHECKS.check("opens", "store", "root", place=85)
def check_opens(shot: Snapshot, reader: ChunkReader) -> CheckResult:
    """Plain xarray opens every group, decoded and not, also without consolidated metadata that say anything else, and reads both ends."""
    tree = reader.tree
    if why := _not_for_xarray(reader):
        return skipped(why)
    chunks = bounded_store(shot.objects.zarr_store(), tree.arrays, shot.place.url, "store")
    opened = open_plainly(tree, None if shot.request.sample == 0 else chunks.get)
    wrong = Findings.of({"array": path, "problem": problem} for path, problem in sorted(opened.problems.items()))
    if wrong:
        return found(wrong, f"{many(wrong.count, 'variable')} that xarray does not open")
    times = Findings.of({"array": path, "problem": problem} for path, problem in sorted(opened.times.items()))
    if times and not shot.request.source:
        return found(times, "opens with decode_times=False alone", "warning")
    note = f"; with decode_times=False alone, as {', '.join(sorted(opened.times))} does not decode" if times else ""
    return passed(f"xarray opens {len(tree.groups)} groups with {len(tree.arrays)} variables{note}")


def _not_for_xarray(reader: ChunkReader) -> str:
    """Why nobody opens the store with xarray, or why that has been said already; '' for a store to be opened."""
    tree = reader.tree
    if "" in tree.arrays:
        return "a single array: xarray opens groups"
    if tree.arrays and not any(layout.dims for layout in tree.arrays.values()):
        return "its arrays name no dimensions: it was not made for xarray"
    if tree.problems or tree.bad_consolidated:
        return "its metadata are not valid, as other checks say"
    if any(reader.missing_codecs(layout) or reader.array_problem(layout) for layout in tree.arrays.values()):
        return "zarr-python does not open all of its arrays, as other checks say"
    return ""


@CHECKS.check("fill_value", "root", severity="warning", place=100)
def check_fill_value(reader: ChunkReader) -> CheckResult:
    """A value that readers take for "no data" is meant so."""
    arrays = [(path or "/", layout) for path, layout in sorted(reader.tree.arrays.items())]
    wrong = Findings.of({"array": path, "problem": text} for path, layout in arrays if (text := _bad_fill_attribute(layout)))
    if wrong:
        return found(wrong, f"{many(wrong.count, 'array')} with a _FillValue that xarray cannot read", "error")
    zeros = [(path, layout.document["fill_value"]) for path, layout in arrays if _reads_zero_as_missing(layout)]
    odd = Findings.of({"array": path, "problem": f"fill_value is {zero}: xarray reads every 0 as missing"} for path, zero in zeros)
    if odd:
        return found(odd, f"{many(odd.count, 'array')} with a fill value that is data")
    return passed(f"no fill value of {len(reader.tree.arrays)} arrays stands for data")


def _reads_zero_as_missing(layout: ArrayLayout) -> bool:
    dtype, value = layout.document.get("dtype"), layout.document.get("fill_value")
    numeric = layout.zarr_format == 2 and isinstance(dtype, str) and dtype[1:2] in ("i", "u", "f")
    return numeric and isinstance(value, (int, float)) and not isinstance(value, bool) and value == 0


def _bad_fill_attribute(layout: ArrayLayout) -> str:
    if layout.zarr_format == 2 or "_FillValue" not in layout.attributes:
        return ""
    value, kind = layout.attributes["_FillValue"], str(layout.document.get("data_type"))
    if kind.startswith("float"):
        return "" if _is_encoded_float(value) else f"_FillValue is {value!r}: in Zarr v3 xarray expects 8 bytes in base64"
    matched = re.fullmatch(r"(u?)int(\d+)", kind)
    if not matched:
        return ""
    # NaN is not equal to itself; pylint: disable-next=comparison-with-itself
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value or abs(value) == float("inf"):
        return f"_FillValue is {value!r}: not a number for {kind}"
    bits = int(matched[2])
    low, high = (0, 2**bits - 1) if matched[1] else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return "" if low <= value <= high else f"_FillValue is {value!r}, which no {kind} can hold"


def _is_encoded_float(value: Any) -> bool:
    try:
        return isinstance(value, str) and len(base64.standard_b64decode(value)) == 8
    except (binascii.Error, ValueError):
        return False
