# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Variables whose values are made of others' as they are read, block by block: nothing is held, and nothing is read twice for one block."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..compat import indexing

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

_CHUNKINGS = ("chunksizes", "chunks", "shards", "preferred_chunks", "original_shape")


def computed(like: xr.Variable, dtype: np.dtype, read: Callable[[tuple[slice, ...]], np.ndarray]) -> xr.Variable:
    """A variable with the dimensions, shape, attributes and encoding of another; ``read`` gives the values of a region."""
    from xarray import Variable

    data = indexing().LazilyIndexedArray(_class()(like.shape, dtype, read))
    return Variable(like.dims, data, dict(like.attrs), dict(like.encoding))


def transposed(variable: xr.Variable, dims: tuple[str, ...]) -> xr.Variable:
    """With its dimensions in another order. xarray alone would read such a variable element by element."""
    places = [variable.dims.index(dim) for dim in dims]
    if places == list(range(variable.ndim)):
        return variable
    turned = _laid(variable, dims, places)

    def read(region: tuple[slice, ...]) -> np.ndarray:
        inner = tuple(region[places.index(axis)] for axis in range(variable.ndim))
        return variable[inner].values.transpose(places)

    return computed(turned, variable.dtype, read)


def _laid(variable: xr.Variable, dims: tuple[str, ...], places: list[int]) -> xr.Variable:
    """A stand-in without values that has the new shape, and the source's chunks in the new order."""
    import numpy as np
    from xarray import Variable

    empty = np.broadcast_to(np.zeros((), "b"), [variable.shape[place] for place in places])
    return Variable(dims, empty, dict(variable.attrs), with_chunks(variable.encoding, places))


def with_chunks(encoding: dict[Any, Any], places: list[int], shape: tuple[int, ...] | None = None) -> dict[Any, Any]:
    """An encoding whose lengths of chunks are those of these axes, none longer than ``shape`` where that is given."""
    changed = dict(encoding)
    for name in _CHUNKINGS:
        lengths = changed.get(name)
        if isinstance(lengths, tuple | list) and all(place < len(lengths) for place in places):
            picked = [lengths[place] for place in places]
            changed[name] = tuple(map(min, picked, [max(size, 1) for size in shape]) if shape is not None else picked)
        elif name == "preferred_chunks":
            changed.pop(name, None)
    return changed


@lru_cache(1)
def _class() -> Any:
    from xarray.backends import BackendArray

    index = indexing()

    class Computed(BackendArray):
        def __init__(self, shape: tuple[int, ...], dtype: np.dtype, read: Callable[[tuple[slice, ...]], np.ndarray]) -> None:
            self.shape, self.dtype, self.read = shape, dtype, read

        def __getitem__(self, key: Any) -> Any:
            return index.explicit_indexing_adapter(key, self.shape, index.IndexingSupport.BASIC, self._read)

        def _read(self, key: tuple[int | slice, ...]) -> Any:
            region = tuple(part if isinstance(part, slice) else slice(part, part + 1) for part in key)
            return self.read(region)[tuple(slice(None) if isinstance(part, slice) else 0 for part in key)]

    return Computed
