# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the services of Dask do besides Dask, with real processes on this machine; Molecule has them under systemd."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from clusters import Certificates, make_certificates
from integration.forking import ForkedDaemons

HOOKS = Path(__file__).resolve().parents[2] / "roles" / "dask_service" / "files" / "service_hooks.py"
SERVICE = ("--nanny", "--memory-limit", "1GiB", "--preload", str(HOOKS), "--preload-nanny", str(HOOKS))
SECONDS = 120


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path / "tls")


@pytest.fixture
def daemons(certificates: Certificates, tmp_path: Path) -> Iterator[ForkedDaemons]:
    """A scheduler; workers cannot import this module."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    daemons = ForkedDaemons(certificates, tmp_path)
    try:
        daemons.start("scheduler")
        yield daemons
    finally:
        daemons.stop()
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture
def service(daemons: ForkedDaemons) -> ForkedDaemons:
    """With a service that has two workers and their nannies."""
    daemons.start("worker", *SERVICE, "--nworkers", "2")
    return daemons


def processes(client: Any) -> set[int]:
    """Those of the workers; of one that goes just now there is none."""
    return {process for process in client.run(os.getpid, on_error="return").values() if isinstance(process, int)}


def cut_off(dask_worker: Any) -> None:
    """Break the connection over which a worker and the scheduler talk."""
    dask_worker.batched_stream.comm.abort()


def wait_for_two_without(client: Any, gone: set[int]) -> None:
    """Until there are two workers, none of them in one of those processes."""
    ends = time.monotonic() + SECONDS
    while len(found := processes(client)) != 2 or found & gone:
        assert time.monotonic() < ends, f"{found} without {gone}"
        time.sleep(0.5)


def test_a_worker_that_loses_the_scheduler_is_replaced(service: ForkedDaemons, certificates: Certificates) -> None:
    """The host has as many workers as before, though the other one of its service goes on."""
    from distributed import Client

    with Client(service.address, security=certificates.security(), timeout=SECONDS) as client:
        client.wait_for_workers(2, timeout=SECONDS)
        victim = min(client.scheduler_info(n_workers=-1)["workers"])
        process = client.run(os.getpid, workers=[victim])[victim]
        others = processes(client) - {process}
        client.run(cut_off, workers=[victim], on_error="return")
        wait_for_two_without(client, {process})
        assert others < processes(client), "the other worker has nothing to do with it"


def report_late(dask_worker: Any) -> None:
    """Let the scheduler hear late that a task has ended."""
    send = dask_worker.batched_stream.send

    def send_late(*messages: Any) -> None:
        late = any(message["op"] == "task-finished" for message in messages)
        dask_worker.loop.call_later(2 if late else 0, send, *messages)

    dask_worker.batched_stream.send = send_late


def test_a_worker_that_stops_waits_until_its_last_results_are_known(
    daemons: ForkedDaemons, certificates: Certificates, tmp_path: Path
) -> None:
    """Without that they were lost with the worker, and computed again: on a busy machine the scheduler hears of them late."""
    from distributed import Client

    enough = tmp_path / "enough"

    def compute() -> int:
        from distributed import get_worker

        while not enough.exists():
            time.sleep(0.05)
        get_worker().log_event("computed", "once")
        return 42

    daemons.start("leaves", *SERVICE, ZARRSTREAM_DRAIN_SECONDS="60")
    with Client(daemons.address, security=certificates.security(), timeout=SECONDS) as client:
        client.wait_for_workers(1, timeout=SECONDS)
        (leaves,) = client.scheduler_info(n_workers=-1)["workers"]
        daemons.start("stays")
        client.wait_for_workers(2, timeout=SECONDS)
        client.run(report_late, workers=[leaves])
        future = client.submit(compute, workers=[leaves], allow_other_workers=True)
        while not client.processing(workers=[leaves])[leaves]:
            assert not future.done(), future
            time.sleep(0.05)
        daemons.processes["leaves"].terminate()
        enough.touch()
        assert daemons.processes["leaves"].wait(SECONDS) == 0, daemons.log("leaves")
        assert future.result(SECONDS) == 42
        assert len(client.get_events("computed")) == 1, daemons.log("scheduler")
