# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the NetCDF library does to HDF5 files that are no NetCDF: it leaves data sets out without a word, or crashes the process.

Both are looked for before it opens a file. What has no dimension scales is read, with dimensions named ``phony_dim_0`` and so on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import SourceError
from .input_file import InputFile


def check_hdf5(file: InputFile) -> None:
    """Raises SourceError for data sets that the NetCDF library would leave out, or crash on; leaves damage for it to find."""
    path = file.path
    try:
        with file.hdf5() as opened:
            found = visit(opened, _problem)
    except (OSError, RuntimeError):
        return
    if found:
        name, what = found
        raise SourceError(
            f"source '{path}': '{name}' is {what}, which the NetCDF library does not read. Convert it, or copy the other data sets to a "
            "file of their own (h5copy).",
            source=path,
            variable=name,
        )


def opens_as_hdf5(file: InputFile) -> bool:
    """Whether h5py opens a file, and every node in it."""
    try:
        with file.hdf5() as opened:
            visit(opened, lambda _name, _node: None)
    except (OSError, RuntimeError, KeyError):
        return False
    return True


def visit(file: Any, look: Callable[[str, Any], Any]) -> Any:
    """What ``look`` says of the first object below the root of which it says something; it gets the path of each, and the object.

    As h5py's ``visititems`` does, which however makes HDF5 read where all chunks lie, to tell how large an object is.
    """
    import h5py

    names: dict[int, bytes] = {}
    file.id.links.visit(lambda name, link: names.setdefault(link.u, name) and None if link.type == h5py.h5l.TYPE_HARD else None, info=True)
    for name in names.values():
        node = file[name]
        found = look(name.decode(errors="surrogateescape"), node)
        if found is not None:
            return found
    return None


def _problem(name: str, node: Any) -> tuple[str, str] | None:
    """The name of a data set that is not read and why; None, on which the visit goes on, for all others."""
    import h5py

    if not isinstance(node, h5py.Dataset):
        return None
    kind = node.id.get_type()
    what = {
        h5py.h5t.REFERENCE: "of references to other data sets",
        h5py.h5t.OPAQUE: "of opaque bytes",
        h5py.h5t.BITFIELD: "of bit fields",
        h5py.h5t.TIME: "of HDF5's own times",
    }.get(kind.get_class())
    if what is None and node.shape is None:
        what = "empty, without even a shape"
    if what is None and kind.get_class() == h5py.h5t.FLOAT and kind.get_size() not in (4, 8):
        what = f"of floats of {8 * kind.get_size()} bits"
    return (name, what) if what else None
