# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Are two blocks of an array the same? Bit for bit where they are stored alike, else within what the encoding may cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..encoding.codecs import CODECS, epsilon
from ..metadata.attributes import PACKING, TIME
from ..metadata.layout import ArrayLayout
from ..text import shortened

if TYPE_CHECKING:
    import numpy as np

_PACKING = (*PACKING, "dtype")  # which xarray notes for booleans
_TEXT = "SUOT"


@dataclass(frozen=True)
class Rule:
    """How stored values have to equal the source's. ``reason`` names the encoding that makes a tolerance necessary."""

    exact: bool = True
    absolute: float = 0.0
    relative: float = 0.0
    reason: str = ""

    @property
    def text(self) -> str:
        """The rule in words."""
        if self.exact:
            return "bit for bit"
        if not self.absolute and not self.relative:
            return f"as decoded values ({self.reason})"
        return f"within {self.absolute:g} + {self.relative:g} × value ({self.reason})"


@dataclass(frozen=True)
class EncodedValues:
    """Values in encoded form with the attributes that say what they mean."""

    values: np.ndarray
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Difference:
    """How many elements of a block differ, and the first of them: its place in the block and both values as text."""

    count: int
    index: tuple[int, ...]
    stored: str
    source: str


def rule_for(layout: ArrayLayout, stored: EncodedValues, source: EncodedValues, repacked: bool) -> Rule:
    """The strictest rule that a correct store can meet; the blocks may be empty, their dtype and attributes count.

    ``repacked`` says that the numbers are meant to be others than in the source, as encoding asked for.
    """
    kinds = [(CODECS[name], options) for name, options in flat_codecs(layout.codecs) if name in CODECS]
    lossy = [kind.loss(options, stored.values.dtype) for kind, options in kinds if kind.loss]
    return _packing_loss(stored, source, lossy) if lossy or repacked else Rule()


def type_name(block: EncodedValues) -> str:
    """Kind and width of the values; the same for both byte orders, and for every way to keep text."""
    dtype = block.values.dtype
    return "text" if dtype.kind in _TEXT else f"{dtype.kind}{dtype.itemsize}"


def is_time(attributes: Mapping[str, Any]) -> bool:
    """Whether the numbers count time from a date."""
    return " since " in str(attributes.get("units"))


def packing(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Those attributes that say what the numbers stand for: change one, and the same numbers are other values."""
    names = [*_PACKING, *TIME] if is_time(attributes) else _PACKING
    return {name: attributes[name] for name in names if name in attributes}


def flat_codecs(codecs: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and configuration of each codec, those within shards included; names without the prefix ``numcodecs.``."""
    for codec in codecs if isinstance(codecs, (list, tuple)) else ():
        if not isinstance(codec, Mapping):
            continue
        configuration = codec.get("configuration")
        configuration = configuration if isinstance(configuration, Mapping) else {}
        yield str(codec.get("name")).removeprefix("numcodecs."), configuration
        yield from flat_codecs(configuration.get("codecs"))


def _packing_loss(stored: EncodedValues, source: EncodedValues, lossy: list[tuple[float, float, str]]) -> Rule:
    absolute = sum(loss[0] for loss in lossy)
    relative = sum(loss[1] for loss in lossy)
    reasons = [loss[2] for loss in lossy]
    dtype, scale = stored.values.dtype, stored.attributes.get("scale_factor")
    if scale is not None:
        # Half a step of the packing, and the rounding of the floats in which it is worked out, before and after.
        rounding = 2 * max(epsilon(decode(stored).dtype), epsilon(decode(source).dtype))
        absolute += abs(float(scale)) / 2 + rounding * abs(float(stored.attributes.get("add_offset", 0)))
        relative += rounding
        reasons.append(f"packed as {dtype} with scale_factor={float(scale):g}")
    elif dtype != source.values.dtype:
        relative += epsilon(dtype)
        absolute += 0.5 if dtype.kind in "iu" and source.values.dtype.kind == "f" else 0.0
        reasons.append(f"stored as {dtype}, {source.values.dtype} in the source")
    return Rule(False, absolute, relative, ", ".join(reasons) or "packed otherwise than in the source")


def difference(rule: Rule, stored: EncodedValues, source: EncodedValues) -> Difference | None:
    """The first difference of two blocks of one shape, or None."""
    if rule.exact and type_name(stored) != type_name(source):
        return Difference(stored.values.size, (), f"{stored.values.dtype} values", f"{source.values.dtype} values")
    if rule.exact:
        return _bits(stored.values, source.values)
    return None if alike(stored, source) else _decoded(rule, decode(stored), decode(source))


def alike(stored: EncodedValues, source: EncodedValues) -> bool:
    """Whether two blocks of one shape are the same numbers with the same meaning, which nobody has to decode to see."""
    if type_name(stored) != type_name(source) or stored.values.shape != source.values.shape:
        return False
    left, right = packing(stored.attributes), packing(source.attributes)
    same = left.keys() == right.keys() and all(str(left[name]) == str(right[name]) for name in left)
    return same and _bits(stored.values, source.values) is None


def decode(block: EncodedValues) -> np.ndarray:
    """The values as xarray would hand them to a user: unpacked, masked, times as dates."""
    import xarray as xr

    # Dimensions of our own, for xarray builds an index where a variable has the name of its dimension.
    dims = [f"axis_{number}" for number in range(block.values.ndim)]
    attributes = {name: value for name, value in block.attributes.items() if name != "coordinates"}
    coder = xr.coders.CFDatetimeCoder(time_unit="ns")
    dataset = xr.decode_cf(xr.Dataset({"block": (dims, block.values, attributes)}), decode_times=coder)
    return dataset["block"].values


def _bits(stored: np.ndarray, source: np.ndarray) -> Difference | None:
    import numpy as np

    if stored.dtype.kind in _TEXT:
        unequal = _as_text(stored) != _as_text(source)
    else:
        unequal = _raw(stored) != _raw(source)
        if unequal.ndim > stored.ndim:
            unequal = unequal.any(axis=-1)
    return _first(np.asarray(unequal), stored, source)


def _raw(values: np.ndarray) -> np.ndarray:
    """The bits of each element as whole numbers: NaN payloads and the sign of zero count."""
    import numpy as np

    native = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("=")).reshape(values.shape)
    if native.dtype.itemsize in (1, 2, 4, 8):
        return native.view(f"u{native.dtype.itemsize}")
    return native[..., np.newaxis].view("u1")


def _as_text(values: np.ndarray) -> np.ndarray:
    import numpy as np

    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "surrogateescape")
    return values.astype(object)


def _decoded(rule: Rule, stored: np.ndarray, source: np.ndarray) -> Difference | None:
    import numpy as np

    if stored.dtype.kind in "biufc" and source.dtype.kind in "biufc":
        with np.errstate(all="ignore"):
            near = np.isclose(stored, source, rtol=rule.relative, atol=rule.absolute, equal_nan=True)
        return _first(~near, stored, source)
    if stored.dtype.kind in "mM" and source.dtype.kind in "mM":
        return _first(stored.astype(source.dtype).view("i8") != source.view("i8"), stored, source)
    return _first(np.asarray(_as_text(stored) != _as_text(source), dtype=bool), stored, source)


def _first(unequal: np.ndarray, stored: np.ndarray, source: np.ndarray) -> Difference | None:
    import numpy as np

    count = int(np.count_nonzero(unequal))
    if not count:
        return None
    index = tuple(int(number) for number in np.unravel_index(int(np.argmax(unequal)), unequal.shape)) if unequal.ndim else ()
    one, other = stored[index], source[index]
    left, right = _show(one), _show(other)
    if left == right and hasattr(one, "tobytes"):
        left, right = f"{left} (bytes {one.tobytes().hex()})", f"{right} (bytes {other.tobytes().hex()})"
    return Difference(count, index, left, right)


def _show(value: Any) -> str:
    return shortened(repr(value.item() if hasattr(value, "item") else value))
