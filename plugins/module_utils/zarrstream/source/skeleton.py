# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the NetCDF library found in a skeleton what h5py found in the file: a skeleton has zeros where nothing was read of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..errors import ZarrstreamError
from ..metadata.hierarchy import join
from ..text import one_line
from .hdf5 import visit
from .hdf5_chunks import shown_name
from .input_file import Incomplete, InputFile

# What the NetCDF library keeps to itself.
_HIDDEN = frozenset(
    {"CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST", "DIMENSION_LABELS", "_Netcdf4Dimid", "_Netcdf4Coordinates", "_nc3_strict"}
    | {"_NCProperties", "_NCCOPY", "_Codecs"}
)
_ONLY_A_DIMENSION = b"This is a netCDF dimension but not a netCDF variable."
_SCALE = b"DIMENSION_SCALE"
_STRANGE = "?"  # of a type that is not compared


@dataclass
class Described:
    """A group, or a variable with its shape, type, chunks and the names of its dimensions, as far as they are known."""

    attrs: dict[str, Any]
    shape: tuple[int, ...] | None = None
    chunks: tuple[int, ...] | None = None
    dtype: Any = None
    dims: tuple[str | None, ...] = ()


def describe(file: InputFile) -> dict[str, Described]:
    """What h5py finds, by paths; all of it is read, so that it lies in the skeleton. Raises Incomplete where it finds nothing."""
    import h5py

    found: dict[str, Described] = {}

    def look(name: str, node: Any) -> None:
        attrs = {key: node.attrs[key] for key in node.attrs}
        plain = {key: _plain(value) for key, value in attrs.items() if key not in _HIDDEN}
        if not isinstance(node, h5py.Dataset):
            if isinstance(node, h5py.Group):
                found[name] = Described(plain)
        elif not (attrs.get("CLASS") == _SCALE and bytes(attrs.get("NAME", b"")).startswith(_ONLY_A_DIMENSION)):
            found[shown_name(name)] = Described(plain, node.shape, node.chunks, node.dtype, _dimensions(name, node, attrs))

    with _or_incomplete("h5py does not describe it"), file.hdf5() as opened:
        look("", opened)
        visit(opened, look)
    return found


def compare(found: Any, described: dict[str, Described]) -> None:
    """Raises Incomplete where an open NetCDF file is not what was described."""
    seen = set()
    with _or_incomplete("the NetCDF library does not describe it"):
        for path, group in _groups(found, ""):
            _check(path in described and described[path].shape is None, f"the group '/{path}'")
            _compare_attributes(path, group, described[path].attrs)
            seen.add(path)
            for name, variable in group.variables.items():
                own = join(path, name)
                _check(own in described and described[own].shape is not None, f"the variable '{own}'")
                _compare_variable(own, variable, described[own])
                seen.add(own)
    _check(seen == set(described), "its groups and variables")


@contextmanager
def _or_incomplete(what: str) -> Iterator[None]:
    """Libraries raise anything for what is damaged or strange. Our own errors, as of a range that failed, stay what they are."""
    try:
        yield
    except (Incomplete, ZarrstreamError):
        raise
    except Exception as error:  # noqa: BLE001 - see above
        raise Incomplete(f"{what} ({one_line(error)})") from None


def _groups(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    yield path, group
    for name, child in group.groups.items():
        yield from _groups(child, join(path, name))


def _compare_variable(name: str, variable: Any, own: Described) -> None:
    import numpy as np

    shape = own.shape or ()
    _check(len(shape) == len(variable.shape) and all(map(int.__le__, shape, variable.shape)), f"the shape of '{name}'")
    chunks = variable.chunking()
    _check((tuple(chunks) if isinstance(chunks, list) else None) == own.chunks, f"the chunks of '{name}'")
    known = [mine for mine, theirs in zip(own.dims, variable.dimensions, strict=False) if mine is not None and mine != theirs]
    _check(not known, f"the dimensions of '{name}'")
    if own.dtype.kind in "iuf" and isinstance(variable.dtype, np.dtype):
        _check(own.dtype.newbyteorder("=") == variable.dtype.newbyteorder("="), f"the type of '{name}'")
    _compare_attributes(name, variable, own.attrs)


def _compare_attributes(path: str, holder: Any, described: dict[str, Any]) -> None:
    names = set(holder.ncattrs())
    _check(names - _HIDDEN == set(described), f"the attributes of '{path or '/'}'")
    for name, value in described.items():
        _check(value != _STRANGE and _plain(holder.getncattr(name)) == value, f"the attribute '{name}' of '{path or '/'}'")


def _check(same: bool, what: str) -> None:
    if not same:
        raise Incomplete(f"the NetCDF library takes {what} for something else than h5py does")


def _plain(value: Any) -> Any:
    """An attribute as both libraries give it: a text, or texts, or numbers with their type."""
    import h5py
    import numpy as np

    if isinstance(value, h5py.Empty):
        return []
    if isinstance(value, str | bytes):
        return [_text(value)]
    array = np.atleast_1d(np.asarray(value))
    if array.dtype.kind in "biufc":
        kind = "i" if array.dtype.kind == "b" else array.dtype.kind
        return [f"{kind}{array.dtype.itemsize}", array.astype(array.dtype.newbyteorder("=")).tobytes()] if array.size else []
    texts = array.ravel().tolist()
    return [_text(text) for text in texts] if all(isinstance(text, str | bytes) for text in texts) else _STRANGE


def _text(value: str | bytes) -> str:
    data = value.encode(errors="surrogateescape") if isinstance(value, str) else value
    return data.decode(errors="replace").rstrip("\0")


def _dimensions(name: str, node: Any, attrs: dict[str, Any]) -> tuple[str | None, ...]:
    """The names that NetCDF gives the dimensions of a data set; None for those that only it knows."""
    if "DIMENSION_LIST" in attrs:
        names = [node.file[scales[0]].name if len(scales) else None for scales in attrs["DIMENSION_LIST"]]
        return tuple(found.rpartition("/")[2] if found else None for found in names)
    return (name.rpartition("/")[2],) if attrs.get("CLASS") == _SCALE and node.ndim == 1 else ()
