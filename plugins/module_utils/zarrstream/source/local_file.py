# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A file on this host that is read: a regular one, declared, and the same one each time it is opened."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ..errors import SourceError
from .declared import Declared, NotRegular, Outside, descriptor_path, not_regular, outside
from .hdf5_links import check_leads
from .input_file import Place


@dataclass(frozen=True)
class SourceFile:
    """A declared file that was looked at: what is opened by its name later has to be that very file.

    ``by_name``: libraries open it by its path, and not by a descriptor, since they have to find others beside it.
    """

    path: str
    declared: Declared
    identity: tuple[int, int]  # device and inode
    by_name: bool = False
    complete: bool = True
    affordable: bool = True

    @classmethod
    def look(cls, path: str, declared: Declared | None = None) -> SourceFile:
        """The file that is there now; without ``declared`` it is the only one."""
        declared = declared or Declared((os.path.realpath(path),))
        file = _open(path, declared)
        try:
            return cls(path, declared, _identity(file))
        finally:
            os.close(file)

    def open(self) -> int:
        """A descriptor of it; raises SourceError."""
        file = _open(self.path, self.declared)
        if _identity(file) != self.identity:
            os.close(file)
            raise SourceError(
                f"source '{self.path}' was replaced while it was being read. Run again when it is complete.", source=self.path
            )
        return file

    def head(self, size: int) -> bytes:
        """Its first bytes."""
        file = self.open()
        try:
            return os.pread(file, size, 0)
        finally:
            os.close(file)

    def fetch(self, places: Sequence[Place]) -> Generator[tuple[int, bytes]]:
        """The bytes of each place, in their order, one at a time."""
        file = self.open()
        try:
            for number, (offset, size) in enumerate(places):
                yield number, os.pread(file, size, offset)
        finally:
            os.close(file)

    def searched(self) -> SourceFile:
        """The file, by its name where the library has to find files beside it; raises SourceError for what is not declared."""
        return replace(self, by_name=bool(check_leads(self.path, self.declared)))

    def whole(self, why: str) -> SourceFile:  # noqa: ARG002 - it needs no reason
        """It is."""
        return self

    def netcdf(self) -> Any:
        """It as the NetCDF library opens it."""
        import netCDF4

        with self.opened() as name:
            return netCDF4.Dataset(name, "r")

    @contextmanager
    def hdf5(self, places: Sequence[Place] = ()) -> Iterator[Any]:  # noqa: ARG002 - of a disk nothing has to be fetched
        """It as h5py opens it."""
        import h5py

        with self.opened() as name, h5py.File(name, "r") as file:
            yield file

    @contextmanager
    def opened(self) -> Iterator[str]:
        """The name by which a library opens it, for as long as that takes; raises SourceError."""
        file = self.open()
        try:
            yield self.path if self.by_name else descriptor_path(file, self.path)
        finally:
            os.close(file)


def _open(path: str, declared: Declared) -> int:
    try:
        return declared.open(path)
    except Outside as error:
        raise outside(path, str(error)) from None
    except NotRegular as error:
        raise not_regular(path, error) from None
    except FileNotFoundError:
        raise SourceError(f"source '{path}' does not exist on this host.", source=path) from None
    except OSError as error:
        raise SourceError(f"source '{path}' cannot be read: {error.strerror}.", source=path) from None


def _identity(file: int) -> tuple[int, int]:
    found = os.fstat(file)
    return found.st_dev, found.st_ino
