"""The demo goes away without a trace. Last of this folder, by its name: it takes down what the others look at."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from .conftest import Demo, copy_checkout, files_below


def test_demo_down_stops_the_servers_and_clean_leaves_the_checkout_as_cloned(demo: Demo, tmp_path: Path) -> None:
    demo.make("demo-down")
    for port in demo.ports.values():
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=2)
    again = demo.make("demo")
    assert "air-temperature: unchanged" in again, "the data outlive a stop"
    demo.make("clean")
    copy_checkout(tmp_path)
    assert files_below(demo.checkout) == files_below(tmp_path)
