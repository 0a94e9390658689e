# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Blocks of a source as the values that get stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from ..errors import BadRequest
from ..planning.chunking import ArraySource, Region
from ..source.dataset import Source
from ..source.packing import SCRATCH, Packer
from .codecs import Encoding, rehearse

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr


class Encoder:
    """What turns blocks of a source into the values that get stored."""

    def __init__(self, source: Source, encodings: Mapping[str, Encoding]) -> None:
        self.source = source
        self.encodings = {name: encodings.get(name, Encoding(name)) for name in source.variables}
        self.packers = {
            name: Packer(name, source.variables[name], encoding.packing) for name, encoding in self.encodings.items() if encoding.packing
        }

    def values(self, name: str, region: Region) -> np.ndarray:
        """The stored values of a region; reads it from the source."""
        block = self.source.block(name, region)
        packer = self.packers.get(name)
        return packer.pack(block) if packer else block.values

    def arrays(self) -> list[ArraySource]:
        """What the planner needs to know: the source's arrays, with the dtype that gets stored."""
        return [self._as_stored(array) for array in self.source.arrays()]

    def _as_stored(self, array: ArraySource) -> ArraySource:
        packer = self.packers.get(array.name)
        if packer is None:
            return array
        dtype = packer.dtype
        return replace(array, dtype=str(dtype), itemsize=dtype.itemsize, scratch=array.scratch + 2 * array.itemsize + SCRATCH)

    def placeholder(self, name: str) -> xr.Variable:
        """A variable with the dtype and attributes of what gets stored, and no length in any dimension."""
        import numpy as np
        import xarray as xr

        variable, packer = self.source.variables[name], self.packers.get(name)
        dtype = packer.dtype if packer else self.source.stored_type(name)
        return xr.Variable(variable.dims, np.zeros((0,) * variable.ndim, dtype), packer.attrs if packer else variable.attrs)


def check_encodings(encoder: Encoder, names: Iterable[str], zarr_format: Literal[2, 3]) -> None:
    """Raises BadRequest where the codecs of one of these variables do not work on its type."""
    for name in names:
        encoding, dtype = encoder.encodings[name], encoder.placeholder(name).dtype
        if dtype.kind in "biufc":
            rehearse(encoding, dtype, zarr_format)
        elif encoding.filters:
            raise BadRequest(f"encoding.{name}.filters: '{name}' holds text ({dtype}), and these filters are for numbers.", variable=name)
