"""Stores as earlier versions of the kit have left them, whole and interrupted: today's code reads, grows, replaces and removes each.

docs/format.md promises it. The archives in ``formats/`` never change; a version that leaves anything new adds one.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
import xarray as xr
from _pytest.mark.structures import ParameterSet
from asking import remove_request
from kept import ARCHIVES, FIRST, FORMATS, asked_for, unpack
from writing import files, passed, request, sidecar
from zarrstream.commands.write import write_dataset
from zarrstream.errors import Conflict
from zarrstream.sidecar.manifest import MANIFEST, parse_manifest
from zarrstream.write.remove import remove_store


def test_every_archive_is_read() -> None:
    assert set(ARCHIVES) == set(FORMATS.glob("*.tar.xz"))


def stores(*names: str) -> list[ParameterSet]:
    """Those of these stores that an archive has, by archive and name."""
    found = []
    for archive in ARCHIVES:
        with tarfile.open(archive) as packed:
            there = {Path(name).parts[0] for name in packed.getnames()}
        version = archive.name.partition(".")[0]
        found += [pytest.param(archive, f"{name}.zarr", id=f"{version}-{name}") for name in names if f"{name}.zarr" in there]
    return found


def in_turn(cases: list[ParameterSet]) -> list[ParameterSet]:
    """All of these; in `make test` each kind once, of the first version that has it and of the last one in turn."""
    kinds = list(dict.fromkeys(case.values[1] for case in cases))
    its = [[case for case in cases if case.values[1] == kind] for kind in kinds]
    usual = [each[-(number % 2)] for number, each in enumerate(its)]
    return [each if each in usual else pytest.param(*each.values, id=each.id, marks=pytest.mark.thorough) for each in cases]


def each_version_once(cases: list[ParameterSet]) -> list[ParameterSet]:
    """All of these; in `make test` all of the first and the last version, and one of each in between, another kind for each."""
    between = [archive for archive in ARCHIVES if archive not in (FIRST, ARCHIVES[-1])]
    usual = [case for case in cases if case.values[0] in (FIRST, ARCHIVES[-1])]
    for number, archive in enumerate(between):
        its = [case for case in cases if case.values[0] == archive]
        usual += [its[number % len(its)]] if its else []
    return [each if each in usual else pytest.param(*each.values, id=each.id, marks=pytest.mark.thorough) for each in cases]


@pytest.fixture
def store(archive: Path, name: str, tmp_path: Path) -> Path:
    return unpack(archive, name, tmp_path)


def same(store: Path, *sources: str) -> None:
    """The store has what the sources have, for plain xarray, and passes all checks."""
    wanted = xr.concat(
        [xr.load_dataset(store.parent / name) for name in sources], "time", data_vars="minimal", coords="minimal", compat="equals"
    )
    with xr.open_zarr(store, chunks=None) as found:
        xr.testing.assert_equal(found.load(), wanted)
    passed(store, *(store.parent / name for name in sources))
    assert files(sidecar(store)).keys() == {MANIFEST}
    manifest = parse_manifest(files(sidecar(store))[MANIFEST], "here")
    assert manifest.objects.keys() == files(store).keys()


WHOLE = stores("three", "two", "encoded", "shards")
COPIED = stores("copied")


@pytest.mark.parametrize(("archive", "name"), each_version_once(WHOLE))
def test_a_kept_store_is_read_and_checked(store: Path) -> None:
    same(store, "1.nc")


@pytest.mark.parametrize(("archive", "name"), WHOLE)
def test_the_same_request_finds_that_nothing_is_to_do(store: Path) -> None:
    before = files(store.parent)
    result = write_dataset(request(store.parent / "1.nc", store, **asked_for(store.name)))
    assert (result.changed, result.action) == (False, "nothing")
    assert files(store.parent) == before


@pytest.mark.parametrize(("archive", "name"), COPIED)
def test_a_kept_store_that_was_made_of_another_is_as_it_was_asked_for(store: Path, archive: Path) -> None:
    with tarfile.open(archive) as packed:
        packed.extractall(store.parent, [member for member in packed if member.name.startswith("shards.zarr")], filter="data")
    passed(store, store.parent / "shards.zarr")
    assert write_dataset(request(store.parent / "shards.zarr", store)).action == "nothing"


@pytest.mark.parametrize(("archive", "name"), in_turn(stores("three", "two", "encoded")))
def test_a_kept_store_grows(store: Path) -> None:
    both = (store.parent / "1.nc", store.parent / "2.nc")
    more = request(both, store, mode="append", append_dim="time", **asked_for(store.name))
    result = write_dataset(more)
    assert (result.changed, result.action) == (True, "append")
    same(store, "1.nc", "2.nc")


@pytest.mark.parametrize(("archive", "name"), in_turn(WHOLE))
def test_a_kept_store_is_replaced_and_removed(store: Path) -> None:
    assert write_dataset(request(store.parent / "2.nc", store, mode="replace", **asked_for(store.name))).action == "replace"
    same(store, "2.nc")
    removed(store)


INTERRUPTED = {"copying": "create", "publishing": "create", "replacing": "replace", "growing": "append", "updating": "update"}
LEFT = stores(*INTERRUPTED)
# A lock of the first two days names no objects, and there was no journal.
UNRECORDED = [each for each in LEFT if each.id in ("08522d7-copying", "b2739ae-copying")]
RECORDED = [each for each in LEFT if each not in UNRECORDED]


@pytest.mark.parametrize(("archive", "name"), each_version_once(RECORDED))
def test_what_was_interrupted_is_finished(store: Path) -> None:
    mode = INTERRUPTED[store.stem]
    names = {"create": ("1.nc",), "replace": ("2.nc",), "append": ("1.nc", "2.nc"), "update": ("1.nc", "2.nc")}[mode]
    more = {"append_dim": "time"} if mode in ("append", "update") else {}
    result = write_dataset(request(tuple(store.parent / name for name in names), store, mode=mode, **asked_for(store.name), **more))
    assert (result.changed, result.resumed) == (True, True)
    same(store, *names)


@pytest.mark.parametrize(("archive", "name"), [*WHOLE, *RECORDED])
def test_a_kept_store_is_removed(store: Path) -> None:
    removed(store)


@pytest.mark.parametrize(("archive", "name"), UNRECORDED)
def test_what_no_record_names_stays(store: Path) -> None:
    before = files(store)
    with pytest.raises(Conflict, match="holds 4 objects that Zarrstream did not write"):
        write_dataset(request(store.parent / "1.nc", store, **asked_for(store.name)))
    assert remove_store(remove_request(str(store))).foreign_count == len(before) == 4
    assert files(store) == before


def removed(store: Path) -> None:
    assert remove_store(remove_request(str(store))).changed
    assert not store.exists()
    assert not sidecar(store).exists()
