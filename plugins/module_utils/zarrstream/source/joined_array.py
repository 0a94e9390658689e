# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A variable that lies in many files, read piece by piece: what is asked for is read, from the files that have it, and no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..compat import indexing
from ..errors import SourceError, ZarrstreamError
from .hdf5_chunks import region_around

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr


@dataclass(frozen=True)
class Rows:
    """Where each step along the joined dimension comes from: the number of a piece, and the row in it."""

    piece: np.ndarray
    row: np.ndarray

    def runs(self, start: int, stop: int) -> Iterator[tuple[int, int, int, np.ndarray]]:
        """Piece, first row, row after the last, and the steps from ``start`` on that these rows are."""
        import numpy as np

        pieces, rows = self.piece[start:stop], self.row[start:stop]
        order = np.lexsort((rows, pieces))
        pieces, rows = pieces[order], rows[order]
        breaks = np.flatnonzero((np.diff(pieces) != 0) | (np.diff(rows) != 1)) + 1
        for low, high in zip([0, *breaks], [*breaks, len(rows)], strict=True):
            if high > low:
                yield int(pieces[low]), int(rows[low]), int(rows[high - 1]) + 1, order[low:high]


@dataclass(frozen=True)
class Pieces:
    """The variables to join, all of the same other lengths, and the paths of their files, for messages."""

    name: str
    variables: Sequence[xr.Variable]
    paths: Sequence[str]
    new: bool  # they lack the dimension: each is one row

    def read(self, piece: int, region: tuple[slice, ...], axis: int) -> np.ndarray:
        """A region of one of them; raises SourceError."""
        variable = self.variables[piece]
        part = variable[tuple(each for number, each in enumerate(region) if not self.new or number != axis)]
        try:
            values: np.ndarray = part.data.compute(scheduler="single-threaded") if part.chunks is not None else part.values
        except ZarrstreamError:
            raise
        except Exception as error:  # noqa: BLE001 - codecs raise anything for damaged bytes
            said = str(error) or type(error).__name__
            text = f"source {self.paths[piece]}: '{self.name}' cannot be read: {said}. The file is damaged, or its codec is missing here."
            raise SourceError(text, variable=self.name, files=[self.paths[piece]]) from None
        return values[(slice(None),) * axis + (None,)] if self.new else values


def joined_variable(pieces: Pieces, dim: str, rows: Rows) -> xr.Variable:
    """The pieces as one variable along ``dim``, the first one where they lack it; described as the first piece."""
    import xarray as xr

    first = pieces.variables[0]
    dims = (dim, *first.dims) if pieces.new else first.dims
    axis = dims.index(dim)
    shape = tuple(len(rows.row) if name == dim else first.sizes[name] for name in dims)
    dtype = _common_type([variable.dtype for variable in pieces.variables])
    encoding = dict(first.encoding)
    if pieces.new and encoding.get("chunksizes"):
        encoding["chunksizes"] = (1, *encoding["chunksizes"])
    data = indexing().LazilyIndexedArray(_joined_array(pieces, rows, axis, shape, dtype))
    return xr.Variable(dims, data, dict(first.attrs), encoding)


def _common_type(types: Sequence[np.dtype]) -> np.dtype:
    """The type that holds all: text of fixed width gets as wide as the widest."""
    import numpy as np

    kinds = {dtype.kind for dtype in types}
    if kinds <= {"O", "T", "U"} and kinds != {"U"}:
        return np.dtype(object)
    return types[0] if len(set(types)) == 1 else np.result_type(*types)


def _joined_array(pieces: Pieces, rows: Rows, axis: int, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    import numpy as np
    from xarray.backends import BackendArray

    index = indexing()

    class JoinedArray(BackendArray):
        def __init__(self) -> None:
            self.shape, self.dtype = shape, dtype

        def __getitem__(self, key: Any) -> Any:
            return index.explicit_indexing_adapter(key, shape, index.IndexingSupport.BASIC, self._read)

        def _read(self, key: tuple[int | slice, ...]) -> Any:
            region, rest = region_around(key, shape)
            return self._region(tuple(slice(*part) for part in region))[rest]

        def _region(self, region: tuple[slice, ...]) -> np.ndarray:
            values = np.empty([part.stop - part.start for part in region], dtype)
            for piece, low, high, steps in rows.runs(region[axis].start, region[axis].stop):
                block = pieces.read(piece, (*region[:axis], slice(low, high), *region[axis + 1 :]), axis)
                if len(steps) == values.shape[axis] and block.dtype == dtype and (np.diff(steps) == 1).all():
                    return block  # all of it from one file: nothing to lay together
                values[(slice(None),) * axis + (steps,)] = block
            return values

    return JoinedArray()
