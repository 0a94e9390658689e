"""docs/format.md against what a write really leaves beside a store, and against the other records that it lists."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from writing import request
from zarrstream.commands.write import write_dataset
from zarrstream.machines.marks import Mark
from zarrstream.openstack.ec2_note import Note, Owner, Stage, dump, new_pair
from zarrstream.sidecar import journal
from zarrstream.storage.folder import FolderObjects

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "format.md").read_text()
MANIFEST, JOURNAL = "## `manifest.json` and `previous.json`", "## `journal/…`"
TYPES = {"string": str, "integer": int, "boolean": bool, "null": type(None), "object": dict, "array": list}


# The commits of the column "since", oldest first.
STEPS = ["08522d7", "3bc5fa7", "b2739ae", "ab064bf", "e94b9c3", "32a46d4", "05526a5", "3d4aebb", "aff975c"]
ARCHIVES = sorted((Path(__file__).parents[1] / "formats").glob("*.tar.xz"))


def fields(heading: str, step: str | None = None) -> dict[str, str]:
    """The fields of the table below a heading, with their types; those alone that there were at a ``step``."""
    section = re.split(r"^#+ ", PAGE.partition(f"\n{heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| `([\w]+)` \| ([^|]+) \| ?(?:`(\w+)` )?\|", section, re.MULTILINE)
    assert rows, heading
    return {name: kinds for name, kinds, since in rows if step is None or STEPS.index(since or STEPS[0]) <= STEPS.index(step)}


def agree(heading: str, documents: list[dict[str, Any]]) -> None:
    """Every field of these documents is in the table, with its type, and every field of the table in some document."""
    table = fields(heading)
    assert documents, heading
    assert {name for document in documents for name in document} == table.keys(), heading
    for document in documents:
        for name, value in document.items():
            kinds = [TYPES[word.split()[0]] for word in table[name].split(", ") if not word.startswith("`")]
            assert type(value) in kinds or f'`"{value}"`' in table[name], f"{heading}: {name} is {value!r}"


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[bytes]]:
    """All that a new store, one that grows and a replacement put into the sidecar, by path there."""
    folder = tmp_path_factory.mktemp("left")
    seen: dict[str, list[bytes]] = {}
    put = FolderObjects.put

    def noting(self: FolderObjects, key: str, data: bytes, **options: Any) -> None:
        _store, _sidecar, rest = key.partition(".zarrstream/")
        if rest:
            seen.setdefault(rest, []).append(bytes(data))
        put(self, key, data, **options)

    for name, start, stop in (("1.nc", 0, 3), ("2.nc", 3, 5)):
        values = [float(step) for step in range(start, stop)]
        xr.Dataset({"a": ("t", values)}, {"t": ("t", list(range(start, stop)))}).to_netcdf(folder / name, engine="netcdf4")
    files, store = (folder / "1.nc", folder / "2.nc"), folder / "x.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FolderObjects, "put", noting)
        patch.setattr(journal, "FLUSH_INTERVAL", 0.0)
        write_dataset(request(files[0], store, chunks={"t": 2}, encoding={"a": {"compressor": "gzip"}}))
        write_dataset(request(files, store, chunks={"t": 2}, mode="append", append_dim="t"))
        write_dataset(request(files[1], store, chunks={"t": 1}, shards={"t": 2}, mode="replace"))
        write_dataset(request(store, folder / "y.zarr"))  # a Zarr source
    return seen


def documents(left: dict[str, list[bytes]], name: str) -> list[dict[str, Any]]:
    return [json.loads(data) for path, versions in left.items() if path.startswith(name) for data in versions]


def test_every_field_that_a_write_leaves_is_on_the_page(left: dict[str, list[bytes]]) -> None:
    manifests, locks = documents(left, "manifest.json"), documents(left, "writing.json")
    agree(MANIFEST, manifests)
    agree(MANIFEST, documents(left, "previous.json"))
    agree("### `request`", [manifest["request"] for manifest in manifests])
    agree("### `source[]`", [item for manifest in manifests for item in manifest["source"]])
    agree("### `plan`", [manifest["plan"] for manifest in manifests])
    agree("### `plan.arrays[]`", [array for manifest in manifests for array in manifest["plan"]["arrays"]])
    agree("## `writing.json`", locks)
    agree("### `source[]`", [item for lock in locks for item in lock["source"]])
    agree("### `plans[]`", [plan for lock in locks for plan in lock["plans"]])
    agree(JOURNAL, documents(left, "journal/"))
    assert any(lock["rewritten"] for lock in locks)
    assert all(options.keys() == {"codecs", "packing"} for manifest in manifests for options in manifest["request"]["encoding"].values())


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda archive: archive.name[:7])
def test_every_field_is_there_since_the_commit_that_the_page_names(archive: Path) -> None:
    seen: dict[str, set[str]] = {}
    with tarfile.open(archive) as packed:
        for member in packed:
            _store, _sidecar, rest = member.name.partition(".zarrstream/")
            if rest.endswith(".json") and not rest.startswith("staged/"):
                file = packed.extractfile(member)
                assert file
                document = json.load(file)
                heading = {"writing.json": "## `writing.json`", "manifest.json": MANIFEST, "previous.json": MANIFEST}.get(rest, JOURNAL)
                seen.setdefault(heading, set()).update(document)
                if heading == MANIFEST:
                    seen.setdefault("### `request`", set()).update(document["request"])
                    seen.setdefault("### `source[]`", set()).update(*document["source"])
                    seen.setdefault("### `plan`", set()).update(document["plan"])
                    seen.setdefault("### `plan.arrays[]`", set()).update(*document["plan"]["arrays"])
    step = archive.name[:7]
    assert seen == {heading: fields(heading, step).keys() for heading in seen}
    assert (JOURNAL in seen) == bool(fields(JOURNAL, step))


def test_every_object_beside_a_store_is_on_the_page(left: dict[str, list[bytes]]) -> None:
    tree = re.findall(r"^  (\S+(?: \S+)*)  ", PAGE.partition("```text\n")[2].partition("```")[0], re.MULTILINE)
    tree = [re.sub("<.*?>", ".+", re.escape(line).replace(r"\ ", " ")) for line in tree]
    assert len(tree) == 8
    for path in left:
        assert any(re.fullmatch(line, path) for line in tree), path


def test_the_example_looks_at_a_store(tmp_path: Path) -> None:
    xr.Dataset({"a": ("x", [1, 2])}).to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    write_dataset(request(tmp_path / "a.nc", tmp_path / "air.zarr"))
    code = re.sub("^  ", "", PAGE.partition("```python\n")[2].partition("  ```")[0], flags=re.MULTILINE)

    def looked() -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert looked().returncode == 0
    os.truncate(tmp_path / "air.zarr" / "a" / "c" / "0", 1)
    assert looked().stderr.endswith("AssertionError: a/c/0\n")


def test_the_other_records_are_on_the_page() -> None:
    pair = new_pair(Owner("p", "c", "https://keystone.example.org", "u", "i"), None, Stage.CREATING)
    note = json.loads(dump(Note((pair,))))
    assert note.keys() == {"about", "format", "pairs"}
    agree("### The note of credentials", note["pairs"])
    agree("### Marks on machines", [{"cluster": "c", "owner": "o", "expires": "e", "group": "g"}])
    assert Mark("c", "o", "e", "g").metadata().keys() == {f"zarrstream_{name}" for name in fields("### Marks on machines")}
