# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which of the kit's things in a project are no longer wanted: expired clusters, and what was left of others. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

Thing = Mapping[str, Any]


def reapable(resources: Sequence[Thing], now: datetime.datetime, grace_hours: float) -> list[dict[str, Any]]:
    """Things with the reason they may go, in the order they came in. A cluster that changed within ``grace_hours`` is left alone."""
    reasons = {cluster: _reason(_of(resources, cluster), now, grace_hours) for cluster in {each["cluster"] for each in resources}}
    found = []
    for each in resources:
        reason = reasons[each["cluster"]] or _left_over(each, _of(resources, each["cluster"]), now, grace_hours)
        if reason:
            found.append({**each, "reason": reason})
    return found


def _of(resources: Sequence[Thing], cluster: str) -> list[Thing]:
    return [each for each in resources if each["cluster"] == cluster]


def _reason(things: list[Thing], now: datetime.datetime, grace_hours: float) -> str:
    """Why a whole cluster may go; empty where it may not."""
    servers = [each for each in things if each["kind"] == "server"]
    if any(_is_young(each, now, grace_hours) for each in things):
        return ""
    # The servers' day counts where there are any: it is the one that a later run may have changed.
    days = {each["expires"] for each in servers or things if each["kind"] not in ("keypair", "server_group")}
    if days and "" not in days and max(days) <= now.date().isoformat():
        return f"expired on {max(days)}"
    return "" if servers else "its cluster has no server"


def _left_over(thing: Thing, things: list[Thing], now: datetime.datetime, grace_hours: float) -> str:
    """Why one thing of a cluster that stays may go."""
    if thing["kind"] == "floating_ip" and not thing["port_id"] and not _is_young(thing, now, grace_hours):
        return "leads to no server"
    ids = {each["id"] for each in things if each["kind"] == "server"}
    if thing["kind"] == "port" and thing["device_id"] not in ids and not _is_young(thing, now, grace_hours):
        return "belongs to no server"
    if thing["kind"] == "lease" and not _is_young(thing, now, grace_hours):
        return "its run is long over"
    return ""


def _is_young(thing: Thing, now: datetime.datetime, grace_hours: float) -> bool:
    if not thing["created"]:
        return False
    created = datetime.datetime.fromisoformat(thing["created"].replace("Z", "+00:00"))
    return now - created.replace(tzinfo=created.tzinfo or datetime.UTC) < datetime.timedelta(hours=grace_hours)
