# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A Zarr store as a source. Its documents are read here first: what they announce bounds what is decoded, and nonsense in them is named."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..compat import default_prototype
from ..errors import SourceError, ZarrstreamError
from ..metadata.chunks import ChunkReader
from ..metadata.decoded import LARGEST, TooLarge, check_chunk, index_entries, index_place, inner_layout, most_stored
from ..metadata.hierarchy import ARRAY, Hierarchy, join, read_hierarchy
from ..metadata.layout import ArrayLayout, item_bytes
from ..storage.zarr_store import reading_store
from ..text import one_line
from .dataset import STORED
from .items import Item
from .zarr_folder import SourceFolder

if TYPE_CHECKING:
    import xarray as xr
    from zarr.abc.buffer import Buffer, BufferPrototype
    from zarr.abc.store import ByteRequest, Store


def open_zarr(item: Item, options: Mapping[str, Any]) -> tuple[xr.Dataset, dict[str, xr.Dataset]]:
    """The root and the groups below it, by path, opened with these options of xarray's. Raises SourceError."""
    import xarray as xr
    import zarr

    if item.objects is None:
        raise AssertionError("a Zarr item has its objects")
    tree = _read(item)
    store = bounded_store(item.objects.zarr_store(), tree.arrays, item.place)
    options = {"engine": "zarr", "cache": False, "create_default_indexes": False, **options}
    try:
        node = zarr.open(store, mode="r")
        if isinstance(node, zarr.Array):
            raise SourceError(f"source '{item.place}' is a single Zarr array without coordinates. Name the group that holds it.")
        paths = sorted(name for name, child in node.members(max_depth=None) if isinstance(child, zarr.Group))
        below = {path: xr.open_dataset(store, group=path, **options) for path in paths}  # type: ignore[arg-type]
        root = xr.open_dataset(store, **options)  # type: ignore[arg-type]
    except ZarrstreamError:
        raise
    except Exception as error:  # noqa: BLE001 - zarr raises whatever its metadata makes it raise
        document, problem = _culprit(tree)
        raise _refusal(item, document, problem or f"{type(error).__name__}: {one_line(error)}") from None
    for path, dataset in {"": root, **below}.items():
        for name, variable in dataset.variables.items():
            if (layout := tree.arrays.get(join(path, str(name)))) is not None:
                variable.encoding[STORED] = layout
    return root, below


def _read(item: Item) -> Hierarchy:
    """The documents of a source; raises SourceError for those that describe nothing that can be read."""
    objects = item.objects
    if objects is None:
        raise AssertionError("see above")
    root = objects.place.key

    def fetch(key: str) -> bytes | None:
        return objects.get(f"{root}/{key}")

    tree = read_hierarchy(fetch, None)
    if tree is not None and (isinstance(objects, SourceFolder) or ("" not in tree.consolidated and not item.place.startswith("http"))):
        tree = read_hierarchy(fetch, [info.key.removeprefix(f"{root}/") for info in objects.list(root)])
    if tree is None:
        raise SourceError(f"source '{item.place}' has no metadata any more. Is it being written?", source=item.place)
    problems = {**tree.bad_consolidated, **{key: text for key, text in tree.problems.items() if key not in tree.unknown}}
    for key, problem in sorted(problems.items()):
        raise _refusal(item, key, problem)
    for path, layout in sorted(tree.arrays.items()):
        while layout.inner_chunks is not None:
            layout = inner_layout(layout)
        size = _decoded(layout)
        if size > LARGEST and layout.count:
            key = join(path, ARRAY[tree.zarr_format])
            text = f"its chunks {list(layout.chunks)} take {size} bytes each when they are decoded: {LARGEST} are the most"
            raise _refusal(item, key, text)
    return tree


def _decoded(layout: ArrayLayout) -> int:
    size = item_bytes(layout) or 1
    for length, whole in zip(layout.chunks, layout.shape, strict=True):
        size *= length if whole else 0
    return size


def _refusal(item: Item, document: str, problem: str) -> SourceError:
    where = f" ({document})" if document else ""
    return SourceError(
        f"source '{item.place}' cannot be opened as Zarr{where}: {problem.rstrip('.')}. Is it complete? Else whoever wrote it has to say.",
        source=item.place,
        document=document,
    )


def _culprit(tree: Hierarchy) -> tuple[str, str]:
    """The document of the first array that zarr does not open, and why not; '' for none."""
    reader = ChunkReader(tree)
    for path, layout in sorted(tree.arrays.items()):
        if problem := reader.array_problem(layout):
            return join(path, ARRAY[tree.zarr_format]), problem
    return "", ""


def bounded_store(store: Store, arrays: Mapping[str, ArrayLayout], place: str, what: str = "source") -> Store:
    """A store whose chunks are looked at before Zarr decodes them. Raises SourceError for one that takes more than its array announces."""
    bounds = _Bounds(arrays, place, what)
    bounds.tell(store)

    class BoundedStore(reading_store()):  # type: ignore[misc]
        async def exists(self, key: str) -> bool:
            return await store.exists(key)

        async def list(self) -> AsyncIterator[str]:
            async for key in store.list():
                yield key

        async def list_dir(self, prefix: str) -> AsyncIterator[str]:
            async for name in store.list_dir(prefix):
                yield name

        async def get(self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None) -> Buffer | None:
            prototype = prototype or default_prototype()
            before = bounds.index_first(key, byte_range)
            if before is not None:
                await self.get(key, prototype, before)
            buffer: Buffer | None = await store.get(key, prototype, byte_range)
            if buffer is not None:
                bounds.check(key, memoryview(buffer.as_numpy_array()).cast("B"), byte_range)
            return buffer

    return BoundedStore(read_only=True)


class _Bounds:
    """What is known of the chunks of a store. Of a shard that is read in parts the index is needed, to know which part is which."""

    def __init__(self, arrays: Mapping[str, ArrayLayout], place: str, what: str) -> None:
        self.tree, self.place, self.what = Hierarchy(0, arrays=dict(arrays)), place, what
        self._indexes: dict[str, Sequence[tuple[int, int]]] = {}

    def most(self, key: str) -> int:
        """Bytes that an object can have."""
        layout = self._layout(key)
        return most_stored(layout, item_bytes(layout)) if layout is not None else LARGEST

    def tell(self, store: Store) -> None:
        """Let a store that reads from a server look at sizes before it reads."""
        if hasattr(store, "most"):
            store.most = self.most

    def index_first(self, key: str, wanted: ByteRequest | None) -> ByteRequest | None:
        """What has to be read of an object before a part of it; None for nothing."""
        layout = self._layout(key) if wanted is not None else None
        if layout is None or layout.inner_chunks is None or key in self._indexes:
            return None
        index = _index_request(layout)
        return None if index == wanted else index

    def check(self, key: str, data: memoryview, wanted: ByteRequest | None) -> None:
        """Raises SourceError for an object, or a part of one, that must not be decoded."""
        layout = self._layout(key)
        if layout is None:
            return
        try:
            if wanted is None:
                _check_whole(layout, data)
            elif layout.inner_chunks is not None:
                self._check_part(key, layout, data, wanted)
        except (TooLarge, ValueError) as error:
            text = f"{self.what} '{self.place}': '{key}' is not decoded: {error}. The store is damaged, or made to do harm."
            raise SourceError(text, source=self.place, key=key) from None

    def _layout(self, key: str) -> ArrayLayout | None:
        layout = self.tree.owner(key)
        return layout if layout is not None and layout.coordinates_of(key) is not None else None

    def _check_part(self, key: str, layout: ArrayLayout, data: memoryview, wanted: ByteRequest) -> None:
        from zarr.abc.store import RangeByteRequest

        if wanted == _index_request(layout):
            self._indexes[key] = tuple(index_entries(data[: index_place(layout)[2]]))
        elif isinstance(wanted, RangeByteRequest):
            inner, item = inner_layout(layout), item_bytes(layout)
            for start, stop in self._indexes.get(key, ()):
                if wanted.start <= start and stop <= wanted.end:
                    check_chunk(inner, data[start - wanted.start : stop - wanted.start], item)


def _index_request(layout: ArrayLayout) -> ByteRequest | None:
    """How Zarr asks for the index of a shard; None for one of a kind that is not known here."""
    from zarr.abc.store import RangeByteRequest, SuffixByteRequest

    where, whole, _unused = index_place(layout)
    if not whole:
        return None
    return RangeByteRequest(0, whole) if where == "start" else SuffixByteRequest(whole)


def _check_whole(layout: ArrayLayout, data: memoryview) -> None:
    item = item_bytes(layout)
    if len(data) > (most := most_stored(layout, item)):
        raise TooLarge(f"it has {len(data)} bytes, and its array announces no more than {most}")
    check_chunk(layout, data, item)
