# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How far a write is, kept in a small JSON file that others can read at any moment."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from ..errors import BadRequest
from ..storage.traffic import Traffic

INTERVAL = 1.0  # seconds


@dataclass(frozen=True)
class Progress:
    """A moment of a write; ``mib_per_second`` counts source bytes, ``seconds_left`` is None while unknown.

    ``retries`` counts requests that were sent again. Of a source that is not on this host there are the bytes that were fetched, and how
    fast; ``waits_for`` is ``source`` or ``store``, as far as one of them is what takes the time.
    """

    state: str  # preparing, copying, verifying, publishing, removing, done, failed
    objects_done: int
    objects_total: int
    bytes_stored: int
    mib_per_second: float
    seconds_left: float | None
    retries: int = 0
    store: str = ""
    bytes_fetched: int = 0
    fetched_mib_per_second: float = 0.0
    waits_for: str = ""


def check_path(text: str | None) -> Path | None:
    """The file to report to; raises BadRequest where its folder is missing."""
    path = Path(text).expanduser() if text else None
    if path is not None and not path.parent.is_dir():
        raise BadRequest(f"progress_path is '{path}': its folder does not exist. Make it, or name another.")
    return path


class ProgressReporter:
    """Counts what is done and tells it about once a second, to a file and to a function; both may be None."""

    def __init__(
        self,
        path: Path | None,
        tell: Callable[[Progress], None] | None = None,
        retries: Callable[[], int] = lambda: 0,
        store: str = "",
        traffic: Callable[[], Traffic] = Traffic,
    ) -> None:
        self._path, self._tell, self._retries, self._store, self._traffic = path, tell, retries, store, traffic
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._state, self._total, self._done, self._stored, self._read = "preparing", 0, 0, 0, 0
        self._began = self._entered = time.monotonic()
        self._before = Traffic()
        self._thread = threading.Thread(target=self._run, name="zarrstream-progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._state = "failed" if error else "done"
        self._stop.set()
        self._thread.join()
        self._report()

    def begin(self, state: str, total: int | None = None) -> None:
        """A new state; with ``total`` objects the clock of the speed starts."""
        before = self._traffic()
        with self._lock:
            self._state, self._entered, self._before = state, time.monotonic(), before
            if total is not None:
                self._total, self._began = total, time.monotonic()
        self._report()

    def read(self, size: int) -> None:
        """``size`` bytes of the source were read."""
        with self._lock:
            self._read += size

    def stored(self, size: int) -> None:
        """One object of ``size`` bytes arrived."""
        with self._lock:
            self._done += 1
            self._stored += size

    def removed(self, count: int) -> None:
        """``count`` objects are gone."""
        with self._lock:
            self._done += count

    @property
    def bytes_read(self) -> int:
        """Bytes of the source so far, not compressed."""
        return self._read

    def now(self) -> Progress:
        """The present moment."""
        traffic = self._traffic()
        with self._lock:
            here = max(time.monotonic() - self._entered, 1e-6)
            seconds = max(time.monotonic() - self._began, 1e-6)
            left = (self._total - self._done) * seconds / self._done if self._done else None
            return Progress(
                state=self._state,
                objects_done=self._done,
                objects_total=self._total,
                bytes_stored=self._stored,
                mib_per_second=round(self._read / 2**20 / seconds, 1),
                seconds_left=None if left is None else round(left, 1),
                retries=self._retries(),
                store=self._store,
                bytes_fetched=traffic.fetched,
                fetched_mib_per_second=round((traffic.fetched - self._before.fetched) / 2**20 / here, 1),
                waits_for=traffic.bound(self._before, here) if self._state in ("copying", "verifying") else "",
            )

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL):
            self._report()

    def _report(self) -> None:
        moment = self.now()
        if self._tell:
            self._tell(moment)
        if self._path:
            # Replaced as a whole: a reader never finds half a document.
            temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}.{threading.get_ident()}")
            with contextlib.suppress(OSError):  # a full disk must not end the write that is being watched
                temporary.write_text(json.dumps(asdict(moment)) + "\n", encoding="utf-8")
                temporary.replace(self._path)
