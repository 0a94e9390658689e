# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files that are read by ranges: the same as from a disk, in few requests, and never a fill value in place of a failure."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
import shapes
from remotes import HEAD, LocalObject, bits, differences, item, values
from zarrstream.errors import SourceError
from zarrstream.source import blocks, classic_read, hdf5_read, remote_file
from zarrstream.source.fetching import MEANS, Fetching, Means, joined
from zarrstream.source.items import Item
from zarrstream.source.open import open_items
from zarrstream.source.proof import another_reader
from zarrstream.source.remote_file import RemoteFile
from zarrstream.storage.remote import UNKNOWN, RemoteObject

pytestmark = pytest.mark.filterwarnings("ignore:endian-ness of dtype", "ignore:Duplicate dimension names")
BLOCK = 2**12
SEED = np.random.default_rng(18)
FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "deflate": {"zlib": True, "shuffle": True},
    "checked": {"fletcher32": True},
    "zstd": {"compression": "zstd"},
    "szip": {"compression": "szip"},
}


@pytest.fixture(autouse=True)
def _by_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files too, in small blocks, and small records."""
    for module in (blocks, remote_file):
        monkeypatch.setattr(module, "BLOCK", BLOCK)
    monkeypatch.setattr(remote_file, "_SMALL", -1)
    monkeypatch.setattr(classic_read, "_SHORT", 0)


def rich(path: Path) -> None:
    """All that NetCDF-4 has, in groups; more than the head of it is read."""
    with netCDF4.Dataset(path, "w") as file:
        file.title, file.numbers, file.words = "ä title", np.arange(3, dtype="i2"), ["a", "b"]
        file.createDimension("time", None)
        file.createDimension("x", 50)
        file.createDimension("letters", 4)
        file.createVariable("time", "f8", ("time",))[:6] = np.arange(6)
        file.createVariable("crs", "i4", ()).grid_mapping_name = "latitude_longitude"
        file.createVariable("name", str, ())[...] = "one text"
        file.createVariable("text", str, ("x",))[:] = np.array([f"text {number} ü" for number in range(50)], object)
        file.createVariable("chars", "S1", ("x", "letters"))[:] = np.full((50, 4), b"c", "S1")
        file.createVariable("big", ">i4", ("time", "x"), endian="big")[:] = np.arange(300).reshape(6, 50)
        sky = file.createEnumType("u1", "sky_t", {"clear": 0, "cloud": 1})
        file.createVariable("sky", sky, ("x",))[:] = np.arange(50, dtype="u1") % 2
        file.createVariable("contiguous", "f4", ("x", "letters"), contiguous=True)[:] = SEED.random((50, 4), "f4")
        file.createVariable("nothing", "f4", ("x",))
        file.createVariable("empty", "f4", ("time", "x"), chunksizes=(2, 7))
        for name, how in FILTERS.items():
            if name in ("zstd", "szip") and not getattr(file, f"has_{name}_filter")():
                continue
            group = file.createGroup(f"deep/{name}")
            found = group.createVariable("v", "f8", ("time", "x"), chunksizes=(2, 7), fill_value=-1.0, **how)
            found.units = "K"
            found[:5] = SEED.random((5, 50))
            for number in range(12):
                found.setncattr(f"attribute_{number}", "x" * 200)


def short(path: Path) -> None:
    """Several unlimited dimensions, data sets that end before them, chunks that nobody wrote."""
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("time", None)
        file.createDimension("x", None)
        file.createVariable("long", "i4", ("time", "x"), chunksizes=(4, 4))[:4, :5] = 1
        file.createVariable("twice", "i8", ("time", "time"), chunksizes=(4, 4), fill_value=-999)[:2, :3] = np.arange(6).reshape(2, 3)
        file.createVariable("second", "i2", ("time", "x"), chunksizes=(4, 4), zlib=True)[:3, :2] = 7
        file.createVariable("text", str, ("x",), chunksizes=(4,))[:2] = np.array(["a", "ü"], object)


def plain_hdf5(path: Path) -> None:
    """HDF5 without scales: filters that the NetCDF library lacks, chunks without filters, a compact one, a block before the file."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("lzf", data=np.arange(900).reshape(30, 30), chunks=(7, 7), compression="lzf")
        file["contiguous"] = SEED.random((30, 30))
        file["group/below"] = np.arange(5)
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        h5py.h5d.create(file.id, b"compact", h5py.h5t.STD_I16BE, h5py.h5s.create_simple((4,)), plist)
        h5py.Dataset(h5py.h5d.open(file.id, b"compact"))[:] = np.arange(4)


def never_filled(path: Path) -> None:
    with h5py.File(path, "w", libver="latest") as file:
        for name, layout in (("chunked", (2, 2)), ("contiguous", None)):
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            if layout:
                plist.set_chunk(layout)
            h5py.h5d.create(file.id, name.encode(), h5py.h5t.NATIVE_INT32, h5py.h5s.create_simple((4, 4)), plist)
        file["chunked"][:2, :2] = 1
        file.create_dataset("many", data=np.arange(4000), chunks=(3,), maxshape=(None,))


def strange(path: Path) -> None:
    """What only the NetCDF library reads."""
    with h5py.File(path, "w") as file:
        file["fixed"] = np.array([b"one", b"two"])
        file["numbers"] = np.arange(5000.0)


def classic(kind: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with netCDF4.Dataset(path, "w", format=kind) as file:
            file.title = "ä" * 20_000  # so that the header is longer than what comes first
            file.createDimension("time", None)
            file.createDimension("x", 5)
            file.createDimension("letters", 3)
            file.createVariable("time", "f8", ("time",))[:7] = np.arange(7)
            file.createVariable("byte", "i1", ("time",))[:7] = np.arange(7)
            file.createVariable("v", "f4", ("time", "x", "letters"))[:7] = SEED.random((7, 5, 3), "f4")
            file.createVariable("fixed", "i2", ("x", "letters"), fill_value=np.int16(-5))[:] = np.arange(15).reshape(5, 3)
            file.createVariable("chars", "S1", ("x", "letters"))[:] = np.full((5, 3), b"c", "S1")
            file.createVariable("crs", "i4", ()).units = "1"
            if kind == "NETCDF3_64BIT_DATA":
                file.createVariable("large", "u8", ("time",))[:7] = np.arange(7) + 2**60

    return make


def one_record(path: Path) -> None:
    with netCDF4.Dataset(path, "w", format="NETCDF3_CLASSIC") as file:
        file.createDimension("time", None)
        file.createDimension("x", 3)
        file.createVariable("v", "i2", ("time", "x"))[:5] = np.arange(15).reshape(5, 3)


KINDS: dict[str, Callable[[Path], None]] = {
    "rich": rich,
    "short": short,
    "plain HDF5": plain_hdf5,
    "never filled": never_filled,
    "strange": strange,
    "one record": one_record,
    **{kind: classic(kind) for kind in ("NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA")},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("kinds")
    for kind, make in KINDS.items():
        make(made / f"{kind}.nc")
    return made


def check_same(path: Path, there: Item, means: Means = MEANS) -> list[str]:
    """Compare a file here with itself there; returns the notes."""
    different, notes = differences(path, there, means)
    assert not different
    return notes


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_elsewhere_is_the_same_as_here(folder: Path, kind: str) -> None:
    notes = check_same(folder / f"{kind}.nc", item(folder / f"{kind}.nc"))
    assert [note.rpartition(": ")[2] for note in notes] == (["only the NetCDF library reads 'fixed'."] if kind == "strange" else [])


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"strange"}))
def test_the_netcdf_library_reads_no_value_of_a_file_that_is_not_complete(folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing of the file was read it would find zeros, and take them for values."""

    def refuse(*_arguments: Any) -> None:
        raise AssertionError("a value is read from the skeleton")

    def whole(_self: RemoteFile, why: str) -> None:
        raise AssertionError(why)

    monkeypatch.setattr("xarray.backends.netCDF4_.NetCDF4ArrayWrapper._getitem", refuse)
    monkeypatch.setattr(RemoteFile, "whole", whole)
    with closing(open_items([item(folder / f"{kind}.nc")])) as far:
        values(far)
        with another_reader():
            values(far)


@pytest.mark.parametrize("kind", KINDS)
def test_each_range_that_fails_is_an_error_with_its_own_words(folder: Path, kind: str) -> None:
    def read(there: Item) -> None:
        with closing(open_items([there])) as far:
            values(far)
            with another_reader():
                values(far)

    path = folder / f"{kind}.nc"
    sound = item(path)
    read(sound)
    assert isinstance(sound.remote, LocalObject)
    for failing in sorted(set(sound.remote.asked)):
        with pytest.raises(SourceError, match=f"bytes {failing[0]} to {failing[1]}: interrupted"):
            read(item(path, fails=lambda start, stop, failing=failing: (start, stop) == failing))


def test_no_thread_that_is_waited_for_frees_files_of_h5py(folder: Path) -> None:
    """h5py holds its lock while it waits for bytes, and takes it to free a file: a collection in the thread that fetches never ends."""
    held: list[bool] = []

    def look(_start: int, _stop: int) -> bool:
        if h5py._objects.phil.acquire(blocking=False):
            h5py._objects.phil.release()
        else:
            held.append(gc.isenabled())
        return False

    with closing(open_items([item(folder / "rich.nc", fails=look)])) as far:
        values(far)
    assert held
    assert not any(held)
    assert gc.isenabled()


def test_an_error_leaves_nothing_of_h5py_to_be_collected(folder: Path) -> None:
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for failing in (BLOCK, 5 * BLOCK, HEAD):
            with pytest.raises(SourceError, match="interrupted"):
                open_items([item(folder / "rich.nc", fails=lambda start, _stop, failing=failing: start >= failing)])
        gc.collect()
        assert not [found for found in gc.garbage if isinstance(found, h5py.File | h5py.Group | h5py.Dataset)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


@pytest.mark.parametrize("kind", ["rich", "NETCDF3_CLASSIC"])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_as_a_whole_is_the_same_too(folder: Path, kind: str, ranges: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_file, "_SMALL", 2**20)
    there = item(folder / f"{kind}.nc", ranges=ranges)
    notes = check_same(folder / f"{kind}.nc", there)
    assert isinstance(there.remote, LocalObject)
    assert len(there.remote.asked) == 1
    assert [note.rpartition(": ")[2] for note in notes] == ([] if ranges else ["its server sends no ranges."])


def test_a_file_that_takes_more_than_the_memory_goes_to_the_folder_that_is_named_or_is_refused(folder: Path, tmp_path: Path) -> None:
    path = folder / "rich.nc"
    with pytest.raises(SourceError, match=r"has to be read as a whole.*Name a folder for them: 'spool: FOLDER'"):
        open_items([item(path, ranges=False)], means=Means(memory=2**16))
    notes = check_same(path, item(path, ranges=False), Means(memory=2**16, spool=str(tmp_path)))
    assert notes == [f"https://data.example/rich.nc was read as a whole, into the folder {tmp_path}: its server sends no ranges."]
    assert not list(tmp_path.iterdir())
    assert len(check_same(path, item(path, ranges=False, size=UNKNOWN), Means(memory=2**24))) == 1
    with pytest.raises(SourceError, match=r"has more bytes than its server tells. .* 16384 bytes of memory together"):
        open_items([item(path, ranges=False, size=UNKNOWN)], means=Means(memory=2**16))
    with pytest.raises(SourceError, match=r"cannot be kept in the folder .*No such file"):
        open_items([item(path, ranges=False)], means=Means(memory=2**16, spool=str(tmp_path / "none")))


def test_memory_of_whole_files_is_given_back(folder: Path) -> None:
    fetching, opened = Fetching(Means(memory=2**24)), len(list(Path("/proc/self/fd").iterdir()))
    whole = remote_file.remote_file(LocalObject(folder / "rich.nc", ranges=False), fetching)
    assert not fetching.fits(fetching.room)
    del whole
    assert fetching.fits(fetching.room)
    with pytest.raises(SourceError, match="interrupted"):
        fetching.whole(LocalObject(folder / "rich.nc", fails=lambda *_: True), "why")
    assert fetching.fits(fetching.room)
    fetching.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == opened


def test_a_description_that_the_netcdf_library_takes_for_something_else_is_not_believed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if h5py had not read all that the NetCDF library looks at: there are zeros."""
    before = remote_file.Blocks.blocks

    def lacking(self: Any, wanted: list[int]) -> dict[int, bytes]:
        found = before(self, wanted)
        return (
            {number: data if number == 0 else bytes(len(data)) for number, data in found.items()}
            if wanted == sorted(self.touched)
            else found
        )

    monkeypatch.setattr(remote_file.Blocks, "blocks", lacking)
    path = folder / "rich.nc"
    assert len(check_same(path, item(path))) == 1


def ten(path: Path) -> int:
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("t", 40)
        file.createDimension("x", 2**14)
        for name in "abcdefghij":
            file.createVariable(name, "f4", ("t", "x"), chunksizes=(1, 2**14), zlib=True, complevel=1)
        for row in range(40):
            for name in "abcdefghij":
                file[name][row] = SEED.random(2**14, "f4")
    return path.stat().st_size


def test_what_is_fetched_is_little_more_than_what_is_wanted(tmp_path: Path) -> None:
    size = ten(tmp_path / "ten.nc")
    there = item(tmp_path / "ten.nc")
    assert isinstance(there.remote, LocalObject)
    with closing(open_items([there])) as far:
        assert len(there.remote.asked) < 5
        there.remote.meet = 2
        far.block("d", ((0, 40), (0, 2**14)))
        assert there.remote.fetched < 0.15 * size
        assert there.remote.most > 1
        for name in "abcefghij":
            far.block(name, ((0, 40), (0, 2**14)))
    assert there.remote.fetched < 1.05 * size


def test_a_region_that_touches_many_chunks_is_fetched_in_pieces(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5_read, "WINDOW", 1000)
    check_same(folder / "rich.nc", item(folder / "rich.nc"))
    most, fetched = [0], RemoteFile.hdf5

    def note(self: RemoteFile, places: Any = ()) -> Any:
        most[0] = max(most[0], sum(size for _unused, size in places) if len(places) > 1 else 0)
        return fetched(self, places)

    monkeypatch.setattr(RemoteFile, "hdf5", note)
    with closing(open_items([item(folder / "rich.nc")])) as far, another_reader():
        values(far)
    assert 0 < most[0] <= 1000


def test_a_tree_of_many_chunks_is_read_in_a_few_requests(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("v", data=np.arange(2**16, dtype="i8"), chunks=(16,))  # 4096 chunks: more than 64 nodes
    there = item(tmp_path / "a.h5")
    assert isinstance(there.remote, LocalObject)
    with closing(open_items([there])) as far:
        before = len(there.remote.asked)
        assert far.block("v", ((0, 16),)).values.tolist() == list(range(16))
        assert far.variables["v"].encoding["scratch"] == 8
    rounds = there.remote.asked[before:]
    assert len(rounds) < 16


def test_small_files_take_one_request_each_and_are_fetched_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_file, "_SMALL", 2**20)
    paths = [tmp_path / f"{number}.nc" for number in range(12)]
    for number, path in enumerate(paths):
        shapes.day(path, [3 * number + each for each in range(3)], seed=number)
    items = [item(path) for path in paths]
    items[5] = Item("netcdf", str(paths[5]))  # mixed with files that are here
    with (
        closing(open_items(items)) as far,
        closing(open_items([Item("netcdf", str(path)) for path in paths])) as here,
    ):
        assert far.notes == here.notes
        expected = values(here)
        assert {name: bits(each) for name, each in values(far).items()} == {name: bits(each) for name, each in expected.items()}
    asked = [each.remote.asked for each in items if isinstance(each.remote, LocalObject)]
    assert all(len(each) <= 1 for each in asked)


def test_later_files_are_asked_at_once_for_what_the_first_one_took(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.nc" for number in range(3)]
    for number, path in enumerate(paths):
        with netCDF4.Dataset(path, "w") as file:
            file.createDimension("t", 1)
            file.createDimension("x", 2**15)
            file.createVariable("v", "f8", ("t", "x"))[:] = SEED.random((1, 2**15))
            file.createVariable("t", "f8", ("t",))[:] = [number]  # behind the values
    items = [item(path) for path in paths]
    with closing(open_items(items)):
        asked = [each.remote.asked for each in items if isinstance(each.remote, LocalObject)]
    last = paths[0].stat().st_size // BLOCK * BLOCK  # with the values of t
    assert {HEAD, last} < {start for start, _stop in asked[0]}
    assert [{start for start, _stop in each[:2]} for each in asked[1:]] == [{HEAD, last}] * 2


@pytest.mark.parametrize("whole", [True, False])
def test_a_file_that_leads_to_others_is_refused(tmp_path: Path, whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_file, "_SMALL", 2**20 if whole else -1)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["v"] = np.arange(2**12)
        file["link"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(
        SourceError, match=r"'/link' is an external link to '/' in '/etc/passwd', and beside a file that is not on this host"
    ):
        open_items([item(tmp_path / "a.h5")])


def test_damage_is_told_in_the_words_that_it_has_here(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("v", data=SEED.random(20_000), chunks=(10_000,), compression="gzip", fletcher32=True)
        where = file["v"].id.get_chunk_info(1).byte_offset
    whole = path.read_bytes()
    path.write_bytes(whole[: where + 100] + b"\xff" * 8 + whole[where + 108 :])
    with closing(open_items([item(path)])) as far:
        assert far.block("v", ((0, 10_000),)).values.size == 10_000
        with pytest.raises(SourceError, match="'v' cannot be read at"):
            far.block("v", ((0, 20_000),))
    path.write_bytes(whole[:-5000])
    with pytest.raises(SourceError, match="it is truncated or damaged"):
        open_items([item(path)])


def test_places_are_joined_as_far_as_little_is_read_for_nothing() -> None:
    near, far, large = 2**14, 2**14 + 1, 2**21
    assert joined([(10, 5), (0, 10)]) == [(0, 15, [1, 0])]
    assert joined([(0, 10), (10 + near, 5)]) == [(0, 15 + near, [0, 1])]
    assert joined([(0, 10), (10 + far, 5)]) == [(0, 10, [0]), (10 + far, 15 + far, [1])]
    assert joined([(0, large), (large, 5)]) == [(0, large, [0]), (large, large + 5, [1])]
    assert joined([(0, 10), (2, 3)]) == [(0, 10, [0, 1])]
    assert joined([]) == []


def test_the_fake_is_what_the_protocol_says(folder: Path) -> None:
    remote: RemoteObject = LocalObject(folder / "rich.nc")
    assert remote.read(3, 9) == (folder / "rich.nc").read_bytes()[3:9]
    assert remote.head == (folder / "rich.nc").read_bytes()[:HEAD]
