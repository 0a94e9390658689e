# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The cluster below the gateways: one monitor, one disk that is a file, and the programs of Ceph that serve them."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cloud.shell import CloudError, report, run, wait
from rgw import caches, layout

LAUNCHER = layout.HERE / "in-chroot"
CONFIG = f"{layout.MOUNTED}/ceph.conf"
OSD_BYTES = 10 * 1024**3  # the file is sparse
FOLDERS = ("run", "log", "rgw", "osd.0")
# What the gateways would make at their first bucket.
POOLS = ("default.rgw.buckets.index", "default.rgw.buckets.data", "default.rgw.buckets.non-ec")
PROGRAMS = {
    "mon": ("ceph-mon", "-f", "-i", "a", "-c", CONFIG),
    "osd": ("ceph-osd", "-f", "-i", "0", "-c", CONFIG),
    **{name: ("radosgw", "-f", "-n", f"client.rgw.{name}", "-c", CONFIG) for name in layout.GATEWAYS},
}


def inside(*command: str) -> list[str]:
    """The command that runs a program in the chroot."""
    return [str(LAUNCHER), str(caches.chroot()), str(layout.CEPH), *command]


def ceph(*arguments: str) -> str:
    """Ask the monitor."""
    return run(*inside("timeout", "60", "ceph", "-c", CONFIG, *arguments))


def admin(*arguments: str) -> Any:
    """Run radosgw-admin and return what its JSON says; None where it says nothing."""
    said = run(*inside("radosgw-admin", "-n", "client.rgw.js2", "-c", CONFIG, *arguments))
    return json.loads(said) if said.strip().startswith(("{", "[")) else None


def prepare() -> bool:
    """Make the folder of the cluster: the kept one, or an empty one; tell whether it is the kept one."""
    kept = _kept()
    if kept.exists():
        run("cp", "--archive", "--sparse=always", kept, layout.CEPH)
        return True
    for name in FOLDERS:
        (layout.CEPH / name).mkdir(parents=True)
    (layout.CEPH / "fsid").write_text(str(uuid.uuid4()))
    return False


def make(start: Callable[..., None]) -> None:
    """Make a cluster in the empty folder, and the gateways' pools in it, once."""
    report("Making a Ceph cluster, once")
    disk, ports = str(uuid.uuid4()), layout.PORTS
    address = f"[v2:{layout.INNER_ADDRESS}:{ports['mon']},v1:{layout.INNER_ADDRESS}:{ports['mon1']}]"
    monitors = f"{layout.MOUNTED}/monmap"
    run(*inside("monmaptool", "--create", "--clobber", "--fsid", (layout.CEPH / "fsid").read_text(), "--addv", "a", address, monitors))
    run(*inside("ceph-mon", "--mkfs", "-i", "a", "-c", CONFIG, "--monmap", monitors))
    start("mon")
    ceph("osd", "new", disk)
    run(*inside("ceph-osd", "--mkfs", "-i", "0", "-c", CONFIG, "--osd-uuid", disk))
    start("osd")
    for pool in POOLS:
        ceph("osd", "pool", "create", pool)
        ceph("osd", "pool", "application", "enable", pool, "rgw")


def keep(stop: Callable[..., None]) -> None:
    """Keep a copy of the cluster for the next time; it has pools, but no user and no bucket. Nothing of it may run."""
    stop(*reversed(PROGRAMS))
    kept = _kept()
    kept.parent.mkdir(parents=True, exist_ok=True)
    draft = kept.with_suffix(".part")
    shutil.rmtree(draft, ignore_errors=True)
    run("cp", "--archive", "--sparse=always", layout.CEPH, draft)
    for name in ("run", "log"):
        shutil.rmtree(draft / name)
        (draft / name).mkdir()
    for secret in (draft / "ceph.conf", *draft.glob("*.pem")):
        secret.unlink()
    draft.rename(kept)
    caches.forget_others(kept, "cluster-*")


def await_disk() -> None:
    """Wait until the monitor says that the disk is up."""
    wait("Ceph's disk is up", lambda: json.loads(ceph("osd", "stat", "--format=json"))["num_up_osds"] == 1, 120, interval=1)


def require_disk_space() -> None:
    """Refuse to begin where Ceph would refuse every write: it keeps some of the disk free."""
    free = shutil.disk_usage(layout.BUILD).free
    if free < OSD_BYTES / 4:
        raise CloudError(f"{layout.BUILD} has {free / 1024**3:.1f} GiB left; the RGW cloud needs {OSD_BYTES / 4 / 1024**3:.1f} GiB.")


def _kept() -> Path:
    """Where the cluster is kept, by all that it depends on."""
    template = layout.HERE / "templates" / "ceph.conf.j2"
    return (
        layout.OWN_CACHE
        / f"cluster-{caches.digest(caches.chroot().name, template.read_text(), Path(__file__).read_text(), layout.INNER_ADDRESS)}"
    )
