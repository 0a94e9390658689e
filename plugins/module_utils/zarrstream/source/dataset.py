# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A source, opened in its encoded form: integers stay packed, fill values and times stay numbers, attributes stay attributes.

What is written that way decodes to the same values, whatever library reads it, because nothing was decoded in between.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from ..errors import BadRequest, SourceError, ZarrstreamError
from ..metadata.hierarchy import folder_of, join
from ..planning.chunking import ArraySource, Region
from ..planning.plan import TEXT_ITEM
from .declared import Declared, SourceFile
from .hdf5 import check_hdf5
from .hdf5_links import check_leads
from .items import Item
from .netcdf3 import is_classic

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

# concat_characters joins the characters of NetCDF to strings; Zarr has no text of single characters.
ENCODED: dict[str, Any] = {
    "mask_and_scale": False,
    "decode_times": False,
    "decode_timedelta": False,
    "decode_coords": False,
    "concat_characters": True,
}
Groups = dict[str, "xr.Dataset"]
_DESCRIPTOR = re.compile(r"/proc/self/fd/\d+")
_REFERENCES = ("coordinates", "bounds", "climatology", "grid_mapping", "ancillary_variables", "cell_measures", "formula_terms")


class Source:
    """An open source: its variables in encoded form, its attributes. Reading is safe from several threads.

    Variables of groups are named by their path, ``model/air``; ``groups`` holds the attributes of each by its path.
    """

    def __init__(self, dataset: xr.Dataset, place: str, *, wide_text: bool = False, groups: Groups | None = None) -> None:
        """With ``wide_text`` text of a fixed width stays so; else it is what xarray makes of NetCDF's text of any length."""
        self.dataset = dataset
        self.place = place
        self.attrs = dict(dataset.attrs)
        self.groups = {path: dict(group.attrs) for path, group in sorted((groups or {}).items())}
        self.variables: dict[str, xr.Variable] = {
            join(path, str(name)): variable
            for path, group in sorted({"": dataset, **(groups or {})}.items())
            for name, variable in group.variables.items()
        }
        self._text = "OT" if wide_text else "OTU"

    def select(self, names: Sequence[str] | None) -> None:
        """Keep these variables and what they refer to; raises BadRequest for a name that is not there."""
        if names is None:
            return
        for name in names:
            if name not in self.variables:
                known = ", ".join(sorted(self.variables))
                raise BadRequest(f"variables names '{name}', which {self.place} does not have. It has: {known}.", variable=name)
        kept = _with_references(names, self.variables)
        self.variables = {name: variable for name, variable in self.variables.items() if name in kept}
        self.groups = {path: attrs for path, attrs in self.groups.items() if any(name.startswith(f"{path}/") for name in kept)}

    def arrays(self) -> list[ArraySource]:
        """What the planner needs to know; raises SourceError for types that are not written."""
        return [self._array(name, variable) for name, variable in self.variables.items()]

    def is_text(self, name: str) -> bool:
        """Whether a variable holds text of any length."""
        return self.variables[name].dtype.kind in self._text

    def stored_type(self, name: str) -> np.dtype:
        """The dtype as it gets stored: in this machine's byte order, text of any length as objects that xarray knows as text."""
        import numpy as np
        from xarray.coding.strings import create_vlen_dtype

        if self.is_text(name):
            return create_vlen_dtype(str)  # type: ignore[no-untyped-call]
        return np.dtype(self.variables[name].dtype.str).newbyteorder("=")

    def block(self, name: str, region: Region) -> xr.Variable:
        """A piece of a variable, read now."""
        piece = self.variables[name].to_base_variable()[tuple(slice(start, stop) for start, stop in region)]
        try:
            values = piece.data.compute(scheduler="single-threaded") if piece.chunks is not None else piece.values
        except ZarrstreamError:
            raise
        except Exception as error:  # noqa: BLE001 - codecs raise anything for damaged bytes
            if (ours := _ours(error)) is not None:
                raise ours from None
            where = ", ".join(f"{start}:{stop}" for start, stop in region)
            error = error if str(error) else Exception(type(error).__name__)
            text = f"source {self.place}: '{name}' cannot be read at [{where}]: {error}. The file is damaged, or its codec is missing here."
            raise SourceError(text, variable=name) from None
        piece.data = self._native(name, values)
        return piece

    def close(self) -> None:
        """Close the files."""
        self.dataset.close()

    def _native(self, name: str, values: np.ndarray) -> np.ndarray:
        if not self.is_text(name):
            return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))
        texts = values.astype(object)
        for text in texts.flat:
            if not isinstance(text, str):
                raise SourceError(
                    f"source {self.place}: '{name}' holds objects such as {text!r}, of which only text can be written. "
                    "Leave it out: name the others in 'variables'.",
                    variable=name,
                )
        return texts

    def _array(self, name: str, variable: xr.Variable) -> ArraySource:
        if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
            raise SourceError(
                f"source {self.place}: the name '{name}' holds control characters, which make no key of an object. Rename it, or leave "
                "it out: name the others in 'variables'.",
                variable=name,
            )
        if variable.dtype.kind not in "biufcSUOT" or "ragged" in variable.encoding:
            what = "rows of unequal length" if "ragged" in variable.encoding else f"dtype {variable.dtype}"
            raise SourceError(
                f"source {self.place}: '{name}' has {what}, which is not written: only numbers and text are. "
                "Leave it out: name the others in 'variables'.",
                variable=name,
                dtype=str(variable.dtype),
            )
        text = self.is_text(name)
        if text:
            self.block(name, tuple((0, min(size, 1)) for size in variable.shape))  # refuses what is no text, before a byte moves
        return ArraySource(
            name=name,
            dims=tuple(str(dim) for dim in variable.dims),
            shape=variable.shape,
            dtype="string" if text else str(self.stored_type(name)),
            itemsize=TEXT_ITEM if text else variable.dtype.itemsize,
            source_chunks=source_chunks(variable),
        )


def open_items(items: Sequence[Item]) -> Source:
    """Open what ``find_source`` found; several files become one data set."""
    if items[0].kind == "zarr":
        from .zarr_source import open_zarr

        stored, below = open_zarr(items[0], ENCODED)
        return Source(stored, items[0].place, wide_text=True, groups=below)
    if len(items) == 1:
        groups: Groups = {}
        return Source(open_file(items[0].place, groups=groups, declared=items[0].declared), items[0].place, groups=groups)
    from .combine import combine_files

    places = [item.place for item in items]
    return Source(combine_files(places, items[0].declared), f"{places[0]} and {len(places) - 1} more")


def open_file(path: str, *, lazy_arrays: bool = False, groups: Groups | None = None, declared: Declared | None = None) -> xr.Dataset:
    """One NetCDF or HDF5 file in encoded form; ``lazy_arrays`` for Dask arrays with indexes, as combining needs them.

    Each is one Dask chunk: Dask reads only the piece that is asked for, and a graph of one node a variable stays quick.
    The groups below the root are added to ``groups``, by path; without it a file that has any is refused.
    """
    from .hdf5_chunks import direct_store, find_chunked

    options: dict[str, Any] = {"chunks": -1} if lazy_arrays else {"create_default_indexes": False, "cache": False}
    chunked = {}
    file = SourceFile.look(path, declared)
    if not is_classic(file):
        # Where the library has to find files beside this one, it has to know where this one is.
        file = replace(file, by_name=bool(check_leads(path, file.declared)))
        check_hdf5(file)
        chunked = find_chunked(file)
    make = direct_store()
    try:
        # One handle for both looks at the file: the library crashes where a file of strings is open twice.
        store = _open_store(make, file)
        store.chunked = chunked
        try:
            if groups is None:
                _refuse_groups(path, sorted(store.ds.groups))
            dataset = _open_group(store, options)
            for name in _group_paths(store.ds) if groups is not None else ():
                below = make(store._manager, group=name, lock=store.lock)
                below.chunked = chunked
                groups[name] = _open_group(below, options)  # type: ignore[index]
        except BaseException:
            store.close()
            raise
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise _unreadable(path, error) from None
    return dataset


def _open_store(make: Any, file: SourceFile) -> Any:
    """As xarray opens a file, but by a descriptor: it closes files when it has many, and opens them again."""
    from xarray.backends import CachingFileManager
    from xarray.backends.netCDF4_ import NETCDF4_PYTHON_LOCK as LOCK

    return make(CachingFileManager(_open_netcdf, file, mode="r", lock=LOCK), mode="r", lock=LOCK)


def _open_netcdf(file: SourceFile, mode: Literal["r"]) -> Any:
    import netCDF4

    with file.opened() as name:
        return netCDF4.Dataset(name, mode)


def _open_group(store: Any, options: Mapping[str, Any]) -> xr.Dataset:
    import xarray as xr

    for variable in store.ds.variables.values():
        if variable.chunking() not in ("contiguous", None):
            variable.set_var_chunk_cache(size=0)  # 16 MiB for each variable, and blocks are read once
    dataset = xr.open_dataset(store, engine="store", **ENCODED, **options)
    _describe_types(dataset, store.ds.variables)
    return dataset


def _group_paths(group: Any, path: str = "") -> Iterator[str]:
    for name, child in sorted(group.groups.items()):
        yield join(path, name)
        yield from _group_paths(child, join(path, name))


def _describe_types(dataset: xr.Dataset, variables: Mapping[str, Any]) -> None:
    """Say of NetCDF's own types what xarray's dtypes do not: rows of unequal length, and the names of an enumeration."""
    import netCDF4

    for name, variable in dataset.variables.items():
        kind = variables[str(name)].datatype if str(name) in variables else None
        if isinstance(kind, netCDF4.VLType) and kind.dtype != str:
            variable.encoding["ragged"] = True
        elif isinstance(kind, netCDF4.EnumType) and "flag_values" not in variable.attrs:
            words = {value: word.replace(" ", "_") for word, value in kind.enum_dict.items()}  # CF's way to name values
            variable.attrs["flag_values"] = list(words)
            variable.attrs["flag_meanings"] = " ".join(words.values())


def _ours(error: BaseException) -> ZarrstreamError | None:
    """The error of ours in a group: Zarr reads the parts of a shard side by side."""
    if isinstance(error, BaseExceptionGroup):
        return next((found for inner in error.exceptions if (found := _ours(inner)) is not None), None)
    return error if isinstance(error, ZarrstreamError) else None


def source_chunks(variable: xr.Variable) -> tuple[int, ...] | None:
    """Chunks (Zarr: shards where there are any) as they lie in the source; None for a contiguous one."""
    encoding = variable.encoding
    chunks = encoding.get("shards") or encoding.get("chunksizes") or encoding.get("chunks")
    if not chunks or encoding.get("contiguous") or len(chunks) != variable.ndim:
        return None
    return tuple(int(chunk) for chunk in chunks)


def _with_references(names: Iterable[str], variables: dict[str, xr.Variable]) -> set[str]:
    kept: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in kept:
            continue
        kept.add(name)
        variable = variables[name]
        words = [str(dim) for dim in variable.dims]
        for key in _REFERENCES:
            text = variable.attrs.get(key)
            if isinstance(text, str):
                words.extend(text.replace(":", " ").split())
        waiting.extend(found for word in words if (found := _in_scope(word, folder_of(name), variables)))
    return kept


def _in_scope(name: str, group: str, variables: Mapping[str, Any]) -> str | None:
    """The variable that a group means by a name: its own, or that of the nearest group around it."""
    if name.startswith("/"):
        name, group = name[1:], ""
    while group and join(group, name) not in variables:
        group = folder_of(group)
    return join(group, name) if join(group, name) in variables else None


def _refuse_groups(path: str, groups: list[str]) -> None:
    if groups:
        raise SourceError(
            f"source '{path}' has groups ({', '.join(groups)}): several files are joined only where they have none. "
            "Name one file, or extract a group to files of its own (ncks -G : -g NAME in.nc out.nc).",
            source=path,
            groups=groups,
        )


def _unreadable(path: str, error: Exception) -> SourceError:
    why = "it is truncated or damaged" if "HDF error" in str(error) else "it is damaged, or not a NetCDF file"
    said = _DESCRIPTOR.sub(path.replace("\\", r"\\"), str(error))
    return SourceError(f"source '{path}' cannot be opened: {why} ({said}). Copy it again, or leave it out.", source=path)
