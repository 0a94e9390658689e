# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The metadata of a store, written by xarray itself into memory: every attribute and codec as ``to_zarr`` would have it.

No data passes here. The documents are kept apart so that ``write`` can publish them after the chunks.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..encoding.codecs import codec_arguments
from ..encoding.encoder import Encoder
from ..encoding.portable import NOTE, without_checksum
from ..errors import SourceError
from ..metadata.hierarchy import ROOT_DOCUMENTS, folder_of, is_document
from ..metadata.strict import LATIN_1, READ_AS_LATIN_1, Storable, storable, strict_problem
from ..planning.plan import ArrayPlan, WritePlan

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Template:
    """All documents of a store by key: those of its arrays, and those of its root, the one that opens it last.

    ``notes`` say what of the source is stored in another way, since a store cannot have it as it is.
    """

    arrays: dict[str, bytes]
    root: dict[str, bytes]
    notes: tuple[str, ...] = ()

    @property
    def documents(self) -> dict[str, bytes]:
        """All of them."""
        return {**self.arrays, **self.root}


def make_template(encoder: Encoder, plan: WritePlan, *, zarr_format: Literal[2, 3], consolidated: bool, portable: bool = False) -> Template:
    """The documents of the planned store; raises SourceError for attributes or types that cannot be written."""
    notes: list[str] = []
    documents = _written_by_xarray(encoder, plan, zarr_format, consolidated, notes)
    if portable and zarr_format == 2 and any(encoding.compressor.name == "zstd" for encoding in encoder.encodings.values()):
        documents = without_checksum(documents)
        notes.append(NOTE)
    for key, data in documents.items():
        if problem := strict_problem(data):
            raise SourceError(f"'{key}' of the store would be no JSON: it {problem}. Leave the variable out, or set another encoding.")
    root = {key: documents.pop(key) for key in ROOT_DOCUMENTS[zarr_format] if key in documents}
    return Template(arrays=documents, root=root, notes=tuple(notes))


def _written_by_xarray(
    encoder: Encoder, plan: WritePlan, zarr_format: Literal[2, 3], consolidated: bool, notes: list[str]
) -> dict[str, bytes]:
    import zarr
    from zarr.storage import MemoryStore

    kept: dict[str, Any] = {}
    store = MemoryStore(kept)
    own = {"": encoder.source.attrs, **encoder.source.groups}
    groups = {path: _group_attributes(encoder, path, attrs, notes) for path, attrs in own.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # consolidated v3 and text are "not in the specification yet": known, and readable
        for path, attrs in groups.items():
            arrays = [array for array in plan.arrays if folder_of(array.name) == path]
            dataset, encoding = _group(encoder, arrays, attrs, zarr_format, notes)
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
    in_order = sorted(filter(is_document, kept), key=lambda key: (folder_of(key) in groups, -key.count("/")))
    return {key: bytes(kept[key].to_bytes()) for key in in_order}


def _group(
    encoder: Encoder, arrays: Sequence[ArrayPlan], attrs: Mapping[str, Any], zarr_format: Literal[2, 3], notes: list[str]
) -> tuple[xr.Dataset, dict[str, dict[str, Any]]]:
    """A group without values, and how ``to_zarr`` has to encode it."""
    import xarray as xr

    variables, stored = {}, {}
    for array in arrays:
        name = array.name.rpartition("/")[2]
        variables[name] = encoder.placeholder(array.name)
        stored[name] = _attributes(encoder, array.name, variables[name], zarr_format, notes)
        variables[name].attrs = stored[name].attrs
    dimensions = {name: variable for name, variable in variables.items() if name in variable.dims}
    others = {name: variable for name, variable in variables.items() if name not in dimensions}
    # Coordinates without indexes: an index would be loaded, and written, at once.
    dataset = xr.Dataset(others, coords=xr.Coordinates(dimensions, indexes={}), attrs=attrs)
    encoding: dict[str, dict[str, Any]] = {}
    for array, (name, variable) in zip(arrays, variables.items(), strict=True):
        arguments = codec_arguments(encoder.encodings[array.name], variable.dtype, zarr_format)
        encoding[name] = {"chunks": array.chunks, **arguments} | ({"shards": array.shards} if array.shards else {})
        fill = encoder.encodings[array.name].fill_value if stored[name].fill_value is None else stored[name].fill_value
        if fill is not None:
            encoding[name]["fill_value"] = fill
        if "_FillValue" not in variable.attrs:
            encoding[name]["_FillValue"] = None  # else xarray gives floats one, which the source does not have
    return dataset, encoding


def _attributes(encoder: Encoder, name: str, placeholder: xr.Variable, zarr_format: int, notes: list[str]) -> Storable:
    """The attributes of an array; raises SourceError for those with which nobody could read its values."""
    stored = storable(placeholder.attrs, placeholder.dtype.kind, zarr_format)
    if stored.refused:
        raise SourceError(
            f"source {encoder.source.place}: the attribute {stored.refused} of '{name}' cannot be stored so that readers decode it as it "
            f"is meant. Set encoding.{name}.dtype to float64, which stores unpacked values, or leave it out (name others in 'variables').",
            variable=name,
        )
    notes += [f"'{name}': {note}" for note in (*_latin_1(encoder.source.variables[name].encoding), *stored.notes)]
    return stored


def _group_attributes(encoder: Encoder, path: str, attrs: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    stored = storable(attrs)
    where = f"group '{path}'" if path else "data set"
    notes += [f"{where}: {note}" for note in (*_latin_1(encoder.source.encodings.get(path, {})), *stored.notes)]
    return stored.attrs


def _latin_1(encoding: Mapping[Any, Any]) -> list[str]:
    return [f"attribute '{name}' {READ_AS_LATIN_1}" for name in encoding.get(LATIN_1, ())]
