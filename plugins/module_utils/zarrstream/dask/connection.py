# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The host's side of a cluster: who is there, is each of them fit, and work for them a window at a time.

A task that fails is not tried again here: requests were repeated on the worker. A task whose worker dies is, by Dask, on another
one, which is right because a block has the same objects with the same bytes whoever writes it, and however often. Where a task
has killed several workers Dask gives up; where the scheduler is gone, or restarted, it has forgotten all tasks. Both end it.
"""

from __future__ import annotations

import logging
import pickle
import queue
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from dataclasses import asdict, dataclass, field
from typing import Any

from .. import errors
from ..compat import stay_away, unregister
from ..errors import BadRequest, Unreachable, WriteError, ZarrstreamError
from ..scheduler import Scheduler
from ..storage.traffic import Traffic, traffic_from
from .job import Job, name_of, versions
from .ship import make_call, make_plugin, package_archive
from .tls_errors import keep_errors_apart

PER_THREAD = 2  # tasks at the workers for each of their threads: one busy, one at hand
IDLE = 5.0  # seconds without a result after which to look whether anybody is left
ENDING = 30.0  # seconds for workers to end what they are doing
JOINING = 20.0  # seconds for a first worker to join
CLOSING = 5.0  # seconds for the connection to end
SHARE = 0.6  # of a worker's memory limit: above, Dask moves data to disk, then pauses, at last kills
LIBRARIES_TAKE = 250 * 2**20  # bytes of a worker that holds no data
_ALIKE = ("dask", "distributed", "cloudpickle")


@dataclass
class Share:
    """What one worker's process has done: ``cpu_seconds`` are those of the process while it was busy for us."""

    worker: str
    host: str
    objects: int = 0
    bytes_read: int = 0
    bytes_stored: int = 0
    cpu_seconds: float = 0.0
    retries: int = 0
    fetched: dict[str, int] = field(default_factory=lambda: {"bytes": 0, "requests": 0})
    waited: dict[str, float] = field(default_factory=lambda: {"source": 0.0, "store": 0.0})


@dataclass(frozen=True)
class Seat:
    """A worker: its address, its threads, its memory limit in bytes (0 for none)."""

    address: str
    threads: int
    memory_limit: int


@dataclass
class Reply:
    """What a worker answered: plain values, and who it was."""

    value: Any
    share: Share = field(repr=False)


class Cluster:
    """A scheduler and its workers. Making one connects; raises ZarrstreamError where that cannot go well."""

    def __init__(self, scheduler: Scheduler, timeout: float) -> None:
        from distributed import Client

        self.scheduler, self.timeout = scheduler, timeout
        self._shares: dict[tuple[str, int], Share] = {}
        self._futures: set[Any] = set()
        self._plugin: str | None = None
        security = scheduler.security()
        scheduler.knock(security, timeout)
        keep_errors_apart()
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what goes wrong is said once, by our errors
        try:
            self._client: Any = Client(  # type: ignore[no-untyped-call]
                scheduler.address, security=security, timeout=timeout, set_as_default=False, name="zarrstream"
            )
        except (OSError, ValueError, TimeoutError) as error:
            text = f"the scheduler at {scheduler.address} took the connection and did not answer: {error}. Is it Dask's, and is it well?"
            raise Unreachable(text, scheduler=scheduler.address) from None
        stay_away(self._client)  # to come back to a scheduler that has forgotten us helps nobody, and takes its time
        try:
            self.seats = self._take_seats()
            self._compare_versions()
        except BaseException:
            self.close()
            raise

    @property
    def memory(self) -> int:
        """Bytes of data that the smallest worker can hold; 0 if none has a limit."""
        return min((max(1, int(seat.memory_limit * SHARE) - LIBRARIES_TAKE) for seat in self.seats if seat.memory_limit), default=0)

    @property
    def smallest(self) -> Seat:
        """The worker with the least memory."""
        return min(self.seats, key=lambda seat: seat.memory_limit or float("inf"))

    @property
    def retries(self) -> int:
        """Requests that workers sent again."""
        return sum(share.retries for share in list(self._shares.values()))

    @property
    def traffic(self) -> Traffic:
        """What came over the net for workers."""
        return sum((traffic_from({"fetched": share.fetched, "waited": share.waited}) for share in list(self._shares.values())), Traffic())

    def shares(self) -> list[dict[str, Any]]:
        """What each worker has done, in the order of their addresses."""
        return [{**asdict(share), "cpu_seconds": round(share.cpu_seconds, 2)} for _unused, share in sorted(self._shares.items())]

    def start(self, kind: type[Job], spec: Mapping[str, Any]) -> None:
        """Bring the job to the workers, and let each look whether it can do it; raises what the first one that cannot says."""
        package, archive = package_archive()
        job = self._client.id  # by which the scheduler finds the job of a client that was killed
        wanted = {"kind": name_of(kind), "versions": versions(), **spec}
        plugin = make_plugin(package, archive, job, pickle.dumps(wanted))
        self._call = make_call(package, job)
        answers = self._asked(lambda: self._client.register_plugin(plugin))
        self._plugin = plugin.name
        for address, answer in (answers or {}).items():
            if answer.get("status") != "OK":
                error = answer.get("exception")
                raise WriteError(f"worker {address} cannot take the job: {getattr(error, 'data', error)!r}.", worker=address)
        self.everywhere("look")

    def everywhere(self, verb: str, *arguments: Any) -> None:
        """Let each worker do this once; one that dies meanwhile is passed over."""
        waiting = {
            self._submit(verb, arguments, workers=[seat.address], allow_other_workers=False): seat.address for seat in self._present()
        }
        if not waiting:
            raise self._nobody()
        done = 0
        for future in self._settled(waiting, lambda: self._drop_absent(waiting)):
            self._answer(future)
            done += 1
        if not done:
            raise self._nobody()

    def run(self, verb: str, calls: Iterable[tuple[Any, ...]]) -> Iterator[Reply]:
        """Do this with each of ``calls`` on whatever worker is free, a window of them at a time; results come in any order."""
        waiting: dict[Any, Any] = {}
        ahead = iter(calls)
        window = max(2, PER_THREAD * sum(seat.threads for seat in self.seats))

        def fill() -> None:
            while len(waiting) < window and (call := next(ahead, None)) is not None:
                waiting[self._submit(verb, call)] = None

        fill()
        for future in self._settled(waiting, self._check_alive, fill):
            yield self._answer(future)

    def close(self) -> None:
        """Let no task of ours be busy any more, as far as workers can be reached, and leave the cluster. May be called twice."""
        client = self._client
        try:
            if client.status == "running":
                if self._futures:
                    client.cancel(list(self._futures))
                if self._plugin:
                    unregister(client, self._plugin, ENDING)
        except Exception as error:  # noqa: BLE001 - a worker that went away meanwhile makes Dask raise anything; each sees to itself
            logging.getLogger(__name__).debug("workers could not be told to end: %s", error)
        finally:
            self._plugin = None
            client.close(timeout=CLOSING)

    def _take_seats(self) -> list[Seat]:
        ends = time.monotonic() + min(JOINING, self.timeout)
        while not (seats := self._present()):
            if time.monotonic() > ends:
                raise self._nobody()
            time.sleep(0.2)
        return seats

    def _present(self) -> list[Seat]:
        workers = self._asked(lambda: self._client.sync(self._client.scheduler.identity, n_workers=-1))["workers"]
        return [Seat(address, info["nthreads"], info["memory_limit"] or 0) for address, info in sorted(workers.items())]

    def _nobody(self) -> Unreachable:
        text = (
            f"the scheduler at {self.scheduler.address} has no workers. Start them (role dask_worker), or see in their logs why they left."
        )
        return Unreachable(text, scheduler=self.scheduler.address)

    def _compare_versions(self) -> None:
        """Raises BadRequest for another Python or Dask: what is sent would not be understood there."""
        found = self._asked(self._client.get_versions)
        ours = _versions_of(found["client"])
        others = {f"scheduler {self.scheduler.address}": found["scheduler"]}
        others |= {f"worker {address}": node for address, node in found["workers"].items()}
        for who, node in others.items():
            theirs = _versions_of(node)
            for library, version in ours.items():
                if theirs.get(library) != version:
                    raise BadRequest(other_version(who, library, theirs.get(library), version), scheduler=self.scheduler.address)

    def _submit(self, verb: str, arguments: tuple[Any, ...], **options: Any) -> Any:
        key = f"zarrstream-{verb}-{uuid.uuid4().hex}"
        try:
            future = self._client.submit(self._call, verb, *arguments, key=key, pure=False, **options)
        except Exception as error:  # noqa: BLE001 - a client that has lost its scheduler raises whatever it stumbles over
            raise self._lost(error) from None
        self._futures.add(future)
        return future

    def _settled(self, waiting: dict[Any, Any], idle: Callable[[], None], fill: Callable[[], None] = lambda: None) -> Iterator[Any]:
        """The futures of ``waiting`` as they end; ``idle`` is called when none has for a while, ``fill`` after each."""
        done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        told: set[Any] = set()
        while waiting:
            for future in [future for future in waiting if future not in told]:
                told.add(future)
                future.add_done_callback(done.put)
            try:
                future = done.get(timeout=IDLE)
            except queue.Empty:
                idle()
                continue
            told.discard(future)
            if future in waiting:  # else its worker left
                del waiting[future]
                yield future
                fill()

    def _answer(self, future: Any) -> Reply:
        self._futures.discard(future)
        try:
            answer = future.result()
        except CancelledError as error:
            raise self._lost(error) from None
        except Exception as error:
            raise self._failed(error) from error
        who = f"worker {answer['worker']} on {answer['host']}"
        share = self._shares.setdefault((answer["worker"], answer["pid"]), Share(answer["worker"], answer["host"]))
        share.cpu_seconds = max(share.cpu_seconds, answer["cpu"])
        share.retries = max(share.retries, answer["retries"])
        for name, figures in (("fetched", share.fetched), ("waited", share.waited)):
            for key, value in answer[name].items():  # answers may come in another order than they were made
                figures[key] = max(figures[key], value)
        if "error" in answer:
            kind, text, details = answer["error"]
            raise getattr(errors, kind, ZarrstreamError)(f"{who}: {text}", **{**details, "worker": answer["worker"]})
        return Reply(answer["value"], share)

    def _failed(self, error: Exception) -> Exception:
        from distributed import KilledWorker

        if isinstance(error, KilledWorker):
            text = (
                f"workers died {error.allowed_failures + 1} times over one block, the last was {error.last_worker.address}: most likely "
                "their memory limit. Give them more, or fewer threads, or set 'memory' to less; their logs say more."
            )
            return WriteError(text, worker=error.last_worker.address)
        if isinstance(error, OSError) or self._client.status != "running":
            return self._lost(error)
        return error

    def _lost(self, error: BaseException) -> WriteError:
        text = f"the connection to the scheduler at {self.scheduler.address} was lost, or it was restarted, and with it what was under way"
        return WriteError(f"{text} ({getattr(error, 'reason', None) or type(error).__name__}).", scheduler=self.scheduler.address)

    def _asked(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except (OSError, TimeoutError, CancelledError) as error:
            raise self._lost(error) from None

    def _check_alive(self) -> None:
        """Raises where no worker is left, after those that may come back had time."""
        if self._client.status != "running":
            raise self._lost(ConnectionError())
        ends = time.monotonic() + self.timeout
        while not self._present():
            if time.monotonic() > ends:
                raise self._nobody()
            time.sleep(1)

    def _drop_absent(self, waiting: dict[Any, str]) -> None:
        present = {seat.address for seat in self._present()}
        for future in [future for future, address in waiting.items() if address not in present]:
            del waiting[future]
            self._futures.discard(future)


def other_version(who: str, library: str, theirs: str | None, ours: str | None) -> str:
    """The message for a node whose environment is another."""
    return (
        f"{who} has {library} {theirs or 'not at all'}, this host has {ours or 'none'}: what they write could differ. "
        "Give all of them the same environment (role zarr_stack), and restart the services there."
    )


def _versions_of(node: Mapping[str, Any]) -> dict[str, str | None]:
    host = dict(node["host"])
    return {"Python": ".".join(str(host["python"]).split(".")[:2])} | {name: node["packages"].get(name) for name in _ALIKE}
