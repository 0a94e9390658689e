#!/usr/bin/env python3
"""Test hosts: containers with systemd, sshd, sudo and Python, each with an address of its own.

`up` makes what the hosts of a run share (network, key, image), `create` and `destroy` serve one Molecule scenario,
`down` leaves nothing running, `clean` removes the images too. ZARRSTREAM_ENGINE names the program: podman, docker or
`sudo podman`. Root is needed with podman, because the network of an unprivileged container cannot be reached from here.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "hosts"
RECIPE = HERE / "build-image"
REPOSITORY = "localhost/zarrstream-test-host"
DEFAULT_SUITE = "trixie"
# Two checkouts on one machine do not meet.
NAME = "zarrstream-" + hashlib.sha256(str(ROOT).encode()).hexdigest()[:6]
KEY = BUILD / "id_ed25519"
NETWORK_FILE = BUILD / "network.json"
# Not the machine's own cache of uv: what a test writes must not be what its user installs tomorrow.
UV_CACHE = BUILD / "uv-cache"
SSH_SECONDS = 20
CAP_SYS_RESOURCE = 24
DEBIAN_PACKAGES = {"podman": "podman", "mmdebstrap": "mmdebstrap", "ssh-keygen": "openssh-client", "iptables": "iptables", "runc": "runc"}

# Runs in a new host: brings the key in, gives each user a cache, waits for systemd, and answers with its state and the host's public key.
GREETING = """
cat > /etc/ssh/authorized_key
for user in root debian ada; do install -d -o "$user" -g "$user" "/var/cache/uv/$user"; done
for attempt in $(seq 300); do
    state=$(systemctl is-system-running --wait 2>/dev/null || true)
    case $state in running|degraded) break ;; esac
    sleep 0.2
done
echo "$state"
systemctl --failed --plain --no-legend | cut -d' ' -f1 | tr '\\n' ' '
echo
cat /etc/ssh/ssh_host_ed25519_key.pub
"""
# What every task of Ansible's leaves there, an open session, is left out.
JOURNAL = """
echo "=== $(hostname)"
systemctl --failed --no-legend --no-pager
journalctl --no-pager --no-hostname --boot | grep -vE ' (sudo|sshd|sshd-session|python3|systemd-logind)\\[' | tail -n 60
"""


class HostsError(Exception):
    """What went wrong, where, and what to do."""


@dataclass(frozen=True)
class Host:
    """One host of a scenario: its name in the inventory, the Debian suite it runs, and its address."""

    name: str
    suite: str
    address: str


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

    def has(self, kind: str, name: str) -> bool:
        """Tell whether an image, a network or a container exists."""
        return self(kind, "inspect", name, check=False).returncode == 0

    def names(self, label: str) -> list[str]:
        """List the containers that carry a label, stopped ones too."""
        return self("ps", "--all", "--quiet", "--filter", f"label={label}").stdout.split()

    def remove(self, label: str) -> None:
        """Remove the containers that carry a label."""
        if found := self.names(label):
            self("rm", "--force", *(["--time", "0"] if self.is_podman else []), *found)

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
    import resource

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
        wanted += ["iptables"] + (["runc"] if hybrid_cgroups() else [])
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


def image_name(suite: str) -> str:
    """Return the image's name; its tag changes with the recipe."""
    return f"{REPOSITORY}:{suite}-{hashlib.sha256(RECIPE.read_bytes()).hexdigest()[:12]}"


def images(engine: Engine) -> list[str]:
    """List all images of test hosts, outdated ones too."""
    return engine("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={REPOSITORY}").stdout.split()


def build_image(engine: Engine, suite: str, image: str) -> None:
    """Make the image, and remove its predecessors."""
    report(f"Building the image of a test host, Debian {suite}; one to three minutes, once")
    archive = BUILD / f"{suite}.tar"
    run([str(RECIPE), suite, str(archive)])
    changes = ['CMD ["/sbin/init"]', "STOPSIGNAL SIGRTMIN+3", "ENV container=container"]
    engine("import", *(option for change in changes for option in ("--change", change)), str(archive), image)
    archive.unlink()
    if outdated := [name for name in images(engine) if name.startswith(f"{REPOSITORY}:{suite}-") and name != image]:
        engine("image", "rm", *outdated, check=False)


def ensure_image(engine: Engine, suite: str) -> str:
    """Build the image of a suite from Debian's packages unless it is there."""
    image = image_name(suite)
    if engine.has("image", image):
        return image
    with (BUILD / f"{suite}.lock").open("w") as lock:  # scenarios side by side want it at the same moment
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not engine.has("image", image):
            build_image(engine, suite, image)
    return image


def certificates(text: str) -> set[str]:
    """Return the PEM blocks of a bundle."""
    end = "-----END CERTIFICATE-----"
    return {block[block.index("-----BEGIN") :] + end for block in text.split(end) if "-----BEGIN" in block}


def trust_options(engine: Engine, image: str) -> list[str]:
    """Mount the machine's certificates where it trusts one that Debian does not, as behind a proxy that intercepts TLS."""
    machine = Path(os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile or "/nonexistent")
    if not machine.exists():
        return []
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    debian = BUILD / f"{image.rpartition(':')[2]}.crt"
    if not debian.exists():
        debian.write_text(engine("run", "--rm", "--network=none", image, "cat", bundle).stdout)
    extra = certificates(machine.read_text()) - certificates(debian.read_text())
    return [f"--volume={machine.resolve()}:{bundle}:ro"] if extra else []


def up(engine: Engine) -> None:
    """Make what the hosts share: programs, image, network, key, and a container that keeps the network's bridge alive."""
    BUILD.mkdir(parents=True, exist_ok=True)
    BUILD.chmod(0o700)
    require_programs(engine)
    engine.configure()
    down(engine)
    image = ensure_image(engine, DEFAULT_SUITE)
    engine("network", "create", *(["--disable-dns"] if engine.is_podman else []), NAME)
    described = json.loads(engine("network", "inspect", NAME).stdout)[0]
    subnet = described["subnets"][0] if engine.is_podman else {key.lower(): value for key, value in described["IPAM"]["Config"][0].items()}
    NETWORK_FILE.write_text(json.dumps({"gateway": subnet["gateway"], "prefix": subnet["gateway"].rpartition(".")[0]}) + "\n")
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", NAME, "-f", str(KEY)])
    engine("run", "--detach", f"--name={NAME}-anchor", f"--label=zarrstream={NAME}", f"--network={NAME}", image, "sleep", "infinity")


def down(engine: Engine) -> None:
    """Remove all hosts, the network and the key."""
    engine.remove(f"zarrstream={NAME}")
    if engine.has("network", NAME):
        engine("network", "rm", NAME)
    for path in (KEY, KEY.with_suffix(".pub"), NETWORK_FILE):
        path.unlink(missing_ok=True)


def clean(engine: Engine) -> None:
    """Remove the images as well."""
    if not shutil.which(engine.command[0]):
        return
    down(engine)
    if found := images(engine):
        engine("image", "rm", *found)


def create(engine: Engine, scenario: str, hosts: list[Host], known_hosts: Path) -> None:
    """Start the hosts of a scenario, wait until they are up, and write down their host keys."""
    if not NETWORK_FILE.exists():
        raise HostsError(f"There is no network for test hosts. Run: {Path(__file__).relative_to(ROOT)} up")
    neighbours = [f"--add-host={host.name}:{host.address}" for host in hosts]
    UV_CACHE.mkdir(exist_ok=True)
    for host in hosts:
        image = ensure_image(engine, host.suite)
        # fmt: off
        engine(
            "run", "--detach", f"--name={NAME}-{scenario}-{host.name}", f"--hostname={host.name}",
            f"--label=zarrstream={NAME}", f"--label=zarrstream-scenario={NAME}-{scenario}",
            f"--network={NAME}", f"--ip={host.address}", f"--mac-address={hardware_address(host.address)}", *neighbours,
            *engine.systemd_options, *trust_options(engine, image), f"--volume={UV_CACHE}:/var/cache/uv", image,
        )
        # fmt: on
    lines = [f"{host.address} {greet(engine, f'{NAME}-{scenario}-{host.name}')}" for host in hosts]
    for host in hosts:
        wait_for_ssh(host.address)
    known_hosts.write_text("\n".join(lines) + "\n")


def hardware_address(address: str) -> str:
    """Return the same MAC for the same address, so that the machine's ARP cache is right about the address's next holder."""
    return ":".join(["02", "42", *(f"{int(part):02x}" for part in address.split("."))])


def wait_for_ssh(address: str) -> None:
    """Return when the host's sshd answers this machine."""
    end = time.monotonic() + SSH_SECONDS
    while True:
        try:
            with socket.create_connection((address, 22), timeout=SSH_SECONDS / 10) as connection:
                if connection.recv(4) == b"SSH-":
                    return
        except OSError as error:
            if time.monotonic() > end:
                raise HostsError(
                    f"No ssh at {address} after {SSH_SECONDS} seconds: {error}. A firewall of this machine may be in the way."
                ) from None
        time.sleep(0.1)


def greet(engine: Engine, container: str) -> str:
    """Bring the key in, wait for systemd, and return the host's public key."""
    answer = engine("exec", "--interactive", container, "sh", "-c", GREETING, check=False, stdin=KEY.with_suffix(".pub").read_text())
    state, failed, key, *_ = [*answer.stdout.splitlines(), "", "", ""]
    if state != "running" or not key:
        log = engine("logs", "--tail", "20", container, check=False)
        raise HostsError(
            f"systemd does not run in {container}: its state is '{state or 'gone'}'{', failed: ' + failed if failed.strip() else ''}. "
            f"The roles are proved on hosts with systemd, so nothing can be proved here.\n{answer.stderr}{log.stdout}{log.stderr}"
        )
    return key


def destroy(engine: Engine, scenario: str, sockets: Path, *, journal: bool) -> None:
    """Remove the hosts of a scenario, with the last of their journals on standard output where wanted."""
    containers = engine.names(f"zarrstream-scenario={NAME}-{scenario}")
    for container in containers if journal else []:
        answer = engine("exec", container, "sh", "-c", JOURNAL, check=False)
        sys.stdout.write(answer.stdout + answer.stderr)
    for path in sockets.glob("*"):
        run(["ssh", "-o", f"ControlPath={path}", "-O", "exit", "host"], check=False)
    engine.remove(f"zarrstream-scenario={NAME}-{scenario}")


def switch(engine: Engine, scenario: str, hosts: list[Host], state: str) -> None:
    """Cut the power of hosts ("stop"), switch them on ("start"), or both ("restart")."""
    containers = [f"{NAME}-{scenario}-{host.name}" for host in hosts]
    if state != "start":
        engine("kill", *containers)
        engine("wait", *containers)
    if state != "stop":
        engine("start", *containers)
        for host, container in zip(hosts, containers, strict=True):
            greet(engine, container)
            wait_for_ssh(host.address)


def main() -> int:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("command", choices=["up", "down", "clean", "create", "destroy", "stop", "start", "restart"])
    parser.add_argument("--scenario", help="role and scenario, such as bucket-default")
    parser.add_argument("--known-hosts", type=Path, help="file for the hosts' public keys")
    parser.add_argument("--host", action="append", default=[], metavar="NAME=SUITE=ADDRESS", help="a host to create, stop or start")
    parser.add_argument("--sockets", type=Path, help="folder of the open connections of Ansible's ssh")
    parser.add_argument("--journal", action="store_true", help="print the journals before destroying")
    arguments = parser.parse_args()
    engine = Engine()
    hosts = [Host(*host.split("=")) for host in arguments.host]
    try:
        if arguments.command in ("stop", "start", "restart"):
            switch(engine, arguments.scenario, hosts, arguments.command)
        elif arguments.command == "create":
            create(engine, arguments.scenario, hosts, arguments.known_hosts)
        elif arguments.command == "destroy":
            destroy(engine, arguments.scenario, arguments.sockets, journal=arguments.journal)
        else:
            {"up": up, "down": down, "clean": clean}[arguments.command](engine)
    except HostsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
