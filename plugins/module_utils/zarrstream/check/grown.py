# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files of a store that grew: each began where it liked, and an append took of it what the store had not yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..source.dataset import Source
from ..source.fetching import Means
from ..source.items import Item
from ..source.joins import Join
from ..source.open import open_items
from ..source.reading import Reading


def in_order(items: Sequence[Item], names: Sequence[str]) -> tuple[Item, ...]:
    """The items in the order in which a store took them, as far as ``names`` tells; others after them."""
    places = {name: place for place, name in reversed(list(enumerate(names)))}
    return tuple(sorted(items, key=lambda item: places.get(item.name, len(places))))


def open_grown(items: Sequence[Item], reading: Reading, means: Means) -> Source:
    """The files one after the other, of steps that several have those of the first; raises SourceError where that is no data set."""
    combine = reading.combine
    joins = tuple(replace(join, overlap="first") for join in combine.joins) or (Join(overlap="first"),)
    return open_items(items, replace(reading, combine=replace(combine, joins=joins)), means)
