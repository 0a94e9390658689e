# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Classic NetCDF that is read by ranges: where its variables lie is in its header."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .hdf5_read import DataSet
from .input_file import Incomplete, InputFile
from .laid import Laid
from .netcdf3 import DAMAGED, Layout, Variable, layout_of

_SHORT = 2**14  # bytes of a row: to read such rows one by one takes longer than to read all that lies between them


def find_classic(file: InputFile) -> dict[str, DataSet]:
    """The variables of a file by their names; raises Incomplete where it is read better as a whole."""
    try:
        layout = layout_of(file)
    except DAMAGED:
        raise Incomplete("its header is damaged") from None
    rows = [variable.size for variable in layout.variables if variable.record]
    if layout.records is None:
        raise Incomplete("its header does not say how many records it has")
    if len(rows) > 1 and min(rows) < _SHORT and file.affordable:
        raise Incomplete("its records are short, and hold several variables each")
    return {found.name: found for found in (_data_set(file, layout, variable) for variable in layout.variables)}


def _data_set(file: InputFile, layout: Layout, variable: Variable) -> DataSet:
    import numpy as np

    name, dtype = variable.name.decode(errors="replace"), np.dtype(variable.dtype)
    shape = (layout.records or 0, *variable.shape[1:]) if variable.record else variable.shape
    stride = layout.stride if variable.record else variable.size // max(1, shape[0]) if shape else dtype.itemsize
    return DataSet(file, name, shape, past=Laid(file, variable.begin, shape, dtype, stride, classic=True))


def compare_classic(found: Any, data_sets: Mapping[str, DataSet]) -> None:
    """Raises Incomplete where the NetCDF library sees other variables in the header than were found there."""
    seen = {name: variable.shape for name, variable in found.variables.items()}
    if seen != {name: data.shape for name, data in data_sets.items()}:
        raise Incomplete("the NetCDF library takes its header for something else")
