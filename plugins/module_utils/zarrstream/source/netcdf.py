# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One NetCDF or HDF5 file, opened by a descriptor in its encoded form, with the groups below its root."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from ..compat import netcdf_lock, same_file
from ..errors import SourceError
from ..metadata.hierarchy import join
from .hdf5 import check_hdf5, opens_as_hdf5
from .input_file import IN_MEMORY, Incomplete, InputFile
from .netcdf3 import is_classic
from .prepare import AS_IT_IS, Preparation

if TYPE_CHECKING:
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
_DESCRIPTOR = re.compile(rf"/proc/self/fd/\d+|{re.escape(IN_MEMORY)}")


def open_file(file: InputFile, *, groups: Groups | None = None, preparation: Preparation = AS_IT_IS) -> xr.Dataset:
    """One NetCDF or HDF5 file in encoded form, prepared, read where it is asked for.

    The groups below the root are added to ``groups``, by path; without it a file that has any is refused.
    """
    if not file.complete:
        try:
            return _open_file(file, groups, preparation)
        except Incomplete as error:
            file = file.whole(str(error))
            if groups:
                groups.clear()
    return _open_file(file, groups, preparation)


def _open_file(file: InputFile, groups: Groups | None, preparation: Preparation) -> xr.Dataset:
    from .classic_read import compare_classic, find_classic
    from .hdf5_read import direct_store, find_data_sets
    from .skeleton import compare, describe

    options: dict[str, Any] = {"create_default_indexes": False, "cache": False}
    path, data_sets, described = file.path, {}, None
    if is_classic(file):
        data_sets = {} if file.complete else find_classic(file)
    else:
        file = file.searched()
        check_hdf5(file)
        data_sets = find_data_sets(file)
        described = None if file.complete else describe(file)
    make = direct_store()
    try:
        # One handle for both looks at the file: the library crashes where a file of strings is open twice.
        store = _open_store(make, file)
        store.data_sets, store.complete = data_sets, file.complete
        try:
            if described is not None:
                compare(store.ds, described)
            elif not file.complete:
                compare_classic(store.ds, data_sets)
            if groups is None:
                _refuse_groups(path, sorted(store.ds.groups))
            dataset = _open_group(store, options)
            for name in _group_paths(store.ds) if groups is not None else ():
                below = same_file(store, name)
                below.data_sets, below.complete = data_sets, file.complete
                groups[name] = _open_group(below, options)  # type: ignore[index]
            preparation.in_groups(path, {} if groups is None else groups)
            dataset = preparation.prepared(dataset, path)
        except BaseException:
            store.close()
            raise
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        if not file.complete:
            raise Incomplete(f"the NetCDF library does not open its description ({error})") from None
        raise _unreadable(file, error) from None
    return dataset


def _open_store(make: Any, file: InputFile) -> Any:
    """As xarray opens a file, but by a descriptor: it closes files when it has many, and opens them again."""
    from xarray.backends import CachingFileManager

    lock = netcdf_lock()
    return make(CachingFileManager(_open_netcdf, file, mode="r", lock=lock), mode="r", lock=lock)


def _open_netcdf(file: InputFile, mode: Literal["r"]) -> Any:  # noqa: ARG001 - xarray gives the mode
    return file.netcdf()


def _open_group(store: Any, options: Mapping[str, Any]) -> xr.Dataset:
    import xarray as xr

    from .latin_1 import read_latin_1

    for variable in store.ds.variables.values():
        if variable.chunking() not in ("contiguous", None):
            variable.set_var_chunk_cache(size=0)  # 16 MiB for each variable, and blocks are read once
    dataset = xr.open_dataset(store, engine="store", **ENCODED, **options)
    _describe_types(dataset, store.ds.variables)
    read_latin_1(dataset, store.ds)
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


def _refuse_groups(path: str, groups: list[str]) -> None:
    if groups:
        raise SourceError(
            f"source '{path}' has groups ({', '.join(groups)}): several files are joined only where they have none. "
            "Name one file, or extract a group to files of its own (ncks -G : -g NAME in.nc out.nc).",
            source=path,
            groups=groups,
        )


def _unreadable(file: InputFile, error: Exception) -> SourceError:
    path, said = file.path, _DESCRIPTOR.sub(file.path.replace("\\", r"\\"), str(error))
    if named := re.search(r"dimension '(.+)' already exists as a scalar variable", said):
        text = f"'{named[1]}' is a dimension and a single value at once, as in files of MINC 1, and xarray opens no data set with that"
        remedy = f"Rename the variable in a copy, 'ncrename -v {named[1]},{named[1]}_info copy.nc', and others that are told so."
        return SourceError(f"source '{path}' cannot be read: {text}. {remedy}", source=path, variable=named[1])
    if "HDF error" not in said and opens_as_hdf5(file):
        text = f"it is HDF5 and h5py opens it, but the NetCDF library and xarray do not ({said})"
        remedy = "Convert it, or copy the data sets that are wanted to a file of their own (h5copy)."
        return SourceError(f"source '{path}' cannot be read: {text}. {remedy}", source=path)
    why = "it is truncated or damaged" if "HDF error" in said else "it is damaged, or not a NetCDF file"
    return SourceError(f"source '{path}' cannot be opened: {why} ({said}). Copy it again, or leave it out.", source=path)
