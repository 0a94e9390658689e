# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long a classic NetCDF file has to be: the library fills what is missing with zeros and reports nothing.

The layout is that of "NetCDF Classic Format Specification": magic, number of records, dimensions, attributes, variables.
"""

from __future__ import annotations

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
_STREAMING = (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)  # the writer never told the number of records
_HEADER_LIMIT = 2**40


@dataclass(frozen=True)
class _Variable:
    record: bool
    size: int  # bytes, of one record for a record variable
    begin: int

    @property
    def padded(self) -> int:
        return -(-self.size // 4) * 4


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

    def skip_padded(self, size: int) -> None:
        self.file.seek(-(-size // 4) * 4, 1)

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

    def variable(self, lengths: list[int]) -> _Variable:
        self.skip_name()
        shape = [lengths[self.count()] for _unused in range(self.count())]
        self.skip_attributes()
        itemsize = _SIZES[self.number(">I")]
        self.count()  # vsize: redundant, and wrong for variables above 4 GiB
        record = bool(shape) and shape[0] == 0
        return _Variable(record, math.prod(shape[1:] if record else shape) * itemsize, self.number(self.offset_format))


def is_classic(file: InputFile) -> bool:
    """Whether a file is NetCDF, but not HDF5; by its first bytes."""
    return file.head(4) in MAGIC


def required_size(path: Path) -> int:
    """Bytes that the header of a classic NetCDF file asks for; raises SourceError where the header itself is cut or damaged."""
    try:
        with os.fdopen(open_regular(str(path)), "rb") as file:
            header = _Header(file)
            records = header.count()
            lengths = header.dimensions()
            header.skip_attributes()
            variables = [header.variable(lengths) for _unused in range(header.list_length())]
            end_of_header = file.tell()
    except (EOFError, KeyError, IndexError, struct.error, OverflowError, ValueError, OSError):
        raise SourceError(f"source '{path}' is truncated or damaged in its NetCDF header. Copy it again.", source=str(path)) from None
    return max([end_of_header, *_ends(variables, 0 if records in _STREAMING else records)])


def _ends(variables: list[_Variable], records: int) -> list[int]:
    ours = [variable for variable in variables if variable.record]
    # A single record variable is not padded between its records.
    stride = ours[0].size if len(ours) == 1 else sum(variable.padded for variable in ours)
    fixed = [variable.begin + variable.size for variable in variables if not variable.record and variable.size]
    return fixed + [variable.begin + (records - 1) * stride + variable.size for variable in ours if records and variable.size]
