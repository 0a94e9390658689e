"""The compute cloud of the tests refuses a machine that it would disturb, before it touches it. The rest is proved by `make cloud-test`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "cloud"))
import machine
from shell import CloudError


@pytest.fixture(autouse=True)
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(machine, "LOCK", tmp_path / "lock")
    monkeypatch.setattr(machine, "run", lambda *_command: "default via 192.0.2.1 dev eth0\n192.0.2.0/24 dev eth0 proto kernel\n")
    return tmp_path / "lock"


def test_the_machine_is_taken_and_given_back(lock: Path) -> None:
    machine.claim([])
    assert machine.holder() == machine.CHECKOUT
    with pytest.raises(CloudError, match=r"has this machine. Run `make cloud-down` there"):
        machine.claim([])
    machine.release()
    assert not lock.exists()


def test_a_machine_that_another_checkout_has_stays_taken(lock: Path) -> None:
    lock.write_text("/elsewhere\n")
    with pytest.raises(CloudError, match="The cloud of /elsewhere has this machine"):
        machine.claim([])
    machine.release()
    assert machine.holder() == Path("/elsewhere")


def test_the_bridge_of_another_switch_is_left_alone(lock: Path) -> None:
    with pytest.raises(CloudError, match="This machine has br-ex already: another Open vSwitch runs here"):
        machine.claim(["br-ex"])
    assert not lock.exists()


@pytest.mark.parametrize("route", ["172.31.0.0/16 dev eth1", "172.31.0.7 dev tun0"])
def test_a_network_that_has_our_addresses_is_named(lock: Path, monkeypatch: pytest.MonkeyPatch, route: str) -> None:
    monkeypatch.setattr(machine, "run", lambda *_command: f"default via 192.0.2.1 dev eth0\n{route}\n")
    with pytest.raises(CloudError, match=f"a route to {route.split()[0]} already"):
        machine.claim([])
    assert not lock.exists()


def test_only_name_servers_that_a_guest_can_ask_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub, real = tmp_path / "stub", tmp_path / "real"
    stub.write_text("nameserver 127.0.0.53\nnameserver ::1\n")
    monkeypatch.setattr(machine, "RESOLVERS", (tmp_path / "none", stub))
    with pytest.raises(CloudError, match="No name server that guests could ask"):
        machine.name_servers()
    real.write_text("search a.example\nnameserver 127.0.0.1\nnameserver 192.0.2.53\n")
    monkeypatch.setattr(machine, "RESOLVERS", (stub, real))
    assert machine.name_servers() == ["192.0.2.53"]
