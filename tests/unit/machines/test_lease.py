# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Of runs that change one cluster one goes on, whoever begins when; one that was killed is in nobody's way."""

from __future__ import annotations

import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from zarrstream.errors import Conflict, ZarrstreamError
from zarrstream.machines import lease
from zarrstream.machines.lease import Leases, Run, holder, run_of
from zarrstream.machines.marks import Mark, of_description
from zarrstream.machines.servers import make, remove

MARK = Mark("demo", "ana")
HERE = run_of(os.getpid())


@dataclass
class Network:
    """Neutron's security groups."""

    groups: dict[str, Any] = field(default_factory=dict)
    numbers: Any = field(default_factory=count)

    def create_security_group(self, name: str, description: str) -> Any:
        made = SimpleNamespace(
            id=f"sg{next(self.numbers)}", name=name, description=description, project_id="p", created_at="2026-11-25T01:00:00Z"
        )
        self.groups[made.id] = made
        return made

    def security_groups(self, name: str, **_more: Any) -> list[Any]:
        return [each for each in list(self.groups.values()) if each.name == name]

    def delete_security_group(self, group: str, **_more: Any) -> None:
        self.groups.pop(group, None)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "PAUSE", (0.0, 0.02))
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.0)


def leases(network: Network, mark: Mark = MARK) -> Leases:
    return Leases(SimpleNamespace(network=network, current_project_id="p"), mark)


def test_a_lease_names_its_run_and_carries_the_mark() -> None:
    network = Network()
    taken, over = leases(network).take(HERE)
    assert over == []
    description = network.groups[taken].description
    assert holder(description) == HERE
    assert of_description(description) == MARK
    leases(network).give_back(taken)
    assert network.groups == {}


def test_another_run_is_named_and_nothing_is_left() -> None:
    network = Network()
    taken, _ = leases(network).take(HERE)
    with pytest.raises(
        Conflict, match=f"another run: process {os.getpid()} on {HERE.host}, started by ana, at work since 2026-11-25T01:00:00Z"
    ):
        leases(network).take(run_of(1))
    assert list(network.groups) == [taken]
    assert leases(network).take(run_of(1), by_force=True)[1]


def test_another_cluster_is_nobodys_affair() -> None:
    network = Network()
    leases(network).take(HERE)
    assert leases(network, Mark("other", "ana")).take(HERE)[1] == []


def test_a_run_that_was_killed_gives_way() -> None:
    network = Network()
    ended = subprocess.Popen(["sleep", "60"])
    begun = run_of(ended.pid)
    ended.kill()
    ended.wait()
    dead, _ = leases(network).take(begun)
    taken, over = leases(network).take(HERE)
    assert list(network.groups) == [taken]
    assert dead != taken
    assert f"process {ended.pid} on {HERE.host}" in over[0]


@pytest.mark.parametrize(
    ("run", "alive"),
    [
        pytest.param(HERE, True, id="this one"),
        pytest.param(replace(HERE, began="1"), False, id="another process has its number by now"),
        pytest.param(replace(HERE, process=2**22 + 1, began="over"), False, id="over when it was noted"),
        pytest.param(Run("far", "elsewhere", 2**22 + 1, "1"), True, id="on another machine nobody can tell"),
    ],
)
def test_who_is_alive(run: Run, alive: bool) -> None:
    assert run.alive is alive


def test_of_many_at_once_never_two_go_on() -> None:
    network, together = Network(), threading.Barrier(4)

    def take(number: int) -> str | None:
        together.wait()
        try:
            return leases(network).take(HERE)[0]
        except Conflict:
            return None

    with ThreadPoolExecutor(4) as pool:
        won = [each for each in pool.map(take, range(4)) if each]
    assert len(won) <= 1
    assert list(network.groups) == won


def test_servers_are_asked_for_while_their_run_lives() -> None:
    asked: list[str] = []

    def create(name: str) -> None:
        asked.append(name)
        if name == "b":
            from openstack.exceptions import SDKException

            raise SDKException("Quota exceeded for instances")

    conn = SimpleNamespace(compute=SimpleNamespace(create_server=create, get_endpoint_data=lambda: None))
    requests = [{"name": name} for name in "abc"]
    assert make(conn, requests, lambda: True) == (["a", "c"], {"b": "Quota exceeded for instances"})
    asked.clear()
    taken, refused = make(conn, requests, lambda: False)
    assert (asked, taken, set(refused.values())) == ([], [], {"the run that asked for it has ended"})


def test_servers_that_stay_are_named() -> None:
    there = ["a", "b", "other"]
    compute = SimpleNamespace(
        servers=lambda **_more: [SimpleNamespace(id=each) for each in there],
        delete_server=lambda each, **_more: there.remove(each) if each == "a" else None,
        get_endpoint_data=lambda: None,
    )
    conn = SimpleNamespace(compute=compute)
    assert remove(conn, ["a", "gone"], 0) == ["a"]
    with pytest.raises(ZarrstreamError, match="Nova has not removed b in 0 s"):
        remove(conn, ["b"], 0)
    assert there == ["b", "other"]
