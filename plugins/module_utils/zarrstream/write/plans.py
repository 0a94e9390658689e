# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a write does, worked out before anything is touched. ``create``, ``append`` and ``replace`` make plans, ``session`` does them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal, cast

from ..encoding.encoder import Encoder
from ..planning.plan import Block
from ..sidecar.manifest import Manifest, Stored
from .extent import Extent
from .publish import Publication, publish_new
from .staging import Staged, StagedArray, block_keys, open_staged
from .template import Template


def unstamped(template: Template, _moment: str) -> Template:
    """The template of a store that does not say when it was published."""
    return template


@dataclass(frozen=True)
class StorePlan:
    """A store to be: what is written, how it is encoded and described, and the step that makes it visible.

    ``manifest`` is its record but for objects and time; ``before`` are the keys of the store that is there, ``inherited`` those
    of its objects that stay, ``staged`` the keys of objects that wait beside the store since the old one has them too.
    ``stamp`` writes the moment of publishing into the documents. ``rewritten`` has the MD5s of each version of an object that was put
    over one of the store that is there, by key; it grows.
    """

    mode: Literal["create", "append", "replace", "update"]
    extent: Extent
    encoder: Encoder
    template: Template
    manifest: Manifest
    before: Collection[str] = ()
    inherited: Mapping[str, Stored] = field(default_factory=dict, repr=False)
    staged: frozenset[str] = frozenset()
    rewritten: dict[str, list[str]] = field(default_factory=dict)
    publish: Callable[[Publication], None] = publish_new
    stamp: Callable[[Template, str], Template] = unstamped
    roots: Mapping[str, bytes] = field(default_factory=dict, repr=False)  # root documents of the store that is there, where they stay

    @property
    def zarr_format(self) -> Literal[2, 3]:
        """The version of the Zarr format."""
        return cast("Literal[2, 3]", self.manifest.zarr_format)

    def blocks(self) -> Iterator[Block]:
        """All that is written."""
        return chain(self.extent.free(), self.extent.last())

    def keys(self) -> Iterator[str]:
        """The keys of all objects that the blocks consist of."""
        arrays = self.open_arrays()
        return (key for block in self.blocks() for key in keys_of(block, arrays))

    def open_arrays(self, staged: Staged | None = None) -> dict[str, StagedArray]:
        """The arrays of a staged store; without one, for what can be said of them without any chunk."""
        staged = staged or Staged(self.template.documents)
        return {array.name: open_staged(staged, array.name, self.zarr_format) for array in self.extent.arrays.arrays}


def keys_of(block: Block, arrays: Mapping[str, StagedArray]) -> list[str]:
    """The keys of the objects of a block."""
    return list(block_keys(arrays[block.array], block.array, block.region))
