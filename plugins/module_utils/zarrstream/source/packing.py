# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""New packing (dtype, scale_factor, add_offset, _FillValue) where it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import BadRequest, SourceError

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

SCRATCH = 40  # bytes that an element takes while it is unpacked and packed anew: decoded, scaled, rounded, in float64


class Packer:
    """Decodes a variable's blocks and encodes them anew by the CF conventions, each with the same fixed parameters."""

    def __init__(self, name: str, source: xr.Variable, packing: Mapping[str, Any], field: str = "") -> None:
        """``field`` of the request is what messages name; ``encoding`` by default."""
        import numpy as np

        self.name, self.field = name, field or f"encoding.{name}"
        self.encoding: dict[str, Any] = {key: value for key, value in packing.items() if value is not None}
        empty = source[tuple(slice(0, 0) for _unused in source.dims)] if source.dims else source
        decoded = self._decode(empty.copy(deep=True))
        if decoded.dtype.kind not in "biuf":
            raise BadRequest(f"{self.field} changes the packing, but '{name}' has dtype {decoded.dtype}: only numbers are packed.")
        if ("scale_factor" in self.encoding or "add_offset" in self.encoding) and "dtype" not in self.encoding:
            raise BadRequest(f"{self.field} has scale_factor or add_offset but no dtype: say what is stored, such as int16.")
        self.dtype = np.dtype(self.encoding.setdefault("dtype", decoded.dtype.str[1:]))
        if self.dtype.kind not in "biuf":
            raise BadRequest(f"{self.field}.dtype is '{self.encoding['dtype']}': only numbers are packed. Use int16, float32 …")
        self.masked = "_FillValue" in source.attrs or "missing_value" in source.attrs
        if "_FillValue" not in packing and self.dtype.kind == "f" and (self.masked or decoded.dtype.kind == "f"):
            self.encoding["_FillValue"] = self.dtype.type(np.nan)
        self._check_fill()
        # xarray looks at the key: None means "none", a missing key means "choose one".
        self.encoding.setdefault("_FillValue", None)
        self.attrs = self._encode(decoded).attrs

    def pack(self, source: xr.Variable) -> np.ndarray:
        """The stored values of a block of the source; raises SourceError for values that the packing cannot hold."""
        decoded = self._decode(source)
        if self.dtype.kind in "iu":
            self._check_range(decoded)
        values = self._encode(decoded).values
        if self.dtype.kind == "f" and self.dtype.itemsize < decoded.dtype.itemsize:
            self._check_finite(decoded.values, values)
        return values

    def _decode(self, variable: xr.Variable) -> xr.Variable:
        from xarray.conventions import decode_cf_variable

        decoded = decode_cf_variable(self.name, variable, mask_and_scale=True, decode_times=False, decode_timedelta=False).load()
        decoded.encoding = {}
        for key in ("missing_value", "_FillValue"):
            decoded.attrs.pop(key, None)
        return decoded

    def _encode(self, decoded: xr.Variable) -> xr.Variable:
        from xarray.conventions import encode_cf_variable

        variable = decoded.copy(deep=False)
        variable.encoding = dict(self.encoding)
        return encode_cf_variable(variable, name=self.name)

    def _check_fill(self) -> None:
        import numpy as np

        fill = self.encoding.get("_FillValue")
        if fill is None:
            return
        try:
            with np.errstate(all="raise"):
                fits = not isinstance(fill, str) and np.array(fill).astype(self.dtype) == fill
        except (ValueError, TypeError, FloatingPointError, OverflowError):
            fits = False
        if not (fits or fill != fill):  # NaN is not equal to itself, and fits every float; pylint: disable=comparison-with-itself
            raise BadRequest(f"{self.field}._FillValue is {fill!r}: {self.dtype} cannot hold it. Choose another.")
        if fill != fill and self.dtype.kind != "f":  # pylint: disable=comparison-with-itself
            raise BadRequest(f"{self.field}._FillValue is NaN: {self.dtype} cannot hold it. Choose a number.")
        self.encoding["_FillValue"] = self.dtype.type(fill)

    def _check_finite(self, decoded: np.ndarray, packed: np.ndarray) -> None:
        import numpy as np

        if bool((np.isinf(packed) & np.isfinite(decoded)).any()):
            raise SourceError(f"'{self.name}' has values that {self.dtype} cannot hold. Set another dtype in {self.field}.")

    def _check_range(self, decoded: xr.Variable) -> None:
        import numpy as np

        values = decoded.values
        missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros((), bool)
        fill = self.encoding.get("_FillValue")
        if fill is None and missing.any():
            raise SourceError(f"'{self.name}' has missing values, but {self.field} has no _FillValue to store them as. Set one.")
        present = values[~missing] if missing.any() else values
        if not present.size:
            return
        scaled = (present - self.encoding.get("add_offset", 0)) / self.encoding.get("scale_factor", 1)
        scaled = np.rint(scaled) if scaled.dtype.kind == "f" else scaled
        limits = np.iinfo(self.dtype)
        low, high = scaled.min(), scaled.max()
        if not (low >= limits.min and high <= limits.max):
            raise SourceError(
                f"'{self.name}' has values from {present.min()} to {present.max()}: packed they are {low:.0f} to {high:.0f}, beyond "
                f"{self.dtype}. Set another scale_factor, add_offset or dtype in {self.field}."
            )
        if fill is not None and bool((scaled == fill).any()):
            raise SourceError(f"'{self.name}' has values that pack to {fill}, the _FillValue of {self.field}. Choose another.")
