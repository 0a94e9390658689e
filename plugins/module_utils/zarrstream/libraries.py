# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The libraries of a node, and what is said where one is missing: they are imported where they are needed.

``roles/zarr_stack`` installs and proves what is listed here, ``pip`` what pyproject.toml has; ``tests/unit/kit/test_package.py`` compares.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import MissingLibrary

STORED = ("h5py", "netCDF4", "numcodecs", "numpy", "obstore", "xarray", "zarr", "zstandard")  # they have a part in a store's bytes
TASKS = tuple(sorted({*STORED, "boto3", "dask", "distributed", "h5netcdf", "s3fs"}, key=str.lower))  # what people's tasks import
NODE = (*TASKS, "aiobotocore", "configupdater", "zlib_ng")

# What one option or command alone needs, and not every environment has: which, what pip calls it, and another way.
_DASK = ("scheduler", "dask[distributed]", "run with the Python of the role zarr_stack")
_FOR_ONE = {"dask": _DASK, "distributed": _DASK, "shtab": ("completion", "shtab", "bring what it prints from a machine that has it")}


@contextmanager
def missing_libraries_named() -> Iterator[None]:
    """Turn an ImportError of what runs inside into MissingLibrary, which names the library and the interpreter."""
    try:
        yield
    except ImportError as error:
        library = (error.name or str(error)).partition(".")[0]
        raise MissingLibrary(
            f"Failed to import the required Python library ({library}) on {platform.node()}'s Python {sys.executable}. {_remedy(library)}",
            library=library,
            python=sys.executable,
        ) from None


def _remedy(library: str) -> str:
    if library in _FOR_ONE:
        user, name, else_ = _FOR_ONE[library]
        return f"Only '{user}' needs it: {sys.executable} -m pip install '{name}', or {else_}."
    return "Run the module with the Python of the role zarr_stack (ansible_python_interpreter), or install the library there."
