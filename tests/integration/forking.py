# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Processes that are forked from one that has the libraries imported: writers that die at a given point, and the daemons of Dask.

`LocalCluster` forks its workers from the same server in `forked_workers`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from clusters import CALM_ENVIRONMENT, Daemons
from zarrstream.write.request import WriteRequest

CORE = Path(__file__).resolve().parents[2] / "plugins" / "module_utils"
OURS = [str(CORE), str(Path(__file__).parents[1])]


@lru_cache
def _context() -> Any:
    """Where processes come from. The server is there before a library names other modules that it is to import."""
    context = multiprocessing.get_context("forkserver")
    with pytest.MonkeyPatch.context() as patch:  # the server gets it as it starts
        patch.setenv("PYTHONPATH", os.pathsep.join(OURS))
        patch.setenv("DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD", "forkserver")  # of a daemon that has a nanny
        for name, value in CALM_ENVIRONMENT.items():  # which a forked daemon would read too late
            patch.setenv(name, value)
        context.set_forkserver_preload(["integration.preloaded"])
        first = context.Process(target=int)
        first.start()
        first.join()
    return context


@contextmanager
def forked_workers() -> Iterator[None]:
    """Clusters that are made meanwhile fork their workers, also those that take the place of others."""
    import distributed  # noqa: F401 - before: what is set first would take all of Dask's settings of the kind along in the end
    from dask import config

    _context()
    with config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        yield


def start_on_cluster(wanted: WriteRequest) -> BaseProcess:
    """Begin to write on a Dask cluster, in blocks of one object, for a test that kills it."""
    process: BaseProcess = _context().Process(target=_write_in_small_blocks, args=(wanted,))
    process.start()
    return process


def _write_in_small_blocks(wanted: WriteRequest) -> None:
    from zarrstream.commands.write import write_dataset
    from zarrstream.dask import write_executor as writing

    writing.LEAST_BLOCK, writing.TURNS = 1, 1000
    write_dataset(wanted)


def killed_writer(wanted: WriteRequest, **until: int) -> None:
    """Write, and be killed as soon as so many objects have arrived: ``air`` and others of that array, ``journal`` documents of that.

    Each part of the journal comes at once, not after a second.
    """
    process = _context().Process(target=_write_until, args=(wanted, until))
    process.start()
    process.join(240)
    assert process.exitcode == -signal.SIGKILL


def _write_until(wanted: WriteRequest, until: Mapping[str, int]) -> None:
    from zarrstream.commands.write import write_dataset
    from zarrstream.sidecar import journal
    from zarrstream.storage.objects import BucketObjects

    journal.FLUSH_INTERVAL = 0.0
    arrived: Counter[str] = Counter()
    put, put_async = BucketObjects.put, BucketObjects.put_async

    def count(key: str) -> None:
        arrived.update(part for part in until if f"/{part}/" in key)
        if all(arrived[part] >= number for part, number in until.items()):
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(self: BucketObjects, key: str, data: Any, **options: Any) -> None:
        put(self, key, data, **options)
        count(key)

    async def counted_async(self: BucketObjects, key: str, data: Any) -> None:
        await put_async(self, key, data)
        count(key)

    BucketObjects.put, BucketObjects.put_async = counted, counted_async  # type: ignore[method-assign]
    write_dataset(wanted)


class Daemon:
    """One process of `ForkedDaemons`, with as much of `subprocess.Popen` as the tests use."""

    def __init__(self, process: BaseProcess) -> None:
        self._process, self.pid = process, process.pid
        self.kill, self.terminate = process.kill, process.terminate

    def send_signal(self, number: int) -> None:
        """Stop it, or let it go on."""
        assert self.pid
        os.kill(self.pid, number)

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait for its end; its exit status."""
        self._process.join(seconds)
        return self._process.exitcode


class ForkedDaemons(Daemons):
    """The same programs, ``dask scheduler`` and ``dask worker``, without the second in which each imports Dask."""

    def start(self, name: str, *arguments: str, **environment: str) -> None:
        """Start ``scheduler``, or a worker of any other name, with arguments of its own."""
        here = ["--host", "127.0.0.1", "--no-dashboard", *self._tls]
        if name == "scheduler":
            command = ["scheduler", "--port", str(self.port), "--protocol", self.protocol, *here]
        else:
            command = ["worker", self.address, *here, "--nthreads", "1", "--no-nanny", "--name", name]
            command += ["--local-directory", str(self.folder)]
        (self.folder / f"{name}.log").write_bytes(b"")  # of one that was killed
        process = _context().Process(target=_dask, args=([*command, *arguments], {**os.environ, **environment}, self.folder, name))
        process.start()
        self.processes[name] = Daemon(process)  # type: ignore[assignment]


def _dask(arguments: list[str], environment: dict[str, str], folder: Path, name: str) -> None:
    with (folder / f"{name}.log").open("wb") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    # It has of the kit's package what its own PYTHONPATH has.
    for module in [name for name in sys.modules if name.partition(".")[0] == "zarrstream"]:
        del sys.modules[module]
    own = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [*filter(None, own), *(place for place in sys.path if place not in OURS)]
    sys.argv = ["dask", *arguments]
    from dask.__main__ import main

    main()
