# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Chunks of HDF5 files, read past the HDF5 library, which lets one thread of a process work at a time.

The library says where the chunks lie; then each thread reads and decompresses its own, and Python's lock is open meanwhile.
Only numbers and well-known filters are read so. For all else, and for whatever looks odd in a chunk, the library is asked:
what it reads counts, and so do its words about damage.
"""

from __future__ import annotations

import itertools
import math
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..metadata.decoded import TooLarge, check_decoded
from ..planning.chunking import Region, Shape
from .input_file import InputFile, Place

if TYPE_CHECKING:
    import numpy as np

_DEFLATE, _SHUFFLE, _FLETCHER32, _ZSTD = 1, 2, 3, 32015  # numbers of filters as the HDF Group registers them
_CHECKSUM = 64  # bytes that several filters together may add to a chunk's values
_SLACK = 65_536  # bytes by which a filter may make a small chunk larger
_MOST_CHUNKS = 2**24  # of a table in memory, at 20 bytes each
_HIDDEN = "_nc4_non_coord_"  # so NetCDF names a variable that has the name of a dimension, and is not its coordinate
TROUBLE = (OSError, ValueError, RuntimeError, zlib.error, struct.error)  # what a damaged or strange chunk may raise


@dataclass
class Chunked:
    """An HDF5 data set in chunks: ``filters`` in the order in which they were applied, ``fill`` where a chunk was never written."""

    file: InputFile
    name: str
    shape: Shape
    chunks: Shape
    dtype: np.dtype
    filters: tuple[tuple[int, int], ...]  # number, and the size of an element for a shuffle
    fill: Any  # a single value; None where HDF5 has none, until somebody says what NetCDF takes
    _table: np.ndarray | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, region: Region, library: Any) -> np.ndarray:
        """The values of a region; ``library`` is a lock for the HDF5 library. Raises one of TROUBLE where it cannot be read so."""
        import numpy as np

        table = self._places(library)
        values = np.empty([stop - start for start, stop in region], self.dtype)
        largest = 2 * self._expected + _SLACK  # no filter makes more of it than that
        pieces, places = [], []
        for index, inside, outside in self._pieces(region):
            offset, size, mask = table[index].tolist()
            if size > largest:
                raise TooLarge(f"a chunk has {size} bytes, and its values {self._expected}")
            if size:
                pieces.append((mask, inside, outside))
                places.append((offset, size))
            else:
                values[outside] = self.fill
        with closing(self.file.fetch(places)) as fetched:
            for number, data in fetched:
                mask, inside, outside = pieces[number]
                if len(data) != places[number][1]:
                    raise ValueError("the file ends within a chunk")
                self._decode(data, mask, inside, values[outside])
        return values

    @property
    def _expected(self) -> int:
        """Bytes of a chunk without filters."""
        return math.prod(self.chunks) * self.dtype.itemsize

    def places(self, region: Region, library: Any) -> list[Place]:
        """Where the chunks of a region lie, as far as they are written and no larger than chunks can be."""
        table, largest = self._places(library), 2 * self._expected + _SLACK
        found = (table[index].tolist() for index, _inside, _outside in self._pieces(region))
        return [(offset, size) for offset, size, _mask in found if 0 < size <= largest]

    def unwritten(self, region: Region, library: Any) -> Iterator[tuple[slice, ...]]:
        """Where in a region chunks lie that were never written."""
        table = self._places(library)
        return (outside for place, _inside, outside in self._pieces(region) if not table[place]["size"])

    def _pieces(self, region: Region) -> Iterator[tuple[Shape, tuple[slice, ...], tuple[slice, ...]]]:
        """The chunks of a region by their place in the grid, what of each is in it, and where in it that lies."""
        axes = []
        for (start, stop), step in zip(region, self.chunks, strict=True):
            axis = []
            for number in range(start // step, -(-stop // step) if stop > start else 0):
                first, last = max(start, number * step), min(stop, (number + 1) * step)
                axis.append((number, slice(first - number * step, last - number * step), slice(first - start, last - start)))
            axes.append(axis)
        for parts in itertools.product(*axes):
            numbers, inside, outside = zip(*parts, strict=True)
            yield numbers, inside, outside

    def _decode(self, data: Any, mask: int, inside: tuple[slice, ...], values: np.ndarray) -> None:
        """Put what is ``inside`` a chunk into ``values``; a shuffled one that is wanted whole is unshuffled into them."""
        import numpy as np

        expected = self._expected
        steps = [step for position, step in enumerate(self.filters) if not mask >> position & 1]  # a set bit: stored without that filter
        while steps:
            number, element = steps.pop()
            last = number == _SHUFFLE and element > 1 and not steps
            if last and len(data) == expected == values.nbytes and expected % element == 0 and values.flags.c_contiguous:
                _unshuffle_into(element, data, values)
                return
            data = _undone(number, element, data, expected)
        values[...] = np.frombuffer(data, self.dtype).reshape(self.chunks)[inside]  # refuses any other length

    def _places(self, library: Any) -> np.ndarray:
        """Offset, size and filter mask of each chunk in the grid; size 0 for one that was never written."""
        import numpy as np

        with self._lock:
            if self._table is None:
                grid = [-(-size // step) for size, step in zip(self.shape, self.chunks, strict=True)]
                table = np.zeros(grid, [("offset", "u8"), ("size", "u8"), ("mask", "u4")])

                def note(chunk: Any) -> None:
                    place = tuple(start // step for start, step in zip(chunk.chunk_offset, self.chunks, strict=True))
                    table[place] = (chunk.byte_offset, chunk.size, chunk.filter_mask)

                with library, self.file.hdf5() as file:
                    file[self.name].id.chunk_iter(note)
                self._table = table
            return self._table


def shown_name(name: str) -> str:
    """The path that NetCDF gives a data set."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.removeprefix(_HIDDEN)}"


def readable(source: InputFile, name: str, dataset: Any) -> Chunked | None:
    """The data set, if all about it is well known."""
    import h5py

    kind, how = dataset.id.get_type(), dataset.id.get_create_plist()
    if not plain_numbers(kind) or how.get_layout() != h5py.h5d.CHUNKED or not dataset.shape:
        return None
    if any(number not in (_DEFLATE, _SHUFFLE, _FLETCHER32, _ZSTD) for number, *_unused in _filters(how)):
        return None
    return chunk_table(source, name, dataset)


def plain_numbers(kind: Any) -> bool:
    """Whether a type of HDF5 is one of numbers that numpy has as well, bit for bit."""
    import h5py

    return kind.get_class() in (h5py.h5t.INTEGER, h5py.h5t.FLOAT) and kind.equal(h5py.h5t.py_create(kind.dtype))


def chunk_table(source: InputFile, name: str, dataset: Any) -> Chunked | None:
    """Where the chunks of a data set lie, whether they can be read past the library or not; None where there are too many."""
    import h5py
    import numpy as np

    dtype, how = dataset.id.get_type().dtype, dataset.id.get_create_plist()
    grid = math.prod(-(-size // step) for size, step in zip(dataset.shape, dataset.chunks, strict=True))
    if grid > _MOST_CHUNKS:
        return None
    fill: Any = None
    if how.fill_value_defined() != h5py.h5d.FILL_VALUE_UNDEFINED and dtype.kind != "O":
        fill = np.zeros((), dtype)
        how.get_fill_value(fill)
    steps = tuple((number, parameters[0] if number == _SHUFFLE else 0) for number, _unused, parameters, _unused in _filters(how))
    return Chunked(source, name, dataset.shape, dataset.chunks, dtype, steps, fill)


def _filters(how: Any) -> list[Any]:
    return [how.get_filter(position) for position in range(how.get_nfilters())]


def inflate(data: Any, expected: int) -> bytes:
    """What was deflated; ``expected`` is its length. By zlib-ng where it is installed, in a fifth of zlib's time.

    Raises TooLarge where there is more than that, before it takes memory.
    """
    library = _zlib()
    try:
        whole = library.decompressobj()
        values = bytes(whole.decompress(data, expected + 1))
        ended = whole.eof
    except library.error as error:
        raise zlib.error(str(error)) from None
    if len(values) > expected:
        raise TooLarge(f"it decodes to more than the {expected} bytes that a chunk has")
    if not ended:
        raise zlib.error("the data end too early")
    return values


@lru_cache(1)
def _zlib() -> Any:
    try:
        from zlib_ng import zlib_ng
    except ImportError:
        return zlib
    return zlib_ng


def _undone(number: int, element: int, data: Any, expected: int) -> Any:
    """``data`` as it was before this filter; ``expected`` is the length of a chunk without filters."""
    if number == _DEFLATE:
        return inflate(data, expected + _CHECKSUM)
    if number == _SHUFFLE:
        return _unshuffled(element, data) if element > 1 else data
    if number == _FLETCHER32:
        from numcodecs import Fletcher32

        return Fletcher32().decode(data)
    from numcodecs import Zstd

    check_decoded("zstd", data, expected + _CHECKSUM)
    return Zstd().decode(data)


def _unshuffle_into(element: int, data: Any, values: np.ndarray) -> None:
    from numcodecs import Shuffle

    Shuffle(element).decode(data, out=values)


def _unshuffled(element: int, data: Any) -> Any:
    """Whole elements are shuffled, a rest stays at the end: NetCDF applies Fletcher32 first, whose four bytes may be one."""
    from numcodecs import Shuffle

    rest = len(data) % element
    if not rest:
        return Shuffle(element).decode(data)
    return bytes(Shuffle(element).decode(data[:-rest])) + bytes(data[-rest:])


def region_around(key: tuple[int | slice, ...], shape: Shape) -> tuple[Region, tuple[Any, ...]]:
    """The smallest region around a basic selection, and what to select of it."""
    region: list[tuple[int, int]] = []
    rest: list[Any] = []
    for wanted, size in zip(key, shape, strict=True):
        if isinstance(wanted, slice):
            numbers = range(size)[wanted]
            low, high = (min(numbers[0], numbers[-1]), max(numbers[0], numbers[-1]) + 1) if numbers else (0, 0)
            region.append((low, high))
            rest.append(slice(None, None, numbers.step))
        else:
            number = range(size)[wanted]
            region.append((number, number + 1))
            rest.append(0)
    return tuple(region), tuple(rest)
