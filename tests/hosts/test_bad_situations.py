# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What goes wrong with real hosts: who else is held up, what the user reads, and what the next run does.

Three hosts serve all tests of this file, which tell one story: they run in order, each from where the one before it ended.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cost import Cost
from running import HOSTS, MADE, ROOT, environment, prefix, said_about

from .conftest import Outcome, run

NAMES = ("first", "second", "third")
SCENARIO = "bad-situations"
MINUTES = 60


@dataclass(frozen=True)
class Site:
    """Three hosts and the inventory that names them."""

    folder: Path
    addresses: dict[str, str]

    @property
    def known_hosts(self) -> Path:
        """The file with the hosts' public keys."""
        return self.folder / "known_hosts"

    @property
    def variables(self) -> dict[str, str]:
        """Nothing of the user's own: sockets are kept apart, since addresses return with other hosts behind them."""
        return {"ANSIBLE_SSH_CONTROL_PATH_DIR": str(MADE / "ssh-bad"), "HOME": str(self.folder)}

    def command(self, *options: str) -> list[str | Path]:
        """The run that these tests make: the Zarr environment on all hosts."""
        return ["ansible-playbook", "-i", self.folder / "hosts.json", ROOT / "playbooks" / "stack.yml", *options]

    def apply(self, *options: str) -> Recap:
        """Make that run to its end."""
        return Recap(run(self.command(*options), **self.variables))

    def apply_until(self, text: str) -> subprocess.Popen[str]:
        """Begin that run, and return when it has said something."""
        begun = subprocess.Popen(
            self.command(), cwd=ROOT, env=environment(self.variables), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert begun.stdout
        for line in begun.stdout:
            if text in line:
                return begun
        raise AssertionError(f"the run ended without '{text}'")

    def switch(self, state: str, host: str) -> None:
        """Cut the power of a host, or switch it on again: "stop" or "start"."""
        run([sys.executable, HOSTS, state, "--scenario", SCENARIO, f"--host={host}=-={self.addresses[host]}"]).require()

    def ssh(self, host: str, script: str) -> Outcome:
        """Run a shell script as root on a host."""
        options = [
            "-i",
            MADE / "id_ed25519",
            "-o",
            f"UserKnownHostsFile={self.known_hosts}",
            "-o",
            "BatchMode=yes",
            "-o",
            "LogLevel=ERROR",
        ]
        return run(["ssh", *options, f"debian@{self.addresses[host]}", "sudo", "sh", "-ec", f"'{script}'"])


@dataclass(frozen=True)
class Recap:
    """How a run ended."""

    outcome: Outcome

    def of(self, host: str) -> dict[str, int]:
        """The numbers of a host."""
        line = re.search(rf"^{host}\s+: (.*)$", self.outcome.output, re.MULTILINE)
        assert line, self.outcome.output
        return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", line[1])}

    def message(self, host: str) -> str:
        """What the user reads about a host, without the line breaks of the screen."""
        return said_about(host, self.outcome.output)

    def untouched(self, *hosts: str) -> bool:
        """Tell whether these hosts came to the end, and nothing was changed there."""
        return all(self.of(host)["changed"] == self.of(host)["failed"] == self.of(host)["unreachable"] == 0 for host in hosts)


@pytest.fixture(scope="module")
def site(network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The hosts, created once for this file."""
    folder = tmp_path_factory.mktemp("bad")
    site = Site(folder, {name: f"{prefix()}.{number}" for number, name in enumerate(NAMES, 201)})
    hosts = {name: {"ansible_host": address} for name, address in site.addresses.items()}
    variables = {
        "ansible_user": "debian",
        "ansible_become": True,
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_private_key_file": str(MADE / "id_ed25519"),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={site.known_hosts} -o StrictHostKeyChecking=yes -o ConnectTimeout=5",
        "zarr_stack_path": "/opt/zarrstream",
    }
    (folder / "hosts.json").write_text(json.dumps({"zarr_hosts": {"hosts": hosts, "vars": variables}}))
    create = [f"--host={name}=trixie={address}" for name, address in site.addresses.items()]
    try:
        run([sys.executable, HOSTS, "create", "--scenario", SCENARIO, "--known-hosts", site.known_hosts, *create]).require()
        yield site
    finally:
        run([sys.executable, HOSTS, "destroy", "--scenario", SCENARIO, "--sockets", MADE / "ssh-bad"]).require()


def test_a_host_goes_down_in_the_middle(site: Site) -> None:
    """The others finish, and the run names the one that is gone."""
    begun = site.apply_until("Install the packages")
    site.switch("stop", "third")
    output, _ = begun.communicate(timeout=10 * MINUTES)
    recap = Recap(Outcome("stack.yml", begun.returncode, output, Cost(0.0, 0.0)))
    assert begun.returncode, "a run that lost a host has failed"
    assert recap.of("third")["unreachable"] == 1
    assert recap.of("first")["failed"] == recap.of("second")["failed"] == 0, output
    for host in ("first", "second"):
        site.ssh(host, "test -x /opt/zarrstream/current/bin/python").require()


def test_a_host_is_down_from_the_start_and_another_has_no_registry_and_nothing_cached(site: Site) -> None:
    """The third is done at once; the run fails and names the one that is down, and why nothing can be installed on the other."""
    cut_off(site, "second")
    site.ssh("second", "mount -t tmpfs tmpfs /var/cache/uv; mount -t tmpfs tmpfs /opt/zarrstream").require()
    try:
        recap = site.apply()
    finally:
        site.ssh("second", "umount /var/cache/uv /opt/zarrstream").require()
    assert recap.outcome.returncode
    assert recap.untouched("first"), recap.outcome.output
    assert recap.of("third")["unreachable"] == 1
    assert re.search(r"ssh.*: connect to host .*: (No route to host|Connection timed out)", recap.message("third")), recap.outcome.output
    assert recap.of("second")["failed"] == 1
    message = recap.message("second")
    assert "cannot install the packages on second (Debian 13" in message, message
    assert "The registry of Python packages cannot be reached from there" in message, message


def test_an_installation_is_interrupted(site: Site) -> None:
    """The host that came back gets what the others have, though its installation was cut off once more."""
    site.switch("start", "third")
    begun = site.apply_until("Install the packages")
    wait_for(site, "third", "ls -d /opt/zarrstream/envs/*/lib/python3*/site-packages/numpy")
    site.switch("stop", "third")
    begun.communicate(timeout=10 * MINUTES)
    assert begun.returncode
    site.switch("start", "third")
    assert site.ssh("third", "ls -d /opt/zarrstream/current").returncode, "half an environment is not in use"

    recap = site.apply()
    recap.outcome.require()
    assert recap.untouched("first", "second"), recap.outcome.output
    assert recap.of("third")["changed"], recap.outcome.output
    site.ssh("third", '/opt/zarrstream/current/bin/python -c "import netCDF4, numpy, xarray, zarr"').require()
    assert site.apply().untouched(*NAMES)


def wait_for(site: Site, host: str, script: str) -> None:
    """Return when a script succeeds on a host."""
    end = time.monotonic() + 2 * MINUTES
    while site.ssh(host, script).returncode:
        assert time.monotonic() < end, script
        time.sleep(0.2)


def test_a_full_disk_no_registry_but_a_warm_cache_and_a_wrong_host_key(site: Site) -> None:
    """Each host alone bears what is wrong with it.

    The one without space says so, even though it was to build for the others. The next builds in its place: what uv has in its cache
    is enough, however old the cache's list of packages is. Nothing is sent to a host that cannot prove who it is.
    """
    site.ssh("first", "mount -t tmpfs -o size=60m tmpfs /opt/zarrstream").require()
    cut_off(site, "second")
    site.ssh("second", "mount -t tmpfs tmpfs /opt/zarrstream").require()
    known = site.known_hosts.read_text()
    first, second, third = known.splitlines()
    close_connections()
    try:
        site.known_hosts.write_text("\n".join([first, second, f"{third.split()[0]} {first.partition(' ')[2]}"]) + "\n")
        recap = site.apply()
        site.known_hosts.write_text(known)
        left = site.ssh("first", "ls /opt/zarrstream/current").returncode
        built = site.ssh("second", '/opt/zarrstream/current/bin/python -c "import xarray, zarr"')
    finally:
        site.known_hosts.write_text(known)
        for host in ("first", "second"):
            site.ssh(host, "umount /opt/zarrstream").require()
    assert recap.outcome.returncode
    assert recap.of("first")["failed"] == 1
    message = recap.message("first")
    assert "No space left on device" in message, message
    assert "Look whether there is space in /opt/zarrstream" in message, message
    assert left, "an interrupted environment is not in use"
    assert recap.of("second")["failed"] == 0, recap.outcome.output
    built.require()
    assert recap.of("third")["unreachable"] == 1
    assert "Host key verification failed" in recap.message("third"), recap.outcome.output
    assert site.apply().untouched(*NAMES)


def close_connections() -> None:
    """A host key is looked at only when a connection is made."""
    for path in (MADE / "ssh-bad").glob("*"):
        subprocess.run(["ssh", "-o", f"ControlPath={path}", "-O", "exit", "host"], capture_output=True, check=True)


def cut_off(site: Site, host: str) -> None:
    """Take the names of the registry's servers away from a host."""
    site.ssh(host, ": > /etc/resolv.conf").require()
    assert site.ssh(host, "getent hosts pypi.org").returncode
