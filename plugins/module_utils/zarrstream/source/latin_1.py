# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Attributes that are no UTF-8, such as a degree sign of an old Fortran program: netCDF4 puts U+FFFD there, and so loses the letter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..metadata.strict import LATIN_1, text_of

if TYPE_CHECKING:
    import xarray as xr

_LOST = "\ufffd"


def read_latin_1(dataset: xr.Dataset, group: Any) -> None:
    """Read again, as Latin-1, what ``group`` (of netCDF4) lost; the encoding of variable or data set names these attributes."""
    pairs: list[tuple[Any, Any]] = [(group, dataset)]
    pairs += [(group.variables.get(str(name)), variable) for name, variable in dataset.variables.items()]
    for holder, found in pairs:
        for name, value in list(found.attrs.items()) if holder is not None else ():
            if _LOST in (value if isinstance(value, str) else "".join(map(str, value)) if isinstance(value, list) else ""):
                again = _again(holder.getncattr(name, encoding="latin-1"))
                if again != value:
                    found.attrs[name] = again
                    found.encoding[LATIN_1] = (*found.encoding.get(LATIN_1, ()), name)


def _again(value: Any) -> Any:
    """Text as Latin-1, unless its bytes are UTF-8 that has U+FFFD itself."""
    if isinstance(value, str):
        return text_of(value.encode("latin-1"))[0]
    return [_again(inner) for inner in value] if isinstance(value, list) else value
