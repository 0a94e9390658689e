# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether values of two files are the same, or nearly, and how far they are apart. Large ones are compared a piece at a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

_TOGETHER = 2**24  # bytes in memory of each of the two


def apart(one: np.ndarray, two: np.ndarray) -> float:
    """The largest difference of two arrays: 0 where they are equal, infinity where they are no numbers or of other shapes."""
    import numpy as np

    if one is two:
        return 0.0
    if one.shape != two.shape:
        return math.inf
    if one.dtype.kind not in "iuf" or two.dtype.kind not in "iuf":
        return 0.0 if np.array_equal(one.astype(object), two.astype(object)) else math.inf
    if one.dtype == two.dtype and one.tobytes() == two.tobytes():
        return 0.0
    left, right = (values.astype("f8" if values.dtype.kind == "f" else values.dtype) for values in (one, two))
    if left.dtype.kind != "f" and right.dtype.kind != "f":
        left, right = left.astype(object), right.astype(object)  # no difference of two of them overflows
    # pylint: disable=comparison-with-itself
    missing = left != left  # NaN
    if (missing != (right != right)).any():
        return math.inf
    # pylint: enable=comparison-with-itself
    same = missing | (left == right)
    differences = np.abs(np.where(same, 0, left) - np.where(same, 0, right))
    return float(differences.max()) if differences.size else 0.0


def variables_apart(one: xr.Variable, two: xr.Variable) -> float:
    """As ``apart``, for variables that may be larger than memory."""
    if one.shape != two.shape or one.dims != two.dims:
        return math.inf
    rows = one.shape[0] if one.ndim else 1
    row = max(1, math.prod(one.shape[1:]) * max(one.dtype.itemsize, 8))
    step = max(1, _TOGETHER // row)
    if rows <= step:
        return apart(one.values, two.values)
    largest = 0.0
    for start in range(0, rows, step):
        part = slice(start, start + step)
        largest = max(largest, apart(one[part].values, two[part].values))
        if math.isinf(largest):
            break
    return largest
