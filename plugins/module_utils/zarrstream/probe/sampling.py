# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Some keys of a bucket, of several prefixes: what an anonymous client is asked about. Pure but for the listing that it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest

# From a prefix to the first page below it: its keys, and the prefixes one level deeper.
Page = Callable[[str], tuple[list[str], list[str]]]

KEYS = 16
_PAGES = 16
_AT_THE_TOP, _DEEPER = 5, 2  # prefixes that are followed from one place
_BELOW = 2  # keys of one place


def some_keys(page: Page, keys: int = KEYS) -> list[str]:
    """At most ``keys`` keys, from the top and from prefixes spread over the bucket, first and last among them; empty if it is."""
    found: dict[str, None] = {}
    level, pages = [""], _PAGES
    while level:
        below: list[list[str]] = []
        for prefix in level[:pages]:
            own, deeper = page(prefix)
            found |= dict.fromkeys(spread(own, _BELOW))
            below.append(spread(deeper, _DEEPER if prefix else _AT_THE_TOP))
        pages -= len(level)
        if len(found) >= keys or pages <= 0:
            break
        # In turns, so that none is left out for the sake of another one's depth.
        level = [each for turn in zip_longest(*below) for each in turn if each]
    return spread(list(found), keys)


def spread(entries: Sequence[str], count: int) -> list[str]:
    """So many of them in their order, the first and the last among them."""
    if len(entries) <= count:
        return list(entries)
    return [entries[round(number * (len(entries) - 1) / (count - 1))] for number in range(count)]
