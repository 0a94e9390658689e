# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Zstandard for small chunks, by the package ``zstandard`` where it is installed: its library is newer than that in numcodecs.

Both write what every reader of Zstandard reads, not always the same bytes: what is kept of a write that was interrupted is known by
the MD5s that were noted, and an object with other bytes is sent again.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..compat import zstd_codec

if TYPE_CHECKING:
    from numcodecs import Zstd

SMALL = 2**17  # bytes, one block of Zstandard: above it numcodecs is as fast


@lru_cache(1)
def small_zstd() -> type[Zstd] | None:
    """The codec of numcodecs with another encoder for small chunks; None where the package is missing."""
    try:
        import zstandard
    except ImportError:
        return None
    from numcodecs import Zstd

    class Compressors(threading.local):  # one serves one thread at a time
        def __init__(self) -> None:
            self.by_options: dict[tuple[int, bool], zstandard.ZstdCompressor] = {}

    compressors = Compressors()

    class SmallZstd(Zstd):  # type: ignore[misc]
        def encode(self, buf: Any) -> Any:
            if self.level < 1 or memoryview(buf).nbytes > SMALL:
                return super().encode(buf)
            made, options = compressors.by_options, (self.level, self.checksum)
            if options not in made:
                made[options] = zstandard.ZstdCompressor(level=self.level, write_checksum=self.checksum)
            return made[options].compress(buf)

    return SmallZstd


@lru_cache(1)
def zstd_setting() -> dict[str, str]:
    """Zarr's setting with which arrays that are opened encode so; empty where the package is missing."""
    from zarr.registry import register_codec

    make = small_zstd()
    if make is None:
        return {}
    name = f"{__name__}.zstd"
    register_codec("zstd", zstd_codec(make), qualname=name)  # nobody takes it who does not ask for it by this name
    return {"codecs.zstd": name}
