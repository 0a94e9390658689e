# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make and remove many servers at once: one request for each, and one listing a look for all of them."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..errors import ZarrstreamError

# Nova takes a second or so for each.
AT_ONCE = 8
_POLL_SECONDS = 3


def request_for(server: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    """What Nova is asked for: a server of the plan, and what all of them have in ``common``, as cluster_servers names it."""
    group = server.get("server_group")
    request = {
        **{name: server[name] for name in ("name", "flavor_id", "image_id", "metadata")},
        "key_name": common["key_name"],
        "networks": [{"uuid": common["network"]}],
        "security_groups": [{"name": common["security_group"]}],
        "config_drive": common["config_drive"],
    }
    if common["user_data"]:
        request["user_data"] = base64.b64encode(common["user_data"].encode()).decode()
    if group:
        request["scheduler_hints"] = {"group": common["server_groups"][group]}
    return request


def make(conn: Any, requests: Iterable[Mapping[str, Any]], wanted: Callable[[], bool]) -> tuple[list[str], dict[str, str]]:
    """Ask for servers; the names of those that Nova has taken, and why it refused others.

    ``wanted`` is asked before each request: a run that was killed leaves this process behind, and the next run is at work already.
    """

    def ask(request: Mapping[str, Any]) -> str:
        from keystoneauth1.exceptions import ClientException
        from openstack.exceptions import SDKException

        if not wanted():
            return "the run that asked for it has ended"
        try:
            conn.compute.create_server(**request)
        except (SDKException, ClientException) as error:
            return str(error).strip() or type(error).__name__
        return ""

    asked = list(requests)
    _ready(conn)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        said = dict(zip([each["name"] for each in asked], pool.map(ask, asked), strict=True))
    return [name for name, reason in said.items() if not reason], {name: reason for name, reason in said.items() if reason}


def remove(conn: Any, ids: Iterable[str], seconds: float) -> list[str]:
    """Remove servers and wait until they are gone; the ids of those that were there."""
    wanted = set(ids)
    there = wanted & _listed(conn)
    _ready(conn)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda each: conn.compute.delete_server(each, ignore_missing=True), sorted(there)))
    end = time.monotonic() + seconds
    while left := wanted & _listed(conn):
        if time.monotonic() >= end:
            raise ZarrstreamError(
                f"Nova has not removed {', '.join(sorted(left))} in {seconds:g} s. Run again, or ask the operator of the cloud."
            )
        time.sleep(_POLL_SECONDS)
    return sorted(there)


def _listed(conn: Any) -> set[str]:
    return {each.id for each in conn.compute.servers(details=False)}


def _ready(conn: Any) -> None:
    """Let the SDK look for the service once, before threads do."""
    conn.compute.get_endpoint_data()
