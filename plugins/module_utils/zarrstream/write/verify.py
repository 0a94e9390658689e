# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading stored chunks back before they are published, decoded and compared bit for bit with the source."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from ..encoding.encoder import Encoder
from ..encoding.lossy import through_codecs
from ..errors import WriteError
from ..parallel import MAKERS, copy_blocks
from ..planning.plan import ArrayPlan, Block, WritePlan
from ..sidecar.manifest import Stored
from ..storage.objects import Objects
from .staging import ReadBack, StagedArray, open_staged
from .template import Template

if TYPE_CHECKING:
    import numpy as np

SAMPLE = 16  # objects of each array, the first and the last among them


def sample_blocks(plan: WritePlan, seed: str) -> Iterator[Block]:
    """Some chunks, or shards, of every array; the same seed gives the same ones."""
    chooser = random.Random(seed)  # noqa: S311 - a choice that can be repeated is wanted
    for array in plan.arrays:
        count = array.objects
        chosen = {0, count - 1} | set(chooser.sample(range(count), min(count, SAMPLE - 2))) if count else set()
        yield from (_chunk(array, index) for index in sorted(chosen))


def compare_values(
    objects: Objects,
    encoder: Encoder,
    plan: WritePlan,
    template: Template,
    records: Mapping[str, Stored],
    blocks: Iterable[Block],
    zarr_format: Literal[2, 3],
    where: Callable[[str], str],
) -> int:
    """Decode these blocks from the store and compare them with the source; returns the bytes compared, or raises WriteError."""
    staged = ReadBack(template.documents, objects, where, lambda key, stored: records.get(key) == stored)
    arrays = {array.name: open_staged(staged, array.name, zarr_format) for array in plan.arrays}
    compared: list[int] = []

    def check(block: Block, expected: np.ndarray) -> None:
        compare_block(arrays[block.array], encoder, template.arrays, block, expected, zarr_format, objects.place.url)
        compared.append(expected.nbytes)

    copy_blocks(blocks, lambda block: encoder.values(block.array, block.region), check, plan.memory, MAKERS)
    return sum(compared)


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


def same_bits(one: object, two: object) -> bool:
    """Equal to the last bit: NaN payloads and the sign of zero count. Texts are compared as texts."""
    import numpy as np

    ours, theirs = np.asarray(one), np.asarray(two)
    if ours.shape != theirs.shape:
        return False
    if ours.dtype.kind in "OTU" or theirs.dtype.kind in "OTU":
        return bool(np.array_equal(ours.astype(object), theirs.astype(object)))
    return ours.dtype == theirs.dtype and ours.tobytes() == theirs.tobytes()


def _chunk(array: ArrayPlan, index: int) -> Block:
    counts = [-(-size // step) for size, step in zip(array.shape, array.unit, strict=True)]
    region = []
    for axis, (size, step) in enumerate(zip(array.shape, array.unit, strict=True)):
        position = index // math.prod(counts[axis + 1 :]) % counts[axis]
        region.append((position * step, min((position + 1) * step, size)))
    return array.task(tuple(region))
