# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a scheduler says of those who are busy, and what the role does then: a real scheduler and worker, clients in this process."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import ports
import pytest
import xarray as xr
from asking import write_request
from clusters import Certificates, make_certificates
from integration import forking

ROLES = Path(__file__).resolve().parents[2] / "roles"
PRELOADS = (ROLES / "dask_scheduler" / "files" / "scheduler_work.py", ROLES / "dask_service" / "files" / "service_hooks.py")
DEFINITION = "0123abcd"
PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: dask_scheduler, tasks_from: wait_idle.yml}
"""
SECONDS = 120


class Scheduler:
    """A scheduler as the role starts it, with one worker, and the socket at which systemd would listen."""

    def __init__(self, certificates: Certificates, folder: Path) -> None:
        self.certificates, self.daemons = certificates, forking.ForkedDaemons(certificates, folder)
        self._systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._systemd.settimeout(SECONDS)
        self._systemd.bind(str(folder / "notify"))
        preloads = [word for path in PRELOADS for word in ("--preload", str(path))]
        surroundings = {"NOTIFY_SOCKET": str(folder / "notify"), "ZARRSTREAM_DEFINITION": DEFINITION}
        self.daemons.start("scheduler", "--dashboard-address", "127.0.0.1:0", *preloads, **surroundings)
        self.said = self._systemd.recv(4096).decode()
        self.daemons.start("worker")

    def work(self) -> list[dict[str, Any]]:
        """Who is busy."""
        found = re.search(r"dashboard=(\S+)", self.said)
        assert found, self.said
        with urllib.request.urlopen(f"{found[1]}/zarrstream/work.json", timeout=SECONDS) as answer:
            assert answer.headers["Content-Type"].startswith("application/json")
            return json.load(answer)["clients"]

    def wait_for(self, wanted: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Until they are as wanted."""
        ends = time.monotonic() + SECONDS
        while not wanted(found := self.work()):
            assert time.monotonic() < ends, found
            time.sleep(0.1)
        return found

    def client(self, **options: Any) -> Any:
        """Somebody who connects."""
        from distributed import Client

        return Client(self.daemons.address, security=self.certificates.security(), timeout=SECONDS, set_as_default=False, **options)

    def stop(self) -> None:
        """End all."""
        self.daemons.stop()
        self._systemd.close()


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scheduler]:
    started = Scheduler(make_certificates(tmp_path_factory.mktemp("tls")), tmp_path_factory.mktemp("daemons"))
    try:
        yield started
    finally:
        started.stop()


def test_systemd_is_told_with_what_it_was_started(scheduler: Scheduler) -> None:
    assert re.fullmatch(rf"READY=1\nSTATUS=definition={DEFINITION} dashboard=http://127\.0\.0\.1:\d+", scheduler.said)


def test_who_has_nothing_to_lose_is_not_there(scheduler: Scheduler) -> None:
    with scheduler.client() as person:
        person.wait_for_workers(1, timeout=SECONDS)
        assert person.submit(pow, 2, 3).result() == 8
        assert scheduler.wait_for(lambda found: not found) == []


def test_unfinished_tasks_are_counted_with_those_that_they_wait_for(scheduler: Scheduler) -> None:
    with scheduler.client(name="ada") as person:
        slow = person.map(time.sleep, [1.5, 1.6, 1.7])
        last = person.submit(len, slow)
        del slow
        (found,) = scheduler.wait_for(lambda found: [one["unfinished"] for one in found] == [4])
        assert (found["name"], found["host"], found["kept"], found["store"]) == ("ada", "127.0.0.1", 0, False)
        assert found["says"] == "ada from 127.0.0.1: unfinished tasks 4"
        assert last.result() == 3
        (found,) = scheduler.wait_for(lambda found: [one["unfinished"] for one in found] == [0])
        assert found["says"] == "ada from 127.0.0.1: results kept 1"
        del last
        scheduler.wait_for(lambda found: not found)


def test_two_clients_are_told_apart(scheduler: Scheduler) -> None:
    with scheduler.client() as one, scheduler.client() as other:
        kept, running = one.scatter([1, 2, 3]), other.submit(time.sleep, 2)
        found = scheduler.wait_for(lambda found: len(found) == 2)
        assert {one["client"]: one["says"] for one in found} == {
            one.id: "a client from 127.0.0.1: results kept 3",
            other.id: "a client from 127.0.0.1: unfinished tasks 1",
        }
        assert len(kept) == 3
        running.result()


def test_what_outlives_its_client_counts(scheduler: Scheduler) -> None:
    from distributed import fire_and_forget

    with scheduler.client() as person:
        numbers = person.submit(sum, [1, 2])
        assert numbers.result() == 3
        person.publish_dataset(numbers=numbers)
        fire_and_forget(person.submit(time.sleep, 3))
    found = scheduler.wait_for(lambda found: len(found) == 2)
    assert [one["says"] for one in found] == ["fire-and-forget: unfinished tasks 1", "published-numbers: results kept 1"]
    with scheduler.client() as person:
        person.unpublish_dataset("numbers")
    scheduler.wait_for(lambda found: not found)


def test_a_write_is_at_work_between_its_tasks(scheduler: Scheduler) -> None:
    """As long as it is connected: the next block may come at any time."""
    with scheduler.client(name="zarrstream"):
        (found,) = scheduler.wait_for(lambda found: bool(found))
        assert (found["store"], found["unfinished"], found["says"]) == (True, 0, "zarrstream from 127.0.0.1: writes or checks a store")
    scheduler.wait_for(lambda found: not found)


@pytest.fixture
def role(scheduler: Scheduler, run_playbook: Any) -> Callable[..., Any]:
    """A function that runs the part of the role that waits, on this machine, as if a change of settings were to restart the scheduler."""

    def run(*arguments: str, env: dict[str, str] | None = None, **variables: Any) -> Any:
        given = {"dask_service_status": scheduler.said, **variables}
        return run_playbook(PLAY, *arguments, extra_vars=given, env=env, check=False)

    return run


def said(play: Any) -> str:
    return " ".join(play.output.split())


def test_the_role_goes_on_where_nobody_is_at_work(role: Any) -> None:
    done = role()
    assert (done.rc, done.changed) == (0, 0), done.output
    assert "busy:" not in said(done)


def test_the_role_refuses_after_a_while_and_names_who_is_at_work(role: Any, run_playbook: Any, scheduler: Scheduler) -> None:
    """Also where the scheduler does not say: as one of an earlier version of the role, which told systemd nothing, and one that hangs."""
    (port,) = ports.free_ports(1)
    silent = ("ActiveState=active\nStatusText=", f"StatusText=definition=0 dashboard=http://127.0.0.1:{port}")
    cases = [{"dask_service_status": scheduler.said, "dask_scheduler_wait_seconds": seconds} for seconds in (1, 0)]
    with scheduler.client(name="ada") as person:
        kept = person.scatter([1, 2])
        scheduler.wait_for(bool)
        play = PLAY.replace("localhost", "schedulers")
        after_one, after_none, *others = run_playbook.each(
            play, "schedulers", [*cases, *({"dask_service_status": each} for each in silent)]
        )
        assert "after 1 s these would still lose their work: ada from 127.0.0.1: results kept 2. Nothing was changed" in after_one
        assert "after 0 s these would still" in after_none
        for message in others:
            assert "does not say who is busy" in message
            assert "run again with dask_scheduler_restart_anyway: true" in message
        told = role("--check")
        assert (told.rc, told.changed) == (0, 0), told.output
        assert "would be restarted, which would wait up to 300 s for those who are busy: ada" in said(told)
        assert len(kept) == 2


def test_the_role_waits_until_tasks_have_ended(role: Any, scheduler: Scheduler, tmp_path: Path) -> None:
    """They end as soon as the role has said that it waits for them."""
    from distributed import fire_and_forget

    log, end = tmp_path / "ansible.log", tmp_path / "end"

    def let_it_end() -> None:
        ends = time.monotonic() + SECONDS
        while time.monotonic() < ends and not (log.exists() and "which waits up to" in log.read_text()):
            time.sleep(0.2)
        end.touch()

    with scheduler.client() as person:
        fire_and_forget(person.submit(subprocess.call, ["sh", "-c", f"until [ -e '{end}' ]; do sleep 0.1; done"]))
        scheduler.wait_for(bool)
        watching = threading.Thread(target=let_it_end)
        watching.start()
        done = role(dask_scheduler_state="absent", env={"ANSIBLE_LOG_PATH": str(log)})
        watching.join()
        assert done.rc == 0, done.output
        assert "is to be removed, which waits up to 300 s" in said(done)
    assert scheduler.work() == []


@contextmanager
def by_value() -> Iterator[None]:
    """Functions of this module may be sent to those who cannot import it."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def jobs_of(dask_scheduler: Any) -> list[str]:
    return [name for name in dask_scheduler.worker_plugins if name.startswith("zarrstream-")]


def jobs_at_work() -> int:
    """How many jobs the modules of the kit hold in a worker."""
    return sum(
        len(module._JOBS) for name, module in list(sys.modules.items()) if name.startswith("zarrstream_") and hasattr(module, "_JOBS")
    )


def test_a_write_that_is_killed_leaves_no_job(scheduler: Scheduler, tmp_path: Path) -> None:
    """Else its open files stay with the workers for ever, and every worker that comes later is given the job as well."""
    source, store = tmp_path / "air.nc", tmp_path / "air.zarr"
    xr.Dataset({"air": (("time", "x"), np.zeros((2000, 100)))}).to_netcdf(source, engine="netcdf4")
    wanted = write_request(
        source=(str(source),),
        store=str(store),
        chunks={"time": 1},
        scheduler=scheduler.daemons.address,
        scheduler_tls=scheduler.certificates.files,
    )
    # Another write or check has nothing to do with it.
    with scheduler.client() as person, scheduler.client(name="zarrstream"), by_value():
        process = forking.start_on_cluster(wanted)
        try:
            scheduler.wait_for(lambda found: any(one["store"] and one["unfinished"] for one in found))
            ends = time.monotonic() + SECONDS
            while not list(store.rglob("air/c/*/*")):
                assert time.monotonic() < ends
                time.sleep(0.05)
            assert len(person.run_on_scheduler(jobs_of)) == sum(person.run(jobs_at_work).values()) == 1
        finally:
            process.kill()
            process.join()
        scheduler.wait_for(lambda found: len(found) == 1)
        ends = time.monotonic() + SECONDS
        while person.run_on_scheduler(jobs_of) or sum(person.run(jobs_at_work).values()):
            assert time.monotonic() < ends, (person.run_on_scheduler(jobs_of), person.run(jobs_at_work))
            time.sleep(0.2)
