# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Collects the facts of a cluster through its scheduler. Each worker has its own time limit: one that is stuck hides no other."""

from __future__ import annotations

import asyncio
import ssl
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ...errors import BadRequest, Unreachable
from ...libraries import TASKS
from ...scheduler import Scheduler, parse_scheduler
from ..tls_errors import keep_errors_apart
from . import remote
from .checks import Expected, absent
from .facts import MIB, SCHEDULER, BucketAttempt, Facts, Link, Process, SchedulerState, Worker


@dataclass(frozen=True)
class InfoRequest:
    """What to look at. ``workers``: a number, hosts, or None; ``bandwidth`` in MiB, 0 for none; ``timeout`` in seconds."""

    scheduler: str | None = None
    scheduler_tls: Mapping[str, str] | None = None
    workers: Expected = None
    packages: tuple[str, ...] = TASKS
    bucket: str | None = None
    profile: str | None = None
    config_file: str | None = None
    endpoint_url: str | None = None
    ca_bundle: str | None = None
    timeout: float = 60
    bandwidth: int = 4
    fail_on: str = "error"
    junit: str | None = None
    write: bool = True


def collect(request: InfoRequest) -> Facts:
    """The facts. Raises ZarrstreamError where the scheduler cannot be talked to."""
    place = _place(request)
    security = place.security()
    place.knock(security, request.timeout)
    return asyncio.run(_collect(request, place.address, security))


def _place(request: InfoRequest) -> Scheduler:
    """The scheduler that was asked for, or else that of Dask's configuration."""
    import dask.config

    place = parse_scheduler(request.scheduler or dask.config.get("scheduler-address", None), request.scheduler_tls)
    if place is None:
        raise BadRequest(
            "scheduler is not set, and the configuration of Dask on this host names none. Set it, such as tls://10.0.0.5:8786."
        )
    return place


async def _collect(request: InfoRequest, address: str, security: Any) -> Facts:
    from distributed import Client
    from distributed.versions import get_versions

    limit = min(request.timeout, 20)
    keep_errors_apart()
    try:
        connecting = Client(address, security=security, asynchronous=True, timeout=limit, set_as_default=False)  # type: ignore[no-untyped-call]
        async with connecting as client:
            with _by_value():
                return await _Collector(client, request, get_versions).facts(address)
    except (OSError, TimeoutError) as error:  # among them what Dask raises when a connection is lost
        text = f"{address} was there, but the conversation broke off: {error or type(error).__name__}. Look at the scheduler's journal."
        raise Unreachable(text, scheduler=address) from None


@contextmanager
def _by_value() -> Iterator[None]:
    """Functions of ``remote`` travel as code: on the other side their module has another name, or none."""
    import cloudpickle

    cloudpickle.register_pickle_by_value(remote)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(remote)


class _Collector:
    def __init__(self, client: Any, request: InfoRequest, get_versions: Any) -> None:
        self._client, self._request, self._get_versions = client, request, get_versions
        self._end = time.monotonic() + request.timeout
        self._limit = min(request.timeout, 60.0)  # for one answer

    async def facts(self, address: str) -> Facts:
        scheduler = await self._scheduler(address)
        workers = await self._joined()
        ends = await self._from_scheduler(remote.certificates) if scheduler.process else {}
        workers = tuple(replace(worker, certificate_ends=ends.get(worker.address)) for worker in workers)
        asked = [worker for worker in workers if worker.process]
        links = [*await self._links_of_scheduler(asked, scheduler), *await self._links_of_workers(asked)]
        if self._request.bucket:
            workers = await self._with_access(workers)
        return Facts(scheduler, workers, self._get_versions()["packages"], time.time(), tuple(links))

    async def _scheduler(self, address: str) -> SchedulerState:
        comm = self._client.scheduler_comm.comm
        certificate = comm.extra_info.get("peercert")
        versions = (await self._from_scheduler(self._get_versions))["packages"]
        silence = _foreign(versions)
        process = None if silence else Process(**await self._from_scheduler(remote.look_here, list(self._request.packages)))
        return SchedulerState(
            address=address,
            versions=versions,
            cipher=" ".join(str(part) for part in (comm.extra_info.get("cipher") or ())[:2]),
            certificate_ends=float(ssl.cert_time_to_seconds(certificate["notAfter"])) if certificate else None,
            process=process,
            silence=silence,
        )

    async def _from_scheduler(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.wait_for(self._client.run_on_scheduler(function, *arguments), self._limit)

    async def _joined(self) -> tuple[Worker, ...]:
        """The workers, as soon as all that are expected have joined, or the time is over."""
        known: dict[str, Worker] = {}
        while True:
            identity = await asyncio.wait_for(self._client.scheduler.identity(), self._limit)
            present = identity["workers"]
            known = {address: worker for address, worker in known.items() if address in present}
            new = [self._worker(address, present[address]) for address in present if address not in known]
            known |= {worker.address: worker for worker in await asyncio.gather(*new)}
            workers = tuple(sorted(known.values(), key=lambda worker: (worker.host, worker.name)))
            if not absent(self._request.workers, workers) or time.monotonic() > self._end:
                return workers
            await asyncio.sleep(0.5)

    async def _worker(self, address: str, identity: Mapping[str, Any]) -> Worker:
        worker = Worker(str(identity["name"]), address, identity["nthreads"], identity["memory_limit"] or 0)
        versions = await self._ask(address, self._get_versions)
        if isinstance(versions, str):
            return replace(worker, silence=versions)
        worker = replace(worker, versions=versions["packages"], silence=_foreign(versions["packages"]))
        if worker.silence:
            return worker
        found = await self._ask(address, remote.look_here, list(self._request.packages))
        return replace(worker, silence=found) if isinstance(found, str) else replace(worker, process=Process(**found))

    async def _ask(self, address: str, function: Any, *arguments: Any) -> Any:
        """The answer of a worker, or a text that says why there is none."""
        try:
            answers = await asyncio.wait_for(self._client.run(function, *arguments, workers=[address], on_error="return"), self._limit)
        except TimeoutError:
            return f"no answer within {self._limit:g} s"
        answer = answers.get(address, "it has left")
        return f"{type(answer).__name__}: {answer}" if isinstance(answer, Exception) else answer

    async def _links_of_scheduler(self, workers: list[Worker], scheduler: SchedulerState) -> list[Link]:
        """One after the other: they would share the way."""
        if not scheduler.process:
            return []
        links = []
        for worker in workers:
            try:
                measured = await self._from_scheduler(remote.measure, worker.address, self._request.bandwidth * MIB)
                links.append(Link(SCHEDULER, worker.label, **measured))
            except (OSError, TimeoutError) as error:
                links.append(Link(SCHEDULER, worker.label, problem=str(error) or "no answer in time"))
        return links

    async def _links_of_workers(self, workers: list[Worker]) -> list[Link]:
        """Once around: from each worker to the next one, host after host."""
        links = []
        around = _alternating(workers)
        for worker, other in zip(around, around[1:] + around[:1], strict=True) if len(around) > 1 else ():
            measured = await self._ask(worker.address, remote.measure, other.address, self._request.bandwidth * MIB)
            problem = {"problem": measured} if isinstance(measured, str) else measured
            links.append(Link(worker.label, other.label, **problem))
        return links

    async def _with_access(self, workers: tuple[Worker, ...]) -> tuple[Worker, ...]:
        """With an attempt at the bucket by one worker of each user on each host, all at once."""
        size = self._request.bandwidth * MIB or 64
        names = ("bucket", "profile", "config_file", "endpoint_url", "ca_bundle", "write")
        wanted = {**{name: getattr(self._request, name) for name in names}, "size": size}
        first: dict[tuple[str, str], Worker] = {}
        for worker in workers:
            if worker.process:
                first.setdefault((worker.host, worker.process.home), worker)
        answers = await asyncio.gather(*(self._ask(worker.address, remote.try_bucket, wanted) for worker in first.values()))
        found = {worker.address: _access(answer) for worker, answer in zip(first.values(), answers, strict=True)}
        return tuple(replace(worker, access=found.get(worker.address)) for worker in workers)


def _access(answer: Any) -> BucketAttempt:
    if isinstance(answer, str):
        return BucketAttempt(problem=answer)
    return BucketAttempt(**{**answer, "steps": tuple(answer.get("steps", ()))})


def _foreign(versions: Mapping[str, str | None]) -> str:
    """Why code cannot travel there; '' where it can."""
    theirs, ours = (versions.get("python") or "").split(".")[:2], [str(part) for part in sys.version_info[:2]]
    return "" if theirs == ours else f"it runs Python {'.'.join(theirs)}, this module {'.'.join(ours)}: it cannot be asked"


def _alternating(workers: list[Worker]) -> list[Worker]:
    """The first workers of all hosts, then the second ones, and so on."""
    seen: dict[str, int] = {}
    ranks = {}
    for worker in workers:
        ranks[worker.address] = seen[worker.host] = seen.get(worker.host, -1) + 1
    return sorted(workers, key=lambda worker: (ranks[worker.address], worker.host))
