# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Variables packed otherwise than their file has them: another dtype, scale and fill value, or times in other units. Block by block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import BadRequest
from ..metadata.attributes import PACKING, RANGE
from .lazy import computed
from .packing import SCRATCH, Packer
from .recount import Recount

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

_ATONCE = 2**17  # values of times that are converted when the file is opened, so that what does not fit is known before any write
_TIME_SCRATCH = 200  # bytes of a date, and what it is made of


def is_time(variable: xr.Variable) -> bool:
    """Whether the numbers count time from a date."""
    return " since " in str(variable.attrs.get("units"))


def repacked(name: str, variable: xr.Variable, packing: Mapping[str, Any], field: str) -> xr.Variable:
    """Numbers with this dtype, scale_factor, add_offset and _FillValue; the variable itself where it has them already.

    Raises BadRequest for a packing that cannot be; reading it raises SourceError for values that do not fit.
    """
    for key in ("units", "calendar"):
        if key in packing:
            text = f"{field}.{key} is for times, and '{name}' has units {variable.attrs.get('units')!r}: only units of time are converted."
            raise BadRequest(f"{text} Correct a word that is wrong with attrs; convert values before.", variable=name)
    packer = Packer(name, variable, packing, field)
    wanted, present = _plain(packer.attrs), _plain(variable.attrs)
    if variable.dtype == packer.dtype and all(wanted.get(key) == present.get(key) for key in PACKING):
        return variable
    made = computed(variable, packer.dtype, lambda region: packer.pack(variable[region]))
    made.attrs = _ranges(variable, packer)
    made.encoding["scratch"] = 2 * variable.dtype.itemsize + SCRATCH
    return made


def repacked_time(name: str, variables: Mapping[str, xr.Variable], packing: Mapping[str, Any], field: str) -> dict[str, xr.Variable]:
    """A variable that counts time, and its bounds where they have its units, counted anew.

    Raises SourceError where a time has no exact number in the new units.
    """
    variable = variables[name]
    recount = Recount(name, variable.attrs, packing, field)
    changed = {name: _counted(variable, recount, variable.attrs)}
    edge = variable.attrs.get("bounds", variable.attrs.get("climatology"))
    if isinstance(edge, str) and edge in variables and "units" not in variables[edge].attrs:
        bounds = variables[edge]
        inherited = {**{key: variable.attrs[key] for key in ("units", "calendar") if key in variable.attrs}, **bounds.attrs}
        counted = _counted(bounds, Recount(edge, inherited, packing, field), inherited)
        counted.attrs = {key: value for key, value in counted.attrs.items() if key not in ("units", "calendar")}
        changed[edge] = counted
    return changed


def _counted(variable: xr.Variable, recount: Recount, attrs: Mapping[str, Any]) -> xr.Variable:
    dtype = recount.dtype_for(variable.dtype)
    attrs = recount.attrs_for(attrs, dtype)
    if dtype == variable.dtype and _plain(attrs) == _plain(variable.attrs):
        return variable
    made = computed(variable, dtype, _reader(variable, recount, dtype))
    if variable.size <= _ATONCE:
        made = made.copy(data=recount.counted(variable.values, dtype), deep=False)
    made.attrs = attrs
    made.encoding["scratch"] = _TIME_SCRATCH
    return made


def _reader(variable: xr.Variable, recount: Recount, dtype: np.dtype) -> Callable[[tuple[slice, ...]], np.ndarray]:
    return lambda region: recount.counted(variable[region].values, dtype)


def _ranges(variable: xr.Variable, packer: Packer) -> dict[Any, Any]:
    """The attributes as packed anew, with what CF gives in the numbers as they are stored in the new ones."""
    import numpy as np

    attrs = dict(packer.attrs)
    for key in RANGE:
        given = np.asarray(variable.attrs[key]) if key in variable.attrs else None
        if given is None or given.dtype != variable.dtype:
            continue
        values = given * float(variable.attrs.get("scale_factor", 1)) + float(variable.attrs.get("add_offset", 0))
        values = (values - float(attrs.get("add_offset", 0))) / float(attrs.get("scale_factor", 1))
        if packer.dtype.kind in "iu":
            limits = np.iinfo(packer.dtype)
            values = np.clip(np.rint(values), limits.min, limits.max)
        attrs[key] = values.astype(packer.dtype)[()]
    return attrs


def _plain(attrs: Mapping[Any, Any]) -> dict[Any, Any]:
    """Attributes that compare: NumPy's numbers as Python's, NaN as a text."""
    bare = {key: value.tolist() if hasattr(value, "tolist") else value for key, value in attrs.items()}
    return {key: "NaN" if value != value else value for key, value in bare.items()}  # pylint: disable=comparison-with-itself
