# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the role zarr_dataset asks of the modules zarr_write and zarr_check for the data sets that it is given. Standard library alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_WRITTEN = (
    "source",
    "follow",
    "store",
    "chunks",
    "shards",
    "encoding",
    "combine",
    "prepare",
    "variables",
    "exclude",
    "zarr_format",
    "consolidated",
    "portable",
    "mode",
    "append_dim",
    "max_revised",
    "state",
)
_REACHED = (
    "source_profile",
    "source_endpoint_url",
    "source_anonymous",
    "source_ca_bundle",
    "source_token_file",
    "source_hosts",
    "source_concurrency",
    "spool",
)
_EXPECTED = ("fresh", "gaps", "nan_share", "range")
Dataset = dict[str, Any]


def settled(datasets: Iterable[Dataset], places: dict[str, dict[str, Any]], defaults: dict[str, str]) -> list[Dataset]:
    """The data sets with what holds for each, such as ``python``, and ``anonymous_endpoint``, empty where nobody reads without credentials.

    That is what it says itself, else what its site does (``places``, by its name), else ``defaults``; there ``site_profile`` is the profile
    that ``places`` name where a data set is of no other site.
    """
    return [_settled(dataset, places.get(dataset["name"]) or {}, defaults) for dataset in datasets]


def requests(datasets: Iterable[Dataset], steps: list[str], report: str = "") -> list[dict[str, Any]]:
    """One entry for each ``python``: options of a module in ``stores``, and what each is for in ``steps`` and ``datasets``.

    The data sets are settled ones; steps are write, which is remove for those that are to be absent, prove, and read,
    which is for public ones in buckets alone.
    """
    groups: dict[str, dict[str, Any]] = {}
    for step in steps:
        for dataset in datasets:
            options = _options(step, dataset, report)
            if options is not None:
                group = groups.setdefault(dataset["python"], {"python": dataset["python"], "stores": [], "steps": [], "datasets": []})
                group["stores"].append(options)
                group["steps"].append("remove" if step == "write" and dataset.get("state") == "absent" else step)
                group["datasets"].append(dataset)
    return list(groups.values())


def results(loops: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """One result for each store, with ``item``, its data set, and ``step``, out of those of a loop over ``requests``.

    Where the module itself did not come to its end, that is the result for each.
    """
    found = []
    for loop in loops:
        if loop.get("skipped"):
            continue
        own = {name: value for name, value in loop.items() if name not in ("item", "stores")}
        group = loop["item"]
        for number, dataset in enumerate(group["datasets"]):
            result = loop["stores"][number] if "stores" in loop else own
            found.append({**result, "item": dataset, "step": group["steps"][number]})
    return found


def _settled(dataset: Dataset, place: dict[str, Any], defaults: dict[str, str]) -> Dataset:
    of_site = place.get("profile")
    stack = dataset.get("stack_path", place.get("stack_path"))
    return {
        **dataset,
        "profile": dataset.get("profile", of_site if of_site and of_site != defaults["site_profile"] else defaults["profile"]),
        "stack_path": stack or "",
        "python": f"{stack}/current/bin/python" if stack else defaults["python"],
        "anonymous_endpoint": defaults["anonymous_endpoint"] or place.get("anonymous_endpoint") or "",
        "ca_bundle": defaults["ca_bundle"],
    }


def _options(step: str, dataset: Dataset, report: str) -> dict[str, Any] | None:
    if step == "write":
        return _given(dataset, *_WRITTEN, *_REACHED)
    if step == "read":
        return _read(dataset)
    where = {"report": f"{report}/{dataset['name']}"} if report else {}
    return {**_given(dataset, "store", "source", "follow", *_REACHED, *_EXPECTED), **where, "lines": not dataset.get("public", False)}


def _given(dataset: Dataset, *names: str) -> dict[str, Any]:
    return {name: dataset[name] for name in ("profile", *names) if name in dataset}


def _read(dataset: Dataset) -> dict[str, Any] | None:
    if not (dataset.get("public") and dataset["anonymous_endpoint"] and dataset["store"].startswith("s3://")):
        return None
    return {
        "store": dataset["store"],
        "anonymous": True,
        "profile": dataset["profile"],  # for its CA alone
        "endpoint_url": dataset["anonymous_endpoint"],
        **({"ca_bundle": dataset["ca_bundle"]} if dataset["ca_bundle"] else {}),
        "checks": ["open", "anonymous", "decode"],
        "lines": True,
    }
