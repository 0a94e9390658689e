# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How an array is stored: codecs by name, and new packing (dtype, scale_factor, add_offset, _FillValue) where it is asked for.

Codecs that cannot tell a flipped bit get a checksum: Zstandard its own, others in Zarr v3 a CRC32C at the end. Zarr v2 has no
place for one behind a compressor, and before it, as a filter, it would hide the elements' size from Blosc; there Blosc, LZ4 and
uncompressed chunks stay without, and only the manifest tells damage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ..errors import BadRequest, SourceError

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

PACKING = ("dtype", "scale_factor", "add_offset", "_FillValue")
KEYS = ("compressor", "filters", *PACKING)
COMPRESSORS = ("zstd", "blosc", "gzip", "zlib", "lz4", "bz2", "lzma", "none")
FILTERS = ("delta", "shuffle", "bitround", "quantize", "fixedscaleoffset", "packbits", "astype")
LOSSY = frozenset({"bitround", "quantize", "fixedscaleoffset", "astype"})  # reading back gives other values than were sent
SCRATCH = 40  # bytes that an element takes while it is unpacked and packed anew: decoded, scaled, rounded, in float64
_TAKES_DTYPE = frozenset({"delta", "quantize", "fixedscaleoffset"})
_OWN_CHECKSUM = frozenset({"zstd", "gzip", "zlib", "bz2", "lzma"})  # lzma and gzip by their formats, zstd by option
_BLOSC_SHUFFLE = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}  # v2 has numbers where v3 has words
_NUMCODECS = {
    "lz4": "LZ4",
    "zlib": "Zlib",
    "bz2": "BZ2",
    "lzma": "LZMA",
    "delta": "Delta",
    "shuffle": "Shuffle",
    "bitround": "BitRound",
    "quantize": "Quantize",
    "fixedscaleoffset": "FixedScaleOffset",
    "packbits": "PackBits",
    "astype": "AsType",
}


@dataclass(frozen=True)
class Codec:
    """A codec by its name in numcodecs, with its parameters."""

    name: str
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Encoding:
    """What the request says about one variable; ``packing`` is empty where values are stored as the source has them."""

    variable: str
    compressor: Codec = Codec("zstd")
    filters: tuple[Codec, ...] = ()
    packing: dict[str, Any] = field(default_factory=dict)

    def normal(self) -> dict[str, Any]:
        """The request in one spelling, for the fingerprint; empty where it asks for nothing but the defaults."""
        if self == Encoding(self.variable):
            return {}
        # NaN is not equal to itself; pylint: disable-next=comparison-with-itself
        packing = {key: "NaN" if value != value else value for key, value in sorted(self.packing.items())}
        codecs = [[codec.name, dict(sorted(codec.parameters.items()))] for codec in (*self.filters, self.compressor)]
        return {"codecs": codecs, "packing": packing}

    def lossy(self, dtype: np.dtype) -> bool:
        """Whether decoding what was stored may give other values than were sent: differences of floats are rounded too."""
        return any(codec.name in LOSSY or (codec.name == "delta" and dtype.kind == "f") for codec in self.filters)


def parse_encoding(encoding: Mapping[str, Any]) -> dict[str, Encoding]:
    """The ``encoding`` of a request by variable; raises BadRequest for unknown keys and codecs. Needs no library."""
    return {name: _parse_variable(name, options) for name, options in encoding.items()}


def codec_arguments(encoding: Encoding, dtype: np.dtype, zarr_format: int) -> dict[str, Any]:
    """``filters`` and ``compressors`` as xarray's ``to_zarr`` takes them; raises BadRequest for parameters a codec does not take."""
    if zarr_format == 2:
        compressor = _numcodec(encoding, encoding.compressor, dtype)
        arguments: dict[str, Any] = {"compressors": compressor}
        if encoding.filters:
            arguments["filters"] = [_numcodec(encoding, codec, dtype) for codec in encoding.filters]
        return arguments
    before = [codec for codec in encoding.filters if codec.name == "shuffle"]  # bytes to bytes: belongs to the compressors
    filters = [codec for codec in encoding.filters if codec.name != "shuffle"]
    compressors = [_v3_codec(encoding, codec, dtype) for codec in [*before, encoding.compressor] if codec.name != "none"]
    if not _tells_damage(encoding.compressor):
        from zarr.codecs import Crc32cCodec

        compressors.append(Crc32cCodec())
    arguments = {"compressors": tuple(compressors)}
    if filters:
        arguments["filters"] = tuple(_v3_codec(encoding, codec, dtype) for codec in filters)
    return arguments


class Packer:
    """Decodes a variable's blocks and encodes them anew by the CF conventions, each with the same fixed parameters."""

    def __init__(self, name: str, source: xr.Variable, packing: Mapping[str, Any]) -> None:
        import numpy as np

        self.name = name
        self.encoding: dict[str, Any] = {key: value for key, value in packing.items() if value is not None}
        empty = source[tuple(slice(0, 0) for _unused in source.dims)] if source.dims else source
        decoded = self._decode(empty.copy(deep=True))
        if decoded.dtype.kind not in "biuf":
            raise BadRequest(f"encoding.{name} changes the packing, but '{name}' has dtype {decoded.dtype}: only numbers are packed.")
        if ("scale_factor" in self.encoding or "add_offset" in self.encoding) and "dtype" not in self.encoding:
            raise BadRequest(f"encoding.{name} has scale_factor or add_offset but no dtype: say what is stored, such as int16.")
        self.dtype = np.dtype(self.encoding.setdefault("dtype", decoded.dtype.str[1:]))
        if self.dtype.kind not in "biuf":
            raise BadRequest(f"encoding.{name}.dtype is '{self.encoding['dtype']}': only numbers are packed. Use int16, float32 …")
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
        return self._encode(decoded).values

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
            raise BadRequest(f"encoding.{self.name}._FillValue is {fill!r}: {self.dtype} cannot hold it. Choose another.")
        if fill != fill and self.dtype.kind != "f":  # pylint: disable=comparison-with-itself
            raise BadRequest(f"encoding.{self.name}._FillValue is NaN: {self.dtype} cannot hold it. Choose a number.")
        self.encoding["_FillValue"] = self.dtype.type(fill)

    def _check_range(self, decoded: xr.Variable) -> None:
        import numpy as np

        values = decoded.values
        missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros((), bool)
        fill = self.encoding.get("_FillValue")
        if fill is None and missing.any():
            raise SourceError(f"'{self.name}' has missing values, but encoding.{self.name} has no _FillValue to store them as. Set one.")
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
                f"{self.dtype}. Set another scale_factor, add_offset or dtype in encoding.{self.name}."
            )
        if fill is not None and bool((scaled == fill).any()):
            raise SourceError(f"'{self.name}' has values that pack to {fill}, the _FillValue of encoding.{self.name}. Choose another.")


def _parse_variable(name: str, options: Any) -> Encoding:
    if not isinstance(options, Mapping):
        raise BadRequest(f"encoding.{name} is {options!r}: it is a dictionary with some of {', '.join(KEYS)}.")
    unknown = sorted(set(options) - set(KEYS))
    if unknown:
        raise BadRequest(f"encoding.{name} has the unknown key '{unknown[0]}'. Known are: {', '.join(KEYS)}.", variable=name)
    filters = options.get("filters") or []
    if not isinstance(filters, list):
        filters = [filters]
    return Encoding(
        variable=name,
        compressor=_codec(f"encoding.{name}.compressor", options.get("compressor", "zstd"), COMPRESSORS),
        filters=tuple(_codec(f"encoding.{name}.filters", entry, FILTERS) for entry in filters),
        packing=_parse_packing(name, options),
    )


def _parse_packing(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    packing = {key: options[key] for key in PACKING if key in options}
    for key in ("scale_factor", "add_offset"):
        value = packing.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise BadRequest(f"encoding.{name}.{key} is {value!r}: it has to be a number.", variable=name)
    if packing.get("scale_factor") == 0:
        raise BadRequest(f"encoding.{name}.scale_factor is 0: every value would become the same. Use another.", variable=name)
    if packing.get("_FillValue") in ("NaN", "nan"):
        packing["_FillValue"] = float("nan")
    if packing.get("dtype") is not None:
        import numpy as np

        try:
            packing["dtype"] = np.dtype(packing["dtype"]).str[1:]
        except TypeError:
            raise BadRequest(f"encoding.{name}.dtype is {packing['dtype']!r}: use int16, float32 … as numpy names them.") from None
    return packing


def _codec(where: str, entry: Any, known: tuple[str, ...]) -> Codec:
    parameters = dict(entry) if isinstance(entry, Mapping) else {}
    name = parameters.pop("name", parameters.pop("id", None)) if parameters else entry
    name = "none" if name is None and not isinstance(entry, Mapping) else name
    if name not in known:
        raise BadRequest(f"{where} is {entry!r}: the codec {name!r} is unknown. Known are: {', '.join(known)}.", codec=str(name))
    return Codec(str(name), parameters)


def _parameters(codec: Codec, dtype: np.dtype, zarr_format: int) -> dict[str, Any]:
    parameters = dict(codec.parameters)
    if codec.name == "zstd":
        return {"level": 3, "checksum": True} | parameters
    if codec.name == "blosc" and zarr_format == 2:
        parameters["shuffle"] = _BLOSC_SHUFFLE.get(parameters.get("shuffle", "shuffle"), parameters.get("shuffle"))
    if codec.name == "shuffle":
        parameters.setdefault("elementsize", dtype.itemsize)
    if codec.name in _TAKES_DTYPE:
        parameters.setdefault("dtype", dtype.str)
    if codec.name == "astype":
        parameters.setdefault("decode_dtype", dtype.str)
    return parameters


def _tells_damage(codec: Codec) -> bool:
    return codec.name in _OWN_CHECKSUM and codec.parameters.get("checksum", True) is True


def _numcodec(encoding: Encoding, codec: Codec, dtype: np.dtype) -> Any:
    import numcodecs

    if codec.name == "none":
        return None
    return _made(encoding, numcodecs.get_codec, {"id": codec.name} | _parameters(codec, dtype, 2))


def _v3_codec(encoding: Encoding, codec: Codec, dtype: np.dtype) -> Any:
    import zarr.codecs
    import zarr.codecs.numcodecs

    core = {"zstd": zarr.codecs.ZstdCodec, "gzip": zarr.codecs.GzipCodec, "blosc": zarr.codecs.BloscCodec}
    make = core.get(codec.name) or getattr(zarr.codecs.numcodecs, _NUMCODECS[codec.name])
    return _made(encoding, lambda options: make(**options), _parameters(codec, dtype, 3))


def _made(encoding: Encoding, make: Any, parameters: dict[str, Any]) -> Any:
    try:
        return make(parameters)
    except (TypeError, ValueError) as error:
        raise refused_parameters(encoding, str(error).strip().rstrip(".")) from None


def rehearse(encoding: Encoding, dtype: np.dtype, zarr_format: Literal[2, 3]) -> None:
    """Encode and decode a few values in memory: many codecs look at their parameters only when they work.

    Raises BadRequest for what does not work, before anything is touched.
    """
    import numpy as np
    import zarr
    from zarr.storage import MemoryStore

    arguments = codec_arguments(encoding, dtype, zarr_format)
    values = (np.arange(16) % 2 if dtype.kind == "b" else np.arange(16) * (1.25 if dtype.kind in "fc" else 3)).astype(dtype)
    try:
        array = zarr.create_array(MemoryStore(), shape=(16,), chunks=(16,), dtype=dtype, zarr_format=zarr_format, **arguments)
        array[...] = values
        found = np.asarray(array[...])
    except Exception as error:  # noqa: BLE001 - codecs raise whatever they like
        raise refused_parameters(encoding, str(error).strip().rstrip(".") or type(error).__name__) from None
    if not encoding.lossy(dtype) and found.tobytes() != values.tobytes():
        raise refused_parameters(encoding, f"it does not give {dtype} back as it was")


def refused_parameters(encoding: Encoding, reason: str) -> BadRequest:
    """The error for a codec that does not work with the parameters it was given."""
    asked = [{"name": codec.name, **codec.parameters} for codec in (*encoding.filters, encoding.compressor)]
    return BadRequest(f"encoding.{encoding.variable}: {asked} does not work: {reason}. Correct the parameters.", variable=encoding.variable)
