# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files of a store that grew: each began where it liked, and an append took of it what the store had not yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..errors import SourceError
from ..source.dataset import Source
from ..source.items import Item
from ..source.netcdf import open_file
from ..source.prepare import prepared
from ..source.reading import Reading
from ..source.time_units import same_units

if TYPE_CHECKING:
    import xarray as xr


def in_order(items: Sequence[Item], names: Sequence[str]) -> tuple[Item, ...]:
    """The items in the order in which a store took them, as far as ``names`` tells; others after them."""
    places = {name: place for place, name in reversed(list(enumerate(names)))}
    return tuple(sorted(items, key=lambda item: places.get(item.name, len(places))))


def open_grown(items: Sequence[Item], reading: Reading) -> Source:
    """The files one after the other, of steps that several have those of the first; raises SourceError where that is no data set."""
    import xarray as xr

    datasets: list[xr.Dataset] = []
    try:
        for item in items:
            opened = prepared(open_file(item.place, lazy_arrays=True, declared=item.declared), item.place, reading.prepare)
            datasets.append(same_units(datasets[0], opened, items[0].place, item.place) if datasets else opened)
        dim = _dimension(datasets, items)
        joined = xr.concat(
            list(_new_steps(datasets, dim)),
            dim,
            data_vars="minimal",
            coords="minimal",
            compat="equals",
            join="exact",
            combine_attrs="override",
        )
    except Exception as error:
        _close(datasets)
        if isinstance(error, (SourceError, ImportError)):
            raise
        raise SourceError(f"{items[0].place} and {len(items) - 1} more do not follow one another: {error}") from None
    joined.attrs = dict(datasets[0].attrs)
    joined.set_close(lambda: _close(datasets))
    return Source(joined, f"{items[0].place} and {len(items) - 1} more")


def _dimension(datasets: Sequence[xr.Dataset], items: Sequence[Item]) -> str:
    """The dimension along which the files follow one another: the one whose coordinate is not the same in all."""
    first = datasets[0]
    differing = [
        str(dim)
        for dim in first.dims
        if dim in first.indexes
        and any(dim in other.indexes and not first.indexes[dim].equals(other.indexes[dim]) for other in datasets[1:])
    ]
    if len(differing) != 1:
        raise SourceError(f"{items[0].place} and {len(items) - 1} more do not follow one another along one coordinate.")
    return differing[0]


def _new_steps(datasets: Iterable[xr.Dataset], dim: str) -> Iterable[xr.Dataset]:
    seen = None
    for dataset in datasets:
        index = dataset.indexes[dim]
        yield dataset if seen is None else dataset.isel({dim: ~index.isin(seen)})
        seen = index if seen is None else seen.union(index)


def _close(datasets: Iterable[xr.Dataset]) -> None:
    for dataset in datasets:
        dataset.close()
