# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What ``find_source`` found, opened: a Zarr store, a file, or several files as one data set."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial

from ..errors import BadRequest
from ..parallel import each
from .dataset import Source
from .fetching import MEANS, Fetching, Means
from .input_file import InputFile
from .items import Item
from .local_file import SourceFile
from .netcdf import ENCODED, Groups, open_file
from .prepare import Preparation
from .reading import AS_FOUND, Reading
from .remote_file import RemoteFile, remote_file

_USUAL = 64  # blocks that are fetched of a file before anybody asks for them, at most


def open_items(items: Sequence[Item], reading: Reading = AS_FOUND, means: Means = MEANS) -> Source:
    """Open what ``find_source`` found, as ``reading`` says; several files become one data set.

    ``means`` is for files that are not on this host.
    """
    preparation, fetching = Preparation(reading.prepare), Fetching(means)
    try:
        source = _opened(items, reading, preparation, fetching)
    except BaseException:
        fetching.close()
        raise
    source.problem = preparation.problem
    return source


def _opened(items: Sequence[Item], reading: Reading, preparation: Preparation, fetching: Fetching) -> Source:
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
        dataset = open_file(_file(items[0], fetching), groups=groups, preparation=preparation)
        return Source(dataset, place, groups=groups, fetching=fetching)
    from .combine import combine_files

    more = f" and {len(items) - 1} more" if len(items) > 1 else ""
    notes: list[str] = []
    dataset = combine_files(_Files(items, fetching), reading, notes, preparation)
    return Source(dataset, f"{place}{more}", notes=notes, fetching=fetching)


class _Files(Collection[InputFile]):
    """The files in their order. What is read first of those that are elsewhere is fetched ahead, of several at a time."""

    def __init__(self, items: Sequence[Item], fetching: Fetching) -> None:
        self._items, self._fetching = items, fetching

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, file: object) -> bool:
        return any(file == own for own in self)

    def __iter__(self) -> Iterator[InputFile]:
        first = _file(self._items[0], self._fetching)
        yield first
        if isinstance(first, RemoteFile):
            self._fetching.usual = tuple(sorted(first.blocks.touched))[:_USUAL]
        make = partial(_file, fetching=self._fetching)
        if any(item.remote for item in self._items):
            yield from each(make, self._items[1:], self._fetching.means.concurrency)
        else:
            yield from map(make, self._items[1:])


def _file(item: Item, fetching: Fetching) -> InputFile:
    return remote_file(item.remote, fetching) if item.remote else SourceFile.look(item.place, item.declared)
