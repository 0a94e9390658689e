# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A guest: a systemd container (systemd-nspawn) with limits, a network namespace and a root file system of its own.

All that is known of a guest lies in its folder, so whoever comes next finds it as it is. Nothing of Nova is needed here.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from cgroups import Group

STOP_SECONDS = 30.0
SETTLE_SECONDS = 0.5
MIB = 2**20
# Runs as the guest's first program, inside its limits. `ip netns exec` would hide /sys/fs/cgroup from systemd-nspawn, and its own
# --network-namespace-path would show the machine's /sys/class/net, in which cloud-init misses its interface. What it notes in /run is
# its own: a guest that is killed leaves nothing there.
ENTER = """
for procs in $GROUPS_OF_GUEST; do echo $$ > "$procs"; done
exec nsenter --net="/run/netns/$NAMESPACE" unshare --mount --propagation slave sh -ec '
mount -t tmpfs run /run
mkdir /run/cgroup
mount --rbind /sys/fs/cgroup /run/cgroup
mount -t sysfs sysfs /sys
mount --rbind /run/cgroup /sys/fs/cgroup
exec "$@"' sh "$@"
"""


class GuestError(Exception):
    """A program that failed, with what it said."""


def run(*command: str | Path, check: bool = True) -> str:
    """Run a program and return what it said; its failure becomes a message."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if check and done.returncode:
        raise GuestError(f"{' '.join(map(str, command))}: {done.stdout.strip()}")
    return done.stdout


@dataclass(frozen=True)
class Port:
    """A Neutron port: its id, its device on this machine, its MAC address, its MTU and the bridge that it goes to."""

    id: str
    device: str
    mac: str
    mtu: int
    bridge: str

    @property
    def peer(self) -> str:
        """The guest's end of the pair, before it has moved into the guest."""
        return f"g{self.id[:10]}"


@dataclass(frozen=True)
class Limits:
    """What a flavor grants: virtual CPUs and memory in MiB."""

    vcpus: int
    memory: int


class Guest:
    """One guest, by its folder."""

    def __init__(self, folder: Path, ovsdb: str) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.console = folder / "console.log"
        self._ovsdb = ovsdb
        self._group = Group(folder.name)
        self._namespace = f"nova-{folder.name}"
        self._state = folder / "guest.json"

    @property
    def pid(self) -> int | None:
        """The process id of a guest that runs; a number that another process has got meanwhile does not count."""
        try:
            state = json.loads(self._state.read_text())
        except (OSError, ValueError):
            return None
        return state["pid"] if state["started"] == start_time(state["pid"]) else None

    def make(self, image: Path) -> None:
        """Make the folder of a guest whose root file system begins as image."""
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "image").symlink_to(image)

    def mount(self) -> None:
        """Mount the guest's root: its own layer over the image."""
        if not os.path.ismount(self.root):
            layers = f"lowerdir={self.folder / 'image'},upperdir={self.folder / 'upper'},workdir={self.folder / 'work'}"
            run("mount", "-t", "overlay", "overlay", "-o", layers, self.root)

    def start(self, name: str, hostname: str, limits: Limits, ports: list[Port], binds: list[str]) -> None:
        """Boot the guest. Its devices are made anew: one kept over a stop would leave the port bound to the old device."""
        self.unplug(ports)
        run("ip", "netns", "add", self._namespace)
        for index, port in enumerate(ports):
            self._plug(port, index)
        self._group.make(memory=limits.memory * MIB, cpus=limits.vcpus)
        # fmt: off
        command = [
            "sh", "-ec", ENTER, "sh", "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--resolv-conf=off",
            "--link-journal=no", "--timezone=off", "--console=read-only", "--capability=CAP_NET_ADMIN", *binds,
            f"--machine={name}", f"--hostname={hostname}", f"--directory={self.root}",
        ]
        # fmt: on
        environment = {
            "PATH": os.environ["PATH"],
            "GROUPS_OF_GUEST": " ".join(map(str, self._group.procs)),
            "NAMESPACE": self._namespace,
        }
        with self.console.open("ab") as log:
            started = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd="/", start_new_session=True
            )
        self._state.write_text(json.dumps({"pid": started.pid, "started": start_time(started.pid)}))
        time.sleep(SETTLE_SECONDS)
        if started.poll() is not None:
            raise GuestError(f"The guest ended at once: {self.last_output(800).decode(errors='replace')}")

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Shut the guest down; what has not ended in time is killed."""
        if pid := self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            end = time.monotonic() + seconds
            while self.pid and time.monotonic() < end:
                time.sleep(0.1)
        self._group.kill()
        self._state.unlink(missing_ok=True)

    def unplug(self, ports: list[Port]) -> None:
        """Remove the guest's devices and its namespace."""
        for port in ports:
            run("ovs-vsctl", f"--db={self._ovsdb}", "--if-exists", "del-port", port.device)
            run("ip", "link", "del", port.device, check=False)
        run("ip", "netns", "del", self._namespace, check=False)

    def remove(self) -> None:
        """Remove all that is left of a guest that does not run."""
        self.unmount()
        shutil.rmtree(self.folder, ignore_errors=True)

    def unmount(self) -> None:
        """Unmount the guest's root."""
        if os.path.ismount(self.root):
            run("umount", "--lazy", self.root)

    def last_output(self, size: int) -> bytes:
        """The end of what the guest has written on its console."""
        if not self.console.exists():
            return b""
        with self.console.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - size))
            return log.read()

    def _plug(self, port: Port, index: int) -> None:
        run("ip", "link", "add", port.device, "type", "veth", "peer", "name", port.peer, "address", port.mac)
        for device in (port.device, port.peer):
            run("ip", "link", "set", device, "mtu", str(port.mtu), "up")
            # Open vSwitch's userspace datapath would forward unfinished checksums.
            run("ethtool", "-K", device, "tx", "off")
        run("ip", "link", "set", port.peer, "netns", self._namespace, "name", f"host{index}")
        identity = [f"external_ids:iface-id={port.id}", f"external_ids:attached-mac={port.mac}", "external_ids:iface-status=active"]
        run(
            *("ovs-vsctl", f"--db={self._ovsdb}", "--may-exist", "add-port", port.bridge, port.device),
            *("--", "set", "Interface", port.device, *identity, f"external_ids:vm-uuid={self.folder.name}"),
        )


def start_time(pid: int) -> int | None:
    """When a process began, in ticks since the machine's start; None for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
