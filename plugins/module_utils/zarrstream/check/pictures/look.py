# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A quick look at an array: one plane of it, or a line, read from few objects and thinned to the size of a picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from ...errors import ZarrstreamError
from ...metadata.chunks import ChunkReader
from ...metadata.decoded import TooLarge
from ...metadata.layout import ArrayLayout
from ...parallel import each
from ..contents import decoded_bytes
from ..snapshot import Snapshot

if TYPE_CHECKING:
    import numpy as np

OBJECTS = 64  # of one array
BYTES = 64 * 2**20  # of one array, decoded
LARGEST = 512 * 2**20  # of a single object, decoded
LONGEST = {1: 100_000, 2: 400}  # values kept along the longer side of a line and of a map

Window = tuple[range, ...]  # numbers of chunks along each dimension


@dataclass(frozen=True)
class Look:
    """``values`` (2-d, 1-d or 0-d, floats, NaN where nothing is) of the part ``spans`` (start and stop by dimension)."""

    values: np.ndarray
    spans: tuple[tuple[int, int], ...]
    text: str = ""  # instead of a picture


def look_at(shot: Snapshot, reader: ChunkReader, layout: ArrayLayout) -> Look | None:
    """The look, or None where nothing can be shown: nothing there, nothing that decodes, too large a chunk."""
    if not layout.count or decoded_bytes(layout) > LARGEST or reader.missing_codecs(layout) or reader.array_problem(layout):
        return None
    try:
        return _look(shot, reader, layout)
    except (ValueError, TypeError, OverflowError, MemoryError, TooLarge):  # values that are no numbers, metadata that lie
        return None


def _look(shot: Snapshot, reader: ChunkReader, layout: ArrayLayout) -> Look | None:
    import numpy as np

    window = choose_window(layout)
    spans = tuple(
        (part[0] * chunk, min((part[-1] + 1) * chunk, size)) for part, chunk, size in zip(window, layout.chunks, layout.shape, strict=True)
    )
    plane = min(2, len(spans))  # dimensions that are seen
    lead, seen = len(spans) - plane, spans[len(spans) - plane :]
    middle = tuple(layout.shape[axis] // 2 for axis in range(lead))
    step = max(1, -(-max((stop - start for start, stop in seen), default=1) // LONGEST.get(plane, 1)))
    canvas = np.full([-(-(stop - start) // step) for start, stop in seen], np.nan)
    found = False
    for place, values in _blocks(shot, reader, layout, window):
        region = layout.region(place)
        block = values[tuple(index - part.start for index, part in zip(middle, region[:lead], strict=True))]
        if block.dtype.kind not in "biufcmM":
            return Look(np.empty(0), spans, _as_text(block))
        offsets = [-(part.start - start) % step for part, (start, _stop) in zip(region[lead:], seen, strict=True)]
        thin = block[tuple(slice(offset, None, step) for offset in offsets)]
        corner = [-(-(part.start - start) // step) for part, (start, _stop) in zip(region[lead:], seen, strict=True)]
        canvas[tuple(slice(at, at + size) for at, size in zip(corner, thin.shape, strict=True))] = _numbers(thin, layout)
        found = True
    shown = tuple((index, index + 1) for index in middle) + seen
    return Look(canvas, shown) if found else None


def choose_window(layout: ArrayLayout) -> Window:
    """The chunks to read: the middle one of the leading dimensions, all of the last two, or as many around their middle as fit."""
    budget = max(1, min(OBJECTS, BYTES // max(1, decoded_bytes(layout))))
    lead = max(0, len(layout.grid) - 2)
    window = [range(number := (size // 2) // chunk, number + 1) for size, chunk in zip(layout.shape[:lead], layout.chunks, strict=False)]
    across = layout.grid[lead:]
    total = math.prod(across)
    share = 1.0 if total <= budget else (budget / total) ** (1 / len(across))
    counts = [max(1, min(size, int(size * share))) for size in across]
    while math.prod(counts) > budget:  # a dimension of few chunks kept more than its share
        longest = counts.index(max(counts))
        counts[longest] = max(1, budget // math.prod(count for axis, count in enumerate(counts) if axis != longest))
    return (*window, *(range(first := (size - count) // 2, first + count) for size, count in zip(across, counts, strict=True)))


def _blocks(shot: Snapshot, reader: ChunkReader, layout: ArrayLayout, window: Window) -> Iterator[tuple[tuple[int, ...], Any]]:
    def fetch(place: tuple[int, ...]) -> tuple[tuple[int, ...], bytes | None]:
        try:
            return place, shot.fetch(layout.key(place))
        except ZarrstreamError:
            return place, None

    for place, data in each(fetch, product(*window)):
        if data is None:
            continue
        try:
            yield place, reader.decode(layout, place, data)
        except Exception:  # noqa: BLE001, S112 - codecs raise anything for damaged bytes; that is what checks are for
            continue


def _numbers(values: np.ndarray, layout: ArrayLayout) -> np.ndarray:
    """The values as floats: masked and unpacked as the CF attributes say."""
    import numpy as np

    attributes = layout.attributes
    if values.dtype.kind in "mM":
        return np.where(np.isnat(values), np.nan, values.astype("i8").astype("f8"))
    floats = np.abs(values) if values.dtype.kind == "c" else values
    floats = np.asarray(floats, dtype="f8").copy()
    own = layout.document.get("fill_value") if layout.zarr_format == 2 else None  # where xarray keeps _FillValue in v2
    for mark in (own, attributes.get("_FillValue"), attributes.get("missing_value")):
        missing = _number(mark)
        if missing is not None:
            floats[floats == missing] = np.nan
    floats[~np.isfinite(floats)] = np.nan
    scale, offset = _number(attributes.get("scale_factor")), _number(attributes.get("add_offset"))
    with np.errstate(all="ignore"):
        return floats * (1.0 if scale is None else scale) + (offset or 0.0)


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _as_text(block: Any) -> str:
    items = [str(item) for item in block.ravel()[:8].tolist()]
    return ", ".join(item if len(item) <= 40 else f"{item[:39]}…" for item in items) + (", …" if block.size > 8 else "")
