# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What ``find_source`` found, opened: a Zarr store, a file, or several files as one data set."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import BadRequest
from .dataset import Source
from .input_file import InputFile
from .items import Item
from .local_file import SourceFile
from .netcdf import ENCODED, Groups, open_file
from .prepare import Preparation
from .reading import AS_FOUND, Reading


def open_items(items: Sequence[Item], reading: Reading = AS_FOUND) -> Source:
    """Open what ``find_source`` found, as ``reading`` says; several files become one data set."""
    preparation = Preparation(reading.prepare)
    source = _opened(items, reading, preparation)
    source.problem = preparation.problem
    return source


def _opened(items: Sequence[Item], reading: Reading, preparation: Preparation) -> Source:
    place = items[0].place
    named = [str(join.dim) for join in reading.combine.joins if join.dim is not None]
    if items[0].kind == "zarr":
        if named:
            raise BadRequest(f"combine.dim is '{named[0]}', and source is a Zarr store: files are joined. Leave combine out.")
        from .zarr_source import open_zarr

        stored, below = open_zarr(items[0], ENCODED)
        preparation.in_groups(place, below)
        return Source(preparation.prepared(stored, place), place, wide_text=True, groups=below)
    if len(items) == 1 and not reading.combine.joins:
        groups: Groups = {}
        return Source(open_file(_file(items[0]), groups=groups, preparation=preparation), place, groups=groups)
    from .combine import combine_files

    more = f" and {len(items) - 1} more" if len(items) > 1 else ""
    notes: list[str] = []
    return Source(combine_files([_file(item) for item in items], reading, notes, preparation), f"{place}{more}", notes=notes)


def _file(item: Item) -> InputFile:
    return SourceFile.look(item.place, item.declared)
