# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether plain xarray opens a store: every group, decoded and not, by its consolidated metadata and without where these say anything
else, and of every variable the first and the last element. Documents come from memory, so that this can be asked before they are published.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ..compat import as_buffer, default_prototype, without_dask
from ..errors import Unreachable
from ..metadata.hierarchy import CONSOLIDATED, Hierarchy, folder_of, is_document, join
from ..storage.zarr_store import part_of, reading_store
from ..text import one_line

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import TypeAlias

    import xarray as xr
    from zarr.abc.buffer import Buffer, BufferPrototype
    from zarr.abc.store import ByteRequest, Store

    Get: TypeAlias = Callable[[str, BufferPrototype, ByteRequest | None], Awaitable[Buffer | None]]

_INDEXED = 2**20  # coordinates of dimensions that are loaded whole, as xarray does; longer ones only at their ends
_TIMES: dict[str, Any] = {"decode_times": False, "decode_timedelta": False}


@dataclass
class Opened:
    """What was found: ``problems`` by path of a variable or group, and ``times``, of those that open but as plain numbers."""

    problems: dict[str, str] = field(default_factory=dict)
    times: dict[str, str] = field(default_factory=dict)


def open_plainly(tree: Hierarchy, get: Get | None, *, once: bool = False) -> Opened:
    """Open all of a hierarchy; ``get`` reads its other objects, as a store of Zarr does; without it there are none.

    ``once`` opens in one way, and takes times for numbers: values that are not there are none. Raises Unreachable; whatever else goes
    wrong is found.
    """
    found = Opened()
    documents = {key: tree.raw[key] if key in tree.raw else json.dumps(document).encode() for key, document in tree.documents.items()}
    flags = [True] if _says_all(tree) else [True, False] if "" in tree.consolidated else [False]
    ways: list[dict[str, Any]] = [{"consolidated": flag} for flag in flags] + [{"consolidated": flags[0], "decode_cf": False}]
    ways = [{**ways[0], **_TIMES}] if once else ways
    for path in sorted(tree.groups):
        names = {name.rpartition("/")[2]: name for name in tree.arrays if folder_of(name) == path}
        indexed = sum(max(tree.arrays[name].shape, default=0) for name in names.values()) <= _INDEXED
        options = {"engine": "zarr", "chunks": None, "cache": False, "group": path or None, "zarr_format": tree.zarr_format}
        for way in ways:
            # Values that the first way has read and decoded, and what an index is made of, are the same in all.
            first = way is ways[0]
            _Way(documents, get, {**options, "create_default_indexes": indexed and first, **way}, path, names, found).go(touch=first)
    return found


def _says_all(tree: Hierarchy) -> bool:
    """Whether the consolidated metadata are the documents themselves, so that xarray makes the same of both."""
    others = {key: document for key, document in tree.documents.items() if key != CONSOLIDATED[tree.zarr_format]}
    return tree.consolidated.get("") == others


def open_lazily(tree: Hierarchy, get: Get) -> dict[str, xr.Variable]:
    """The variables of all groups by path, unpacked and masked, times as numbers, read where they are asked for.

    Raises whatever xarray and zarr raise.
    """
    import xarray as xr

    documents = {key: tree.raw[key] if key in tree.raw else json.dumps(document).encode() for key, document in tree.documents.items()}
    options = {"engine": "zarr", "chunks": None, "cache": False, "zarr_format": tree.zarr_format, "create_default_indexes": False, **_TIMES}
    store = _store(documents, get)
    found: dict[str, xr.Variable] = {}
    with warnings.catch_warnings(), without_dask():
        warnings.simplefilter("ignore")
        for path in sorted(tree.groups):
            dataset = xr.open_dataset(store, group=path or None, consolidated=False, **options)  # type: ignore[arg-type]
            found |= {join(path, str(name)): variable for name, variable in dataset.variables.items()}
    return found


@dataclass
class _Way:
    """One way to open one group, whose variables are ``names``, with their paths."""

    documents: Mapping[str, bytes]
    get: Get | None
    options: Mapping[str, Any]
    path: str
    names: Mapping[str, str]
    found: Opened

    def go(self, *, touch: bool) -> None:
        with warnings.catch_warnings(), without_dask():
            warnings.simplefilter("ignore")
            dataset = self._open()
            for name, variable in dataset.variables.items() if dataset is not None and touch else ():
                self._blame(self.names.get(str(name), str(name)), partial(_touch, variable), partial(self._touch_again, str(name)))

    def _again(self, names: Collection[str] | None = None, **options: Any) -> xr.Dataset:
        """The group, or of its variables these alone, as the consolidated metadata cannot have it."""
        import xarray as xr

        if names is None:
            return xr.open_dataset(_store(self.documents, self.get), **{**self.options, **options})  # type: ignore[arg-type]
        left_out = {path for name, path in self.names.items() if name not in names}
        documents = {key: data for key, data in self.documents.items() if folder_of(key) not in left_out}
        return xr.open_dataset(_store(documents, self.get), **{**self.options, **options, "consolidated": False})  # type: ignore[arg-type]

    def _touch_again(self, name: str) -> None:
        _touch(self._again([name], **_TIMES)[name].variable)

    def _open(self) -> xr.Dataset | None:
        """The group, without what does not open."""
        try:
            return self._again()
        except Exception as error:  # noqa: BLE001 - xarray and zarr raise anything
            _raise_unreachable(error)
        bad = {
            name
            for name, path in self.names.items()
            if self._blame(path, partial(self._again, [name]), partial(self._again, [name], **_TIMES))
        }
        if not bad:  # what xarray makes of several together, such as the units of times for their bounds
            self._blame(self.path or "/", self._again, partial(self._again, **_TIMES))
        rest = self.names.keys() - bad
        plainly: Callable[[], xr.Dataset] = partial(self._again, rest, **_TIMES)
        for again in (partial(self._again, rest), plainly):
            try:
                return again()
            except Exception as error:  # noqa: BLE001 - as above
                _raise_unreachable(error)
        return None

    def _blame(self, where: str, act: Callable[[], object], plainly: Callable[[], object]) -> bool:
        """Whether something about a variable does not work; it is noted, with its times alone where all else works."""
        try:
            act()
        except Exception as error:  # noqa: BLE001 - as above
            _raise_unreachable(error)
            reason = one_line(error)
            try:
                plainly()
            except Exception as other:  # noqa: BLE001 - as above
                _raise_unreachable(other)
                self.found.problems.setdefault(where, reason)
            else:
                self.found.times.setdefault(where, reason)
            return True
        return False


def _touch(variable: xr.Variable) -> None:
    """Load the first and the last element, together where they are in one object. What has an index is loaded whole already."""
    import xarray as xr

    if isinstance(variable, xr.IndexVariable) or 0 in variable.shape:
        return
    lengths = variable.encoding.get("shards") or variable.encoding.get("chunks") or variable.shape
    if all(map(int.__le__, variable.shape, lengths)):
        variable[tuple(slice(0, None, max(1, size - 1)) for size in variable.shape)].load()
        return
    for place in (tuple(0 for _size in variable.shape), tuple(size - 1 for size in variable.shape)):
        variable[place].load()


def _raise_unreachable(error: BaseException) -> None:
    """Zarr reads several objects side by side, and may raise a group."""
    if isinstance(error, Unreachable):
        raise error
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            _raise_unreachable(inner)


def _store(documents: Mapping[str, bytes], read: Get | None) -> Store:
    class OpenedStore(reading_store()):  # type: ignore[misc]
        async def get(self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None) -> Buffer | None:
            data = documents.get(key)
            if data is not None:
                return as_buffer(data[slice(*part_of(byte_range, len(data)))], prototype)
            if read is None or is_document(key):
                return None
            return await read(key, prototype or default_prototype(), byte_range)

        async def exists(self, key: str) -> bool:
            return key in documents

        async def list(self) -> AsyncIterator[str]:
            for key in documents:
                yield key

        async def list_dir(self, prefix: str) -> AsyncIterator[str]:
            inside = join(prefix.strip("/"), "")
            for name in dict.fromkeys(key.removeprefix(inside).partition("/")[0] for key in documents if key.startswith(inside)):
                yield name

    return OpenedStore(read_only=True)
