# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keys of several prefixes, from a listing by levels."""

from __future__ import annotations

from zarrstream.probe.sampling import KEYS, some_keys, spread


class Listing:
    """A bucket's listing with the delimiter "/", which counts its pages."""

    def __init__(self, *keys: str) -> None:
        self.keys, self.asked = sorted(keys), 0

    def __call__(self, prefix: str) -> tuple[list[str], list[str]]:
        self.asked += 1
        below = [key[len(prefix) :] for key in self.keys if key.startswith(prefix)]
        deeper = sorted({f"{prefix}{rest.partition('/')[0]}/" for rest in below if "/" in rest})
        return [prefix + rest for rest in below if "/" not in rest], deeper


def test_each_prefix_has_a_key() -> None:
    found = some_keys(Listing("readme", "data/x", "data/y", "old/a/b/1", "z.zarr/zarr.json", "z.zarr/t/c/0/0"))
    assert set(found) == {"readme", "data/x", "data/y", "old/a/b/1", "z.zarr/zarr.json", "z.zarr/t/c/0/0"}


def test_a_large_bucket_is_asked_for_few_keys_and_pages() -> None:
    listing = Listing(*(f"{top:03d}/{deep:03d}/{key}" for top in range(40) for deep in range(40) for key in range(3)))
    found = some_keys(listing)
    assert 0 < len(found) <= KEYS
    assert listing.asked <= 16
    assert {"000/", "039/"} <= {key[:4] for key in found}, "the first and the last"


def test_an_empty_bucket_has_none() -> None:
    assert some_keys(Listing()) == []


def test_spread() -> None:
    assert spread("abcdefghi", 3) == ["a", "e", "i"]
    assert spread("ab", 3) == ["a", "b"]
