"""What a scheduler says of those who are busy: a JSON document on its dashboard's server, which listens on loopback alone.

The role dask_scheduler asks for it before it ends a scheduler, since that forgets all tasks and all results. And what it does for those who
were busy and went without a word: it takes their jobs from the workers.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable
from typing import Any

from distributed import Scheduler, SchedulerPlugin
from distributed.comm import get_address_host
from distributed.http.utils import RequestHandler

PATH = r"/zarrstream/work\.json"
UNFINISHED = {"waiting", "no-worker", "queued", "processing"}
# A client's identifier has its own name, if it has one, and a number; that of published data, for example, is a name.
IDENTIFIER = re.compile(r"Client-(?:(?P<name>.+)-)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# The name with which zarr_write and zarr_check come. Between two of its tasks a write is busy as well.
STORE_CLIENT = "zarrstream"
# With this and the client's identifier it names the plugin that it brings to the workers.
JOB = "zarrstream-"
logger = logging.getLogger("distributed.zarrstream")
background: set[asyncio.Future[Any]] = set()


class WorkDocument(RequestHandler):  # type: ignore[misc]
    """Everybody who would lose something if the scheduler ended now."""

    def get(self) -> None:
        """Answer with JSON."""
        self.write({"clients": work(self.server)})


def work(scheduler: Scheduler) -> list[dict[str, Any]]:
    """Who has unfinished tasks, holds results, or writes or checks a store; published data sets and the like count as clients."""
    described = [describe(scheduler, client) for client in scheduler.clients.values()]
    return sorted((one for one in described if one["unfinished"] or one["kept"] or one["store"]), key=lambda one: one["client"])


def name_of(client: str) -> str:
    """What to call a client."""
    matched = IDENTIFIER.fullmatch(client)
    return (matched["name"] or "a client") if matched else client


def describe(scheduler: Scheduler, client: Any) -> dict[str, Any]:
    """One client in numbers, and in words."""
    name = name_of(client.client_key)
    unfinished = count_unfinished(client.wants_what)
    kept = sum(task.state == "memory" for task in client.wants_what)
    stream = scheduler.client_comms.get(client.client_key)
    host = get_address_host(stream.comm.peer_address) if stream and stream.comm else ""
    store = name == STORE_CLIENT
    parts = ["writes or checks a store"] if store else []
    parts += [f"{what} {number}" for what, number in (("unfinished tasks", unfinished), ("results kept", kept)) if number]
    return {
        "client": client.client_key,
        "name": name,
        "host": host,
        "unfinished": unfinished,
        "kept": kept,
        "store": store,
        "says": f"{name}{f' from {host}' if host else ''}: {', '.join(parts)}",
    }


def count_unfinished(wanted: Iterable[Any]) -> int:
    """How many tasks are still to be computed for these, themselves among them."""
    found = {task for task in wanted if task.state in UNFINISHED}
    ahead = list(found)
    while ahead:
        new = {task for task in ahead.pop().dependencies if task.state in UNFINISHED} - found
        found |= new
        ahead.extend(new)
    return len(found)


class AbandonedJobs(SchedulerPlugin):  # type: ignore[misc]
    """Takes away the jobs of writes and checks that were killed.

    distributed forgets a client's tasks when its connection ends. The job itself, with its open files, would stay with the workers, and
    would be given to each one that comes later.
    """

    name = "zarrstream-abandoned-jobs"

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Look for the job of a client that has gone; one that ends in good order has taken it with it."""
        job = JOB + client
        if job in scheduler.worker_plugins:
            logger.warning("%s has gone and left its job, which is taken from the workers", client)
            task = asyncio.ensure_future(scheduler.unregister_worker_plugin(comm=None, name=job))
            background.add(task)
            task.add_done_callback(background.discard)


async def dask_setup(scheduler: Scheduler) -> None:
    """Serve the document, and look after jobs."""
    scheduler.add_plugin(AbandonedJobs())
    scheduler.http_application.add_handlers(".*$", [(PATH, WorkDocument, {"dask_server": scheduler})])
