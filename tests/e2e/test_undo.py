"""The demo goes away without a trace. Last of this folder, by its name: it takes down what the others look at."""

from __future__ import annotations

import socket

import pytest
from running import THOROUGH

from .conftest import Demo, files_below


def test_demo_down_stops_the_servers_and_clean_leaves_the_checkout_as_cloned(demo: Demo) -> None:
    demo.make("demo-down")
    for port in demo.ports.values():
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=2)
    assert any((demo.checkout / "build/cloud/swift").rglob("*.data")), "the data outlive a stop"
    if THOROUGH:
        again = demo.make("demo")
        assert "air-temperature: unchanged" in again, "and are found again after it"
    demo.make("clean")
    assert files_below(demo.checkout) == demo.cloned
