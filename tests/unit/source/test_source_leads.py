"""What a source leads to: read where it is declared, else refused before anything is touched, naming file, object and target."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr
import zarr
from asking import check_store, write_request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import THOROUGH
from zarrstream.check.request import request_from
from zarrstream.commands.write import preview, write_dataset
from zarrstream.errors import BadRequest, SourceError
from zarrstream.source.items import Item, find_source, stat_items, take_digests
from zarrstream.source.open import open_items
from zarrstream.storage.location import StoreUrl

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have a Zarr V3 specification", "ignore:Consolidated metadata", "ignore:Failed to open Zarr store", "ignore:Object at"
)

Fill = Callable[[h5py.File, Path], object]


def no_bucket(place: StoreUrl) -> None:
    raise AssertionError(place)


def find(*source: Path | str, follow: tuple[Path | str, ...] = ()) -> tuple[Item, ...]:
    return find_source([str(path) for path in source], no_bucket, [str(folder) for folder in follow])  # type: ignore[arg-type]


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A folder of somebody else's, with a file of bytes, and two of HDF5."""
    folder = tmp_path / "others"
    folder.mkdir()
    (folder / "secret.txt").write_bytes(b"SECRET OF ANOTHER FILE")
    for name in ("values.h5", "part-0.h5", "part-1.h5"):
        with h5py.File(folder / name, "w") as file:
            file["v"] = np.arange(4, dtype="i2")
            file.create_group("g")["w"] = np.arange(3, dtype="i2")
    return folder


def make(tmp_path: Path, fill: Fill, other: Path, name: str = "a.h5") -> Path:
    path = tmp_path / "mine" / name
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(3)
        fill(file, other)
    return path


def store_outside(file: h5py.File, other: Path, name: str = "leak", target: str = "") -> None:
    external = [(target or str(other / "secret.txt"), 0, 22)]
    file.create_dataset(name, shape=(22,), dtype="u1", external=external)


def virtual(file: h5py.File, target: str, count: int = 1) -> None:
    layout = h5py.VirtualLayout(shape=(4 * count,), dtype="i2", maxshape=(None,) if "%b" in target else None)
    source = h5py.VirtualSource(target, "v", shape=(4,), maxshape=(None,) if "%b" in target else None)
    if "%b" in target:
        create_counted(file, target)
    else:
        layout[:] = source
        file.create_virtual_dataset("leak", layout)


def create_counted(file: h5py.File, target: str) -> None:
    """A virtual data set whose files are counted: h5py makes such only by the library's own call."""
    space = h5py.h5s.create_simple((8,), (h5py.h5s.UNLIMITED,))
    space.select_hyperslab((0,), (h5py.h5s.UNLIMITED,), stride=(4,), block=(4,))
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_virtual(space, target.encode(), b"v", h5py.h5s.create_simple((4,)))
    h5py.h5d.create(file.id, b"leak", h5py.h5t.NATIVE_INT16, h5py.h5s.create_simple((8,), (h5py.h5s.UNLIMITED,)), dcpl=plist)


def linked_folder(file: h5py.File, other: Path) -> None:
    (other.parent / "mine" / "here").symlink_to(other)
    file["leak"] = h5py.ExternalLink("here/values.h5", "/v")


def soft_link_through_external(file: h5py.File, other: Path) -> None:
    file["way"] = h5py.ExternalLink(str(other / "values.h5"), "/g")
    file["leak"] = h5py.SoftLink("/way/w")


LEADS: dict[str, tuple[Fill, str, str]] = {
    "external storage": (store_outside, "/leak", "secret.txt"),
    "in a group": (lambda file, other: store_outside(file, other, "deep/er/leak"), "/deep/er/leak", "secret.txt"),
    "by ..": (lambda file, other: store_outside(file, other, target="../others/secret.txt"), "/leak", "secret.txt"),
    "external link": (
        lambda file, other: file.__setitem__("leak", h5py.ExternalLink(str(other / "values.h5"), "/v")),
        "/leak",
        "values.h5",
    ),
    "a group": (lambda file, other: file.__setitem__("g", h5py.ExternalLink(str(other / "values.h5"), "/g")), "/g", "values.h5"),
    "relative": (lambda file, _other: file.__setitem__("leak", h5py.ExternalLink("../others/values.h5", "/v")), "/leak", "values.h5"),
    "a linked folder": (linked_folder, "/leak", "values.h5"),
    "a soft link through one": (soft_link_through_external, "/way", "values.h5"),
    "virtual": (lambda file, other: virtual(file, str(other / "values.h5")), "/leak", "values.h5"),
    "virtual, counted": (lambda file, other: create_counted(file, str(other / "part-%b.h5")), "/leak", "others"),
    "virtual, relative": (lambda file, _other: virtual(file, "../others/values.h5"), "/leak", "values.h5"),
}


@pytest.mark.parametrize("kind", LEADS)
def test_a_lead_out_of_the_source_is_refused_before_anything_is_touched(tmp_path: Path, other: Path, kind: str) -> None:
    fill, node, target = LEADS[kind]
    path = make(tmp_path, fill, other)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SourceError, match="not declared as source") as error:
        write_dataset(write_request(source=(str(path),), store=str(tmp_path / "a.zarr")))
    text = str(error.value)
    assert str(path) in text
    assert f"'{node}'" in text
    assert target in text
    assert "follow: [" in text
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", [kind for kind in LEADS if "counted" not in kind and ".." not in kind])
def test_what_follow_declares_is_read(tmp_path: Path, other: Path, kind: str) -> None:
    path = make(tmp_path, LEADS[kind][0], other)
    write_dataset(write_request(source=(str(path),), store=str(tmp_path / "a.zarr"), follow=(str(other),)))
    values = {
        name: np.asarray(array[:])
        for name, array in zarr.open_group(tmp_path / "a.zarr", mode="r").members(max_depth=None)
        if isinstance(array, zarr.Array)
    }
    leaked = next(value for name, value in values.items() if name.rpartition("/")[2] in ("leak", "w"))
    assert bytes(leaked.astype("u1")) in (b"SECRET OF ANOTHER FILE", bytes([0, 1, 2, 3]), bytes([0, 1, 2]))
    report = check_store(request_from({"store": str(tmp_path / "a.zarr"), "source": str(path), "follow": [str(other)]}))
    assert report.ok
    with pytest.raises(SourceError, match="not declared"):
        check_store(request_from({"store": str(tmp_path / "a.zarr"), "source": str(path)}))


def test_a_link_of_a_kind_of_its_own_is_refused(tmp_path: Path, other: Path) -> None:
    path = make(tmp_path, LEADS["external link"][0], other)
    data = bytearray(path.read_bytes())
    kind = data.rindex(h5py.h5l.TYPE_EXTERNAL, 0, data.index(b"leak"))
    data[kind] = h5py.h5l.TYPE_EXTERNAL + 2
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"'/leak' is a link of a kind of its own \(number 66\) to an unknown place"):
        open_file_of(find(path, follow=("/",))[0])


def test_what_is_followed_belongs_to_the_source(tmp_path: Path, other: Path) -> None:
    path = make(tmp_path, LEADS["external link"][0], other)
    request = write_request(source=(str(path),), store=str(tmp_path / "a.zarr"), follow=(str(other),), mode="replace")
    assert write_dataset(request).changed
    assert not write_dataset(request).changed
    with h5py.File(other / "values.h5", "r+") as file:
        file["v"][:] = 7
    assert write_dataset(request).changed
    assert zarr.open_array(tmp_path / "a.zarr/leak", mode="r")[0] == 7


def test_files_of_one_source_may_lead_to_one_another(tmp_path: Path, other: Path) -> None:
    path = make(tmp_path, LEADS["virtual"][0], other)
    items = find(path, other / "values.h5")
    open_file_of(items[0])


def open_file_of(item: Item) -> None:
    open_items([item]).close()


def test_a_followed_file_that_leads_on_is_refused_too(tmp_path: Path, other: Path) -> None:
    with h5py.File(other / "on.h5", "w") as file:
        file["v"] = h5py.ExternalLink("/etc/hosts.h5", "/v")
        store_outside(file, other, "w", target="/etc/passwd")
    path = make(tmp_path, lambda file, other: file.__setitem__("leak", h5py.ExternalLink(str(other / "on.h5"), "/v")), other)
    with pytest.raises(SourceError, match=r"on\.h5, to which it leads: .*(/etc/hosts\.h5|/etc/passwd)"):
        find(path, follow=(other,))


def test_a_target_that_is_not_there_is_named(tmp_path: Path, other: Path) -> None:
    path = make(tmp_path, lambda file, other: virtual(file, str(other / "gone.h5")), other)
    with pytest.raises(SourceError, match=r"gone\.h5', which is not there: its values would read as missing"):
        open_file_of(find(path)[0])


def test_a_target_that_is_no_file_is_named(tmp_path: Path, other: Path) -> None:
    os.mkfifo(other / "pipe")
    path = make(tmp_path, lambda file, other: store_outside(file, other, target=str(other / "pipe")), other)
    with pytest.raises(SourceError, match=r"pipe is a FIFO"):
        find(path, follow=(other,))


def test_folders_of_the_environment_count(tmp_path: Path, other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path, lambda file, _other: file.__setitem__("leak", h5py.ExternalLink("values.h5", "/v")), other)
    monkeypatch.setenv("HDF5_EXT_PREFIX", str(other))
    with pytest.raises(SourceError, match="not declared"):
        open_file_of(find(path)[0])


@pytest.mark.parametrize(
    ("fill", "words"),
    [
        (lambda file, _: file.create_group("a").__setitem__("loop", file["/"]), "the link '/a/loop' leads around in a circle"),
        (lambda file, _: file.__setitem__("loop", h5py.SoftLink("/")), "the link '/loop' leads around in a circle"),
        (lambda file, _: file.__setitem__("gone", h5py.SoftLink("/nope")), "'/gone' is a soft link to '/nope', which is not there"),
    ],
)
def test_links_in_circles_and_to_nothing_are_named(tmp_path: Path, other: Path, fill: Fill, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        open_file_of(find(make(tmp_path, fill, other))[0])


def doubling(file: h5py.File, _other: Path) -> None:
    groups = [file.create_group(f"g{number}") for number in range(40)]
    for one, two in itertools.pairwise(groups):
        one["a"] = one["b"] = two


def test_links_that_multiply_are_refused_in_time(tmp_path: Path, other: Path) -> None:
    with pytest.raises(SourceError, match="more than 1000000 paths"):
        open_file_of(find(make(tmp_path, doubling, other))[0])


def harmless(file: h5py.File, _other: Path) -> None:
    file["values"] = np.array([1.0, 2.0], "f4")
    file["x"].attrs["ref"] = file["values"].ref
    file["x"].attrs["region"] = file["values"].regionref[0:1]
    file["x"].attrs.create("many", [file["values"].ref, file["x"].ref], dtype=h5py.ref_dtype)
    rows = np.empty(2, dtype=object)
    rows[:] = [np.array([file["x"].ref], dtype=h5py.ref_dtype), np.array([], dtype=h5py.ref_dtype)]
    file["x"].attrs.create("rows", rows, dtype=h5py.vlen_dtype(h5py.ref_dtype))
    file["hard"] = file["values"]
    file["soft"] = h5py.SoftLink("/values")
    file.create_group("g")["up"] = file["x"]
    layout = h5py.VirtualLayout(shape=(2,), dtype="f4")
    layout[:] = h5py.VirtualSource(file["values"])
    file.create_virtual_dataset("within", layout)


def test_types_that_are_named_in_the_file_are_read(tmp_path: Path) -> None:
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as file:
        file.createDimension("n", 2)
        kind = file.createEnumType(np.uint8, "weather", {"clear": 0, "rain": 1})
        file.createVariable("seen", kind, ("n",))[:] = [0, 1]
    assert read(tmp_path / "a.nc", tmp_path, name="seen") == [0, 1]


def test_what_stays_within_the_file_is_read(tmp_path: Path, other: Path) -> None:
    path = make(tmp_path, harmless, other)
    write_dataset(write_request(source=(str(path),), store=str(tmp_path / "a.zarr"), verify="full"))
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert [np.asarray(group[name][:]).tolist() for name in ("values", "hard", "soft", "within")] == [[1.0, 2.0]] * 4  # type: ignore[index]


@pytest.mark.parametrize("folder", ["relative", "writable"])
def test_code_for_filters_comes_from_trusted_folders(tmp_path: Path, other: Path, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.nc"
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("n", 8)
        file.createVariable("packed", "i4", ("n",), compression="zstd")[:] = np.arange(8)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins").chmod(0o777 if folder == "writable" else 0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HDF5_PLUGIN_PATH", "plugins" if folder == "relative" else str(tmp_path / "plugins"))
    with pytest.raises(SourceError, match="'/packed' has a filter that is not part of the HDF5 library"):
        open_file_of(find(path)[0])


def test_a_file_that_is_replaced_behind_our_back_is_not_read(tmp_path: Path, other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path, lambda *_: None, other)
    harmful = make(tmp_path, LEADS["external link"][0], other, "b.h5")

    def replace_it(*_: object) -> None:
        harmful.replace(path)

    monkeypatch.setattr(import_module("zarrstream.source.netcdf"), "check_hdf5", replace_it)
    with pytest.raises(SourceError, match="was replaced while it was being read"):
        open_file_of(find(path)[0])


SPECIAL: dict[str, Callable[[Path], object]] = {
    "a FIFO": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a socket": lambda path: bind(path),
}


def bind(path: Path) -> None:
    folder = Path.cwd()
    os.chdir(path.parent)  # the path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(path.name)
    finally:
        os.chdir(folder)


@pytest.mark.parametrize("how", ["named", "globbed", "listed"])
@pytest.mark.parametrize("kind", SPECIAL)
def test_only_regular_files_are_read(tmp_path: Path, kind: str, how: str) -> None:
    path = tmp_path / "a.nc"
    SPECIAL[kind](path)
    xr.Dataset({"a": ("t", [1])}).to_netcdf(tmp_path / "b.nc", format="NETCDF3_CLASSIC")
    source = {"named": [path], "globbed": [tmp_path / "*.nc"], "listed": [tmp_path / "b.nc", path]}[how]
    with pytest.raises(SourceError, match=r"a\.nc'? is (a FIFO|a device|a socket)|leads to '/dev/zero'") as error:
        find(*source)
    assert kind in str(error.value) or "/dev/zero" in str(error.value)


def test_a_pattern_matches_no_link_that_leads_out_unless_declared(tmp_path: Path, other: Path) -> None:
    xr.Dataset({"a": ("t", [1])}).to_netcdf(other / "b.nc")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.nc").symlink_to(other / "b.nc")
    with pytest.raises(SourceError, match=r"a\.nc' matches a pattern, and is a link that leads to '.*b\.nc'"):
        find(tmp_path / "in" / "*.nc")
    assert find(tmp_path / "in" / "*.nc", follow=(other,))[0].name == "a.nc"
    assert find(tmp_path / "in" / "a.nc")[0].name == "a.nc"  # who names it means it
    (tmp_path / "latest").symlink_to(tmp_path / "others")
    assert find(tmp_path / "latest" / "*.nc")[0].name == "b.nc"


def test_a_pattern_ends_where_links_go_around(tmp_path: Path) -> None:
    xr.Dataset({"a": ("t", [1])}).to_netcdf(tmp_path / "a.nc")
    (tmp_path / "one").symlink_to(".")
    (tmp_path / "two").symlink_to(".")
    assert [item.place for item in find(tmp_path / "**" / "*.nc")] == [str(tmp_path / "a.nc")]


@pytest.mark.parametrize("text", ["gone", "a.nc", ""])
def test_follow_names_folders(tmp_path: Path, text: str) -> None:
    xr.Dataset({"a": ("t", [1])}).to_netcdf(tmp_path / "a.nc")
    with pytest.raises(BadRequest, match="follow names"):
        find(tmp_path / "a.nc", follow=(tmp_path / text if text else "",))


@pytest.fixture
def source_store(tmp_path: Path) -> Path:
    dataset = xr.Dataset({"v": ("t", np.arange(8, dtype="i2"))}).chunk(t=4)
    dataset.to_zarr(tmp_path / "in.zarr", zarr_format=3, consolidated=False)
    return tmp_path / "in.zarr"


def read(store: Path, tmp_path: Path, follow: tuple[Path, ...] = (), name: str = "v") -> list[int]:
    write_dataset(write_request(source=(str(store),), store=str(tmp_path / "out.zarr"), follow=tuple(map(str, follow))))
    values: list[int] = np.asarray(zarr.open_array(tmp_path / "out.zarr" / name, mode="r")[:]).tolist()
    return values


def test_a_linked_chunk_that_leads_out_is_refused(tmp_path: Path, source_store: Path, other: Path) -> None:
    chunk, elsewhere = source_store / "v/c/0", other / "chunk"
    chunk.rename(elsewhere)
    chunk.symlink_to(elsewhere)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SourceError, match=rf"v/c/0' is a link that leads to '{elsewhere}', which is not declared"):
        read(source_store, tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
    assert read(source_store, tmp_path, (other,)) == list(range(8))


def test_links_within_a_store_and_hard_links_are_read(tmp_path: Path, source_store: Path, other: Path) -> None:
    chunk = source_store / "v/c/1"
    os.link(chunk, other / "chunk")  # another name of the same file
    chunk.rename(source_store / "aside")
    chunk.symlink_to("../../aside")
    (source_store / "v").rename(source_store / "w")
    (source_store / "v").symlink_to("w")
    assert read(source_store, tmp_path) == list(range(8))
    (tmp_path / "named").symlink_to(source_store)
    assert read(tmp_path / "named", tmp_path) == list(range(8))


@pytest.mark.parametrize("where", ["zarr.json", "v/zarr.json", "v/c/0", "beside"])
@pytest.mark.parametrize("kind", ["a FIFO", "a device", "a folder that leads out", "a circle", "a link to nothing"])
def test_nothing_else_in_a_store_is_read(tmp_path: Path, source_store: Path, where: str, kind: str) -> None:
    place = source_store / where
    place.unlink(missing_ok=True)
    if kind in SPECIAL:
        SPECIAL[kind](place)
    else:
        place.symlink_to({"a folder that leads out": "/etc", "a circle": source_store, "a link to nothing": "gone"}[kind])
    with pytest.raises(SourceError) as error:
        read(source_store, tmp_path)
    assert str(place) in str(error.value) or "without Zarr metadata" in str(error.value)
    assert not (tmp_path / "out.zarr").exists()


def test_a_chunk_that_becomes_a_link_after_it_was_seen_is_not_read(tmp_path: Path, source_store: Path, other: Path) -> None:
    items = find(source_store)
    stats = take_digests(items, stat_items(items))
    assert stats[0].digest
    source = open_items(items)
    (source_store / "v/c/0").unlink()
    (source_store / "v/c/0").symlink_to(other / "secret.txt")
    with pytest.raises(SourceError, match=r"secret\.txt', which is not declared"):
        source.block("v", ((0, 4),))


def test_a_plan_refuses_the_same(tmp_path: Path, other: Path) -> None:
    path = make(tmp_path, store_outside, other)
    with pytest.raises(SourceError, match="not declared"):
        preview(write_request(source=(str(path),), store=str(tmp_path / "a.zarr")))


PLACES = st.lists(st.sampled_from(["a", "b", "c"]), min_size=0, max_size=3).map("/".join)
KINDS = [kind for kind in LEADS if kind not in ("in a group", "a linked folder", "by ..", "relative", "virtual, relative")]


@settings(max_examples=200 if THOROUGH else 12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    leads=st.lists(st.tuples(st.sampled_from(KINDS), PLACES), max_size=2),
    plain=st.lists(PLACES, max_size=4),
    declared=st.booleans(),
)
def test_wherever_a_lead_is_nothing_that_it_leads_to_is_published(
    tmp_path_factory: pytest.TempPathFactory, leads: list[tuple[str, str]], plain: list[str], declared: bool
) -> None:
    folder = tmp_path_factory.mktemp("any")
    other = folder / "others"
    other.mkdir()
    (other / "secret.txt").write_bytes(b"SECRET OF ANOTHER FILE")
    for name in ("values.h5", "part-0.h5", "part-1.h5"):
        with h5py.File(other / name, "w") as file:
            file["v"] = np.frombuffer(b"SECRETS!", "i2")
            file["g/w"] = np.frombuffer(b"SECRETS!", "i2")
    with h5py.File(folder / "a.h5", "w") as file:
        for number, place in enumerate(plain):
            file[f"{place}/plain-{number}"] = np.arange(number)
        for number, (kind, place) in enumerate(leads):
            LEADS[kind][0](file.require_group(f"{place}/at-{number}"), other)  # type: ignore[arg-type]
    request = write_request(source=(str(folder / "a.h5"),), store=str(folder / "a.zarr"), follow=(str(other),) if declared else ())
    try:
        write_dataset(request)
    except SourceError:
        assert leads
        assert not (folder / "a.zarr").exists()
    else:
        assert declared or not leads
        members = zarr.open_group(folder / "a.zarr", mode="r").members(max_depth=None)
        published = b"".join(np.asarray(node[:]).tobytes() for _, node in members if isinstance(node, zarr.Array))
        assert (b"SECRET" in published) == bool(leads)
