# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What lossy codecs make of values, worked out in memory: missing values have to stay missing, and no value may become so."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ..compat import as_buffer
from ..errors import SourceError
from ..planning.plan import Block

if TYPE_CHECKING:
    import numpy as np

    from .encoder import Encoder


def through_codecs(documents: Mapping[str, bytes], block: Block, values: np.ndarray, zarr_format: Literal[2, 3]) -> np.ndarray:
    """What a reader gets for these values of a block, by the array's own metadata."""
    import numpy as np
    import zarr
    from zarr.storage import MemoryStore

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in template
        store = MemoryStore({key: as_buffer(data) for key, data in documents.items() if key.startswith(f"{block.array}/")})
        array = zarr.open_array(store, path=block.array, mode="r+", zarr_format=zarr_format)
        region = tuple(slice(start, stop) for start, stop in block.region)
        array[region] = values
        return np.asarray(array[region])


def check_block(encoder: Encoder, documents: Mapping[str, bytes], block: Block, values: np.ndarray, zarr_format: Literal[2, 3]) -> None:
    """Raises SourceError for values that lossy codecs would spoil."""
    if encoder.encodings[block.array].lossy(values.dtype):
        after = through_codecs(documents, block, values, zarr_format)
        if encoder.encodings[block.array].kept:
            check_unchanged(block.array, [codec.name for codec in encoder.encodings[block.array].filters], values, after)
        check_missing(block.array, encoder.placeholder(block.array).attrs, values, after)


def check_unchanged(name: str, filters: Sequence[str], before: np.ndarray, after: np.ndarray) -> None:
    """Raises SourceError where filters that a source has had, and nobody asked for anew, would change its values once more."""
    if same_bits(before, after):
        return
    position = int((before != after).argmax())
    raise SourceError(
        f"'{name}' has {', '.join(filters)} in the source, and storing it so again would change its values once more, such as "
        f"{before.flat[position]} to {after.flat[position]}. Set encoding.{name}.filters to [], or name them there to accept that.",
        variable=name,
    )


def check_missing(name: str, attrs: Mapping[str, Any], before: np.ndarray, after: np.ndarray) -> None:
    """Raises SourceError where a missing value does not come back as one, or another value comes back as missing.

    Missing is what readers take for it: NaN, and the values of the attributes _FillValue and missing_value.
    """
    was, becomes = _missing(attrs, before), _missing(attrs, after)
    if (was == becomes).all():
        return
    position = (was != becomes).argmax()
    old, new = before.flat[position], after.flat[position]
    lost = f"the missing value {old} of '{name}' would be read as {new}"
    made = f"the value {old} of '{name}' would be read as {new}, which means missing"
    raise SourceError(
        f"encoding.{name}.filters: {lost if was.flat[position] else made}. These filters are lossy. "
        f"Set encoding.{name}._FillValue to NaN (and dtype to float32 or float64), or leave these filters out.",
        variable=name,
    )


def _missing(attrs: Mapping[str, Any], values: np.ndarray) -> np.ndarray:
    import numpy as np

    missing = np.isnan(values) if values.dtype.kind in "fc" else np.zeros(values.shape, bool)
    for key in ("_FillValue", "missing_value"):
        for fill in np.atleast_1d(attrs.get(key, [])):
            if fill == fill:  # NaN is missing by itself; pylint: disable=comparison-with-itself
                missing = missing | (values == fill)
    return missing


def same_bits(one: object, two: object) -> bool:
    """Equal to the last bit: NaN payloads and the sign of zero count. Texts are compared as texts."""
    import numpy as np

    ours, theirs = np.asarray(one), np.asarray(two)
    if ours.shape != theirs.shape:
        return False
    if ours.dtype.kind in "OTU" or theirs.dtype.kind in "OTU":
        return bool(np.array_equal(ours.astype(object), theirs.astype(object)))
    return ours.dtype == theirs.dtype and ours.tobytes() == theirs.tobytes()
