# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pictures of a report: elements of a page and of SVG inside it, and maps as PNG. No file or script from elsewhere.

Everything becomes ElementTree elements, which escape what they hold: no name in a store can become markup.
"""

from __future__ import annotations

import base64
import math
import re
import struct
import zlib
from collections import Counter
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from ...text import human_bytes
from ..pace import Pace
from .look import Look
from .portrait import ALLOWED, BAD, MISSING, PRESENT, READ, UNKNOWN, ArrayPortrait, Axis

if TYPE_CHECKING:
    import numpy as np

STATES = {
    READ: ("read", "decoded and as expected"),
    PRESENT: ("present", "there, not read"),
    ALLOWED: ("allowed", "not stored, as allowed"),
    UNKNOWN: ("unknown", "not looked at"),
    MISSING: ("missing", "missing"),
    BAD: ("bad", "damaged or other than recorded"),
}
COLUMNS, ROWS = 120, 60  # cells of a grid at most
SINGLE = 1500  # cells up to which each is drawn by itself
_VIRIDIS = ("440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725")
# Controls, and marks that turn the direction of text: a name may not look like another.
_UNSHOWABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def node(tag: str, *children: Element | str, **attributes: object) -> Element:
    """An element; ``class_`` is written class, ``view_box`` viewBox, other underscores become hyphens."""
    special = {"class_": "class", "view_box": "viewBox"}
    element = Element(tag, {special.get(name, name.replace("_", "-")): clean(str(value)) for name, value in attributes.items()})
    for child in children:
        if isinstance(child, Element):
            element.append(child)
        elif len(element):
            element[-1].tail = (element[-1].tail or "") + clean(child)
        else:
            element.text = (element.text or "") + clean(child)
    return element


def clean(text: str) -> str:
    """Text without characters that cannot be shown or that mislead the eye."""
    return _UNSHOWABLE.sub("\ufffd", text)


def grid(portrait: ArrayPortrait) -> Element | None:
    """The objects of an array as cells, equal neighbours drawn in one; a cell stands for several where there are very many."""
    cells = portrait.cells
    if not cells:
        return None
    across = _columns(portrait.layout.grid)
    each = -(-len(cells) // (across * ROWS)) if len(cells) > across * ROWS else 1
    if each > 1:
        across, cells = COLUMNS, bytearray(max(cells[start : start + each]) for start in range(0, len(cells), each))
    size = max(5.0, min(22.0, 600 / across))
    rows = -(-len(cells) // across)
    box, style = f"0 0 {across * size:g} {rows * size:g}", f"max-width:{across * size:g}px"
    drawing = node("svg", view_box=box, role="img", aria_label="objects", class_="grid", style=style)
    for start, stop in _runs(cells, across):
        row, column = divmod(start, across)
        name, meaning = STATES[cells[start]]
        rectangle = node(
            "rect",
            node("title", _run_title(portrait, start * each, min(stop * each, len(portrait.cells or b"")), meaning)),
            x=f"{column * size + 0.5:g}",
            y=f"{row * size + 0.5:g}",
            width=f"{(stop - start) * size - 1:g}",
            height=f"{size - 1:g}",
            class_=name,
        )
        drawing.append(rectangle)
    return drawing


def _columns(shape: tuple[int, ...]) -> int:
    """The longest tail of the grid that fits in a row; several of them where the rows would be too many."""
    across = 1
    for size in reversed(shape):
        if across * size > COLUMNS:
            break
        across *= size
    return across if math.prod(shape) <= across * ROWS // 2 else across * (COLUMNS // across)


def _runs(cells: bytearray, across: int) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for start in range(0, len(cells), across):
        stop = min(start + across, len(cells))
        while start < stop:
            state, end = cells[start], start + 1
            # What is wrong is drawn one by one, each with its name; the rest where it can be counted.
            while end < stop and cells[end] == state and state not in (MISSING, BAD) and len(cells) > SINGLE:
                end += 1
            runs.append((start, end))
            start = end
    return runs


def _run_title(portrait: ArrayPortrait, start: int, stop: int, meaning: str) -> str:
    layout = portrait.layout
    first, last = layout.key(layout.coordinates(start)), layout.key(layout.coordinates(stop - 1))
    return f"{first}: {meaning}" if stop - start == 1 else f"{first} … {last}: {meaning}"


def legend(counts: Counter[int]) -> Element:
    """The states that occur, with their numbers."""
    parts = [
        node("span", node("i", "", class_=STATES[state][0]), f"{counts[state]:,} {STATES[state][1]}") for state in STATES if counts[state]
    ]
    return node("p", *parts, class_="legend")


def picture(look: Look, axes: list[Axis]) -> Element:
    """A look: a map for two dimensions, a line for one, else its value. ``axes`` are the dimensions that are seen."""
    import numpy as np

    if look.text or not look.values.size:
        return node("p", look.text or "nothing to show", class_="value")
    finite = look.values[np.isfinite(look.values)]
    if look.values.ndim == 0 or not finite.size:
        return node("p", f"{float(finite[0]):.6g}" if finite.size else "no value: all that was looked at is missing", class_="value")
    low, high = float(finite.min()), float(finite.max())
    return _map(look.values, low, high, axes) if look.values.ndim == 2 else _line(look.values, low, high, axes[-1])


def _map(values: np.ndarray, low: float, high: float, axes: list[Axis]) -> Element:
    import numpy as np

    inside = values[np.isfinite(values)]
    bottom, top = (float(edge) for edge in np.percentile(inside, (1, 99)))  # single outliers leave no picture else
    shades = np.zeros(values.shape, dtype="u1")
    with np.errstate(all="ignore"):
        scaled = np.clip((values - bottom) / ((top - bottom) or 1.0), 0, 1) * 253 + 1
    shades[np.isfinite(values)] = scaled[np.isfinite(values)].astype("u1")
    down, right = axes
    if 2 * values.shape[1] < values.shape[0]:  # bounds and the like: lying, it fits the page
        shades, down, right = shades.T, right, down
    upper, lower = down.first, down.last
    if down.growing:  # rows begin at the top, latitudes at the bottom
        shades, upper, lower = shades[::-1], lower, upper
    data = base64.b64encode(_png(np.ascontiguousarray(shades))).decode()
    image = node("img", src=f"data:image/png;base64,{data}", alt=f"map of {right.name} and {down.name}", style=_shape(*shades.shape))
    return node(
        "div",
        node("div", node("span", upper), node("span", down.name), node("span", lower), class_="y"),
        image,
        node("div", node("span", right.first), node("span", right.name), node("span", right.last), class_="x"),
        node("div", node("span", f"{bottom:.6g}"), node("b", "", class_="scale"), node("span", f"{top:.6g}"), class_="x"),
        node("div", f"from {low:.6g} to {high:.6g}; the colours end at 1 % and 99 % of the values", class_="x"),
        class_="map",
    )


def _shape(rows: int, columns: int) -> str:
    ratio = max(0.25, min(4.0, columns / rows))
    return f"aspect-ratio:{ratio:g};max-width:{min(640, int(420 * ratio))}px"


def _png(shades: np.ndarray) -> bytes:
    """8-bit shades as PNG; shade 0 is transparent."""
    rows, columns = shades.shape
    palette = b"\0\0\0" + b"".join(_colour(number / 254) for number in range(255))
    lines = b"".join(b"\0" + row.tobytes() for row in shades)
    header = struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)
    parts = ((b"IHDR", header), (b"PLTE", palette), (b"tRNS", b"\0"), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    chunks = (struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _colour(share: float) -> bytes:
    number, rest = divmod(share * (len(_VIRIDIS) - 1), 1)
    one = bytes.fromhex(_VIRIDIS[int(number)])
    two = bytes.fromhex(_VIRIDIS[min(int(number) + 1, len(_VIRIDIS) - 1)])
    return bytes(round(a + (b - a) * rest) for a, b in zip(one, two, strict=True))


def _line(values: np.ndarray, low: float, high: float, axis: Axis) -> Element:
    import numpy as np

    width, height = 600, 140
    groups = np.array_split(values, min(len(values), width))
    points: list[tuple[float, float]] = []
    paths: list[str] = []

    def y(value: float) -> float:
        return height - (value - low) / ((high - low) or 1.0) * height if high > low else height / 2

    def finish() -> None:
        if points:
            paths.append("M" + "L".join(f"{at:.1f} {up:.1f}" for at, up in points) + ("h1" if len(points) == 1 else ""))
            points.clear()

    for number, group in enumerate(groups):
        there = group[np.isfinite(group)]
        if not there.size:
            finish()  # a gap is seen as a gap
            continue
        at = number * width / max(1, len(groups) - 1)
        points += [(at, y(float(edge))) for edge in dict.fromkeys((there.min(), there.max()))]
    finish()
    curve = node("path", d="".join(paths), class_="curve")
    drawing = node("svg", curve, view_box=f"-2 -4 {width + 4} {height + 8}", role="img", preserveAspectRatio="none", class_="line")
    return node(
        "div",
        node("div", node("span", f"{high:.6g}"), node("span", f"{low:.6g}"), class_="y"),
        drawing,
        node("div", node("span", axis.first), node("span", axis.name), node("span", axis.last), class_="x"),
        class_="map",
    )


def histogram(sizes: Counter[int]) -> Element | None:
    """The sizes of all objects, a bar for each power of two."""
    if not sizes:
        return None
    powers = range(min(sizes), max(sizes) + 1)
    names = {power: "empty" if power < 0 else human_bytes(2**power) for power in powers}
    return _bars([(names[power], sizes[power], f"{sizes[power]:,}") for power in powers], "objects by size")


def speed(pace: Pace) -> Element | None:
    """MiB/s while objects were read; None where too little was read to say."""
    if len(pace.sizes) < 5 or pace.span <= 0:
        return None
    number = min(40, len(pace.sizes))
    rates = pace.buckets(number)
    width = pace.span / number
    bars = [(f"{index * width:.2f} s", rate, f"{human_bytes(rate)}/s") for index, rate in enumerate(rates)]
    return _bars(bars, "bytes a second over time", labels=(0, number - 1))


def _bars(bars: list[tuple[str, float, str]], name: str, labels: tuple[int, ...] | None = None) -> Element:
    width, height = 600, 130
    step, highest = width / len(bars), max(value for _name, value, _text in bars) or 1.0
    drawing = node("svg", view_box=f"0 0 {width} {height + 22}", role="img", aria_label=name, class_="bars")
    every = max(1, math.ceil(len(bars) / 6))
    for number, (label, value, text) in enumerate(bars):
        tall = value / highest * (height - 16) if value else 0
        x = number * step
        title = node("title", f"{label}: {text}")
        box = {"width": f"{max(1, step - 2):.1f}", "height": f"{tall:.1f}"}
        drawing.append(node("rect", title, x=f"{x + 1:.1f}", y=f"{height - tall:.1f}", **box))
        if value and labels is None and len(bars) <= 16:
            drawing.append(node("text", text, x=f"{x + step / 2:.1f}", y=f"{height - tall - 4:.1f}", class_="top"))
        if number in labels if labels is not None else number % every == 0:
            anchor, place = ("end", x + step) if labels and number == labels[-1] else ("start", x + 1)
            drawing.append(node("text", label, x=f"{place:.1f}", y=height + 16, text_anchor=anchor))
    return drawing
