# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Proved means opened: plain xarray opens a store from its chunks and the documents that are about to be published, or they are not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..check.opening import open_plainly
from ..compat import as_buffer
from ..errors import SourceError
from ..metadata.hierarchy import read_hierarchy
from ..storage.objects import Objects
from ..storage.zarr_store import part_of
from .plans import StorePlan
from .publish import locate

if TYPE_CHECKING:
    from zarr.abc.buffer import Buffer, BufferPrototype
    from zarr.abc.store import ByteRequest

    from ..check.opening import Get


def check_documents(plan: StorePlan) -> None:
    """Open the store to be without any chunk, before anything is touched; raises SourceError, naming a variable, where it would not."""
    _opened(plan, None, "")


def check_opens(plan: StorePlan, objects: Objects) -> list[str]:
    """Open the store with the chunks that were sent; raises as ``check_documents``, and gives notes of times that are no dates."""
    return _opened(plan, _reading(objects, plan.staged), objects.place.url)


def _opened(plan: StorePlan, get: Get | None, url: str) -> list[str]:
    # Of a store that grows the consolidated metadata are all that is known; they say the same as its arrays' documents.
    documents = {**plan.roots, **plan.template.root} if plan.roots else plan.template.documents
    tree = read_hierarchy(documents.get, None if plan.roots else list(documents))
    if tree is None:
        raise AssertionError("a plan has a root document")
    found = open_plainly(tree, get, once=get is None)
    for name, problem in sorted(found.problems.items()):
        other = 2 if plan.zarr_format == 3 else 3
        where = f" at {url}" if url else ""
        raise SourceError(
            f"'{name}' of {plan.encoder.source.place}: what would be published{where} is not opened by xarray ({problem.rstrip('.')}). "
            "If an attribute is in the way, change or remove it: attrs in 'prepare'. Else write it with "
            f"zarr_format {other}, or leave it out: name it in 'exclude'.",
            variable=name,
        )
    return [
        f"'{name}': xarray opens the store with decode_times=False alone, as it does the source: {problem}"
        for name, problem in sorted(found.times.items())
    ]


def _reading(objects: Objects, staged: frozenset[str]) -> Get:
    """What reads the chunks of a store, some of which wait beside it."""
    store = objects.zarr_store()

    async def get(key: str, prototype: BufferPrototype, byte_range: ByteRequest | None) -> Buffer | None:
        if key not in staged:
            return await store.get(key, prototype, byte_range)
        data = await asyncio.to_thread(objects.get, locate(objects, key, staged))
        return None if data is None else as_buffer(data[slice(*part_of(byte_range, len(data)))], prototype)

    return get
