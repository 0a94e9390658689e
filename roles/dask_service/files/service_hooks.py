"""What a service of Dask does when it starts and stops: distributed calls this for a scheduler, a worker, and its nanny.

systemd hears when the service is up. A worker that is told to stop takes no new tasks, ends those that run, and
hands its results to other workers, before its nanny ends it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from contextlib import suppress
from typing import Any

from distributed import Nanny, Scheduler, Status, Worker
from distributed.core import rpc

POLL_SECONDS = 0.2
# What a worker says to its nanny when its connection to the scheduler has broken.
LOST_SCHEDULER = "worker-handle-scheduler-connection-broken"
# Of a task at a worker: it is computed there, or was.
BEGUN = {"executing", "long-running", "resumed", "memory", "error"}
logger = logging.getLogger("distributed.zarrstream")
background: set[asyncio.Task[None]] = set()


def tell_systemd(state: str) -> None:
    """Send a state such as READY=1 to systemd, where it waits for one (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect("\0" + address[1:] if address.startswith("@") else address)
        channel.sendall(state.encode())


def tell_ready(status: str = "") -> None:
    """Tell systemd that the service is up, and with which definition it was started; the roles compare it with theirs."""
    definition = os.environ.get("ZARRSTREAM_DEFINITION", "")
    tell_systemd(f"READY=1\nSTATUS=definition={definition} {status}".rstrip())


async def tell_when_joined() -> None:
    """Tell systemd as soon as every nanny of this process has a worker that the scheduler knows."""
    nannies = list(Nanny._instances)  # distributed counts them nowhere else
    while any(nanny.status != Status.running for nanny in nannies):
        await asyncio.sleep(POLL_SECONDS)
    tell_ready()


def keep_its_worker(nanny: Nanny) -> None:
    """Let a nanny replace a worker that has lost the scheduler, as it replaces one that was killed.

    distributed takes the loss for the end of the cluster, and the nanny goes with its worker. If only that one connection broke, the
    host would be short of a worker for as long as its others live, and a start would wait for it in vain.
    """
    go_too = nanny.handlers["close_gracefully"]

    def close_gracefully(reason: str = "nanny-close-gracefully") -> None:
        if reason == LOST_SCHEDULER:
            logger.warning("%s has lost the scheduler and is replaced", nanny.worker_address)
        else:
            go_too(reason=reason)

    nanny.handlers["close_gracefully"] = close_gracefully


def tell_what_has_begun(worker: Worker) -> None:
    """Let a worker answer which tasks it computes or has computed, of those that it still knows."""
    worker.handlers["begun"] = lambda: [key for key, task in worker.state.tasks.items() if task.state in BEGUN]


async def dask_setup(server: Any) -> None:
    """Begin to watch a nanny; a scheduler that has come this far listens already. For a worker its nanny speaks to systemd."""
    if isinstance(server, Worker):
        tell_what_has_begun(server)
    elif isinstance(server, Nanny):
        keep_its_worker(server)
        task = asyncio.create_task(tell_when_joined())
        background.add(task)
        task.add_done_callback(background.discard)
    elif isinstance(server, Scheduler):
        # The port of the dashboard is another one where somebody else has that which was asked for.
        tell_ready(f"dashboard=http://{server.http_server.address}:{server.http_server.port}")


async def dask_teardown(server: Any) -> None:
    """Retire the worker of a nanny, if it lives; a scheduler has nobody who could take over."""
    if not isinstance(server, Nanny) or not server.worker_address or not server.is_alive():
        return
    seconds = float(os.environ.get("ZARRSTREAM_DRAIN_SECONDS", "0"))
    try:
        await asyncio.wait_for(retire(server, server.worker_address), seconds)
    except TimeoutError:
        logger.warning("%s still computes after %.0f s; what it computes will be begun anew elsewhere", server.worker_address, seconds)
        with suppress(OSError, TimeoutError):
            await asyncio.wait_for(move_results(server, server.worker_address), seconds)
    except OSError as error:
        logger.warning("No scheduler to retire %s with: %s", server.worker_address, error)


async def retire(nanny: Nanny, worker: str) -> None:
    """Take no new tasks, let those that run come to their end, and move what the worker alone holds."""
    if not await move_results(nanny, worker):
        return
    async with rpc(worker, connection_args=nanny.connection_args) as peer:
        while await unreported(nanny, worker, peer):
            await asyncio.sleep(POLL_SECONDS)
    await move_results(nanny, worker)


async def unreported(nanny: Nanny, worker: str, peer: Any) -> set[Any]:
    """Tasks that have begun on the worker, of which the scheduler has not heard yet that they ended.

    That none runs is not enough: the scheduler moves results that it knows of, and the word of the last ones may be on its way.
    """
    begun = set(await peer.begun())
    return begun.intersection((await nanny.scheduler.processing(workers=[worker]))[worker])


async def move_results(nanny: Nanny, worker: str) -> bool:
    """Have what only this worker holds moved, and no more tasks given to it; False if nobody else is there to take over."""
    retired = await nanny.scheduler.retire_workers(workers=[worker], close_workers=False, remove=False)
    if not retired:
        logger.warning("No other worker takes over what %s holds; it will be computed again", worker)
    return bool(retired)
