"""What reap.yml picks, by a table: clusters that are over, what leads nowhere, and what is left alone."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from zarrstream.compute.reap import reapable
from zarrstream.compute.resources import Resource

NOW = datetime.datetime(2026, 11, 24, 12, tzinfo=datetime.UTC)


def thing(kind: str, *, expires: str = "", created: str = "2026-11-20T08:00:00Z", **details: Any) -> dict[str, Any]:
    return Resource(kind, kind, kind, "demo", "ana", expires, created, {"port_id": "p", "device_id": "server", **details}).shown()


SERVER, NETWORK = thing("server"), thing("network")
EXPIRED = dict.fromkeys(("server", "network"), "expired on 2026-11-24")
# The cloud tells neither age nor expiry of a key pair.
KEYPAIR = thing("keypair", created="")


@pytest.mark.parametrize(
    ("resources", "reasons"),
    [
        pytest.param([SERVER, NETWORK, KEYPAIR], {}, id="at work"),
        pytest.param([], {}, id="nothing"),
        pytest.param([thing("server", expires="2026-11-24"), NETWORK], EXPIRED, id="over"),
        pytest.param([thing("server", expires="2026-11-25"), NETWORK], {}, id="not yet"),
        pytest.param([SERVER, thing("network", expires="2026-11-01")], {}, id="prolonged: the server's day counts"),
        pytest.param([NETWORK, KEYPAIR], dict.fromkeys(("network", "keypair"), "its cluster has no server"), id="no server"),
        pytest.param([KEYPAIR], {"keypair": "its cluster has no server"}, id="a key pair alone"),
        pytest.param([thing("network", created="2026-11-24T11:30:00Z"), KEYPAIR], {}, id="a run is at work"),
        pytest.param([SERVER, thing("floating_ip", port_id="")], {"floating_ip": "leads to no server"}, id="an address"),
        pytest.param([SERVER, thing("floating_ip", port_id="", created="2026-11-24T11:59:00")], {}, id="a young address"),
        pytest.param([SERVER, thing("port", device_id="gone")], {"port": "belongs to no server"}, id="a port"),
        pytest.param([SERVER, thing("floating_ip"), thing("port")], {}, id="in use"),
        pytest.param([SERVER, thing("lease")], {"lease": "its run is long over"}, id="the lease of a run that was killed"),
        pytest.param([SERVER, thing("lease", created="2026-11-24T11:59:00Z")], {}, id="the lease of a run that is at work"),
        pytest.param([thing("volume")], {"volume": "its cluster has no server"}, id="a volume"),
    ],
)
def test_what_may_go(resources: list[dict[str, Any]], reasons: dict[str, str]) -> None:
    assert {each["kind"]: each["reason"] for each in reapable(resources, NOW, 2)} == reasons


def test_clusters_are_told_apart() -> None:
    other = {**thing("network"), "cluster": "other"}
    assert [each["cluster"] for each in reapable([SERVER, NETWORK, other], NOW, 2)] == ["other"]
