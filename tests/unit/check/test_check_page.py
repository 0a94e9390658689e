"""The page of a report: what is wrong is coloured, values are seen, hostile names stay text, nothing comes from elsewhere."""

from __future__ import annotations

import base64
import json
import re
import struct
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from asking import check_request
from zarrstream.check import pace as pace_module
from zarrstream.check.pace import Pace
from zarrstream.check.pictures import draw, look, portrait
from zarrstream.check.pictures.files import page_path
from zarrstream.commands.check import Checked, check_store
from zarrstream.metadata.layout import ArrayLayout, array_layout

pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata", "ignore:.*Zarr format 3")
HOSTILE = "</title></style><script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202egnp.exe\x00"


def make_store(path: Path, zarr_format: Any, attributes: dict[str, Any] | None = None, **options: Any) -> Path:
    root = zarr.create_group(path, zarr_format=zarr_format)
    values = np.linspace(250, 310, 4 * 6 * 8, dtype="f4").reshape(4, 6, 8)
    values[2, 0, 0] = np.nan
    for name, data, chunks, dims in (
        ("temp", values, (1, 3, 4), ["time", "lat", "lon"]),
        ("time", np.arange(4, dtype="i8"), (4,), ["time"]),
        ("lat", np.linspace(-60, 60, 6), (6,), ["lat"]),
        ("flux", np.arange(4, dtype="f4"), (4,), ["time"]),
    ):
        more = {"units": "days since 2000-01-01"} if name == "time" else {"units": "K", **(attributes or {})}
        names: Any = {"dimension_names": dims} if zarr_format == 3 else {}
        array = root.create_array(name, shape=data.shape, dtype=data.dtype, chunks=chunks, **names, **(options if name == "temp" else {}))
        array[...] = data
        array.attrs.update({**more, **({} if zarr_format == 3 else {"_ARRAY_DIMENSIONS": dims})})
    zarr.consolidate_metadata(path, zarr_format=zarr_format)
    return path


def checked(path: Path, folder: Path, *, dry_run: bool = False, **options: Any) -> Checked:
    return check_store(check_request(store=str(path), sample=options.pop("sample", None), report=str(folder), **options), dry_run=dry_run)


def page_of(path: Path, **options: Any) -> str:
    return Path(str(checked(path, path.parent / "reports", **options).page)).read_text()


class Reader(HTMLParser):
    """Every element with its attributes, and all text outside of style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def cells(self) -> list[str]:
        return [str(attributes["class"]) for tag, attributes in self.elements if tag == "rect" and "class" in attributes]


@pytest.mark.parametrize(("zarr_format", "keys"), [(2, ("temp/1.0.0", "temp/2.1.1")), (3, ("temp/c/1/0/0", "temp/c/2/1/1"))])
def test_missing_and_damaged_chunks_are_coloured(tmp_path: Path, zarr_format: int, keys: tuple[str, str]) -> None:
    path = make_store(tmp_path / "a.zarr", zarr_format)
    sound = Reader(page_of(path))
    assert sound.cells() == ["read"] * 19
    (path / keys[0]).unlink()
    (path / keys[1]).write_bytes(b"nonsense that is no frame of any codec")
    page = page_of(path)
    read = Reader(page)
    assert read.cells()[:16] == ["read"] * 4 + ["missing"] + ["read"] * 6 + ["bad"] + ["read"] * 4
    assert f"<title>{keys[0]}: missing</title>" in page
    assert f"<title>{keys[1]}: damaged or other than recorded</title>" in page
    assert {"14 decoded and as expected", "1 missing", "1 damaged or other than recorded"} <= set(read.text)


def test_a_check_without_a_finding_has_no_severity(tmp_path: Path) -> None:
    path = make_store(tmp_path / "a.zarr", 3)
    sound = page_of(path)
    (path / "temp/c/1/0/0").unlink()
    damaged = page_of(path)
    severities = [
        re.findall(r'status (passed|failed|warning|skipped)">\1</td><td>(\w*)</td>', page.replace("\n", "")) for page in (sound, damaged)
    ]
    assert {severity for status, severity in severities[0] if status in ("passed", "skipped")} == {""}
    assert ("failed", "error") in severities[1]
    assert ("passed", "error") not in severities[1]


def test_a_missing_shard_is_coloured(tmp_path: Path) -> None:
    path = make_store(tmp_path / "a.zarr", 3, shards=(2, 6, 8))
    (path / "temp/c/1/0/0").unlink()
    read = Reader(page_of(path))
    assert read.cells()[:2] == ["read", "missing"]
    assert "2 shards" in read.text


def test_what_is_not_read_is_told_from_what_is(tmp_path: Path) -> None:
    path = make_store(tmp_path / "a.zarr", 3)
    assert sorted(set(Reader(page_of(path, sample=2)).cells())) == ["present", "read"]
    listing = page_of(path, sample=0)
    assert set(Reader(listing).cells()) == {"present"}
    assert "<img" not in listing, "no object is read for a picture either"
    (path / "temp/c/1/0/0").unlink()
    assert "allowed" in Reader(page_of(path, missing="fill")).cells()


def test_the_manifest_tells_of_other_objects(tmp_path: Path) -> None:
    path = make_store(tmp_path / "a.zarr", 3)
    beside = tmp_path / "a.zarr.zarrstream"
    beside.mkdir()
    stored = {"temp/c/0/0/0": {"size": 3, "md5": "0" * 32}}
    from zarrstream.sidecar.manifest import Manifest, Stored

    objects = {key: Stored(entry["size"], str(entry["md5"])) for key, entry in stored.items()}  # type: ignore[arg-type]
    (beside / "manifest.json").write_bytes(Manifest("f", 3, "2026-01-01T00:00:00Z", {}, [], objects).to_json())
    assert Reader(page_of(path, sample=0)).cells()[:2] == ["bad", "present"]


def pixels(page: str) -> np.ndarray:
    data = base64.b64decode(re.search(r'src="data:image/png;base64,([^"]+)"', page)[1])  # type: ignore[index]
    width, height = struct.unpack(">II", data[16:24])
    body = data[data.index(b"IDAT") + 4 :]
    rows = zlib.decompressobj().decompress(body)
    return np.frombuffer(rows, "u1").reshape(height, width + 1)[:, 1:]


def test_a_map_shows_the_values_with_the_north_above(tmp_path: Path) -> None:
    page = page_of(make_store(tmp_path / "a.zarr", 3))
    shown = pixels(page)
    assert shown.shape == (6, 8)
    assert shown[-1, 0] == 0, "NaN is transparent; the first row is the south"
    assert shown[0, -1] == shown.max()
    assert (np.diff(shown[0].astype(int)) >= 0).all()
    text = Reader(page).text
    assert "Quick look; in K; time 2 of 4" in text
    assert {"60", "-60", "2000-01-01", "2000-01-04"} <= set(text)


@pytest.mark.parametrize("zarr_format", [pytest.param(2, marks=pytest.mark.thorough), 3])
def test_hostile_names_and_attributes_stay_text(tmp_path: Path, zarr_format: int) -> None:
    path = make_store(tmp_path / "a.zarr", zarr_format, {"units": HOSTILE, "scale_factor": HOSTILE, "_FillValue": [HOSTILE]})
    root = zarr.open_group(path, mode="r+", use_consolidated=False)
    root.create_array("<svg onload=alert(3)>&amp;", shape=(2,), chunks=(1,), dtype="i4")[...] = 1
    (path / "<script src=evil.example>").write_text("x")
    page = page_of(path)
    read = Reader(page)
    assert {tag for tag, _attributes in read.elements} <= {
        *(
            "html",
            "head",
            "meta",
            "title",
            "style",
            "body",
            "header",
            "section",
            "div",
            "h1",
            "h2",
            "h3",
            "h4",
            "p",
            "span",
            "small",
            "i",
            "b",
        ),
        *("table", "thead", "tbody", "tr", "th", "td", "code", "details", "summary", "ul", "li", "svg", "rect", "text", "path", "img"),
    }
    assert not [name for _tag, attributes in read.elements for name in attributes if name.startswith("on")]
    text = "".join(read.text)
    assert "<script>alert(1)</script>" in text, "it is shown as it is"
    assert "<svg onload=alert(3)>&amp;" in text
    assert not set("\u202e\x00") & set(page)
    assert "not comparable" not in text


def test_nothing_comes_from_elsewhere(tmp_path: Path) -> None:
    page = page_of(make_store(tmp_path / "a.zarr", 3))
    links = [value for _tag, attributes in Reader(page).elements for name, value in attributes.items() if name in ("src", "href", "data")]
    assert links
    assert all(str(link).startswith("data:image/png;base64,") for link in links)
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page
    assert "width=device-width" in page


def test_a_store_that_does_not_open_has_a_page_too(tmp_path: Path) -> None:
    text = Reader(page_of(tmp_path / "none.zarr")).text
    assert "failed" in text
    assert "Arrays" not in text


def test_files_are_left_alone_while_the_store_stays_as_it_is(tmp_path: Path) -> None:
    path, folder = make_store(tmp_path / "a.zarr", 3), tmp_path / "reports"
    written = folder / "a.zarr.json"

    def found(*, dry_run: bool = False) -> tuple[str | None, bool]:
        done = checked(path, folder, dry_run=dry_run, checks=("open",), sample=0)
        return done.path, done.changed

    assert found(dry_run=True) == (str(written), True)
    assert not folder.exists()
    assert found() == (str(written), True)
    page = Path(page_path(str(written)))
    times = [name.stat().st_mtime_ns for name in (written, page)]
    assert found() == (str(written), False)
    assert [name.stat().st_mtime_ns for name in (written, page)] == times
    page.unlink()
    assert found() == (str(written), True)
    (path / "temp/c/0/0/0").write_bytes(b"longer than it was before, which no check of these would tell" * 9)
    assert found() == (str(written), True), "the listing differs"
    assert json.loads(written.read_text())["listing"]


def layout(shape: list[int], chunks: list[int]) -> ArrayLayout:
    document = {"zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": "<f4", "compressor": None, "filters": None}
    return array_layout("a", document, {})


@pytest.mark.parametrize(
    ("shape", "chunks", "expected"),
    [
        ([10, 6, 8], [2, 3, 4], (range(2, 3), range(2), range(2))),
        ([10], [2], (range(5),)),
        ([], [], ()),
        ([1000, 1000], [10, 10], (range(46, 54), range(46, 54))),
        ([1, 10**9], [1, 10], (range(1), range(49_999_968, 50_000_032))),
        ([10**6], [10], (range(49_968, 50_032),)),
    ],
)
def test_a_look_reads_few_objects(shape: list[int], chunks: list[int], expected: tuple[range, ...]) -> None:
    window = look.choose_window(layout(shape, chunks))
    assert window == expected
    assert np.prod([len(part) for part in window]) <= look.OBJECTS


def rectangles(cells: bytearray, shape: list[int], chunks: list[int]) -> list[Any]:
    drawing = draw.grid(portrait.ArrayPortrait(layout(shape, chunks), cells, None))
    assert drawing is not None
    return list(drawing)


def test_a_grid_of_very_many_objects_is_small_and_hides_nothing() -> None:
    cells = bytearray([portrait.PRESENT]) * 100_000
    cells[54_321] = portrait.MISSING
    drawn = rectangles(cells, [1_000_000], [10])
    assert len(drawn) < 100
    wrong = [cell for cell in drawn if cell.get("class") == "missing"]
    assert len(wrong) == 1
    first, last = re.findall(r"a/(\d+)", str(wrong[0].find("title").text))
    assert int(first) <= 54_321 <= int(last)


@pytest.mark.parametrize(
    ("shape", "columns", "rows"),
    [([10, 1, 1], 10, 1), ([400, 1, 1], 120, 4), ([4, 6, 8], 48, 4), ([40, 6, 8], 96, 20), ([7, 300], 120, 18)],
)
def test_a_grid_is_neither_too_wide_nor_too_high(shape: list[int], columns: int, rows: int) -> None:
    drawn = rectangles(bytearray([portrait.BAD]) * int(np.prod(shape)), shape, [1] * len(shape))
    assert len({cell.get("x") for cell in drawn}) == columns
    assert len({cell.get("y") for cell in drawn}) == rows


def test_cells_of_a_small_grid_can_be_counted() -> None:
    drawn = rectangles(bytearray([portrait.READ]) * 24, [40, 60], [10, 10])
    assert len(drawn) == 24


@pytest.fixture
def pace(monkeypatch: pytest.MonkeyPatch) -> Pace:
    now = [0.0]
    monkeypatch.setattr(pace_module.time, "monotonic", lambda: now[0])
    pace = Pace()
    for second in range(10):
        now[0] = second + 1.0
        pace.note(float(second), 2**20 * (second + 1))
    return pace


def test_the_pace_is_measured(pace: Pace) -> None:
    assert pace.span == 10
    assert pace.percentile(0.5) == 1
    rates = pace.buckets(5)
    assert sum(rates) * 2 == sum(pace.sizes)
    assert rates == sorted(rates)
    assert draw.speed(pace) is not None
    assert draw.speed(Pace()) is None
