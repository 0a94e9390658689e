# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Starting and ending the RGW cloud, and sharing one among the processes of a test run."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cloud.shell import CloudError, report, stage
from rgw import caches, ceph, layout, seed, services

# There while the cloud is one that tests have started, and will end.
BORROWED = layout.BUILD / "for-tests"


def up(keystone: str = layout.DEFAULT_KEYSTONE) -> None:
    """Bring the cloud up, from whatever there is."""
    require_root()
    if is_up() == keystone:
        report("The cloud is up already")
        return
    down()
    with stage("Packages and caches"), caches.one_at_a_time():
        layout.BUILD.mkdir(parents=True, exist_ok=True)
        ceph.require_disk_space()
        with ThreadPoolExecutor() as pool:
            environment, _ = (made.result() for made in [pool.submit(caches.environment, keystone), pool.submit(caches.chroot)])
    make_state()
    kept = ceph.prepare()
    passwords = services.make_secrets()
    services.configure(environment, passwords)
    services.start_supervisor(environment)
    if not kept:
        with stage("A Ceph cluster"):
            ceph.make(services.start)
            start_gateways()
            ceph.keep(services.stop)
    with stage("Keystone, Ceph and its gateways"), ThreadPoolExecutor() as pool:
        accounts = pool.submit(start_keystone, passwords)
        start_gateways()
        accounts.result()
    layout.READY.write_text(keystone)


def require_root() -> None:
    """Refuse to begin without root."""
    if os.geteuid():
        raise CloudError("The RGW cloud needs root: Ceph's programs run in a root file system of their own. Run it with sudo.")


def make_state() -> None:
    """Make the folder of what runs, which nobody else enters."""
    layout.STATE.mkdir(parents=True, exist_ok=True)
    layout.STATE.chmod(0o700)
    layout.LOGS.mkdir(exist_ok=True)


def start_keystone(passwords: dict[str, str]) -> None:
    """Start Keystone and fill it."""
    services.start("keystone")
    services.await_answer("keystone")
    seed.fill(passwords)


def start_gateways() -> None:
    """Start Ceph: the gateways wait for the monitor and the disk by themselves."""
    services.start("mon", "osd", *layout.GATEWAYS)
    for name in layout.GATEWAYS:
        services.await_answer(name)


def is_up() -> str | None:
    """The Keystone with which a start came to its end, if everything has run since then."""
    if layout.READY.exists() and set(services.supervisor().states().values()) == {"RUNNING"}:
        return layout.READY.read_text()
    return None


def down() -> None:
    """End the cloud and everything in it; only the caches stay."""
    if services.supervisor().stop():
        report("The programs have ended")
    shutil.rmtree(layout.STATE, ignore_errors=True)


@contextmanager
def shared(locked: Callable[[Path], Any], is_the_last: Callable[[Any], bool]) -> Iterator[str]:
    """Offer the Keystone of the cloud that runs; where none does, start one, and end it when the last process that uses it leaves.

    Whoever uses it holds a lock, which goes with the process, however that ends.
    """
    layout.BUILD.mkdir(parents=True, exist_ok=True)
    with (layout.BUILD / "users").open("w") as users:
        with locked(layout.BUILD / "lock"):
            fcntl.flock(users, fcntl.LOCK_SH)
            if not is_up():
                BORROWED.touch()
                up()
        try:
            yield layout.READY.read_text()
        finally:
            with locked(layout.BUILD / "lock"):
                if BORROWED.exists() and is_the_last(users):
                    BORROWED.unlink()
                    down()
