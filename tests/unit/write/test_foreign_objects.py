"""What no record of ours names is never deleted or overwritten: foreign files, links and stores, around ours and in them."""

from __future__ import annotations

import json
import os
import random
import shutil
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
import zarr
from asking import remove_request
from hypothesis import given, settings
from hypothesis import strategies as st
from running import THOROUGH
from writing import around_requests, assert_same, fail_at, files, made_once, opens, refuse, request, sidecar
from zarrstream.commands.cli import main
from zarrstream.commands.write import preview, write_dataset
from zarrstream.errors import BadRequest, Conflict, ZarrstreamError
from zarrstream.sidecar.manifest import MANIFEST, WRITING
from zarrstream.storage.folder import FolderObjects
from zarrstream.write.remove import preview_removal, remove_store

pytestmark = pytest.mark.filterwarnings("ignore:The data type")


def victim(tmp_path: Path) -> Path:
    """Somebody's home."""
    home = tmp_path / "home"
    (home / "thesis").mkdir(parents=True)
    for name in ("key", "thesis/ch1.tex", "zarr.json", "0#1"):
        (home / name).write_text(f"the {name} of somebody")
    return home


def interrupted(store: Path, source: Path, monkeypatch: pytest.MonkeyPatch, at: int = 5, **options: Any) -> None:
    """Leave a write there that did not come to its end."""
    with monkeypatch.context() as patch:
        fail_at(patch, at, refuse)
        with pytest.raises(ZarrstreamError, match="refused"):
            write_dataset(request(source, store, **options))
    assert (sidecar(store) / WRITING).exists()


@pytest.mark.parametrize("linked", ["sidecar", "store", "array", "chunk", "root", "manifest", "lock", "parts", "journal", "alive"])
@pytest.mark.parametrize("mode", ["create", "replace", "absent"])
def test_no_link_is_followed(little: Path, tmp_path: Path, linked: str, mode: str) -> None:
    """O1: a link in place of the sidecar let a write delete everything below its target."""
    home, store = victim(tmp_path), tmp_path / "x.zarr"
    places = {
        "sidecar": sidecar(store),
        "store": store,
        "array": store / "x",
        "chunk": store / "x" / "c" / "0",
        "root": store / "zarr.json",
        "manifest": sidecar(store) / MANIFEST,
        "lock": sidecar(store) / WRITING,
        "parts": sidecar(store) / "parts",
        "journal": sidecar(store) / "journal",
        "alive": sidecar(store) / "alive",
    }
    place = places[linked]
    if linked not in ("sidecar", "store"):
        write_dataset(request(little, store, chunks={"x": 1}))
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    target = home if linked in ("sidecar", "store", "array", "parts", "journal", "alive") else home / "key"
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(target)
    before = files(home)

    def run() -> None:
        if mode == "absent":
            remove_store(remove_request(str(store)))
        else:
            write_dataset(request(little, store, mode=mode))

    untouched = {
        "create": ("array", "chunk", "parts", "journal", "alive"),
        "replace": ("journal", "alive"),
        "absent": ("array", "chunk", "journal", "alive"),
    }
    if linked in untouched[mode]:  # nothing to do, or only beside it
        with suppress(Conflict):
            run()
    else:
        with pytest.raises(Conflict, match="symbolic link"):
            run()
    assert files(home) == before
    assert place.is_symlink()


@pytest.mark.parametrize("made", ["fifo", "socket folder", "device"])
def test_special_files_are_refused_and_not_waited_for(little: Path, tmp_path: Path, made: str) -> None:
    store = tmp_path / "x.zarr"
    write_dataset(request(little, store, chunks={"x": 1}))
    place = store / "x" / "c" / "0"
    place.unlink()
    if made == "device" and os.geteuid() != 0:
        pytest.skip("only root makes devices")
    os.mknod(place, stat.S_IFIFO | 0o600) if made == "fifo" else None
    os.mknod(place, stat.S_IFCHR | 0o666, os.makedev(1, 5)) if made == "device" else None
    if made == "socket folder":
        os.mknod(place, stat.S_IFSOCK | 0o600)
    with pytest.raises(Conflict, match=r"x/c/0.*(FIFO|socket|device)"):
        write_dataset(request(little, store, chunks={"x": 2}, mode="replace"))
    assert not stat.S_ISREG(place.lstat().st_mode)


def test_a_hard_link_keeps_its_bytes(little: Path, few_source: Path, tmp_path: Path) -> None:
    store, theirs = tmp_path / "x.zarr", tmp_path / "theirs"
    write_dataset(request(little, store, chunks={"x": 1}))
    root = (store / "zarr.json").read_bytes()
    os.link(store / "zarr.json", theirs)
    write_dataset(request(few_source, store, mode="replace"))
    assert theirs.read_bytes() == root != (store / "zarr.json").read_bytes()


@pytest.mark.parametrize("name", ["x.zarrstream", "x.zarrstream/y.zarr", "a/x.zarrstream"])
def test_names_of_sidecars_are_no_stores(little: Path, tmp_path: Path, name: str) -> None:
    """O2: a store x.zarrstream was emptied by writing a store x."""
    with pytest.raises(BadRequest, match=r"does not end in \.zarrstream"):
        write_dataset(request(little, tmp_path / name))
    with pytest.raises(BadRequest, match=r"does not end in \.zarrstream"):
        remove_store(remove_request(str(tmp_path / name)))
    assert files(tmp_path) == {"little.nc": little.read_bytes()}


@pytest.mark.parametrize("kept", ["README.md", "manifest.json", "writing.json", "zarr.json", "staged/x", "journal/notes", "alive/me"])
def test_a_sidecar_without_our_record_is_refused(little: Path, tmp_path: Path, kept: str) -> None:
    store = tmp_path / "x.zarr"
    theirs = sidecar(store) / kept
    theirs.parent.mkdir(parents=True)
    theirs.write_text('{"mine": true}')
    for run in (preview, write_dataset):
        with pytest.raises(ZarrstreamError, match=r"x\.zarr\.zarrstream"):
            run(request(little, store))
    assert theirs.read_text() == '{"mine": true}'
    assert not store.exists()


def test_a_file_beside_our_record_stays(little: Path, few_source: Path, tmp_path: Path) -> None:
    store = tmp_path / "x.zarr"
    write_dataset(request(little, store))
    (sidecar(store) / "README.md").write_text("mine")
    write_dataset(request(few_source, store, mode="replace"))
    assert files(sidecar(store)).keys() == {MANIFEST, "README.md"}
    assert remove_store(remove_request(str(store))).changed
    assert files(sidecar(store)) == {"README.md": b"mine"}


@pytest.mark.parametrize("mode", ["create", "replace", "append"])
def test_what_others_put_into_an_interrupted_write_stays(little: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    """O3: the next run deleted a whole store of others that had been published below it meanwhile."""
    store, part, source = tmp_path / "air.zarr", tmp_path / "part.nc", tmp_path / "whole.nc"
    _steps(part, 8)
    _steps(source, 24)
    options: dict[str, Any] = {"mode": mode, "chunks": {"x": 3 if mode == "replace" else 2}}
    if mode != "create":
        write_dataset(request(part, store, chunks={"x": 2}))
    if mode == "append":
        options["append_dim"] = "x"
    interrupted(store, source, monkeypatch, **options)
    xr.open_dataset(little).to_zarr(store / "b", consolidated=False)
    (store / "notes.txt").write_text("mine")
    before = files(tmp_path)
    for run in (preview, write_dataset):
        with pytest.raises(Conflict, match=r"holds [2-9] objects that Zarrstream did not write, such as air\.zarr/"):
            run(request(source, store, **options))
    assert files(tmp_path) == before
    shutil.rmtree(store / "b")
    (store / "notes.txt").unlink()
    assert write_dataset(request(source, store, **options)).changed
    assert_same(store, source)
    assert files(sidecar(store)).keys() == {MANIFEST}


@pytest.mark.parametrize("key", ["zarr.json", "v/zarr.json", "v/c/1"])
def test_an_empty_folder_where_a_file_belongs_stays_and_is_named(tmp_path: Path, key: str) -> None:
    """A listing shows none: it is met when the file is to be put there."""
    source, store = tmp_path / "x.nc", tmp_path / "x.zarr"
    _steps(source, 4)
    (store / key).mkdir(parents=True)
    with pytest.raises(Conflict, match=rf"{key} is a folder, where a file of the store belongs. Move it elsewhere"):
        write_dataset(request(source, store, chunks={"x": 2}))
    assert (store / key).is_dir()
    (store / key).rmdir()
    assert write_dataset(request(source, store, chunks={"x": 2})).changed
    assert_same(store, source)


@pytest.mark.parametrize("around", ["a group", "an array", "format 2", "interrupted", "ours"])
def test_a_store_in_a_store_is_refused(little: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, around: str) -> None:
    outer = tmp_path / "outer.zarr"
    if around == "a group":
        zarr.create_group(outer)
    elif around == "an array":
        zarr.create_array(outer, shape=(1,), dtype="i4")
    elif around == "format 2":
        zarr.create_group(outer, zarr_format=2)
    elif around == "interrupted":
        interrupted(outer, little, monkeypatch)
    else:
        write_dataset(request(little, outer))
    before = files(tmp_path)
    for inner in (outer / "inner.zarr", outer / "deep" / "inner.zarr"):
        for run in (preview, write_dataset):
            with pytest.raises(Conflict, match=r"would lie in '.*outer\.zarr', which (holds a Zarr|is being written)"):
                run(request(little, inner))
    assert files(tmp_path) == before


def test_a_store_around_a_store_is_refused(little: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, leave in (
        ("done", lambda store: write_dataset(request(little, store))),
        ("half", lambda store: interrupted(store, little, monkeypatch)),
    ):
        leave(tmp_path / name / "inner.zarr")
        before = files(tmp_path)
        for mode in ("create", "replace"):
            with pytest.raises(Conflict, match="not of a Zarr store"):
                write_dataset(request(little, tmp_path / name, mode=mode))
        assert files(tmp_path) == before


@pytest.mark.parametrize("key", ["../victim/zarr.json", "/etc/passwd", "x/../../victim/data", "x//c", "./x", ""])
def test_a_manifest_with_keys_outside_of_its_store_is_refused(little: Path, few_source: Path, tmp_path: Path, key: str) -> None:
    store = tmp_path / "x.zarr"
    write_dataset(request(little, store))
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "zarr.json").write_text("{}")
    path = sidecar(store) / MANIFEST
    document = json.loads(path.read_text())
    document["objects"][key] = [2, "99914b932bd37a50b983c5e7c90ae93b"]
    path.write_text(json.dumps(document))
    before = files(tmp_path)
    for run in (lambda: write_dataset(request(few_source, store, mode="replace")), lambda: remove_store(remove_request(str(store)))):
        with pytest.raises(ZarrstreamError, match="does not lie below its store"):
            run()
    assert files(tmp_path) == before


def test_empty_folders_of_others_stay(little: Path, few_source: Path, tmp_path: Path) -> None:
    store = tmp_path / "x.zarr"
    write_dataset(request(little, store))
    (store / "theirs" / "deep").mkdir(parents=True)
    write_dataset(request(few_source, store, mode="replace"))
    assert (store / "theirs" / "deep").is_dir()
    assert remove_store(remove_request(str(store))).changed
    assert [path.name for path in store.rglob("*")] == ["theirs", "deep"]


def test_a_name_with_a_number_sign_is_seen(little: Path, tmp_path: Path) -> None:
    """O13: obstore's names for half-written files hid files of users from listings."""
    store = tmp_path / "x.zarr"
    store.mkdir()
    (store / "thesis#1").write_text("mine")
    with pytest.raises(Conflict, match=r"x\.zarr/thesis#1"):
        write_dataset(request(little, store))
    assert files(store) == {"thesis#1": b"mine"}


def test_a_link_that_comes_between_look_and_use_is_not_followed(little: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, store, send = victim(tmp_path), tmp_path / "x.zarr", FolderObjects._send
    before, swapped = files(home), threading.Event()

    def swap(self: FolderObjects, key: str, data: Any, create: bool) -> None:
        if key.startswith("x.zarr/x/c") and not swapped.is_set():
            swapped.set()
            shutil.rmtree(store / "x", ignore_errors=True)
            store.mkdir(exist_ok=True)
            (store / "x").symlink_to(home)
        send(self, key, data, create)

    monkeypatch.setattr(FolderObjects, "_send", swap)
    with pytest.raises(ZarrstreamError, match=r"x\.zarr/x is a symbolic link"):
        write_dataset(request(little, store, chunks={"x": 1}))
    assert files(home) == before


def test_removing_takes_the_store_and_leaves_nothing(few_source: Path, tmp_path: Path) -> None:
    store = tmp_path / "air.zarr"
    done = write_dataset(request(few_source, store))
    planned = preview_removal(remove_request(str(store)))
    assert (planned.changed, planned.objects_removed, set(planned.removed_keys)) == (
        True,
        done.objects,
        {f"air.zarr/{key}" for key in files(store)},
    )
    assert opens(store)
    result = remove_store(remove_request(str(store)))
    assert (result.changed, result.objects_removed, result.bytes_removed, result.foreign) == (True, done.objects, done.bytes_stored, [])
    assert [path.name for path in tmp_path.iterdir()] == ["air.nc"]
    again = remove_store(remove_request(str(store)))
    assert (again.changed, again.action, again.objects_removed) == (False, "nothing", 0)


def test_removing_leaves_and_names_what_is_foreign(little: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "x.zarr"
    write_dataset(request(little, store))
    (store / "x" / "notes.txt").write_text("mine")
    assert main(["remove", str(store)]) == 0
    assert "stays: x.zarr/x/notes.txt, which Zarrstream did not write" in capsys.readouterr().out
    assert files(store) == {"x/notes.txt": b"mine"}
    assert main(["remove", str(store), "--dry-run"]) == 0
    assert "nothing of Zarrstream's is there" in capsys.readouterr().out


def test_removing_takes_what_an_interrupted_write_left(few_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "air.zarr"
    interrupted(store, few_source, monkeypatch, at=30, chunks={"time": 1})
    assert remove_store(remove_request(str(store))).changed
    assert [path.name for path in tmp_path.iterdir()] == ["air.nc"]


@pytest.mark.parametrize("case", ["without a manifest", "changed"])
def test_a_store_of_others_is_not_removed(little: Path, tmp_path: Path, case: str) -> None:
    store = tmp_path / "x.zarr"
    if case == "changed":
        write_dataset(request(little, store))
    xr.open_dataset(little).assign_attrs(title="theirs").to_zarr(store, mode="w")
    before = files(tmp_path)
    for run in (preview_removal, remove_store):
        with pytest.raises(Conflict, match="by hand"):
            run(remove_request(str(store)))
    assert files(tmp_path) == before


FOREIGN = [
    "notes.txt",
    "x/notes.txt",
    "x/c/99",
    "x/c/00",
    "x/c/0/deep",
    "thesis#1",
    "zarr.json.bak",
    "b/zarr.json",
    "b/c/0",
    "x.zarrstream/a",
    "y",
]
KINDS = ["file", "link to a folder", "link to a file", "dangling link", "fifo", "hard link", "store"]
Foreign = tuple[str, str, str]  # where (in the store, beside it, in the sidecar), name, kind


class Foreigners:
    """What others put around and into a store, and whether it is there yet."""

    def __init__(self, folder: Path, little: Path) -> None:
        self.folder, self.little = folder, little
        self.home = victim(folder)
        self.home_before = files(self.home)
        self.made: dict[Path, Callable[[], bool]] = {}

    def put(self, where: str, name: str, kind: str) -> None:
        root = {"in": self.folder / "s.zarr", "beside": self.folder, "sidecar": self.folder / "s.zarr.zarrstream"}[where]
        path = root / name
        if os.path.lexists(path) or any(
            os.path.lexists(above) and not (above.is_dir() and not above.is_symlink()) for above in path.parents
        ):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "file":
            path.write_text(f"{name} of others")
            self.made[path] = lambda: path.read_text() == f"{name} of others"
        elif kind == "hard link":
            os.link(self.home / "key", path)
            self.made[path] = lambda: path.read_bytes() == self.home_before["key"]
        elif kind == "fifo":
            os.mkfifo(path)
            self.made[path] = lambda: stat.S_ISFIFO(path.lstat().st_mode)
        elif kind == "store":
            theirs = made_once(self.home.parent / "t.zarr", lambda place: xr.open_dataset(self.little).to_zarr(place, consolidated=False))
            theirs.rename(path)
            there = files(path)
            self.made[path] = lambda: files(path) == there
        else:
            target = {"link to a folder": self.home, "link to a file": self.home / "key", "dangling link": self.home / "nothing"}[kind]
            path.symlink_to(target)
            self.made[path] = path.is_symlink

    def check(self) -> None:
        """Every foreign byte is still there."""
        assert [str(path) for path, there in self.made.items() if not (os.path.lexists(path) and there())] == []
        assert files(self.home) == self.home_before

    def leave(self) -> None:
        for path in self.made:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
            for above in path.parents:
                if above == self.folder or any(above.iterdir()):
                    break
                above.rmdir()
        self.made.clear()


class Died(ZarrstreamError):
    """The process ended here; nothing that it tried afterwards happened either."""


def run_until(point: int, run: Callable[[], object]) -> bool:
    """Run, and let request number ``point`` and all after it fail; returns whether it came to its end."""
    numbers = count(1)

    def before(_number: int) -> None:
        if next(numbers) >= point:
            raise Died("killed")

    with pytest.MonkeyPatch.context() as patch:
        around_requests(patch.setattr, before, lambda _: None)
        try:
            run()
        except ZarrstreamError:
            return False
    return True


@given(
    first=st.sampled_from(["nothing", "part", "whole"]),
    action=st.sampled_from(["create", "replace", "append", "absent"]),
    points=st.lists(st.integers(1, 40), max_size=2),
    earlier=st.lists(st.tuples(st.sampled_from(["in", "beside", "sidecar"]), st.sampled_from(FOREIGN), st.sampled_from(KINDS)), max_size=2),
    later=st.lists(st.tuples(st.sampled_from(["in", "beside", "sidecar"]), st.sampled_from(FOREIGN), st.sampled_from(KINDS)), max_size=3),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=600 if THOROUGH else 8)
def test_every_foreign_byte_is_still_there(
    tmp_path_factory: pytest.TempPathFactory,
    first: str,
    action: str,
    points: list[int],
    earlier: list[Foreign],
    later: list[Foreign],
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("foreign")
    rng = random.Random(seed)
    whole, part = made_once(folder / "whole.nc", lambda path: _steps(path, 12)), made_once(folder / "part.nc", lambda path: _steps(path, 6))
    store = folder / "s.zarr"
    if first != "nothing":
        write_dataset(request(whole if first == "whole" else part, store, chunks={"x": 2}))
    others = Foreigners(folder, part)
    for each in earlier:
        others.put(*each)
    chunks = {"x": rng.choice([1, 2, 3])}

    def run() -> object:
        if action == "absent":
            return remove_store(remove_request(str(store)))
        options = {"append_dim": "x"} if action == "append" else {"chunks": chunks}
        return write_dataset(request(whole, store, mode=action, **options))

    for point in points:
        run_until(point, run)
        others.check()
    for each in later:
        others.put(*each)
    run_until(10**6, run)
    others.check()
    others.leave()
    if action == "create" and first != "nothing" and opens(store):
        return  # refused, as it should be
    run()
    if action == "absent":
        assert not files(store)
        assert not files(sidecar(store))
    else:
        assert_same(store, whole)
        assert files(sidecar(store)).keys() == {MANIFEST}
    shutil.rmtree(folder)


def _steps(path: Path, count: int) -> None:
    xr.Dataset({"v": ("x", [float(number) for number in range(count)])}, {"x": list(range(count))}).to_netcdf(path)
