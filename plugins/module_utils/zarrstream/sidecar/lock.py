# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The write lock of a store: a document beside it, acquired by one writer at a time, and taken over once it is stale.

Whether a writer of this host is there yet the process table says, of one on another host its ``heartbeat``.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import Conflict
from ..storage.objects import Objects
from .heartbeat import Heartbeat, expires_in, seems_to_expire_in
from .manifest import WRITING, damaged

SETTLE = 1.0  # seconds between a server's look for an object and the moment from which all see the new one
CHECK_INTERVAL = 1.0  # seconds
_AT_WORK: dict[object, Heartbeat] = {}  # the writes of this process, by their ids


@dataclass(frozen=True)
class Lock:
    """Who is writing, and what a later run needs to know to go on.

    ``write_id`` is random, ``fingerprint`` that of the store to be, ``started`` ISO 8601 in UTC. ``binding`` is the journal's.
    ``source`` has the digests that were taken already; ``rewritten`` the MD5s of every version of a chunk that an append
    has put over one of the published store, by key. ``plans`` say which objects this write may send (``records.KeyPlan``), and
    those that were interrupted here before it: what they left is known by them.
    """

    write_id: str
    fingerprint: str
    started: str
    mode: str = "create"
    binding: str = ""
    source: list[dict[str, Any]] = field(default_factory=list)
    rewritten: dict[str, list[str]] = field(default_factory=dict)
    plans: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> bytes:
        """The document beside the store."""
        document = {
            "zarrstream_writing": 1,
            **asdict(self),
            "host": socket.gethostname(),
            "processes": _process_table(),
            "pid": os.getpid(),
            "process_began": _process_began(os.getpid()),
        }
        return json.dumps(document).encode()


def read_lock(objects: Objects) -> dict[str, Any] | None:
    """The lock of a write under way or interrupted; None where there is none, empty where it cannot be understood."""
    data = objects.get(f"{objects.place.sidecar}/{WRITING}")
    if data is None:
        return None
    try:
        lock = json.loads(data)
    except ValueError:
        return {}
    return lock if isinstance(lock, dict) else {}


def is_alive(lock: Mapping[str, object]) -> bool:
    """Whether a lock is that of a write which still runs on this host; of other hosts this says nothing."""
    pid, began = lock.get("pid"), lock.get("process_began")
    if not _is_here(lock) or not isinstance(pid, int) or began is None:
        return False
    return lock.get("write_id") in _AT_WORK if pid == os.getpid() else began == _process_began(pid)


def acquire(objects: Objects, lock: Lock, *, again: bool) -> None:
    """Put the lock, where there is none or (``again``) over that of a write that is gone; raises Conflict for a live one.

    Swift lets several creations at the same moment succeed and keeps the last: a ``LockWatch`` has to settle before the first
    chunk is sent. In a folder the look and the taking over are one step, under a lock that ends with its process.
    """
    _AT_WORK[lock.write_id] = Heartbeat(objects, lock.write_id)
    try:
        _take(objects, lock, again=again)
    except BaseException as error:
        release(lock, error)
        raise
    if again:
        LockWatch(objects, lock, settled=False).check()


def check_unlocked(objects: Objects, found: Mapping[str, Any]) -> None:
    """Raises the Conflict with which ``acquire`` would refuse a place that has this lock; changes nothing."""
    left = 0.0 if _is_here(found) else seems_to_expire_in(objects, str(found.get("write_id")))
    if is_alive(found) or left > 0:
        raise _somebody_else(objects, left)


def _take(objects: Objects, lock: Lock, *, again: bool) -> None:
    key, document = f"{objects.place.sidecar}/{WRITING}", lock.to_json()
    with objects.exclusive():
        if again:
            found = read_lock(objects) or {}
            left = 0.0 if _is_here(found) else expires_in(objects, str(found.get("write_id")), lock.write_id)
            if is_alive(found) or left > 0:
                raise _somebody_else(objects, left)
            objects.put(key, document)
        elif not create(objects, key, document):
            raise _somebody_else(objects)
    if objects.get(key) is None:  # without it nobody could tell what the chunks are
        raise damaged(objects, key)
    check_held(objects, lock)


def update(objects: Objects, lock: Lock) -> None:
    """Write the lock anew, with more in it; it is ours."""
    check_held(objects, lock)
    objects.put(f"{objects.place.sidecar}/{WRITING}", lock.to_json())


def release(lock: Lock, error: BaseException | None = None) -> None:
    """The write has ended, well or with an ``error``: what it left may be taken over, by this process too."""
    heartbeat = _AT_WORK.pop(lock.write_id, None)
    if heartbeat:
        heartbeat.stop(error)


def create(objects: Objects, key: str, data: bytes) -> bool:
    """Put an object where there is none; False where there is another.

    Where exactly these bytes are there already it was our own request, whose answer got lost before it was sent again.
    """
    try:
        objects.put(key, data, create=True)
    except Conflict:
        return objects.get(key) == data
    return True


class LockWatch:
    """Sees to it that no second writer works at the same place: none may send a chunk before the first ``check`` returned."""

    def __init__(self, objects: Objects, lock: Lock, *, settled: bool | None = None) -> None:
        """``settled`` where nobody can have begun at the same moment: in a folder, which creates a file once."""
        self._objects, self._held = objects, lock
        self._lock = threading.Lock()
        self._settled = objects.place.bucket is None if settled is None else settled
        # In a bucket, a writer that began at the same moment has to have time to show; one that was replaced, time to notice.
        self._due = time.monotonic() + (CHECK_INTERVAL if self._settled else SETTLE)

    @property
    def settled(self) -> bool:
        """Whether chunks may be sent, as long as ``check`` finds nobody else."""
        return self._settled

    def check(self) -> None:
        """Look for another writer when it is time; raises Conflict where there is one."""
        with self._lock:
            if not self._settled:
                time.sleep(max(0.0, self._due - time.monotonic()))
            if time.monotonic() >= self._due:
                check_held(self._objects, self._held)
                self._due = time.monotonic() + CHECK_INTERVAL
                self._settled = True


def check_held(objects: Objects, lock: Lock) -> None:
    """Raises Conflict where the lock is not ours any more."""
    if (read_lock(objects) or {}).get("write_id") != lock.write_id:
        raise _somebody_else(objects)


def _somebody_else(objects: Objects, left: float = 0.0) -> Conflict:
    """The error for another writer; ``left`` are the seconds until it counts as gone, should it be."""
    found = read_lock(objects)
    who = f"process {found.get('pid')} on {found.get('host')}, since {found.get('started')}" if found else "it has removed our lock"
    advice = f" If it was killed, its place is free in {left:.0f} s." if left > 0 else ""
    return Conflict(f"another writer is writing to '{objects.place.url}': {who}. Run one at a time.{advice}", store=objects.place.url)


def _is_here(lock: Mapping[str, object]) -> bool:
    """Whether the processes of this host, or container, are those that a lock speaks of."""
    return lock.get("host") == socket.gethostname() and lock.get("processes") == _process_table()


def _process_table() -> str:
    """What numbers of processes count in: this start of this kernel, and the container. Names of hosts are not unique."""
    try:
        kernel = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{kernel}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _process_began(pid: int) -> int | None:
    """Clock ticks from the boot to the start of a process, which tell it from a later one with its number; None if it has ended."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return None if state in "ZX" else int(fields[18])  # one that was killed keeps its number until its parent takes note
    except (OSError, IndexError, ValueError):
        return None
