# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How an array is stored: codecs by name, in one table, and what a request says of them and of packing.

Codecs that cannot tell a flipped bit get a checksum: Zstandard its own, others in Zarr v3 a CRC32C at the end. Zarr v2 has no
place for one behind a compressor, and before it, as a filter, it would hide the elements' size from Blosc; there Blosc, LZ4 and
uncompressed chunks stay without, and only the manifest tells damage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal

from ..errors import BadRequest
from .lengths import AUTO, Asked, parse_lengths

if TYPE_CHECKING:
    import numpy as np

PACKING = ("dtype", "scale_factor", "add_offset", "_FillValue")
LAYOUT = ("chunks", "shards")
KEYS = ("compressor", "filters", *PACKING, *LAYOUT)
CODEC_KEYS = ("compressor", "filters")
EVERY = "*"  # what stands for all variables in a request


@dataclass(frozen=True)
class Kind:
    """A codec, by its name in numcodecs and in Zarr v2; ``v3`` is its class below ``zarr.codecs``.

    ``lossy`` says of which values others come back; ``loss`` gives the absolute and the relative error of that, with what it comes from.
    """

    name: str
    v3: str
    role: Literal["compressor", "filter", "filter of bytes"] = "compressor"
    shortest: int = 1  # bytes of a frame with an empty body
    checksum: bool = False  # tells a flipped bit, unless its parameter of that name is off
    lossy: Literal["", "floats", "all"] = ""
    loss: Callable[[Mapping[str, Any], np.dtype], tuple[float, float, str]] | None = None
    defaults: Callable[[np.dtype], dict[str, Any]] = lambda _dtype: {}
    v2_numbers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # by parameter, where v3 has words


def epsilon(dtype: np.dtype) -> float:
    """The relative error of a float of this type; 0 for other types."""
    import numpy as np

    return float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0


def _bitround_loss(options: Mapping[str, Any], _dtype: np.dtype) -> tuple[float, float, str]:
    return 0.0, 2.0 ** -int(options["keepbits"]), f"bitround keepbits={options['keepbits']}"


def _quantize_loss(options: Mapping[str, Any], _dtype: np.dtype) -> tuple[float, float, str]:
    return 10.0 ** -int(options["digits"]), 0.0, f"quantize digits={options['digits']}"


def _scale_loss(options: Mapping[str, Any], dtype: np.dtype) -> tuple[float, float, str]:
    return 0.5 / abs(float(options["scale"])), 4 * epsilon(dtype), f"fixedscaleoffset scale={options['scale']}"


def _astype_loss(options: Mapping[str, Any], _dtype: np.dtype) -> tuple[float, float, str]:
    import numpy as np

    kept = np.dtype(options["encode_dtype"])
    return 0.0 if kept.kind == "f" else 1.0, epsilon(kept), f"astype {kept}"


def _of_dtype(dtype: np.dtype) -> dict[str, Any]:
    return {"dtype": dtype.str}


_KINDS = (
    Kind("zstd", "ZstdCodec", shortest=9, checksum=True, defaults=lambda _dtype: {"level": 3, "checksum": True}),
    Kind("blosc", "BloscCodec", shortest=16, v2_numbers={"shuffle": {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}}),
    Kind("gzip", "GzipCodec", shortest=20, checksum=True),
    Kind("zlib", "numcodecs.Zlib", shortest=8, checksum=True),
    Kind("lz4", "numcodecs.LZ4", shortest=5),
    Kind("bz2", "numcodecs.BZ2", shortest=14, checksum=True),
    Kind("lzma", "numcodecs.LZMA", checksum=True),
    Kind("none", ""),
    Kind("delta", "numcodecs.Delta", "filter", lossy="floats", defaults=_of_dtype),  # differences of floats are rounded
    Kind("shuffle", "numcodecs.Shuffle", "filter of bytes", defaults=lambda dtype: {"elementsize": dtype.itemsize}),
    Kind("bitround", "numcodecs.BitRound", "filter", lossy="all", loss=_bitround_loss),
    Kind("quantize", "numcodecs.Quantize", "filter", lossy="all", loss=_quantize_loss, defaults=_of_dtype),
    Kind("fixedscaleoffset", "numcodecs.FixedScaleOffset", "filter", lossy="all", loss=_scale_loss, defaults=_of_dtype),
    Kind("packbits", "numcodecs.PackBits", "filter"),
    Kind("astype", "numcodecs.AsType", "filter", lossy="all", loss=_astype_loss, defaults=lambda dtype: {"decode_dtype": dtype.str}),
)
CODECS = {kind.name: kind for kind in _KINDS}
COMPRESSORS = tuple(kind.name for kind in _KINDS if kind.role == "compressor")
FILTERS = tuple(kind.name for kind in _KINDS if kind.role != "compressor")


@dataclass(frozen=True)
class Codec:
    """A codec by its name in numcodecs, with its parameters."""

    name: str
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """What is known of it."""
        return CODECS[self.name]


@dataclass(frozen=True)
class Encoding:
    """What the request says about one variable; ``packing`` is empty where values are stored as the source has them.

    ``told`` are those of compressor and filters that it names: what it leaves out may be said for all variables, or be kept from a
    Zarr source. ``kept`` says that it was, and that values must not change by that; ``checksum`` whether CRC32C follows the
    compressor (None: by our own rule), ``fill_value`` what format 3 has beside the attribute _FillValue (None: xarray's default).
    """

    variable: str
    compressor: Codec = Codec("zstd")
    filters: tuple[Codec, ...] = ()
    packing: dict[str, Any] = field(default_factory=dict)
    chunks: Asked = None
    shards: Asked = None
    told: frozenset[str] = frozenset()
    kept: bool = False
    checksum: bool | None = None
    fill_value: Any = None

    def normal(self, *, told: bool = False) -> dict[str, Any]:
        """The request in one spelling, for the fingerprint; empty where it asks for nothing but the defaults.

        With ``told`` to name a default is another request than to leave it out.
        """
        spelled = self._spelled()
        layout = {
            key: _plain_lengths(lengths) for key, lengths in (("chunks", self.chunks), ("shards", self.shards)) if lengths is not None
        }
        if spelled == Encoding(self.variable)._spelled() and not layout and not (told and self.told):
            return {}
        return {**spelled, **layout} | ({"told": sorted(self.told)} if told else {})

    def to_dict(self) -> dict[str, Any]:
        """All of it but lengths, as plain values for a worker, which has no need of the rest."""
        return {**self._spelled(), "kept": self.kept}

    def _spelled(self) -> dict[str, Any]:
        # NaN is not equal to itself; pylint: disable-next=comparison-with-itself
        packing = {key: "NaN" if value != value else value for key, value in sorted(self.packing.items())}
        codecs = [[codec.name, dict(sorted(codec.parameters.items()))] for codec in (*self.filters, self.compressor)]
        return {"codecs": codecs, "packing": packing}

    @property
    def names(self) -> list[str]:
        """The codecs, the compressor last."""
        return [codec.name for codec in (*self.filters, self.compressor)]

    def lossy(self, dtype: np.dtype) -> bool:
        """Whether decoding what was stored may give other values than were sent."""
        return any(codec.kind.lossy in ("all", "floats" if dtype.kind == "f" else "all") for codec in self.filters)


def parse_encoding(encoding: Mapping[str, Any]) -> dict[str, Encoding]:
    """The ``encoding`` of a request by variable, ``*`` for all; raises BadRequest for unknown keys and codecs. Needs no library."""
    return {name: _parse_variable(name, options) for name, options in encoding.items()}


def codec_arguments(encoding: Encoding, dtype: np.dtype, zarr_format: int) -> dict[str, Any]:
    """``filters`` and ``compressors`` as xarray's ``to_zarr`` takes them; raises BadRequest for parameters a codec does not take."""
    if zarr_format == 2:
        compressor = _numcodec(encoding, encoding.compressor, dtype)
        arguments: dict[str, Any] = {"compressors": compressor}
        if encoding.filters:
            arguments["filters"] = [_numcodec(encoding, codec, dtype) for codec in encoding.filters]
        return arguments
    before = [codec for codec in encoding.filters if codec.kind.role == "filter of bytes"]  # belongs to the compressors
    filters = [codec for codec in encoding.filters if codec.kind.role == "filter"]
    compressors = [_v3_codec(encoding, codec, dtype) for codec in [*before, encoding.compressor] if codec.name != "none"]
    if not _tells_damage(encoding.compressor) if encoding.checksum is None else encoding.checksum:
        from zarr.codecs import Crc32cCodec

        compressors.append(Crc32cCodec())
    arguments = {"compressors": tuple(compressors)}
    if filters:
        arguments["filters"] = tuple(_v3_codec(encoding, codec, dtype) for codec in filters)
    return arguments


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
        chunks=_parse_layout(name, "chunks", options),
        shards=_parse_layout(name, "shards", options),
        told=frozenset(CODEC_KEYS).intersection(options),
    )


def _parse_layout(name: str, key: str, options: Mapping[str, Any]) -> Asked:
    value = options.get(key)
    if name == EVERY and isinstance(value, list | tuple):
        raise BadRequest(
            f"encoding.{name}.{key} is {value!r}: variables differ in their axes. Give lengths by dimension, such as {{time: 240}}."
        )
    lengths = parse_lengths(f"encoding.{name}.{key}", value, axes=name != EVERY, none=key == "shards")
    short = next((f".{dim} is {length}" for dim, length in _items(lengths) if length != AUTO and length < 1), None)
    if short:
        raise BadRequest(f"encoding.{name}.{key}{short}: it has to be a whole number above 0, or auto.", variable=name)
    return lengths


def _items(lengths: Asked) -> Iterable[tuple[Any, Any]]:
    if isinstance(lengths, tuple):
        return enumerate(lengths)
    return lengths.items() if isinstance(lengths, dict) else ()


def _plain_lengths(lengths: Asked) -> Any:
    return dict(sorted(lengths.items())) if isinstance(lengths, dict) else list(lengths) if isinstance(lengths, tuple) else lengths


def encodings_of(normal: Mapping[str, Any]) -> dict[str, Encoding]:
    """Encodings from the spelling in a manifest, or that for a worker."""
    found = {}
    for name, options in normal.items():
        *filters, compressor = (Codec(codec, dict(parameters)) for codec, parameters in options["codecs"])
        packing = {key: float("nan") if value == "NaN" else value for key, value in options["packing"].items()}
        told = frozenset(options.get("told", CODEC_KEYS))
        chunks, shards = (tuple(value) if isinstance(value, list) else value for value in (options.get("chunks"), options.get("shards")))
        found[name] = Encoding(name, compressor, tuple(filters), packing, chunks, shards, told, kept=options.get("kept", False))
    return found


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
    parameters = codec.kind.defaults(dtype)
    parameters = {**codec.parameters, **{name: value for name, value in parameters.items() if name not in codec.parameters}}
    numbers = codec.kind.v2_numbers if zarr_format == 2 else {}
    return parameters | {name: words.get(parameters[name], parameters[name]) for name, words in numbers.items() if name in parameters}


def _tells_damage(codec: Codec) -> bool:
    return codec.kind.checksum and codec.parameters.get("checksum", True) is True


def _numcodec(encoding: Encoding, codec: Codec, dtype: np.dtype) -> Any:
    import numcodecs

    if codec.name == "none":
        return None
    return _made(encoding, numcodecs.get_codec, {"id": codec.name} | _parameters(codec, dtype, 2))


def _v3_codec(encoding: Encoding, codec: Codec, dtype: np.dtype) -> Any:
    import zarr.codecs
    import zarr.codecs.numcodecs

    make = attrgetter(codec.kind.v3)(zarr.codecs)
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
