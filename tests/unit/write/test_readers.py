"""Stores of every kind are read by readers that share no code with zarr-python; docs/readers.md has the table that is held here."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore
import xarray as xr
from asking import write_request
from writing import passed, request
from zarrstream.commands.write import preview, write_dataset
from zarrstream.encoding.codecs import CODECS
from zarrstream.encoding.portable import CODECS_OF, TYPES
from zarrstream.errors import BadRequest, SourceError

ROOT = Path(__file__).resolve().parents[3]
ZARRITA = "0.7.5"
NUMBERS = (
    "bool",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
)
TEXTS = {
    "bytes": np.array([b"ab", b"c", b"abc", b""]),
    "fixed": np.array(["ab", "c", "日本", ""]),
    "string": np.array(["ab", "c", "日本", ""], object),
}
VALUES: dict[str, np.ndarray] = {
    **{name: np.arange(12).astype(name) for name in NUMBERS},
    **{name: np.tile(text, 3) for name, text in TEXTS.items()},
}
PARAMETERS = {
    "bitround": {"keepbits": 12},
    "quantize": {"digits": 2},
    "fixedscaleoffset": {"scale": 1, "offset": 0, "astype": "i2"},
    "astype": {"encode_dtype": "f4"},
}
KINDS = {"v2": {"zarr_format": 2}, "v3": {}, "sharded": {"shards": {"x": 8}}}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A variable for each type, and one for each codec."""
    path = tmp_path_factory.mktemp("readers") / "source.zarr"
    codecs = {f"codec_{name}": VALUES["bool" if name == "packbits" else "float64"] for name in CODECS}
    xr.Dataset({name: ("x", values) for name, values in {**VALUES, **codecs}.items()}).to_zarr(path, zarr_format=2)
    return path


@pytest.fixture(scope="module", params=["v2", "v3", pytest.param("sharded", marks=pytest.mark.thorough)])
def store(request: pytest.FixtureRequest, source: Path) -> Path:
    """Written once for all readers."""
    path = source.parent / f"{request.param}.zarr"
    encoding: dict[str, Any] = {name: {"compressor": "gzip"} for name in VALUES}
    encoding |= {f"codec_{name}": _encoding(name) for name in CODECS}
    options = {**KINDS[request.param], "chunks": {"x": 4}}
    write_dataset(write_request(source=(str(source),), store=str(path), encoding=encoding, **options))
    return path


def _encoding(name: str) -> dict[str, Any]:
    """The filters are beside a compressor that all readers take in both formats."""
    if CODECS[name].role == "compressor":
        return {"compressor": name}
    return {"compressor": "gzip", "filters": [{"name": name, **PARAMETERS.get(name, {})}]}


def expected(name: str) -> list[Any]:
    codec = name.removeprefix("codec_")
    return (VALUES["bool" if codec == "packbits" else "float64"] if codec != name else VALUES[name]).tolist()


def table(reader: str, zarr_format: int) -> set[str]:
    """What the page says that a reader takes: names of types and of codecs."""
    page = (ROOT / "docs/readers.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]
    head = next(row for row in rows if row[0] == "encoding")
    column = head.index(f"{reader}, format {zarr_format}")
    return {word for row in rows if len(row) == len(head) and row[column] == "yes" for word in re.findall(r"`([\w]+)`", row[0])}


def takes(reader: str, store: Path) -> set[str]:
    """Names of the variables that a reader reads, by the page."""
    words = table(reader, 2 if store.name == "v2.zarr" else 3)
    return {name for name in VALUES if name in words} | {f"codec_{name}" for name in CODECS if name in words}


def by_tensorstore(store: Path, name: str) -> list[Any] | None:
    driver = "zarr" if store.name == "v2.zarr" else "zarr3"
    try:
        found = tensorstore.open({"driver": driver, "kvstore": {"driver": "file", "path": f"{store}/{name}/"}}).result()
        return np.asarray(found.read().result()).tolist()
    except (ValueError, NotImplementedError):
        return None


def test_tensorstore_reads_what_the_page_says(store: Path) -> None:
    found = {name: by_tensorstore(store, name) for name in (*VALUES, *(f"codec_{name}" for name in CODECS))}
    assert {name for name, values in found.items() if values == expected(name)} == takes("tensorstore", store)


@pytest.mark.thorough
def test_zarrita_reads_what_the_page_says(store: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip("zarrita is a package for Node.js, and node or npm is not on this machine")
    folder = tmp_path_factory.getbasetemp() / "zarrita"
    if not (folder / "node_modules").exists():
        folder.mkdir(exist_ok=True)
        (folder / "package.json").write_text('{"private": true, "type": "module"}')
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", f"zarrita@{ZARRITA}"], cwd=folder, check=True)
        (folder / "read.mjs").write_text(ZARRITA_READS)
    names = [*VALUES, *(f"codec_{name}" for name in CODECS)]
    done = subprocess.run(["node", "read.mjs", str(store), *names], cwd=folder, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    wanted = {name: [value.decode() if isinstance(value, bytes) else value for value in expected(name)] for name in names}
    assert {name for name in names if found[name] == wanted[name]} == takes("zarrita", store), done.stdout


ZARRITA_READS = """
import * as zarr from "zarrita";
import { readFile } from "node:fs/promises";

class Folder {
  constructor(path) { this.path = path; }
  async get(key) {
    try { return new Uint8Array(await readFile(this.path + key)); }
    catch (error) { if (error.code === "ENOENT" || error.code === "EISDIR") return undefined; throw error; }
  }
  async getRange(key, range) {
    const data = await this.get(key);
    if (data === undefined) return undefined;
    return "suffixLength" in range ? data.slice(-range.suffixLength) : data.slice(range.offset, range.offset + range.length);
  }
}

const [path, ...names] = process.argv.slice(2);
const root = zarr.root(new Folder(path)), found = {};
for (const name of names) {
  try {
    const chunk = await zarr.get(await zarr.open(root.resolve(name), { kind: "array" }));
    found[name] = Array.from(chunk.data, (value) => (typeof value === "bigint" ? Number(value) : value));
  } catch (error) { found[name] = String(error.message); }
}
console.log(JSON.stringify(found));
"""


@pytest.mark.parametrize("kind", [*(pytest.param(kind, marks=pytest.mark.thorough) for kind in ("v2", "v3")), "sharded"])
def test_a_portable_store_is_read_by_all(source: Path, tmp_path: Path, kind: str) -> None:
    names = sorted(TYPES)
    zstd = {name: {"compressor": "zstd"} for name in names}  # the default, but for a Zarr source, whose codecs are kept
    options = {"variables": names, "encoding": zstd, "chunks": {"x": 4}, **KINDS[kind]}
    wanted = request(source, tmp_path / f"{kind}.zarr", portable=True, **options)
    result = write_dataset(wanted)
    assert write_dataset(wanted).action == "nothing"
    assert {name: by_tensorstore(Path(wanted.store), name) for name in names} == {name: expected(name) for name in names}
    assert bool(result.notes) == (kind == "v2"), "zstd of format 2 goes without its checksum, of which the other reader has not heard"
    passed(Path(wanted.store), source)


@pytest.mark.parametrize("zarr_format", [2, pytest.param(3, marks=pytest.mark.thorough)])
def test_portable_refuses_what_a_reader_does_not_take(tmp_path: Path, zarr_format: int) -> None:
    # Of its own, since each request opens all that a source has.
    source, names = tmp_path / "few.zarr", (VALUES.keys() - TYPES) | {"bool", "float64"}
    xr.Dataset({name: ("x", VALUES[name]) for name in names}).to_zarr(source, zarr_format=2)
    wanted = request(source, tmp_path / "a.zarr", portable=True, zarr_format=zarr_format)
    for name in VALUES.keys() - TYPES:
        with pytest.raises(SourceError, match=f"portable.*'{name}'.*(variables|dtype)"):
            preview(dataclasses.replace(wanted, variables=(name,)))
    for name in CODECS.keys() - CODECS_OF[zarr_format]:
        variable = "bool" if name == "packbits" else "float64"
        encoded = request(
            source, tmp_path / "a.zarr", portable=True, zarr_format=zarr_format, variables=[variable], encoding={variable: _encoding(name)}
        )
        with pytest.raises(BadRequest, match=rf"portable.*encoding.{variable}.*{name}.*(zstd|gzip)"):
            preview(encoded)


def test_a_portable_store_of_format_2_grows(tmp_path: Path) -> None:
    for number in (0, 1):
        steps = ("time", np.arange(2 * number, 2 * number + 2))
        xr.Dataset({"a": ("time", np.arange(2.0) + number)}, {"time": steps}).to_netcdf(tmp_path / f"{number}.nc")
    store = tmp_path / "v2.zarr"
    options: dict[str, Any] = {"zarr_format": 2, "mode": "append", "append_dim": "time"}
    write_dataset(request(tmp_path / "0.nc", store, portable=True, **options))
    assert write_dataset(request(tmp_path / "*.nc", store, **options)).action == "append"
    assert by_tensorstore(store, "a") == [0, 1, 1, 2]
