#!/usr/bin/env python3
"""Test hosts: containers with systemd, sshd, sudo and Python, each with an address of its own.

`check` says whether they can run on this machine. `up` makes what the hosts of a run share (network, key, image), `create` and
`destroy` serve one Molecule scenario, `down` leaves nothing running, `clean` removes the images too. ZARRSTREAM_ENGINE names the
program: podman, docker or `sudo podman`. Root is needed with podman, because the network of an unprivileged container cannot be
reached from here.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from engine import BUILD, Engine, HostsError, report, require_programs, run
from images import DEFAULT_SUITE, STACKS, commit_image, ensure_image, images, locked, stack_image_name, trust_options

ROOT = Path(__file__).resolve().parents[2]
# Two checkouts on one machine do not meet.
NAME = "zarrstream-" + hashlib.sha256(str(ROOT).encode()).hexdigest()[:6]
KEY = BUILD / "id_ed25519"
NETWORK_FILE = BUILD / "network.json"
# Not the machine's own cache of uv: what a test writes must not be what its user installs tomorrow.
UV_CACHE = BUILD / "uv-cache"
# What lets a host's own Python keep what it compiles from archives.
BYTECODE_HOOK = [ROOT / "tests" / "caches" / f"zip_bytecode.{kind}" for kind in ("py", "pth")]
SSH_SECONDS = 20
STACK_PLAYBOOK = ROOT / "tests" / "hosts" / "stacks.yml"
IMAGE_HOST = 250  # the last part of the address of a host that becomes an image
# What a host's disk must not hold when it becomes an image: who it is, and what it has said.
FORGET = "rm -rf /etc/ssh/ssh_host_* /etc/ssh/authorized_key /var/log/journal/* /var/tmp/* /home/debian/.ansible; : > /etc/machine-id"
ANCHOR = 2  # the last part of the address of the container that keeps the bridge alive: beside the gateway, below all hosts

# Runs in a new host: waits for systemd, and answers with its state and with the units that failed.
SYSTEMD = """
for attempt in $(seq 300); do
    state=$(systemctl is-system-running --wait 2>/dev/null || true)
    case $state in running|degraded) break ;; esac
    sleep 0.2
done
echo "$state"
systemctl --failed --plain --no-legend | cut -d' ' -f1 | tr '\\n' ' '
echo
"""
# The same for a host that is to be used: it brings the key in, gives each user a cache, and answers with the host's public key as well.
GREETING = f"""
cat > /etc/ssh/authorized_key
for user in root debian ada; do install -d -o "$user" -g "$user" "/var/cache/uv/$user"; done
{SYSTEMD}
cat /etc/ssh/ssh_host_ed25519_key.pub
"""
# What every task of Ansible's leaves there, an open session, is left out.
JOURNAL = """
echo "=== $(hostname)"
systemctl --failed --no-legend --no-pager
journalctl --no-pager --no-hostname --boot | grep -vE ' (sudo|sshd|sshd-session|python3|systemd-logind)\\[' | tail -n 400
"""


@dataclass(frozen=True)
class Host:
    """One host of a scenario: its name in the inventory, the suite it runs, and its address."""

    name: str
    suite: str
    address: str


def check(engine: Engine) -> None:
    """Refuse a machine on which no test host can run: rights, programs, and systemd in a container."""
    BUILD.mkdir(parents=True, exist_ok=True)
    if engine.is_podman and engine.command[0] != "sudo" and os.geteuid():
        raise HostsError("test hosts with podman need root: run it as root, or with ZARRSTREAM_ENGINE='sudo podman'")
    require_programs(engine)
    engine.configure()
    container = f"{NAME}-check"
    label = f"zarrstream-check={NAME}"
    engine.remove(label)
    image = ensure_image(engine, DEFAULT_SUITE)
    try:
        engine("run", "--detach", f"--name={container}", f"--label={label}", "--network=none", *engine.systemd_options, image)
        require_systemd(engine, container, engine("exec", container, "sh", "-c", SYSTEMD, check=False))
    finally:
        engine.remove(label)


def require_systemd(engine: Engine, container: str, answer: subprocess.CompletedProcess[str]) -> None:
    """Refuse a host whose systemd is not up, by what it answered."""
    state, failed, *_ = [*answer.stdout.splitlines(), "", ""]
    if state != "running":
        log = engine("logs", "--tail", "20", container, check=False)
        raise HostsError(
            f"systemd does not run in {container}: its state is '{state or 'gone'}'{', failed: ' + failed if failed.strip() else ''}. "
            f"The roles are proved on hosts with systemd, so nothing can be proved here.\n{answer.stderr}{log.stdout}{log.stderr}"
        )


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
    prefix = subnet["gateway"].rpartition(".")[0]
    NETWORK_FILE.write_text(json.dumps({"gateway": subnet["gateway"], "prefix": prefix}) + "\n")
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", NAME, "-f", str(KEY)])
    # Podman counts on from the last network of that name: left to it, the tenth time this takes the address of a host.
    place = [f"--network={NAME}", f"--ip={prefix}.{ANCHOR}"]
    engine("run", "--detach", f"--name={NAME}-anchor", f"--label=zarrstream={NAME}", *place, image, "sleep", "infinity")
    if engine.is_podman:
        # Without an address of its own a bridge takes the lowest of its ports', and so changes it as hosts come and go: all
        # others then send to nobody, for the 10 seconds and more that their ARP caches believe the old one.
        engine.link("set", described["network_interface"], "address", hardware_address(subnet["gateway"]))


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
        image = ready_image(engine, host.suite)
        # fmt: off
        engine(
            "run", "--detach", f"--name={NAME}-{scenario}-{host.name}", f"--hostname={host.name}",
            f"--label=zarrstream={NAME}", f"--label=zarrstream-scenario={NAME}-{scenario}",
            f"--network={NAME}", f"--ip={host.address}", f"--mac-address={hardware_address(host.address)}", *neighbours,
            *engine.systemd_options, *trust_options(engine, image), *bytecode_options(), f"--volume={UV_CACHE}:/var/cache/uv", image,
        )
        # fmt: on
    lines = [f"{host.address} {greet(engine, f'{NAME}-{scenario}-{host.name}')}" for host in hosts]
    for host in hosts:
        wait_for_ssh(host.address)
    known_hosts.write_text("\n".join(lines) + "\n")


def ready_image(engine: Engine, suite: str) -> str:
    """Return the image of a suite, or of a suite with Python environments in it, which is made first where it is not there."""
    if suite not in STACKS:
        return ensure_image(engine, suite)
    image = stack_image_name(suite)
    with locked(suite):
        if not engine.has("image", image):
            make_stack_image(engine, suite, image)
    return image


def make_stack_image(engine: Engine, suite: str, image: str) -> None:
    """Let the roles install the environments on a host as on any, and keep what its disk holds then."""
    report(f"Making the image {suite}: a test host with Python environments in it; about a minute, once")
    name = f"image-{suite}"
    host = Host("host", STACKS[suite].base, f"{json.loads(NETWORK_FILE.read_text())['prefix']}.{IMAGE_HOST}")
    folder = BUILD / name
    folder.mkdir(exist_ok=True)
    container, known_hosts = f"{NAME}-{name}-{host.name}", folder / "known_hosts"
    try:
        create(engine, name, [host], known_hosts)
        options = f"-o UserKnownHostsFile={known_hosts} -o StrictHostKeyChecking=yes -o ControlPath=none"
        variables = {"ansible_user": "debian", "ansible_ssh_private_key_file": str(KEY), "ansible_ssh_common_args": options}
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", f"{host.address},", str(STACK_PLAYBOOK)]
        run([*command, "-e", json.dumps(variables | {"stacks": STACKS[suite].environments})], cwd=ROOT, env=ansible_environment())
        engine("exec", container, "sh", "-c", FORGET)
        engine("stop", container)
        commit_image(engine, container, suite, image)
    finally:
        destroy(engine, name, folder, journal=False)


def ansible_environment() -> dict[str, str]:
    """Return this process's environment with the checkout's settings, whatever those of the run are that wants the image."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return {**kept, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "LC_ALL": "C.UTF-8"}


def bytecode_options() -> list[str]:
    """Share the bytecode of Ansible's modules with the other hosts of the test session, which says where; a measurement does not."""
    folder = os.environ.get("ZIP_BYTECODE")
    hook = [f"--volume={file}:/usr/lib/python3/dist-packages/{file.name}:ro" for file in BYTECODE_HOOK]
    return [f"--volume={folder}:/var/cache/zip-bytecode", *hook] if folder else []


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
    require_systemd(engine, container, answer)
    return answer.stdout.splitlines()[-1]


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
        engine.count(containers)
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
    parser.add_argument("command", choices=["check", "up", "down", "clean", "create", "destroy", "stop", "start", "restart"])
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
            {"check": check, "up": up, "down": down, "clean": clean}[arguments.command](engine)
    except HostsError as error:
        (sys.stdout if arguments.command == "check" else sys.stderr).write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
