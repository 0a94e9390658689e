# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The last blocks of a write: objects that readers know are written anew with more rows, one block after the other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..encoding.lossy import same_bits, through_codecs
from ..errors import PlanError
from ..planning.plan import Block
from ..sidecar.lock import update
from ..sidecar.manifest import Stored
from .plans import StorePlan
from .publish import locate
from .recording import Copying
from .staging import Data, Outgoing

if TYPE_CHECKING:
    import numpy as np


def rewrite_last(copying: Copying) -> None:
    """Write what is left when all that is free has been copied. The lock says before each block what its objects will be."""
    plan, objects = copying.plan, copying.objects
    held: dict[str, Data] = {}
    records: dict[str, Stored] = {}

    async def hold(key: str, data: Data) -> None:
        held[key] = data

    waiting = [block for block in plan.extent.last() if copying.missing(block)]
    arrays = plan.open_arrays(Outgoing(plan.template.documents, hold, records.__setitem__)) if waiting else {}
    for block in waiting:
        values = copying.read(block)
        copying.alone.check()
        copying.check(block, values)
        _check_old_rows(plan, block, values)
        arrays[block.array].encode(block.region, values)
        arrays[block.array].send(block.region)
        for key, stored in records.items():
            plan.rewritten.setdefault(key, []).append(stored.md5)
        update(objects, replace(copying.lock, rewritten=plan.rewritten))
        for key, data in held.items():
            objects.put(locate(objects, key, plan.staged), data)
            copying.done(key, records[key])
        held.clear()
        records.clear()


def _check_old_rows(plan: StorePlan, block: Block, values: np.ndarray) -> None:
    """Raises PlanError where lossy codecs would change what readers have read before."""
    old = plan.extent.old_rows(block)
    if old is None or not plan.encoder.encodings[block.array].lossy(values.dtype):
        return
    if not same_bits(through_codecs(plan.template.arrays, block, values, plan.zarr_format)[old.index], values[old.index]):
        raise PlanError(
            f"the last chunk of '{block.array}' cannot take more rows: its filters are lossy, and would change those that are in it. "
            f"Append when the store ends at a whole chunk ({old.unit} steps of '{old.dim}'), or use mode replace.",
            variable=block.array,
        )
