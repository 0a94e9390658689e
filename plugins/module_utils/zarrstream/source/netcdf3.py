# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long a classic NetCDF file has to be: the library fills what is missing with zeros and reports nothing.

The layout is that of "NetCDF Classic Format Specification": magic, number of records, dimensions, attributes, variables.
"""

from __future__ import annotations

import io
import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import SourceError
from .declared import open_regular
from .input_file import InputFile

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}  # bytes by nc_type
MAGIC = (b"CDF\x01", b"CDF\x02", b"CDF\x05")
_TYPES = {1: "i1", 2: "S1", 3: ">i2", 4: ">i4", 5: ">f4", 6: ">f8", 7: "u1", 8: ">u2", 9: ">u4", 10: ">i8", 11: ">u8"}  # of numpy
_STREAMING = (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)  # the writer never told the number of records
_HEADER_LIMIT = 2**40
DAMAGED = (EOFError, KeyError, IndexError, struct.error, OverflowError, ValueError, OSError)  # what a damaged header raises


@dataclass(frozen=True)
class Variable:
    """A variable as the header describes it; the first dimension of a record variable has length 0 there."""

    name: bytes
    shape: tuple[int, ...]
    type: int
    begin: int

    @property
    def record(self) -> bool:
        """Whether there is a piece of it in each record."""
        return bool(self.shape) and self.shape[0] == 0

    @property
    def size(self) -> int:
        """Bytes; of one record for a record variable."""
        return math.prod(self.shape[1:] if self.record else self.shape) * _SIZES[self.type]

    @property
    def dtype(self) -> str:
        """Of numpy."""
        return _TYPES[self.type]

    @property
    def padded(self) -> int:
        """Bytes with those up to the next one."""
        return -(-self.size // 4) * 4


@dataclass(frozen=True)
class Layout:
    """Where everything lies; ``records`` is None where the writer never told their number."""

    variables: tuple[Variable, ...]
    records: int | None
    end: int  # of the header

    @property
    def stride(self) -> int:
        """Bytes from one record to the next: a single record variable is not padded between its records."""
        ours = [variable for variable in self.variables if variable.record]
        return ours[0].size if len(ours) == 1 else sum(variable.padded for variable in ours)


class _Header:
    """Reads the numbers of a header; their widths depend on the version in its fourth byte."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        version = self.take(4)[3]
        self.count_format = ">Q" if version == 5 else ">I"
        self.offset_format = ">I" if version == 1 else ">Q"

    def take(self, size: int) -> bytes:
        data = self.file.read(size) if size < _HEADER_LIMIT else b""
        if len(data) != size:
            raise EOFError
        return data

    def number(self, layout: str) -> int:
        return int(struct.unpack(layout, self.take(struct.calcsize(layout)))[0])

    def count(self) -> int:
        return self.number(self.count_format)

    def skip_padded(self, size: int, more: int = 0) -> None:
        self.file.seek(-(-size // 4) * 4 + more, 1)

    def name(self) -> bytes:
        size = self.count()
        found = self.take(size)
        self.skip_padded(size, -size)
        return found

    def skip_name(self) -> None:
        self.skip_padded(self.count())

    def skip_attributes(self) -> None:
        for _unused in range(self.list_length()):
            self.skip_name()
            size = _SIZES[self.number(">I")]
            self.skip_padded(self.count() * size)

    def list_length(self) -> int:
        self.number(">I")  # the tag: an absent list has a zero here, and a zero length
        return self.count()

    def dimensions(self) -> list[int]:
        lengths = []
        for _unused in range(self.list_length()):
            self.skip_name()
            lengths.append(self.count())
        return lengths

    def variable(self, lengths: list[int]) -> Variable:
        name = self.name()
        shape = [lengths[self.count()] for _unused in range(self.count())]
        self.skip_attributes()
        kind = self.number(">I")
        self.count()  # vsize: redundant, and wrong for variables above 4 GiB
        return Variable(name, tuple(shape), kind, self.number(self.offset_format))


def is_classic(file: InputFile) -> bool:
    """Whether a file is NetCDF, but not HDF5; by its first bytes."""
    return file.head(4) in MAGIC


def required_size(path: Path) -> int:
    """Bytes that the header of a classic NetCDF file asks for; raises SourceError where the header itself is cut or damaged."""
    try:
        opened = open_regular(str(path))
    except OSError:
        raise _damaged(str(path)) from None
    with os.fdopen(opened, "rb") as file:
        return size_by_header(file, str(path))


def size_by_header(file: BinaryIO, place: str) -> int:
    """As ``required_size``, of a file that is open, wherever it is."""
    try:
        layout = _layout(file)
    except DAMAGED:
        raise _damaged(place) from None
    return max([layout.end, *_ends(layout)])


def _damaged(place: str) -> SourceError:
    return SourceError(f"source '{place}' is truncated or damaged in its NetCDF header. Copy it again.", source=place)


def layout_of(file: InputFile) -> Layout:
    """What the header of a file says, which is read up to its end; raises one of DAMAGED."""
    size = 2**14
    while True:
        head = file.head(size)
        try:
            layout = _layout(io.BytesIO(head))
            if layout.end <= len(head):
                return layout
        except EOFError:
            pass
        if len(head) < size:
            raise EOFError
        size *= 4


def _layout(file: BinaryIO) -> Layout:
    header = _Header(file)
    records = header.count()
    lengths = header.dimensions()
    header.skip_attributes()
    variables = tuple(header.variable(lengths) for _unused in range(header.list_length()))
    return Layout(variables, None if records in _STREAMING else records, file.tell())


def _ends(layout: Layout) -> list[int]:
    fixed = [variable.begin + variable.size for variable in layout.variables if not variable.record and variable.size]
    behind = ((layout.records or 0) - 1) * layout.stride
    ours = [variable for variable in layout.variables if variable.record and layout.records and variable.size]
    return fixed + [variable.begin + behind + variable.size for variable in ours]
