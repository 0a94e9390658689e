# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One inventory, several sites: which cloud and which AWS profile each declared bucket and data set belongs to. Pure.

A site is a cloud, an entry of clouds.yaml, with the profile that holds its keys. What names neither belongs to the inventory's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import BadRequest

Item = Mapping[str, Any]


@dataclass(frozen=True)
class Site:
    """A cloud and the profile of its keys."""

    cloud: str
    profile: str


@dataclass(frozen=True)
class Declared:
    """The sites, the inventory's own first; buckets and data sets with ``cloud``, ``profile`` and ``place`` (cloud/bucket) filled in."""

    own: Site
    sites: tuple[Site, ...]
    buckets: tuple[dict[str, Any], ...] = ()
    datasets: tuple[dict[str, Any], ...] = field(default=())

    def only(self, cloud: str) -> Declared:
        """What is of one cloud. Raises BadRequest where nothing is."""
        sites = tuple(each for each in self.sites if each.cloud == cloud)
        if not sites:
            names = ", ".join(dict.fromkeys(each.cloud for each in self.sites))
            raise BadRequest(f"zarr_only_cloud is '{cloud}', and nothing is declared for it. The inventory has: {names}.")
        buckets, datasets = (tuple(each for each in items if each["cloud"] == cloud) for items in (self.buckets, self.datasets))
        return Declared(self.own, sites, buckets, datasets)

    def as_result(self) -> dict[str, Any]:
        """For templates. Each site has the name of its first bucket that stays, empty for none; ``own`` is the inventory's."""
        sites = []
        for site in self.sites:
            own = [each["name"] for each in self.buckets if _site(each) == site and each.get("state", "present") == "present"]
            sites.append({"cloud": site.cloud, "profile": site.profile, "own": site == self.own, "bucket": own[0] if own else ""})
        return {"sites": sites, "buckets": list(self.buckets), "datasets": list(self.datasets)}


def declared(buckets: Sequence[Item], datasets: Sequence[Item], cloud: str, profile: str) -> Declared:
    """Fill in who belongs where. Raises BadRequest where that contradicts itself."""
    own = Site(cloud, profile)
    placed = tuple(_placed(each, _filled(each, own), each["name"]) for each in buckets)
    stores = tuple(_placed(each, _of_dataset(each, placed, own), _bucket(each)) for each in datasets)
    sites = tuple(dict.fromkeys([own, *map(_site, placed), *map(_site, stores)]))
    _refuse_shared_profiles(sites)
    if len(sites) > 1:
        _refuse_namesakes(stores)
    return Declared(own, sites, placed, stores)


def places(datasets: Sequence[Item], found: Sequence[Item]) -> dict[str, dict[str, str]]:
    """By the name of each data set: profile, ``stack_path``, and where anonymous clients read it, as ``object_store_info`` found it."""
    endpoints = {(each.get("cloud"), each.get("bucket")): each.get("anonymous_endpoint") or "" for each in found}
    return {
        each["name"]: {
            "profile": each["profile"],
            "stack_path": each.get("stack_path") or "",
            "anonymous_endpoint": endpoints.get((each["cloud"], _bucket(each)), ""),
        }
        for each in datasets
    }


def _placed(item: Item, where: Mapping[str, str], bucket: str) -> dict[str, Any]:
    """With its site, and the bucket as one word: names are a bucket's own in one cloud alone."""
    return {**item, **where, "place": f"{where['cloud']}/{bucket}"}


def _filled(item: Item, own: Site) -> dict[str, str]:
    cloud = item.get("cloud") or own.cloud
    return {"cloud": cloud, "profile": item.get("profile") or (own.profile if cloud == own.cloud else cloud)}


def _of_dataset(item: Item, buckets: Sequence[Item], own: Site) -> dict[str, str]:
    """As it says, or else as the bucket of its store is declared; the environment that writes it too, where one of them names it."""
    homes = {_site(each): each for each in buckets if each["name"] == _bucket(item) and item.get("cloud") in (None, each["cloud"])}
    if len(homes) > 1 and not item.get("profile"):
        clouds = " and ".join(f"'{each.cloud}'" for each in homes)
        raise BadRequest(f"data set '{item['name']}' goes to bucket '{_bucket(item)}', which is declared for {clouds}: set its cloud.")
    home = next(iter(homes.values()), {})
    said = {**home, **{key: item[key] for key in ("cloud", "profile", "stack_path") if item.get(key)}}
    return {**_filled(said, own), **({"stack_path": said["stack_path"]} if said.get("stack_path") else {})}


def _refuse_shared_profiles(sites: Sequence[Site]) -> None:
    clouds: dict[str, str] = {}
    for each in sites:
        if clouds.setdefault(each.profile, each.cloud) != each.cloud:
            raise BadRequest(
                f"profile '{each.profile}' is declared for the clouds '{clouds[each.profile]}' and '{each.cloud}', and holds the keys of "
                "one. Set another profile for what belongs to one of them."
            )


def _refuse_namesakes(datasets: Sequence[Item]) -> None:
    names = [each["name"] for each in datasets]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadRequest(f"zarr_datasets has '{twice[0]}' twice. Where there are several sites, each data set needs a name of its own.")


def _site(item: Item) -> Site:
    return Site(item["cloud"], item["profile"])


def _bucket(item: Item) -> str:
    store = str(item.get("store", ""))
    return store.removeprefix("s3://").partition("/")[0] if store.startswith("s3://") else ""
