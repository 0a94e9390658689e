# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A report as one page that needs nothing else: no script, no file, no network; for wide screens, phones, and in the dark."""

from __future__ import annotations

from xml.etree.ElementTree import Element, tostring

from ...findings import ITEMS, CheckResult, describe
from ...text import human_bytes, many, shown_log
from ..report import Report
from .draw import STATES, grid, histogram, legend, node, picture, speed
from .portrait import ArrayPortrait, Axis, Portrait

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STYLE = """
:root { color-scheme: light dark; --back: #f6f7f9; --card: #fff; --ink: #1c2128; --soft: #59636e; --edge: #d9dee4;
  --passed: #1a7f37; --failed: #c8232c; --warning: #8a5d00; --skipped: #6b7580;
  --read: #1f5fa8; --present: #9dbfe4; --allowed: transparent; --unknown: #c4cad1; --missing: #d92d38; --bad: #e0800d; }
@media (prefers-color-scheme: dark) { :root { --back: #0f1318; --card: #181d24; --ink: #e4e8ed; --soft: #9aa5b1; --edge: #303842;
  --passed: #4cc26a; --failed: #ff7078; --warning: #e2b04a; --skipped: #8d98a5;
  --read: #4f9df0; --present: #2a4d75; --unknown: #4a535d; --missing: #ff5660; --bad: #ffa33c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem; max-width: 76rem; background: var(--back); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.35rem; margin: 0 0 .3rem; } h2 { font-size: 1.1rem; margin: 1.8rem 0 .6rem; } h3 { font-size: 1rem; margin: 0; }
h4 { font-size: .85rem; font-weight: 600; color: var(--soft); margin: .9rem 0 .35rem; }
p { margin: .2rem 0; } small, .soft { color: var(--soft); } code { font-size: .92em; }
.card { background: var(--card); border: 1px solid var(--edge); border-radius: .6rem; padding: 1rem; min-width: 0; }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 27rem), 1fr)); align-items: start; }
.verdict { display: inline-block; padding: .05rem .7rem; border-radius: 1rem; color: var(--card); font-weight: 600; }
.verdict.passed { background: var(--passed); } .verdict.failed { background: var(--failed); }
table { width: 100%; border-collapse: collapse; } td, th { text-align: left; vertical-align: top; padding: .4rem .6rem .4rem 0; }
td:not(:last-child), th { white-space: nowrap; }
tr + tr td { border-top: 1px solid var(--edge); } th { color: var(--soft); font-weight: 600; font-size: .85rem; }
.status { font-weight: 600; white-space: nowrap; } .status.passed { color: var(--passed); } .status.failed { color: var(--failed); }
.status.warning { color: var(--warning); } .status.skipped { color: var(--skipped); }
details { margin-top: .2rem; } summary { cursor: pointer; color: var(--soft); } ul { margin: .3rem 0; padding-left: 1.2rem; }
.legend span { display: inline-block; margin-right: 1rem; color: var(--soft); font-size: .85rem; }
.legend i { display: inline-block; width: .8em; height: .8em; margin-right: .35em; border-radius: 2px; }
svg { display: block; width: 100%; height: auto; } .bars rect { fill: var(--read); } .bars text { fill: var(--soft); font-size: 12px; }
.bars .top { text-anchor: middle; } .line { height: 9rem; } .curve { fill: none; stroke: var(--read); stroke-width: 1.5;
  vector-effect: non-scaling-stroke; }
.grid rect { rx: 1px; } i.allowed { border: 1px solid var(--soft); } .grid .allowed { stroke: var(--soft); }
.map { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: .2rem .5rem; font-size: .8rem; color: var(--soft); }
.map img { width: 100%; image-rendering: pixelated;
  background: repeating-conic-gradient(var(--edge) 0 25%, transparent 0 50%) 0 0/12px 12px; }
.map .y { display: flex; flex-direction: column; justify-content: space-between; text-align: right; max-width: 5.5rem; }
.map .x { grid-column: 2; display: flex; justify-content: space-between; gap: .6rem; max-width: 640px; }
.scale { flex: 1; height: .7rem; align-self: center; border-radius: 2px;
  background: linear-gradient(90deg, #440154, #3e4989, #26828e, #35b779, #b5de2b, #fde725); }
.value { font-size: 1.05rem; }
@media (max-width: 40rem) { body { padding: .7rem; } thead { display: none; } tr { display: block; padding: .5rem 0; }
  td { display: inline; padding: 0 .5rem 0 0; border: 0 !important; } td:last-child { display: block; }
  tr + tr { border-top: 1px solid var(--edge); } }
""" + "".join(f".{name} {{ fill: var(--{name}); }} i.{name} {{ background: var(--{name}); }}\n" for name, _meaning in STATES.values())


def make_page(report: Report, portrait: Portrait) -> str:
    """The page as text of HTML."""
    head = node(
        "head",
        node("meta", charset="utf-8"),
        node("meta", name="viewport", content="width=device-width, initial-scale=1"),
        node("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        node("title", f"{report.store}: {'passed' if report.ok else 'failed'}"),
        node("style", _STYLE),
    )
    body = node("body", _header(report), node("h2", "Checks"), _table(report))
    if portrait.arrays:
        body.append(node("h2", "Arrays"))
        body.append(node("div", *(_array(array, portrait) for array in portrait.arrays), class_="cards"))
    body.append(node("h2", "Objects"))
    body.append(node("div", *_objects(portrait), class_="cards"))
    return "<!DOCTYPE html>\n" + shown_log(tostring(node("html", head, body, lang="en"), encoding="unicode", method="html")) + "\n"


def _header(report: Report) -> Element:
    counts = report.summary
    numbers = f"{counts['passed']} passed, {counts['failed']} failed, {counts['warning']} warnings, {counts['skipped']} skipped"
    verdict = node("span", "passed" if report.ok else "failed", class_=f"verdict {'passed' if report.ok else 'failed'}")
    when = node("p", f"Checked {report.checked} in {report.seconds:.1f} s by Zarrstream", class_="soft")
    return node("header", node("h1", report.store), node("p", verdict, f" {numbers}"), when, class_="card")


def _table(report: Report) -> Element:
    titles = node("thead", node("tr", *(node("th", title) for title in ("Check", "Result", "Severity", "What was found"))))
    return node("div", node("table", titles, node("tbody", *map(_row, report.checks))), class_="card")


def _row(result: CheckResult) -> Element:
    found = node("td", result.message)
    items = result.evidence.get("findings") or []
    if items:
        count = result.evidence.get("count", len(items))
        more = f"the first {ITEMS} of {many(count, 'finding')}" if count > len(items) else many(len(items), "finding")
        found.append(node("details", node("summary", more), node("ul", *(node("li", node("code", describe(item))) for item in items))))
    return node(
        "tr",
        node("td", node("code", result.id)),
        node("td", result.status, class_=f"status {result.status}"),
        node("td", result.severity if result.status in ("failed", "warning") else ""),
        found,
    )


def _array(array: ArrayPortrait, portrait: Portrait) -> Element:
    layout = array.layout
    names = _dims(array)
    kind = str(layout.document.get("dtype" if layout.zarr_format == 2 else "data_type"))
    shape = " × ".join(f"{name} {size:,}" for name, size in zip(names, layout.shape, strict=True)) or "one value"
    chunks = " × ".join(map(str, layout.inner_chunks or layout.chunks))
    shards = f", in shards of {' × '.join(map(str, layout.chunks))}" if layout.inner_chunks else ""
    card = node("section", node("h3", layout.path or "/"), class_="card")
    card.append(node("p", node("small", f"{kind}, {shape}" + (f", chunks of {chunks}{shards}" if chunks else ""))))
    if array.look is not None:
        card.append(node("h4", _look_title(array, names)))
        card.append(picture(array.look, _axes(array, names, portrait)))
    drawing = grid(array)
    if drawing is not None:
        card.append(node("h4", f"{many(layout.count, 'shard' if layout.inner_chunks else 'chunk')}"))
        card.append(drawing)
        card.append(legend(array.counts))
    elif layout.count:
        card.append(node("p", node("small", f"{layout.count:,} objects: too many for a picture")))
    return card


def _dims(array: ArrayPortrait) -> list[str]:
    given = array.layout.dimension_names or (None,) * len(array.layout.shape)
    return [name or f"dimension {number}" for number, name in enumerate(given)]


def _look_title(array: ArrayPortrait, names: list[str]) -> str:
    """What of the array is seen: the place along leading dimensions, and the part of the others where it is not all."""
    if array.look is None:
        raise AssertionError("asked for only where there is one")
    units = array.layout.attributes.get("units")
    parts = [f"in {units}"] if isinstance(units, str) and units else []
    for name, span, size in zip(names, array.look.spans, array.layout.shape, strict=True):
        if span[1] - span[0] == 1 and size > 1:
            parts.append(f"{name} {span[0]} of {size:,}")
        elif span != (0, size):
            parts.append(f"{name} {span[0]:,} to {span[1]:,} of {size:,}")
    return "; ".join(["Quick look", *parts])


def _axes(array: ArrayPortrait, names: list[str], portrait: Portrait) -> list[Axis]:
    """The dimensions that are seen: the coordinate's values where all of it is seen, else indices."""
    if array.look is None:
        raise AssertionError("asked for only where there is one")
    folder = array.layout.path.rpartition("/")[0]
    axes: list[Axis] = []
    for name, (start, stop), size in list(zip(names, array.look.spans, array.layout.shape, strict=True))[-2:]:
        edges = portrait.edges.get(f"{folder}/{name}" if folder else name)
        known = edges is not None and (start, stop) == (0, size) and name != array.layout.path.rpartition("/")[2]
        axes.append(edges if known and edges else Axis(f"{name} (index)", f"{start:,}", f"{stop - 1:,}"))
    return axes


def _objects(portrait: Portrait) -> list[Element]:
    cards = []
    sizes, pace = histogram(portrait.sizes), speed(portrait.pace)
    if sizes is not None:
        cards.append(
            node(
                "section",
                node("h3", "Sizes"),
                node("p", node("small", "objects by size as stored, from the size that is named on")),
                sizes,
                class_="card",
            )
        )
    read = sum(portrait.pace.sizes)
    words = f"{many(len(portrait.pace.sizes), 'object')}, {human_bytes(read)}"
    if portrait.pace.span > 0 and read:
        half, most = (1000 * portrait.pace.percentile(share) for share in (0.5, 0.95))
        words += f" in {portrait.pace.span:.2f} s, {human_bytes(read / portrait.pace.span)}/s"
        words += f"; half of the requests took {half:.0f} ms or less, one in twenty {most:.0f} ms or more"
    card = node("section", node("h3", "Reading"), node("p", node("small", words)), class_="card")
    if pace is not None:
        card.append(pace)
    return [*cards, card]
