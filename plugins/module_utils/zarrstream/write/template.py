# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The metadata of a store, written by xarray itself into memory: every attribute and codec as ``to_zarr`` would have it.

No data passes here. The documents are kept apart so that ``write`` can publish them after the chunks.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ..encoding.codecs import Encoding, codec_arguments, rehearse
from ..encoding.packing import SCRATCH, Packer
from ..errors import BadRequest, SourceError
from ..metadata.hierarchy import folder_of
from ..planning.chunking import ArraySource, Region
from ..planning.plan import ArrayPlan, WritePlan
from ..source.dataset import Source
from .staging import is_metadata

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

_GROUP = {2: (".zattrs", ".zmetadata", ".zgroup"), 3: ("zarr.json",)}  # the last one opens the store


@dataclass(frozen=True)
class Template:
    """All documents of a store by key: those of its arrays, and those of its root, the one that opens it last."""

    arrays: dict[str, bytes]
    root: dict[str, bytes]

    @property
    def documents(self) -> dict[str, bytes]:
        """All of them."""
        return {**self.arrays, **self.root}


class Encoder:
    """What turns blocks of a source into the values that get stored."""

    def __init__(self, source: Source, encodings: Mapping[str, Encoding]) -> None:
        self.source = source
        self.encodings = {name: encodings.get(name, Encoding(name)) for name in source.variables}
        self.packers = {
            name: Packer(name, source.variables[name], encoding.packing) for name, encoding in self.encodings.items() if encoding.packing
        }

    def values(self, name: str, region: Region) -> np.ndarray:
        """The stored values of a region; reads it from the source."""
        block = self.source.block(name, region)
        packer = self.packers.get(name)
        return packer.pack(block) if packer else block.values

    def arrays(self) -> list[ArraySource]:
        """What the planner needs to know: the source's arrays, with the dtype that gets stored."""
        return [self._as_stored(array) for array in self.source.arrays()]

    def _as_stored(self, array: ArraySource) -> ArraySource:
        packer = self.packers.get(array.name)
        if packer is None:
            return array
        dtype = packer.dtype
        return replace(array, dtype=str(dtype), itemsize=dtype.itemsize, scratch=2 * array.itemsize + SCRATCH)

    def placeholder(self, name: str) -> xr.Variable:
        """A variable with the dtype and attributes of what gets stored, and no length in any dimension."""
        import numpy as np
        import xarray as xr

        variable, packer = self.source.variables[name], self.packers.get(name)
        dtype = packer.dtype if packer else self.source.stored_type(name)
        return xr.Variable(variable.dims, np.zeros((0,) * variable.ndim, dtype), packer.attrs if packer else variable.attrs)


def check_encodings(encoder: Encoder, encodings: Mapping[str, Encoding], zarr_format: Literal[2, 3]) -> None:
    """Raises BadRequest for encodings of unknown variables, and for codecs that do not work on the variable's type."""
    for name, encoding in encodings.items():
        if name not in encoder.source.variables:
            known = ", ".join(sorted(encoder.source.variables))
            raise BadRequest(f"encoding names '{name}', which is not written. Written are: {known}.", variable=name)
        dtype = encoder.placeholder(name).dtype
        if dtype.kind in "biufc":
            rehearse(encoding, dtype, zarr_format)
        elif encoding.filters:
            raise BadRequest(f"encoding.{name}.filters: '{name}' holds text ({dtype}), and these filters are for numbers.", variable=name)


def make_template(encoder: Encoder, plan: WritePlan, *, zarr_format: Literal[2, 3], consolidated: bool) -> Template:
    """The documents of the planned store; raises SourceError for attributes or types that xarray cannot write."""
    documents = _written_by_xarray(encoder, plan, zarr_format, consolidated)
    root = {key: documents.pop(key) for key in _GROUP[zarr_format] if key in documents}
    return Template(arrays=documents, root=root)


def _written_by_xarray(encoder: Encoder, plan: WritePlan, zarr_format: Literal[2, 3], consolidated: bool) -> dict[str, bytes]:
    import zarr
    from zarr.storage import MemoryStore

    kept: dict[str, Any] = {}
    store = MemoryStore(kept)
    groups = {"": encoder.source.attrs, **encoder.source.groups}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # consolidated v3 and text are "not in the specification yet": known, and readable
        for path, attrs in groups.items():
            arrays = [array for array in plan.arrays if folder_of(array.name) == path]
            dataset, encoding = _group(encoder, arrays, attrs, zarr_format)
            try:
                dataset.to_zarr(
                    store,
                    group=path or None,
                    mode="w",
                    zarr_format=zarr_format,
                    consolidated=False,
                    encoding=encoding,
                    safe_chunks=False,
                )
            except (TypeError, ValueError, NotImplementedError) as error:
                raise SourceError(f"xarray cannot write {encoder.source.place} as Zarr v{zarr_format}: {error}") from None
        # Written without any length and lengthened now: xarray would import all of Dask for arrays without values.
        for array in plan.arrays:
            zarr.open_array(store, path=array.name, zarr_format=zarr_format).resize(array.shape)
        if consolidated:
            zarr.consolidate_metadata(store, zarr_format=zarr_format)
    # A group opens when all that lies in it does: arrays first, then groups from the innermost to the outermost.
    in_order = sorted(filter(is_metadata, kept), key=lambda key: (folder_of(key) in groups, -key.count("/")))
    return {key: bytes(kept[key].to_bytes()) for key in in_order}


def _group(
    encoder: Encoder, arrays: Sequence[ArrayPlan], attrs: Mapping[str, Any], zarr_format: Literal[2, 3]
) -> tuple[xr.Dataset, dict[str, dict[str, Any]]]:
    """A group without values, and how ``to_zarr`` has to encode it."""
    import xarray as xr

    variables = {array.name.rpartition("/")[2]: encoder.placeholder(array.name) for array in arrays}
    dimensions = {name: variable for name, variable in variables.items() if name in variable.dims}
    others = {name: variable for name, variable in variables.items() if name not in dimensions}
    # Coordinates without indexes: an index would be loaded, and written, at once.
    dataset = xr.Dataset(others, coords=xr.Coordinates(dimensions, indexes={}), attrs=attrs)
    encoding: dict[str, dict[str, Any]] = {}
    for array, (name, variable) in zip(arrays, variables.items(), strict=True):
        arguments = codec_arguments(encoder.encodings[array.name], variable.dtype, zarr_format)
        encoding[name] = {"chunks": array.chunks, **arguments} | ({"shards": array.shards} if array.shards else {})
        if "_FillValue" not in variable.attrs:
            encoding[name]["_FillValue"] = None  # else xarray gives floats one, which the source does not have
    return dataset, encoding
