# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What to do about files that are not alike: steps of ``prepare``, as a message shows them. Each begins a sentence and does not end it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..metadata.attributes import PACKING

if TYPE_CHECKING:
    import xarray as xr


def one_type(name: str, one: xr.Variable, two: xr.Variable) -> str:
    """Numbers of two types; text is no number."""
    import numpy as np

    if not {one.dtype.kind, two.dtype.kind} <= set("biuf"):
        return f"Leave it out (exclude [{name}]), convert one of the files"
    packed = any(key in variable.attrs for variable in (one, two) for key in ("scale_factor", "add_offset"))
    wide = "float32" if packed else np.result_type(one.dtype, two.dtype).name
    return f"Let all files have one: prepare [{{repack: {{{name}: {{dtype: {wide}}}}}}}]"


def one_order(one: xr.Variable, two: xr.Variable) -> str:
    """Dimensions in two orders, or one more in one of them."""
    if set(one.dims) == set(two.dims):
        return f"Let all files have one order: prepare [{{transpose: [{', '.join(map(str, one.dims))}]}}]"
    more = [str(dim) for dim in (*one.dims, *two.dims) if dim not in one.dims or dim not in two.dims]
    gone = f"{{select: {{{more[0]}: LABEL}}}}, {{squeeze: [{more[0]}]}}, {{drop: [{more[0]}]}}"
    return f"Give the dimensions the same names with rename, or take one of '{more[0]}': prepare [{gone}]"


def one_packing(name: str, attribute: str) -> str:
    """Numbers that are packed otherwise; other attributes are only words."""
    if attribute in PACKING:
        return f"Pack all files alike: prepare [{{repack: {{{name}: {{dtype: float32}}}}}}], or an integer dtype with its scale_factor"
    return "Convert one of the files"


def one_count(name: str, attrs: Mapping[Any, Any]) -> str:
    """Times whose units do not go into one another."""
    moment = str(attrs["units"]).partition(" since ")[2]
    return f"Count all in finer units: prepare [{{repack: {{{name}: {{units: 'seconds since {moment}', dtype: int64}}}}}}]"
