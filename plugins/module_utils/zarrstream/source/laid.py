# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Numbers that lie in a file one after the other, without chunks: HDF5's contiguous data sets, and the variables of classic NetCDF."""

from __future__ import annotations

import itertools
import math
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..planning.chunking import Region, Shape
from .input_file import InputFile, Place

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Laid:
    """``stride`` is the bytes from one row of the first dimension to the next: in classic NetCDF other variables may lie in between.

    ``classic`` says that no other library reads them.
    """

    file: InputFile
    offset: int
    shape: Shape
    dtype: np.dtype
    stride: int
    classic: bool = False

    def read(self, region: Region, _library: Any = None) -> np.ndarray:
        """The values of a region; raises ValueError where the file ends before them."""
        import numpy as np

        places, size = self._runs(region)
        values = np.empty([stop - start for start, stop in region], self.dtype)
        runs = values.reshape(-1, size // self.dtype.itemsize) if places else values
        with closing(self.file.fetch(places)) as fetched:
            for number, data in fetched:
                if len(data) != size:
                    raise ValueError("the file ends within the values")
                runs[number] = np.frombuffer(data, self.dtype)
        return values

    def places(self, region: Region, _library: Any = None) -> list[Place]:
        """Where the values of a region lie."""
        return self._runs(region)[0]

    def _runs(self, region: Region) -> tuple[list[Place], int]:
        """Where what is wanted lies without a gap, in the order of the values, and the bytes of each such run."""
        if any(start >= stop for start, stop in region):
            return [], 0
        steps = [math.prod(self.shape[axis + 1 :]) * self.dtype.itemsize for axis in range(len(self.shape))]
        size = self.dtype.itemsize
        inner = len(self.shape)
        while inner and (inner > 1 or self.stride == steps[0]):
            inner -= 1
            start, stop = region[inner]
            size = (stop - start) * steps[inner]
            if (start, stop) != (0, self.shape[inner]):
                break
        steps[:1] = [self.stride] if steps else []
        base = self.offset + sum(region[axis][0] * steps[axis] for axis in range(inner, len(self.shape)))
        outer = [[number * steps[axis] for number in range(*region[axis])] for axis in range(inner)]
        return [(base + sum(each), size) for each in itertools.product(*outer)], size
