# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How the values of a NetCDF-4 or HDF5 file are read: past the library, by the NetCDF library, or by h5py; each as far as the file goes.

A variable may end before its unlimited dimension does, and chunks may have been reserved and never written. With several unlimited
dimensions the NetCDF library gives what lies in memory by chance there, and HDF5 does for chunks that are not to be filled. So the
extent of each data set is asked for, and all beyond it, and what was never written, is the fill value: the variable's own, or NetCDF's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from ..compat import indexing, lazy_array
from ..planning.chunking import Region, Shape
from .fetching import WINDOW
from .hdf5 import visit
from .hdf5_chunks import TROUBLE, Chunked, chunk_table, plain_numbers, readable, region_around, shown_name
from .input_file import Incomplete, InputFile
from .laid import Laid
from .proof import proving

if TYPE_CHECKING:
    import numpy as np

_REFERENCE = 16  # bytes that a string of any length has in its place: how long it is, and where it lies


@dataclass
class DataSet:
    """A data set of numbers or text: its own ``shape``, ``past`` where it is read past the library, ``holes`` where HDF5 fills nothing.

    ``laid`` says where values of a file that is not complete lie, whoever reads them; ``empty`` that nothing of it was ever written,
    and that HDF5 fills nothing either; ``text`` that it holds strings of any length.
    """

    file: InputFile
    name: str
    shape: Shape
    past: Chunked | Laid | None = None
    holes: Chunked | None = None
    laid: Chunked | Laid | None = None
    empty: bool = False
    text: bool = False

    def by_h5py(self, region: Region, library: Any = None) -> np.ndarray:
        """The values of a region within its shape, as h5py reads them; raises one of TROUBLE. ``library`` is a lock."""
        import numpy as np

        places = self.laid.places(region, library) if self.laid and not self.file.complete else []
        if sum(size for _unused, size in places) > WINDOW and (halves := self._halved(region)):
            axis, parts = halves
            return np.concatenate([self.by_h5py(part, library) for part in parts], axis)
        with self.file.hdf5(places) as file:
            found = file[self.name]
            return np.asarray((found.asstr("utf-8", "replace") if self.text else found)[tuple(slice(*part) for part in region)])

    def _halved(self, region: Region) -> tuple[int, tuple[Region, Region]] | None:
        """A region in two, along its first dimension that has more than one chunk in it; None where there is none."""
        for axis, (start, stop) in enumerate(region):
            step = self.laid.chunks[axis] if isinstance(self.laid, Chunked) else 1
            middle = -(-((start + stop) // 2) // step) * step
            if start < middle < stop:
                return axis, ((*region[:axis], (start, middle), *region[axis + 1 :]), (*region[:axis], (middle, stop), *region[axis + 1 :]))
        return None

    def by_another(self, region: Region, library: Any) -> np.ndarray:
        """The values of a region of a file that is not complete, past the code of ``past`` where there is other code."""
        return self.past.read(region, library) if isinstance(self.past, Laid) and self.past.classic else self.by_h5py(region, library)


def find_data_sets(source: InputFile) -> dict[str, DataSet]:
    """The data sets of a file that h5py and the NetCDF library both read, by the path that NetCDF gives them."""
    import h5py

    found: dict[str, DataSet] = {}
    past = False

    def look(name: str, node: Any) -> None:
        data = _data_set(source, name, node, past=past) if isinstance(node, h5py.Dataset) else None
        if data:
            shown = shown_name(name)
            found[shown] = data if shown != name else found.get(shown, data)  # a variable may have the name of a dimension beside it

    with suppress(OSError, RuntimeError), source.hdf5() as file:
        past = file.userblock_size == 0 and hasattr(h5py.h5d.DatasetID, "chunk_iter")  # which HDF5 has since 1.12.3
        visit(file, look)
    return found


def _data_set(source: InputFile, name: str, node: Any, *, past: bool) -> DataSet | None:
    import h5py

    kind = node.id.get_type()
    text = kind.get_class() == h5py.h5t.STRING
    if node.shape is None or kind.get_class() not in (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.ENUM, h5py.h5t.STRING):
        return None
    if text and not kind.is_variable_str() and kind.get_size() != 1:
        return None  # of a fixed length, which NetCDF has none of
    data = DataSet(source, name, node.shape, text=text and kind.is_variable_str())
    how = node.id.get_create_plist()
    unfilled = how.get_fill_time() == h5py.h5d.FILL_TIME_NEVER or how.fill_value_defined() == h5py.h5d.FILL_VALUE_UNDEFINED
    if how.get_layout() != h5py.h5d.CHUNKED:
        if past and not source.complete and how.get_layout() == h5py.h5d.CONTIGUOUS:
            data.laid = _laid(source, node)
            data.past = data.laid if plain_numbers(kind) else None
        data.empty = unfilled and how.get_layout() == h5py.h5d.CONTIGUOUS and not how.get_external_count() and node.id.get_offset() is None
    elif past and node.shape:
        data.past = chunked = readable(source, name, node)
        if chunked is not None and unfilled and how.fill_value_defined() != h5py.h5d.FILL_VALUE_USER_DEFINED:
            chunked.fill = None  # which no reader has ever seen
        table = chunked or (chunk_table(source, name, node) if unfilled or not source.complete else None)
        data.holes = table if unfilled else None
        data.laid = table
    return data


def _laid(source: InputFile, node: Any) -> Laid | None:
    """Where values without chunks lie; None where none were written."""
    import h5py
    import numpy as np

    kind, offset = node.id.get_type(), node.id.get_offset()
    if offset is None or node.id.get_create_plist().get_external_count():
        return None
    size = _REFERENCE if kind.get_class() == h5py.h5t.STRING and kind.is_variable_str() else kind.get_size()
    dtype = kind.dtype if plain_numbers(kind) else np.dtype((np.void, size))
    return Laid(source, offset, node.shape, dtype, math.prod(node.shape[1:]) * dtype.itemsize)


class Reading:
    """The values of one variable, as far as its data set goes; ``library`` reads a region by the NetCDF library, whose lock is ``lock``."""

    def __init__(self, data: DataSet, variable: tuple[Shape, np.dtype], library: Callable[[Region], Any], lock: Any, fill: Any) -> None:
        self.data, self.library, self.lock, self.fill = data, library, lock, fill
        self.shape, self.dtype = variable

    def region(self, region: Region) -> Any:
        """The values of a region of the variable."""
        import numpy as np

        inside = tuple((min(start, size), min(stop, size)) for (start, stop), size in zip(region, self.data.shape, strict=True))
        if inside == region and not self.data.empty:
            return self._within(region).astype(self.dtype, copy=False)
        values = np.full([stop - start for start, stop in region], self.fill, self.dtype)
        if not self.data.empty and all(start < stop for start, stop in inside):
            values[tuple(slice(0, stop - start) for start, stop in inside)] = self._within(inside)
        return values

    def _within(self, region: Region) -> Any:
        with suppress(*TROUBLE):  # what the NetCDF library reads counts, and its words about damage
            if self.data.past and not proving():
                return self.data.past.read(region, self.lock)
            if proving() and not self.data.past:
                return self._filled(region, self.data.by_h5py(region, self.lock))
        try:
            return self._filled(region, self.library(region))
        except TROUBLE:
            with suppress(*TROUBLE):  # h5py has filters that the NetCDF library lacks
                return self._filled(region, self.data.by_h5py(region, self.lock))
            raise

    def _filled(self, region: Region, values: Any) -> Any:
        """With the fill value where nothing was ever written, and HDF5 gives what is there by chance."""
        holes = self.data.holes
        for outside in holes.unwritten(region, self.lock) if holes else ():
            values[outside] = self.fill
        return values


@lru_cache(1)
def direct_store() -> Any:
    """The class of a NetCDF file for xarray whose ``data_sets``, as ``find_data_sets`` gave them, are read in the ways of this module."""
    from xarray import Variable
    from xarray.backends import BackendArray, NetCDF4DataStore

    index = indexing()

    class DirectArray(BackendArray):
        def __init__(self, reading: Reading) -> None:
            self.reading, self.shape, self.dtype = reading, reading.shape, reading.dtype

        def __getitem__(self, key: Any) -> Any:
            return index.explicit_indexing_adapter(key, self.shape, index.IndexingSupport.BASIC, self._read)

        def _read(self, key: tuple[int | slice, ...]) -> Any:
            region, rest = region_around(key, self.shape)
            return self.reading.region(region)[rest]

    class DirectStore(NetCDF4DataStore):
        data_sets: Mapping[str, DataSet] = {}
        complete = True  # whether the library may be asked for values

        def open_store_variable(self, name: str, var: Any) -> Any:
            variable = super().open_store_variable(name, var)
            data, safe = self.data_sets.get(f"{var.group().path}/{name}".lstrip("/")), lazy_array(variable)
            if data is None or safe is None or not _fit(data, safe):
                if self.complete:
                    return variable
                raise Incomplete(f"only the NetCDF library reads '{name}'")
            library = partial(_by_library, safe) if self.complete else partial(data.by_another, library=self.lock)
            fill = _fill_value(variable.attrs.get("_FillValue"), safe.dtype)
            if isinstance(data.past, Chunked) and data.past.fill is None:
                data.past.fill = fill
            reading = Reading(data, (safe.shape, safe.dtype), library, self.lock, fill)
            if not self.complete:
                variable.encoding["scratch"] = safe.dtype.itemsize  # bytes of an element as they were fetched
            return Variable(variable.dims, index.LazilyIndexedArray(DirectArray(reading)), variable.attrs, variable.encoding)

    return DirectStore


def _by_library(safe: Any, region: Region) -> Any:
    return safe[indexing().BasicIndexer(tuple(slice(*part) for part in region))]


def _fit(data: DataSet, safe: Any) -> bool:
    """Whether the NetCDF library takes a data set for what HDF5 does."""
    same = data.past is None or data.past.dtype.newbyteorder("=") == safe.dtype.newbyteorder("=")
    several = len(safe.shape) > 0 or not data.file.complete
    return len(data.shape) == len(safe.shape) and several and all(map(int.__le__, data.shape, safe.shape)) and same


def _fill_value(own: Any, dtype: np.dtype) -> Any:
    """What NetCDF reads where nothing was written: the variable's own fill value, or that of its type."""
    import netCDF4
    import numpy as np

    if dtype.kind == "O":
        return own if isinstance(own, str) else ""
    with suppress(ValueError, TypeError, OverflowError, IndexError):
        if own is not None:
            return np.asarray(own).astype(dtype).reshape(-1)[0]
    return netCDF4.default_fillvals.get(dtype.str[1:], b"" if dtype.kind == "S" else 0)
