# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading stored chunks back before they are published, decoded and compared bit for bit with the source.

The source is read by another library than the one that read it for the write, where there are two (``source/proof.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from ..encoding.encoder import Encoder
from ..encoding.lossy import same_bits, through_codecs
from ..errors import WriteError
from ..parallel import MAKERS, copy_blocks
from ..planning.plan import Block
from ..sidecar.manifest import Stored
from ..source.proof import another_reader
from ..storage.objects import Objects
from .plans import StorePlan
from .publish import locate
from .staging import ReadBack, StagedArray

if TYPE_CHECKING:
    import numpy as np


def compare_values(plan: StorePlan, objects: Objects, records: Mapping[str, Stored], blocks: Iterable[Block]) -> int:
    """Decode these blocks from the store and compare them with the source; returns the bytes compared, or raises WriteError."""
    encoder, arrays = plan.encoder, plan.open_arrays(read_back(plan.template.documents, objects, records, plan.staged))
    compared: list[int] = []

    def check(block: Block, expected: np.ndarray) -> None:
        compare_block(arrays[block.array], encoder, plan.template.arrays, block, expected, plan.zarr_format, objects.place.url)
        compared.append(expected.nbytes)

    def make(block: Block) -> np.ndarray:
        with another_reader():
            return encoder.values(block.array, block.region)

    copy_blocks(blocks, make, check, plan.extent.arrays.memory, MAKERS)
    return sum(compared)


def read_back(documents: Mapping[str, bytes], objects: Objects, records: Mapping[str, Stored], staged: Collection[str]) -> ReadBack:
    """A store of which only those objects can be read that are as they were recorded."""
    return ReadBack(documents, objects, lambda key: locate(objects, key, staged), lambda key, stored: records.get(key) == stored)


def compare_block(
    array: StagedArray,
    encoder: Encoder,
    documents: Mapping[str, bytes],
    block: Block,
    expected: np.ndarray,
    zarr_format: Literal[2, 3],
    url: str,
) -> None:
    """Raises WriteError where a block of the store has other values than the source's."""
    if encoder.encodings[block.array].lossy(expected.dtype):
        expected = through_codecs(documents, block, expected, zarr_format)
    found = array[tuple(slice(start, stop) for start, stop in block.region)]
    if not same_bits(found, expected):
        where = ", ".join(f"{start}:{stop}" for start, stop in block.region)
        raise WriteError(f"'{block.array}' at [{where}] reads back from {url} with other values than the source has.")
