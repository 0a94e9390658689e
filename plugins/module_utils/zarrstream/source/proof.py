# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether values are read to prove what was written: by another library than the one that read them for that, where there are two.

A fault of a library is the same fault when it reads once more. What a write reads of HDF5 past the library is proved by the NetCDF
library, and what it reads by that one is proved by h5py. Classic NetCDF and Zarr have no second reader.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_PROVING: ContextVar[bool] = ContextVar("zarrstream_proving", default=False)


def proving() -> bool:
    """Whether this thread reads for a proof."""
    return _PROVING.get()


@contextmanager
def another_reader() -> Iterator[None]:
    """Within it this thread reads for a proof."""
    token = _PROVING.set(True)
    try:
        yield
    finally:
        _PROVING.reset(token)
