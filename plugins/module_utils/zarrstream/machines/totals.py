# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sums over the servers of a cluster, and what they cost by a list of prices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..errors import BadRequest
from .wanted import Wanted


def totals(wanted: Wanted, flavors: Mapping[str, Mapping[str, Any]], prices: Mapping[str, float], unit: str) -> dict[str, Any]:
    """Servers by flavor, vCPUs, RAM (MiB), volumes (count, GiB), floating addresses; cost a day where ``prices`` (an hour) are given."""
    used = [flavors[each.flavor] for each in wanted.servers]
    sizes = [each.volume for each in wanted.servers if each.volume]
    return {
        "servers": len(used),
        "flavors": dict(Counter(each["name"] for each in used)),
        "vcpus": sum(each["vcpus"] for each in used),
        "ram": sum(each["ram"] for each in used),
        "volumes": len(sizes),
        "gigabytes": sum(sizes),
        "floating_ips": sum(each.reachable for each in wanted.servers),
        "cost_per_day": round(24 * sum(_price(each["name"], prices) for each in used), 2) if prices else None,
        "unit": unit,
    }


def _price(flavor: str, prices: Mapping[str, float]) -> float:
    if flavor not in prices:
        raise BadRequest(f"vm_prices has no price for flavor '{flavor}'. Add it, or leave vm_prices empty.")
    return float(prices[flavor])


def totals_line(sums: Mapping[str, Any]) -> str:
    """One line for people."""
    flavors = ", ".join(f"{count} × {name}" for name, count in sums["flavors"].items())
    volumes = f", {sums['volumes']} volumes of {sums['gigabytes']} GiB together" if sums["volumes"] else ""
    cost = "" if sums["cost_per_day"] is None else f", {sums['cost_per_day']:g} {sums['unit']} a day"
    return f"{sums['servers']} servers ({flavors}): {sums['vcpus']} vCPUs, {sums['ram'] / 1024:g} GiB RAM{volumes}{cost}"
