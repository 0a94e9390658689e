# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The source that a store is compared with, and the store's variables as xarray sees them: both in encoded form."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..encoding.codecs import EVERY
from ..errors import SourceError
from ..metadata.chunks import ChunkReader
from ..metadata.hierarchy import join
from ..metadata.strict import storable
from ..source.reading import AS_FOUND
from ..storage.source_access import check_here
from ..text import one_line
from .compare import EncodedValues, packing, type_name
from .snapshot import Snapshot

if TYPE_CHECKING:
    import xarray as xr

    from ..source.dataset import Source
    from ..source.items import Item


class Reference:
    """Source and store side by side. ``stored`` is empty and ``problem`` set where xarray does not open the store."""

    def __init__(self, source: Source, stored: dict[str, xr.Dataset], problem: str, encoding: dict[str, Any] | None) -> None:
        self.source = source
        self.items: tuple[Item, ...] = ()  # where it is from
        self.reading = AS_FOUND
        self.encoding = encoding
        self.problem = problem
        self.groups: dict[str, dict[str, Any]] = {path: dict(group.attrs) for path, group in stored.items()}
        self.stored: dict[str, xr.Variable] = {
            join(path, str(name)): value for path, group in stored.items() for name, value in group.variables.items()
        }

    def close(self) -> None:
        """Close the source."""
        self.source.close()

    @property
    def common(self) -> list[str]:
        """Variables that both have."""
        return sorted(self.source.variables.keys() & self.stored.keys())

    def comparable(self, name: str) -> bool:
        """Whether a variable has the same shape in both, so that regions correspond."""
        return name in self.stored and name in self.source.variables and self.stored[name].shape == self.source.variables[name].shape

    def repacked(self, name: str) -> bool:
        """Whether the store holds other numbers than the source on purpose: as its manifest says, else as it looks."""
        asked = (self.encoding or {}).get(name)
        if asked and asked.get("packing"):
            return True
        # What is said of all reaches some: those look so.
        if self.encoding is not None and not (self.encoding.get(EVERY) or {}).get("packing"):
            return False
        stored, source = self.empty_blocks(name)
        if type_name(stored) != type_name(source):
            return True
        left, right = packing(stored.attributes), packing(source.attributes)
        # xarray declares NaN as the fill value of floats, which changes nothing.
        return any(plain(left.get(key)) != plain(right.get(key)) for key in left.keys() | right.keys() if key != "_FillValue")

    def source_block(self, name: str, region: tuple[slice, ...]) -> EncodedValues:
        """A region of the source, read now, and not by the library that reads it for a write, where there is another."""
        from ..source.proof import another_reader

        with another_reader():
            block = self.source.block(name, tuple((part.start, part.stop) for part in region))
        return EncodedValues(block.values, block.attrs)

    def empty_blocks(self, name: str) -> tuple[EncodedValues, EncodedValues]:
        """A block without values of the store and one of the source: dtype and attributes only."""
        return _empty(self.stored[name]), _empty(self.source.variables[name])


def open_reference(shot: Snapshot, reader: ChunkReader, items: tuple[Item, ...] = ()) -> Reference:
    """Open the source of the request, or ``items`` that were found before.

    Raises SourceError, for a source that cannot be read is no finding about the store.
    """
    from ..source.fetching import means_of
    from ..source.items import find_source
    from ..source.open import open_items

    request = shot.request
    if not items:
        check_here(request.source_access)
        items = find_source(request.source, request, request.follow)
    reading, means = request.reading(_written(shot)), means_of(request.source_access)
    try:
        source = open_items(items, reading, means)
    except SourceError:
        taken = files_taken(shot)
        if len(items) < 2 or len(taken) < 2:
            raise
        from .grown import in_order, open_grown

        # What no write would join has been appended, one file after the other.
        items = in_order(items, taken)
        source = open_grown(items, reading, means)
    source.select(_written_variables(shot))
    stored, problem = _open_stored(reader)
    _as_stored(source, stored, reader.tree.zarr_format)
    reference = Reference(source, stored, problem, _asked_encoding(shot))
    reference.items, reference.reading = items, reading
    return reference


def _written(shot: Snapshot) -> Mapping[str, Any]:
    """The request of the write, by the manifest; empty where there is none."""
    return shot.manifest.request if shot.manifest and isinstance(shot.manifest.request, dict) else {}


def _as_stored(source: Source, stored: dict[str, xr.Dataset], zarr_format: int) -> None:
    """Give both sides the attributes that a store can have: what it has to spell otherwise is no difference."""
    source.attrs = storable(source.attrs).attrs
    source.groups = {path: storable(attrs).attrs for path, attrs in source.groups.items()}
    variables = [*source.variables.values(), *(variable for group in stored.values() for variable in group.variables.values())]
    for variable in variables:
        variable.attrs = storable(variable.attrs, variable.dtype.kind, zarr_format).attrs
    for group in stored.values():
        group.attrs = storable(group.attrs).attrs


def _written_variables(shot: Snapshot) -> list[str] | None:
    """The variables that were asked for when the store was written; None for all of the source."""
    names = _written(shot).get("variables")
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None


def files_taken(shot: Snapshot) -> list[str]:
    """The names of the files that the store was made from, in the order in which it took them."""
    return [str(stat.get("name")) for stat in shot.manifest.source if isinstance(stat, dict)] if shot.manifest else []


def _asked_encoding(shot: Snapshot) -> dict[str, Any] | None:
    """The encodings that were asked for when the store was written; None where nobody knows."""
    asked = _written(shot).get("encoding")
    # Until 3bc5fa7 a manifest had what the request said, in which packing had no name of its own.
    told = isinstance(asked, dict) and all(isinstance(options, dict) and "packing" in options for options in asked.values())
    return asked if told else None


def plain(value: Any) -> str | None:
    """An attribute as JSON, None for none: NumPy's types become Python's, and NaN equals NaN."""
    if value is None:
        return None

    def convert(other: Any) -> Any:
        if hasattr(other, "tolist"):
            return other.tolist()
        return other.decode(errors="replace") if isinstance(other, bytes) else str(other)

    bare = convert(value) if hasattr(value, "tolist") or isinstance(value, bytes) else value
    return json.dumps(bare, sort_keys=True, default=convert)


def _open_stored(reader: ChunkReader) -> tuple[dict[str, xr.Dataset], str]:
    import xarray as xr

    options: dict[str, Any] = {"decode_cf": False, "create_default_indexes": False, "cache": False, "consolidated": False, "chunks": None}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            options |= {"engine": "zarr", "zarr_format": reader.tree.zarr_format}
            paths = ["", *sorted(path for path in reader.tree.groups if path)]
            return {path: xr.open_dataset(reader.metadata_store, group=path or None, **options) for path in paths}, ""
    except Exception as error:  # noqa: BLE001 - damaged documents make xarray raise anything
        return {}, one_line(error)


def _empty(variable: xr.Variable) -> EncodedValues:
    import numpy as np

    return EncodedValues(np.empty((0,) * variable.ndim, dtype=variable.dtype), variable.attrs)
