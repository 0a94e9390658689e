# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The program that runs containers, Podman or Docker, with the settings that it needs on this machine."""

from __future__ import annotations

import os
import resource
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))  # this is imported by programs, too
from cost import LOST_FILE, note_lost, still_running

BUILD = Path(__file__).resolve().parents[2] / "build" / "hosts"
CAP_SYS_RESOURCE = 24
DEBIAN_PACKAGES = {
    "podman": "podman",
    "mmdebstrap": "mmdebstrap",
    "ssh-keygen": "openssh-client",
    "iptables": "iptables",
    "runc": "runc",
    "ip": "iproute2",
}


class HostsError(Exception):
    """What went wrong, where, and what to do."""


def run(command: list[str], *, check: bool = True, stdin: str | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program; its failure becomes a message with what it said."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, **options)
    if check and done.returncode:
        raise HostsError(f"{shlex.join(command)} failed with {done.returncode}:\n{done.stderr.strip() or done.stdout.strip()}")
    return done


class Engine:
    """Podman or Docker, by the options that both understand and the few that differ."""

    def __init__(self) -> None:
        """Choose the program by ZARRSTREAM_ENGINE."""
        self.command = shlex.split(os.environ.get("ZARRSTREAM_ENGINE", "podman"))
        self.is_podman = Path(self.command[-1]).name == "podman"
        self.configuration = BUILD / "containers.conf"

    def __call__(self, *arguments: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run the engine with these arguments."""
        environment = dict(os.environ)
        if self.configuration.exists():
            environment["CONTAINERS_CONF"] = str(self.configuration)
        return run([*self.command, *arguments], check=check, stdin=stdin, env=environment)

    def link(self, *arguments: str) -> None:
        """Change a network interface of the machine, with the rights that the engine has."""
        run([*self.command[:-1], "ip", "link", *arguments], env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})

    def has(self, kind: str, name: str) -> bool:
        """Tell whether an image, a network or a container exists."""
        return self(kind, "inspect", name, check=False).returncode == 0

    def names(self, label: str) -> list[str]:
        """List the containers that carry a label, stopped ones too."""
        return self("ps", "--all", "--quiet", "--filter", f"label={label}").stdout.split()

    def remove(self, label: str) -> None:
        """Remove the containers that carry a label."""
        if found := self.names(label):
            self.count(found)
            self("rm", "--force", *(["--time", "0"] if self.is_podman else []), *found)

    def count(self, containers: list[str]) -> None:
        """Note what the processes of these containers have cost, before they are killed."""
        if LOST_FILE in os.environ:
            processes = self("inspect", "--format", "{{.State.Pid}}", *containers, check=False).stdout.split()
            note_lost(sum(still_running(int(process)) for process in processes if process != "0"))

    @property
    def systemd_options(self) -> list[str]:
        """What lets systemd be the first process and sandbox its services. The cgroups of the machine are never mounted writable."""
        if self.is_podman:
            return ["--systemd=always", "--cap-add=SYS_ADMIN"]
        return ["--privileged", "--cgroupns=private", "--tmpfs=/run", "--tmpfs=/run/lock"]

    def configure(self) -> None:
        """Write the settings without which Podman cannot start a container on some machines."""
        settings = podman_settings() if self.is_podman else ""
        if settings:
            self.configuration.write_text(settings)
        else:
            self.configuration.unlink(missing_ok=True)


def hybrid_cgroups() -> bool:
    """Tell whether the machine still has version 1 control groups, which crun and systemd's manager cannot drive."""
    return not Path("/sys/fs/cgroup/cgroup.controllers").exists()


def podman_settings() -> str:
    """Return containers.conf for this machine; empty where the defaults work."""
    lines = []
    bounding = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapBnd"))
    if not int(bounding.split()[1], 16) >> CAP_SYS_RESOURCE & 1:
        # Podman asks for more than it has, and without the capability that is refused.
        files, processes = resource.getrlimit(resource.RLIMIT_NOFILE)[1], resource.getrlimit(resource.RLIMIT_NPROC)[1]
        processes = min(processes, 32768) if processes > 0 else 32768
        lines += ["[containers]", f'default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]']
    if hybrid_cgroups():
        lines += ["[engine]", 'runtime = "runc"', 'cgroup_manager = "cgroupfs"', 'events_logger = "file"']
    return "\n".join(lines) + "\n" if lines else ""


def require_programs(engine: Engine) -> None:
    """Install what is missing, as root on Debian; otherwise name the command that does."""
    wanted = [engine.command[0], "mmdebstrap", "ssh-keygen"]
    if engine.is_podman:
        wanted += ["iptables", "ip"] + (["runc"] if hybrid_cgroups() else [])
    missing = [program for program in wanted if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")]
    netavark = engine.is_podman and not any(Path(folder, "netavark").exists() for folder in ("/usr/lib/podman", "/usr/libexec/podman"))
    if not missing and not netavark:
        return
    packages = [DEBIAN_PACKAGES.get(program, program) for program in missing] + (["netavark"] if netavark else [])
    install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
    if os.geteuid() or not shutil.which("apt-get"):
        raise HostsError(f"Test hosts need {', '.join(packages)}. Run: sudo {shlex.join(install)}")
    report(f"Installing {' '.join(packages)}")
    run(["apt-get", "update", "--quiet"])
    run(install, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def report(message: str) -> None:
    """Say what takes its time."""
    sys.stderr.write(f"==> {message}\n")
