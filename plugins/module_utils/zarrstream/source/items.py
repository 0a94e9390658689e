# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a data set comes from: files, globs, URLs, a Zarr store; what identifies its contents. Opens nothing (``open`` does)."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ..errors import BadRequest, SourceError
from ..metadata.decoded import LARGEST, most_stored
from ..metadata.hierarchy import ROOTS, read_hierarchy
from ..metadata.layout import item_bytes
from ..parallel import each
from ..storage.location import StoreUrl, parse_store
from ..storage.objects import ReadableObjects
from ..storage.remote import RemoteObject
from ..storage.remote_urls import has_pattern, shown_url
from ..storage.source_access import SourceReach
from .declared import Declared, NotRegular, not_regular, open_regular, outside, parse_follow
from .expand import expand
from .found import HDF5, digest_of, find_url
from .local_file import SourceFile
from .netcdf3 import MAGIC, is_classic, required_size
from .urls import LIST_LIMIT, WEB, check_source_url, is_list, read_list
from .web import web_listing
from .zarr_folder import SourceFolder, local_folder

_WEB_URLS = tuple(f"{scheme}://" for scheme in WEB)


@dataclass(frozen=True)
class Item:
    """One file, or one Zarr store (a folder, or the objects of a bucket)."""

    kind: Literal["netcdf", "zarr"]
    place: str  # a path, or an s3:// or https:// URL
    objects: ReadableObjects | None = None  # for a Zarr store
    declared: Declared | None = field(default=None, compare=False)  # all that may be read, for a file
    parts: tuple[str, ...] = ()  # real paths of the files that this one leads to, as far as ``follow`` declares them
    remote: RemoteObject | None = field(default=None, compare=False)  # for a file that is not on this host
    url: str = field(default="", repr=False)  # of what is not on this host, with what nobody may see
    endpoint: str = ""  # of a bucket

    @property
    def name(self) -> str:
        """The last part of the place: what the manifest keeps, so that no path of this machine gets published."""
        return self.place.rstrip("/").rpartition("/")[2]


@dataclass(frozen=True)
class Stat:
    """An item as it stands now: size in bytes and newest mtime in ns; ``digest`` of its contents once it was taken."""

    name: str
    size: int
    mtime_ns: int
    digest: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the manifest."""
        return asdict(self)


def find_source(source: Sequence[str], reach: SourceReach, follow: Sequence[str] = ()) -> tuple[Item, ...]:
    """The items that the paths, globs and URLs of a request name; raises SourceError where one is missing or is something else.

    ``reach`` opens buckets and web servers; ``follow`` are folders that links may lead to.
    """
    named: list[Item | str] = []
    folders = parse_follow(follow)
    for text in source:
        if "://" in text:
            named.extend(_urls(text, reach, folders))
        else:
            for path in _paths(text, folders):
                named.extend(_item_or_list(path, reach, folders))
    items = _opened(named, reach)
    if not items:
        raise BadRequest("source is empty: name a file, a glob, a URL, or a Zarr store.")
    if len(items) > 1 and any(item.kind == "zarr" for item in items):
        raise BadRequest("source holds a Zarr store beside others: several sources have to be NetCDF files. Name one store.")
    _refuse_twice(items)
    return _declare(items, folders)


def find_again(items: Sequence[Item], reach: SourceReach) -> tuple[Item, ...]:
    """The items as they stand now: of files that are not on this host each is asked for once more, several at a time."""
    named: list[Item | str] = [item.url if item.remote else item for item in items]
    return _opened(named, reach)


def _opened(named: Sequence[Item | str], reach: SourceReach) -> tuple[Item, ...]:
    """The items with what the URLs among them lead to, which are asked several at a time."""
    urls = [name for name in named if isinstance(name, str)]
    if not urls:
        return tuple(item for item in named if isinstance(item, Item))
    found = each(partial(_remote_item, reach=reach), urls, reach.source_access.concurrency)
    return tuple(next(found) if isinstance(name, str) else name for name in named)


def _remote_item(url: str, reach: SourceReach) -> Item:
    found = find_url(url, reach)
    place, endpoint = shown_url(url), reach.source_endpoint if url.startswith("s3://") else ""
    if found.objects is not None:
        return Item("zarr", place, found.objects, url=url, endpoint=endpoint)
    return Item("netcdf", place, remote=found.remote, url=url, endpoint=endpoint)


def _refuse_twice(items: Sequence[Item]) -> None:
    """Raises SourceError for a file that is there twice, also by two URLs that differ in their signatures."""
    seen: set[tuple[str, Any]] = set()
    for item in items:
        known = item.remote.version if item.remote else None
        key = (item.place, (known.size, known.etag) if known and known.etag else item.url)
        if key in seen:
            raise SourceError(f"source names {item.place} twice. Name each file once.", source=item.place)
        seen.add(key)


def _declare(items: Sequence[Item], folders: tuple[str, ...]) -> tuple[Item, ...]:
    """The items with all that may be read for them; with the files that they lead to, where ``follow`` lets them lead anywhere.

    Else they lead at most to one another. That is found when they are opened: to say that nothing has changed takes no library.
    """
    files = [item.place for item in items if item.kind == "netcdf" and item.remote is None]
    declared = Declared((*(os.path.realpath(path) for path in files), *folders))
    found = tuple(replace(item, declared=declared) if item.kind == "netcdf" else item for item in items)
    return tuple(replace(item, parts=_parts(item)) for item in found) if folders else found


def _parts(item: Item) -> tuple[str, ...]:
    """What a file leads to: its contents belong to the source, too."""
    if item.kind != "netcdf" or item.remote or item.declared is None or is_classic(SourceFile.look(item.place, item.declared)):
        return ()
    from .hdf5_links import check_leads

    return check_leads(item.place, item.declared)


def check_apart(items: Sequence[Item], destination: StoreUrl, endpoint: str = "") -> None:
    """Raises BadRequest where the source lies inside the destination, at ``endpoint``, or the other way round."""
    for item in items:
        if item.remote and not item.place.startswith("s3://"):
            continue
        place = item.objects.place if item.objects else parse_store(item.place, "source")
        if place.bucket != destination.bucket or (item.endpoint and endpoint and item.endpoint.rstrip("/") != endpoint.rstrip("/")):
            continue
        own, other = _absolute(place), _absolute(destination)
        if own == other or own in other.parents or other in own.parents:
            raise BadRequest(
                f"source '{item.place}' and store '{destination.url}' lie in one another: a write would read what it writes. "
                "Name another place for the store.",
                source=item.place,
                store=destination.url,
            )


def read_at_each_run(items: Sequence[Item]) -> list[str]:
    """The files of which nothing but their bytes tells whether they have changed."""
    return [item.place for item in items if item.remote and not item.remote.version.known]


def stat_items(items: Sequence[Item]) -> tuple[Stat, ...]:
    """Size and mtime of each item, without reading it."""
    return tuple(_stat(item) for item in items)


def take_digests(items: Sequence[Item], stats: Sequence[Stat], known: Sequence[Stat] = ()) -> tuple[Stat, ...]:
    """The stats with digests: from ``known`` (an earlier write) where name, size and mtime are the same, else by reading."""
    digests = {(stat.name, stat.size, stat.mtime_ns): stat.digest for stat in known if stat.mtime_ns}
    return tuple(
        Stat(stat.name, stat.size, stat.mtime_ns, digests.get((stat.name, stat.size, stat.mtime_ns)) or _digest(item))
        for item, stat in zip(items, stats, strict=True)
    )


def _urls(text: str, reach: SourceReach, folders: tuple[str, ...]) -> list[Item | str]:
    """What a URL names: items of this host, URLs of others."""
    scheme = check_source_url(text)
    if scheme == "file":
        return [_item(str(_absolute(parse_store(text, "source"))), folders)]
    return [*reach.remote.list(text)] if scheme == "s3" and has_pattern(text) else [text]


def _item_or_list(path: str, reach: SourceReach, folders: tuple[str, ...]) -> list[Item | str]:
    if not (path.lower().endswith(".txt") and Path(path).is_file() and is_list(path, _read(path, 0, 8))):
        return [_item(path, folders)]
    return [name for url in read_list(path, _read(path, 0, LIST_LIMIT + 1)) for name in _urls(url, reach, folders)]


def _paths(text: str, folders: tuple[str, ...]) -> list[str]:
    path = os.path.abspath(Path(text).expanduser())  # noqa: PTH100 - resolves '..' without following links
    if Path(path).exists() or not glob.has_magic(text):
        return [path]
    folder, found = expand(path)
    if not found:
        raise SourceError(f"source '{text}' matches no file. Check the pattern, and that the files are on this host.", source=text)
    within = Declared((os.path.realpath(folder), *folders))
    for match in found:
        real = os.path.realpath(match)
        if not within.holds(real):  # who names a link means what it leads to; who names a pattern does not know what matches
            raise outside(match, real, what="matches a pattern, and is a link that")
    return found


def _item(path: str, folders: tuple[str, ...]) -> Item:
    place = Path(path)
    if place.is_dir():
        objects = local_folder(parse_store(path, "source"), folders)
        if not any(objects.read(root) is not None for root in ROOTS):
            raise SourceError(f"source '{path}' is a folder without Zarr metadata. For the files in it write '{path}/*.nc'.", source=path)
        return Item("zarr", path, objects)
    try:
        magic = _read(path, 0, 8)
    except FileNotFoundError:
        raise SourceError(f"source '{path}' does not exist on this host.", source=path) from None
    except NotRegular as error:
        raise not_regular(path, error) from None
    except OSError as error:
        raise SourceError(f"source '{path}' cannot be read: {error.strerror}.", source=path) from None
    if magic[:4] in MAGIC:
        _check_length(place)
    elif magic != HDF5 and not _has_user_block(path):
        raise SourceError(f"source '{path}' is neither NetCDF nor HDF5: it begins with {magic!r}.", source=path)
    return Item("netcdf", path)


def _read(path: str, offset: int, size: int) -> bytes:
    file = open_regular(path)
    try:
        return os.pread(file, size, offset)
    finally:
        os.close(file)


def _check_length(path: Path) -> None:
    # The NetCDF library reads what a truncated classic file lacks as zeros, without a word.
    needed, size = required_size(path), path.stat().st_size
    if size < needed:
        raise SourceError(f"source '{path}' is truncated: {size} bytes, its header promises {needed}. Copy it again.", source=str(path))


def _has_user_block(path: str) -> bool:
    # HDF5 may begin after a block of the user's own, at 512, 1024, 2048 … bytes.
    return any(_read(path, 2**power, 8) == HDF5 for power in range(9, 20))


def _absolute(place: StoreUrl) -> Path:
    if place.parent is None:
        return Path("/", place.key)
    return Path(os.path.realpath(place.parent / place.key))


def _stat(item: Item) -> Stat:
    if item.remote:
        return Stat(item.name, max(0, item.remote.version.size), 0)  # some servers do not tell
    if item.place.startswith(_WEB_URLS):
        return Stat(item.name, 0, 0)  # the digest asks for each object
    if item.objects and item.objects.place.bucket:
        return Stat(item.name, sum(info.size for info in item.objects.list(item.objects.place.key)), 0)
    try:
        entries = [os.stat(path) for _unused, path in _files(item)]  # noqa: PTH116 - many, as text
    except OSError as error:
        raise SourceError(f"source '{item.place}' cannot be read: {error.strerror}.", source=item.place) from None
    return Stat(item.name, sum(entry.st_size for entry in entries), max((entry.st_mtime_ns for entry in entries), default=0))


def _files(item: Item) -> Iterator[tuple[str, str]]:
    """What each file of an item is called in it, and its path."""
    if isinstance(item.objects, SourceFolder):
        yield from item.objects.files()
        return
    yield "", item.place
    yield from ((part, part) for part in item.parts)


def _digest(item: Item) -> str:
    if item.remote:
        return digest_of(item.remote)
    if item.kind == "netcdf" and not item.parts:
        return _file_digest(item.place)
    digest = hashlib.blake2b(digest_size=20)
    if isinstance(item.objects, SourceFolder):
        _check_sizes(item.objects)
    if item.objects and item.objects.place.bucket:
        listing = web_listing(item.objects) if item.place.startswith(_WEB_URLS) else item.objects.list(item.objects.place.key)
        for info in sorted(listing, key=lambda info: info.key):
            digest.update(f"{info.key.removeprefix(item.objects.place.key)}\0{info.size}\0{info.etag}\0".encode())
        return digest.hexdigest()
    for name, path in _files(item):
        digest.update(f"{name}\0{_file_digest(path)}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _check_sizes(folder: SourceFolder) -> None:
    """Raises SourceError for a file that is larger than its array can make it: to read one with a hole in it has no end."""
    sizes = {info.key.removeprefix(f"{folder.place.key}/"): info.size for info in folder.list(folder.place.key)}
    tree = read_hierarchy(folder.read, list(sizes))
    most = {path: most_stored(layout, item_bytes(layout)) for path, layout in tree.arrays.items()} if tree else {}
    for key, size in sizes.items():
        owner = tree.owner(key) if tree else None
        limit = most[owner.path] if owner is not None and owner.coordinates_of(key) is not None else LARGEST
        if size > limit:
            place = f"{folder.folder}/{key}"
            what = "its array announces no more than" if limit != LARGEST else "what belongs to no array may have"
            raise SourceError(f"source '{place}' has {size} bytes, and {what} {limit}. The store is damaged, or holds more.", source=place)


def _file_digest(path: str) -> str:
    """Of the bytes that it had when it was opened: one that grows without end has no other."""
    try:
        descriptor = open_regular(path)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            size, digest = os.fstat(descriptor).st_size, hashlib.blake2b(digest_size=20)
            while size and (data := file.read(min(size, 2**20))):
                digest.update(data)
                size -= len(data)
            return digest.hexdigest()
    except NotRegular as error:
        raise not_regular(path, error) from None
    except OSError as error:
        raise SourceError(f"source '{path}' cannot be read: {error.strerror}.", source=path) from None
