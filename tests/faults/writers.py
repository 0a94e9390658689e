"""Writers in processes of their own, forked from one that has the libraries imported: a second each would be theirs otherwise."""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import dask.array  # noqa: F401
import h5py  # noqa: F401
import netCDF4  # noqa: F401
import numcodecs  # noqa: F401
import obstore  # noqa: F401
import xarray  # noqa: F401
import zarr  # noqa: F401
from zarrstream.commands.write import write_dataset
from zarrstream.errors import ZarrstreamError
from zarrstream.sidecar import lock
from zarrstream.source import fetching
from zarrstream.write import append, replace, session  # noqa: F401
from zarrstream.write.request import WriteRequest

_CONTEXT = multiprocessing.get_context("forkserver")
gc.freeze()  # what the libraries have made is there for good: no writer has to look through it, and thereby copy it


@dataclass
class Writer:
    """A write that goes on elsewhere."""

    process: BaseProcess
    answer: Connection

    def kill(self) -> None:
        """Send SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.join()

    def outcome(self, seconds: float = 120) -> str | None:
        """What was done (``action``), or ``error: …``; None if it was killed."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, "the writer does not come to an end"
        try:
            return self.answer.recv()
        except EOFError:
            return None


def start(wanted: WriteRequest, at: float = 0.0, **settings: Any) -> Writer:
    """Begin to write, at a time of the wall clock (0: now); ``settings`` are values of the modules ``lock`` and ``fetching``."""
    receiver, sender = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_write, args=(wanted, at, settings, sender))
    process.start()
    sender.close()
    return Writer(process, receiver)


def _write(wanted: WriteRequest, at: float, settings: dict[str, Any], answer: Connection) -> None:
    for name, value in settings.items():
        setattr(fetching if hasattr(fetching, name) else lock, name, value)
    time.sleep(max(0.0, at - time.time()))
    try:
        answer.send(write_dataset(wanted).action)
    except ZarrstreamError as error:
        answer.send(f"error: {error}")


def on_a_small_disk(wanted: WriteRequest, folder: Path, size: str) -> tuple[str, list[str]]:
    """Write with a disk of this size in the place of a folder; returns the outcome, and the files that are left there."""
    receiver, sender = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_write_on_a_small_disk, args=(wanted, folder, size, sender))
    process.start()
    outcome, left = receiver.recv()
    process.join()
    return outcome, left


def _write_on_a_small_disk(wanted: WriteRequest, folder: Path, size: str, answer: Connection) -> None:
    os.unshare(os.CLONE_NEWNS)  # the disk is this process's alone
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        outcome = write_dataset(wanted).action
    except ZarrstreamError as error:
        outcome = f"error: {error}"
    answer.send((outcome, [str(path) for path in folder.rglob("*")]))
