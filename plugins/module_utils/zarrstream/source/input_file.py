# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the readers need of a NetCDF or HDF5 file, wherever it lies."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

IN_MEMORY = "in-memory.nc"  # so the NetCDF library calls what lies there
Place = tuple[int, int]  # where bytes lie in a file: offset and size


class Incomplete(Exception):
    """A file that is not complete cannot be read so; the text says why."""


class InputFile(Protocol):
    """A file that was found, and is that very file whenever it is read: all methods raise SourceError where it is another one by then.

    Safe from several threads. Two are the same where they are the same object, or equal.
    """

    @property
    def path(self) -> str:
        """What messages call it: its path, or its URL without what nobody may see."""

    @property
    def complete(self) -> bool:
        """Whether the NetCDF library reads values of what ``netcdf`` gives; else there are none, and it may be asked for none."""

    @property
    def affordable(self) -> bool:
        """Whether ``whole`` takes no more memory than there is for it, and no disk."""

    def head(self, size: int) -> bytes:
        """Its first bytes; fewer where it is shorter."""

    def fetch(self, places: Sequence[Place]) -> Generator[tuple[int, bytes]]:
        """The bytes of several places, each with its number among them, in whatever order suits the file; fewer where the file ends."""

    def searched(self) -> InputFile:
        """The file, after HDF5 in it was searched for what leads to other files; raises SourceError for what may not be read."""

    def netcdf(self) -> Any:
        """It as the NetCDF library opens it (a ``netCDF4.Dataset``). Raises what that raises where it is damaged, or no NetCDF."""

    def hdf5(self, places: Sequence[Place] = ()) -> AbstractContextManager[Any]:
        """It as h5py opens it (an ``h5py.File``), where ``places`` will be read.

        Raises what h5py raises where it is no HDF5, or damaged.
        """

    def whole(self, why: str) -> InputFile:
        """The file, complete; ``why`` ends a sentence for the user where it takes memory or a disk."""
