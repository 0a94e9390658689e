# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How each variable gets stored: what is said of it, else of all (``*``), else what a Zarr source has, else the defaults.

What is said of all reaches only what can take it. Filters and packing are for data: not for text, nor for coordinates and others
that a variable refers to. New packing is for numbers that readers get as floats, and that are no times.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from ..errors import BadRequest
from ..metadata.layout import ArrayLayout
from ..source.dataset import Source
from ..source.packing import Packer
from .codecs import EVERY, PACKING, Encoding, rehearse
from .stored import stored_codecs

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

_NUMBERS = "biufc"


@dataclass(frozen=True)
class Resolved:
    """An encoding for each variable that is written. ``notes`` say in a line each what of a Zarr source could not be kept."""

    encodings: dict[str, Encoding]
    notes: list[str] = field(default_factory=list)


def resolve(
    source: Source,
    encodings: Mapping[str, Encoding],
    zarr_format: Literal[2, 3],
    stored: Mapping[str, ArrayLayout] | None = None,
    *,
    as_stored: bool = False,
) -> Resolved:
    """An encoding for each variable; ``stored`` are the arrays that are kept as they are unless the request names other codecs.

    With ``as_stored`` it does not matter what the request names. Raises BadRequest for what does not work, by the variable's name.
    """
    resolver = _Resolver(source, encodings, zarr_format, stored or {}, as_stored=as_stored)
    return Resolved({name: resolver.encoding(name) for name in source.variables}, resolver.end())


class _Resolver:
    def __init__(
        self,
        source: Source,
        encodings: Mapping[str, Encoding],
        zarr_format: Literal[2, 3],
        stored: Mapping[str, ArrayLayout],
        *,
        as_stored: bool,
    ) -> None:
        self.source, self.encodings, self.stored, self.as_stored = source, encodings, stored, as_stored
        self.zarr_format: Literal[2, 3] = zarr_format
        self.every = encodings.get(EVERY, Encoding(EVERY))
        self.data = source.data_variables() if self.every.filters or self.every.packing else frozenset()
        self.notes: list[str] = []
        self.refused: BadRequest | None = None  # what the first variable said to filters for all
        self.taken = not self.every.filters
        self._works: dict[tuple[object, ...], str] = {}

    def encoding(self, name: str) -> Encoding:
        own = self.encodings.get(name, Encoding(name))
        packing = {**self._packing_for_all(name), **own.packing}
        variable = self.source.variables[name]
        dtype = Packer(name, variable, packing).dtype if packing else self.source.stored_type(name)
        own = replace(own, packing=packing)
        if "compressor" not in own.told and "compressor" in self.every.told:
            own = replace(own, compressor=self.every.compressor, told=own.told | {"compressor"})
        if "filters" not in own.told and "filters" in self.every.told:
            filters = self.every.filters if self._takes_filters(name, own, dtype) else ()
            own = replace(own, filters=filters, told=own.told | {"filters"})
        layout = self.stored.get(name)
        return own if layout is None else self._kept(own, layout, dtype, variable)

    def end(self) -> list[str]:
        """The notes; raises BadRequest where no variable takes the filters that all should have."""
        if self.refused and not self.taken:
            raise self.refused
        return self.notes

    def _packing_for_all(self, name: str) -> dict[str, object]:
        variable = self.source.variables[name]
        packed = variable.dtype.kind in "iu" and bool(variable.attrs.keys() & {"scale_factor", "add_offset"})
        times = " since " in str(variable.attrs.get("units", ""))
        takes = name in self.data and variable.ndim > 0 and (variable.dtype.kind == "f" or packed) and not times
        return dict(self.every.packing) if takes else {}

    def _takes_filters(self, name: str, own: Encoding, dtype: np.dtype) -> bool:
        if name not in self.data or dtype.kind not in _NUMBERS or not self.every.filters:
            return False
        try:
            rehearse(replace(own, variable=EVERY, filters=self.every.filters), dtype, self.zarr_format)
        except BadRequest as error:
            self.refused = self.refused or error
            return False
        self.taken = True
        return True

    def _kept(self, own: Encoding, layout: ArrayLayout, dtype: np.dtype, variable: xr.Variable) -> Encoding:
        """With the codecs of the store for those that the request leaves out; filters are made for numbers as they are packed."""
        there, told = stored_codecs(layout, dtype), frozenset[str]() if self.as_stored else own.told
        repacked = any(own.packing.get(key) is not None for key in PACKING) and not self.as_stored
        compressor = own.compressor if "compressor" in told else there.compressor
        filters = own.filters if "filters" in told else () if repacked else there.filters
        checksum = None if "compressor" in told else there.checksum
        fill = variable.encoding.get("fill_value") if self.zarr_format == layout.zarr_format == 3 and not repacked else None
        kept = replace(own, compressor=compressor, filters=filters, checksum=checksum, fill_value=fill)
        kept = replace(kept, kept="filters" not in told and not self.as_stored)
        reason = self._why_not(kept, dtype) if told != {"compressor", "filters"} else ""
        lost = [*there.unknown] if "compressor" not in told else []
        if repacked and there.filters and "filters" not in told:
            lost.append(f"filters for numbers that are packed otherwise: {', '.join(codec.name for codec in there.filters)}")
        if reason:
            lost.append(reason)
            kept = replace(kept, filters=own.filters, compressor=own.compressor, checksum=None, kept=False)
        if lost and not self.as_stored:
            names = " and ".join([*(codec.name for codec in kept.filters), kept.compressor.name])
            self.notes.append(
                f"'{own.variable}' is not encoded as in the source, which has what is not written here ({'; '.join(lost)}): by {names}."
            )
        return kept

    def _why_not(self, encoding: Encoding, dtype: np.dtype) -> str:
        if dtype.kind not in _NUMBERS:
            return "filters of text" if encoding.filters else ""
        key = (repr(encoding.compressor), repr(encoding.filters), dtype.str)
        if key not in self._works:
            try:
                rehearse(encoding, dtype, self.zarr_format)
                self._works[key] = ""
            except BadRequest as error:
                self._works[key] = str(error)
        return self._works[key]


def check_names(encodings: Collection[str], source: Source) -> None:
    """Raises BadRequest for encodings of variables that are not written."""
    for name in encodings:
        if name != EVERY and name not in source.variables:
            known = ", ".join(sorted(source.variables))
            raise BadRequest(f"encoding names '{name}', which is not written. Written are: {known}; {EVERY} means all.", variable=name)
